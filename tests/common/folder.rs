//! Datasets of many objects, in memory: what is damaged is one of the objects.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result};
use handlers::storage::{Entry, EntryKind, FileStatus, MemoryObject, Object, Part, Store, ZipStore};

/// Objects by path.
#[derive(Debug, Clone, Default)]
pub struct Folder(pub BTreeMap<String, Bytes>);

impl Folder {
    /// Everything below a folder of the disk, under `name`.
    pub fn of_disk(folder: &Path, name: &str) -> Self {
        let mut found = Self::default();
        let mut waiting = vec![(folder.to_owned(), name.to_owned())];
        while let Some((folder, name)) = waiting.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let own = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
                let own = own.trim_start_matches('/').to_owned();
                if path.is_dir() {
                    waiting.push((path, own));
                } else {
                    found.0.insert(own, fs::read(&path).unwrap().into());
                }
            }
        }
        found
    }

    /// Everything in a zip file.
    pub async fn of_zip(path: &Path) -> Self {
        let zip = ZipStore::open(MemoryObject::object("zip", fs::read(path).unwrap())).await.unwrap();
        let mut found = Self::default();
        for path in zip.paths() {
            let (_, bytes) = zip.open(path, Part::Whole { at_most: 1 << 30 }).await.unwrap().unwrap();
            found.0.insert(path.to_owned(), bytes);
        }
        found
    }

    /// What is in its folder `name`, as a folder of its own.
    pub fn inside(&self, name: &str) -> Self {
        let prefix = format!("{name}/");
        let inside = self.0.iter().filter(|(path, _)| path.starts_with(&prefix));
        Self(inside.map(|(path, bytes)| (path.clone(), bytes.clone())).collect())
    }

    /// Writes everything below a folder of the disk.
    pub fn write(&self, folder: &Path) {
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

#[async_trait]
impl Store for Folder {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(bytes) = self.0.get(path) else { return Ok(None) };
        let cut = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
        let read = match part {
            Part::Head(len) => bytes.slice(..cut(len)),
            Part::Tail(len) => bytes.slice(bytes.len() - cut(len)..),
            Part::Whole { at_most } if bytes.len() as u64 > at_most => {
                return Err(Error::corrupt(format!("{path} is too large")));
            }
            Part::Whole { .. } => bytes.clone(),
        };
        Ok(Some((MemoryObject::object(path, bytes.clone()), read)))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let object = self.0.get(path).map(|bytes| MemoryObject::object(path, bytes.clone()));
        Ok(object.map(|object| FileStatus { size: object.size, version: object.version }))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut found: BTreeMap<String, EntryKind> = BTreeMap::new();
        for (path, bytes) in self.0.iter().filter(|(path, _)| path.starts_with(&prefix)) {
            let rest = &path[prefix.len()..];
            if let Some((name, _)) = rest.split_once('/') {
                found.insert(name.to_owned(), EntryKind::Directory);
            } else {
                let kind = EntryKind::File { size: bytes.len() as u64, modified: None };
                found.insert(rest.to_owned(), kind);
            }
        }
        if found.is_empty() {
            return Err(Error::not_found(format!("there is no folder {folder}")));
        }
        Ok(found.into_iter().map(|(name, kind)| Entry { name: name.into(), kind }).collect())
    }

    fn label(&self) -> Option<String> {
        // Another damage is another folder.
        Some(format!("{:p} {}", self, self.0.len()))
    }
}

/// The folder as what is served.
pub fn store(folder: Folder) -> Arc<dyn Store> {
    Arc::new(folder)
}
