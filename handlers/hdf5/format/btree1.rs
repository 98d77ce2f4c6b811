//! Version 1 B-trees: the index of old groups and of old chunked datasets.

use bytes::Bytes;
use cdm::Result;

use super::{
    cursor::{Cursor, Place},
    input::{Budget, Input},
};

/// One leaf entry: its key, and the address it leads to.
pub(super) type Visit<'a> = dyn FnMut(&[u8], u64) -> Result<()> + 'a;

/// Visits all leaf entries of a tree of the given type (0: group, 1: chunks) in order.
pub(super) fn each_entry(
    input: &Input,
    root: u64,
    kind: u8,
    key_len: usize,
    budget: &mut Budget,
    visit: &mut Visit<'_>,
) -> Result<()> {
    // A node's children are one level lower than the node, so the tree has no loops.
    let mut waiting: Vec<(u64, Option<u8>)> = vec![(root, None)];
    let prefix = 8 + 2 * input.sizes.offsets;
    while let Some((address, wanted_level)) = waiting.pop() {
        let place = Place::new("version 1 B-tree node", address);
        let head = input.read(address, 8)?;
        let mut c = Cursor::new(&head, input.sizes, place);
        c.signature(*b"TREE")?;
        if c.u8()? != kind {
            return Err(place.corrupt("it is of another type than its tree"));
        }
        let level = c.u8()?;
        let entries = usize::from(c.u16()?);
        if wanted_level.is_some_and(|wanted| wanted != level) {
            return Err(place.corrupt("its level is not one below its parent's"));
        }
        let entry_len = key_len + input.sizes.offsets;
        let len = u64::try_from(prefix + entries * entry_len).unwrap_or(u64::MAX);
        budget.spend(len, place)?;
        let data: Bytes = input.read(address, len)?;
        let body = data.get(prefix..).unwrap_or_default();
        let mut children = Vec::new();
        for entry in body.chunks_exact(entry_len) {
            let (key, child) = entry.split_at(key_len);
            let child = Cursor::new(child, input.sizes, place).required_address()?;
            match level.checked_sub(1) {
                None => visit(key, child)?,
                Some(below) => children.push((child, Some(below))),
            }
        }
        waiting.extend(children.into_iter().rev());
    }
    Ok(())
}
