//! One entry for fuzzers: arbitrary bytes become a codec, its parameters and its input.
//!
//! The property: decoding ends, does not panic, and what it returns has the length that was demanded.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    AsType, Bitshuffle, Blosc, Blosc2, Bzip2, Checksum, Codec, Compression, Deflate, Delta, FixedScaleOffset,
    Fletcher32, Gzip, Lz4, Lzf, NBit, NumberClass, NumberFormat, PackBits, ScaleOffset, Shuffle, SizedLz4,
    Sum, Szip, Transpose, Xz, Zstd, bytes_in::Cursor,
};

/// Codecs that [`drive`] knows: the first byte of its input modulo this chooses one.
pub const CODECS: u8 = 24;

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
        14 => Arc::new(bitshuffle(Compression::Zstd)?),
        15 => Arc::new(Gzip),
        16 => Arc::new(SizedLz4),
        17 => Arc::new(Xz),
        18 => Arc::new(PackBits),
        19 => {
            let sum = [Sum::Crc32c, Sum::Crc32, Sum::Adler32].into_iter().nth(size(0) % 3)?;
            Arc::new(Checksum { sum, first: parameter(1) % 2 == 0 })
        }
        20 => {
            let shape: Vec<u64> = parameters.iter().take(3).map(|n| u64::from(*n)).collect();
            let order: Vec<usize> =
                parameters.iter().skip(3).take(3).filter_map(|n| usize::try_from(*n).ok()).collect();
            Arc::new(Transpose::new(&shape, &order, size(6)).ok()?)
        }
        21 => Arc::new(Delta::new(number(parameter(0)), number(parameter(1))).ok()?),
        22 => {
            let (scale, offset) = (f64::from(parameter(2)), f64::from(parameter(3)));
            Arc::new(FixedScaleOffset::new(number(parameter(0)), number(parameter(1)), scale, offset).ok()?)
        }
        _ => Arc::new(AsType::new(number(parameter(0)), number(parameter(1))).ok()?),
    })
}

/// Any format of numbers, sizes that there are none of included.
fn number(choice: u32) -> NumberFormat {
    let class = match choice % 3 {
        0 => NumberClass::Signed,
        1 => NumberClass::Unsigned,
        _ => NumberClass::Float,
    };
    let size = usize::try_from(choice / 3 % 10).unwrap_or(0);
    NumberFormat { class, size, big_endian: (choice / 30).is_multiple_of(2) }
}
