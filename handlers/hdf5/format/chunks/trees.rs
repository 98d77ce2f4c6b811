//! Chunk indexes that are B-trees: version 1 (all chunks before HDF5 1.10), and version 2 (several
//! unlimited dimensions).

use cdm::Result;

use super::{
    super::{btree1, btree2::BTree2, cursor::Cursor},
    Collector,
};

/// Record types of a version 2 tree.
const UNFILTERED: u8 = 10;
const FILTERED: u8 = 11;

pub(super) fn read_v1(all: &mut Collector<'_>, address: u64) -> Result<()> {
    let (input, place, layout) = (all.input, all.place, all.layout);
    let rank = all.grid.rank();
    // Size, mask and the offset of the first element along each axis; one more for the element's bytes.
    let key_len = 8 + 8 * (rank + 1);
    let mut budget = input.budget();
    let mut position = vec![0; rank];
    btree1::each_entry(input, address, 1, key_len, &mut budget, &mut |key, child| {
        let mut c = Cursor::new(key, input.sizes, place);
        let (len, mask) = (c.u32()?, c.u32()?);
        for (at, chunk) in position.iter_mut().zip(&layout.chunk_shape) {
            let offset = c.u64()?;
            if offset % chunk != 0 {
                return Err(place.corrupt(format_args!("a chunk begins at {offset}, chunks are of {chunk}")));
            }
            *at = offset / chunk;
        }
        all.add(&position, child, u64::from(len), mask)
    })
}

pub(super) fn read_v2(all: &mut Collector<'_>, address: u64) -> Result<()> {
    let (input, place) = (all.input, all.place);
    let kind = if all.filtered { FILTERED } else { UNFILTERED };
    let tree = BTree2::open(input, address, &[kind])?;
    let rank = all.grid.rank();
    let fixed = input.sizes.offsets + 8 * rank + if all.filtered { 4 } else { 0 };
    // The bytes of a filtered chunk's size are what remains.
    let width = tree
        .record_size
        .checked_sub(fixed)
        .filter(|w| if all.filtered { (1..=8).contains(w) } else { *w == 0 });
    let width = width.ok_or_else(|| place.corrupt("its records are of the wrong size"))?;
    let mut budget = input.budget();
    let mut position = vec![0; rank];
    tree.each_record(input, &mut budget, |record| {
        let mut c = Cursor::new(record, input.sizes, place);
        let address = c.address()?;
        let (len, mask) = if all.filtered { (c.uint(width)?, c.u32()?) } else { (all.layout.chunk_bytes, 0) };
        for at in &mut position {
            *at = c.u64()?;
        }
        match address {
            Some(address) => all.add(&position, address, len, mask),
            None => Ok(()),
        }
    })
}
