//! The index of members as a file: magic, format version, checksum, then everything that is known, compressed.
//!
//! The file is a cache: what is damaged, foreign or of another version is as if it were not there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cdm::{Block, Error, FullName, Group, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Known, KnownValues,
    index::{Entry, Index},
};

/// What the file begins with; the digits are the version of what follows.
const MAGIC: &[u8; 16] = b"thalweg index 1\n";

/// Bytes decompressed at most.
const LARGEST: usize = 4 << 30;

#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    /// What the entries are good for.
    basis: String,
    structures: Vec<Group>,
    attributes: Vec<Vec<u8>>,
    names: Vec<FullName>,
    values: Vec<Block>,
    members: Vec<Row>,
}

/// A member; numbers are positions in the lists of [`Contents`].
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    path: String,
    listed: String,
    opened: String,
    modified: Option<Duration>,
    structure: usize,
    attributes: usize,
    known: Vec<(usize, Value)>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Value {
    At(usize),
    Digest(u64, u64),
}

/// Things in order of their first use, by address: what is shared is listed once.
struct List<T> {
    positions: HashMap<(usize, usize), usize>,
    items: Vec<T>,
}

impl<T> List<T> {
    fn new() -> Self {
        Self { positions: HashMap::new(), items: Vec::new() }
    }

    fn position(&mut self, key: (usize, usize), item: impl FnOnce() -> T) -> usize {
        *self.positions.entry(key).or_insert_with(|| {
            self.items.push(item());
            self.items.len() - 1
        })
    }
}

/// The file's bytes. `basis`: for what kind of aggregation the members were looked at.
///
/// # Errors
/// `Internal` when something cannot be written.
pub(super) fn written(index: &Index, basis: &str) -> Result<Vec<u8>> {
    let fail = |e: postcard::Error| Error::internal("an index cannot be written").with_source(e);
    let (mut structures, mut attributes, mut values) = (List::new(), List::new(), List::new());
    let mut names: HashMap<&FullName, usize> = HashMap::new();
    let mut all_names = Vec::new();
    let mut members = Vec::with_capacity(index.entries().len());
    for (path, entry) in index.entries() {
        let structure = structures
            .position((Arc::as_ptr(&entry.structure) as usize, 0), || entry.structure.root().clone());
        let attributes = attributes
            .position((entry.attributes.as_ptr() as usize, entry.attributes.len()), || {
                entry.attributes.to_vec()
            });
        let known = entry.known.iter().map(|(name, known)| {
            let name = *names.entry(name).or_insert_with(|| {
                all_names.push(name.clone());
                all_names.len() - 1
            });
            let value = match known {
                #[expect(clippy::cast_possible_truncation, reason = "the low half and the high half")]
                Known::Digest(digest) => Value::Digest(*digest as u64, (digest >> 64) as u64),
                Known::Values(block) => {
                    let (Block::Fixed(bytes) | Block::Varying { bytes, .. }) = block;
                    let ends = if let Block::Varying { ends, .. } = block { ends.len() + 1 } else { 0 };
                    // Empty blocks may share an address; their kinds and lengths tell them apart.
                    let key = (bytes.as_ptr() as usize, bytes.len().wrapping_mul(1 << 20).wrapping_add(ends));
                    Value::At(values.position(key, || block.clone()))
                }
            };
            (name, value)
        });
        members.push(Row {
            path: path.to_string(),
            listed: entry.listed.to_string(),
            opened: entry.opened.to_string(),
            modified: entry.modified.and_then(|m| m.duration_since(SystemTime::UNIX_EPOCH).ok()),
            structure,
            attributes,
            known: known.collect(),
        });
    }
    let contents = Contents {
        basis: basis.to_owned(),
        structures: structures.items,
        attributes: attributes.items,
        names: all_names,
        values: values.items,
        members,
    };
    let plain = postcard::to_allocvec(&contents).map_err(fail)?;
    let packed = zstd::bulk::compress(&plain, 1)
        .map_err(|e| Error::internal("an index cannot be compressed").with_source(e))?;
    let mut file = Vec::with_capacity(packed.len() + 32);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&(plain.len() as u64).to_le_bytes());
    file.extend_from_slice(&xxh3_64(&packed).to_le_bytes());
    file.extend_from_slice(&packed);
    Ok(file)
}

/// The index in a file; `None` when it is not one, is damaged, or is for another `basis`.
pub(super) fn read(file: &[u8], basis: &str) -> Option<Index> {
    let rest = file.strip_prefix(MAGIC)?;
    let (len, rest) = rest.split_first_chunk()?;
    let (sum, packed) = rest.split_first_chunk()?;
    if xxh3_64(packed) != u64::from_le_bytes(*sum) {
        return None;
    }
    let len = usize::try_from(u64::from_le_bytes(*len)).ok().filter(|len| *len <= LARGEST)?;
    let plain = zstd::bulk::decompress(packed, len).ok()?;
    let contents: Contents = postcard::from_bytes(&plain).ok()?;
    if contents.basis != basis {
        return None;
    }
    let mut index = Index::default();
    let structures = contents.structures.into_iter().map(|group| index.pool().structure(group));
    let structures = structures.collect::<Result<Vec<_>>>().ok()?;
    let attributes: Vec<_> =
        contents.attributes.iter().map(|bytes| index.pool().encoded_attributes(bytes)).collect();
    for row in contents.members {
        let mut known = KnownValues::with_capacity(row.known.len());
        for (name, value) in row.known {
            let value = match value {
                Value::At(at) => Known::Values(contents.values.get(at)?.clone()),
                Value::Digest(low, high) => Known::Digest(u128::from(low) | u128::from(high) << 64),
            };
            known.insert(contents.names.get(name)?.clone(), value);
        }
        let entry = Entry {
            listed: row.listed.into(),
            opened: row.opened.into(),
            modified: row.modified.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
            structure: Arc::clone(structures.get(row.structure)?),
            attributes: Arc::clone(attributes.get(row.attributes)?),
            known: index.pool().known(known),
        };
        index.insert(row.path.into(), entry);
    }
    index.is_changed = false;
    Some(index)
}
