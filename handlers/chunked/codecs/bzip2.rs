//! bzip2 (HDF5 filter 307).

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::Encoding;
use cdm::Result;

use super::{
    Codec,
    bytes_in::{output_limit, read_bounded},
};

/// What zero bytes reach: 45 bytes stand for 45 MB, but only after 900 kB blocks; a plain bound suffices.
const EXPANSION: usize = 1 << 20;

/// One bzip2 stream.
#[derive(Debug)]
pub struct Bzip2;

impl Codec for Bzip2 {
    fn name(&self) -> &'static str {
        "bzip2"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Bzip2
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let limit = output_limit(decoded_len, input.len(), EXPANSION);
        read_bounded(bzip2::read::BzDecoder::new(&*input), decoded_len, limit).map(Bytes::from)
    }
}
