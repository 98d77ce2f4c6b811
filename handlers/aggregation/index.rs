//! What is known of an aggregation's members, so that none is opened to say what the aggregation is.
//!
//! An entry is good for one version of a member. Descriptions, attributes and values that are equal are held
//! once: members of one series differ in few of them. [`super::index_file`] keeps it from one run to the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use cdm::{Attributes, Block, Dataset, Error, Group, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::{Known, KnownValues};

/// One member in one version.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The version that looking at its folder (or at it) told.
    pub(super) listed: Arc<str>,
    /// The version that it has when it is open.
    pub(super) opened: Arc<str>,
    /// When it was last written.
    pub(super) modified: Option<SystemTime>,
    /// Its description without the root group's attributes.
    pub(super) structure: Arc<Dataset>,
    /// The root group's attributes, encoded.
    pub(super) attributes: Arc<[u8]>,
    /// What is known of its values.
    pub(super) known: Arc<KnownValues>,
}

impl Entry {
    /// The whole description.
    pub(super) fn dataset(&self) -> Result<Dataset> {
        let attributes: Attributes = postcard::from_bytes(&self.attributes)
            .map_err(|e| Error::internal("attributes that were not what was kept").with_source(e))?;
        Dataset::new("", Group { attributes, ..self.structure.root().clone() })
    }
}

/// Entries by path; equal parts are shared.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Arc<str>, Entry>,
    pool: Pool,
    /// Whether it differs from what was last written.
    pub(super) is_changed: bool,
}

/// One of each kind of what entries share.
#[derive(Debug, Default)]
pub(super) struct Pool {
    structures: HashMap<u128, Arc<Dataset>>,
    attributes: HashSet<Arc<[u8]>>,
    values: HashMap<u128, Block>,
    known: HashMap<u128, Arc<KnownValues>>,
}

impl Index {
    /// What is known of the member at `path`, if it is still the version `listed`.
    pub(super) fn get(&self, path: &str, listed: &str) -> Option<&Entry> {
        self.entries.get(path).filter(|entry| *entry.listed == *listed)
    }

    pub(super) fn insert(&mut self, path: Arc<str>, entry: Entry) {
        self.is_changed = true;
        self.entries.insert(path, entry);
    }

    /// Forgets a member, whatever its version.
    pub(super) fn forget(&mut self, path: &str) {
        self.is_changed |= self.entries.remove(path).is_some();
    }

    /// Keeps just the members at `paths`.
    pub(super) fn keep(&mut self, paths: &HashSet<Arc<str>>) {
        let before = self.entries.len();
        self.entries.retain(|path, _| paths.contains(path));
        if self.entries.len() != before {
            self.is_changed = true;
            self.pool.tidy();
        }
    }

    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }
}

impl Pool {
    /// A description, shared with equal ones.
    pub(super) fn structure(&mut self, structure: Group) -> Result<Arc<Dataset>> {
        let key = xxh3_128(&encoded(&structure)?);
        if let Some(known) = self.structures.get(&key) {
            return Ok(Arc::clone(known));
        }
        let dataset = Arc::new(Dataset::new("", structure)?);
        self.structures.insert(key, Arc::clone(&dataset));
        Ok(dataset)
    }

    /// Attributes, encoded, shared with equal ones.
    pub(super) fn attributes(&mut self, attributes: &Attributes) -> Result<Arc<[u8]>> {
        Ok(self.encoded_attributes(&encoded(attributes)?))
    }

    pub(super) fn encoded_attributes(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.attributes.get(bytes) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = bytes.into();
        self.attributes.insert(Arc::clone(&new));
        new
    }

    /// Known values, shared with equal ones as a whole or one by one.
    pub(super) fn known(&mut self, mut known: KnownValues) -> Arc<KnownValues> {
        let mut names: Vec<_> = known.keys().cloned().collect();
        names.sort();
        let mut whole = Vec::new();
        for name in names {
            let Some(value) = known.get_mut(&name) else { continue };
            whole.extend_from_slice(name.as_str().as_bytes());
            let key = match value {
                Known::Digest(digest) => *digest,
                Known::Values(block) => {
                    let key = block_key(block);
                    *block = self.values.entry(key).or_insert_with(|| block.clone()).clone();
                    key
                }
            };
            whole.push(u8::from(matches!(value, Known::Digest(_))));
            whole.extend_from_slice(&key.to_le_bytes());
        }
        let key = xxh3_128(&whole);
        Arc::clone(self.known.entry(key).or_insert_with(|| Arc::new(known)))
    }

    /// Drops what no entry shares any more.
    fn tidy(&mut self) {
        self.structures.retain(|_, shared| Arc::strong_count(shared) > 1);
        self.attributes.retain(|shared| Arc::strong_count(shared) > 1);
        self.known.retain(|_, shared| Arc::strong_count(shared) > 1);
        let used: HashSet<u128> = self
            .known
            .values()
            .flat_map(|known| known.values())
            .filter_map(|known| match known {
                Known::Values(block) => Some(block_key(block)),
                Known::Digest(_) => None,
            })
            .collect();
        self.values.retain(|key, _| used.contains(key));
    }
}

fn block_key(block: &Block) -> u128 {
    let (Block::Fixed(bytes) | Block::Varying { bytes, .. }) = block;
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(bytes);
    if let Block::Varying { ends, .. } = block {
        hash.update(b"ends");
        for end in ends {
            hash.update(&end.to_le_bytes());
        }
    }
    hash.digest128()
}

fn encoded<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(|e| Error::internal("a description cannot be kept").with_source(e))
}
