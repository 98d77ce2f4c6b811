//! HDF5's scale-offset packing (filter 6): numbers as differences from the chunk's minimum, floats scaled by
//! a power of ten first, in as few bits as the largest difference needs.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bits::Bits,
    bytes_in::{Cursor, claimed_len, index, wrong_len, zeroed},
};

/// Where the packed bits begin: after their width, the minimum's size and 16 bytes for the minimum.
const HEADER_LEN: usize = 21;

/// Scale-offset packing of numbers of one type.
#[derive(Debug)]
pub struct ScaleOffset {
    count: usize,
    size: usize,
    number: Number,
    big_endian: bool,
    /// The bits of the fill value, when there is one; all ones are stored for it.
    fill: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    /// Stored as it is: the writer demanded the full width.
    Whole,
    Integer,
    /// Decimal digits kept after the point.
    Float(i32),
}

impl ScaleOffset {
    /// From the filter's client data.
    ///
    /// # Errors
    /// `Corrupt` for parameters that mean nothing, `Unsupported` for the E-scaling that libhdf5 never had.
    pub fn new(client_data: &[u32]) -> Result<Self> {
        let wrong = |what: &str| Error::corrupt(format!("scaleoffset parameters: {what}"));
        let &[scale_type, scale_factor, count, class, size, _sign, order, has_fill, low, high, ..] =
            client_data
        else {
            return Err(wrong("they end early"));
        };
        let factor = scale_factor.cast_signed();
        let number = match (class, scale_type) {
            (_, 1) => return Err(Error::unsupported("scaleoffset by E-scaling")),
            (0, 2) if factor > 0 && scale_factor == size.saturating_mul(8) => Number::Whole,
            (0, 2) => Number::Integer,
            (1, 0) => Number::Float(factor),
            _ => return Err(wrong("the scale type does not fit the class")),
        };
        if !matches!((class, size), (0, 1 | 2 | 4 | 8) | (1, 4 | 8)) {
            return Err(wrong("the size is not that of a number"));
        }
        // Least significant word first; a narrower number is in the low bytes.
        let fill = u64::from(high) << 32 | u64::from(low);
        Ok(Self {
            count: index(count)?,
            size: index(size)?,
            number,
            big_endian: order == 1,
            fill: (has_fill == 1).then_some(fill),
        })
    }

    /// Unpacks into `out`, turning each packed value into the number's bits by `number`.
    fn unpack(&self, packed: &[u8], width: u32, out: &mut [u8], number: impl Fn(u64) -> u64) -> Result<()> {
        let mut bits = Bits::new(packed);
        // All ones stand for the fill value; at width 0 that is every value, as in libhdf5.
        let ones = (1_u64 << width) - 1;
        for target in out.chunks_exact_mut(self.size) {
            let value = match bits.read(width)? {
                value if value == ones => self.fill.unwrap_or_else(|| number(value)),
                value => number(value),
            };
            target.copy_from_slice(value.to_le_bytes().get(..self.size).unwrap_or_default());
        }
        Ok(())
    }
}

impl Codec for ScaleOffset {
    fn name(&self) -> &'static str {
        "scaleoffset"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        if self.number == Number::Whole {
            return match decoded_len {
                Some(len) if len != input.len() => Err(wrong_len(input.len(), len)),
                _ => Ok(input),
            };
        }
        let claim = self.count.saturating_mul(self.size);
        let len = claimed_len(u64::try_from(claim).unwrap_or(u64::MAX), decoded_len)?;
        let mut header = Cursor(&input);
        let width = header.u32_le()?;
        // Minimums wider than 8 bytes do not exist; of narrower ones the missing bytes are zero.
        let minimum_size = usize::from(header.u8()?).min(8);
        let mut minimum = [0; 8];
        for (byte, stored) in minimum.iter_mut().zip(header.take(minimum_size)?) {
            *byte = *stored;
        }
        let minimum = u64::from_le_bytes(minimum);
        let packed = input.get(HEADER_LEN..).ok_or_else(|| Error::corrupt("ends in its header"))?;
        let full = u32::try_from(self.size).unwrap_or(8) * 8;
        let needed = u64::try_from(self.count).unwrap_or(u64::MAX).saturating_mul(width.into()).div_ceil(8);
        if width > full || needed > u64::try_from(packed.len()).unwrap_or(u64::MAX) {
            return Err(Error::corrupt(format!("{width} bits per value do not fit")));
        }
        let mut out = zeroed(len)?;
        match self.number {
            // Full width: libhdf5 stores the numbers unpacked.
            _ if width == full => out.copy_from_slice(packed.get(..len).unwrap_or_default()),
            Number::Float(digits) if self.size == 4 => {
                let scale = 10_f32.powf(f32::from(i16::try_from(digits).unwrap_or(i16::MAX)));
                let minimum = f32::from_bits(u32::try_from(minimum & 0xffff_ffff).unwrap_or(0));
                self.unpack(packed, width, &mut out, |value| {
                    u64::from((value as f32 / scale + minimum).to_bits())
                })?;
            }
            Number::Float(digits) => {
                let scale = 10_f64.powf(digits.into());
                let minimum = f64::from_bits(minimum);
                self.unpack(packed, width, &mut out, |value| (value as f64 / scale + minimum).to_bits())?;
            }
            Number::Integer | Number::Whole => {
                self.unpack(packed, width, &mut out, |value| value.wrapping_add(minimum))?;
            }
        }
        if self.big_endian {
            out.chunks_exact_mut(self.size).for_each(<[u8]>::reverse);
        }
        Ok(out.into())
    }
}
