//! What is done to a member's values so that they mean the same as the others': types, packing, fill, units.

use bytes::Bytes;
use cdm::{Block, DataType, Error, Result, coordinates::linear::LinearMap};

/// A conversion of numbers, element by element.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    from: DataType,
    to: DataType,
    arithmetic: Arithmetic,
    /// Stored elements that mean "no value".
    missing: Vec<Bytes>,
    /// What stands for "no value" in the result.
    fill: Bytes,
    /// A value that becomes `fill` by accident is an error.
    is_reserved: bool,
}

/// How a value becomes the result's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arithmetic {
    /// The same number.
    Same,
    /// Other units: without rounding where the result is an integer.
    Linear(LinearMap),
    /// `value * factor + add`, in double precision.
    Real {
        /// The factor.
        factor: f64,
        /// What is added.
        add: f64,
    },
}

impl Conversion {
    /// From numbers of one type to another.
    ///
    /// # Errors
    /// `Internal` when one of them is not a number.
    pub fn new(from: DataType, to: DataType, arithmetic: Arithmetic) -> Result<Self> {
        if !(from.is_numeric() && to.is_numeric()) {
            return Err(Error::internal(format!("{} is not converted to {}", from.name(), to.name())));
        }
        Ok(Self { from, to, arithmetic, missing: Vec::new(), fill: Bytes::new(), is_reserved: false })
    }

    /// Each stored element in `missing` becomes `fill`, an element of the result. A NaN in it means any NaN.
    ///
    /// # Errors
    /// `Internal` when an element has not the size of its type.
    pub fn with_missing(self, missing: Vec<Bytes>, fill: Bytes) -> Result<Self> {
        let size = |t: &DataType, b: &Bytes| t.fixed_size() == Some(b.len() as u64);
        if size(&self.to, &fill) && missing.iter().all(|m| size(&self.from, m)) {
            Ok(Self { missing, fill, ..self })
        } else {
            Err(Error::internal("a fill value of another size than the elements"))
        }
    }

    /// With an error for every value that is not missing but would be taken for the fill value of
    /// [`Conversion::with_missing`].
    #[must_use]
    pub fn reserving_fill(self) -> Self {
        Self { is_reserved: true, ..self }
    }

    /// The type of the result.
    pub fn becomes(&self) -> &DataType {
        &self.to
    }

    /// The elements of a block, converted.
    ///
    /// # Errors
    /// `Corrupt` when a value does not fit the result's type.
    pub fn apply(&self, block: Block) -> Result<Block> {
        let Block::Fixed(bytes) = block else {
            return Err(Error::internal("values of differing size are not converted"));
        };
        /// Calls `$body` with `$type` the machine's type of `$of`.
        macro_rules! with_type {
            ($of:expr, $type:ident => $body:expr) => {
                match $of {
                    DataType::Int8 => {
                        type $type = i8;
                        $body
                    }
                    DataType::Int16 => {
                        type $type = i16;
                        $body
                    }
                    DataType::Int32 => {
                        type $type = i32;
                        $body
                    }
                    DataType::Int64 => {
                        type $type = i64;
                        $body
                    }
                    DataType::UInt8 => {
                        type $type = u8;
                        $body
                    }
                    DataType::UInt16 => {
                        type $type = u16;
                        $body
                    }
                    DataType::UInt32 => {
                        type $type = u32;
                        $body
                    }
                    DataType::UInt64 => {
                        type $type = u64;
                        $body
                    }
                    DataType::Float32 => {
                        type $type = f32;
                        $body
                    }
                    DataType::Float64 => {
                        type $type = f64;
                        $body
                    }
                    _ => Err(Error::internal("only numbers are converted")),
                }
            };
        }
        with_type!(self.from, From => with_type!(self.to, To => self.each::<From, To>(&bytes)))
    }

    fn each<F: Number, T: Number>(&self, bytes: &[u8]) -> Result<Block> {
        let missing: Vec<F> = self.missing.iter().filter_map(|m| F::read(m)).collect();
        let reserved = if self.is_reserved { T::read(&self.fill) } else { None };
        let mut out = Vec::with_capacity(bytes.len() / F::SIZE * T::SIZE);
        for raw in bytes.chunks_exact(F::SIZE) {
            let Some(value) = F::read(raw) else { continue };
            if missing.iter().any(|m| m.is_same(value)) {
                out.extend_from_slice(&self.fill);
                continue;
            }
            let converted = match self.arithmetic {
                Arithmetic::Same => T::exactly(value),
                Arithmetic::Linear(map) if self.to.is_integer() => {
                    value.integer().and_then(|v| map.integer(v)).and_then(T::from_integer)
                }
                Arithmetic::Linear(map) => T::rounded(map.float(value.real())),
                Arithmetic::Real { factor, add } => T::rounded(value.real() * factor + add),
            };
            let converted = converted.ok_or_else(|| self.does_not_fit(value.real()))?;
            if reserved.is_some_and(|r| r.is_same(converted)) {
                return Err(Error::unsupported(format!(
                    "the value {} is a value here, but means that there is none in the rest of the aggregation",
                    converted.real()
                )));
            }
            converted.write(&mut out);
        }
        Ok(Block::Fixed(out.into()))
    }

    fn does_not_fit(&self, value: f64) -> Error {
        Error::corrupt(format!("the value {value} does not fit {} when it is converted", self.to.name()))
    }
}

/// The machine's numbers.
pub(super) trait Number: Copy {
    /// Bytes.
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Option<Self>;
    fn write(self, out: &mut Vec<u8>);
    fn real(self) -> f64;
    /// The number, if it is an integer.
    fn integer(self) -> Option<i128>;
    fn from_integer(value: i128) -> Option<Self>;
    /// The nearest number of this type; `None` when there is none.
    fn rounded(value: f64) -> Option<Self>;
    /// The same number in this type; `None` when it is not a number of it.
    fn exactly<F: Number>(value: F) -> Option<Self>;
    /// Equal, or both not a number.
    fn is_same(self, other: Self) -> bool;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const SIZE: usize = size_of::<$type>();
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(<$type>::from_ne_bytes(bytes.try_into().ok()?))
            }
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
            #[allow(clippy::cast_lossless, reason = "one way for all widths; the wide ones are rounded")]
            fn real(self) -> f64 {
                self as f64
            }
            fn integer(self) -> Option<i128> {
                Some(i128::from(self))
            }
            fn from_integer(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            fn rounded(value: f64) -> Option<Self> {
                let value = value.round();
                if value.abs() > 1e30 {
                    return None;
                }
                #[allow(clippy::cast_possible_truncation, reason = "a whole number below 1e30")]
                Self::from_integer(value as i128)
            }
            fn exactly<F: Number>(value: F) -> Option<Self> {
                Self::from_integer(value.integer()?)
            }
            fn is_same(self, other: Self) -> bool {
                self == other
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const SIZE: usize = size_of::<$type>();
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(<$type>::from_ne_bytes(bytes.try_into().ok()?))
            }
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
            fn real(self) -> f64 {
                f64::from(self)
            }
            fn integer(self) -> Option<i128> {
                let value = self.real();
                #[allow(clippy::cast_possible_truncation, reason = "a whole number below 1e30")]
                (value.fract() == 0.0 && value.abs() < 1e30).then_some(value as i128)
            }
            fn from_integer(value: i128) -> Option<Self> {
                let found = Self::rounded(value as f64)?;
                (found.integer() == Some(value)).then_some(found)
            }
            #[allow(clippy::unnecessary_wraps, clippy::cast_possible_truncation, reason = "it rounds")]
            fn rounded(value: f64) -> Option<Self> {
                Some(value as $type)
            }
            fn exactly<F: Number>(value: F) -> Option<Self> {
                let real = value.real();
                let found = Self::rounded(real)?;
                (found.real().is_same(real)).then_some(found)
            }
            #[allow(clippy::float_cmp, reason = "the same number is meant, not a near one")]
            fn is_same(self, other: Self) -> bool {
                self == other || self.is_nan() && other.is_nan()
            }
        }
    )*};
}
floats!(f32, f64);

#[cfg(test)]
mod tests {
    use cdm::{coordinates::time::TimeUnits, fixed_block};

    use super::*;

    fn apply(from: DataType, to: DataType, arithmetic: Arithmetic, block: Block) -> Result<Block> {
        Conversion::new(from, to, arithmetic)?.apply(block)
    }

    #[test]
    fn types_are_widened_exactly_or_refused() {
        use DataType::{Float32, Float64, Int8, Int16, Int32, UInt8};
        let same = |from, to, block| apply(from, to, Arithmetic::Same, block);
        assert_eq!(same(Int16, Int32, fixed_block!([-5_i16, 7])).unwrap(), fixed_block!([-5_i32, 7]));
        assert_eq!(same(UInt8, Int16, fixed_block!([200_u8])).unwrap(), fixed_block!([200_i16]));
        assert_eq!(
            same(Int32, Float64, fixed_block!([i32::MAX])).unwrap(),
            fixed_block!([2_147_483_647_f64])
        );
        assert_eq!(
            same(Float32, Float64, fixed_block!([0.1_f32])).unwrap(),
            fixed_block!([f64::from(0.1_f32)])
        );
        let nan = same(Float32, Float64, fixed_block!([f32::NAN])).unwrap();
        assert!(matches!(nan, Block::Fixed(b) if f64::read(&b).unwrap().is_nan()));
        assert!(same(Int32, Int8, fixed_block!([300_i32])).is_err());
        assert!(same(Int32, Float32, fixed_block!([16_777_217_i32])).is_err());
    }

    #[test]
    fn packed_values_are_unpacked_and_missing_ones_become_fill() {
        let packed =
            Conversion::new(DataType::Int16, DataType::Float32, Arithmetic::Real { factor: 0.5, add: 10.0 });
        let nan = Bytes::copy_from_slice(&f32::NAN.to_ne_bytes());
        let missing = vec![Bytes::copy_from_slice(&(-999_i16).to_ne_bytes())];
        let packed = packed.unwrap().with_missing(missing.clone(), nan).unwrap();
        let Block::Fixed(bytes) = packed.apply(fixed_block!([4_i16, -999, 0])).unwrap() else {
            unreachable!()
        };
        let values: Vec<f32> = bytes.chunks(4).map(|b| f32::read(b).unwrap()).collect();
        assert_eq!((values[0], values[2]), (12.0, 10.0));
        assert!(values[1].is_nan());
        // 0 is a value in one member and none in the others: never taken for one another.
        let zero = Bytes::copy_from_slice(&0_i16.to_ne_bytes());
        let same = Conversion::new(DataType::Int16, DataType::Int16, Arithmetic::Same).unwrap();
        let same = same.with_missing(missing, zero).unwrap().reserving_fill();
        assert_eq!(same.apply(fixed_block!([-999_i16, 4])).unwrap(), fixed_block!([0_i16, 4]));
        assert!(same.apply(fixed_block!([-999_i16, 0])).is_err());
    }

    #[test]
    fn integers_are_shifted_exactly_and_overflow_is_an_error() {
        let units = |text| TimeUnits::parse(text, "").unwrap();
        let (from, to) = (units("days since 2000-01-01"), units("hours since 2000-01-01 12:00"));
        let hours = Arithmetic::Linear(from.map_to(&to, 0.0, 0.0).unwrap());
        let int32 = || DataType::Int32;
        assert_eq!(apply(int32(), int32(), hours, fixed_block!([2_i32])).unwrap(), fixed_block!([36_i32]));
        assert!(apply(int32(), int32(), hours, fixed_block!([i32::MAX])).is_err());
        assert!(apply(DataType::String, int32(), hours, Block::varying(["a"])).is_err());
    }
}
