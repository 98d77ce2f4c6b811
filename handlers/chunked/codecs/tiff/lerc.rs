//! LERC tiles and strips (compression 34887), after any further compression was undone.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};
use lerc::{DataType, Sample, bitmask::BitMask};

use super::{
    super::{
        Codec,
        bytes_in::{wrong_len, zeroed},
    },
    contained, demanded, rows_of,
};

/// The types of LERC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LercElement {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Float32,
    Float64,
}

impl LercElement {
    fn data_type(self) -> DataType {
        match self {
            Self::Int8 => DataType::Char,
            Self::UInt8 => DataType::Byte,
            Self::Int16 => DataType::Short,
            Self::UInt16 => DataType::UShort,
            Self::Int32 => DataType::Int,
            Self::UInt32 => DataType::UInt,
            Self::Float32 => DataType::Float,
            Self::Float64 => DataType::Double,
        }
    }
}

/// LERC version 1 or 2; decodes to little-endian numbers.
#[derive(Debug)]
pub struct Lerc {
    columns: usize,
    samples: usize,
    element: LercElement,
}

impl Lerc {
    /// Images of `columns` pixels a row with `samples` samples each.
    pub fn new(columns: usize, samples: usize, element: LercElement) -> Self {
        Self { columns, samples, element }
    }

    fn numbers<T: Sample>(
        &self,
        input: &[u8],
        len: usize,
        missing: Option<T>,
        bytes: impl Fn(T, &mut Vec<u8>),
    ) -> Result<Bytes> {
        let count = len / T::BYTES;
        let depth = self.samples;
        // Space for what the demanded length holds, however much less is stored.
        zeroed(len)?;
        let mut numbers = vec![T::default(); count];
        let found = lerc::decode_into(input, &mut numbers).map_err(|e| damaged(&e))?;
        if let (Some(missing), [mask]) = (missing, found.valid_masks.as_slice()) {
            blank(&mut numbers, depth, mask, missing);
        }
        let mut out = Vec::with_capacity(len);
        for number in numbers {
            bytes(number, &mut out);
        }
        if out.len() == len { Ok(out.into()) } else { Err(wrong_len(out.len(), len)) }
    }
}

/// Pixels that the mask calls invalid become `missing`.
fn blank<T: Copy>(numbers: &mut [T], depth: usize, mask: &BitMask, missing: T) {
    for (i, pixel) in numbers.chunks_exact_mut(depth.max(1)).enumerate() {
        if !mask.is_valid(i) {
            pixel.fill(missing);
        }
    }
}

fn damaged(cause: &lerc::LercError) -> Error {
    Error::corrupt("the raster is damaged").with_source(cause.to_string())
}

impl Codec for Lerc {
    fn name(&self) -> &'static str {
        "LERC"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let len = demanded(decoded_len)?;
        let size = self.element.data_type().size();
        let rows = rows_of(len, self.columns.saturating_mul(self.samples).saturating_mul(size))?;
        contained(|| {
            let info = lerc::decode_info(&input).map_err(|e| damaged(&e))?;
            let as_due = u32::try_from(self.columns).is_ok_and(|n| n == info.width)
                && u32::try_from(rows).is_ok_and(|n| n == info.height)
                && u32::try_from(self.samples).is_ok_and(|n| n == info.depth)
                && info.bands == 1
                && info.data_type == self.element.data_type();
            if !as_due {
                return Err(Error::corrupt(format!(
                    "a raster of {} by {} by {} ({:?}) where {} by {rows} by {} ({:?}) is due",
                    info.width,
                    info.height,
                    info.depth,
                    info.data_type,
                    self.columns,
                    self.samples,
                    self.element
                )));
            }
            match self.element {
                LercElement::Int8 => {
                    self.numbers::<i8>(&input, len, None, |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::UInt8 => self.numbers::<u8>(&input, len, None, |n, out| out.push(n)),
                LercElement::Int16 => {
                    self.numbers::<i16>(&input, len, None, |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::UInt16 => {
                    self.numbers::<u16>(&input, len, None, |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::Int32 => {
                    self.numbers::<i32>(&input, len, None, |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::UInt32 => {
                    self.numbers::<u32>(&input, len, None, |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::Float32 => {
                    self.numbers::<f32>(&input, len, Some(f32::NAN), |n, out| out.extend(n.to_le_bytes()))
                }
                LercElement::Float64 => {
                    self.numbers::<f64>(&input, len, Some(f64::NAN), |n, out| out.extend(n.to_le_bytes()))
                }
            }
        })
    }
}
