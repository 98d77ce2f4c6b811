//! Links of groups of the second format: link messages, in the header or in a fractal heap.

use cdm::Result;

use super::{
    Link, LinkTarget,
    btree2::BTree2,
    cursor::{Cursor, Place, text},
    fractal_heap::FractalHeap,
    input::{Budget, Input},
};

/// B-tree type of links by name.
const BY_NAME: u8 = 5;

/// The link info message.
#[derive(Debug)]
pub(super) struct LinkInfo {
    pub(super) tracks_order: bool,
    heap: Option<u64>,
    names: Option<u64>,
}

impl LinkInfo {
    pub(super) fn read(c: &mut Cursor<'_>) -> Result<Self> {
        c.version(0..=0)?;
        let flags = c.u8()?;
        if flags & 0x01 != 0 {
            c.skip(8)?;
        }
        Ok(Self { tracks_order: flags & 0x01 != 0, heap: c.address()?, names: c.address()? })
    }

    /// The links in dense storage, if the group has any.
    pub(super) fn dense(&self, input: &Input, budget: &mut Budget, links: &mut Vec<Link>) -> Result<()> {
        let (Some(heap), Some(names)) = (self.heap, self.names) else { return Ok(()) };
        let place = Place::new("dense link", heap);
        let mut heap = FractalHeap::open(input, heap)?;
        let tree = BTree2::open(input, names, &[BY_NAME])?;
        let mut ids = Vec::new();
        tree.each_record(input, budget, |record| {
            // The name's hash, then the heap ID.
            let id = record.get(4..11).and_then(|id| <[u8; 7]>::try_from(id).ok());
            ids.push(id.ok_or_else(|| place.corrupt("a record that is too short"))?);
            Ok(())
        })?;
        for id in ids {
            let message = heap.object(input, &id, budget)?;
            budget.spend(u64::try_from(message.len()).unwrap_or(u64::MAX), place)?;
            links.push(read(&mut Cursor::new(&message, input.sizes, place))?);
        }
        Ok(())
    }
}

/// A link message.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Link> {
    let place = c.place;
    c.version(1..=1)?;
    let flags = c.u8()?;
    let kind = if flags & 0x08 != 0 { c.u8()? } else { 0 };
    let creation_order = if flags & 0x04 != 0 { Some(c.u64()?.cast_signed()) } else { None };
    if flags & 0x10 != 0 {
        c.skip(1)?;
    }
    let len = c.uint(1 << (flags & 0x03))?;
    let len = usize::try_from(len).map_err(|e| place.corrupt("a name's length").with_source(e))?;
    let name = text(c.take(len)?);
    let target = match kind {
        0 => LinkTarget::Hard(c.required_address()?),
        1 => {
            let len = usize::from(c.u16()?);
            LinkTarget::Soft(text(c.take(len)?))
        }
        64 => {
            let len = usize::from(c.u16()?);
            let mut c = Cursor::new(c.take(len)?, c.sizes(), place);
            // Version and flags, both 0 so far.
            c.skip(1)?;
            LinkTarget::External { file: c.text_to_nul()?, path: c.text_to_nul()? }
        }
        65..=255 => LinkTarget::UserDefined(kind),
        _ => return Err(place.corrupt(format_args!("link type {kind} is unknown"))),
    };
    Ok(Link { name, creation_order, target })
}
