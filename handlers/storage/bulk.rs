//! Turns at threads that may block and at decoding, so that little never waits behind much, and nobody behind
//! hundreds of requests of one other (promise R8).
//!
//! Threads that may block are many, but processors are not: hundreds of threads that copy and decode leave the few
//! that answer requests hardly any time. So whoever reads much takes turns at them ([`in_bulk`]), and a [`Party`],
//! which is all that one client does, has a part of all turns: it waits in a line of its own before it gets into the
//! common one.

use std::{future::Future, sync::Arc, thread::available_parallelism};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::carried;

tokio::task_local! {
    /// The turns of those who read much, when this is one of them.
    static BULK: Arc<Semaphore>;
    /// On whose behalf this is done.
    static PARTY: Party;
}

/// One of those who share the processors: all that is done for it together has a part of them.
#[derive(Debug, Clone)]
pub struct Party {
    bulk: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

impl Default for Party {
    fn default() -> Self {
        let cores = available_parallelism().map_or(2, usize::from);
        // As many as one stream can make use of.
        Self { bulk: Arc::new(Semaphore::new(3 * cores)), decoding: Arc::new(Semaphore::new(2 * cores)) }
    }
}

impl Party {
    /// Runs `work` on its behalf.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> T {
        PARTY.scope(self, work).await
    }

    /// Runs a step of some work on its behalf.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        PARTY.sync_scope(self.clone(), work)
    }
}

/// A turn until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    #[expect(dead_code, reason = "held for what its end does")]
    own: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "held for what its end does")]
    common: OwnedSemaphorePermit,
}

impl Turn {
    async fn of(own: Option<Arc<Semaphore>>, common: Arc<Semaphore>) -> Option<Self> {
        // None of them is ever closed.
        let own = match own {
            Some(own) => Some(own.acquire_owned().await.ok()?),
            None => None,
        };
        Some(Self { own, common: common.acquire_owned().await.ok()? })
    }
}

/// Runs `work`, whose steps that block take turns, as another task may: on behalf of the same party.
pub(crate) fn in_bulk<T>(turns: Arc<Semaphore>, work: impl Future<Output = T>) -> impl Future<Output = T> {
    BULK.scope(turns, carried(work))
}

/// What another task does on behalf of the same party.
pub(super) fn of_same_party<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let party = PARTY.try_with(Party::clone).ok();
    async move {
        match party {
            Some(party) => party.run(work).await,
            None => work.await,
        }
    }
}

/// Whether what is run now reads much.
pub(crate) fn is_bulk() -> bool {
    BULK.try_with(|_| ()).is_ok()
}

/// A turn at decoding, of those that are `common` to all.
pub(crate) async fn decoding(common: &Arc<Semaphore>) -> Option<Turn> {
    Turn::of(PARTY.try_with(|party| Arc::clone(&party.decoding)).ok(), Arc::clone(common)).await
}

/// A turn for a step that blocks: who reads little needs none.
pub(super) async fn turn() -> Option<Turn> {
    let common = BULK.try_with(Arc::clone).ok()?;
    Turn::of(PARTY.try_with(|party| Arc::clone(&party.bulk)).ok(), common).await
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::storage::blocking;

    async fn slow() {
        let sleep = || {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        };
        blocking(sleep).await.unwrap();
    }

    #[tokio::test]
    async fn who_reads_little_does_not_wait() {
        let turns = Arc::new(Semaphore::new(1));
        let begin = Instant::now();
        let much: Vec<_> = (0..4).map(|_| tokio::spawn(in_bulk(Arc::clone(&turns), slow()))).collect();
        tokio::task::yield_now().await;
        blocking(|| Ok(())).await.unwrap();
        assert!(begin.elapsed() < Duration::from_millis(90), "{:?}", begin.elapsed());
        for task in much {
            task.await.unwrap();
        }
        assert!(begin.elapsed() >= Duration::from_millis(400), "they took turns");
    }

    #[tokio::test]
    async fn a_party_waits_behind_its_own() {
        let turns = Arc::new(Semaphore::new(2));
        let (one, other) = (Party::default(), Party::default());
        let narrow = Party { bulk: Arc::new(Semaphore::new(1)), decoding: Arc::clone(&one.decoding) };
        let begin = Instant::now();
        let crowd: Vec<_> =
            (0..20).map(|_| tokio::spawn(narrow.clone().run(in_bulk(Arc::clone(&turns), slow())))).collect();
        tokio::task::yield_now().await;
        other.run(in_bulk(Arc::clone(&turns), slow())).await;
        assert!(begin.elapsed() < Duration::from_millis(190), "{:?}", begin.elapsed());
        crowd.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
