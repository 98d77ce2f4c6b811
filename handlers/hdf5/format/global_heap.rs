//! Global heap collections: the bytes of variable-length values.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cdm::Result;
use foldhash::HashMap;

use super::{
    cursor::{Cursor, Place},
    input::Input,
};

/// Bytes of collections kept; one that is larger is kept alone.
const KEPT: usize = 4 << 20;
/// Bytes that the format gives a collection at least.
const SMALLEST: u64 = 4096;

/// Collections met lately.
#[derive(Debug, Default)]
pub(super) struct Collections {
    inner: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Address to (when last used, the collection).
    collections: HashMap<u64, (u64, Arc<Collection>)>,
    /// Beginning and end of every collection ever met: sound ones do not overlap, so a file cannot make
    /// us read its bytes again under ever new addresses.
    extents: BTreeMap<u64, u64>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Collection {
    data: Bytes,
    /// (index, beginning, length), by index.
    objects: Vec<(u16, usize, usize)>,
}

impl Collection {
    /// Memory it takes.
    fn cost(&self) -> usize {
        self.data.len() + self.objects.len() * size_of::<(u16, usize, usize)>()
    }
}

impl Collections {
    pub(super) fn object(&self, input: &Input, address: u64, index: u32) -> Result<Bytes> {
        let place = Place::new("global heap collection", address);
        let collection = self.collection(input, place)?;
        let found = collection
            .objects
            .binary_search_by_key(&index, |(i, _, _)| u32::from(*i))
            .ok()
            .and_then(|at| collection.objects.get(at));
        match found {
            Some(&(_, start, len)) => Ok(collection.data.slice(start..start + len)),
            None => Err(place.corrupt(format_args!("it has no object {index}"))),
        }
    }

    fn collection(&self, input: &Input, place: Place) -> Result<Arc<Collection>> {
        {
            let mut kept = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            kept.clock += 1;
            let now = kept.clock;
            if let Some((used, collection)) = kept.collections.get_mut(&place.address) {
                *used = now;
                return Ok(Arc::clone(collection));
            }
        }
        let collection = Arc::new(read(input, place)?);
        let end = place.address.saturating_add(u64::try_from(collection.data.len()).unwrap_or(u64::MAX));
        let mut kept = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.extents.range(..end).next_back();
        if before.is_some_and(|(&start, &before)| start != place.address && before > place.address) {
            return Err(place.corrupt("it overlaps another one"));
        }
        kept.extents.insert(place.address, end);
        let now = kept.clock;
        kept.bytes += collection.cost();
        if let Some((_, old)) = kept.collections.insert(place.address, (now, Arc::clone(&collection))) {
            kept.bytes -= old.cost();
        }
        while kept.bytes > KEPT && kept.collections.len() > 1 {
            let oldest = kept
                .collections
                .iter()
                .filter(|(address, _)| **address != place.address)
                .min_by_key(|(_, (used, _))| *used)
                .map(|(address, _)| *address);
            let Some((_, old)) = oldest.and_then(|oldest| kept.collections.remove(&oldest)) else { break };
            kept.bytes -= old.cost();
        }
        Ok(collection)
    }

    pub(super) fn forget(&self) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

fn read(input: &Input, place: Place) -> Result<Collection> {
    let prefix = 8 + input.sizes.lengths;
    let head = input.read(place.address, u64::try_from(prefix).unwrap_or(16))?;
    let mut c = Cursor::new(&head, input.sizes, place);
    c.signature(*b"GCOL")?;
    c.version(1..=1)?;
    c.skip(3)?;
    let size = c.length()?;
    if size < SMALLEST {
        return Err(place.corrupt("it is smaller than a collection may be"));
    }
    // A small collection would keep a whole cached block in memory.
    let data = Bytes::copy_from_slice(&input.read(place.address, size)?);
    let mut c = Cursor::new(&data, input.sizes, place);
    c.skip(prefix)?;
    c.align(8);
    let mut objects = Vec::new();
    // Each object has an index, a reference count, padding, a size and bytes in multiples of 8.
    while c.remaining() >= prefix {
        let index = c.u16()?;
        c.skip(6)?;
        let len = c.length()?;
        // Index 0 is the free space at the end.
        if index == 0 {
            break;
        }
        let len = usize::try_from(len).map_err(|e| place.corrupt("an object's size").with_source(e))?;
        // Headers too take multiples of 8 bytes, which matters where lengths take 4.
        c.align(8);
        let start = c.position();
        c.skip(len)?;
        c.align(8);
        objects.push((index, start, len));
    }
    objects.sort_unstable();
    Ok(Collection { data, objects })
}
