//! Decoded chunks that are likely to be wanted again: bounded by bytes, least recently used first out,
//! each chunk decoded once however many want it at the same time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cdm::{FullName, Result};
use tokio::sync::OnceCell;

/// Which chunk of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChunkKey {
    /// Identity of the dataset's version.
    pub(crate) version: Arc<str>,
    /// Identity of the version of the object that the chunk is part of, where that is known.
    pub(crate) object: Option<Arc<str>>,
    /// The variable.
    pub(crate) variable: FullName,
    /// Position in the chunk grid.
    pub(crate) chunk: Vec<u64>,
}

/// The cache. A chunk larger than the whole cache is kept until the next one comes.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<ChunkKey, Entry>,
    /// Keys by time of last use.
    by_age: BTreeMap<u64, ChunkKey>,
    now: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    cell: Arc<OnceCell<Bytes>>,
    bytes: u64,
    used: u64,
    /// Not to be used from then on.
    expires: Option<Instant>,
}

impl ChunkCache {
    pub(crate) fn new(capacity: u64) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// The chunk if it is here, decoded.
    pub(crate) fn peek(&self, key: &ChunkKey) -> Option<Bytes> {
        self.with(|state| {
            state.expire(key);
            let found = state.entries.get(key)?.cell.get().cloned()?;
            state.touch(key);
            Some(found)
        })
    }

    /// The chunk, decoded by `decode` unless it is here or on its way already; kept for `lifetime`, or for
    /// as long as there is room.
    pub(crate) async fn chunk<F>(
        &self,
        key: ChunkKey,
        len: u64,
        lifetime: Option<Duration>,
        decode: impl FnOnce() -> F,
    ) -> Result<Bytes>
    where
        F: Future<Output = Result<Bytes>>,
    {
        let cell = self.with(|state| state.enter(&key, len, lifetime, self.capacity));
        let found = cell.get_or_try_init(decode).await.cloned();
        if found.is_err() {
            self.with(|state| {
                if state.entries.get(&key).is_some_and(|e| Arc::ptr_eq(&e.cell, &cell)) {
                    state.remove(&key);
                }
            });
        }
        found
    }

    /// Bytes of the chunks that are here.
    pub(crate) fn bytes(&self) -> u64 {
        self.with(|state| state.bytes)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere leaves at worst a stale age: the cache stays usable.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn touch(&mut self, key: &ChunkKey) {
        self.now += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            self.by_age.remove(&entry.used);
            entry.used = self.now;
            self.by_age.insert(self.now, key.clone());
        }
    }

    fn enter(
        &mut self,
        key: &ChunkKey,
        bytes: u64,
        lifetime: Option<Duration>,
        capacity: u64,
    ) -> Arc<OnceCell<Bytes>> {
        self.expire(key);
        if !self.entries.contains_key(key) {
            while self.bytes.saturating_add(bytes) > capacity {
                let Some((_, oldest)) = self.by_age.pop_first() else { break };
                self.remove(&oldest);
            }
            let expires = lifetime.and_then(|time| Instant::now().checked_add(time));
            self.entries.insert(key.clone(), Entry { cell: Arc::default(), bytes, used: 0, expires });
            self.bytes += bytes;
        }
        self.touch(key);
        self.entries.get(key).map(|e| Arc::clone(&e.cell)).unwrap_or_default()
    }

    fn expire(&mut self, key: &ChunkKey) {
        if self.entries.get(key).and_then(|e| e.expires).is_some_and(|then| then <= Instant::now()) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &ChunkKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_age.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cdm::Error;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn key(n: u64) -> ChunkKey {
        ChunkKey { version: "v".into(), object: None, variable: FullName::new("/a"), chunk: vec![n] }
    }

    #[tokio::test]
    async fn a_chunk_is_decoded_once_and_the_oldest_leaves() {
        let cache = ChunkCache::new(20);
        let decoded = AtomicU64::new(0);
        let fill = || async {
            decoded.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(Bytes::from_static(&[0; 10]))
        };
        let both = futures::join!(cache.chunk(key(0), 10, None, fill), cache.chunk(key(0), 10, None, fill));
        assert!(both.0.is_ok() && both.1.is_ok());
        assert_eq!(decoded.load(Ordering::SeqCst), 1);
        cache.chunk(key(1), 10, None, fill).await.unwrap();
        cache.chunk(key(0), 10, None, fill).await.unwrap();
        cache.chunk(key(2), 10, None, fill).await.unwrap();
        assert_eq!(decoded.load(Ordering::SeqCst), 3);
        assert!(cache.peek(&key(0)).is_some() && cache.peek(&key(1)).is_none());
        assert_eq!(cache.bytes(), 20);
        cache.chunk(key(3), 100, None, fill).await.unwrap();
        assert_eq!(cache.bytes(), 100);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = ChunkCache::new(20);
        let failed = cache.chunk(key(0), 10, None, || async { Err(Error::corrupt("no")) }).await;
        assert!(failed.is_err());
        assert_eq!(cache.bytes(), 0);
        cache.chunk(key(0), 10, None, || async { Ok(Bytes::new()) }).await.unwrap();
    }
    #[tokio::test]
    async fn a_chunk_with_a_lifetime_is_decoded_again_after_it() {
        let cache = ChunkCache::new(20);
        let life = Some(Duration::from_millis(50));
        let one = || async { Ok(Bytes::from_static(&[1; 10])) };
        cache.chunk(key(0), 10, life, one).await.unwrap();
        assert!(cache.peek(&key(0)).is_some());
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(cache.peek(&key(0)).is_none());
        let two = || async { Ok(Bytes::from_static(&[2; 10])) };
        assert_eq!(cache.chunk(key(0), 10, life, two).await.unwrap()[0], 2);
        assert_eq!(cache.bytes(), 10);
    }
}
