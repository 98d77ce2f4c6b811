//! A manifest: where the chunks of arrays are.
//!
//! The file's bytes are kept as they are and searched; what a search relies on (order, ranks) is checked
//! once, when it is opened.

#![warn(clippy::indexing_slicing)]

use std::cmp::Ordering;

use bytes::Bytes;
use cdm::{Error, Result, ResultExt};
use zstd::bulk::Decompressor;

use super::{
    flatbuffer::{Table, Vector, require},
    object_id::ObjectId,
    snapshot::{NodeId, le_u32},
};

/// No array has more axes.
const MOST_AXES: usize = 64;

/// A URL of a virtual chunk that is longer is refused; the library that writes them stops at 1,024.
const LONGEST_LOCATION: usize = 4096;

/// A larger dictionary for URLs is refused; 2 KiB are usual.
const LARGEST_DICTIONARY: usize = 1 << 20;

/// Chunk references by array and position.
#[derive(Debug)]
pub(super) struct Manifest {
    bytes: Bytes,
    /// Where the references of each array are, in order of their ids.
    arrays: Vec<NodeId>,
}

/// Where a chunk's encoded bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChunkRef {
    /// Here.
    Inline(Bytes),
    /// Part of `chunks/ID`.
    Native { id: ObjectId, offset: u64, len: u64 },
    /// Part of an object outside of the repository.
    Virtual { location: String, offset: u64, len: u64, checksum: Checksum },
}

/// What tells that the object of a virtual chunk is still the one that was referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// Nothing does.
    None,
    /// The entity tag its store gives it.
    ETag(String),
    /// It was not modified after that many seconds since 1970.
    Unmodified(u32),
}

impl Manifest {
    /// What the `FlatBuffers` bytes of `manifests/ID` say.
    ///
    /// # Errors
    /// `Corrupt` when they break the format's rules.
    pub(super) fn parse(bytes: Bytes, id: ObjectId) -> Result<Self> {
        let root = Table::root(&bytes)?;
        if ObjectId(root.require_bytes_of(0)?) != id {
            return Err(Error::corrupt("it is another manifest than its name says"));
        }
        let found = root.offsets(1)?;
        let mut arrays: Vec<NodeId> = Vec::new();
        // Each reference has an offset of its own; more of them in all means that arrays share them.
        let mut left = bytes.len() / 4;
        for i in 0..found.len() {
            let array = found.table(i)?;
            let node = array.require_bytes_of(0)?;
            if arrays.last().is_some_and(|last| *last >= node) {
                return Err(Error::corrupt("the arrays of a manifest are not in order"));
            }
            arrays.push(node);
            let refs = array.offsets(1)?;
            left = left
                .checked_sub(refs.len())
                .ok_or_else(|| Error::corrupt("the arrays of a manifest share references"))?;
            check_order(&refs).within(|| format!("array {i}"))?;
        }
        Ok(Self { bytes, arrays })
    }

    /// The arrays that it knows of.
    pub(super) fn arrays(&self) -> &[NodeId] {
        &self.arrays
    }

    /// Bytes of memory it takes.
    pub(super) fn byte_len(&self) -> u64 {
        (self.bytes.len() + self.arrays.len() * size_of::<NodeId>()) as u64
    }

    /// The references to `chunks` of the array `node`, each `None` where there is none.
    pub(super) fn find(&self, node: NodeId, chunks: &[&[u32]]) -> Result<Vec<Option<ChunkRef>>> {
        let Ok(i) = self.arrays.binary_search(&node) else { return Ok(vec![None; chunks.len()]) };
        let root = Table::root(&self.bytes)?;
        let refs = root.offsets(1)?.table(i)?.offsets(1)?;
        let mut locations = Locations { root, decompressor: None };
        chunks
            .iter()
            .map(|chunk| {
                let found = search(&refs, chunk)?;
                found.map(|table| self.reference(&table, &mut locations)).transpose()
            })
            .collect()
    }

    fn reference(&self, table: &Table<'_>, locations: &mut Locations<'_>) -> Result<ChunkRef> {
        let (offset, len) = (table.u64(2)?, table.u64(3)?);
        if let Some(id) = table.bytes_of(4)? {
            return Ok(ChunkRef::Native { id: ObjectId(id), offset, len });
        }
        let location = match table.blob(8)? {
            Some(compressed) => Some(locations.decompress(compressed)?),
            None => short_text(table, 5)?,
        };
        if let Some(location) = location {
            let checksum = match (short_text(table, 6)?, table.u32(7)?) {
                (Some(tag), _) => Checksum::ETag(tag),
                (None, 0) => Checksum::None,
                (None, seconds) => Checksum::Unmodified(seconds),
            };
            return Ok(ChunkRef::Virtual { location, offset, len, checksum });
        }
        let inline = table.blob(1)?.ok_or_else(|| Error::corrupt("a chunk reference refers to nothing"))?;
        Ok(ChunkRef::Inline(self.bytes.slice_ref(inline)))
    }
}

/// The URLs that a manifest compresses.
struct Locations<'a> {
    root: Table<'a>,
    decompressor: Option<Decompressor<'static>>,
}

impl Locations<'_> {
    fn decompress(&mut self, compressed: &[u8]) -> Result<String> {
        let broken = |e: std::io::Error| Error::corrupt("a compressed URL is damaged").with_source(e);
        if self.decompressor.is_none() {
            let algorithm = self.root.u8(3, 1)?;
            if algorithm != 1 {
                return Err(Error::unsupported(format!("URLs compressed by algorithm {algorithm}")));
            }
            let dictionary = require(self.root.blob(2)?)?;
            if dictionary.len() > LARGEST_DICTIONARY {
                return Err(Error::unsupported("a dictionary for URLs of more than 1 MiB"));
            }
            self.decompressor = Some(Decompressor::with_dictionary(dictionary).map_err(broken)?);
        }
        let decompressor = require(self.decompressor.as_mut())?;
        let location = decompressor.decompress(compressed, LONGEST_LOCATION).map_err(broken)?;
        String::from_utf8(location).map_err(|e| Error::corrupt("a URL is not UTF-8").with_source(e))
    }
}

/// A URL or an entity tag.
fn short_text(table: &Table<'_>, slot: usize) -> Result<Option<String>> {
    if table.blob(slot)?.is_some_and(|text| text.len() > LONGEST_LOCATION) {
        return Err(Error::unsupported("the URL of a virtual chunk is too long"));
    }
    Ok(table.text(slot)?.map(str::to_owned))
}

/// The position that a reference is for.
fn position<'a>(table: &Table<'a>) -> Result<Vector<'a>> {
    let position = require(table.vector(0, 4)?)?;
    if position.len() > MOST_AXES {
        return Err(Error::corrupt(format!("a chunk of {} axes", position.len())));
    }
    Ok(position)
}

fn numbers<'a>(position: &Vector<'a>) -> impl Iterator<Item = u32> + use<'a> {
    position.elements().map(le_u32)
}

/// References are in order of their positions, which all have as many axes.
fn check_order(refs: &Vector<'_>) -> Result<()> {
    let mut last: Option<Vector<'_>> = None;
    for i in 0..refs.len() {
        let this = position(&refs.table(i)?)?;
        if let Some(last) = last
            && (last.len() != this.len() || numbers(&last).ge(numbers(&this)))
        {
            return Err(Error::corrupt("the chunks of a manifest are not in order"));
        }
        last = Some(this);
    }
    Ok(())
}

fn search<'a>(refs: &Vector<'a>, chunk: &[u32]) -> Result<Option<Table<'a>>> {
    let (mut low, mut high) = (0, refs.len());
    while low < high {
        let middle = low.midpoint(high);
        let table = refs.table(middle)?;
        let found = position(&table)?;
        if found.len() != chunk.len() {
            return Err(Error::corrupt("the chunks of a manifest have another rank than the array"));
        }
        match numbers(&found).cmp(chunk.iter().copied()) {
            Ordering::Equal => return Ok(Some(table)),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    Ok(None)
}
