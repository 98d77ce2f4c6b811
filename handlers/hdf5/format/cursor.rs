//! Reading numbers from bytes of one structure, every step checked.

use std::fmt::Display;

use cdm::{Error, Result};

/// Which structure is being read, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) structure: &'static str,
    pub(super) address: u64,
}

impl Place {
    pub(super) fn new(structure: &'static str, address: u64) -> Self {
        Self { structure, address }
    }

    /// The structure is not what the format demands.
    pub(super) fn corrupt(self, why: impl Display) -> Error {
        Error::corrupt(format!("the HDF5 {} at address {:#x}: {why}", self.structure, self.address))
    }

    /// The structure is of a kind that is not read here.
    pub(super) fn unsupported(self, why: impl Display) -> Error {
        Error::unsupported(format!("the HDF5 {} at address {:#x}: {why}", self.structure, self.address))
    }
}

/// Bytes that addresses and lengths take in this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) offsets: usize,
    pub(super) lengths: usize,
}

/// A position in the bytes of one structure. All numbers are little-endian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    len: usize,
    sizes: Sizes,
    pub(super) place: Place,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(data: &'a [u8], sizes: Sizes, place: Place) -> Self {
        Self { rest: data, len: data.len(), sizes, place }
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    #[inline]
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Bytes consumed so far.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else { return Err(self.short(n)) };
        self.rest = tail;
        Ok(head)
    }

    /// Apart, so that what reads is small enough to become part of its callers.
    #[cold]
    fn short(&self, n: usize) -> Error {
        self.place.corrupt(format_args!("{n} bytes are needed where {} are left", self.rest.len()))
    }

    #[inline]
    pub(super) fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    /// Moves to the next multiple of `n` bytes from the beginning, or to the end if that comes first.
    pub(super) fn align(&mut self, n: usize) {
        let over = self.position() % n;
        if over != 0 {
            let pad = (n - over).min(self.rest.len());
            self.rest = self.rest.get(pad..).unwrap_or_default();
        }
    }

    /// A number of `n` bytes, at most 8.
    #[inline]
    pub(super) fn uint(&mut self, n: usize) -> Result<u64> {
        debug_assert!(n <= 8, "callers pass widths of at most 8 bytes");
        if n == 8 {
            return self.u64();
        }
        Ok(self.take(n)?.iter().rev().fold(0, |value, &byte| (value << 8) | u64::from(byte)))
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((array, tail)) = self.rest.split_first_chunk() else { return Err(self.short(N)) };
        self.rest = tail;
        Ok(*array)
    }

    /// A length (`size_of_lengths` bytes).
    #[inline]
    pub(super) fn length(&mut self) -> Result<u64> {
        self.uint(self.sizes.lengths)
    }

    /// A length of all ones means "not limited".
    pub(super) fn limit(&mut self) -> Result<Option<u64>> {
        let n = self.sizes.lengths;
        Ok(Some(self.uint(n)?).filter(|&value| value != all_ones(n)))
    }

    /// An address (`size_of_offsets` bytes); all ones means "none".
    #[inline]
    pub(super) fn address(&mut self) -> Result<Option<u64>> {
        let n = self.sizes.offsets;
        Ok(Some(self.uint(n)?).filter(|&value| value != all_ones(n)))
    }

    /// An address that must be there.
    pub(super) fn required_address(&mut self) -> Result<u64> {
        let place = self.place;
        self.address()?.ok_or_else(|| place.corrupt("an address it needs is undefined"))
    }

    /// A u32 as a usize.
    pub(super) fn size32(&mut self) -> Result<usize> {
        let value = self.u32()?;
        usize::try_from(value).map_err(|e| self.place.corrupt("a size is out of range").with_source(e))
    }

    /// The four bytes a structure begins with.
    pub(super) fn signature(&mut self, wanted: [u8; 4]) -> Result<()> {
        if self.take(4)? == wanted {
            Ok(())
        } else {
            Err(self.place.corrupt(format_args!("it does not begin with {}", wanted.escape_ascii())))
        }
    }

    /// A version that must be one of `known`.
    pub(super) fn version(&mut self, known: std::ops::RangeInclusive<u8>) -> Result<u8> {
        let version = self.u8()?;
        if known.contains(&version) {
            Ok(version)
        } else {
            Err(self.place.unsupported(format_args!("version {version} is unknown")))
        }
    }

    /// Text up to the first NUL or the end.
    pub(super) fn text_to_nul(&mut self) -> Result<String> {
        let len = self.rest.iter().position(|&b| b == 0).unwrap_or(self.rest.len());
        let text = text(self.take(len)?);
        if !self.rest.is_empty() {
            self.skip(1)?;
        }
        Ok(text)
    }
}

/// The undefined address or unlimited length of `n` bytes.
pub(super) fn all_ones(n: usize) -> u64 {
    if n >= 8 { u64::MAX } else { (1 << (8 * n)) - 1 }
}

/// Text up to the first NUL; what is not UTF-8 is replaced.
pub(super) fn text<T: for<'a> From<&'a str>>(bytes: &[u8]) -> T {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = bytes.get(..end).unwrap_or_default();
    // Nearly all text is sound, and seeing that takes less than looking for what to replace.
    str::from_utf8(text).map_or_else(|_| T::from(&String::from_utf8_lossy(text)), T::from)
}

/// Bytes that a number up to `limit` takes in the format's variable-width fields.
pub(super) fn width_of(limit: u64) -> usize {
    let bits = limit.checked_ilog2().unwrap_or(0);
    usize::try_from(bits / 8 + 1).unwrap_or(8)
}
