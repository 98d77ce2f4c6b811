//! Work that blocks: on a thread that may, one hop away; or, for who is on such a thread already, right there.
//!
//! A hop costs tens of microseconds, as much as opening a small file. Reading one small thing takes half a dozen
//! steps that block (look, open, read, decode ...), so that hops would cost more than what is done.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use cdm::{Error, Result};

use super::{bulk, meter::Meter};

thread_local! {
    /// This thread may block in what is polled now.
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Says for a while that this thread may block.
struct Here(bool);

impl Here {
    fn enter() -> Self {
        Self(HERE.replace(true))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.0);
    }
}

/// Whether what is polled now may block its thread: then tasks of its own would only cost it hops.
pub(crate) fn may_block_here() -> bool {
    HERE.get()
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if may_block_here() {
        return work();
    }
    let (turn, meter) = (bulk::turn().await, Meter::current());
    let counted = move || {
        let _turn = turn;
        match meter {
            Some(meter) => meter.within(work),
            None => work(),
        }
    };
    match tokio::task::spawn_blocking(counted).await {
        Ok(done) => done,
        Err(e) => Err(Error::internal("a worker failed").with_source(e)),
    }
}

/// A future whose work may go on anywhere.
pub(crate) type Going<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Polls `future` once on this thread, which may block: where it waits for nothing but blocking work it is done
/// then. What waits for something else (a request over a network, a turn, memory) is given back, to be awaited.
pub(crate) fn at_once<T>(mut future: Going<T>) -> Result<T, Going<T>> {
    let _here = Here::enter();
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => Err(future),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread() -> std::thread::ThreadId {
        std::thread::current().id()
    }

    #[tokio::test]
    async fn work_stays_on_a_thread_that_may_block() {
        let elsewhere = blocking(|| Ok(thread())).await.unwrap();
        assert_ne!(elsewhere, thread());
        let stayed = blocking(|| {
            let steps = async {
                let first = blocking(|| Ok(thread())).await?;
                Ok::<_, Error>((first, blocking(|| Ok(thread())).await?))
            };
            let (first, second) = at_once(Box::pin(steps)).ok().unwrap()?;
            Ok((first == thread() && second == thread(), may_block_here()))
        });
        assert_eq!(stayed.await.unwrap(), (true, false));
    }

    #[tokio::test]
    async fn what_waits_is_given_back_and_goes_on() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let begun = blocking(move || {
            let waits = async move {
                let said: u32 = told.await.unwrap();
                // Not on the thread that began it any more: this hops.
                (said, may_block_here())
            };
            Ok(at_once(Box::pin(waits)))
        });
        let waiting = begun.await.unwrap().err().unwrap();
        tell.send(7).unwrap();
        assert_eq!(waiting.await, (7, false));
    }
}
