//! Numbers from one type to another, and from text: exactly, or not at all.
//!
//! Integers must fit. A floating-point number becomes an integer only when it is one. What becomes a
//! floating-point number may be rounded, but a finite number never becomes infinite.

#![warn(clippy::indexing_slicing)]

use cdm::{Block, DataType, Error, Result, Variable, records::Cursor};

/// A number of any type, between two types.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Of an integer type.
    Integer(i128),
    /// Of a floating-point type.
    Float(f64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
        }
    }
}

/// A numeric type of the machine's.
trait Numeric: Copy {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Option<Self>;
    fn number(self) -> Number;
    /// `None` when it does not fit.
    fn of(number: Number) -> Option<Self>;
    fn append(self, out: &mut Vec<u8>);
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Numeric for $type {
            const SIZE: usize = size_of::<$type>();
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_ne_bytes(*bytes.first_chunk()?))
            }
            fn number(self) -> Number {
                Number::Integer(self.into())
            }
            fn of(number: Number) -> Option<Self> {
                match number {
                    Number::Integer(n) => n.try_into().ok(),
                    Number::Float(n) => whole(n)?.try_into().ok(),
                }
            }
            fn append(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// The integer that a float is; `None` for fractions, infinities and what is no number.
#[expect(clippy::cast_possible_truncation, reason = "it is whole, and below 2^65")]
fn whole(n: f64) -> Option<i128> {
    (n.fract() == 0.0 && n.abs() < 3.7e19).then_some(n as i128)
}

impl Numeric for f32 {
    const SIZE: usize = 4;
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_ne_bytes(*bytes.first_chunk()?))
    }
    fn number(self) -> Number {
        Number::Float(self.into())
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what a float does; overflow is checked")]
    fn of(number: Number) -> Option<Self> {
        match number {
            Number::Integer(n) => Some(n as f32),
            Number::Float(n) => Some(n as f32).filter(|f| f.is_finite() || !n.is_finite()),
        }
    }
    fn append(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_ne_bytes());
    }
}

impl Numeric for f64 {
    const SIZE: usize = 8;
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_ne_bytes(*bytes.first_chunk()?))
    }
    fn number(self) -> Number {
        Number::Float(self)
    }
    fn of(number: Number) -> Option<Self> {
        match number {
            Number::Integer(n) => Some(n as f64),
            Number::Float(n) => Some(n),
        }
    }
    fn append(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_ne_bytes());
    }
}

/// Calls `$body` with `$n` as the machine's type of a numeric `DataType`.
macro_rules! with_type {
    ($data_type:expr, $n:ident => $body:expr, $otherwise:expr) => {
        match $data_type {
            DataType::Int8 => {
                type $n = i8;
                $body
            }
            DataType::Int16 => {
                type $n = i16;
                $body
            }
            DataType::Int32 => {
                type $n = i32;
                $body
            }
            DataType::Int64 => {
                type $n = i64;
                $body
            }
            // A character is the number of its code.
            DataType::UInt8 | DataType::Char => {
                type $n = u8;
                $body
            }
            DataType::UInt16 => {
                type $n = u16;
                $body
            }
            DataType::UInt32 => {
                type $n = u32;
                $body
            }
            DataType::UInt64 => {
                type $n = u64;
                $body
            }
            DataType::Float32 => {
                type $n = f32;
                $body
            }
            DataType::Float64 => {
                type $n = f64;
                $body
            }
            _ => $otherwise,
        }
    };
}

/// The type that elements of `data_type` are stored as.
pub(super) fn stored(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Enum(kind) => &kind.base,
        other => other,
    }
}

/// Appends `number` as an element of `data_type`; `None` when it does not fit.
pub(super) fn append(number: Number, data_type: &DataType, out: &mut Vec<u8>) -> Option<()> {
    with_type!(stored(data_type), N => { N::of(number)?.append(out); Some(()) }, None)
}

/// The number that `word` is, for elements of `data_type`.
pub(super) fn parse(word: &str, data_type: &DataType) -> Option<Number> {
    let word = word.trim();
    match stored(data_type) {
        DataType::Float32 | DataType::Float64 => word.parse().ok().map(Number::Float),
        _ => word.parse().ok().map(Number::Integer),
    }
}

/// The numbers in `words` as packed elements of `data_type`.
///
/// # Errors
/// `Corrupt` for what is no number of the type.
pub(super) fn parse_all<'w>(words: impl Iterator<Item = &'w str>, data_type: &DataType) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for word in words {
        let number = parse(word, data_type);
        number.and_then(|n| append(n, data_type, &mut out)).ok_or_else(|| {
            Error::corrupt(format!("'{}' is no {}", word.trim(), crate::ncml::words::type_word(data_type)))
        })?;
    }
    Ok(out)
}

/// Packed numbers of type `from` as such of type `to`.
///
/// # Errors
/// `Unsupported` when a value does not fit, or one of them is no number.
pub(super) fn convert(bytes: &[u8], from: &DataType, to: &DataType, out: &mut Vec<u8>) -> Result<()> {
    let word = crate::ncml::words::type_word;
    let wrong = || Error::unsupported(format!("{} cannot be made {}", word(from), word(to)));
    with_type!(stored(from), F => with_type!(stored(to), T => {
        out.reserve(bytes.len() / F::SIZE * T::SIZE);
        for one in bytes.chunks_exact(F::SIZE) {
            let number = F::read(one).ok_or_else(wrong)?.number();
            let Some(made) = T::of(number) else {
                return Err(Error::unsupported(format!("the value {number} does not fit into {}", word(to))));
            };
            made.append(out);
        }
        Ok(())
    }, Err(wrong())), Err(wrong()))
}

/// Whether elements of the two types have the same bytes for the same values.
pub(super) fn same_layout(a: &DataType, b: &DataType) -> bool {
    match (stored(a), stored(b)) {
        (DataType::Structure(x), DataType::Structure(y)) | (DataType::Sequence(x), DataType::Sequence(y)) => {
            let same = |f: &Variable, g: &Variable| {
                f.shape() == g.shape() && same_layout(&f.data_type, &g.data_type)
            };
            x.fields.len() == y.fields.len() && x.fields.iter().zip(&y.fields).all(|(f, g)| same(f, g))
        }
        (DataType::Opaque(_), DataType::Opaque(_))
        | (DataType::String | DataType::Url, DataType::String | DataType::Url) => true,
        (x, y) => x == y,
    }
}

/// Whether [`convert_block`] can make elements of `to` from such of `from`.
pub(super) fn convertible(from: &DataType, to: &DataType) -> bool {
    match (stored(from), stored(to)) {
        (DataType::Structure(x), DataType::Structure(y)) | (DataType::Sequence(x), DataType::Sequence(y)) => {
            let can = |f: &Variable, g: &Variable| {
                f.shape() == g.shape() && convertible(&f.data_type, &g.data_type)
            };
            x.fields.len() == y.fields.len() && x.fields.iter().zip(&y.fields).all(|(f, g)| can(f, g))
        }
        (x, y) => same_layout(x, y) || is_number(x) && is_number(y),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || *data_type == DataType::Char
}

/// A block of elements of `from` as such of `to`.
///
/// # Errors
/// As [`convert`]; `Internal` when the block does not have the layout of its type.
pub(super) fn convert_block(block: Block, from: &DataType, to: &DataType) -> Result<Block> {
    if same_layout(from, to) {
        return Ok(block);
    }
    let mut out = Vec::new();
    match &block {
        Block::Fixed(bytes) if is_number(stored(from)) => convert(bytes, from, to, &mut out)?,
        Block::Fixed(bytes) => {
            let mut cursor = Cursor::new(bytes);
            while !cursor.rest().is_empty() {
                convert_element(from, to, &mut cursor, &mut out)?;
            }
        }
        Block::Varying { .. } => {
            let mut ends = Vec::new();
            for element in block.elements() {
                convert_element(from, to, &mut Cursor::new(element), &mut out)?;
                ends.push(out.len() as u64);
            }
            return Ok(Block::Varying { ends, bytes: out.into() });
        }
    }
    Ok(Block::Fixed(out.into()))
}

fn convert_element(from: &DataType, to: &DataType, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    let members = |x: &[Variable], y: &[Variable], cursor: &mut Cursor<'_>, out: &mut Vec<u8>| {
        x.iter().zip(y).try_for_each(|(f, g)| {
            (0..f.element_count()).try_for_each(|_| convert_element(&f.data_type, &g.data_type, cursor, out))
        })
    };
    match (from, to) {
        (DataType::Structure(x), DataType::Structure(y)) => members(&x.fields, &y.fields, cursor, out),
        (DataType::Sequence(x), DataType::Sequence(y)) => {
            let rows = cursor.count()?;
            out.extend_from_slice(&rows.to_ne_bytes());
            // Rows without members take no bytes, however many there are.
            let rows = if x.fields.is_empty() { 0 } else { rows };
            (0..rows).try_for_each(|_| members(&x.fields, &y.fields, cursor, out))
        }
        _ => {
            let before = cursor.rest();
            cursor.skip_element(from)?;
            let element = before.get(..before.len() - cursor.rest().len()).unwrap_or_default();
            if same_layout(from, to) {
                out.extend_from_slice(element);
                return Ok(());
            }
            convert(element, from, to, out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: &DataType, bytes: &[u8], to: &DataType) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        convert(bytes, from, to, &mut out).map(|()| out).map_err(|e| e.to_string())
    }

    #[test]
    fn values_fit_or_are_refused() {
        use DataType::{Char, Float32, Float64, Int8, Int16, Int64, UInt8, UInt64};
        assert_eq!(made(&Int8, &[255], &Int16), Ok((-1_i16).to_ne_bytes().to_vec()));
        assert_eq!(made(&UInt8, &[255], &Int16), Ok(255_i16.to_ne_bytes().to_vec()));
        assert_eq!(made(&Char, b"A", &Float64), Ok(65_f64.to_ne_bytes().to_vec()));
        assert_eq!(made(&Float64, &3_f64.to_ne_bytes(), &Int8), Ok(vec![3]));
        let most = u64::MAX.to_ne_bytes();
        assert_eq!(made(&UInt64, &most, &UInt64), Ok(most.to_vec()));
        let refused = |from: &DataType, bytes: &[u8], to: &DataType| made(from, bytes, to).unwrap_err();
        assert_eq!(refused(&Int8, &[255], &UInt8), "the value -1 does not fit into ubyte");
        assert_eq!(refused(&UInt64, &most, &Int64), "the value 18446744073709551615 does not fit into long");
        assert_eq!(refused(&Float64, &1.5_f64.to_ne_bytes(), &Int8), "the value 1.5 does not fit into byte");
        assert_eq!(refused(&Float64, &f64::NAN.to_ne_bytes(), &Int8), "the value NaN does not fit into byte");
        assert!(refused(&Float64, &1e300_f64.to_ne_bytes(), &Float32).starts_with("the value 1000000"));
        assert!(made(&Float64, &f64::INFINITY.to_ne_bytes(), &Float32).is_ok());
        assert_eq!(refused(&DataType::String, b"", &Int8), "String cannot be made byte");
    }

    #[test]
    fn numbers_from_text() {
        let read = |text: &str, data_type: &DataType| {
            parse_all(text.split(','), data_type).map_err(|e| e.to_string())
        };
        assert_eq!(read("1, -2", &DataType::Int8), Ok(vec![1, 254]));
        assert_eq!(read("NaN", &DataType::Float32).unwrap().len(), 4);
        assert_eq!(read("300", &DataType::Int8).unwrap_err(), "'300' is no byte");
        assert_eq!(read("1.5", &DataType::Int32).unwrap_err(), "'1.5' is no int");
        assert_eq!(read("x", &DataType::Float64).unwrap_err(), "'x' is no double");
    }
}
