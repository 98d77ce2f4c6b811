//! Values as XDR (protocol section 5.4): big-endian, everything a multiple of four bytes. It turns the
//! blocks of one variable into bytes and knows how many there will be; [`super::dods`] frames them.

use bytes::{BufMut, Bytes, BytesMut};
use cdm::{Block, DataType, Error, Result, Variable, records::Cursor};
use futures::{StreamExt, stream};

use super::{dods::behind, resolve::Leaf};
use crate::protocols::ByteStream;

/// Counts are signed 32-bit integers.
pub(super) const MAX_COUNT: u64 = (1 << 31) - 1;

/// Begins each row of a sequence.
const ROW: [u8; 4] = [0x5a, 0, 0, 0];
/// Ends a sequence.
const END: [u8; 4] = [0xa5, 0, 0, 0];

/// The bytes that the values of `variable` take, if its type says; saturating.
pub(super) fn fixed_len(variable: &Variable) -> Option<u64> {
    let one = match &variable.data_type {
        DataType::String | DataType::Url | DataType::Sequence(_) => return None,
        DataType::Structure(record) => {
            record.fields.iter().try_fold(0_u64, |sum, field| Some(sum.saturating_add(fixed_len(field)?)))?
        }
        DataType::Float64 => 8,
        _ => 4,
    };
    if variable.dimensions.is_empty() {
        return Some(one);
    }
    let count = variable.element_count();
    Some(match &variable.data_type {
        DataType::UInt8 => padded(count).saturating_add(8),
        DataType::Structure(_) => count.saturating_mul(one).saturating_add(4),
        _ => count.saturating_mul(one).saturating_add(8),
    })
}

fn padded(len: u64) -> u64 {
    len.saturating_add(len.wrapping_neg() % 4)
}

/// The values of `leaf`. Nothing is read before the first poll. When its source gives fewer or more
/// elements than declared, the stream ends with an error: never with padding.
pub(super) fn values(leaf: &Leaf) -> ByteStream {
    let leaf = leaf.clone();
    stream::once(async move {
        let head = counts(&leaf.declared);
        let blocks = leaf.source.read(&leaf.name, &leaf.selection);
        let encoder = Encoder { left: leaf.declared.element_count(), variable: leaf.declared };
        let body = blocks.map(Some).chain(stream::iter([None])).scan(encoder, |encoder, block| {
            let bytes = match block {
                Some(block) => block.and_then(|b| encoder.block(b)),
                None => encoder.finish(),
            };
            std::future::ready(Some(bytes))
        });
        behind(head, body)
    })
    .flatten()
    .filter(|bytes| std::future::ready(!matches!(bytes, Ok(b) if b.is_empty())))
    .boxed()
}

/// What stands before an array: its count, twice unless its elements are strings or structures.
fn counts(variable: &Variable) -> Bytes {
    let mut out = Vec::new();
    // Larger counts have been refused before; one that was not would be cut by the reader's own check.
    let count = i32::try_from(variable.element_count()).unwrap_or(i32::MAX);
    put_counts(variable, count, &mut out);
    out.into()
}

fn put_counts(variable: &Variable, count: i32, out: &mut Vec<u8>) {
    if variable.dimensions.is_empty() {
        return;
    }
    out.put_i32(count);
    let once = matches!(
        variable.data_type,
        DataType::String | DataType::Url | DataType::Structure(_) | DataType::Sequence(_)
    );
    if !once {
        out.put_i32(count);
    }
}

struct Encoder {
    variable: Variable,
    /// Elements still to come.
    left: u64,
}

impl Encoder {
    fn block(&mut self, block: Block) -> Result<Bytes> {
        let data_type = &self.variable.data_type;
        let count = block.element_count(data_type.fixed_size());
        self.left = self.left.checked_sub(count).ok_or_else(|| self.miscounted("more"))?;
        let Block::Fixed(bytes) = block else {
            let mut out = Vec::with_capacity(block.byte_len().saturating_add(block.byte_len() / 2));
            for element in block.elements() {
                match data_type {
                    DataType::String | DataType::Url => put_text(element, &mut out)?,
                    _ => put_value(data_type, &mut Cursor::new(element), &mut out)?,
                }
            }
            return Ok(out.into());
        };
        match (data_type, self.variable.dimensions.is_empty()) {
            (DataType::UInt8, false) => Ok(bytes),
            (DataType::Structure(_), _) => {
                let mut out = Vec::with_capacity(bytes.len().saturating_mul(2));
                let mut cursor = Cursor::new(&bytes);
                while !cursor.rest().is_empty() {
                    put_value(data_type, &mut cursor, &mut out)?;
                }
                Ok(out.into())
            }
            (DataType::UInt8 | DataType::Int16 | DataType::UInt16, _) => {
                let mut out = Vec::with_capacity(bytes.len().saturating_mul(4));
                put_numbers(data_type, &bytes, &mut out);
                Ok(out.into())
            }
            _ => Ok(swapped(data_type, bytes)),
        }
    }

    fn finish(&self) -> Result<Bytes> {
        if self.left > 0 {
            return Err(self.miscounted("fewer"));
        }
        let is_bytes = self.variable.data_type == DataType::UInt8 && !self.variable.dimensions.is_empty();
        let count = if is_bytes { self.variable.element_count() } else { 0 };
        Ok(padding(count))
    }

    fn miscounted(&self, which: &str) -> Error {
        Error::internal(format!("{} has {which} elements than declared", self.variable.name))
    }
}

/// Zeros up to the next multiple of four.
fn padding(len: u64) -> Bytes {
    const ZEROS: &[u8] = &[0; 3];
    Bytes::from_static(match len % 4 {
        1 => ZEROS,
        2 => &ZEROS[..2],
        3 => &ZEROS[..1],
        _ => &[],
    })
}

/// Four- and eight-byte numbers with their bytes reversed, in place when nobody else holds them.
fn swapped(data_type: &DataType, bytes: Bytes) -> Bytes {
    if cfg!(target_endian = "big") {
        return bytes;
    }
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    // Compiled for the widest vectors that the processor has.
    let wide = pulp::Arch::new();
    if *data_type == DataType::Float64 {
        wide.dispatch(|| bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|n| n.reverse()));
    } else {
        wide.dispatch(|| bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|n| n.reverse()));
    }
    bytes.freeze()
}

/// Numbers one after the other, each at least four bytes wide.
fn put_numbers(data_type: &DataType, bytes: &[u8], out: &mut Vec<u8>) {
    match data_type {
        DataType::UInt8 => bytes.iter().for_each(|b| out.put_u32((*b).into())),
        DataType::Int16 => {
            bytes.as_chunks().0.iter().for_each(|n| out.put_i32(i16::from_ne_bytes(*n).into()));
        }
        DataType::UInt16 => {
            bytes.as_chunks().0.iter().for_each(|n| out.put_u32(u16::from_ne_bytes(*n).into()));
        }
        DataType::Float64 => bytes.as_chunks().0.iter().for_each(|n| out.put_u64(u64::from_ne_bytes(*n))),
        _ => bytes.as_chunks().0.iter().for_each(|n| out.put_u32(u32::from_ne_bytes(*n))),
    }
}

fn put_text(text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let len = i32::try_from(text.len())
        .map_err(|e| Error::too_large("a string is longer than DAP2 can count").with_source(e))?;
    out.put_i32(len);
    out.extend_from_slice(text);
    out.extend_from_slice(&padding(text.len() as u64));
    Ok(())
}

/// One element as `cdm::records` lays it out. Records nest no deeper than the view allows.
fn put_value(data_type: &DataType, from: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    match data_type {
        DataType::Structure(record) => record.fields.iter().try_for_each(|f| put_member(f, from, out)),
        DataType::Sequence(record) => {
            for _ in 0..from.count()? {
                out.extend_from_slice(&ROW);
                let before = from.rest().len();
                record.fields.iter().try_for_each(|f| put_member(f, from, out))?;
                if from.rest().len() == before {
                    return Err(Error::internal("a sequence has rows without bytes"));
                }
            }
            out.extend_from_slice(&END);
            Ok(())
        }
        DataType::String | DataType::Url => {
            let len = from.count()?;
            put_text(from.take(len)?, out)
        }
        _ => {
            let size = data_type.fixed_size().unwrap_or(0);
            put_numbers(data_type, from.take(size)?, out);
            Ok(())
        }
    }
}

/// A member of a record: a value, or an array with its counts.
fn put_member(field: &Variable, from: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    if field.dimensions.is_empty() {
        return put_value(&field.data_type, from, out);
    }
    let count = i32::try_from(field.element_count())
        .map_err(|e| Error::too_large("a member is larger than DAP2 can count").with_source(e))?;
    put_counts(field, count, out);
    match (&field.data_type, field.data_type.record().is_none(), field.byte_len()) {
        (DataType::UInt8, _, Some(len)) => {
            out.extend_from_slice(from.take(len)?);
            out.extend_from_slice(&padding(len));
        }
        (data_type, true, Some(len)) => put_numbers(data_type, from.take(len)?, out),
        (data_type, ..) => {
            for _ in 0..field.element_count() {
                put_value(data_type, from, out)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "xdr_tests.rs"]
mod tests;
