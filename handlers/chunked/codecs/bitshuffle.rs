//! Bit shuffle: the first bits of all elements, then all second bits... [`unshuffle_bits`] is the raw
//! transposition, which Blosc shares; [`Bitshuffle`] is HDF5 filter 32008 with its blocks and frame.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bytes_in::{Cursor, claimed_len, index, wrong_len, zeroed},
    lz4, zstd,
};

/// How the shuffled blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all; then there is no frame either.
    None,
    /// LZ4 blocks.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

/// HDF5's bitshuffle filter.
#[derive(Debug)]
pub struct Bitshuffle {
    element_size: usize,
    /// In elements, a multiple of 8.
    block_elements: usize,
    compression: Compression,
}

impl Bitshuffle {
    /// For elements of `element_size` bytes in blocks of `block_elements`, 0 for the default.
    ///
    /// # Errors
    /// `Corrupt` for a size of 0 or a block that is not a multiple of 8 elements.
    pub fn new(element_size: usize, block_elements: usize, compression: Compression) -> Result<Self> {
        if element_size == 0 {
            return Err(Error::corrupt("bitshuffle: the element size is 0"));
        }
        if !block_elements.is_multiple_of(8) {
            return Err(Error::corrupt("bitshuffle: the block length is not a multiple of 8"));
        }
        let default = (8192 / element_size / 8 * 8).max(128);
        let block_elements = if block_elements == 0 { default } else { block_elements };
        Ok(Self { element_size, block_elements, compression })
    }

    /// Unshuffles blocks that `next` delivers into the front of `out`; what is left, fewer than 8 elements
    /// and any odd bytes, is stored as it is.
    fn blocks(
        &self,
        out: &mut [u8],
        block_elements: usize,
        mut next: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<usize> {
        let whole = out.len() / self.element_size / 8 * 8 * self.element_size;
        let block_len = block_elements.saturating_mul(self.element_size).min(whole);
        if block_len == 0 {
            return Ok(0);
        }
        let mut shuffled = zeroed(block_len)?;
        for block in out.get_mut(..whole).unwrap_or_default().chunks_mut(block_len) {
            let shuffled = shuffled.get_mut(..block.len()).unwrap_or_default();
            next(shuffled)?;
            unshuffle_bits(self.element_size, shuffled, block);
        }
        Ok(whole)
    }
}

impl Codec for Bitshuffle {
    fn name(&self) -> &'static str {
        "bitshuffle"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let mut stored = Cursor(&input);
        let (len, block_elements) = if self.compression == Compression::None {
            (claimed_len(u64::try_from(input.len()).unwrap_or(u64::MAX), decoded_len)?, self.block_elements)
        } else {
            let len = claimed_len(stored.u64_be()?, decoded_len)?;
            let expansion =
                if self.compression == Compression::Zstd { zstd::EXPANSION } else { lz4::EXPANSION };
            if len > input.len().saturating_mul(expansion) {
                return Err(wrong_len(input.len(), len));
            }
            // The block length in the frame is in bytes and overrides the filter's; 0 is the default.
            match index(stored.u32_be()?)? / self.element_size {
                0 => (len, self.block_elements),
                n if n % 8 == 0 => (len, n),
                _ => return Err(Error::corrupt("the block length is not a multiple of 8")),
            }
        };
        let mut out = zeroed(len)?;
        let done = self.blocks(&mut out, block_elements, |shuffled| {
            if self.compression == Compression::None {
                shuffled.copy_from_slice(stored.take(shuffled.len())?);
                return Ok(());
            }
            let stored_len = index(stored.u32_be()?)?;
            let block = stored.take(stored_len)?;
            match self.compression {
                Compression::Zstd => zstd::decompress_exact(block, shuffled),
                Compression::Lz4 | Compression::None => lz4::decompress_exact(block, shuffled),
            }
        })?;
        let rest = out.get_mut(done..).unwrap_or_default();
        rest.copy_from_slice(stored.take(rest.len())?);
        if !stored.0.is_empty() {
            return Err(wrong_len("more", len));
        }
        Ok(out.into())
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        (self.compression == Compression::None).then_some(decoded_len)
    }
}

/// Undoes the bit shuffle of `input`, a multiple of 8 elements, into `out`, which is as long.
///
/// The input is a matrix of bits: one row for each bit of an element, least significant first, and one
/// column for each element.
pub(super) fn unshuffle_bits(element_size: usize, input: &[u8], out: &mut [u8]) {
    debug_assert!(input.len().is_multiple_of(element_size * 8) && input.len() == out.len());
    let row_len = input.len() / element_size / 8;
    if row_len == 0 {
        return;
    }
    for (byte, rows) in input.chunks_exact(row_len * 8).enumerate() {
        let mut columns: [std::slice::Iter<'_, u8>; 8] = std::array::from_fn(|_| [].iter());
        for (column, row) in columns.iter_mut().zip(rows.chunks_exact(row_len)) {
            *column = row.iter();
        }
        for elements in out.chunks_exact_mut(element_size * 8) {
            let square = columns.each_mut().map(|column| column.next().copied().unwrap_or_default());
            let bytes = transpose_bits(u64::from_le_bytes(square)).to_le_bytes();
            for (target, value) in elements.iter_mut().skip(byte).step_by(element_size).zip(bytes) {
                *target = value;
            }
        }
    }
}

/// Bit `i` of byte `j` becomes bit `j` of byte `i`.
#[inline]
fn transpose_bits(mut square: u64) -> u64 {
    for (shift, mask) in
        [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)]
    {
        let changed = (square ^ (square >> shift)) & mask;
        square ^= changed ^ (changed << shift);
    }
    square
}
