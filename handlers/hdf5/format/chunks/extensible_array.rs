//! The extensible array: the chunk index of datasets with one unlimited dimension.
//!
//! Its first elements are in the index block; the next in data blocks whose addresses are in the index
//! block; the rest in data blocks of super blocks. Super block `u` (the index block stands for the
//! first few) has `2^(u/2)` data blocks of `2^((u+1)/2)` times the smallest data block's elements. Data
//! blocks larger than a page are divided into pages.

use cdm::Result;

use super::{
    super::cursor::{Cursor, Place},
    Collector, bit,
    fixed_array::{checked, checked_sum, elements},
};

struct Array {
    header: u64,
    client: u8,
    element_size: u64,
    /// Bytes of a block's offset.
    offset_width: u64,
    smallest_block: u64,
    per_page: u64,
    super_blocks: u32,
}

impl Array {
    /// Data blocks of super block `u`.
    fn blocks(u: u32) -> u64 {
        1_u64.checked_shl(u / 2).unwrap_or(u64::MAX)
    }

    /// Elements of a data block of super block `u`.
    fn block_elements(&self, u: u32) -> u64 {
        1_u64.checked_shl(u.div_ceil(2)).unwrap_or(u64::MAX).saturating_mul(self.smallest_block)
    }

    /// Pages of such a data block; 0 when it is not divided.
    fn pages(&self, u: u32) -> u64 {
        let elements = self.block_elements(u);
        if elements > self.per_page { elements / self.per_page } else { 0 }
    }
}

pub(super) fn read(all: &mut Collector<'_>, address: u64) -> Result<()> {
    let input = all.input;
    let place = Place::new("extensible array", address);
    let len = 16 + u64::try_from(input.sizes.offsets + 6 * input.sizes.lengths).unwrap_or(56);
    let data = all.read_checked(len, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.signature(*b"EAHD")?;
    c.version(0..=0)?;
    let client = c.u8()?;
    let element_size = all.check_element_size(client, c.u8()?, place)?;
    let max_bits = u32::from(c.u8()?);
    let in_index = u64::from(c.u8()?);
    let smallest_block = u64::from(c.u8()?);
    let min_pointers = u64::from(c.u8()?);
    let page_bits = u32::from(c.u8()?);
    c.skip(6 * input.sizes.lengths)?;
    let Some(index_block) = c.address()? else { return Ok(()) };
    let sound = smallest_block.is_power_of_two()
        && min_pointers.is_power_of_two()
        && (1..=64).contains(&max_bits)
        && page_bits < 64
        && smallest_block.ilog2() <= max_bits;
    if !sound {
        return Err(place.corrupt("its parameters are impossible"));
    }
    let array = Array {
        header: address,
        client,
        element_size,
        offset_width: u64::from(max_bits.div_ceil(8)),
        smallest_block,
        per_page: 1 << page_bits,
        super_blocks: 1 + max_bits - smallest_block.ilog2(),
    };
    index_block_at(all, &array, index_block, in_index, min_pointers)
}

/// The prefix that all blocks share.
fn block_prefix(array: &Array, c: &mut Cursor<'_>, signature: [u8; 4]) -> Result<()> {
    c.signature(signature)?;
    c.version(0..=0)?;
    if c.u8()? != array.client || c.address()? != Some(array.header) {
        return Err(c.place.corrupt("it belongs to another array"));
    }
    Ok(())
}

fn index_block_at(
    all: &mut Collector<'_>,
    array: &Array,
    address: u64,
    in_index: u64,
    min_pointers: u64,
) -> Result<()> {
    let input = all.input;
    let place = Place::new("extensible array index block", address);
    let pointer = u64::try_from(input.sizes.offsets).unwrap_or(8);
    // The index block has the data blocks of this many super blocks itself.
    let direct = 2 * min_pointers.ilog2();
    let Some(indirect) = array.super_blocks.checked_sub(direct) else {
        return Err(place.corrupt("it has more super blocks than its array"));
    };
    let pointers = 2 * (min_pointers - 1) + u64::from(indirect);
    let len = 6 + pointer + in_index * array.element_size + pointers * pointer + 4;
    let data = all.read_checked(len, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    block_prefix(array, &mut c, *b"EAIB")?;
    let own = c.take(usize::try_from(in_index * array.element_size).unwrap_or(usize::MAX))?;
    elements(all, 0, array.element_size, &mut Cursor::new(own, input.sizes, place))?;
    let mut first = in_index;
    for u in 0..direct {
        for _ in 0..Array::blocks(u) {
            if let Some(block) = c.address()? {
                if array.pages(u) != 0 {
                    return Err(place.corrupt("a data block of the index block is divided into pages"));
                }
                data_block(all, array, block, u, first, &mut |_| true)?;
            }
            first = first.saturating_add(array.block_elements(u));
        }
    }
    for u in direct..array.super_blocks {
        if let Some(block) = c.address()? {
            super_block(all, array, block, u, first)?;
        }
        first = first.saturating_add(array.block_elements(u).saturating_mul(Array::blocks(u)));
    }
    Ok(())
}

fn super_block(all: &mut Collector<'_>, array: &Array, address: u64, u: u32, first: u64) -> Result<()> {
    let input = all.input;
    let place = Place::new("extensible array super block", address);
    let pointer = u64::try_from(input.sizes.offsets).unwrap_or(8);
    let (blocks, pages) = (Array::blocks(u), array.pages(u));
    let bitmaps = checked(blocks, pages.div_ceil(8), place)?;
    let len = checked_sum(
        &[6 + pointer + array.offset_width, bitmaps, checked(blocks, pointer, place)?, 4],
        place,
    )?;
    let data = all.read_checked(len, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    block_prefix(array, &mut c, *b"EASB")?;
    c.skip(usize::try_from(array.offset_width).unwrap_or(8))?;
    let initialized = c.take(usize::try_from(bitmaps).unwrap_or(usize::MAX))?;
    let mut first = first;
    for number in 0..blocks {
        if let Some(block) = c.address()? {
            // The pages of all data blocks are numbered one after the other.
            let mut has_page = |page: u64| bit(initialized, number * pages + page);
            data_block(all, array, block, u, first, &mut has_page)?;
        }
        first = first.saturating_add(array.block_elements(u));
    }
    Ok(())
}

fn data_block(
    all: &mut Collector<'_>,
    array: &Array,
    address: u64,
    u: u32,
    first: u64,
    has_page: &mut dyn FnMut(u64) -> bool,
) -> Result<()> {
    let input = all.input;
    let place = Place::new("extensible array data block", address);
    let pages = array.pages(u);
    let pointer = u64::try_from(input.sizes.offsets).unwrap_or(8);
    let count = array.block_elements(u);
    let body = if pages == 0 { checked(count, array.element_size, place)? } else { 0 };
    let len = checked_sum(&[6 + pointer + array.offset_width, body, 4], place)?;
    let data = all.read_checked(len, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    block_prefix(array, &mut c, *b"EADB")?;
    c.skip(usize::try_from(array.offset_width).unwrap_or(8))?;
    if pages == 0 {
        return elements(all, first, array.element_size, &mut c);
    }
    let page_len = checked_sum(&[checked(array.per_page, array.element_size, place)?, 4], place)?;
    for page in 0..pages {
        if has_page(page) {
            let at = checked_sum(&[address, len, checked(page, page_len, place)?], place)?;
            let place = Place::new("extensible array page", at);
            let data = all.read_checked(page_len, place)?;
            let first = first.saturating_add(page.saturating_mul(array.per_page));
            elements(all, first, array.element_size, &mut Cursor::new(&data, input.sizes, place))?;
        }
    }
    Ok(())
}
