//! Calls to one store: tried again when they fail, within a time, and not at all while the store is down.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cdm::{Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    super::StoreCalls,
    breaker::Breaker,
    failure::{Cause, Reason, without_secrets},
    options::RemoteOptions,
};

/// The slowest transfer that is waited for, once an answer has begun: bytes in a second.
const SLOWEST: u64 = 1 << 20;
/// What is waited before the first retry; each further one waits twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How one store is called.
#[derive(Debug)]
pub(super) struct Calls {
    /// The store as messages name it: `s3://bucket`.
    pub(super) store: Arc<str>,
    retries: u32,
    total: Duration,
    breaker: Breaker,
    requests: AtomicU64,
    failures: AtomicU64,
}

/// A call that failed for good.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) error: Error,
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        self.error
    }
}

impl Calls {
    pub(super) fn new(store: impl Into<Arc<str>>, options: &RemoteOptions) -> Self {
        Self {
            store: store.into(),
            retries: options.retries,
            total: options.total_timeout,
            breaker: Breaker::default(),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// What has been asked of the store so far, and whether it is left alone now.
    pub(super) fn counts(&self) -> StoreCalls {
        StoreCalls {
            store: self.store.to_string(),
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            is_open: self.breaker.is_open(Instant::now()),
        }
    }

    /// Makes a request, and makes it again when it fails in a way that may pass. `attempt` says when an
    /// answer has begun, and how much is to come.
    pub(super) async fn make<T, F>(&self, attempt: impl Fn(Arc<Coming>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let deadline = Instant::now() + self.total;
        let mut retries = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let leave = self.breaker.admit(Instant::now()).map_err(|wait| self.closed(wait))?;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let coming = Arc::new(Coming::default());
            let (reason, cause) = match in_time(deadline, &coming, attempt(Arc::clone(&coming))).await {
                Some(Ok(found)) => {
                    leave.report(false, Instant::now());
                    return Ok(found);
                }
                Some(Err(e)) => (Reason::of(&e), without_secrets(&e)),
                None => (Reason::TimedOut, "the time for it was over".to_owned()),
            };
            self.failures.fetch_add(u64::from(reason.may_pass()), Ordering::Relaxed);
            if leave.report(reason.may_pass(), Instant::now()) {
                tracing::warn!(store = &*self.store, cause, "the store fails: it is left alone for a while");
                retries = self.retries;
            }
            let wait = jittered(pause);
            if !reason.may_pass() || retries >= self.retries || Instant::now() + wait >= deadline {
                return Err(Failure { reason, error: reason.error(&self.store).with_source(Cause(cause)) });
            }
            tracing::debug!(store = &*self.store, cause, "a request to the store is made again");
            sleep(wait).await;
            retries += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn closed(&self, wait: Duration) -> Failure {
        let seconds = wait.as_secs().max(1);
        let message = format!("the store {} fails; it is asked again in {seconds} s", self.store);
        Failure { reason: Reason::Failing, error: Error::new(ErrorKind::Storage, message) }
    }
}

/// Bytes of an answer that are on their way.
#[derive(Debug, Default)]
pub(super) struct Coming(AtomicU64);

impl Coming {
    /// The answer has begun and holds so many bytes.
    pub(super) fn begins(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// What `work` gives until `deadline`, or in the time that the bytes need which are coming by then.
async fn in_time<T>(deadline: Instant, coming: &Coming, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    if let Ok(done) = timeout_at(deadline, &mut work).await {
        return Some(done);
    }
    let more = Duration::from_secs(coming.0.load(Ordering::Relaxed) / SLOWEST);
    timeout_at(deadline + more, work).await.ok()
}

/// Between a half and all of `pause`, so that many do not come back at once.
fn jittered(pause: Duration) -> Duration {
    // The hasher's keys are random: the only randomness that is wanted.
    let random = u32::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or(0);
    pause / 2 + (pause / 2) * random / 0xffff
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn calls(total: u64) -> Calls {
        let total_timeout = Duration::from_millis(total);
        Calls::new("memory://x", &RemoteOptions { total_timeout, retries: 2, ..RemoteOptions::default() })
    }

    fn failing() -> object_store::Error {
        let source = super::super::failure::Refusal::Failing(503).into();
        object_store::Error::Generic { store: "test", source }
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_nothing_else() {
        let made = AtomicUsize::new(0);
        let attempt = |fails: usize, error: fn() -> object_store::Error| {
            made.store(0, Ordering::SeqCst);
            let made = &made;
            move |_| async move { if made.fetch_add(1, Ordering::SeqCst) < fails { Err(error()) } else { Ok(()) } }
        };
        calls(5000).make(attempt(2, failing)).await.unwrap();
        assert_eq!(made.load(Ordering::SeqCst), 3);
        let failed = calls(5000).make(attempt(9, failing)).await.unwrap_err();
        assert_eq!((failed.reason, made.load(Ordering::SeqCst)), (Reason::Failing, 3));
        assert_eq!(failed.error.message(), "the store memory://x failed");
        let denied = || object_store::Error::PermissionDenied { path: "key".to_owned(), source: "no".into() };
        let failed = calls(5000).make(attempt(9, denied)).await.unwrap_err();
        assert_eq!((failed.reason, made.load(Ordering::SeqCst)), (Reason::Denied, 1));
        assert!(!failed.error.message().contains("key"));
    }

    #[tokio::test]
    async fn an_answer_that_has_begun_has_the_time_its_bytes_need() {
        let begun = |coming: Arc<Coming>| async move {
            coming.begins(2 * SLOWEST);
            sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        calls(50).make(begun).await.unwrap();
        let silent = |_| async {
            sleep(Duration::from_millis(200)).await;
            Ok(())
        };
        let failed = calls(50).make(silent).await.unwrap_err();
        assert_eq!((failed.reason, failed.error.kind()), (Reason::TimedOut, ErrorKind::TimedOut));
    }
}
