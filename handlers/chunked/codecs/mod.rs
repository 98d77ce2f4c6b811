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
use cdm::{Encoding, Result, ResultExt};

use self::bytes_in::wrong_len;
use crate::buffers::Buffer;

pub(super) use self::shuffle::{unshuffle_every, unshuffle_run};
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

    /// As [`Codec::decode`], into memory that is there already, which is filled exactly.
    ///
    /// # Errors
    /// As [`Codec::decode`].
    fn decode_into(&self, input: Bytes, out: &mut [u8]) -> Result<()> {
        let decoded = self.decode(input, Some(out.len()))?;
        fill(out, &decoded)
    }

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
        let stages = self.stages(decoded_len, filter_mask);
        let data = decode_all(&stages, input)?;
        if data.len() != decoded_len {
            return Err(wrong_len(data.len(), decoded_len));
        }
        Ok(data)
    }

    /// Decodes one chunk into `out`, which it fills exactly. Bit `i` of `filter_mask` skips stage `i`.
    pub(crate) fn decode_into(&self, input: Bytes, out: &mut [u8], filter_mask: u32) -> Result<()> {
        let stages = self.stages(out.len(), filter_mask);
        match stages.split_first() {
            Some(((first, _), others)) => {
                first.decode_into(decode_all(others, input)?, out).within(|| first.name())
            }
            None => fill(out, &input),
        }
    }

    /// The stages that are not skipped, in encoding order, each with the length before its encoding as far
    /// as that does not depend on values.
    fn stages(&self, decoded_len: usize, filter_mask: u32) -> Vec<(&dyn Codec, Option<usize>)> {
        let skipped = |i: usize| i < 32 && filter_mask & (1 << i) != 0;
        let mut len = Some(decoded_len);
        let stages = self.0.iter().enumerate().filter(|(i, _)| !skipped(*i));
        stages
            .map(|(_, stage)| {
                let before = len;
                len = len.and_then(|n| stage.encoded_len(n));
                (stage.as_ref(), before)
            })
            .collect()
    }

    /// Decodes one chunk whose length its metadata do not tell.
    pub fn decode_any(&self, input: Bytes) -> Result<Bytes> {
        self.0.iter().rev().try_fold(input, |data, stage| stage.decode(data, None).within(|| stage.name()))
    }
}

fn decode_all(stages: &[(&dyn Codec, Option<usize>)], input: Bytes) -> Result<Bytes> {
    stages.iter().rev().try_fold(input, |data, (stage, len)| stage.decode(data, *len).within(|| stage.name()))
}

fn fill(out: &mut [u8], decoded: &[u8]) -> Result<()> {
    if decoded.len() != out.len() {
        return Err(wrong_len(decoded.len(), out.len()));
    }
    out.copy_from_slice(decoded);
    Ok(())
}

/// `len` bytes that `decode` fills, in memory that is used again.
fn filled(len: usize, decode: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Bytes> {
    let mut out = Buffer::new(len)?;
    decode(&mut out)?;
    Ok(out.freeze())
}
