//! Deflate in a zlib wrapper (HDF5 filter 1, Zarr `zlib`), by libdeflate.

#![warn(clippy::indexing_slicing)]

use std::cell::RefCell;

use bytes::Bytes;
use cdm::{Encoding, Error, Result};
use libdeflater::{DecompressionError, Decompressor};

use super::{
    Codec,
    bytes_in::{output_limit, wrong_len, zeroed},
    filled,
};

/// Deflate's largest possible expansion.
const EXPANSION: usize = 1032;

thread_local! {
    /// Its tables are 11 KiB and take longer to make than a small chunk takes to decode.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// zlib-wrapped deflate.
#[derive(Debug)]
pub struct Deflate;

impl Codec for Deflate {
    fn name(&self) -> &'static str {
        "deflate"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Zlib
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        decode(Frame::Zlib, &input, decoded_len)
    }

    fn decode_into(&self, input: Bytes, out: &mut [u8]) -> Result<()> {
        inflate_exact(&input, out)
    }
}

/// What is around the deflated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Zlib,
    Gzip,
}

/// Inflates `input` to `decoded_len` bytes, or to whatever comes.
pub(super) fn decode(frame: Frame, input: &[u8], decoded_len: Option<usize>) -> Result<Bytes> {
    if let Some(len) = decoded_len {
        return filled(len, |out| exact(frame, input, out));
    }
    let limit = output_limit(None, input.len(), EXPANSION);
    let mut room = input.len().saturating_mul(4).clamp(4096, limit.max(4096));
    loop {
        let mut out = zeroed(room)?;
        match inflate(frame, input, &mut out) {
            Ok(len) => {
                out.truncate(len);
                return Ok(out.into());
            }
            Err(DecompressionError::InsufficientSpace) if room < limit => {
                room = room.saturating_mul(4).min(limit);
            }
            Err(e) => return Err(damaged(e)),
        }
    }
}

/// Inflates `input` so that it fills `out` exactly.
pub(super) fn inflate_exact(input: &[u8], out: &mut [u8]) -> Result<()> {
    exact(Frame::Zlib, input, out)
}

fn exact(frame: Frame, input: &[u8], out: &mut [u8]) -> Result<()> {
    match inflate(frame, input, out) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(len) => Err(wrong_len(len, out.len())),
        Err(DecompressionError::InsufficientSpace) => Err(wrong_len("more", out.len())),
        Err(e) => Err(damaged(e)),
    }
}

fn inflate(frame: Frame, input: &[u8], out: &mut [u8]) -> Result<usize, DecompressionError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| match frame {
        Frame::Zlib => decompressor.zlib_decompress(input, out),
        Frame::Gzip => decompressor.gzip_decompress(input, out),
    })
}

fn damaged(cause: DecompressionError) -> Error {
    Error::corrupt("the compressed stream is damaged").with_source(cause)
}
