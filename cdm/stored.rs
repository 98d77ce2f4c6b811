//! How values lie in storage, for those who pass chunks on as they are.
//!
//! A Source that reads chunks may tell how they are laid out and coded ([`Source::stored`]); a Source that
//! changes values does not. Nothing here is needed for reading values.
//!
//! [`Source::stored`]: crate::Source::stored

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::Result;

/// An array in chunks as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLayout {
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Elements of a chunk per axis, none 0; chunks at the edge are stored whole.
    pub chunk_shape: Vec<u64>,
    /// What one element is.
    pub element: StoredElement,
    /// One stored element that stands for never-written ones.
    pub fill: Bytes,
    /// How chunks are encoded, in encoding order; empty = not at all.
    pub encodings: Vec<Encoding>,
}

/// One stored element, when it is a number of the variable's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredElement {
    /// Bytes.
    pub size: usize,
    /// The most significant byte comes first.
    pub big_endian: bool,
}

/// One stage of a chunk's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Deflate in a zlib frame.
    Zlib,
    /// Deflate in a gzip frame.
    Gzip,
    /// Bytes of equal significance together, for elements of so many bytes.
    Shuffle {
        /// Bytes.
        element_size: usize,
    },
    /// HDF5's Fletcher-32 checksum, little-endian, at the end.
    Fletcher32,
    /// CRC-32C, little-endian, at the end.
    Crc32c,
    /// A Zstandard frame.
    Zstd,
    /// A Blosc (version 1) chunk.
    Blosc,
    /// A bzip2 stream.
    Bzip2,
    /// Numcodecs' LZ4: the decoded length in four little-endian bytes, then one block.
    Lz4,
    /// Something that only its name tells.
    Other(&'static str),
}

/// Where a stored chunk's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredChunk {
    /// A range of an object.
    Range {
        /// The object's dataset name.
        name: Arc<str>,
        /// Where others reach the object, if they can: `s3://bucket/key`.
        url: Option<Arc<str>>,
        /// Byte offset.
        offset: u64,
        /// Bytes.
        len: u64,
        /// Bit `i` set: stage `i` of the encoding was skipped for this chunk.
        skipped: u32,
    },
    /// A whole object, which is missing when the chunk was never written.
    Object {
        /// Its path in the place the dataset is in.
        path: Arc<str>,
        /// Where others reach the object, if they can.
        url: Option<Arc<str>>,
    },
    /// Kept in the metadata: its bytes.
    Here {
        /// The bytes.
        bytes: Bytes,
        /// Bit `i` set: stage `i` of the encoding was skipped for this chunk.
        skipped: u32,
    },
}

/// Stored chunks of one variable. A chunk is named by its position in the chunk grid.
pub trait StoredChunks: fmt::Debug + Send + Sync {
    /// How they are laid out and coded.
    fn layout(&self) -> &StoredLayout;

    /// Where each of `chunks` is; `None` = never written.
    fn locate<'a>(&'a self, chunks: &'a [Vec<u64>]) -> BoxFuture<'a, Result<Vec<Option<StoredChunk>>>>;

    /// A chunk's bytes as they are stored, with the stages its encoding skipped (bit `i`: stage `i`);
    /// `None` = never written.
    fn read<'a>(&'a self, chunk: &'a [u64]) -> BoxFuture<'a, Result<Option<(Bytes, u32)>>>;

    /// As [`StoredChunks::read`], `part` of the bytes only.
    ///
    /// # Errors
    /// `Corrupt` when the part lies outside of what is stored.
    fn read_part<'a>(&'a self, chunk: &'a [u64], part: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>>>;
}
