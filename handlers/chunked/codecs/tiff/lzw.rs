//! LZW as TIFF has it (compression 5): most significant bit first, codes grow one early; and the older form
//! that some early writers made, told by its first bytes.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};
use weezl::{BitOrder, LzwStatus, decode::Configuration};

use super::super::{
    Codec,
    bytes_in::{output_limit, wrong_len, zeroed},
};

/// A code of 12 bits stands for at most 4096 bytes.
const EXPANSION: usize = 2731;

/// LZW with codes of 9 to 12 bits.
#[derive(Debug)]
pub struct Lzw;

impl Codec for Lzw {
    fn name(&self) -> &'static str {
        "LZW"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let Some(len) = decoded_len else {
            let limit = output_limit(None, input.len(), EXPANSION);
            let mut out = Vec::new();
            let mut room = input.len().saturating_mul(4).clamp(64, limit);
            loop {
                out.clear();
                out.extend(zeroed(room)?);
                match decode(&input, &mut out)? {
                    written if written < room || room == limit => {
                        out.truncate(written);
                        return Ok(out.into());
                    }
                    _ => room = room.saturating_mul(4).min(limit),
                }
            }
        };
        let mut out = zeroed(len)?;
        let written = decode(&input, &mut out)?;
        if written == len { Ok(out.into()) } else { Err(wrong_len(written, len)) }
    }
}

/// Fills `out` as far as codes go; what comes after is not looked at, as in libtiff.
fn decode(input: &[u8], out: &mut [u8]) -> Result<usize> {
    let old = matches!(input, [0, second, ..] if second & 1 != 0);
    let configuration = if old {
        Configuration::new(BitOrder::Lsb, 8)
    } else {
        Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let mut decoder = configuration.with_yield_on_full_buffer(true).build();
    let (mut read, mut written) = (0, 0);
    while let (Some(rest), Some(room)) = (input.get(read..), out.get_mut(written..)) {
        if room.is_empty() {
            break;
        }
        let step = decoder.decode_bytes(rest, room);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Done) => break,
            Ok(_) if step.consumed_in == 0 && step.consumed_out == 0 => break,
            Ok(_) => {}
            Err(e) => return Err(Error::corrupt("the compressed stream is damaged").with_source(e)),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the TIFF 6.0 specification, section 13.
    #[test]
    fn the_specification_s_example() {
        let mut codes = Vec::new();
        for code in [256_u16, 7, 258, 8, 8, 258, 6, 257] {
            codes.extend((0..9).rev().map(|bit| code >> bit & 1 == 1));
        }
        let bytes: Vec<u8> = codes
            .chunks(8)
            .map(|bits| bits.iter().enumerate().fold(0, |byte, (i, &bit)| byte | u8::from(bit) << (7 - i)))
            .collect();
        let expected = [7, 7, 7, 8, 8, 7, 7, 6];
        assert_eq!(Lzw.decode(bytes.clone().into(), Some(8)).unwrap(), &expected[..]);
        assert_eq!(Lzw.decode(bytes.clone().into(), None).unwrap(), &expected[..]);
        assert!(Lzw.decode(bytes.into(), Some(9)).is_err());
    }
}
