//! What an engine has done since it was made: counts that cost a request one addition each. Owns the
//! counting; who shows them is not its business.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts while an engine works.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    decoded: AtomicU64,
    hits: AtomicU64,
}

impl Tally {
    /// A chunk is being decoded.
    pub(crate) fn decoded(&self) {
        self.decoded.fetch_add(1, Relaxed);
    }

    /// A decoded chunk was found in the cache.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }
}

/// What [`super::Engine::counts`] tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Chunks decoded so far, each as often as it was.
    pub chunks_decoded: u64,
    /// Chunks taken decoded from the cache so far.
    pub cache_hits: u64,
    /// Bytes of decoded chunks kept now.
    pub cached_bytes: u64,
    /// Bytes of data on their way now, in whole KiB.
    pub budget_in_use: u64,
}

impl super::Engine {
    /// What the engine has done, and what it holds now.
    pub fn counts(&self) -> Counts {
        let tally = self.tally();
        Counts {
            chunks_decoded: tally.decoded.load(Relaxed),
            cache_hits: tally.hits.load(Relaxed),
            cached_bytes: self.cached_bytes(),
            budget_in_use: self.budget_in_use(),
        }
    }
}
