//! The chunk engine: plan -> ranged reads -> decode -> scatter -> row-major blocks.
//!
//! A format describes an array ([`ChunkedArray`]) and where its chunks lie ([`ChunkIndex`]); the
//! engine does the rest, within a byte budget that all requests share.

mod cache;
pub mod codecs;
mod decoded;
mod elements;
mod engine;
mod memory;
mod origin;
pub mod plan;
mod read;
mod rehearsal;
mod stored;
mod strided;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod varying;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Block, Result};

use self::codecs::Pipeline;
use crate::storage::{Object, Store};

pub use elements::Numbers;
pub use engine::{Engine, EngineOptions};
pub use rehearsal::{Rehearsal, Rehearsed};
pub use tally::Counts;
pub use varying::VaryingArray;

/// Where one chunk's stored bytes are.
#[derive(Debug, Clone)]
pub enum ChunkLocation {
    /// Part of an object.
    Stored {
        /// The object.
        object: Arc<Object>,
        /// Byte offset in the object.
        offset: u64,
        /// Stored (encoded) byte length.
        len: u64,
        /// Bit `i` set: stage `i` of the pipeline (in encoding order) was skipped for this chunk.
        filter_mask: u32,
    },
    /// An object of its own, which holds it if it was ever written.
    Keyed {
        /// Where the object is.
        store: Arc<dyn Store>,
        /// Its path there.
        path: Arc<str>,
    },
    /// In the metadata already, encoded as any other chunk.
    Encoded(Bytes),
    /// In the metadata already (HDF5 compact storage), never encoded.
    Inline(Bytes),
}

/// Finds chunks. Built lazily and cached by its owner; cheap to ask twice.
#[async_trait]
pub trait ChunkIndex: fmt::Debug + Send + Sync + 'static {
    /// The location of each chunk, given by its position in the chunk grid; `None` = never written,
    /// all fill.
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>>;

    /// Whether [`ChunkIndex::locate`] would wait for nothing now.
    fn is_ready(&self) -> bool {
        false
    }
}

/// Turns stored elements into the model's: byte order, padding, references into heaps.
pub trait Elements: fmt::Debug + Send + Sync + 'static {
    /// `raw` holds whole stored elements; the result as many elements of the model. Called on a thread
    /// that may block.
    fn decode(&self, raw: Bytes) -> Result<Block>;

    /// What has to be done to stored elements that are numbers; `None` when they are more than that, and need
    /// [`Elements::decode`].
    fn numbers(&self) -> Option<Numbers> {
        None
    }

    /// Whether the most significant byte comes first, when elements are stored as numbers of the model's
    /// type.
    fn stored_big_endian(&self) -> Option<bool> {
        None
    }
}

/// One array in chunks. A contiguous array is one unencoded chunk; the engine reads parts of unencoded
/// chunks without reading the whole.
#[derive(Debug)]
pub struct ChunkedArray {
    /// For error messages: the variable's full name.
    pub name: cdm::FullName,
    /// What decoded chunks are kept under, together with the name: the identity of the dataset's version.
    pub version: Arc<str>,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Elements of a chunk per axis, none 0; edge chunks are stored whole.
    pub chunk_shape: Vec<u64>,
    /// Bytes of one stored element.
    pub stored_size: usize,
    /// One stored element that stands for never-written ones, `stored_size` bytes.
    pub fill: Bytes,
    /// How chunks are encoded; empty = not at all.
    pub pipeline: Pipeline,
    /// Where chunks are.
    pub index: Arc<dyn ChunkIndex>,
    /// Stored elements to the model's.
    pub elements: Arc<dyn Elements>,
}

impl ChunkedArray {
    /// Bytes of one decoded chunk; `None` when that is beyond a `u64`.
    pub fn chunk_byte_len(&self) -> Option<u64> {
        self.chunk_shape.iter().try_fold(self.stored_size as u64, |n, &c| n.checked_mul(c))
    }
}

/// The index of an array of one chunk: contiguous or compact storage, or none at all.
#[derive(Debug, Clone)]
pub struct OneChunk(pub Option<ChunkLocation>);

#[async_trait]
impl ChunkIndex for OneChunk {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        Ok(vec![self.0.clone(); chunks.len()])
    }

    fn is_ready(&self) -> bool {
        true
    }
}
