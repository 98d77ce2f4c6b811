//! Chunk codecs: pure functions from stored bytes to decoded bytes. No I/O, CPU only.
//!
//! One file per codec; the algorithm is apart from its frame where several formats share it. Which codec a
//! format means by which name or number is the format's business, not ours.

mod bits;
mod bitshuffle;
mod blosc;
mod blosc2;
mod blosc_filters;
mod blosclz;
pub(crate) mod bytes_in;
mod bzip2;
mod checksums;
mod deflate;
mod fletcher32;
pub mod fuzz;
mod gzip;
mod lz4;
mod lzf;
mod lzma;
mod nbit;
mod numcodecs;
mod rice;
mod scaleoffset;
mod shuffle;
mod szip;
pub mod tiff;
mod transpose;
mod zstd;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use cdm::{Encoding, Error, Result, ResultExt};

pub use self::{
    bitshuffle::{Bitshuffle, Compression},
    blosc::Blosc,
    blosc2::Blosc2,
    bzip2::Bzip2,
    checksums::{Checksum, Sum},
    deflate::Deflate,
    fletcher32::Fletcher32,
    gzip::Gzip,
    lz4::Lz4,
    lzf::Lzf,
    lzma::Xz,
    nbit::NBit,
    numcodecs::{AsType, Delta, FixedScaleOffset, NumberClass, NumberFormat, PackBits, SizedLz4},
    scaleoffset::ScaleOffset,
    shuffle::Shuffle,
    szip::Szip,
    transpose::Transpose,
    zstd::Zstd,
};

/// One stage of a chunk's encoding.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// For messages: `deflate`.
    fn name(&self) -> &'static str;

    /// Decodes to `decoded_len` bytes when that is known (`None` for a stage before one whose encoded
    /// length varies).
    ///
    /// # Errors
    /// `Corrupt` when the input is not valid, or does not decode to exactly `decoded_len` bytes; output
    /// is never allocated beyond what `decoded_len`, or the input's possible expansion, justifies.
    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes>;

    /// The encoded length of `decoded_len` bytes when it does not depend on their values.
    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        let _ = decoded_len;
        None
    }

    /// What others call it.
    fn encoding(&self) -> Encoding {
        Encoding::Other(self.name())
    }
}

/// The stages of a chunk's encoding, in encoding order.
#[derive(Debug, Clone, Default)]
pub struct Pipeline(Vec<Arc<dyn Codec>>);

impl Pipeline {
    /// Stages in encoding order; decoding runs them backwards.
    pub fn new(stages: Vec<Arc<dyn Codec>>) -> Self {
        Self(stages)
    }

    /// What each stage is, in encoding order.
    pub fn encodings(&self) -> Vec<Encoding> {
        self.0.iter().map(|stage| stage.encoding()).collect()
    }

    /// True when chunks are stored as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decodes one chunk to exactly `decoded_len` bytes. Bit `i` of `filter_mask` skips stage `i`.
    pub fn decode(&self, input: Bytes, decoded_len: usize, filter_mask: u32) -> Result<Bytes> {
        let skipped = |i: usize| i < 32 && filter_mask & (1 << i) != 0;
        // The length before each stage's encoding, as far as it does not depend on values.
        let mut lens = Vec::with_capacity(self.0.len());
        let mut len = Some(decoded_len);
        for (i, stage) in self.0.iter().enumerate() {
            lens.push(len);
            if !skipped(i) {
                len = len.and_then(|n| stage.encoded_len(n));
            }
        }
        let mut data = input;
        for (i, (stage, len)) in self.0.iter().zip(lens).enumerate().rev() {
            if !skipped(i) {
                data = stage.decode(data, len).within(|| stage.name())?;
            }
        }
        if data.len() != decoded_len {
            return Err(Error::corrupt(format!(
                "a chunk decodes to {} bytes, not {decoded_len}",
                data.len()
            )));
        }
        Ok(data)
    }

    /// Decodes one chunk whose length its metadata do not tell.
    pub fn decode_any(&self, input: Bytes) -> Result<Bytes> {
        self.0.iter().rev().try_fold(input, |data, stage| stage.decode(data, None).within(|| stage.name()))
    }
}
