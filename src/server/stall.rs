//! Watches what leaves a connection: cuts it when its client takes nothing for too long, and tells a body
//! when what it gave out has left.

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

/// A stream that fails with `TimedOut` when a write has been waiting for `timeout` without any progress.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    inner: S,
    flushes: Flushes,
    timeout: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(inner: S, timeout: Duration, flushes: Flushes) -> Self {
        Self { inner, flushes, timeout, timer: None }
    }

    /// Passes progress through and disarms; arms, or fires, on waiting.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<Result<T>>) -> Poll<Result<T>> {
        if outcome.is_ready() {
            self.timer = None;
            return outcome;
        }
        let deadline = Instant::now() + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
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
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, outcome)
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
        let mut server = WriteTimeout::new(server, Duration::from_secs(30), Flushes::default());
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
}
