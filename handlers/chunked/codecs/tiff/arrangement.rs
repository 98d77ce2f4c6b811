//! How the samples of a tile or strip are arranged: interleaved bands, cut last strips, reversed bits.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::Result;

use super::{
    super::{
        Codec,
        bytes_in::{wrong_len, zeroed},
    },
    rows_of,
};

/// The samples of a pixel are together in storage; decoded, each band is for itself.
#[derive(Debug)]
pub struct Interleave {
    samples: usize,
    size: usize,
}

impl Interleave {
    /// `samples` bands with elements of `size` bytes.
    pub fn new(samples: usize, size: usize) -> Self {
        Self { samples: samples.max(1), size: size.max(1) }
    }
}

impl Codec for Interleave {
    fn name(&self) -> &'static str {
        "interleaved samples"
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }

    fn decode(&self, input: Bytes, _: Option<usize>) -> Result<Bytes> {
        let pixel = self.samples.saturating_mul(self.size);
        let pixels = rows_of(input.len(), pixel)?;
        let mut out = zeroed(input.len())?;
        if pixels == 0 {
            return Ok(out.into());
        }
        for (band, plane) in out.chunks_exact_mut(pixels * self.size).enumerate() {
            let place = band * self.size..(band + 1) * self.size;
            for (pixel, element) in input.chunks_exact(pixel).zip(plane.chunks_exact_mut(self.size)) {
                if let Some(sample) = pixel.get(place.clone()) {
                    element.copy_from_slice(sample);
                }
            }
        }
        Ok(out.into())
    }
}

/// The rows of a last strip that lie outside of the image are not stored.
#[derive(Debug)]
pub struct CutRows {
    len: usize,
}

impl CutRows {
    /// So many bytes are stored.
    pub fn new(len: usize) -> Self {
        Self { len }
    }
}

impl Codec for CutRows {
    fn name(&self) -> &'static str {
        "cut rows"
    }

    fn encoded_len(&self, _: usize) -> Option<usize> {
        Some(self.len)
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let len = decoded_len.unwrap_or(input.len());
        if input.len() != self.len || len < self.len {
            return Err(wrong_len(input.len(), self.len.min(len)));
        }
        let mut out = zeroed(len)?;
        if let Some(stored) = out.get_mut(..input.len()) {
            stored.copy_from_slice(&input);
        }
        Ok(out.into())
    }
}

/// Fill order 2: the bits of each byte are in reverse.
#[derive(Debug)]
pub struct ReverseBits;

impl Codec for ReverseBits {
    fn name(&self) -> &'static str {
        "reversed bits"
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(decoded_len)
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        if let Some(len) = decoded_len.filter(|len| *len != input.len()) {
            return Err(wrong_len(input.len(), len));
        }
        Ok(input.iter().map(|byte| byte.reverse_bits()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_come_apart() {
        let input = Bytes::from_static(&[1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
        assert_eq!(
            Interleave::new(3, 2).decode(input.clone(), None).unwrap(),
            &[1, 1, 4, 4, 2, 2, 5, 5, 3, 3, 6, 6][..]
        );
        assert!(Interleave::new(5, 1).decode(input, None).is_err());
    }

    #[test]
    fn what_was_cut_is_zero() {
        let codec = CutRows::new(2);
        assert_eq!(codec.decode(Bytes::from_static(&[1, 2]), Some(4)).unwrap(), &[1, 2, 0, 0][..]);
        assert!(codec.decode(Bytes::from_static(&[1, 2, 3]), Some(4)).is_err());
        assert!(codec.decode(Bytes::from_static(&[1, 2]), Some(1)).is_err());
    }
}
