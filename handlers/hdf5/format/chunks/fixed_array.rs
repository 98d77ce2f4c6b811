//! The fixed array: the chunk index of datasets that cannot grow without limit.

use cdm::Result;

use super::{
    super::cursor::{Cursor, Place},
    Collector, bit,
};

pub(super) fn read(all: &mut Collector<'_>, address: u64) -> Result<()> {
    let input = all.input;
    let place = Place::new("fixed array", address);
    let len = 12 + u64::try_from(input.sizes.offsets + input.sizes.lengths).unwrap_or(16);
    let data = all.read_checked(len, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.signature(*b"FAHD")?;
    c.version(0..=0)?;
    let client = c.u8()?;
    let element_size = all.check_element_size(client, c.u8()?, place)?;
    let page_bits = u32::from(c.u8()?);
    let count = c.length()?;
    let Some(block) = c.address()? else { return Ok(()) };
    let per_page = 1_u64.checked_shl(page_bits).ok_or_else(|| place.corrupt("its page size"))?;

    let place = Place::new("fixed array data block", block);
    let prefix = 6 + u64::try_from(input.sizes.offsets).unwrap_or(8);
    let paged = count > per_page;
    let body =
        if paged { count.div_ceil(per_page).div_ceil(8) } else { checked(count, element_size, place)? };
    let whole = checked_sum(&[prefix, body, 4], place)?;
    let data = all.read_checked(whole, place)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.signature(*b"FADB")?;
    c.version(0..=0)?;
    if c.u8()? != client || c.address()? != Some(address) {
        return Err(place.corrupt("it belongs to another array"));
    }
    if !paged {
        return elements(all, 0, element_size, &mut c);
    }
    let initialized = c.rest();
    let page_len = checked_sum(&[checked(per_page, element_size, place)?, 4], place)?;
    for page in 0..count.div_ceil(per_page) {
        if !bit(initialized, page) {
            continue;
        }
        let first = page * per_page;
        let in_page = per_page.min(count - first);
        // The page bitmap has been read, so page numbers are bounded by the file's size.
        let at = checked_sum(&[block, whole, checked(page, page_len, place)?], place)?;
        let place = Place::new("fixed array page", at);
        let data = all.read_checked(in_page * element_size + 4, place)?;
        elements(all, first, element_size, &mut Cursor::new(&data, input.sizes, place))?;
    }
    Ok(())
}

/// The elements that a block or page consists of.
pub(super) fn elements(all: &mut Collector<'_>, first: u64, size: u64, c: &mut Cursor<'_>) -> Result<()> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut index = first;
    while c.remaining() > 0 {
        let mut element = Cursor::new(c.take(size)?, c.sizes(), c.place);
        all.element(index, &mut element)?;
        index = index.saturating_add(1);
    }
    Ok(())
}

/// A product of sizes from the file.
pub(super) fn checked(a: u64, b: u64, place: Place) -> Result<u64> {
    a.checked_mul(b).ok_or_else(|| place.corrupt("its size is impossible"))
}

/// A sum of sizes from the file.
pub(super) fn checked_sum(parts: &[u64], place: Place) -> Result<u64> {
    let sum = parts.iter().try_fold(0_u64, |n, part| n.checked_add(*part));
    sum.ok_or_else(|| place.corrupt("its size is impossible"))
}
