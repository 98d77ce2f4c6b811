//! The time a connection may be idle, at no cost while requests keep coming.
//!
//! hyper asks for a new sleep before each request and drops it when the request is there; each would be
//! entered into the runtime's timers and taken out again, under a lock. Here each connection has one timer,
//! which is set anew only when it has gone off too early.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Sleep, Timer};
use tokio::time::{self, Instant};

/// The timer of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleTimer(Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>);

impl Timer for IdleTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { timer: self.clone(), deadline: Instant::now() + duration })
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until { timer: self.clone(), deadline: deadline.into() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

/// Completes at its deadline. Of one connection's, one is polled at a time.
#[derive(Debug)]
struct Until {
    timer: IdleTimer,
    deadline: Instant,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = timer.get_or_insert_with(|| Box::pin(time::sleep_until(self.deadline)));
        if sleep.deadline() > self.deadline {
            sleep.as_mut().reset(self.deadline);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

impl Sleep for Until {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeps_that_follow_one_another_share_a_timer() {
        let timer = IdleTimer::default();
        let begin = Instant::now();
        let elapsed = || begin.elapsed().as_secs();
        // Dropped early, as when a request comes.
        for _ in 0..3 {
            let sleep = timer.sleep(Duration::from_secs(30));
            assert!(time::timeout(Duration::from_secs(7), sleep).await.is_err());
        }
        assert_eq!(elapsed(), 21);
        timer.sleep(Duration::from_secs(30)).await;
        assert_eq!(elapsed(), 51, "the first one's end is not this one's");
        timer.sleep(Duration::from_secs(5)).await;
        assert_eq!(elapsed(), 56);
        let long = timer.sleep(Duration::from_secs(100));
        assert!(time::timeout(Duration::from_secs(1), long).await.is_err());
        timer.sleep_until(timer.now() + Duration::from_secs(2)).await;
        assert_eq!(elapsed(), 59, "an earlier end is kept, too");
    }
}
