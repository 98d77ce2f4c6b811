//! Single values, decoded from blocks: for text output, comparisons and tests, not for bulk data.

use std::borrow::Cow;

use crate::{Block, DataType, Result, Variable, records::Cursor};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Int8 to Int64.
    Int(i64),
    /// UInt8 to UInt64.
    UInt(u64),
    /// Float32.
    Float32(f32),
    /// Float64.
    Float64(f64),
    /// One byte of text.
    Char(u8),
    /// String or Url; invalid UTF-8 is replaced.
    Text(Cow<'a, str>),
    /// Opaque.
    Bytes(&'a [u8]),
    /// Enum: the stored number and its name.
    Enum(i128, Option<&'a str>),
    /// A structure: its members.
    Record(Vec<Value<'a>>),
    /// An array member, or a sequence's records.
    List(Vec<Value<'a>>),
}

impl Value<'_> {
    /// The number as an integer, if it is one.
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Int(i) => Some((*i).into()),
            Self::UInt(u) => Some((*u).into()),
            Self::Enum(i, _) => Some(*i),
            _ => None,
        }
    }

    /// The number as a float, if it is a number; integers beyond 2^53 are rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float32(f) => Some((*f).into()),
            Self::Float64(f) => Some(*f),
            other => other.as_integer().map(|i| i as f64),
        }
    }
}

/// The elements of `block`, whose type is `data_type`. Ends early when the bytes do.
pub fn values<'a>(data_type: &'a DataType, block: &'a Block) -> Box<dyn Iterator<Item = Value<'a>> + 'a> {
    match block {
        Block::Fixed(bytes) => {
            let mut cursor = Cursor::new(bytes);
            Box::new(std::iter::from_fn(move || {
                if cursor.rest().is_empty() { None } else { decode(data_type, &mut cursor).ok() }
            }))
        }
        Block::Varying { .. } => Box::new(block.elements().map_while(move |element| match data_type {
            DataType::String | DataType::Url => Some(Value::Text(String::from_utf8_lossy(element))),
            DataType::Opaque(_) => Some(Value::Bytes(element)),
            _ => decode(data_type, &mut Cursor::new(element)).ok(),
        })),
    }
}

/// One element in the layout of [`crate::records`].
///
/// # Errors
/// `Internal` when the bytes end first.
pub fn decode<'a>(data_type: &'a DataType, cursor: &mut Cursor<'a>) -> Result<Value<'a>> {
    Ok(match data_type {
        DataType::Int8 => Value::Int(i8::from_ne_bytes(cursor.array()?).into()),
        DataType::Int16 => Value::Int(i16::from_ne_bytes(cursor.array()?).into()),
        DataType::Int32 => Value::Int(i32::from_ne_bytes(cursor.array()?).into()),
        DataType::Int64 => Value::Int(i64::from_ne_bytes(cursor.array()?)),
        DataType::UInt8 => Value::UInt(u8::from_ne_bytes(cursor.array()?).into()),
        DataType::UInt16 => Value::UInt(u16::from_ne_bytes(cursor.array()?).into()),
        DataType::UInt32 => Value::UInt(u32::from_ne_bytes(cursor.array()?).into()),
        DataType::UInt64 => Value::UInt(u64::from_ne_bytes(cursor.array()?)),
        DataType::Float32 => Value::Float32(f32::from_ne_bytes(cursor.array()?)),
        DataType::Float64 => Value::Float64(f64::from_ne_bytes(cursor.array()?)),
        DataType::Char => Value::Char(u8::from_ne_bytes(cursor.array()?)),
        DataType::String | DataType::Url => {
            let len = cursor.count()?;
            Value::Text(String::from_utf8_lossy(cursor.take(len)?))
        }
        DataType::Opaque(_) => {
            let len = cursor.count()?;
            Value::Bytes(cursor.take(len)?)
        }
        DataType::Enum(kind) => {
            let number = decode(&kind.base, cursor)?.as_integer().unwrap_or_default();
            Value::Enum(number, kind.member(number))
        }
        DataType::Structure(record) => Value::Record(decode_members(&record.fields, cursor)?),
        DataType::Sequence(record) => {
            let rows = cursor.count()?;
            let mut list = Vec::new();
            for _ in 0..rows {
                list.push(Value::Record(decode_members(&record.fields, cursor)?));
            }
            Value::List(list)
        }
    })
}

fn decode_members<'a>(fields: &'a [Variable], cursor: &mut Cursor<'a>) -> Result<Vec<Value<'a>>> {
    fields.iter().map(|field| decode_member(field, cursor)).collect()
}

/// A member: a list when it has dimensions.
///
/// # Errors
/// As [`decode`].
pub fn decode_member<'a>(field: &'a Variable, cursor: &mut Cursor<'a>) -> Result<Value<'a>> {
    if field.dimensions.is_empty() {
        return decode(&field.data_type, cursor);
    }
    (0..field.element_count())
        .map(|_| decode(&field.data_type, cursor))
        .collect::<Result<_>>()
        .map(Value::List)
}
