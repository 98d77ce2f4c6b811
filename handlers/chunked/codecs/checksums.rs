//! Checksums of four little-endian bytes before or after the data (Zarr `crc32c`, numcodecs' `crc32`,
//! `crc32c` and `adler32`): verified and removed.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Encoding, Error, Result};

use super::{Codec, bytes_in::wrong_len};

/// How the checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// CRC-32 with Castagnoli's polynomial.
    Crc32c,
    /// CRC-32 as in gzip.
    Crc32,
    /// Adler-32 as in zlib.
    Adler32,
}

/// A checksum and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Checksum {
    /// How it is computed.
    pub sum: Sum,
    /// It stands before the data, not after them.
    pub first: bool,
}

impl Codec for Checksum {
    fn name(&self) -> &'static str {
        match self.sum {
            Sum::Crc32c => "crc32c",
            Sum::Crc32 => "crc32",
            Sum::Adler32 => "adler32",
        }
    }

    fn encoding(&self) -> Encoding {
        if self.sum == Sum::Crc32c && !self.first { Encoding::Crc32c } else { Encoding::Other(self.name()) }
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let (stored, data) = if self.first {
            input.split_first_chunk::<4>().map(|(sum, _)| (sum, input.slice(4..)))
        } else {
            input.split_last_chunk::<4>().map(|(data, sum)| (sum, input.slice(..data.len())))
        }
        .ok_or_else(|| Error::corrupt("too short to hold a checksum"))?;
        if let Some(len) = decoded_len
            && data.len() != len
        {
            return Err(wrong_len(data.len(), len));
        }
        let computed = match self.sum {
            Sum::Crc32c => crc32c::crc32c(&data),
            Sum::Crc32 => crc32fast::hash(&data),
            Sum::Adler32 => adler32(&data),
        };
        if computed != u32::from_le_bytes(*stored) {
            return Err(Error::corrupt("the checksum does not match"));
        }
        Ok(data)
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        decoded_len.checked_add(4)
    }
}

fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut low, mut high) = (1_u32, 0_u32);
    // The most bytes after which 32-bit sums cannot have overflowed.
    for run in data.chunks(5552) {
        for byte in run {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % MODULUS, high % MODULUS);
    }
    (high << 16) | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_checked_at_either_end() {
        // Of b"123456789"; python: zlib.adler32, zlib.crc32, google_crc32c.
        for (sum, value) in
            [(Sum::Crc32c, 0xe306_9283_u32), (Sum::Crc32, 0xcbf4_3926), (Sum::Adler32, 0x091e_01de)]
        {
            for first in [true, false] {
                let mut parts = [value.to_le_bytes().to_vec(), b"123456789".to_vec()];
                if !first {
                    parts.reverse();
                }
                let codec = Checksum { sum, first };
                let mut bytes = parts.concat();
                assert_eq!(codec.decode(bytes.clone().into(), Some(9)).unwrap(), &b"123456789"[..]);
                assert!(codec.decode(bytes.clone().into(), Some(8)).is_err());
                bytes[6] ^= 1;
                assert!(codec.decode(bytes.into(), None).is_err());
            }
        }
    }
}
