//! A snapshot: the nodes of the hierarchy, their Zarr metadata, and which manifests know their chunks.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cdm::{Error, Result, ResultExt};

use super::{
    flatbuffer::{Table, Vector, require},
    object_id::ObjectId,
};

/// One version of the whole hierarchy.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// When it was committed.
    pub(super) committed: Option<SystemTime>,
    /// By path without the leading `/`: `""` is the root group.
    pub(super) nodes: BTreeMap<String, Node>,
}

/// An array or a group.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    /// Its `zarr.json`.
    pub(super) document: Bytes,
    /// Axes of its chunk grid; `None` for a group.
    pub(super) axes: Option<usize>,
    /// Where the chunks of an array are told; empty for a group.
    pub(super) manifests: Vec<ManifestRef>,
}

/// Identity of a node, which it keeps while it lives.
pub(super) type NodeId = [u8; 8];

/// A manifest, and which part of an array's chunk grid it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManifestRef {
    pub(super) id: ObjectId,
    /// Per axis; without axes it is all of the grid.
    pub(super) extents: Vec<Range<u32>>,
}

impl ManifestRef {
    /// Whether it would know of `chunk`.
    pub(super) fn covers(&self, chunk: &[u32]) -> bool {
        let inside = |(range, at): (&Range<u32>, &u32)| range.contains(at);
        self.extents.is_empty()
            || (self.extents.len() == chunk.len() && self.extents.iter().zip(chunk).all(inside))
    }
}

/// What the parts of a snapshot may add up to. Each part has bytes of its own, so more than the file holds
/// means that offsets lead to the same bytes again and again.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| Error::corrupt("its parts overlap"))?;
        Ok(())
    }
}

impl Snapshot {
    /// What the `FlatBuffers` bytes of `snapshots/ID` say.
    ///
    /// # Errors
    /// `Corrupt` when they break the format's rules.
    pub(super) fn parse(bytes: &Bytes, id: ObjectId) -> Result<Self> {
        let root = Table::root(bytes)?;
        if ObjectId(root.require_bytes_of(0)?) != id {
            return Err(Error::corrupt("it is another snapshot than its name says"));
        }
        let mut budget = Budget(bytes.len());
        let mut nodes = BTreeMap::new();
        let found = root.offsets(2)?;
        for i in 0..found.len() {
            let (path, node) = node(bytes, &found.table(i)?, &mut budget).within(|| format!("node {i}"))?;
            if nodes.contains_key(&path) {
                return Err(Error::corrupt(format!("there are two nodes /{path}")));
            }
            nodes.insert(path, node);
        }
        let micros = Duration::from_micros(root.u64(3)?);
        let committed = SystemTime::UNIX_EPOCH.checked_add(micros).filter(|_| !micros.is_zero());
        Ok(Self { committed, nodes })
    }
}

fn node(bytes: &Bytes, table: &Table<'_>, budget: &mut Budget) -> Result<(String, Node)> {
    let path = table.require_text(1)?;
    let relative = path.strip_prefix('/').ok_or_else(|| Error::corrupt("its path is not absolute"))?;
    let canonical = |part: &str| !matches!(part, "" | "." | "..");
    if !relative.is_empty() && !relative.split('/').all(canonical) {
        return Err(Error::corrupt(format!("the path {path} is not canonical")));
    }
    let document = require(table.blob(2)?)?;
    budget.spend(table.inline_len() + path.len() + document.len())?;
    let (axes, manifests) = match table.u8(3, 0)? {
        1 => {
            let array = require(table.table(4)?)?;
            // Version 1 tells the shape as structs, version 2 as tables, leaving the former empty.
            let shape = array.vector(3, 4)?.map_or_else(|| array.vector(0, 16), |shape| Ok(Some(shape)))?;
            let found = array.offsets(2)?;
            let manifests = (0..found.len()).map(|i| manifest_ref(&found.table(i)?, budget));
            (Some(require(shape)?.len()), manifests.collect::<Result<_>>()?)
        }
        2 => (None, Vec::new()),
        other => return Err(Error::unsupported(format!("{path} is a node of kind {other}"))),
    };
    let document = bytes.slice_ref(document);
    let node = Node { id: table.require_bytes_of(0)?, document, axes, manifests };
    Ok((relative.to_owned(), node))
}

fn manifest_ref(table: &Table<'_>, budget: &mut Budget) -> Result<ManifestRef> {
    let extents: Vector<'_> = require(table.vector(1, 8)?)?;
    budget.spend(table.inline_len() + 8 * extents.len())?;
    let extents = extents.elements().map(|pair| {
        let (from, to) = pair.split_at_checked(4).unwrap_or_default();
        le_u32(from)..le_u32(to)
    });
    Ok(ManifestRef { id: ObjectId(table.require_bytes_of(0)?), extents: extents.collect() })
}

/// The number in four bytes of a vector.
pub(super) fn le_u32(raw: &[u8]) -> u32 {
    raw.first_chunk().map_or(0, |raw| u32::from_le_bytes(*raw))
}
