//! Attributes: messages of versions 1 to 3, in the header or in a fractal heap.

use std::sync::Arc;

use bytes::Bytes;
use cdm::Result;

use super::{
    RawAttribute,
    btree2::BTree2,
    cursor::{Cursor, Place, text},
    dataset_message, datatype_message,
    fractal_heap::FractalHeap,
    header::{Header, SHARED, kind},
    input::Input,
    shared::{Resolver, Shared, stand_in},
};

/// B-tree type of attributes by name.
const BY_NAME: u8 = 8;

/// All attributes of an object: those in its header in their order there, then the dense ones.
pub(super) fn all(input: &Input, header: &Header, resolver: &mut Resolver<'_>) -> Result<Vec<RawAttribute>> {
    let place = header.place();
    let stored = || header.messages.iter().filter(|m| m.kind == kind::ATTRIBUTE);
    let mut attributes = Vec::with_capacity(stored().count());
    for message in stored() {
        let (body, _) = resolver.body(message, place)?;
        let order = message.creation_order.filter(|_| header.tracks_attribute_order).map(u32::from);
        attributes.push(read(&body, order, input, place, resolver)?);
    }
    if let Some(message) = header.find(kind::ATTRIBUTE_INFO) {
        dense(&message.data, input, header, resolver, &mut attributes)?;
    }
    if header.tracks_attribute_order {
        attributes.sort_by_key(|a| a.creation_order);
    }
    Ok(attributes)
}

fn dense(
    info: &[u8],
    input: &Input,
    header: &Header,
    resolver: &mut Resolver<'_>,
    attributes: &mut Vec<RawAttribute>,
) -> Result<()> {
    let mut c = Cursor::new(info, input.sizes, header.place());
    c.version(0..=0)?;
    let flags = c.u8()?;
    if flags & 0x01 != 0 {
        c.skip(2)?;
    }
    let (Some(heap), Some(names)) = (c.address()?, c.address()?) else { return Ok(()) };
    let place = Place::new("dense attribute", heap);
    let mut heap = FractalHeap::open(input, heap)?;
    let tree = BTree2::open(input, names, &[BY_NAME])?;
    let mut records = Vec::new();
    tree.each_record(input, &mut resolver.budget, |record| {
        let mut c = Cursor::new(record, input.sizes, place);
        let mut id = [0; 8];
        id.copy_from_slice(c.take(8)?);
        records.push((id, c.u8()?, c.u32()?));
        Ok(())
    })?;
    let first = attributes.len();
    for (id, flags, order) in records {
        let body = if flags & SHARED == 0 {
            heap.object(input, &id, &mut resolver.budget)?
        } else {
            resolver.heap_object(kind::ATTRIBUTE, id, place)?
        };
        let order = Some(order).filter(|_| header.tracks_attribute_order);
        attributes.push(read(&body, order, input, place, resolver)?);
    }
    if let Some(dense) = attributes.get_mut(first..) {
        dense.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(())
}

/// One attribute message.
fn read(
    message: &Bytes,
    creation_order: Option<u32>,
    input: &Input,
    place: Place,
    resolver: &mut Resolver<'_>,
) -> Result<RawAttribute> {
    let mut c = Cursor::new(message, input.sizes, place);
    let version = c.version(1..=3)?;
    let flags = c.u8()?;
    let flags = if version == 1 { 0 } else { flags };
    let lens = [usize::from(c.u16()?), usize::from(c.u16()?), usize::from(c.u16()?)];
    if version == 3 {
        c.skip(1)?;
    }
    let mut part = |len: usize| {
        let bytes = c.take(len)?;
        if version == 1 {
            c.skip((8 - len % 8) % 8)?;
        }
        Ok(bytes)
    };
    let [name_len, type_len, space_len] = lens;
    let name: Arc<str> = text(part(name_len)?);
    let (datatype, dataspace) = (part(type_len)?, part(space_len)?);
    let (datatype, committed) = if flags & 0x01 == 0 {
        (datatype_message::read(&mut Cursor::new(datatype, input.sizes, place))?, None)
    } else {
        match stand_in(&mut Cursor::new(datatype, input.sizes, place))? {
            Shared::Committed(address) => (resolver.datatype(address)?, Some(address)),
            Shared::Heap(id) => {
                let body = resolver.heap_object(kind::DATATYPE, id, place)?;
                (datatype_message::read(&mut Cursor::new(&body, input.sizes, place))?, None)
            }
        }
    };
    let shared_space;
    let dataspace = if flags & 0x02 == 0 {
        dataspace
    } else {
        shared_space = match stand_in(&mut Cursor::new(dataspace, input.sizes, place))? {
            Shared::Committed(address) => resolver.committed(address, kind::DATASPACE)?,
            Shared::Heap(id) => resolver.heap_object(kind::DATASPACE, id, place)?,
        };
        &shared_space
    };
    let dataspace = dataset_message::dataspace(&mut Cursor::new(dataspace, input.sizes, place))?;
    let len = datatype
        .size()
        .checked_mul(dataspace.element_count())
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| place.corrupt(format_args!("attribute {name} is impossibly large")))?;
    let data = c.take(len)?;
    resolver.budget.spend(u64::try_from(len).unwrap_or(u64::MAX), place)?;
    let data = Bytes::copy_from_slice(data);
    Ok(RawAttribute { name, creation_order, datatype, committed, dataspace, data })
}
