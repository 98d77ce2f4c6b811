//! LZ4 in HDF5's frame (filter 32004): the length and block length, big-endian, then blocks with their
//! stored lengths. The LZ4 block format itself is [`decompress_exact`], which other codecs share.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bytes_in::{Cursor, claimed_len, index, wrong_len, zeroed},
};

/// LZ4's largest possible expansion.
pub(super) const EXPANSION: usize = 255;

/// LZ4 blocks in HDF5's frame.
#[derive(Debug)]
pub struct Lz4;

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let mut stored = Cursor(&input);
        let len = claimed_len(stored.u64_be()?, decoded_len)?;
        if len > input.len().saturating_mul(EXPANSION) {
            return Err(wrong_len(input.len(), len));
        }
        let block_len = index(stored.u32_be()?)?.min(len);
        if block_len == 0 && len > 0 {
            return Err(Error::corrupt("the block length is 0"));
        }
        let mut out = zeroed(len)?;
        for block in out.chunks_mut(block_len.max(1)) {
            let stored_len = index(stored.u32_be()?)?;
            let stored = stored.take(stored_len)?;
            if stored_len == block.len() {
                block.copy_from_slice(stored);
            } else {
                decompress_exact(stored, block)?;
            }
        }
        Ok(out.into())
    }
}

/// Decodes one LZ4 block so that it fills `out` exactly.
pub(super) fn decompress_exact(input: &[u8], out: &mut [u8]) -> Result<()> {
    // The library counts in `int`: also what it reads.
    let (Ok(_), Ok(most)) = (i32::try_from(input.len()), i32::try_from(out.len())) else {
        return Err(Error::too_large("the LZ4 block is larger than LZ4 blocks are"));
    };
    let written = lz4::block::decompress_to_buffer(input, Some(most), out)
        .map_err(|e| Error::corrupt("the LZ4 block is damaged").with_source(e))?;
    if written == out.len() { Ok(()) } else { Err(wrong_len(written, out.len())) }
}
