//! Frames and filters that Zarr version 2 has from numcodecs: LZ4 with its length before it, packed bits,
//! differences, and numbers of another type, scaled or not.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Encoding, Error, Result};

use super::{
    Codec,
    bytes_in::{Cursor, claimed_len, wrong_len, zeroed},
    lz4,
};

/// One LZ4 block, its decoded length in four little-endian bytes before it.
#[derive(Debug)]
pub struct SizedLz4;

impl Codec for SizedLz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Lz4
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let mut stored = Cursor(&input);
        let len = claimed_len(stored.u32_le()?.into(), decoded_len)?;
        if len > input.len().saturating_mul(lz4::EXPANSION) {
            return Err(wrong_len(input.len(), len));
        }
        let mut out = zeroed(len)?;
        lz4::decompress_exact(stored.0, &mut out)?;
        Ok(out.into())
    }
}

/// Truth values, eight to a byte, most significant first; the first byte counts the unused bits.
#[derive(Debug)]
pub struct PackBits;

impl Codec for PackBits {
    fn name(&self) -> &'static str {
        "packbits"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let (unused, packed) = input.split_first().ok_or_else(|| Error::corrupt("ends early"))?;
        let len = (packed.len() * 8).checked_sub(usize::from(*unused));
        let len = len.filter(|_| *unused < 8).ok_or_else(|| Error::corrupt("packed bits of no length"))?;
        if let Some(due) = decoded_len
            && due != len
        {
            return Err(wrong_len(len, due));
        }
        let mut out = zeroed(len)?;
        for (eight, byte) in out.chunks_mut(8).zip(packed) {
            for (i, bit) in eight.iter_mut().enumerate() {
                *bit = byte >> (7 - i) & 1;
            }
        }
        Ok(out.into())
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        Some(1 + decoded_len.div_ceil(8))
    }
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFormat {
    /// Its kind.
    pub class: NumberClass,
    /// Bytes: 1, 2, 4 or 8 (floats: 4 or 8).
    pub size: usize,
    /// The most significant byte comes first.
    pub big_endian: bool,
}

/// Kinds of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberClass {
    /// Two's complement.
    Signed,
    /// Without sign.
    Unsigned,
    /// IEEE 754.
    Float,
}

/// A number between two formats.
#[derive(Debug, Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl NumberFormat {
    fn check(self) -> Result<Self> {
        let fine = match self.class {
            NumberClass::Float => matches!(self.size, 4 | 8),
            _ => matches!(self.size, 1 | 2 | 4 | 8),
        };
        if fine { Ok(self) } else { Err(Error::unsupported("numbers of that size in a filter")) }
    }

    fn read(self, bytes: &[u8]) -> Number {
        let mut wide = [0; 8];
        let order: &mut dyn Iterator<Item = &u8> =
            if self.big_endian { &mut bytes.iter().rev() } else { &mut bytes.iter() };
        for (to, from) in wide.iter_mut().zip(order) {
            *to = *from;
        }
        let bits = u64::from_le_bytes(wide);
        let unused = 64 - 8 * self.size.clamp(1, 8);
        match self.class {
            NumberClass::Float if self.size == 4 => {
                Number::Float(f32::from_bits(u32::try_from(bits).unwrap_or(0)).into())
            }
            NumberClass::Float => Number::Float(f64::from_bits(bits)),
            NumberClass::Signed => Number::Int((bits << unused).cast_signed() >> unused),
            NumberClass::Unsigned => Number::Int(bits.cast_signed()),
        }
    }

    /// Appends a number; integers wrap and floats lose their fraction, as numpy's casts do.
    #[expect(clippy::cast_possible_truncation, reason = "conversions between the stored formats")]
    fn write(self, number: Number, out: &mut Vec<u8>) {
        let bits = match (self.class, number) {
            (NumberClass::Float, number) => {
                let value = match number {
                    Number::Int(n) => n as f64,
                    Number::Float(f) => f,
                };
                if self.size == 4 { (value as f32).to_bits().into() } else { value.to_bits() }
            }
            (_, Number::Int(n)) => n.cast_unsigned(),
            (_, Number::Float(f)) if f < 0.0 => (f as i64).cast_unsigned(),
            #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
            (_, Number::Float(f)) => f as u64,
        };
        let bytes = bits.to_le_bytes();
        let bytes = bytes.get(..self.size).unwrap_or_default();
        if self.big_endian { out.extend(bytes.iter().rev()) } else { out.extend(bytes) }
    }
}

/// Converts each number of `input` by `convert`.
fn map(
    input: &[u8],
    (from, to): (NumberFormat, NumberFormat),
    decoded_len: Option<usize>,
    mut convert: impl FnMut(Number) -> Number,
) -> Result<Bytes> {
    let len = input.len() / from.size * to.size;
    if !input.len().is_multiple_of(from.size) || decoded_len.is_some_and(|due| due != len) {
        return Err(wrong_len(len, decoded_len.unwrap_or(len)));
    }
    let mut out = Vec::with_capacity(len);
    input.chunks_exact(from.size).for_each(|bytes| to.write(convert(from.read(bytes)), &mut out));
    Ok(out.into())
}

fn encoded_len(decoded_len: usize, stored: NumberFormat, decoded: NumberFormat) -> Option<usize> {
    (decoded_len / decoded.size).checked_mul(stored.size)
}

/// The first number, then differences.
#[derive(Debug)]
pub struct Delta {
    stored: NumberFormat,
    decoded: NumberFormat,
}

impl Delta {
    /// # Errors
    /// `Unsupported` for numbers of unusual size.
    pub fn new(stored: NumberFormat, decoded: NumberFormat) -> Result<Self> {
        Ok(Self { stored: stored.check()?, decoded: decoded.check()? })
    }
}

impl Codec for Delta {
    fn name(&self) -> &'static str {
        "delta"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        // numpy sums in the type that holds all numbers of both.
        let single = match (self.stored.class, self.decoded.class) {
            (NumberClass::Float, NumberClass::Float) => self.stored.size == 4 && self.decoded.size == 4,
            _ => self.stored.size == 4 && self.decoded.size <= 2,
        };
        let mut sum = Number::Int(0);
        map(&input, (self.stored, self.decoded), decoded_len, |number| {
            sum = match (sum, number) {
                (Number::Int(a), Number::Int(b)) => Number::Int(a.wrapping_add(b)),
                (Number::Float(a), Number::Float(b)) if single =>
                {
                    #[expect(clippy::cast_possible_truncation, reason = "both are binary32")]
                    Number::Float((a as f32 + b as f32).into())
                }
                (Number::Float(a), Number::Float(b)) => Number::Float(a + b),
                (_, first) => first,
            };
            sum
        })
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        encoded_len(decoded_len, self.stored, self.decoded)
    }
}

/// `stored / scale + offset`.
#[derive(Debug)]
pub struct FixedScaleOffset {
    stored: NumberFormat,
    decoded: NumberFormat,
    scale: f64,
    offset: f64,
}

impl FixedScaleOffset {
    /// # Errors
    /// `Unsupported` for numbers of unusual size.
    pub fn new(stored: NumberFormat, decoded: NumberFormat, scale: f64, offset: f64) -> Result<Self> {
        Ok(Self { stored: stored.check()?, decoded: decoded.check()?, scale, offset })
    }
}

impl Codec for FixedScaleOffset {
    fn name(&self) -> &'static str {
        "fixedscaleoffset"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let single = self.stored.class == NumberClass::Float && self.stored.size == 4;
        map(&input, (self.stored, self.decoded), decoded_len, |number| {
            let stored = match number {
                // Only numbers of 64 bits without sign are read as something else than they are.
                Number::Int(n) if n < 0 && self.stored.class == NumberClass::Unsigned => {
                    n.cast_unsigned() as f64
                }
                Number::Int(n) => n as f64,
                Number::Float(f) => f,
            };
            Number::Float(if single {
                // numpy keeps to binary32.
                #[expect(clippy::cast_possible_truncation, reason = "as numpy computes it")]
                f64::from(stored as f32 / self.scale as f32 + self.offset as f32)
            } else {
                stored / self.scale + self.offset
            })
        })
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        encoded_len(decoded_len, self.stored, self.decoded)
    }
}

/// Numbers of another type (numcodecs `astype`), or order of bytes.
#[derive(Debug)]
pub struct AsType {
    stored: NumberFormat,
    decoded: NumberFormat,
}

impl AsType {
    /// # Errors
    /// `Unsupported` for numbers of unusual size.
    pub fn new(stored: NumberFormat, decoded: NumberFormat) -> Result<Self> {
        Ok(Self { stored: stored.check()?, decoded: decoded.check()? })
    }
}

impl Codec for AsType {
    fn name(&self) -> &'static str {
        "astype"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        map(&input, (self.stored, self.decoded), decoded_len, |number| number)
    }

    fn encoded_len(&self, decoded_len: usize) -> Option<usize> {
        encoded_len(decoded_len, self.stored, self.decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn differences_are_summed_as_numpy_does() {
        let float = |size| NumberFormat { class: NumberClass::Float, size, big_endian: false };
        let stored: Vec<u8> = [1e8_f32, 0.1, 0.1, 0.1, 3.3].iter().flat_map(|n| n.to_le_bytes()).collect();
        // numcodecs.Delta(dtype='<f8', astype='<f4').decode(np.array([1e8, .1, .1, .1, 3.3], '<f4'))
        let delta = Delta::new(float(4), float(8)).unwrap();
        let decoded = delta.decode(stored.into(), Some(40)).unwrap();
        let bits: Vec<u64> = decoded.as_chunks::<8>().0.iter().map(|n| u64::from_le_bytes(*n)).collect();
        let mantissas: Vec<u64> = bits.iter().map(|n| n & ((1 << 52) - 1)).collect();
        let due = [
            0x7_d784_0000_0000,
            0x7_d784_0066_6666,
            0x7_d784_00cc_cccc,
            0x7_d784_0133_3332,
            0x7_d784_0e66_6662,
        ];
        assert_eq!(mantissas, due);
    }
}
