//! Watches what leaves a connection: cuts it when its client takes nothing for too long, or next to nothing for
//! twice as long, and tells a body when what it gave out has left.

use std::{
    io::{ErrorKind, IoSlice, Result},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// Counts the flushes of a connection, shared with the body that is being sent on it.
///
/// hyper drops a connection at the first error of a body, with all it has not yet written. A body whose
/// last words must arrive (DAP4's error chunk) waits for a flush before it fails.
#[derive(Debug, Clone, Default)]
pub(super) struct Flushes(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    done: AtomicU64,
    /// HTTP/1: one body at a time.
    waiting: AtomicWaker,
}

impl Flushes {
    /// Completes when everything given to the connection has been handed to the socket. A client that
    /// takes nothing ends the connection, and the waiting with it.
    pub(super) async fn next(&self) {
        let before = self.0.done.load(Ordering::Acquire);
        std::future::poll_fn(|context| {
            self.0.waiting.register(context.waker());
            if self.0.done.load(Ordering::Acquire) == before { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    fn count(&self) {
        self.0.done.fetch_add(1, Ordering::AcqRel);
        self.0.waiting.wake();
    }
}

/// A stream that fails with `TimedOut` when a write has been waiting for `timeout` without any progress, or when
/// writes have been waiting for twice that and fewer than `slowest` bytes a second were taken meanwhile.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    inner: S,
    flushes: Flushes,
    timeout: Duration,
    slowest: u64,
    /// Has the system forget what it has not sent yet: nobody will take it.
    reset: fn(&S),
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when a write has been waiting.
    waiting: Option<Instant>,
    taken: Taken,
}

/// What a client has taken while it was waited for. The time that the server takes is not the client's.
#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    waited: Duration,
}

impl Taken {
    /// Adds a wait and what was taken after it; whether the client is too slow to be waited for any longer.
    fn is_too_slow(&mut self, waited: Duration, bytes: usize, timeout: Duration, slowest: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
        if self.waited < timeout.saturating_mul(2) {
            return false;
        }
        let taken = std::mem::take(self);
        (taken.bytes as f64) < slowest as f64 * taken.waited.as_secs_f64()
    }
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(
        inner: S,
        (timeout, slowest): (Duration, u64),
        flushes: Flushes,
        reset: fn(&S),
    ) -> Self {
        Self { inner, flushes, timeout, slowest, reset, timer: None, waiting: None, taken: Taken::default() }
    }

    fn too_slow<T>(&self) -> Poll<Result<T>> {
        (self.reset)(&self.inner);
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Passes progress through and disarms; arms, or fires, on waiting.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<Result<T>>) -> Poll<Result<T>> {
        if outcome.is_ready() {
            self.timer = None;
            self.waiting = None;
            return outcome;
        }
        let now = Instant::now();
        self.waiting.get_or_insert(now);
        let deadline = now + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => self.too_slow(),
            Poll::Pending => Poll::Pending,
        }
    }

    fn watch_write(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<Result<usize>>,
    ) -> Poll<Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &outcome {
            let waited = self.waiting.map_or(Duration::ZERO, |since| since.elapsed());
            if self.taken.is_too_slow(waited, *bytes, self.timeout, self.slowest) {
                return self.too_slow();
            }
        }
        self.watch(context, outcome)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch_write(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch_write(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(context);
        if outcome.is_ready() {
            self.flushes.count();
        }
        self.watch(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stalled_write_fails_and_a_slow_one_does_not() {
        let (mut client, server) = tokio::io::duplex(8);
        let mut server = WriteTimeout::new(server, (Duration::from_secs(30), 0), Flushes::default(), |_| ());
        let slow = tokio::spawn(async move {
            let mut buffer = [0; 8];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                client.read_exact(&mut buffer).await.unwrap();
            }
            client
        });
        server.write_all(&[1; 32]).await.unwrap();
        let _client = slow.await.unwrap();
        let begin = Instant::now();
        let stalled = server.write_all(&[1; 32]).await.unwrap_err();
        assert_eq!(stalled.kind(), ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_fails_and_what_is_just_enough_does_not() {
        // Eight bytes every twenty seconds are 0.4 a second.
        for (slowest, is_cut) in [(1, true), (0, false)] {
            let (mut client, server) = tokio::io::duplex(8);
            let mut server =
                WriteTimeout::new(server, (Duration::from_secs(30), slowest), Flushes::default(), |_| ());
            let trickle = tokio::spawn(async move {
                let mut buffer = [0; 8];
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    if client.read_exact(&mut buffer).await.is_err() {
                        break;
                    }
                }
            });
            let begin = Instant::now();
            let written = server.write_all(&[1; 160]).await;
            assert_eq!(written.is_err(), is_cut, "{written:?}");
            let took = begin.elapsed().as_secs();
            assert!(!is_cut || (60..=80).contains(&took), "{took}");
            drop(server);
            trickle.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_the_server_takes_is_not_the_clients() {
        let (mut client, server) = tokio::io::duplex(8);
        let mut server = WriteTimeout::new(server, (Duration::from_secs(30), 4), Flushes::default(), |_| ());
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.map(|_| all.len())
        });
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(100)).await;
            server.write_all(&[1; 16]).await.unwrap();
        }
        drop(server);
        assert_eq!(reading.await.unwrap().unwrap(), 160);
    }
}
