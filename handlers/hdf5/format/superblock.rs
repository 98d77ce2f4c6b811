//! The superblock: where the file's addresses begin, how wide they are, and where the root group is.

use cdm::{Error, Result};

use super::{
    SIGNATURE,
    cursor::{Cursor, Place, Sizes},
    input::{Input, verify},
};

/// What the superblock says.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) root: u64,
    /// Object header with more about the file.
    pub(super) extension: Option<u64>,
}

/// Longest superblock: version 1 with 8-byte addresses.
const LONGEST: u64 = 112;

/// Finds and reads the superblock; sets the input's base address and sizes.
pub(super) fn read(input: &mut Input) -> Result<Superblock> {
    let base = find(input)?;
    input.set_base(base);
    let place = Place::new("superblock", base);
    let data = input.read_up_to(0, LONGEST)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.skip(SIGNATURE.len())?;
    let version = c.version(0..=3)?;
    if version >= 2 {
        let sizes = Sizes { offsets: width(c.u8()?, place)?, lengths: width(c.u8()?, place)? };
        input.sizes = sizes;
        let flags = c.u8()?;
        let mut c = Cursor::new(c.rest(), sizes, place);
        let stored_base = c.address()?.unwrap_or(0);
        let extension = c.address()?;
        let end = c.required_address()?;
        let root = c.required_address()?;
        verify(&data.slice(..(12 + c.position() + 4).min(data.len())), place)?;
        check_end(input, base, end.saturating_sub(stored_base), flags, place)?;
        return Ok(Superblock { root, extension });
    }
    // Versions of the free-space, root group and shared header formats, and reserved bytes.
    c.skip(4)?;
    let sizes = Sizes { offsets: width(c.u8()?, place)?, lengths: width(c.u8()?, place)? };
    input.sizes = sizes;
    c.skip(1 + 2 + 2 + 4)?;
    if version == 1 {
        c.skip(4)?;
    }
    let mut c = Cursor::new(c.rest(), sizes, place);
    let stored_base = c.address()?.unwrap_or(0);
    let _free_space = c.address()?;
    let end = c.required_address()?;
    let driver = c.address()?;
    let _name = c.uint(sizes.offsets)?;
    let root = c.required_address()?;
    check_end(input, base, end.saturating_sub(stored_base), 0, place)?;
    if let Some(address) = driver {
        driver_block(input, address)?;
    }
    Ok(Superblock { root, extension: None })
}

/// The signature is at 0, or behind a user block at 512, 1024, 2048, ...
fn find(input: &Input) -> Result<u64> {
    let mut at = 0_u64;
    while at.saturating_add(8) <= input.object_size() {
        if *input.read(at, 8)? == SIGNATURE {
            return Ok(at);
        }
        at = if at == 0 { 512 } else { at.saturating_mul(2) };
    }
    Err(Error::corrupt("this is not an HDF5 file: it has no superblock"))
}

fn width(size: u8, place: Place) -> Result<usize> {
    match size {
        2 | 4 | 8 => Ok(usize::from(size)),
        _ => Err(place.unsupported(format_args!("addresses or lengths of {size} bytes"))),
    }
}

/// A file that is shorter than its superblock says was cut off. `len` counts from the superblock, which
/// may have been moved by putting other bytes before it.
fn check_end(input: &Input, base: u64, len: u64, flags: u8, place: Place) -> Result<()> {
    // A file open for single-writer-multiple-reader access grows before its superblock is updated.
    let being_written = flags & 0x04 != 0;
    let (end, size) = (base.saturating_add(len), input.object_size());
    if end > size && !being_written {
        return Err(place.corrupt(format_args!("the file is truncated: {size} of {end} bytes are there")));
    }
    Ok(())
}

fn driver_block(input: &Input, address: u64) -> Result<()> {
    let place = Place::new("driver information", address);
    let data = input.read(address, 16)?;
    let mut c = Cursor::new(&data, input.sizes, place);
    c.skip(8)?;
    refuse_driver(c.take(8)?, place)
}

/// Files that are one of several.
pub(super) fn refuse_driver(name: &[u8], place: Place) -> Result<()> {
    match name {
        b"NCSAfami" => Err(place.unsupported("a dataset split into a family of files is not supported")),
        b"NCSAmult" => Err(place.unsupported("a dataset split over several files is not supported")),
        _ => Ok(()),
    }
}
