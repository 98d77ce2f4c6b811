//! A snapshot's hierarchy as the Zarr reader wants it: `zarr.json` objects in folders.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result};

use super::snapshot::Snapshot;
use crate::storage::{Entry, EntryKind, FileStatus, MemoryObject, Object, Part, Store};

const DOCUMENT: &str = "zarr.json";

/// The documents of a snapshot, as a store in which the repository is the folder `top`.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) top: Arc<str>,
}

impl Documents {
    /// The path of a folder, or of a document's node, in the hierarchy.
    fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.top.is_empty() {
            return Some(path);
        }
        let rest = path.strip_prefix(&*self.top)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    }

    fn document(&self, path: &str) -> Option<&Bytes> {
        let inside = self.inside(path)?;
        let node = match inside.rsplit_once('/') {
            Some((node, DOCUMENT)) => node,
            None if inside == DOCUMENT => "",
            _ => return None,
        };
        Some(&self.snapshot.nodes.get(node)?.document)
    }
}

#[async_trait]
impl Store for Documents {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(document) = self.document(path) else { return Ok(None) };
        let size = document.len() as u64;
        let range = match part {
            Part::Head(len) => 0..len.min(size),
            Part::Tail(len) => size.saturating_sub(len)..size,
            Part::Whole { at_most } if size > at_most => {
                return Err(crate::storage::larger(path, size, at_most));
            }
            Part::Whole { .. } => 0..size,
        };
        let object = MemoryObject::object(path, document.clone());
        let bytes = object.read(range).await?;
        Ok(Some((object, bytes)))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let found = self.document(path).map(|document| MemoryObject::object(path, document.clone()));
        Ok(found.map(|object| FileStatus { size: object.size, version: object.version }))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let nodes = &self.snapshot.nodes;
        let found = self.inside(folder).and_then(|path| Some((path, nodes.get(path)?)));
        let (path, node) = found.ok_or_else(|| Error::not_found("there is no such group"))?;
        let kind = EntryKind::File { size: node.document.len() as u64, modified: self.snapshot.committed };
        let mut entries = vec![Entry { name: DOCUMENT.into(), kind }];
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let found = nodes.range(below.clone()..).take_while(|(child, _)| child.starts_with(&below));
        let names = found.filter_map(|(child, _)| child.strip_prefix(&below));
        for name in names.filter(|name| !name.is_empty() && !name.contains('/')) {
            entries.push(Entry { name: name.into(), kind: EntryKind::Directory });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}
