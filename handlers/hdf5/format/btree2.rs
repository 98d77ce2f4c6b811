//! Version 2 B-trees: records of one fixed size, in order, in checksummed nodes.

use cdm::Result;

use super::{
    cursor::{Cursor, Place, width_of},
    input::{Budget, Input},
};

/// Signature, version and type before the records, checksum after them.
const NODE_OVERHEAD: u64 = 10;
/// 2^64 records need fewer levels than this even with two children a node.
const DEEPEST: usize = 64;

/// What a header says.
#[derive(Debug)]
pub(super) struct BTree2 {
    pub(super) record_size: usize,
    kind: u8,
    root: Option<u64>,
    root_records: u16,
    levels: Vec<Level>,
    /// Bytes of a child's record count.
    count_width: usize,
}

/// What nodes of one level may hold; level 0 is the leaves.
#[derive(Debug, Clone, Copy)]
struct Level {
    max_records: u64,
    /// Bytes of the number of all records below a child of this level.
    total_width: usize,
}

impl BTree2 {
    /// Reads the header; the tree's type must be one of `kinds`.
    pub(super) fn open(input: &Input, address: u64, kinds: &[u8]) -> Result<Self> {
        let place = Place::new("version 2 B-tree", address);
        let data = input.read_checked(
            22 + u64::try_from(input.sizes.offsets + input.sizes.lengths).unwrap_or(16),
            place,
        )?;
        let mut c = Cursor::new(&data, input.sizes, place);
        c.signature(*b"BTHD")?;
        c.version(0..=0)?;
        let kind = c.u8()?;
        if !kinds.contains(&kind) {
            return Err(place.corrupt(format_args!("its records are of type {kind}, not of {kinds:?}")));
        }
        let node_size = u64::from(c.u32()?);
        let record_size = u64::from(c.u16()?);
        let depth = usize::from(c.u16()?);
        c.skip(2)?;
        let root = c.address()?;
        let root_records = c.u16()?;
        if record_size == 0 || depth > DEEPEST || node_size <= NODE_OVERHEAD {
            return Err(place.corrupt("its node size, record size or depth is impossible"));
        }
        let leaf_records = (node_size - NODE_OVERHEAD) / record_size;
        let count_width = width_of(leaf_records);
        let mut levels = vec![Level { max_records: leaf_records, total_width: 0 }];
        let mut total = leaf_records;
        let mut below = 0_usize;
        for _ in 0..depth {
            let pointer = u64::try_from(input.sizes.offsets + count_width + below).unwrap_or(u64::MAX);
            let free = node_size.checked_sub(NODE_OVERHEAD + pointer);
            let max_records = free.map_or(0, |free| free / (record_size + pointer));
            if max_records == 0 {
                return Err(place.corrupt("its nodes are too small for its depth"));
            }
            total = max_records.saturating_add(1).saturating_mul(total).saturating_add(max_records);
            below = width_of(total);
            levels.push(Level { max_records, total_width: below });
        }
        let record_size = usize::try_from(record_size).unwrap_or(usize::MAX);
        Ok(Self { record_size, kind, root, root_records, levels, count_width })
    }

    /// Calls `each` with every record, in no particular order.
    pub(super) fn each_record(
        &self,
        input: &Input,
        budget: &mut Budget,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(root) = self.root else { return Ok(()) };
        let mut waiting = vec![(root, u64::from(self.root_records), self.levels.len() - 1)];
        while let Some((address, records, depth)) = waiting.pop() {
            let place = Place::new("version 2 B-tree node", address);
            let max = self.levels.get(depth).map_or(0, |l| l.max_records);
            // Width of the totals in this node: those of the children's level.
            let below = depth.checked_sub(1).and_then(|d| self.levels.get(d)).map_or(0, |l| l.total_width);
            if records > max {
                return Err(place.corrupt("it has more records than fit in it"));
            }
            let pointer = input.sizes.offsets + self.count_width + below;
            let records = usize::try_from(records).unwrap_or(usize::MAX);
            let children = if depth == 0 { 0 } else { records + 1 };
            // Both products are bounded by the node size, a 32-bit number.
            let len = u64::try_from(records * self.record_size + children * pointer).unwrap_or(u64::MAX)
                + NODE_OVERHEAD;
            budget.spend(len, place)?;
            let data = input.read_checked(len, place)?;
            let mut c = Cursor::new(&data, input.sizes, place);
            c.signature(if depth == 0 { *b"BTLF" } else { *b"BTIN" })?;
            c.version(0..=0)?;
            if c.u8()? != self.kind {
                return Err(place.corrupt("its type is not its tree's"));
            }
            for _ in 0..records {
                each(c.take(self.record_size)?)?;
            }
            for _ in 0..children {
                let child = c.required_address()?;
                let count = c.uint(self.count_width)?;
                c.skip(below)?;
                waiting.push((child, count, depth - 1));
            }
        }
        Ok(())
    }
}
