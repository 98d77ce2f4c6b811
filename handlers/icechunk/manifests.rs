//! The manifests that were read lately: bounded by bytes, least recently used first out, each read once
//! however many want it at the same time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use cdm::{Error, Result, ResultExt};
use tokio::sync::OnceCell;

use super::{
    envelope::{self, Kind},
    manifest::Manifest,
    object_id::ObjectId,
};
use crate::storage::{Part, Place, blocking};

/// Bytes of all manifests that are kept; one that is larger stays until the next one comes.
const CAPACITY: u64 = 128 << 20;

/// No manifest needs more in storage.
const LARGEST: u64 = 256 << 20;

/// What a manifest takes beside its bytes, generously.
const OVERHEAD: u64 = 1024;

/// Of all repositories that are open.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    state: Mutex<State>,
}

/// A manifest of an open repository, which has a number of its own: that ids are unique is a promise of
/// those who write them.
type Key = (u64, ObjectId);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Keys by time of last use.
    by_age: BTreeMap<u64, Key>,
    now: u64,
    bytes: u64,
    repositories: u64,
}

#[derive(Debug, Default)]
struct Entry {
    cell: Arc<OnceCell<Arc<Manifest>>>,
    bytes: u64,
    used: u64,
}

impl Manifests {
    /// A number for a repository that is about to be open.
    pub(super) fn repository(&self) -> u64 {
        self.with(|state| {
            state.repositories += 1;
            state.repositories
        })
    }

    /// The manifest `id` of the repository at `place`, which has the number `repository`.
    ///
    /// # Errors
    /// `Corrupt` when it is not there or is not a manifest; what the storage says.
    pub(super) async fn read(&self, repository: u64, place: &Place, id: ObjectId) -> Result<Arc<Manifest>> {
        let key = (repository, id);
        let cell = self.with(|state| state.enter(key));
        let read = cell.get_or_try_init(|| read(place, id)).await.cloned();
        self.with(|state| match &read {
            Ok(manifest) => state.weigh(key, &cell, manifest.byte_len().saturating_add(OVERHEAD)),
            Err(_) => state.forget(key, &cell),
        });
        read.within(|| format!("manifest {id}"))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere leaves at worst a stale age: the cache stays usable.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn read(place: &Place, id: ObjectId) -> Result<Arc<Manifest>> {
    let path = place.inside(&format!("manifests/{id}"));
    let found = place.store.open(&path, Part::Whole { at_most: LARGEST }).await?;
    let (_, file) = found.ok_or_else(|| Error::corrupt("it is not there"))?;
    let parse = move || Manifest::parse(envelope::open(&file, Kind::Manifest)?, id);
    Ok(Arc::new(blocking(parse).await?))
}

impl State {
    fn enter(&mut self, key: Key) -> Arc<OnceCell<Arc<Manifest>>> {
        self.now += 1;
        let entry = self.entries.entry(key).or_default();
        self.by_age.remove(&entry.used);
        entry.used = self.now;
        self.by_age.insert(self.now, key);
        Arc::clone(&entry.cell)
    }

    fn is_current(&self, key: Key, cell: &Arc<OnceCell<Arc<Manifest>>>) -> bool {
        self.entries.get(&key).is_some_and(|entry| Arc::ptr_eq(&entry.cell, cell))
    }

    /// Says what an entry takes, and makes room for it.
    fn weigh(&mut self, key: Key, cell: &Arc<OnceCell<Arc<Manifest>>>, bytes: u64) {
        if !self.is_current(key, cell) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
        while self.bytes > CAPACITY {
            let oldest = self.by_age.values().copied().find(|oldest| *oldest != key);
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
        }
    }

    fn forget(&mut self, key: Key, cell: &Arc<OnceCell<Arc<Manifest>>>) {
        if self.is_current(key, cell) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_age.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_when_room_is_needed() {
        let mut state = State::default();
        let key = |n: u8| (1, ObjectId([n; 12]));
        for n in 0..3 {
            let cell = state.enter(key(n));
            state.weigh(key(n), &cell, CAPACITY / 2);
        }
        assert_eq!((state.bytes, state.entries.len(), state.by_age.len()), (CAPACITY, 2, 2));
        assert!(!state.entries.contains_key(&key(0)));
        let cell = state.enter(key(1));
        state.weigh(key(1), &cell, CAPACITY / 2);
        let large = state.enter(key(4));
        state.weigh(key(4), &large, 3 * CAPACITY);
        assert_eq!((state.bytes, state.entries.len()), (3 * CAPACITY, 1));
        state.forget(key(4), &cell);
        assert_eq!(state.entries.len(), 1);
        state.forget(key(4), &large);
        assert_eq!((state.bytes, state.by_age.len()), (0, 0));
    }
}
