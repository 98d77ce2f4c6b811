//! Numbers whose stored form the model lacks: integers of odd width, precision or position, and
//! floating-point numbers other than IEEE 754 binary32 and binary64.

#![warn(clippy::indexing_slicing)]

use cdm::{DataType, Result};

use super::{
    elements::unsupported,
    format::{ByteOrder, FloatKind, FloatType},
};

/// An integer of `precision` bits from bit `offset` on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IntegerBits {
    /// Stored bytes.
    pub(super) size: usize,
    big_endian: bool,
    signed: bool,
    offset: u32,
    precision: u32,
}

/// Bytes of the model's integer for one stored in `size` bytes; `None` when it is too wide.
fn integer_width(size: usize) -> Option<usize> {
    [1, 2, 4, 8].into_iter().find(|width| *width >= size)
}

/// The model's type of a stored integer.
pub(super) fn integer_type(size: u32, signed: bool) -> Option<DataType> {
    let width = integer_width(usize::try_from(size).ok()?)?;
    Some(match (width, signed) {
        (1, true) => DataType::Int8,
        (2, true) => DataType::Int16,
        (4, true) => DataType::Int32,
        (_, true) => DataType::Int64,
        (1, false) => DataType::UInt8,
        (2, false) => DataType::UInt16,
        (4, false) => DataType::UInt32,
        (_, false) => DataType::UInt64,
    })
}

/// The model's type of a stored floating-point number.
pub(super) fn float_type(float: &FloatType) -> Option<DataType> {
    Some(match float.kind() {
        FloatKind::Float16 | FloatKind::BFloat16 | FloatKind::Float32 => DataType::Float32,
        FloatKind::Float64 => DataType::Float64,
        FloatKind::Other => {
            let bits = FloatBits::new(float).ok()?;
            if bits.single { DataType::Float32 } else { DataType::Float64 }
        }
    })
}

/// The stored bytes as a number.
fn bits_of(element: &[u8], big_endian: bool) -> u128 {
    let join = |n: u128, b: &u8| n << 8 | u128::from(*b);
    if big_endian { element.iter().fold(0, join) } else { element.iter().rev().fold(0, join) }
}

fn field(bits: u128, at: u32, len: u32) -> u128 {
    let mask = if len >= 128 { u128::MAX } else { (1 << len) - 1 };
    bits.checked_shr(at).unwrap_or(0) & mask
}

impl IntegerBits {
    pub(super) fn new(
        size: usize,
        order: ByteOrder,
        signed: bool,
        offset: u16,
        precision: u16,
    ) -> Result<Self> {
        let (offset, precision) = (u32::from(offset), u32::from(precision));
        let fits = precision > 0 && ((offset + precision) as usize) <= size.saturating_mul(8);
        if integer_width(size).is_none() || order == ByteOrder::Vax || !fits {
            return Err(unsupported(&format!("an integer of {size} bytes and {precision} bits")));
        }
        Ok(Self { size, big_endian: order == ByteOrder::Big, signed, offset, precision })
    }

    pub(super) fn write(&self, element: &[u8], out: &mut Vec<u8>) {
        let value = field(bits_of(element, self.big_endian), self.offset, self.precision);
        let mut value = u64::try_from(value).unwrap_or(u64::MAX);
        if self.signed && self.precision < 64 && value >> (self.precision - 1) & 1 == 1 {
            value |= u64::MAX << self.precision;
        }
        // Two's complement: the low bytes are the value in any width that holds it.
        let width = integer_width(self.size).unwrap_or(8);
        let low = value.to_le_bytes();
        let low = low.iter().take(width);
        if cfg!(target_endian = "big") { out.extend(low.rev()) } else { out.extend(low) }
    }
}

/// A floating-point number by its bit fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FloatBits {
    /// Stored bytes.
    pub(super) size: usize,
    /// It becomes a Float32, else a Float64.
    single: bool,
    float: FloatType,
}

impl FloatBits {
    pub(super) fn new(float: &FloatType) -> Result<Self> {
        let size = usize::try_from(float.size).unwrap_or(usize::MAX);
        let known = size <= 16
            && float.order != ByteOrder::Vax
            && (1..=32).contains(&float.exponent_size)
            && float.mantissa_size > 0
            && float.normalization != 1;
        if !known {
            return Err(unsupported("this floating-point layout"));
        }
        let single = float.exponent_size <= 8 && float.mantissa_size <= 23;
        Ok(Self { size, single, float: *float })
    }

    pub(super) fn write(&self, element: &[u8], out: &mut Vec<u8>) {
        let value = self.value(bits_of(element, self.float.order == ByteOrder::Big));
        if self.single {
            #[expect(clippy::cast_possible_truncation, reason = "every value of at most 8 and 23 bits fits")]
            out.extend_from_slice(&(value as f32).to_ne_bytes());
        } else {
            out.extend_from_slice(&value.to_ne_bytes());
        }
    }

    fn value(&self, bits: u128) -> f64 {
        let f = &self.float;
        let mantissa_size = u32::from(f.mantissa_size);
        let negative = field(bits, u32::from(f.sign_position), 1) == 1;
        let exponent = field(bits, u32::from(f.exponent_position), u32::from(f.exponent_size));
        let mantissa = field(bits, u32::from(f.mantissa_position), mantissa_size);
        let all_ones = field(u128::MAX, 0, u32::from(f.exponent_size));
        let sign = if negative { -1.0 } else { 1.0 };
        let implied = f.normalization == 2;
        // An explicit leading bit (x87) is not part of the fraction that tells NaN from infinity.
        let fraction = if implied { mantissa } else { field(mantissa, 0, mantissa_size - 1) };
        if exponent == all_ones {
            return if fraction == 0 { sign * f64::INFINITY } else { f64::NAN };
        }
        let exponent = i64::try_from(exponent).unwrap_or(i64::MAX) - i64::from(f.exponent_bias);
        let (whole, shift) = match (implied, exponent == -i64::from(f.exponent_bias)) {
            (true, true) => (mantissa, exponent + 1 - i64::from(mantissa_size)),
            (true, false) => (mantissa | 1 << mantissa_size.min(127), exponent - i64::from(mantissa_size)),
            (false, subnormal) => (mantissa, exponent + i64::from(subnormal) + 1 - i64::from(mantissa_size)),
        };
        sign * scaled(whole, shift)
    }
}

/// `whole` times 2 to the power `shift`, in steps that round only once in the normal range.
fn scaled(whole: u128, shift: i64) -> f64 {
    let mut value = whole as f64;
    let mut left = shift.clamp(-5000, 5000);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-1000, 1000);
        value *= 2_f64.powi(i32::try_from(step).unwrap_or(0));
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_integers() {
        let write = |bits: IntegerBits, stored: &[u8]| {
            let mut out = Vec::new();
            bits.write(stored, &mut out);
            out
        };
        let three = IntegerBits::new(3, ByteOrder::Little, true, 0, 24).unwrap();
        assert_eq!(write(three, &[0xfe, 0xff, 0xff]), (-2_i32).to_ne_bytes());
        let twelve = IntegerBits::new(2, ByteOrder::Big, true, 4, 12).unwrap();
        assert_eq!(write(twelve, &[0xff, 0x3f]), (-13_i16).to_ne_bytes());
        let unsigned = IntegerBits::new(2, ByteOrder::Big, false, 4, 12).unwrap();
        assert_eq!(write(unsigned, &[0xff, 0x3f]), 0x0ff3_u16.to_ne_bytes());
        assert!(IntegerBits::new(16, ByteOrder::Little, true, 0, 128).is_err());
        assert!(IntegerBits::new(2, ByteOrder::Little, true, 8, 12).is_err());
    }

    #[test]
    fn half_and_brain_floats_agree_with_the_half_crate() {
        let half = FloatType {
            size: 2,
            order: ByteOrder::Little,
            bit_offset: 0,
            precision: 16,
            sign_position: 15,
            exponent_position: 10,
            exponent_size: 5,
            mantissa_position: 0,
            mantissa_size: 10,
            exponent_bias: 15,
            normalization: 2,
        };
        let brain = FloatType {
            exponent_position: 7,
            exponent_size: 8,
            mantissa_size: 7,
            exponent_bias: 127,
            ..half
        };
        for bits in 0..=u16::MAX {
            for (layout, expected) in
                [(half, half::f16::from_bits(bits).to_f32()), (brain, half::bf16::from_bits(bits).to_f32())]
            {
                let mut out = Vec::new();
                FloatBits::new(&layout).unwrap().write(&bits.to_le_bytes(), &mut out);
                let got = f32::from_ne_bytes(out.try_into().unwrap());
                assert!(
                    got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan(),
                    "{bits:#x}: {got} {expected}"
                );
            }
        }
    }

    #[test]
    fn x87_extended() {
        let layout = FloatType {
            size: 16,
            order: ByteOrder::Little,
            bit_offset: 0,
            precision: 80,
            sign_position: 79,
            exponent_position: 64,
            exponent_size: 15,
            mantissa_position: 0,
            mantissa_size: 64,
            exponent_bias: 16383,
            normalization: 0,
        };
        let bits = FloatBits::new(&layout).unwrap();
        let value = |exponent: u128, mantissa: u128| bits.value(exponent << 64 | mantissa);
        assert_eq!(value(16383, 1 << 63).to_bits(), 1.0_f64.to_bits());
        assert_eq!(value(16384 | 1 << 15, 3 << 62).to_bits(), (-3.0_f64).to_bits());
        assert_eq!(value(32767, 1 << 63).to_bits(), f64::INFINITY.to_bits());
    }
}
