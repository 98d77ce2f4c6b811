//! What a dataset's object header says: type, shape, layout, fill value and filters.

use bytes::Bytes;

use super::{Dataspace, Datatype};

/// A dataset's description.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetInfo {
    /// The type of an element.
    pub datatype: Datatype,
    /// The address of the committed datatype it uses, if it uses one.
    pub committed: Option<u64>,
    /// Its shape.
    pub dataspace: Dataspace,
    /// Where elements are.
    pub layout: Layout,
    /// What elements never written are.
    pub fill: FillValue,
    /// Filters in encoding order.
    pub filters: Vec<Filter>,
    /// Data lie in other files (which this module never opens).
    pub external_storage: bool,
}

/// Where a dataset's elements are.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// In the object header: exactly the elements (empty when nothing was written).
    Compact(Bytes),
    /// In one run of the file, never filtered.
    Contiguous {
        /// Byte offset in the object; `None` = never written.
        offset: Option<u64>,
        /// Bytes.
        size: u64,
    },
    /// In chunks, which [`super::File::chunk_table`] finds.
    Chunked(ChunkedLayout),
    /// In other datasets (a virtual dataset).
    Virtual,
}

/// The layout of a chunked dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkedLayout {
    /// Elements per axis of a chunk, none 0; the rank is the dataspace's.
    pub chunk_shape: Vec<u64>,
    /// Bytes of one element.
    pub element_size: u64,
    /// Bytes of one decoded chunk.
    pub chunk_bytes: u64,
    /// How chunks are found.
    pub index: ChunkIndexKind,
    /// Address of the index (of the chunk itself for [`ChunkIndexKind::Single`], of the first for
    /// [`ChunkIndexKind::Implicit`]); `None` = no chunk was ever written.
    pub index_address: Option<u64>,
    /// Chunks that reach over the dataset's edge are stored without filters. ([`super::ChunkTable`]
    /// reports them with every filter masked.)
    pub edge_chunks_unfiltered: bool,
}

/// How chunks are indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkIndexKind {
    /// Version 1 B-tree.
    BTree1,
    /// There is but one chunk.
    Single {
        /// Stored size and filter mask, when the dataset has filters.
        filtered: Option<(u64, u32)>,
    },
    /// All chunks one after the other, unfiltered.
    Implicit,
    /// Fixed array (no unlimited dimension).
    FixedArray,
    /// Extensible array (one unlimited dimension).
    ExtensibleArray,
    /// Version 2 B-tree (several unlimited dimensions).
    BTree2,
}

/// Whether a fill value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FillState {
    /// Expressly none: elements never written have no meaning (they read as zeros).
    Undefined,
    /// The default: zeros.
    Default,
    /// [`FillValue::value`].
    Given,
}

/// When space is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AllocationTime {
    /// When the dataset is made.
    Early,
    /// When data are first written.
    Late,
    /// Chunk by chunk.
    Incremental,
    /// Not said.
    Unknown,
}

/// When the fill value is written to allocated space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FillWriteTime {
    /// At allocation.
    AtAllocation,
    /// Never.
    Never,
    /// At allocation, if a value was given.
    IfGiven,
    /// Not said.
    Unknown,
}

/// A dataset's fill value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillValue {
    /// Whether there is one.
    pub state: FillState,
    /// One stored element of the dataset's type; `Some` exactly when the state is `Given`.
    pub value: Option<Bytes>,
    /// When space is allocated.
    pub allocation: AllocationTime,
    /// When it is written.
    pub write: FillWriteTime,
}

/// One filter of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Registered number.
    pub id: u16,
    /// What the writer calls it; often empty.
    pub name: String,
    /// Chunks may be stored without it (their filter masks say so).
    pub optional: bool,
    /// Parameters.
    pub client_data: Vec<u32>,
}
