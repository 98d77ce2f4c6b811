//! Zstandard (HDF5 filter 32015, Zarr `zstd`).

#![warn(clippy::indexing_slicing)]

use std::cell::RefCell;

use bytes::Bytes;
use cdm::{Encoding, Error, ErrorKind, Result};
use zstd::zstd_safe::{DCtx, ErrorCode, get_error_name, get_frame_content_size};

use super::{
    Codec,
    bytes_in::{claimed_len, output_limit, wrong_len, zeroed},
    filled,
};

/// A run-length block of 4 bytes stands for at most 128 KiB.
pub(super) const EXPANSION: usize = 32 << 10;

/// `ZSTD_error_dstSize_tooSmall`, as the library returns it.
const NO_ROOM: ErrorCode = 0_usize.wrapping_sub(70);

thread_local! {
    /// 160 KiB, so made once per thread.
    static CONTEXT: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// One or more Zstandard frames.
#[derive(Debug)]
pub struct Zstd;

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Zstd
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        if let Some(len) = decoded_len {
            return filled(len, |out| decompress_exact(&input, out));
        }
        let limit = output_limit(None, input.len(), EXPANSION);
        let mut room = match get_frame_content_size(&input) {
            Ok(Some(claim)) => claimed_len(claim, None)?.min(limit),
            _ => input.len().saturating_mul(4).clamp(64, limit),
        };
        loop {
            let mut out = zeroed(room)?;
            match decompress(&input, &mut out)? {
                Ok(len) => {
                    out.truncate(len);
                    return Ok(out.into());
                }
                Err(NO_ROOM) if room < limit => room = room.max(16).saturating_mul(4).min(limit),
                Err(code) => return Err(damaged(code)),
            }
        }
    }

    fn decode_into(&self, input: Bytes, out: &mut [u8]) -> Result<()> {
        decompress_exact(&input, out)
    }
}

/// Decodes frames so that they fill `out` exactly.
pub(super) fn decompress_exact(input: &[u8], out: &mut [u8]) -> Result<()> {
    match decompress(input, out)? {
        Ok(len) if len == out.len() => Ok(()),
        Ok(len) => Err(wrong_len(len, out.len())),
        Err(NO_ROOM) => Err(wrong_len("more", out.len())),
        Err(code) => Err(damaged(code)),
    }
}

fn decompress(input: &[u8], out: &mut [u8]) -> Result<Result<usize, ErrorCode>> {
    CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = DCtx::try_create();
        }
        let context =
            context.as_mut().ok_or_else(|| Error::new(ErrorKind::Overloaded, "no memory for a decoder"))?;
        Ok(context.decompress(out, input))
    })
}

fn damaged(code: ErrorCode) -> Error {
    Error::corrupt(format!("the compressed stream is damaged ({})", get_error_name(code)))
}
