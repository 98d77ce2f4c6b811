//! Where a dataset's chunks are: one table, filled from any of the format's seven indexes.

mod extensible_array;
mod fixed_array;
mod grid;
mod trees;

use bytes::Bytes;
use cdm::Result;

use self::grid::Grid;
use super::{
    ChunkIndexKind, ChunkedLayout, DatasetInfo, Layout,
    cursor::{Cursor, Place},
    input::{Budget, Input},
};

/// Chunks that one table may hold: 400 MB of table.
const MOST_CHUNKS: usize = 1 << 24;

/// One stored chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// Byte offset in the object.
    pub offset: u64,
    /// Bytes stored; offset and length lie within the object.
    pub len: u64,
    /// Bit `i` set: filter `i` (in encoding order) was skipped.
    pub filter_mask: u32,
}

/// The stored chunks of one dataset, by position in the chunk grid. Holds the chunks that exist only.
#[derive(Debug, Clone)]
pub struct ChunkTable {
    grid: Grid,
    chunk_bytes: u64,
    edge_chunks_unfiltered: bool,
    stored: Stored,
}

#[derive(Debug, Clone)]
enum Stored {
    /// By number in the grid.
    Listed(Vec<Entry>),
    /// All of them, one after the other, from this offset.
    Run(u64),
}

/// A chunk in 24 bytes: there may be millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    number: u64,
    offset: u64,
    len: u32,
    filter_mask: u32,
}

impl ChunkTable {
    /// The chunk at `position` (chunk coordinates, outermost first); `None` = never written, or outside
    /// the dataset.
    pub fn locate(&self, position: &[u64]) -> Option<StoredChunk> {
        let number = self.grid.number(position)?;
        match &self.stored {
            Stored::Run(first) => {
                let offset = self.grid.array_index(position)?.checked_mul(self.chunk_bytes)?;
                let offset = first.checked_add(offset)?;
                Some(StoredChunk { offset, len: self.chunk_bytes, filter_mask: 0 })
            }
            Stored::Listed(entries) => {
                let at = entries.binary_search_by_key(&number, |e| e.number).ok()?;
                let entry = entries.get(at)?;
                let unfiltered = self.edge_chunks_unfiltered && self.grid.is_edge(position);
                let filter_mask = if unfiltered { u32::MAX } else { entry.filter_mask };
                Some(StoredChunk { offset: entry.offset, len: u64::from(entry.len), filter_mask })
            }
        }
    }

    /// Number of stored chunks.
    pub fn len(&self) -> usize {
        match &self.stored {
            Stored::Listed(entries) => entries.len(),
            Stored::Run(_) => usize::try_from(self.grid.chunk_count()).unwrap_or(usize::MAX),
        }
    }

    /// No chunk is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Collects the chunks of one dataset.
struct Collector<'a> {
    input: &'a Input,
    layout: &'a ChunkedLayout,
    grid: &'a Grid,
    filtered: bool,
    place: Place,
    budget: Budget,
    entries: Vec<Entry>,
}

impl Collector<'_> {
    /// A chunk at a position in the grid, at a file address. Outside the dataset's present extent
    /// nothing is kept.
    fn add(&mut self, position: &[u64], address: u64, len: u64, filter_mask: u32) -> Result<()> {
        let Some(number) = self.grid.number(position) else { return Ok(()) };
        let offset = self.input.data_offset(address, len, self.place)?;
        let raw = !self.filtered || (self.layout.edge_chunks_unfiltered && self.grid.is_edge(position));
        if raw && len != self.layout.chunk_bytes {
            let wanted = self.layout.chunk_bytes;
            return Err(self
                .place
                .corrupt(format_args!("chunk {position:?} has {len} bytes, not {wanted}, and no filters")));
        }
        let len =
            u32::try_from(len).map_err(|e| self.place.unsupported("a chunk of over 4 GiB").with_source(e))?;
        if self.entries.len() >= MOST_CHUNKS {
            return Err(self.place.unsupported(format_args!("more than {MOST_CHUNKS} chunks")));
        }
        self.entries.push(Entry { number, offset, len, filter_mask });
        Ok(())
    }

    /// A block of an index, with its checksum, within the budget.
    fn read_checked(&mut self, len: u64, place: Place) -> Result<Bytes> {
        self.budget.spend(len, place)?;
        self.input.read_checked(len, place)
    }

    /// Reads one element of a chunk array: an address, for filtered chunks with size and mask.
    fn element(&mut self, index: u64, element: &mut Cursor<'_>) -> Result<()> {
        let address = element.address()?;
        let (len, mask) = if self.filtered {
            let width = element.remaining().saturating_sub(4);
            (element.uint(width.min(8))?, element.u32()?)
        } else {
            (self.layout.chunk_bytes, 0)
        };
        match (address, self.grid.position_of(index)) {
            (Some(address), Some(position)) => self.add(&position, address, len, mask),
            _ => Ok(()),
        }
    }

    /// Bytes of one element, as an array's header must say.
    fn check_element_size(&self, client: u8, size: u8, place: Place) -> Result<u64> {
        let address = self.input.sizes.offsets;
        let allowed = if self.filtered { address + 5..=address + 12 } else { address..=address };
        if client != u8::from(self.filtered) || !allowed.contains(&usize::from(size)) {
            return Err(place.corrupt("its elements are not those of the dataset's chunks"));
        }
        Ok(u64::from(size))
    }
}

/// Reads the chunk index of `dataset`.
pub(super) fn load(input: &Input, dataset: &DatasetInfo) -> Result<ChunkTable> {
    let Layout::Chunked(layout) = &dataset.layout else {
        return Err(cdm::Error::internal("a chunk table was asked of a dataset without chunks"));
    };
    let address = layout.index_address;
    let place = Place::new("chunk index", address.unwrap_or_default());
    let unlimited_first = layout.index == ChunkIndexKind::ExtensibleArray;
    let grid = Grid::new(&dataset.dataspace, &layout.chunk_shape, unlimited_first)
        .ok_or_else(|| place.corrupt("the chunks do not fit the dataset's shape"))?;
    let table = |stored| ChunkTable {
        grid: grid.clone(),
        chunk_bytes: layout.chunk_bytes,
        edge_chunks_unfiltered: layout.edge_chunks_unfiltered,
        stored,
    };
    let Some(address) = address.filter(|_| grid.chunk_count() > 0) else {
        return Ok(table(Stored::Listed(Vec::new())));
    };
    let filtered = !dataset.filters.is_empty();
    let mut all = Collector {
        input,
        layout,
        grid: &grid,
        filtered,
        place,
        budget: input.budget(),
        entries: Vec::new(),
    };
    match &layout.index {
        ChunkIndexKind::Implicit => {
            let count = grid.array_count().ok_or_else(|| place.corrupt("too many chunks"))?;
            let bytes =
                count.checked_mul(layout.chunk_bytes).ok_or_else(|| place.corrupt("too many chunks"))?;
            return Ok(table(Stored::Run(input.data_offset(address, bytes, place)?)));
        }
        ChunkIndexKind::Single { filtered } => {
            let (len, mask) = filtered.unwrap_or((layout.chunk_bytes, 0));
            all.add(&vec![0; layout.chunk_shape.len()], address, len, mask)?;
        }
        ChunkIndexKind::BTree1 => trees::read_v1(&mut all, address)?,
        ChunkIndexKind::BTree2 => trees::read_v2(&mut all, address)?,
        ChunkIndexKind::FixedArray => fixed_array::read(&mut all, address)?,
        ChunkIndexKind::ExtensibleArray => extensible_array::read(&mut all, address)?,
    }
    let mut entries = all.entries;
    if !entries.is_sorted() {
        entries.sort_unstable();
    }
    if entries.windows(2).any(|pair| matches!(pair, [a, b] if a.number == b.number)) {
        return Err(place.corrupt("two chunks have the same place"));
    }
    entries.shrink_to_fit();
    Ok(table(Stored::Listed(entries)))
}

/// Whether bit `at` of a bitmap is set; the first bit of a byte is its highest.
fn bit(bitmap: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|i| bitmap.get(i)).copied().unwrap_or(0);
    byte & (0x80 >> (at % 8)) != 0
}
