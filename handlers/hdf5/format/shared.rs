//! Messages whose body lies elsewhere: in a committed datatype's header, or in the file's heap of
//! shared messages.

use bytes::Bytes;
use cdm::Result;
use foldhash::{HashMap, HashMapExt};

use super::{
    Datatype,
    cursor::{Cursor, Place},
    datatype_message,
    fractal_heap::FractalHeap,
    header::{self, Header, Message, SHARED, kind},
    input::{Budget, Input},
};

/// Where a shared message is.
#[derive(Debug)]
pub(super) enum Shared {
    /// In the object header at this address.
    Committed(u64),
    /// In the heap of shared messages, under this ID.
    Heap([u8; 8]),
}

/// Decodes a shared message's stand-in, versions 1 to 3.
pub(super) fn stand_in(c: &mut Cursor<'_>) -> Result<Shared> {
    let place = c.place;
    let version = c.version(1..=3)?;
    let location = c.u8()?;
    if version == 1 {
        // The remains of a symbol table entry: a name offset before the address.
        c.skip(6 + c.sizes().lengths)?;
    } else if version == 3 && location == 1 {
        let mut id = [0; 8];
        id.copy_from_slice(c.take(8)?);
        return Ok(Shared::Heap(id));
    } else if version == 3 && location != 2 {
        return Err(place.corrupt(format_args!("a shared message in unknown place {location}")));
    }
    Ok(Shared::Committed(c.required_address()?))
}

/// The file's heaps of shared messages.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedTable {
    /// (bits of the message types kept, heap address).
    heaps: Vec<(u16, u64)>,
}

impl SharedTable {
    /// From the superblock extension, if it has a shared message table.
    pub(super) fn read(input: &Input, extension: &Header) -> Result<Self> {
        let Some(message) = extension.find(kind::SHARED_TABLE) else { return Ok(Self::default()) };
        let mut c = Cursor::new(&message.data, input.sizes, extension.place());
        c.version(0..=0)?;
        let address = c.required_address()?;
        let indexes = c.u8()?;
        let place = Place::new("shared message table", address);
        let one = 14 + 2 * input.sizes.offsets;
        let len = 8 + usize::from(indexes) * one;
        let data = input.read_checked(u64::try_from(len).unwrap_or(u64::MAX), place)?;
        let mut c = Cursor::new(&data, input.sizes, place);
        c.signature(*b"SMTB")?;
        let mut heaps = Vec::new();
        for _ in 0..indexes {
            c.version(0..=0)?;
            // Whether the index is a list or a tree matters to writers only.
            c.skip(1)?;
            let types = c.u16()?;
            c.skip(4 + 2 + 2 + 2)?;
            let _index = c.address()?;
            if let Some(heap) = c.address()? {
                heaps.push((types, heap));
            }
        }
        Ok(Self { heaps })
    }

    fn heap_for(&self, kind: u16) -> Option<u64> {
        let bit = 1_u16.checked_shl(u32::from(kind))?;
        self.heaps.iter().find(|(types, _)| types & bit != 0).map(|(_, heap)| *heap)
    }
}

/// Finds message bodies during one walk; heaps stay open in between.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    input: &'a Input,
    table: &'a SharedTable,
    heaps: HashMap<u64, FractalHeap>,
    /// Committed datatypes: many attributes may use one.
    datatypes: HashMap<u64, Datatype>,
    pub(super) budget: Budget,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(input: &'a Input, table: &'a SharedTable) -> Self {
        Self { input, table, heaps: HashMap::new(), datatypes: HashMap::new(), budget: input.budget() }
    }

    /// The body of a message, wherever it is; with the address of the committed datatype it came from.
    pub(super) fn body(&mut self, message: &Message, place: Place) -> Result<(Bytes, Option<u64>)> {
        if message.flags & SHARED == 0 {
            return Ok((message.data.clone(), None));
        }
        let mut c = Cursor::new(&message.data, self.input.sizes, place);
        match stand_in(&mut c)? {
            Shared::Heap(id) => Ok((self.heap_object(message.kind, id, place)?, None)),
            Shared::Committed(address) => {
                let body = self.committed(address, message.kind)?;
                Ok((body, Some(address)))
            }
        }
    }

    /// A message of this kind in the heap of shared messages.
    pub(super) fn heap_object(&mut self, kind: u16, id: [u8; 8], place: Place) -> Result<Bytes> {
        let address = self
            .table
            .heap_for(kind)
            .ok_or_else(|| place.corrupt("a shared message in a file that has no heap for it"))?;
        let heap = match self.heaps.entry(address) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(FractalHeap::open(self.input, address)?)
            }
        };
        let body = heap.object(self.input, &id, &mut self.budget)?;
        self.budget.spend(u64::try_from(body.len()).unwrap_or(u64::MAX), place)?;
        Ok(body)
    }

    /// The committed datatype at `address`.
    pub(super) fn datatype(&mut self, address: u64) -> Result<Datatype> {
        if let Some(known) = self.datatypes.get(&address) {
            return Ok(known.clone());
        }
        let body = self.committed(address, kind::DATATYPE)?;
        let place = Place::new("committed datatype", address);
        self.budget.spend(u64::try_from(body.len()).unwrap_or(u64::MAX), place)?;
        let datatype = datatype_message::read(&mut Cursor::new(&body, self.input.sizes, place))?;
        self.datatypes.insert(address, datatype.clone());
        Ok(datatype)
    }

    /// The message of this kind in the object header at `address`, which is not shared itself.
    pub(super) fn committed(&mut self, address: u64, kind: u16) -> Result<Bytes> {
        let header = header::read(self.input, address)?;
        let place = header.place();
        self.budget.spend(header.bytes, place)?;
        let message = header.find(kind).ok_or_else(|| place.corrupt("the shared message is not in it"))?;
        if message.flags & SHARED == 0 {
            return Ok(message.data.clone());
        }
        // A committed datatype may have been moved to the heap of shared messages, but no further.
        let mut c = Cursor::new(&message.data, self.input.sizes, place);
        match stand_in(&mut c)? {
            Shared::Heap(id) => self.heap_object(kind, id, place),
            Shared::Committed(_) => Err(place.corrupt("a shared message leads to another one")),
        }
    }
}
