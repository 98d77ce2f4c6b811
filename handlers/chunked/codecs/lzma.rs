//! XZ streams (numcodecs `lzma` in its usual format).

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::Result;
use lzma_rust2::XzReader;

use super::{
    Codec,
    bytes_in::{output_limit, read_bounded},
};

/// A long run takes almost nothing; a plain bound suffices.
const EXPANSION: usize = 8192;

/// KiB that a decoder may take: enough for the dictionary of the highest preset, 64 MiB.
const MEMORY: u32 = 72 << 10;

/// One XZ stream.
#[derive(Debug)]
pub struct Xz;

impl Codec for Xz {
    fn name(&self) -> &'static str {
        "lzma"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let limit = output_limit(decoded_len, input.len(), EXPANSION);
        read_bounded(XzReader::new_mem_limit(&*input, false, MEMORY), decoded_len, limit).map(Bytes::from)
    }
}
