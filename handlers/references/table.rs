//! A table of references in memory, as a `Store`: keys are paths, values are bytes or where bytes are.

#![warn(clippy::indexing_slicing)]

use std::{collections::BTreeMap, fmt, ops::Bound, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};

use super::targets::{Targets, Wanted};
use crate::{
    chunked::ChunkLocation,
    storage::{Entry, EntryKind, FileStatus, MemoryObject, Object, Part, Store},
};

/// What one key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// These bytes.
    Inline(Bytes),
    /// All of a target, by its position in the list of targets.
    Whole { target: u32 },
    /// Some bytes of a target.
    Range { target: u32, offset: u64, len: u64 },
}

/// All keys, and the targets they share.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// By key.
    pub(crate) entries: BTreeMap<Box<str>, Reference>,
    /// As they are written: paths and URLs.
    pub(crate) targets: Vec<Arc<str>>,
}

/// References with the means to follow them.
pub(crate) struct ReferenceStore {
    references: References,
    targets: Targets,
    version: Version,
}

impl fmt::Debug for ReferenceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceStore").field("keys", &self.references.entries.len()).finish_non_exhaustive()
    }
}

impl ReferenceStore {
    /// A store of `references`, whose file has `version`.
    pub(crate) fn new(references: References, targets: Targets, version: Version) -> Self {
        Self { references, targets, version }
    }

    /// What `key` stands for; `None` for a key that is not in the table.
    fn wanted(&self, key: &str) -> Result<Option<Wanted>> {
        let Some(reference) = self.references.entries.get(key) else { return Ok(None) };
        let (target, range) = match reference {
            Reference::Inline(bytes) => return Ok(Some(Wanted::Inline(bytes.clone()))),
            Reference::Whole { target } => (*target, None),
            Reference::Range { target, offset, len } => (*target, Some((*offset, *len))),
        };
        let target = usize::try_from(target).ok().and_then(|i| self.references.targets.get(i));
        let path = target.ok_or_else(|| Error::internal("a reference to an unlisted target"))?;
        // How VirtualiZarr writes a chunk that was never written.
        Ok((!path.is_empty()).then(|| Wanted::Target { path: Arc::clone(path), range }))
    }

    /// Where the bytes of each key are; `None` for a key that is not in the table.
    ///
    /// # Errors
    /// As [`Targets::locate`].
    pub(crate) async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        let wanted = |key: &String| {
            let found = match self.wanted(key)? {
                // VirtualiZarr leaves the index of a scalar's chunk out.
                None => match key.strip_suffix('0').filter(|rest| rest.is_empty() || rest.ends_with('/')) {
                    Some(rest) => self.wanted(rest)?,
                    None => None,
                },
                found => found,
            };
            Ok(found)
        };
        let wanted = keys.iter().map(|key| Ok((key.as_str(), wanted(key)?))).collect::<Result<Vec<_>>>()?;
        self.targets.locate_all(&wanted).await
    }
}

/// The bytes at `location`, whole, when they are at most so many.
pub(crate) async fn read(location: ChunkLocation, key: &str, at_most: u64) -> Result<Bytes> {
    match location {
        ChunkLocation::Encoded(bytes) | ChunkLocation::Inline(bytes) => Ok(bytes),
        ChunkLocation::Stored { object, offset, len, .. } => {
            let end = offset.checked_add(len).filter(|_| len <= at_most);
            let end = end.ok_or_else(|| crate::storage::larger(key, len, at_most))?;
            if len == 0 { Ok(Bytes::new()) } else { object.read(offset..end).await }
        }
        ChunkLocation::Keyed { .. } => Err(Error::internal("a reference to a key")),
    }
}

/// As [`Store::open`], of bytes at `location`: a part of a referenced range costs the whole.
pub(crate) async fn open(
    location: ChunkLocation,
    path: &str,
    part: Part,
    version: &Version,
) -> Result<(Object, Bytes)> {
    let at_most = if let Part::Whole { at_most } = part { at_most } else { LARGEST_PARTIAL };
    let bytes = read(location, path, at_most).await?;
    if let Part::Whole { at_most } = part
        && bytes.len() as u64 > at_most
    {
        return Err(crate::storage::larger(path, bytes.len() as u64, at_most));
    }
    let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    let shown = match part {
        Part::Head(n) => bytes.slice(..clamp(n)),
        Part::Tail(n) => bytes.slice(bytes.len() - clamp(n)..),
        Part::Whole { .. } => bytes.clone(),
    };
    Ok((Object { version: version.clone(), ..MemoryObject::object(path, bytes) }, shown))
}

/// Bytes of a referenced value of which only a part is asked for.
const LARGEST_PARTIAL: u64 = 64 << 20;

/// What the sorted `keys` hold in `folder`, by name.
///
/// # Errors
/// `NotFound` when no key is in it.
pub(crate) fn list<T>(
    keys: &BTreeMap<Box<str>, T>,
    folder: &str,
    size: impl Fn(&T) -> u64,
) -> Result<Vec<Entry>> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut entries = Vec::new();
    let mut from: Bound<Box<str>> = Bound::Included(prefix.clone().into());
    while let Some((key, value)) = keys.range((from, Bound::Unbounded)).next() {
        let Some(rest) = key.strip_prefix(prefix.as_str()) else { break };
        let (name, kind) = if let Some((name, _)) = rest.split_once('/') {
            // One look per folder, however many keys are in it: '0' follows '/'.
            from = Bound::Included(format!("{prefix}{name}0").into());
            (name, EntryKind::Directory)
        } else {
            from = Bound::Excluded(key.clone());
            (rest, EntryKind::File { size: size(value), modified: None })
        };
        if !name.is_empty() {
            entries.push(Entry { name: name.into(), kind });
        }
    }
    if entries.is_empty() && !folder.is_empty() {
        return Err(Error::not_found("there is no such folder"));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

#[async_trait]
impl Store for ReferenceStore {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let found = self.targets.locate_all(&[(path, self.wanted(path)?)]).await?.pop().flatten();
        match found {
            Some(location) => open(location, path, part, &self.version).await.map(Some),
            None => Ok(None),
        }
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let Some(reference) = self.references.entries.get(path) else { return Ok(None) };
        Ok(Some(FileStatus { size: len(reference), version: self.version.clone() }))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        list(&self.references.entries, folder, len)
    }
}

fn len(reference: &Reference) -> u64 {
    match reference {
        Reference::Inline(bytes) => bytes.len() as u64,
        Reference::Whole { .. } => 0,
        Reference::Range { len, .. } => *len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listing_jumps_over_folders() {
        let keys = [".zgroup", "a/.zarray", "a/0", "a/1", "a-b", "a0", "b/c/d", "a/x/y"];
        let keys: BTreeMap<Box<str>, u64> = keys.iter().map(|k| ((*k).into(), 1)).collect();
        let names = |folder: &str| -> Vec<String> {
            list(&keys, folder, |_| 1).unwrap().into_iter().map(|e| e.name.to_string()).collect()
        };
        assert_eq!(names(""), [".zgroup", "a", "a-b", "a0", "b"]);
        assert_eq!(names("a"), [".zarray", "0", "1", "x"]);
        assert_eq!(names("b"), ["c"]);
        assert_eq!(list(&keys, "c", |_| 1).unwrap_err().kind(), cdm::ErrorKind::NotFound);
        assert_eq!(list(&keys, "a0", |_| 1).unwrap_err().kind(), cdm::ErrorKind::NotFound);
    }
}
