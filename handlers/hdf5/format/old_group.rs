//! Groups of the first format: a version 1 B-tree of symbol tables with names in a local heap.

use bytes::Bytes;
use cdm::Result;

use super::{
    Link, LinkTarget, btree1,
    cursor::{Cursor, Place, text},
    input::{Budget, Input},
};

/// Cache type of a symbolic link in a symbol table entry.
const SYMBOLIC: u32 = 2;

/// The links of a group with a symbol table message, by name.
pub(super) fn links(input: &Input, message: &[u8], place: Place, budget: &mut Budget) -> Result<Vec<Link>> {
    let mut c = Cursor::new(message, input.sizes, place);
    let (tree, heap) = (c.address()?, c.address()?);
    // A group that was never given a member may have neither.
    let (Some(tree), Some(heap)) = (tree, heap) else { return Ok(Vec::new()) };
    let names = LocalHeap::open(input, heap, budget)?;
    let mut nodes = Vec::new();
    btree1::each_entry(input, tree, 0, input.sizes.lengths, budget, &mut |_, node| {
        nodes.push(node);
        Ok(())
    })?;
    let mut links = Vec::new();
    for node in nodes {
        symbols(input, node, &names, budget, &mut links)?;
    }
    Ok(links)
}

fn symbols(
    input: &Input,
    address: u64,
    names: &LocalHeap,
    budget: &mut Budget,
    links: &mut Vec<Link>,
) -> Result<()> {
    let place = Place::new("symbol table node", address);
    let head = input.read(address, 8)?;
    let mut c = Cursor::new(&head, input.sizes, place);
    c.signature(*b"SNOD")?;
    c.version(1..=1)?;
    c.skip(1)?;
    let count = c.u16()?;
    let entry = u64::try_from(2 * input.sizes.offsets + 24).unwrap_or(40);
    let len = 8 + u64::from(count) * entry;
    budget.spend(len, place)?;
    let data = input.read(address, len)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.skip(8)?;
    for _ in 0..count {
        let name = c.uint(input.sizes.offsets)?;
        let object = c.address()?;
        let cache = c.u32()?;
        c.skip(4)?;
        let mut scratch = Cursor::new(c.take(16)?, input.sizes, place);
        let name = names.string(name, budget)?;
        let target = if cache == SYMBOLIC {
            LinkTarget::Soft(names.string(u64::from(scratch.u32()?), budget)?)
        } else {
            LinkTarget::Hard(object.ok_or_else(|| place.corrupt("a link leads nowhere"))?)
        };
        links.push(Link { name: name.into(), creation_order: None, target });
    }
    Ok(())
}

/// NUL-terminated names.
#[derive(Debug)]
struct LocalHeap {
    place: Place,
    data: Bytes,
}

impl LocalHeap {
    fn open(input: &Input, address: u64, budget: &mut Budget) -> Result<Self> {
        let place = Place::new("local heap", address);
        let len = 8 + 2 * input.sizes.lengths + input.sizes.offsets;
        let head = input.read(address, u64::try_from(len).unwrap_or(u64::MAX))?;
        let mut c = Cursor::new(&head, input.sizes, place);
        c.signature(*b"HEAP")?;
        c.version(0..=0)?;
        c.skip(3)?;
        let size = c.length()?;
        let _free = c.length()?;
        let data = c.required_address()?;
        budget.spend(size, place)?;
        Ok(Self { place, data: input.read(data, size)? })
    }

    fn string(&self, offset: u64, budget: &mut Budget) -> Result<String> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|from| self.data.get(from..))
            .ok_or_else(|| self.place.corrupt(format_args!("there is no name at {offset}")))?;
        let name: String = text(bytes);
        // Many entries may share one long name.
        budget.spend(u64::try_from(name.len()).unwrap_or(u64::MAX), self.place)?;
        Ok(name)
    }
}
