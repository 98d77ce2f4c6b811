//! LZMA2 in an xz stream (compression 34925).

use bytes::Bytes;
use cdm::Result;
use lzma_rust2::XzReader;

use super::super::{
    Codec,
    bytes_in::{output_limit, read_bounded},
};

/// What zero bytes reach, roughly.
const EXPANSION: usize = 1 << 13;

/// The largest dictionary of the presets is 64 MiB; its pages are only touched as far as data goes.
const MEMORY_KIB: u32 = 80 << 10;

/// An xz stream.
#[derive(Debug)]
pub struct Xz;

impl Codec for Xz {
    fn name(&self) -> &'static str {
        "LZMA"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        super::contained(|| {
            let limit = output_limit(decoded_len, input.len(), EXPANSION);
            let reader = XzReader::new_mem_limit(&*input, false, MEMORY_KIB);
            read_bounded(reader, decoded_len, limit).map(Bytes::from)
        })
    }
}
