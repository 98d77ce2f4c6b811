//! TIFF's predictors: differences along a row (2), and differences of bytes in planes of significance (3).

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{super::Codec, super::bytes_in::zeroed, rows_of};

/// Predictor 2: each sample is the difference from the one of the same band before it in the row.
#[derive(Debug)]
pub struct Horizontal {
    row: usize,
    stride: usize,
    size: usize,
    big_endian: bool,
}

impl Horizontal {
    /// For rows of `row` bytes, with `samples` interleaved samples of `size` bytes (1, 2, 4 or 8).
    ///
    /// # Errors
    /// `Unsupported` for other sizes.
    pub fn new(row: usize, samples: usize, size: usize, big_endian: bool) -> Result<Self> {
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Err(Error::unsupported(format!("differences of {size} byte numbers")));
        }
        Ok(Self { row, stride: samples.max(1), size, big_endian })
    }
}

impl Codec for Horizontal {
    fn name(&self) -> &'static str {
        "horizontal differencing"
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }

    fn decode(&self, input: Bytes, _: Option<usize>) -> Result<Bytes> {
        rows_of(input.len(), self.row)?;
        let mut bytes = Vec::from(input);
        for row in bytes.chunks_exact_mut(self.row) {
            match (self.size, self.big_endian) {
                (1, _) => sum(row, self.stride, |a: [u8; 1], b| [a[0].wrapping_add(b[0])]),
                (2, false) => sum(row, self.stride, |a, b| {
                    u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b)).to_le_bytes()
                }),
                (2, true) => sum(row, self.stride, |a, b| {
                    u16::from_be_bytes(a).wrapping_add(u16::from_be_bytes(b)).to_be_bytes()
                }),
                (4, false) => sum(row, self.stride, |a, b| {
                    u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b)).to_le_bytes()
                }),
                (4, true) => sum(row, self.stride, |a, b| {
                    u32::from_be_bytes(a).wrapping_add(u32::from_be_bytes(b)).to_be_bytes()
                }),
                (_, false) => sum(row, self.stride, |a, b| {
                    u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes()
                }),
                (_, true) => sum(row, self.stride, |a, b| {
                    u64::from_be_bytes(a).wrapping_add(u64::from_be_bytes(b)).to_be_bytes()
                }),
            }
        }
        Ok(bytes.into())
    }
}

/// Adds to each number the one `stride` numbers before it.
fn sum<const N: usize>(row: &mut [u8], stride: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (numbers, _) = row.as_chunks_mut::<N>();
    for i in stride..numbers.len() {
        let Some(&before) = numbers.get(i - stride) else { return };
        if let Some(number) = numbers.get_mut(i) {
            *number = add(*number, before);
        }
    }
}

/// Predictor 3: the bytes of a row's numbers, most significant first in planes, as differences. Decodes to
/// little-endian numbers whatever the file's byte order is (Adobe Photoshop TIFF Technical Note 3).
#[derive(Debug)]
pub struct Floating {
    row: usize,
    stride: usize,
    size: usize,
}

impl Floating {
    /// For rows of `row` bytes, with `samples` interleaved samples of `size` bytes (2, 4 or 8).
    ///
    /// # Errors
    /// `Unsupported` for other sizes.
    pub fn new(row: usize, samples: usize, size: usize) -> Result<Self> {
        if !matches!(size, 2 | 4 | 8) {
            return Err(Error::unsupported(format!("a floating point predictor of {size} bytes")));
        }
        Ok(Self { row, stride: samples.max(1), size })
    }
}

impl Codec for Floating {
    fn name(&self) -> &'static str {
        "floating point predictor"
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }

    fn decode(&self, input: Bytes, _: Option<usize>) -> Result<Bytes> {
        rows_of(input.len(), self.row)?;
        rows_of(self.row, self.size)?;
        let mut out = zeroed(input.len())?;
        let mut sums = Vec::from(input);
        for (row, target) in sums.chunks_exact_mut(self.row).zip(out.chunks_exact_mut(self.row)) {
            sum(row, self.stride, |a: [u8; 1], b| [a[0].wrapping_add(b[0])]);
            for (i, plane) in row.chunks_exact(self.row / self.size).enumerate() {
                let place = self.size - 1 - i;
                for (number, &byte) in target.chunks_exact_mut(self.size).zip(plane) {
                    if let Some(slot) = number.get_mut(place) {
                        *slot = byte;
                    }
                }
            }
        }
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_wrap_and_stay_in_their_band_and_row() {
        let codec = Horizontal::new(6, 2, 1, false).unwrap();
        let input = Bytes::from_static(&[250, 1, 10, 1, 0, 1, 5, 5, 1, 1, 1, 1]);
        assert_eq!(codec.decode(input, None).unwrap(), &[250, 1, 4, 2, 4, 3, 5, 5, 6, 6, 7, 7][..]);
        let codec = Horizontal::new(4, 1, 2, true).unwrap();
        assert_eq!(codec.decode(Bytes::from_static(&[0, 255, 0, 1]), None).unwrap(), &[0, 255, 1, 0][..]);
        assert!(codec.decode(Bytes::from_static(&[0, 255, 0]), None).is_err());
    }

    #[test]
    fn planes_become_numbers() {
        let codec = Floating::new(8, 1, 4).unwrap();
        // 1.0 = 3f800000 and 2.0 = 40000000: the planes 3f40 8000 0000 0000, as differences.
        let input = Bytes::from_static(&[0x3f, 0x01, 0x40, 0x80, 0, 0, 0, 0]);
        let expected: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(codec.decode(input, None).unwrap(), expected);
    }
}
