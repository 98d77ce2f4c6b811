//! One entry for fuzzers: arbitrary bytes become a codec, its parameters and its input.
//!
//! The property: decoding ends, does not panic, and what it returns has the length that was demanded.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Bitshuffle, Blosc, Blosc2, Bzip2, Codec, Compression, Deflate, Fletcher32, Lz4, Lzf, NBit, ScaleOffset,
    Shuffle, Szip, Zstd, bytes_in::Cursor,
};

/// Codecs that [`drive`] knows: the first byte of its input modulo this chooses one.
pub const CODECS: u8 = 15;

/// Decodes what `bytes` describe, twice: to a length the bytes name and to whatever comes. Returns the
/// codec's name and whether decoding succeeded, or `None` when the bytes describe nothing.
///
/// Layout: codec, u16 decoded length, count of u32 parameters (at most 40), parameters, input.
///
/// # Panics
/// When a codec breaks its contract on lengths.
pub fn drive(bytes: &[u8]) -> Option<(&'static str, bool)> {
    let mut bytes = Cursor(bytes);
    let choice = bytes.u8().ok()?;
    let decoded_len = usize::from(bytes.u16_be().ok()?);
    let count = bytes.u8().ok()? % 41;
    let parameters: Vec<u32> = (0..count).map(|_| bytes.u32_le()).collect::<Result<_, _>>().ok()?;
    let codec = codec(choice, &parameters)?;
    let input = Bytes::copy_from_slice(bytes.0);
    let named = codec.decode(input.clone(), Some(decoded_len));
    if let Ok(decoded) = &named {
        assert_eq!(decoded.len(), decoded_len, "{} returns another length than demanded", codec.name());
    }
    let free = codec.decode(input, None);
    Some((codec.name(), named.is_ok() || free.is_ok()))
}

fn codec(choice: u8, parameters: &[u32]) -> Option<Arc<dyn Codec>> {
    let parameter = |i: usize| parameters.get(i).copied().unwrap_or(0);
    let size = |i| usize::try_from(parameter(i)).unwrap_or(usize::MAX);
    let bitshuffle = |compression| Bitshuffle::new(size(0), size(1), compression).ok();
    Some(match choice % CODECS {
        0 => Arc::new(Deflate),
        1 => Arc::new(Shuffle::new(size(0))),
        2 => Arc::new(Fletcher32),
        3 => Arc::new(Szip::new(parameter(0), parameter(1), parameter(2), parameter(3)).ok()?),
        4 => Arc::new(NBit::new(parameters).ok()?),
        5 => Arc::new(ScaleOffset::new(parameters).ok()?),
        6 => Arc::new(Lzf),
        7 => Arc::new(Zstd),
        8 => Arc::new(Bzip2),
        9 => Arc::new(Lz4),
        10 => Arc::new(Blosc),
        11 => Arc::new(Blosc2),
        12 => Arc::new(bitshuffle(Compression::None)?),
        13 => Arc::new(bitshuffle(Compression::Lz4)?),
        _ => Arc::new(bitshuffle(Compression::Zstd)?),
    })
}
