//! The Fletcher checksum (HDF5 filter 3): four bytes after the data, verified and removed.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Encoding, Error, Result};

use super::{Codec, bytes_in::wrong_len};

/// The checksum at the end of a chunk.
#[derive(Debug)]
pub struct Fletcher32;

impl Codec for Fletcher32 {
    fn name(&self) -> &'static str {
        "fletcher32"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Fletcher32
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let Some((data, stored)) = input.split_last_chunk::<4>() else {
            return Err(Error::corrupt("too short to hold a checksum"));
        };
        if let Some(len) = decoded_len
            && data.len() != len
        {
            return Err(wrong_len(data.len(), len));
        }
        let computed = checksum(data);
        let [a, b, c, d] = *stored;
        // libhdf5 up to 1.6.2 wrote the bytes of each half exchanged on little-endian machines, and
        // every later version accepts both.
        if computed != u32::from_le_bytes(*stored) && computed != u32::from_le_bytes([b, a, d, c]) {
            return Err(Error::corrupt("the checksum does not match"));
        }
        let len = data.len();
        Ok(input.slice(..len))
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        decoded_len.checked_add(4)
    }
}

/// HDF5's variant: big-endian 16-bit words, an odd last byte as a high byte, sums that start at 0.
fn checksum(data: &[u8]) -> u32 {
    let (mut low, mut high) = (0_u32, 0_u32);
    let (words, odd) = data.as_chunks::<2>();
    // The most words after which 32-bit sums cannot have overflowed.
    for run in words.chunks(360) {
        for word in run {
            low += u32::from(u16::from_be_bytes(*word));
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    if let [last] = odd {
        low += u32::from(*last) << 8;
        high += low;
        (low, high) = (fold(low), fold(high));
    }
    (fold(high) << 16) | fold(low)
}

fn fold(sum: u32) -> u32 {
    (sum & 0xffff) + (sum >> 16)
}
