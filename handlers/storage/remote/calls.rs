//! Calls to one store: tried again when they fail, within a time, and not at all while the store is down.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use cdm::{Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    breaker::Breaker,
    failure::{Cause, Reason, without_secrets},
    options::RemoteOptions,
};

/// The slowest transfer that is waited for, besides the time an operation may take: bytes in a second.
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
        }
    }

    /// Makes a request that brings about `bytes` bytes, and makes it again when it fails in a way that may
    /// pass.
    pub(super) async fn make<T, F>(&self, bytes: u64, attempt: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let deadline = Instant::now() + self.total + Duration::from_secs(bytes / SLOWEST);
        let mut retries = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let leave = self.breaker.admit(Instant::now()).map_err(|wait| self.closed(wait))?;
            let (reason, cause) = match timeout_at(deadline, attempt()).await {
                Ok(Ok(found)) => {
                    leave.report(false, Instant::now());
                    return Ok(found);
                }
                Ok(Err(e)) => (Reason::of(&e), without_secrets(&e)),
                Err(_) => (Reason::TimedOut, "the time for it was over".to_owned()),
            };
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

/// Between a half and all of `pause`, so that many do not come back at once.
fn jittered(pause: Duration) -> Duration {
    // The hasher's keys are random: the only randomness that is wanted.
    let random = u32::try_from(RandomState::new().build_hasher().finish() & 0xffff).unwrap_or(0);
    pause / 2 + (pause / 2) * random / 0xffff
}
