//! Deflate in a gzip frame (Zarr `gzip`), one member, by libdeflate.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Encoding, Result};

use super::{Codec, deflate};

/// One gzip member.
#[derive(Debug)]
pub struct Gzip;

impl Codec for Gzip {
    fn name(&self) -> &'static str {
        "gzip"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Gzip
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        deflate::decode(deflate::Frame::Gzip, &input, decoded_len)
    }
}
