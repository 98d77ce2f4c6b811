//! The header's grammar (netCDF classic format specification, "The Format in Detail"), with nom.
//!
//! Everything is big-endian and padded to four bytes. Counts are believed only as far as the bytes that
//! follow bear them out: lists grow item by item. Whether the data is there is `layout`'s business.
#![warn(clippy::indexing_slicing)]

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use cdm::{Attribute, Attributes, Block, DataType, Error, Result};
use nom::{
    Err as NomErr, IResult, Needed,
    bytes::streaming::{tag, take},
    error::{ErrorKind, ParseError},
    number::streaming::{be_u8, be_u32, be_u64},
};

use crate::chunked::Numbers;

/// Names longer than `NC_MAX_NAME` have never been written by any library; some room for others.
const LONGEST_NAME: u64 = 4096;

/// `NC_MAX_VAR_DIMS`.
const MOST_DIMENSIONS: u64 = 1024;

/// `NC_MAX_ATTRS`, per variable.
const MOST_ATTRIBUTES: u64 = 8192;

/// Which of the three formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 32-bit offsets.
    Classic,
    /// 64-bit offsets.
    Offset64,
    /// 64-bit offsets and counts, more types (CDF-5).
    Data64,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// `None`: a stream that was never told, counted from the file's length.
    pub(crate) record_count: Option<u64>,
    pub(crate) dimensions: Vec<DimensionEntry>,
    pub(crate) attributes: Attributes,
    pub(crate) variables: Vec<VariableEntry>,
}

/// A dimension; length 0 marks the record dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DimensionEntry {
    pub(crate) name: Arc<str>,
    pub(crate) len: u64,
}

/// A variable. Its `vsize` is not kept: it is redundant, and wrong in large files by design.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariableEntry {
    pub(crate) name: Arc<str>,
    /// Positions in the list of dimensions, outermost first; may be out of range.
    pub(crate) dimensions: Vec<u64>,
    pub(crate) attributes: Attributes,
    pub(crate) data_type: DataType,
    /// Offset of the first value.
    pub(crate) begin: u64,
}

/// The header at the beginning of `bytes`; `None` when it goes on beyond them.
///
/// # Errors
/// `Corrupt` when they are not a header, whatever follows.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>> {
    match header(bytes) {
        Ok((_, header)) => Ok(Some(header)),
        Err(NomErr::Incomplete(_)) => Ok(None),
        Err(NomErr::Error(fault) | NomErr::Failure(fault)) => {
            let at = bytes.len() - fault.left;
            Err(Error::corrupt(format!("the netCDF-3 header is damaged at byte {at}: {}", fault.what)))
        }
    }
}

/// What is wrong, and how many bytes were left there.
#[derive(Debug)]
struct Fault {
    left: usize,
    what: Cow<'static, str>,
}

impl ParseError<&[u8]> for Fault {
    fn from_error_kind(input: &[u8], _: ErrorKind) -> Self {
        Self { left: input.len(), what: "not a netCDF-3 header".into() }
    }
    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Fault>;

fn fault<T>(input: &[u8], what: impl Into<Cow<'static, str>>) -> Parsed<'_, T> {
    Err(NomErr::Failure(Fault { left: input.len(), what: what.into() }))
}

fn header(input: &[u8]) -> Parsed<'_, Header> {
    let (input, _) = tag(&b"CDF"[..])(input)?;
    let (input, version) = be_u8(input)?;
    let kind = match version {
        1 => Kind::Classic,
        2 => Kind::Offset64,
        5 => Kind::Data64,
        n => return fault(input, format!("version {n}")),
    };
    let (input, record_count) = record_count(kind, input)?;
    let (input, dimensions) = list(kind, 10, u64::MAX, input, dimension)?;
    let (input, attributes) = attributes(kind, input)?;
    let (input, variables) = list(kind, 11, u64::MAX, input, variable)?;
    Ok((input, Header { kind, record_count, dimensions, attributes, variables }))
}

/// `numrecs`: all ones stand for a stream.
fn record_count(kind: Kind, input: &[u8]) -> Parsed<'_, Option<u64>> {
    if kind == Kind::Data64 {
        let (rest, n) = be_u64(input)?;
        return match n {
            u64::MAX => Ok((rest, None)),
            n if n > i64::MAX.cast_unsigned() => fault(input, "a negative number of records"),
            n => Ok((rest, Some(n))),
        };
    }
    let (input, n) = be_u32(input)?;
    Ok((input, (n != u32::MAX).then_some(u64::from(n))))
}

/// `NON_NEG`: a count, a length or a position.
fn count(kind: Kind, input: &[u8]) -> Parsed<'_, u64> {
    let (rest, n, most) = if kind == Kind::Data64 {
        let (rest, n) = be_u64(input)?;
        (rest, n, i64::MAX.cast_unsigned())
    } else {
        let (rest, n) = be_u32(input)?;
        (rest, u64::from(n), u64::from(i32::MAX.cast_unsigned()))
    };
    if n > most { fault(input, "a negative number") } else { Ok((rest, n)) }
}

/// A list behind its tag; a list that is absent has tag 0 and no items.
fn list<'a, T>(
    kind: Kind,
    marker: u32,
    most: u64,
    input: &'a [u8],
    item: impl Fn(Kind, &'a [u8]) -> Parsed<'a, T>,
) -> Parsed<'a, Vec<T>> {
    let (rest, found) = be_u32(input)?;
    let (mut rest, n) = count(kind, rest)?;
    if found != marker && (found, n) != (0, 0) {
        return fault(input, format!("list {found} of {n} items where list {marker} is due"));
    }
    if n > most {
        return fault(input, format!("{n} items where at most {most} are read"));
    }
    let mut items = Vec::new();
    for _ in 0..n {
        let (left, one) = item(kind, rest)?;
        items.push(one);
        rest = left;
    }
    Ok((rest, items))
}

/// `n` bytes and the padding that makes them a multiple of four.
fn padded(n: u64, input: &[u8]) -> Parsed<'_, &[u8]> {
    // A length that cannot be addressed cannot be in memory either.
    let Some(len) = usize::try_from(n).ok().filter(|n| *n < usize::MAX - 3) else {
        return Err(NomErr::Incomplete(Needed::Unknown));
    };
    let (input, bytes) = take(len)(input)?;
    let (input, _) = take(len.next_multiple_of(4) - len)(input)?;
    Ok((input, bytes))
}

fn name(kind: Kind, input: &[u8]) -> Parsed<'_, Arc<str>> {
    let (rest, len) = count(kind, input)?;
    if len == 0 || len > LONGEST_NAME {
        return fault(input, format!("a name of {len} bytes"));
    }
    let (rest, bytes) = padded(len, rest)?;
    let text = String::from_utf8_lossy(bytes);
    if text.contains(['/', '\0']) {
        return fault(input, "a name with a slash or a zero byte");
    }
    Ok((rest, text.into()))
}

fn data_type(kind: Kind, input: &[u8]) -> Parsed<'_, DataType> {
    let (rest, code) = be_u32(input)?;
    let found = match (code, kind) {
        (1, _) => DataType::Int8,
        (2, _) => DataType::Char,
        (3, _) => DataType::Int16,
        (4, _) => DataType::Int32,
        (5, _) => DataType::Float32,
        (6, _) => DataType::Float64,
        (7, Kind::Data64) => DataType::UInt8,
        (8, Kind::Data64) => DataType::UInt16,
        (9, Kind::Data64) => DataType::UInt32,
        (10, Kind::Data64) => DataType::Int64,
        (11, Kind::Data64) => DataType::UInt64,
        _ => return fault(input, format!("type {code}")),
    };
    Ok((rest, found))
}

fn dimension(kind: Kind, input: &[u8]) -> Parsed<'_, DimensionEntry> {
    let (input, name) = name(kind, input)?;
    let (input, len) = count(kind, input)?;
    Ok((input, DimensionEntry { name, len }))
}

fn attributes(kind: Kind, input: &[u8]) -> Parsed<'_, Attributes> {
    let (input, all) = list(kind, 12, MOST_ATTRIBUTES, input, attribute)?;
    Ok((input, all.into_iter().collect()))
}

fn attribute(kind: Kind, input: &[u8]) -> Parsed<'_, Attribute> {
    let (input, name) = name(kind, input)?;
    let (input, data_type) = data_type(kind, input)?;
    let (rest, len) = count(kind, input)?;
    let size = data_type.fixed_size().unwrap_or(1);
    let Some(byte_len) = len.checked_mul(size) else { return fault(input, format!("{len} values")) };
    let (rest, bytes) = padded(byte_len, rest)?;
    let numbers = Numbers::big_endian(usize::try_from(size).unwrap_or(1));
    let values = Block::Fixed(numbers.apply(Bytes::copy_from_slice(bytes)));
    Ok((rest, Attribute { name, data_type, len, values }))
}

fn variable(kind: Kind, input: &[u8]) -> Parsed<'_, VariableEntry> {
    let (input, name) = name(kind, input)?;
    let (rest, rank) = count(kind, input)?;
    if rank > MOST_DIMENSIONS {
        return fault(input, format!("a variable of {rank} dimensions"));
    }
    let mut input = rest;
    let mut dimensions = Vec::new();
    for _ in 0..rank {
        let (rest, id) = count(kind, input)?;
        dimensions.push(id);
        input = rest;
    }
    let (input, attributes) = attributes(kind, input)?;
    let (input, data_type) = data_type(kind, input)?;
    // vsize: 4 bytes of no use, which may be all ones for a variable beyond 4 GiB.
    let (input, _) = take(if kind == Kind::Data64 { 8_usize } else { 4 })(input)?;
    let (rest, begin) = if kind == Kind::Classic {
        let (rest, begin) = be_u32(input)?;
        (rest, u64::from(begin))
    } else {
        be_u64(input)?
    };
    Ok((rest, VariableEntry { name, dimensions, attributes, data_type, begin }))
}
