//! `PackBits` (compression 32773): runs and literals, byte by byte.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::super::{
    Codec,
    bytes_in::{output_limit, wrong_len},
};

/// Two bytes stand for at most 128.
const EXPANSION: usize = 64;

/// Apple's `PackBits`.
#[derive(Debug)]
pub struct PackBits;

impl Codec for PackBits {
    fn name(&self) -> &'static str {
        "PackBits"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let limit = output_limit(decoded_len, input.len(), EXPANSION);
        let mut out: Vec<u8> = Vec::with_capacity(limit.min(input.len().saturating_mul(EXPANSION)));
        let mut rest = &input[..];
        while let Some((&head, tail)) = rest.split_first() {
            if out.len() >= limit {
                break;
            }
            rest = match head {
                0..=127 => {
                    let literal = tail.split_at_checked(usize::from(head) + 1);
                    let (literal, tail) =
                        literal.ok_or_else(|| Error::corrupt("a literal run ends early"))?;
                    out.extend_from_slice(literal);
                    tail
                }
                128 => tail,
                129..=255 => {
                    let (&byte, tail) =
                        tail.split_first().ok_or_else(|| Error::corrupt("a run ends early"))?;
                    out.resize(out.len() + 257 - usize::from(head), byte);
                    tail
                }
            };
        }
        match decoded_len {
            Some(len) if out.len() < len => Err(wrong_len(out.len(), len)),
            // A last run may go beyond: libtiff cuts it off.
            _ => {
                out.truncate(limit);
                Ok(out.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Apple's Technical Note TN1023.
    #[test]
    fn the_technical_note_s_example() {
        let packed =
            [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let unpacked = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        let input = Bytes::copy_from_slice(&packed);
        assert_eq!(PackBits.decode(input.clone(), Some(24)).unwrap(), &unpacked[..]);
        assert_eq!(PackBits.decode(input.clone(), None).unwrap(), &unpacked[..]);
        assert!(PackBits.decode(input.clone(), Some(25)).is_err());
        assert!(PackBits.decode(input.slice(..14), Some(24)).is_err());
    }
}
