//! The objects that one dataset's references lead to, each opened once and held to the version it then had.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cdm::{Error, ErrorKind, Result, ResultExt, Version};
use futures::StreamExt;

use super::resolve::{AllowList, Target};
use crate::{
    chunked::ChunkLocation,
    storage::{Object, Part, Place},
};

/// Objects held open; a file takes a descriptor.
const MOST_OPEN: usize = 32;

/// Targets whose versions are remembered; a dataset of more is not held to the versions of the others.
const MOST_PINNED: usize = 1 << 16;

/// Targets that are opened at once.
const IN_FLIGHT: usize = 8;

/// What a key stands for.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// These bytes.
    Inline(Bytes),
    /// What a path or URL leads to: so many bytes from an offset, or all.
    Target {
        /// As it is written.
        path: Arc<str>,
        /// Offset and length.
        range: Option<(u64, u64)>,
    },
}

/// The targets of one dataset.
#[derive(Debug)]
pub(crate) struct Targets {
    place: Place,
    allow: Arc<AllowList>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By reference text, with when it was last used.
    open: HashMap<Arc<str>, (Arc<Object>, u64)>,
    /// Version identities by reference text.
    pinned: HashMap<Arc<str>, Arc<str>>,
    clock: u64,
}

impl Targets {
    /// For the references in the dataset at `place`.
    pub(crate) fn new(place: Place, allow: Arc<AllowList>) -> Self {
        Self { place, allow, seen: Mutex::default() }
    }

    /// The version of the dataset whose own object has `version`, given the targets it is known to have:
    /// when they are few, it changes as they do.
    pub(crate) async fn version(&self, version: &Version, references: &[&str]) -> Version {
        const FEW: usize = 8;
        let mut identity = version.identity.to_string();
        let mut modified = version.modified;
        if references.len() <= FEW {
            let found =
                futures::future::join_all(references.iter().map(|reference| self.object(reference))).await;
            // What cannot be opened is an error of the variables that need it.
            for object in found.into_iter().flatten() {
                identity.push('+');
                identity.push_str(&object.version.identity);
                modified = modified.max(object.version.modified);
            }
        }
        Version { identity: identity.into(), modified }
    }

    /// Where `len` bytes (or, without a range, all) of what `reference` leads to are.
    ///
    /// # Errors
    /// As [`Targets::object`]; `Corrupt` when the object does not hold the bytes.
    pub(crate) async fn locate(
        &self,
        reference: &str,
        range: Option<(u64, u64)>,
        filter_mask: u32,
    ) -> Result<ChunkLocation> {
        let object = self.object(reference).await?;
        let (offset, len) = range.unwrap_or((0, object.size));
        match offset.checked_add(len) {
            Some(end) if end <= object.size => Ok(ChunkLocation::Stored { object, offset, len, filter_mask }),
            _ => Err(Error::corrupt(format!(
                "a reference names {len} bytes at {offset} of {}, which holds {}: it is another version of the \
                 file, or the references are damaged",
                object.name, object.size
            ))),
        }
    }

    /// Where what each of `wanted` keys stands for is; `None` stays `None`. Targets are opened several at a time.
    ///
    /// # Errors
    /// As [`Targets::locate`], with the key.
    pub(crate) async fn locate_all(
        &self,
        wanted: &[(&str, Option<Wanted>)],
    ) -> Result<Vec<Option<ChunkLocation>>> {
        let mut found = Vec::with_capacity(wanted.len());
        // No more than can be open at a time.
        for some in wanted.chunks(MOST_OPEN) {
            let paths: HashSet<&str> = some
                .iter()
                .filter_map(|(_, wanted)| match wanted {
                    Some(Wanted::Target { path, .. }) => Some(&**path),
                    _ => None,
                })
                .collect();
            if paths.len() > 1 {
                let opened = paths.into_iter().map(|path| self.object(path)).collect::<Vec<_>>();
                let mut opened = futures::stream::iter(opened).buffer_unordered(IN_FLIGHT);
                // Errors come again below, with the key they belong to.
                while opened.next().await.is_some() {}
            }
            for (key, wanted) in some {
                found.push(match wanted {
                    None => None,
                    Some(Wanted::Inline(bytes)) => Some(ChunkLocation::Encoded(bytes.clone())),
                    Some(Wanted::Target { path, range }) => {
                        Some(self.locate(path, *range, 0).await.within(|| key)?)
                    }
                });
            }
        }
        Ok(found)
    }

    /// The object that `reference` leads to, in the version it had when it was first asked for.
    ///
    /// # Errors
    /// As [`AllowList::resolve`]; `Corrupt` when there is none; `Changed` when it is another version now.
    pub(crate) async fn object(&self, reference: &str) -> Result<Arc<Object>> {
        if let Some(object) = self.already(reference) {
            return Ok(object);
        }
        let target = self.allow.resolve(&self.place, reference).await?;
        let object = open(&target).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key: Arc<str> = reference.into();
        match seen.pinned.get(&key) {
            Some(identity) if *identity != object.version.identity => {
                let message = format!("{} changed after the dataset was opened", object.name);
                return Err(Error::new(ErrorKind::Changed, message));
            }
            None if seen.pinned.len() < MOST_PINNED => {
                seen.pinned.insert(Arc::clone(&key), Arc::clone(&object.version.identity));
            }
            _ => {}
        }
        if seen.open.len() >= MOST_OPEN {
            let oldest = seen.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| Arc::clone(key));
            oldest.and_then(|key| seen.open.remove(&key));
        }
        let object = Arc::new(object);
        seen.clock += 1;
        let now = seen.clock;
        // Another may have opened it meanwhile: one object, so that its ranges are fetched together.
        Ok(Arc::clone(&seen.open.entry(key).or_insert((object, now)).0))
    }

    fn already(&self, reference: &str) -> Option<Arc<Object>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clock += 1;
        let now = seen.clock;
        let (object, used) = seen.open.get_mut(reference)?;
        *used = now;
        Some(Arc::clone(object))
    }
}

async fn open(target: &Target) -> Result<Object> {
    let found = target.store.open(&target.path, Part::Head(0)).await.within(|| &target.name)?;
    let missing = || Error::corrupt(format!("a reference leads to {}, which is not there", target.name));
    let (object, _) = found.ok_or_else(missing)?;
    Ok(Object { name: Arc::clone(&target.name), ..object })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LocalRoot;

    #[tokio::test]
    async fn targets_are_pinned_and_few_are_open() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..=MOST_OPEN {
            std::fs::write(folder.path().join(format!("{i}.bin")), b"0123456789").unwrap();
        }
        let store = Arc::new(LocalRoot::open(folder.path()).unwrap());
        let place = Place { store, path: "r.json".into(), name: "r.json".into() };
        let targets = Targets::new(place, Arc::new(AllowList::none()));
        for i in 0..=MOST_OPEN {
            let found = targets.locate(&format!("{i}.bin"), Some((2, 8)), 3).await.unwrap();
            let ChunkLocation::Stored { object, offset: 2, len: 8, filter_mask: 3 } = found else {
                panic!("{found:?}")
            };
            assert_eq!(&object.read(0..10).await.unwrap()[..], b"0123456789");
        }
        assert_eq!(targets.seen.lock().unwrap().open.len(), MOST_OPEN);
        let whole = targets.locate("1.bin", None, 0).await.unwrap();
        assert!(matches!(whole, ChunkLocation::Stored { offset: 0, len: 10, .. }));
        for (offset, len) in [(2, 9), (11, 0), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
            let error = targets.locate("1.bin", Some((offset, len)), 0).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        let missing = targets.object("x.bin").await.unwrap_err();
        assert_eq!(
            (missing.kind(), missing.message()),
            (ErrorKind::Corrupt, "a reference leads to x.bin, which is not there")
        );
        // The first was closed: opened again, it must still be what it was.
        std::fs::write(folder.path().join("0.bin"), b"9876543210").unwrap();
        assert_eq!(targets.object("0.bin").await.unwrap_err().kind(), ErrorKind::Changed);
    }
}
