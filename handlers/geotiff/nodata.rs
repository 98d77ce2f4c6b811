//! The value that stands for "no data", from text to an element of the bands' type.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use half::f16;

use super::image::{Kind, Sample};

/// What `text` is among the samples: the bytes of one element of the model, and of one as stored with its
/// most significant byte first.
///
/// `None` when the type cannot hold it.
pub(crate) fn element(text: &str, sample: Sample) -> Option<(Bytes, Bytes)> {
    let text = text.trim();
    macro_rules! integer {
        ($type:ty) => {{
            let value = <$type>::try_from(integer(text)?).ok()?;
            Some((Bytes::copy_from_slice(&value.to_ne_bytes()), Bytes::copy_from_slice(&value.to_be_bytes())))
        }};
    }
    let both =
        |native: &[u8], big: &[u8]| Some((Bytes::copy_from_slice(native), Bytes::copy_from_slice(big)));
    match (sample.kind, sample.bits) {
        (Kind::Unsigned, 0..=8) => integer!(u8),
        (Kind::Unsigned, 9..=16) => integer!(u16),
        (Kind::Unsigned, 32) => integer!(u32),
        (Kind::Unsigned, 64) => integer!(u64),
        (Kind::Signed, 8) => integer!(i8),
        (Kind::Signed, 16) => integer!(i16),
        (Kind::Signed, 32) => integer!(i32),
        (Kind::Signed, 64) => integer!(i64),
        (Kind::Float, 16) => {
            let value = f16::from_f64(number(text)?);
            both(&value.to_f32().to_ne_bytes(), &value.to_be_bytes())
        }
        (Kind::Float, 32) => {
            let value = single(number(text)?);
            both(&value.to_ne_bytes(), &value.to_be_bytes())
        }
        (Kind::Float, 64) => {
            let value = number(text)?;
            both(&value.to_ne_bytes(), &value.to_be_bytes())
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest Float32 is what the file means")]
fn single(value: f64) -> f32 {
    value as f32
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A whole number, also when it is written with a point or an exponent.
fn integer(text: &str) -> Option<i128> {
    if let Ok(value) = text.parse::<i128>() {
        return Some(value);
    }
    let value = number(text)?;
    let whole = value.is_finite() && value.fract() == 0.0 && value.abs() < 1e20;
    whole.then(|| format!("{value:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(text: &str, kind: Kind, bits: u64) -> Option<Vec<u8>> {
        element(text, Sample { kind, bits }).map(|(native, _)| native.to_vec())
    }

    #[test]
    fn in_the_type_of_the_band_or_not_at_all() {
        assert_eq!(native("-9999", Kind::Signed, 16), Some((-9999_i16).to_ne_bytes().to_vec()));
        assert_eq!(native("-9999.0", Kind::Signed, 32), Some((-9999_i32).to_ne_bytes().to_vec()));
        assert_eq!(native("-9999", Kind::Unsigned, 8), None);
        assert_eq!(native("255 ", Kind::Unsigned, 8), Some(vec![255]));
        assert_eq!(native("18446744073709551615", Kind::Unsigned, 64), Some(vec![255; 8]));
        assert_eq!(native("1e3", Kind::Unsigned, 16), Some(1000_u16.to_ne_bytes().to_vec()));
        assert_eq!(native("-3.4028234663852886e+38", Kind::Float, 32), Some(f32::MIN.to_ne_bytes().to_vec()));
        assert!(f64::from_ne_bytes(native("nan", Kind::Float, 64).unwrap().try_into().unwrap()).is_nan());
        assert_eq!(native("half", Kind::Float, 64), None);
    }
}
