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
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        time::{Duration, Instant},
    };

    use tokio::time::timeout;

    use super::*;
    use crate::storage::blocking;

    /// Longer than any step takes that does not wait for another.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Steps that block until the gate is opened, and how many have been in it at once.
    #[derive(Default)]
    struct Gate {
        opened: AtomicBool,
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    impl Gate {
        async fn pass(self: Arc<Self>) {
            let step = move || {
                let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(inside, Ordering::SeqCst);
                let begin = Instant::now();
                while !self.opened.load(Ordering::SeqCst) && begin.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.inside.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            blocking(step).await.unwrap();
        }

        /// Waits until somebody is inside.
        async fn is_reached(&self) {
            let reached = async {
                while self.inside.load(Ordering::SeqCst) == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(PATIENCE, reached).await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_reads_little_does_not_wait() {
        let (gate, turns) = (Arc::new(Gate::default()), Arc::new(Semaphore::new(1)));
        let much: Vec<_> =
            (0..4).map(|_| tokio::spawn(in_bulk(Arc::clone(&turns), Arc::clone(&gate).pass()))).collect();
        gate.is_reached().await;
        timeout(PATIENCE, blocking(|| Ok(()))).await.unwrap().unwrap();
        assert!(much.iter().all(|task| !task.is_finished()));
        gate.opened.store(true, Ordering::SeqCst);
        for task in much {
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        assert_eq!(gate.most.load(Ordering::SeqCst), 1, "they took turns");
    }

    #[tokio::test]
    async fn a_party_waits_behind_its_own() {
        let (gate, turns) = (Arc::new(Gate::default()), Arc::new(Semaphore::new(2)));
        let (one, other) = (Party::default(), Party::default());
        let narrow = Party { bulk: Arc::new(Semaphore::new(1)), decoding: Arc::clone(&one.decoding) };
        let crowd: Vec<_> = (0..20)
            .map(|_| tokio::spawn(narrow.clone().run(in_bulk(Arc::clone(&turns), Arc::clone(&gate).pass()))))
            .collect();
        gate.is_reached().await;
        let step = async { blocking(|| Ok(())).await.unwrap() };
        timeout(PATIENCE, other.run(in_bulk(Arc::clone(&turns), step))).await.unwrap();
        assert!(crowd.iter().all(|task| !task.is_finished()));
        gate.opened.store(true, Ordering::SeqCst);
        for task in crowd {
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        assert_eq!(gate.most.load(Ordering::SeqCst), 1, "a party has no more turns than its own");
    }
}
