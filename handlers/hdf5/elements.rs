//! Stored HDF5 elements to the model's: byte order, odd widths, padding, records, heap references.
//!
//! A [`Decoder`] is made once from a datatype; [`StoredElements`] runs it over what the chunk engine
//! read. What the model calls the type is [`super::types`]' work; the two agree on the layout that
//! [`cdm::records`] defines.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cdm::{Block, Error, FullName, Result};
use foldhash::HashMap;

use super::{
    format::{ByteOrder, Datatype, File, ReferenceKind, StringPadding, VarLenKind},
    numbers::{FloatBits, IntegerBits},
};
use crate::chunked::{Elements, Numbers};

/// Bytes that one call may produce from values in heaps, which many elements may share.
const MAX_DECODED: usize = 256 << 20;

/// How one stored element becomes one of the model's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decoder {
    /// These bytes, as they are.
    Copy(usize),
    /// These bytes, reversed.
    Swap(usize),
    /// An integer of odd width or position.
    Integer(IntegerBits),
    /// A floating-point number the model lacks.
    Float(FloatBits),
    /// Text in a fixed space.
    Text { size: usize, padding: StringPadding },
    /// Text in a heap.
    HeapText { size: usize },
    /// Bytes of one length.
    Opaque(usize),
    /// Members: offset, repetitions, decoder.
    Record { size: usize, members: Vec<(usize, usize, Decoder)> },
    /// Any number of records in a heap: one record is `count` times `base`.
    List { size: usize, count: usize, base: Box<Decoder> },
    /// The address of an object: its path.
    ObjectPath(usize),
    /// A region of a dataset: the dataset's path.
    RegionPath(usize),
}

/// What decoding heap values and references needs.
#[derive(Debug, Clone)]
pub(super) struct Heaps {
    /// The file with the heaps.
    pub(super) file: File,
    /// Paths of the objects by address.
    pub(super) paths: Arc<HashMap<u64, FullName>>,
}

/// A stored type that has no counterpart in the model.
pub(super) fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("{what} is not supported"))
}

fn length(size: impl TryInto<usize>) -> Result<usize> {
    size.try_into().ok().filter(|n| *n > 0).ok_or_else(|| Error::corrupt("a type of impossible size"))
}

fn in_order(size: usize, order: ByteOrder) -> Decoder {
    let native = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
    if size == 1 || order == native { Decoder::Copy(size) } else { Decoder::Swap(size) }
}

impl Decoder {
    /// For one element of `datatype`; an array is decoded element by element ([`array_of`]).
    pub(super) fn new(datatype: &Datatype) -> Result<Self> {
        Ok(match datatype {
            Datatype::FixedPoint { size, order, signed, bit_offset, precision } => {
                Self::integer(*size, *order, *signed, *bit_offset, *precision)?
            }
            Datatype::Bitfield { size, order, bit_offset, precision } => {
                Self::integer(*size, *order, false, *bit_offset, *precision)?
            }
            Datatype::Float(float) => {
                use super::format::FloatKind::{Float32, Float64};
                match float.kind() {
                    Float32 => in_order(4, float.order),
                    Float64 => in_order(8, float.order),
                    _ => Self::Float(FloatBits::new(float)?),
                }
            }
            Datatype::Time { .. } => return Err(unsupported("an HDF5 time type")),
            Datatype::String { size: 1, .. } => Self::Copy(1),
            Datatype::String { size, padding, .. } => Self::Text { size: length(*size)?, padding: *padding },
            Datatype::Opaque { size, .. } => Self::Opaque(length(*size)?),
            Datatype::Compound { size, members } => {
                let mut parts = Vec::with_capacity(members.len());
                for member in members.iter() {
                    let (count, one) = array_of(&member.datatype);
                    let offset = usize::try_from(member.offset).unwrap_or(usize::MAX);
                    parts.push((offset, length(count)?, Self::new(one)?));
                }
                Self::record(length(*size)?, parts)
            }
            Datatype::Complex { base } => {
                let one = Self::new(base)?;
                let half = one.stored_size();
                Self::record(half.saturating_mul(2), vec![(0, 1, one.clone()), (half, 1, one)])
            }
            Datatype::Reference { size, kind } => match kind {
                ReferenceKind::Object => Self::ObjectPath(length(*size)?),
                ReferenceKind::Region => Self::RegionPath(length(*size)?),
                _ => Self::Opaque(length(*size)?),
            },
            Datatype::Enum { base, .. } => Self::new(base)?,
            Datatype::VarLen { size, kind: VarLenKind::String { .. }, .. } => {
                Self::HeapText { size: length(*size)? }
            }
            Datatype::VarLen { size, base, .. } => {
                let (count, one) = array_of(base);
                let base = Box::new(Self::new(one)?);
                Self::List { size: length(*size)?, count: length(count)?, base }
            }
            Datatype::Array { .. } => return Err(Error::internal("an array where an element was expected")),
        })
    }

    fn integer(size: u32, order: ByteOrder, signed: bool, offset: u16, precision: u16) -> Result<Self> {
        let bits = u64::from(size) * 8;
        if matches!(size, 1 | 2 | 4 | 8) && offset == 0 && u64::from(precision) == bits {
            return Ok(in_order(length(size)?, order));
        }
        Ok(Self::Integer(IntegerBits::new(length(size)?, order, signed, offset, precision)?))
    }

    /// A record; members that follow each other unchanged become one copy.
    fn record(size: usize, members: Vec<(usize, usize, Self)>) -> Self {
        let mut merged: Vec<(usize, usize, Self)> = Vec::with_capacity(members.len());
        for (offset, count, decoder) in members {
            let (count, decoder) = match decoder {
                Self::Copy(n) => (1, Self::Copy(n.saturating_mul(count))),
                other => (count, other),
            };
            match (merged.last_mut(), &decoder) {
                (Some((at, 1, Self::Copy(n))), Self::Copy(more)) if at.saturating_add(*n) == offset => {
                    *n = n.saturating_add(*more);
                }
                _ => merged.push((offset, count, decoder)),
            }
        }
        match merged.as_slice() {
            [(0, 1, Self::Copy(n))] if *n == size => Self::Copy(size),
            _ => Self::Record { size, members: merged },
        }
    }

    /// Bytes of one stored element.
    pub(super) fn stored_size(&self) -> usize {
        match self {
            Self::Copy(n) | Self::Swap(n) | Self::Opaque(n) | Self::ObjectPath(n) | Self::RegionPath(n) => *n,
            Self::Integer(bits) => bits.size,
            Self::Float(bits) => bits.size,
            Self::Text { size, .. }
            | Self::HeapText { size }
            | Self::Record { size, .. }
            | Self::List { size, .. } => *size,
        }
    }

    /// Every element becomes equally many bytes.
    fn is_fixed(&self) -> bool {
        match self {
            Self::Copy(_) | Self::Swap(_) | Self::Integer(_) | Self::Float(_) => true,
            Self::Record { members, .. } => members.iter().all(|(_, _, d)| d.is_fixed()),
            _ => false,
        }
    }

    /// Appends the value of one stored element; texts and opaque values without their length.
    fn write(&self, element: &[u8], heaps: Option<&Heaps>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Copy(_) | Self::Opaque(_) => out.extend_from_slice(element),
            Self::Swap(_) => out.extend(element.iter().rev()),
            Self::Integer(bits) => bits.write(element, out),
            Self::Float(bits) => bits.write(element, out),
            Self::Text { padding, .. } => write_text(trimmed(element, *padding), out),
            Self::HeapText { .. } => {
                let (count, bytes) = heap_value(element, heaps)?;
                let text = bytes.get(..count).ok_or_else(short_heap)?;
                write_text(until_nul(text), out);
            }
            Self::Record { members, .. } => {
                for (offset, count, member) in members {
                    let size = member.stored_size();
                    for i in 0..*count {
                        let at = i.saturating_mul(size).saturating_add(*offset);
                        let part = element.get(at..at.saturating_add(size)).ok_or_else(|| {
                            Error::corrupt("a member of a compound type lies outside its element")
                        })?;
                        member.write_member(part, heaps, out)?;
                    }
                }
            }
            Self::List { count, base, .. } => {
                let (records, bytes) = heap_value(element, heaps)?;
                let size = base.stored_size();
                let total = records.checked_mul(*count).and_then(|n| n.checked_mul(size));
                let stored = total.and_then(|n| bytes.get(..n)).ok_or_else(short_heap)?;
                out.extend_from_slice(&(records as u64).to_ne_bytes());
                for part in stored.chunks_exact(size) {
                    base.write_member(part, heaps, out)?;
                }
            }
            Self::ObjectPath(_) => {
                write_path(little_endian(element), heaps, out);
            }
            Self::RegionPath(_) => {
                if let Some(heaps) = heaps {
                    let region = heap_object(element, heaps)?;
                    let size = heaps.file.size_of_offsets();
                    write_path(region.get(..size).map_or(0, little_endian), Some(heaps), out);
                }
            }
        }
        if out.len() > MAX_DECODED {
            return Err(Error::too_large("the values of variable length are too large to read at once"));
        }
        Ok(())
    }

    /// As [`Decoder::write`], inside a record: texts and opaque values behind their length.
    fn write_member(&self, element: &[u8], heaps: Option<&Heaps>, out: &mut Vec<u8>) -> Result<()> {
        let counted = matches!(
            self,
            Self::Text { .. }
                | Self::HeapText { .. }
                | Self::Opaque(_)
                | Self::ObjectPath(_)
                | Self::RegionPath(_)
        );
        if !counted {
            return self.write(element, heaps, out);
        }
        let at = out.len();
        out.extend_from_slice(&[0; 8]);
        self.write(element, heaps, out)?;
        let len = (out.len() - at - 8) as u64;
        if let Some(place) = out.get_mut(at..at + 8) {
            place.copy_from_slice(&len.to_ne_bytes());
        }
        Ok(())
    }

    /// All elements of `raw`.
    pub(super) fn decode(&self, raw: Bytes, heaps: Option<&Heaps>) -> Result<Block> {
        let size = self.stored_size();
        if !raw.len().is_multiple_of(size) {
            return Err(Error::internal("part of a stored element"));
        }
        match self {
            Self::Copy(_) => return Ok(Block::Fixed(raw)),
            Self::Swap(_) => return Ok(Block::Fixed(swapped(raw, size))),
            _ => {}
        }
        let mut bytes = Vec::new();
        if self.is_fixed() {
            for element in raw.chunks_exact(size) {
                self.write(element, heaps, &mut bytes)?;
            }
            return Ok(Block::Fixed(bytes.into()));
        }
        let mut ends = Vec::with_capacity(raw.len() / size);
        for element in raw.chunks_exact(size) {
            self.write(element, heaps, &mut bytes)?;
            ends.push(bytes.len() as u64);
        }
        Ok(Block::Varying { ends, bytes: bytes.into() })
    }
}

/// How many elements an array datatype holds, and the type of one; other types count once.
pub(super) fn array_of(datatype: &Datatype) -> (u64, &Datatype) {
    let (mut count, mut one) = (1_u64, datatype);
    while let Datatype::Array { dims, base } = one {
        count = dims.iter().fold(count, |n, d| n.saturating_mul(u64::from(*d)));
        one = base;
    }
    (count, one)
}

/// Reverses every `size` bytes, in place when nobody else holds them.
fn swapped(raw: Bytes, size: usize) -> Bytes {
    let mut all = raw.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    match size {
        2 => all.as_chunks_mut::<2>().0.iter_mut().for_each(|c| c.reverse()),
        4 => all.as_chunks_mut::<4>().0.iter_mut().for_each(|c| c.reverse()),
        8 => all.as_chunks_mut::<8>().0.iter_mut().for_each(|c| c.reverse()),
        _ => all.chunks_exact_mut(size).for_each(<[u8]>::reverse),
    }
    all.freeze()
}

fn short_heap() -> Error {
    Error::corrupt("a value of variable length is longer than what the heap holds")
}

/// An unsigned little-endian number of up to 8 bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The count of a stored variable-length value and the heap object it names (empty for a null one).
fn heap_value(element: &[u8], heaps: Option<&Heaps>) -> Result<(usize, Bytes)> {
    let heaps = heaps.ok_or_else(|| Error::internal("a heap value without its file"))?;
    let count = element.get(..4).map_or(0, little_endian);
    let count = usize::try_from(count).map_err(|e| short_heap().with_source(e))?;
    if count == 0 {
        return Ok((0, Bytes::new()));
    }
    let reference = element.get(4..).unwrap_or_default();
    Ok((count, heap_object(reference, heaps)?)).map(|(n, b)| if b.is_empty() { (0, b) } else { (n, b) })
}

/// The heap object that an address and an index name; empty for none.
fn heap_object(reference: &[u8], heaps: &Heaps) -> Result<Bytes> {
    let size = heaps.file.size_of_offsets();
    let address = reference.get(..size).map_or(0, little_endian);
    let index = reference.get(size..size + 4).map_or(0, little_endian);
    if address == 0 || heaps.file.is_undefined(address) {
        return Ok(Bytes::new());
    }
    heaps.file.global_heap_object(address, u32::try_from(index).unwrap_or(0))
}

fn write_path(address: u64, heaps: Option<&Heaps>, out: &mut Vec<u8>) {
    if let Some(path) = heaps.and_then(|h| h.paths.get(&address)) {
        out.extend_from_slice(path.as_str().as_bytes());
    }
}

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

/// The text in a fixed space, without its padding. As in C, a NUL ends a text of any padding.
pub(super) fn trimmed(space: &[u8], padding: StringPadding) -> &[u8] {
    let text = until_nul(space);
    if padding == StringPadding::SpacePadded {
        let blanks = text.iter().rev().take_while(|b| **b == b' ').count();
        return text.get(..text.len() - blanks).unwrap_or_default();
    }
    text
}

/// Appends text; invalid UTF-8 is replaced.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
}

/// A [`Decoder`] as the chunk engine wants it.
#[derive(Debug)]
pub(super) struct StoredElements {
    pub(super) decoder: Decoder,
    pub(super) heaps: Heaps,
}

impl Elements for StoredElements {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        self.decoder.decode(raw, Some(&self.heaps))
    }

    fn numbers(&self) -> Option<Numbers> {
        match self.decoder {
            Decoder::Copy(_) => Some(Numbers::Native),
            Decoder::Swap(size) => Some(Numbers::Swapped(size)),
            _ => None,
        }
    }

    fn stored_big_endian(&self) -> Option<bool> {
        match self.decoder {
            Decoder::Copy(_) => Some(cfg!(target_endian = "big")),
            Decoder::Swap(_) => Some(cfg!(target_endian = "little")),
            _ => None,
        }
    }
}

impl Heaps {
    /// The last object address in a stored variable-length list of references of `size` bytes each.
    pub(super) fn last_reference(&self, element: &[u8], size: usize) -> Option<u64> {
        let (count, bytes) = heap_value(element, Some(self)).ok()?;
        let last = count.min(bytes.len() / size.max(1)).checked_sub(1)?;
        bytes.chunks_exact(size.max(1)).nth(last).map(little_endian)
    }
}
