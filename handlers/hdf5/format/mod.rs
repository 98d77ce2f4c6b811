//! HDF5's own structures, read: superblock, object headers, groups, attributes, datatypes, heaps and
//! chunk indexes.
//!
//! This module knows the file format and nothing of netCDF or the model: [`super`] maps what it finds.
//! It reads metadata only; chunks and contiguous data are located, never read. Everything here is
//! synchronous and may block on storage: call it from a thread that may.
//!
//! Every byte is foreign. Sizes are checked before use, recursion has a fixed depth, and each walk of a
//! structure has a budget of bytes derived from the file's size, so that loops and overlapping
//! structures end in [`cdm::ErrorKind::Corrupt`].
//!
//! *Addresses* (of objects, heaps) are the file format's: relative to the superblock, as object
//! references store them. *Offsets* (of raw data and chunks) are byte offsets in the object.

#![warn(clippy::indexing_slicing)]

pub mod attribute;
mod attribute_message;
mod btree1;
mod btree2;
mod checksum;
pub mod chunks;
mod cursor;
pub mod dataset;
mod dataset_message;
pub mod dataspace;
pub mod datatype;
mod datatype_message;
mod fractal_heap;
mod global_heap;
mod header;
mod input;
pub mod link;
mod link_message;
mod old_group;
mod shared;
mod superblock;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cdm::{Result, ResultExt};
use foldhash::{HashSet, HashSetExt};

pub use self::{
    attribute::RawAttribute,
    chunks::{ChunkTable, StoredChunk},
    dataset::{
        AllocationTime, ChunkIndexKind, ChunkedLayout, DatasetInfo, FillState, FillValue, FillWriteTime,
        Filter, Layout,
    },
    dataspace::Dataspace,
    datatype::{
        ByteOrder, Charset, Datatype, FloatKind, FloatType, Member, ReferenceKind, StringPadding, VarLenKind,
    },
    link::{Link, LinkTarget},
};
use self::{
    cursor::Cursor,
    global_heap::Collections,
    header::{Header, kind},
    input::{Budget, Input},
    shared::{Resolver, SharedTable},
};
use crate::storage::Object;

/// The eight bytes every HDF5 superblock begins with.
pub const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// An open HDF5 file: its superblock read, the rest on demand. Cheap to clone; clones share caches.
#[derive(Debug, Clone)]
pub struct File(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    input: Input,
    root: u64,
    shared: SharedTable,
    collections: Collections,
    /// The header read last: an object's description, links and attributes are asked one by one.
    last_header: Mutex<Option<Arc<Header>>>,
    met: Mutex<Met>,
}

/// The object headers read so far. Those of a sound file do not overlap, so all of them together are no
/// larger than the file; without this limit many objects that share one long block take quadratic time.
#[derive(Debug)]
struct Met {
    addresses: HashSet<u64>,
    budget: Budget,
}

/// What an object header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where its object header is: the object's identity within the file.
    pub address: u64,
    /// What it is.
    pub kind: NodeKind,
    /// The group keeps the order in which its links were made.
    pub tracks_link_order: bool,
    /// The object keeps the order in which its attributes were made.
    pub tracks_attribute_order: bool,
    /// Hard links to the object, as the file says.
    pub link_count: u32,
}

/// The kinds of object.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// A group; its members come from [`File::links`].
    Group,
    /// A dataset.
    Dataset(Box<DatasetInfo>),
    /// A committed (named) datatype.
    NamedType(Datatype),
}

impl File {
    /// Reads the superblock (versions 0 to 3, behind a user block of any size) and its extension.
    ///
    /// # Errors
    /// `Unsupported` for files split over several (family and multi drivers); `Corrupt` when the file
    /// is shorter than it says or is not HDF5 at all.
    pub fn open(object: Object) -> Result<Self> {
        let mut input = Input::new(object);
        let superblock = superblock::read(&mut input)?;
        let mut shared = SharedTable::default();
        if let Some(address) = superblock.extension {
            let extension = header::read(&input, address)?;
            if let Some(message) = extension.find(kind::DRIVER_INFO) {
                let mut c = Cursor::new(&message.data, input.sizes, extension.place());
                c.version(0..=0)?;
                superblock::refuse_driver(c.take(8)?, extension.place())?;
            }
            shared = SharedTable::read(&input, &extension)?;
        }
        let met = Mutex::new(Met { addresses: HashSet::new(), budget: input.budget() });
        Ok(Self(Arc::new(Inner {
            met,
            input,
            root: superblock.root,
            shared,
            collections: Collections::default(),
            last_header: Mutex::default(),
        })))
    }

    /// The address of the root group.
    pub fn root(&self) -> u64 {
        self.0.root
    }

    /// The object whose header is at `address`.
    ///
    /// Each call reads the object's messages again; what it returns holds no cached blocks.
    pub fn object(&self, address: u64) -> Result<Node> {
        let header = self.header(address)?;
        let mut resolver = self.resolver();
        let mut tracks_link_order = false;
        // In the order of the library: a group may carry a dataspace, a dataset always has a datatype.
        let kind = if header.has(kind::SYMBOL_TABLE) || header.has(kind::LINK_INFO) {
            if let Some(message) = header.find(kind::LINK_INFO) {
                tracks_link_order =
                    link_message::LinkInfo::read(&mut self.cursor(message, &header))?.tracks_order;
            }
            NodeKind::Group
        } else if header.has(kind::DATATYPE) && header.has(kind::DATASPACE) {
            NodeKind::Dataset(Box::new(self.dataset(&header, &mut resolver)?))
        } else if let Some(message) = header.find(kind::DATATYPE) {
            let (body, _) = resolver.body(message, header.place())?;
            let mut c = Cursor::new(&body, self.0.input.sizes, header.place());
            NodeKind::NamedType(datatype_message::read(&mut c)?)
        } else {
            return Err(header.place().corrupt("it describes neither a group, a dataset nor a datatype"));
        };
        Ok(Node {
            address,
            kind,
            tracks_link_order,
            tracks_attribute_order: header.tracks_attribute_order,
            link_count: header.link_count,
        })
    }

    /// The members of the group at `address`: by creation order when the group tracks it, else by
    /// name. Empty for objects that are not groups.
    pub fn links(&self, address: u64) -> Result<Vec<Link>> {
        let header = self.header(address)?;
        let input = &self.0.input;
        let mut budget = input.budget();
        if let Some(message) = header.find(kind::SYMBOL_TABLE) {
            return old_group::links(input, &message.data, header.place(), &mut budget);
        }
        let mut links = Vec::new();
        for message in header.messages.iter().filter(|m| m.kind == kind::LINK) {
            links.push(link_message::read(&mut self.cursor(message, &header))?);
        }
        let mut tracks_order = false;
        if let Some(message) = header.find(kind::LINK_INFO) {
            let info = link_message::LinkInfo::read(&mut self.cursor(message, &header))?;
            info.dense(input, &mut budget, &mut links)?;
            tracks_order = info.tracks_order;
        }
        if tracks_order {
            links.sort_by_key(|link| link.creation_order);
        } else {
            links.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(links)
    }

    /// The attributes of the object at `address`: by creation order when the object tracks it, else in
    /// the order they are stored (compact) or by name (dense).
    pub fn attributes(&self, address: u64) -> Result<Vec<RawAttribute>> {
        let header = self.header(address)?;
        attribute_message::all(&self.0.input, &header, &mut self.resolver())
    }

    /// Object `index` of the global heap collection at `address`: the bytes of a variable-length value.
    pub fn global_heap_object(&self, address: u64, index: u32) -> Result<Bytes> {
        self.0.collections.object(&self.0.input, address, index)
    }

    /// Where the chunks of a dataset with [`Layout::Chunked`] are. Reads the whole index; keep it.
    pub fn chunk_table(&self, dataset: &DatasetInfo) -> Result<ChunkTable> {
        let table = chunks::load(&self.0.input, dataset);
        // Nothing reads on from here. What is far away may have the next variable's index in a block that is there;
        // near, that costs little, and thousands of files that are open would each keep theirs.
        if self.0.input.is_near() {
            self.0.input.forget_blocks();
        }
        table
    }

    /// Bytes that file addresses take (2, 4 or 8): a stored variable-length value is a 4-byte length, an
    /// address of this size (little-endian) and a 4-byte index.
    pub fn size_of_offsets(&self) -> usize {
        self.0.input.sizes.offsets
    }

    /// Whether an address read from data stands for "none" (all bits set).
    pub fn is_undefined(&self, address: u64) -> bool {
        address == cursor::all_ones(self.size_of_offsets())
    }

    /// The byte offset in the object of a file address.
    pub fn offset_of(&self, address: u64) -> Result<u64> {
        self.0.input.offset_of(address)
    }

    /// Drops cached blocks and heap collections of the file; results stay the same.
    pub fn forget_blocks(&self) {
        self.0.input.forget_blocks();
        self.0.collections.forget();
        *self.0.last_header.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn header(&self, address: u64) -> Result<Arc<Header>> {
        let last = self.0.last_header.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(header) = last.filter(|header| header.address == address) {
            return Ok(header);
        }
        let header = Arc::new(header::read(&self.0.input, address)?);
        let mut met = self.0.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.addresses.insert(address) {
            met.budget.spend(header.bytes, header.place())?;
        }
        drop(met);
        *self.0.last_header.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&header));
        Ok(header)
    }

    fn resolver(&self) -> Resolver<'_> {
        Resolver::new(&self.0.input, &self.0.shared)
    }

    fn cursor<'a>(&self, message: &'a header::Message, header: &Header) -> Cursor<'a> {
        Cursor::new(&message.data, self.0.input.sizes, header.place())
    }

    fn dataset(&self, header: &Header, resolver: &mut Resolver<'_>) -> Result<DatasetInfo> {
        let (place, sizes) = (header.place(), self.0.input.sizes);
        // The body of the message of a kind, if there is one, and the object it was taken from.
        let mut body = |kind: u16| match header.find(kind) {
            Some(message) => resolver.body(message, place).map(Some),
            None => Ok(None),
        };
        let missing = |what: &str| place.corrupt(format_args!("a dataset without {what}"));
        let (data, committed) = body(kind::DATATYPE)?.ok_or_else(|| missing("datatype"))?;
        let datatype = datatype_message::read(&mut Cursor::new(&data, sizes, place))?;
        let (data, _) = body(kind::DATASPACE)?.ok_or_else(|| missing("dataspace"))?;
        let dataspace = dataset_message::dataspace(&mut Cursor::new(&data, sizes, place))?;
        let filters = match body(kind::FILTERS)? {
            Some((data, _)) => dataset_message::filters(&mut Cursor::new(&data, sizes, place))?,
            None => Vec::new(),
        };
        let element = datatype.size();
        let fill = match (body(kind::FILL)?, body(kind::OLD_FILL)?) {
            (Some((data, _)), _) => dataset_message::fill(&mut Cursor::new(&data, sizes, place), element)
                .within(|| "fill value")?,
            (None, Some((data, _))) => {
                dataset_message::old_fill(&mut Cursor::new(&data, sizes, place), element)
                    .within(|| "fill value")?
            }
            (None, None) => FillValue::default(),
        };
        let (data, _) = body(kind::LAYOUT)?.ok_or_else(|| missing("layout"))?;
        let mut c = Cursor::new(&data, sizes, place);
        let layout =
            dataset_message::layout(&mut c, &self.0.input, element, &dataspace, !filters.is_empty())?;
        Ok(DatasetInfo {
            datatype,
            committed,
            dataspace,
            layout,
            fill,
            filters,
            external_storage: header.has(kind::EXTERNAL_FILES),
        })
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
