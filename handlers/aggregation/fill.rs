//! What stands for "no value": elements of a type, and netCDF's defaults.

use bytes::Bytes;
use cdm::{Block, DataType};

use super::conversion::{Arithmetic, Conversion};

/// The number in `bytes` (of type `from`) as an element of `to`; `None` when it is not a number of that type.
pub(super) fn element(from: &DataType, bytes: &[u8], to: &DataType) -> Option<Bytes> {
    if from == to {
        return Some(Bytes::copy_from_slice(bytes));
    }
    let conversion = Conversion::new(from.clone(), to.clone(), Arithmetic::Same).ok()?;
    match conversion.apply(Block::Fixed(Bytes::copy_from_slice(bytes))).ok()? {
        Block::Fixed(bytes) => Some(bytes),
        Block::Varying { .. } => None,
    }
}

/// A float that is no number.
pub(super) fn nan(of: &DataType) -> Option<Bytes> {
    element(&DataType::Float64, &f64::NAN.to_ne_bytes(), of)
}

/// What netCDF fills a type with (`NC_FILL_*`); nothing for types without a natural one.
pub(super) fn default_fill(of: &DataType) -> Option<Bytes> {
    let bytes: Vec<u8> = match of {
        DataType::Int8 => (-127_i8).to_ne_bytes().to_vec(),
        DataType::UInt8 => vec![255],
        DataType::Int16 => (-32_767_i16).to_ne_bytes().to_vec(),
        DataType::UInt16 => 65_535_u16.to_ne_bytes().to_vec(),
        DataType::Int32 => (-2_147_483_647_i32).to_ne_bytes().to_vec(),
        DataType::UInt32 => u32::MAX.to_ne_bytes().to_vec(),
        DataType::Int64 => (-9_223_372_036_854_775_806_i64).to_ne_bytes().to_vec(),
        DataType::UInt64 => (u64::MAX - 1).to_ne_bytes().to_vec(),
        DataType::Float32 => 9.969_21e36_f32.to_ne_bytes().to_vec(),
        DataType::Float64 => 9.969_209_968_386_869e36_f64.to_ne_bytes().to_vec(),
        DataType::Char => vec![0],
        DataType::String | DataType::Url => Vec::new(),
        _ => return None,
    };
    Some(bytes.into())
}

/// Whether netCDF fills with it; bytes are not taken for fill unless a file says so.
pub(super) fn is_default(of: &DataType, fill: &Bytes) -> bool {
    of.fixed_size() != Some(1) && default_fill(of).as_ref() == Some(fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_elements_only_exactly() {
        let bytes = |n: f64| n.to_ne_bytes();
        let of = |n: f64, to| element(&DataType::Float64, &bytes(n), &to);
        assert_eq!(of(-999.0, DataType::Int16).unwrap(), (-999_i16).to_ne_bytes().as_slice());
        assert_eq!(of(0.5, DataType::Int16), None);
        assert_eq!(of(1e36, DataType::Int32), None);
        assert!(f32::from_ne_bytes(nan(&DataType::Float32).unwrap()[..].try_into().unwrap()).is_nan());
    }

    /// `NC_FILL_FLOAT` and `NC_FILL_DOUBLE` as netcdf.h writes them.
    #[test]
    #[expect(clippy::excessive_precision, reason = "as the header has it")]
    fn defaults_are_those_of_the_header() {
        let float = 9.969_209_968_386_869_0e+36_f64;
        assert_eq!(default_fill(&DataType::Float64).unwrap(), float.to_ne_bytes().as_slice());
        #[expect(clippy::cast_possible_truncation, reason = "the header's float is the rounded double")]
        let single = float as f32;
        assert_eq!(default_fill(&DataType::Float32).unwrap(), single.to_ne_bytes().as_slice());
        assert!(is_default(&DataType::Int16, &Bytes::copy_from_slice(&(-32_767_i16).to_ne_bytes())));
        assert!(!is_default(&DataType::UInt8, &Bytes::from_static(&[255])));
    }
}
