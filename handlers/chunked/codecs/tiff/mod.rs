//! The codecs of TIFF: its compressions that no other format here has, its predictors, and how samples are
//! packed and interleaved in a tile or strip.
//!
//! Deflate and zstd are shared with other formats. Which tag asks for which codec is the format's business.

mod arrangement;
mod jpeg;
mod lerc;
mod lzw;
mod packbits;
mod packed;
mod predictor;
mod webp;
mod xz;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cdm::{Error, Result};

pub use self::{
    arrangement::{CutRows, Interleave, ReverseBits},
    jpeg::Jpeg,
    lerc::{Lerc, LercElement},
    lzw::Lzw,
    packbits::PackBits,
    packed::PackedSamples,
    predictor::{Floating, Horizontal},
    webp::WebP,
    xz::Xz,
};

/// The length that image codecs cannot do without: it says how many rows there are.
fn demanded(decoded_len: Option<usize>) -> Result<usize> {
    decoded_len.ok_or_else(|| Error::unsupported("an image that is encoded once more"))
}

/// Whole rows in `len` bytes of rows of `row` bytes.
fn rows_of(len: usize, row: usize) -> Result<usize> {
    if row == 0 || !len.is_multiple_of(row) {
        return Err(Error::corrupt(format!("{len} bytes are not whole rows of {row}")));
    }
    Ok(len / row)
}

/// Runs an image decoder that is not ours: a panic in it is damaged data, not a defect of the server.
fn contained<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Error::corrupt("the image is damaged so badly that its decoder gave up")))
}
