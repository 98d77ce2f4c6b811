//! Bytes that are read from storage on behalf of somebody, wherever that is done.
//!
//! A request is polled on threads of the runtime, hops to threads that may block, and begins tasks of its own. Its
//! [`Meter`] goes along, so that what is read is counted for it alone.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::bulk::of_same_party;

tokio::task_local! {
    static METER: Meter;
}

/// Counts what is read within it.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// `work`, counted here.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        METER.scope(self.clone(), work)
    }

    /// As [`Meter::around`], of work that is done at once.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        METER.sync_scope(self.clone(), work)
    }

    /// The one that counts what is done now.
    pub(super) fn current() -> Option<Self> {
        METER.try_with(Self::clone).ok()
    }
}

/// So many bytes have been read.
pub(crate) fn count(bytes: usize) {
    // Nobody needs to know of what is done for nobody.
    let _ = METER.try_with(|meter| meter.0.fetch_add(bytes as u64, Relaxed));
}

/// `work`, counted for whom it is made now, and done on behalf of the same party, when it runs as a task of its own.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (meter, work) = (Meter::current(), of_same_party(work));
    async move {
        match meter {
            Some(meter) => meter.around(work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::blocking;

    #[tokio::test]
    async fn each_counts_its_own_wherever_it_is_done() {
        let (one, other) = (Meter::default(), Meter::default());
        let work = |bytes| async move {
            count(bytes);
            blocking(move || {
                count(bytes);
                Ok(())
            })
            .await
            .unwrap();
            tokio::spawn(carried(async move { count(bytes) })).await.unwrap();
        };
        tokio::join!(one.around(work(1)), other.around(work(100)));
        count(1000);
        other.within(|| count(7));
        assert_eq!((one.bytes(), other.bytes()), (3, 307));
    }
}
