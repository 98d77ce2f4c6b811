//! Samples of 1 to 15 bits, packed most significant bit first, each row begun at a whole byte.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    super::{Codec, bits::Bits, bytes_in::zeroed},
    rows_of,
};

/// Samples of less than a byte become bytes, wider ones two bytes, little-endian.
#[derive(Debug)]
pub struct PackedSamples {
    bits: u32,
    per_row: usize,
}

impl PackedSamples {
    /// `per_row` samples of `bits` bits in a row.
    ///
    /// # Errors
    /// `Unsupported` unless there are 1 to 15 bits.
    pub fn new(bits: u32, per_row: usize) -> Result<Self> {
        if !(1..16).contains(&bits) || per_row == 0 {
            return Err(Error::unsupported(format!("samples of {bits} bits")));
        }
        Ok(Self { bits, per_row })
    }

    fn size(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }

    fn packed_row(&self) -> usize {
        self.per_row.saturating_mul(self.bits as usize).div_ceil(8)
    }
}

impl Codec for PackedSamples {
    fn name(&self) -> &'static str {
        "packed samples"
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        let rows = decoded_len.checked_div(self.per_row.checked_mul(self.size())?)?;
        rows.checked_mul(self.packed_row())
    }

    fn decode(&self, input: Bytes, _: Option<usize>) -> Result<Bytes> {
        let rows = rows_of(input.len(), self.packed_row())?;
        let len = self.per_row.checked_mul(self.size()).and_then(|n| n.checked_mul(rows));
        let mut out = zeroed(len.ok_or_else(|| Error::corrupt("rows too long"))?)?;
        let targets = out.chunks_exact_mut(self.per_row * self.size());
        for (row, target) in input.chunks_exact(self.packed_row()).zip(targets) {
            let mut bits = Bits::new(row);
            for sample in target.chunks_exact_mut(self.size()) {
                let value = bits.read(self.bits)?.to_le_bytes();
                let (bytes, _) = value.split_at_checked(sample.len()).unwrap_or_default();
                sample.copy_from_slice(bytes);
            }
        }
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_at_whole_bytes() {
        let codec = PackedSamples::new(1, 10).unwrap();
        assert_eq!(codec.encoded_len(20), Some(4));
        let out = codec.decode(Bytes::from_static(&[0b1010_0000, 0b0100_0000, 0xff, 0]), None).unwrap();
        assert_eq!(out, &[1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0][..]);
        let codec = PackedSamples::new(12, 2).unwrap();
        assert_eq!(codec.encoded_len(4), Some(3));
        assert_eq!(
            codec.decode(Bytes::from_static(&[0x12, 0x34, 0x56]), None).unwrap(),
            &[0x23, 0x01, 0x56, 0x04][..]
        );
        assert!(PackedSamples::new(16, 2).is_err());
    }
}
