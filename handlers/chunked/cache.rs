//! Decoded chunks that are likely to be wanted again: bounded by bytes, least recently used first out, each chunk
//! decoded once however many want it at the same time. An entry is a chunk, or one run of its bytes.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cdm::{FullName, Result};
use tokio::sync::OnceCell;

use super::decoded::Decoded;

/// Which chunk of what. Two different ones never meet in practice: what they are is hashed to 128 bits with keys that
/// nobody outside this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChunkKey([u64; 2]);

static HASHES: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

impl ChunkKey {
    /// `version`: identity of the dataset's version; `object`: of the version of the object that the chunk is part
    /// of, where that is known; `chunk`: its position in the chunk grid.
    pub(super) fn new(version: &str, object: Option<&str>, variable: &FullName, chunk: &[u64]) -> Self {
        Self(HASHES.each_ref().map(|hash| hash.hash_one((version, object, variable, chunk))))
    }
}

/// Bytes of capacity for each entry that there may be: chunks may be of one element each, and an entry takes some two
/// hundred bytes besides its chunk.
const LEAST: u64 = 512;

/// There may be so many entries in any case.
const FEW: usize = 1024;

/// The cache.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<ChunkKey, Entry>,
    /// The keys of `kept` by time of last use.
    by_age: BTreeMap<u64, ChunkKey>,
    now: u64,
    bytes: u64,
    /// Chunks being decoded, with the number of those that wait for each.
    flights: HashMap<ChunkKey, (Arc<OnceCell<Decoded>>, usize)>,
}

#[derive(Debug)]
struct Entry {
    chunk: Decoded,
    used: u64,
    /// Not to be used from then on.
    expires: Option<Instant>,
}

impl ChunkCache {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// The chunk, or a run of its bytes with all those `wanted`, if it is kept.
    pub(super) fn get(&self, key: ChunkKey, wanted: &Range<u64>) -> Option<Decoded> {
        self.with(|state| state.get(key, wanted))
    }

    /// Keeps the chunk, or this run of its bytes, in the place of what is kept of it: for `lifetime`, or for as long
    /// as there is room. What is larger than the whole cache is kept alone, until anything else comes.
    pub(super) fn keep(&self, key: ChunkKey, chunk: Decoded, lifetime: Option<Duration>) {
        let expires = lifetime.and_then(|time| Instant::now().checked_add(time));
        self.with(|state| state.keep(key, Entry { chunk, used: 0, expires }, self.capacity));
    }

    /// As [`ChunkCache::get`]; if it is not kept, as `decode` makes it, for all that want it meanwhile. Should the
    /// one whose `decode` runs give up, the next one's does. What is made is kept if `decode` does so.
    pub(super) async fn chunk<F>(
        &self,
        key: ChunkKey,
        wanted: &Range<u64>,
        decode: impl FnOnce() -> F,
    ) -> Result<Decoded>
    where
        F: Future<Output = Result<Decoded>>,
    {
        let flight = match Flight::join(self, key, wanted) {
            Ok(kept) => return Ok(kept),
            Err(flight) => flight,
        };
        let found = flight.cell.get_or_try_init(decode).await.cloned();
        drop(flight);
        found
    }

    /// Bytes of the chunks that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.with(|state| state.bytes)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere leaves at worst a chunk that is not kept: the cache stays usable.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One who waits for a chunk being decoded.
struct Flight<'a> {
    cache: &'a ChunkCache,
    key: ChunkKey,
    cell: Arc<OnceCell<Decoded>>,
}

impl<'a> Flight<'a> {
    /// What is kept, or a place among those who wait: decided at once, so that nothing is decoded twice.
    fn join(cache: &'a ChunkCache, key: ChunkKey, wanted: &Range<u64>) -> std::result::Result<Decoded, Self> {
        let cell = cache.with(|state| {
            if let Some(kept) = state.get(key, wanted) {
                return Ok(kept);
            }
            let (cell, waiting) = state.flights.entry(key).or_default();
            *waiting += 1;
            Err(Arc::clone(cell))
        });
        cell.map_or_else(|cell| Err(Self { cache, key, cell }), Ok)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.cache.with(|state| {
            let Some((cell, waiting)) = state.flights.get_mut(&self.key) else { return };
            if Arc::ptr_eq(cell, &self.cell) {
                *waiting -= 1;
                // Who comes from now on finds the chunk kept, or has it decoded again.
                if *waiting == 0 || cell.initialized() {
                    state.flights.remove(&self.key);
                }
            }
        });
    }
}

impl State {
    fn get(&mut self, key: ChunkKey, wanted: &Range<u64>) -> Option<Decoded> {
        let entry = self.kept.get_mut(&key)?;
        if entry.expires.is_some_and(|then| then <= Instant::now()) || !entry.chunk.covers(wanted) {
            return None;
        }
        let chunk = entry.chunk.clone();
        self.touch(key);
        Some(chunk)
    }

    fn touch(&mut self, key: ChunkKey) {
        self.now += 1;
        if let Some(entry) = self.kept.get_mut(&key) {
            self.by_age.remove(&entry.used);
            entry.used = self.now;
            self.by_age.insert(self.now, key);
        }
    }

    fn keep(&mut self, key: ChunkKey, entry: Entry, capacity: u64) {
        self.remove(key);
        let most = usize::try_from(capacity / LEAST).unwrap_or(usize::MAX).max(FEW);
        while (self.bytes.saturating_add(entry.chunk.byte_len()) > capacity || self.kept.len() >= most)
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.remove(oldest);
        }
        self.bytes += entry.chunk.byte_len();
        self.kept.insert(key, entry);
        self.touch(key);
    }

    fn remove(&mut self, key: ChunkKey) {
        if let Some(entry) = self.kept.remove(&key) {
            self.by_age.remove(&entry.used);
            self.bytes -= entry.chunk.byte_len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunked::decoded::Order;
    use cdm::Error;
    use futures::{FutureExt, future::pending};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Of chunks of any length.
    const ALL: Range<u64> = 0..1;

    fn key(n: u64) -> ChunkKey {
        ChunkKey::new("v", None, &FullName::new("/a"), &[n])
    }

    fn chunk(len: usize) -> Decoded {
        Decoded::whole(vec![0; len].into(), Order::Elements)
    }

    #[test]
    fn keys_differ_in_everything_they_are_made_of() {
        let (a, b) = (FullName::new("/a"), FullName::new("/b"));
        let arrays =
            [("v", None, &a), ("w", None, &a), ("v", Some("o"), &a), ("v", Some("p"), &a), ("v", None, &b)];
        let chunks: [&[u64]; 5] = [&[], &[0], &[1], &[0, 1], &[1, 0]];
        let key = |(version, object, variable), chunk| ChunkKey::new(version, object, variable, chunk);
        let all: std::collections::HashSet<_> =
            arrays.iter().flat_map(|array| chunks.map(|chunk| key(*array, chunk))).collect();
        assert_eq!(all.len(), 25);
        assert!(all.contains(&key(("v", Some("o"), &a), &[0, 1])));
    }

    #[test]
    fn what_is_used_stays_and_bytes_stay_within_the_capacity() {
        let cache = ChunkCache::new(30);
        for n in 0..100 {
            cache.keep(key(n), chunk(10), None);
            assert!(cache.get(key(0), &ALL).is_some(), "used all the time");
            assert!(cache.get(key(n), &ALL).is_some());
            assert_eq!(cache.bytes(), 10 * (n + 1).min(3));
        }
        assert!(cache.get(key(50), &ALL).is_none());
        cache.with(|state| assert_eq!((state.kept.len(), state.by_age.len()), (3, 3)));
    }

    #[test]
    fn replacing_and_chunks_of_any_size_keep_the_books() {
        let cache = ChunkCache::new(100);
        let mut random = cdm::testing::Random(4);
        for _ in 0..2000 {
            let len = usize::try_from(random.below(130)).unwrap();
            cache.keep(key(random.below(20)), chunk(len), None);
            cache.get(key(random.below(20)), &ALL);
            cache.with(|state| {
                let held: u64 = state.kept.values().map(|e| e.chunk.byte_len()).sum();
                assert_eq!(held, state.bytes);
                assert!(held <= 100 || state.kept.len() == 1, "{held}");
                assert_eq!(state.kept.len(), state.by_age.len());
                assert!(state.by_age.iter().all(|(age, key)| state.kept[key].used == *age));
            });
        }
    }

    #[test]
    fn entries_are_bounded_in_number_too() {
        let cache = ChunkCache::new(1 << 20);
        for n in 0..5000 {
            cache.keep(key(n), chunk(1), None);
        }
        assert_eq!(cache.bytes(), 2048, "of capacity 512 bytes for each");
        assert!(cache.get(key(4999), &ALL).is_some() && cache.get(key(0), &ALL).is_none());
    }

    #[tokio::test]
    async fn a_chunk_is_decoded_once_for_all_that_want_it_meanwhile() {
        let cache = ChunkCache::new(20);
        let decoded = AtomicU64::new(0);
        let decode = || async {
            decoded.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(chunk(10))
        };
        let all = futures::future::join_all((0..5).map(|_| cache.chunk(key(0), &ALL, decode))).await;
        assert!(all.into_iter().all(|found| found.is_ok()));
        assert_eq!(decoded.load(Ordering::SeqCst), 1);
        cache.chunk(key(0), &ALL, decode).await.unwrap();
        assert_eq!(decoded.load(Ordering::SeqCst), 2, "it was not kept");
        cache.with(|state| assert!(state.flights.is_empty()));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_first_gives_up_or_fails() {
        let cache = ChunkCache::new(20);
        let mut first = Box::pin(cache.chunk(key(0), &ALL, pending));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(cache.chunk(key(0), &ALL, || async { Ok(chunk(7)) }));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert_eq!(second.await.unwrap().byte_len(), 7);

        let failing = cache.chunk(key(0), &ALL, || async {
            tokio::task::yield_now().await;
            Err(Error::corrupt("no"))
        });
        let (failed, found) = futures::join!(failing, cache.chunk(key(0), &ALL, || async { Ok(chunk(8)) }));
        assert!(failed.is_err());
        assert_eq!(found.unwrap().byte_len(), 8);

        let mut alone = Box::pin(cache.chunk(key(0), &ALL, pending));
        assert!((&mut alone).now_or_never().is_none());
        drop(alone);
        cache.with(|state| assert!(state.flights.is_empty(), "nobody waits, nothing is held"));
    }

    #[test]
    fn a_chunk_with_a_lifetime_is_not_given_out_after_it() {
        let cache = ChunkCache::new(20);
        cache.keep(key(0), chunk(10), Some(Duration::from_millis(50)));
        assert!(cache.get(key(0), &ALL).is_some());
        std::thread::sleep(Duration::from_millis(60));
        assert!(cache.get(key(0), &ALL).is_none());
        cache.keep(key(0), chunk(11), None);
        assert_eq!((cache.get(key(0), &ALL).unwrap().byte_len(), cache.bytes()), (11, 11));
    }
}
