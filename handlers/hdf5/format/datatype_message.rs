//! Decoding the datatype message: classes 0 to 11, versions 1 to 5.

use std::sync::Arc;

use bytes::Bytes;
use cdm::Result;

use super::{
    ByteOrder, Charset, Datatype, FloatType, Member, ReferenceKind, StringPadding, VarLenKind,
    cursor::{Cursor, text},
};

/// Types may be nested this deep.
const DEEPEST: usize = 32;
const HIGHEST_RANK: usize = 32;

/// Reads one datatype; the cursor ends behind it.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Datatype> {
    read_at(c, DEEPEST)
}

/// Class bits and size of a datatype being read.
#[derive(Clone, Copy)]
struct Head {
    version: u8,
    bits: u32,
    size: u32,
}

impl Head {
    fn bit(self, at: u32) -> bool {
        self.bits & (1 << at) != 0
    }

    /// Four bits from `at`.
    fn nibble(self, at: u32) -> u32 {
        (self.bits >> at) & 0x0f
    }
}

fn read_at(c: &mut Cursor<'_>, depth: usize) -> Result<Datatype> {
    let place = c.place;
    let Some(depth) = depth.checked_sub(1) else {
        return Err(place.corrupt(format_args!("datatypes are nested more than {DEEPEST} deep")));
    };
    let word = c.u32()?;
    let (class, version) = (word & 0x0f, (word >> 4) & 0x0f);
    if !(1..=5).contains(&version) {
        return Err(place.unsupported(format_args!("version {version} of the datatype is unknown")));
    }
    let version = u8::try_from(version).unwrap_or(u8::MAX);
    let size = c.u32()?;
    if size == 0 && class != 3 && class != 5 {
        return Err(place.corrupt("a datatype of no bytes"));
    }
    let head = Head { version, bits: word >> 8, size };
    match class {
        0 => fixed_point(c, head),
        1 => float(c, head),
        2 => {
            let order = if head.bit(0) { ByteOrder::Big } else { ByteOrder::Little };
            Ok(Datatype::Time { size, order, precision: c.u16()? })
        }
        3 => {
            let (padding, charset) = (padding(c, head.nibble(0))?, charset(c, head.nibble(4))?);
            Ok(Datatype::String { size, padding, charset })
        }
        4 => {
            let order = if head.bit(0) { ByteOrder::Big } else { ByteOrder::Little };
            let (bit_offset, precision) = significant(c, size)?;
            Ok(Datatype::Bitfield { size, order, bit_offset, precision })
        }
        5 => {
            let len = usize::try_from(head.bits & 0xff).unwrap_or(0);
            Ok(Datatype::Opaque { size, tag: text(c.take(len)?) })
        }
        6 => compound(c, head, depth),
        7 => reference(c, head),
        8 => enumeration(c, head, depth),
        9 => var_len(c, head, depth),
        10 => array(c, head, depth),
        11 => {
            let base = read_at(c, depth)?;
            if !matches!(base, Datatype::Float(_)) || base.size().checked_mul(2) != Some(u64::from(size)) {
                return Err(place.corrupt("a complex datatype that is not two floating-point numbers"));
            }
            Ok(Datatype::Complex { base: Arc::new(base) })
        }
        _ => Err(place.unsupported(format_args!("datatype class {class} is unknown"))),
    }
}

/// Bit offset and precision, within `size` bytes.
fn significant(c: &mut Cursor<'_>, size: u32) -> Result<(u16, u16)> {
    let (offset, precision) = (c.u16()?, c.u16()?);
    let bits = u64::from(size) * 8;
    if precision == 0 || u64::from(offset) + u64::from(precision) > bits {
        return Err(c.place.corrupt("a number with more significant bits than it has"));
    }
    Ok((offset, precision))
}

fn fixed_point(c: &mut Cursor<'_>, head: Head) -> Result<Datatype> {
    let order = if head.bit(0) { ByteOrder::Big } else { ByteOrder::Little };
    let (bit_offset, precision) = significant(c, head.size)?;
    Ok(Datatype::FixedPoint { size: head.size, order, signed: head.bit(3), bit_offset, precision })
}

fn float(c: &mut Cursor<'_>, head: Head) -> Result<Datatype> {
    let order = match (head.bit(6), head.bit(0)) {
        (false, false) => ByteOrder::Little,
        (false, true) => ByteOrder::Big,
        (true, true) => ByteOrder::Vax,
        (true, false) => return Err(c.place.corrupt("a floating-point number of unknown byte order")),
    };
    let (bit_offset, precision) = significant(c, head.size)?;
    let normalization = u8::try_from((head.bits >> 4) & 0x03).unwrap_or(0);
    let sign_position = u8::try_from((head.bits >> 8) & 0xff).unwrap_or(0);
    let (exponent_position, exponent_size) = (c.u8()?, c.u8()?);
    let (mantissa_position, mantissa_size) = (c.u8()?, c.u8()?);
    let exponent_bias = c.u32()?;
    let bits = u64::from(head.size) * 8;
    let ends = [
        u64::from(sign_position) + 1,
        u64::from(exponent_position) + u64::from(exponent_size),
        u64::from(mantissa_position) + u64::from(mantissa_size),
    ];
    if ends.iter().any(|&end| end > bits) {
        return Err(c.place.corrupt("a floating-point number whose fields are outside it"));
    }
    Ok(Datatype::Float(FloatType {
        size: head.size,
        order,
        bit_offset,
        precision,
        sign_position,
        exponent_position,
        exponent_size,
        mantissa_position,
        mantissa_size,
        exponent_bias,
        normalization,
    }))
}

fn padding(c: &Cursor<'_>, code: u32) -> Result<StringPadding> {
    match code {
        0 => Ok(StringPadding::NullTerminated),
        1 => Ok(StringPadding::NullPadded),
        2 => Ok(StringPadding::SpacePadded),
        _ => Err(c.place.corrupt(format_args!("string padding {code} is unknown"))),
    }
}

fn charset(c: &Cursor<'_>, code: u32) -> Result<Charset> {
    match code {
        0 => Ok(Charset::Ascii),
        1 => Ok(Charset::Utf8),
        _ => Err(c.place.corrupt(format_args!("character set {code} is unknown"))),
    }
}

/// A name of a member, padded to 8 bytes before version 3.
fn name(c: &mut Cursor<'_>, version: u8) -> Result<Arc<str>> {
    let from = c.position();
    let name = c.text_to_nul()?;
    if version < 3 {
        let over = (c.position() - from) % 8;
        if over != 0 {
            c.skip(8 - over)?;
        }
    }
    Ok(name.into())
}

fn compound(c: &mut Cursor<'_>, head: Head, depth: usize) -> Result<Datatype> {
    let place = c.place;
    let count = head.bits & 0xffff;
    let mut members = Vec::new();
    for _ in 0..count {
        let name = name(c, head.version)?;
        let offset = if head.version < 3 {
            c.u32()?
        } else {
            let width = super::cursor::width_of(u64::from(head.size));
            u32::try_from(c.uint(width)?).map_err(|e| place.corrupt("a member offset").with_source(e))?
        };
        let mut dims = Vec::new();
        if head.version == 1 {
            let rank = usize::from(c.u8()?);
            // Reserved, permutation, reserved.
            c.skip(3 + 4 + 4)?;
            if rank > 4 {
                return Err(place.corrupt("a member of more than 4 dimensions"));
            }
            for i in 0..4 {
                let dim = c.u32()?;
                if i < rank {
                    dims.push(dim);
                }
            }
        }
        let mut datatype = read_at(c, depth)?;
        if !dims.is_empty() {
            datatype = checked_array(c, dims, datatype)?;
        }
        if u64::from(offset).saturating_add(datatype.size()) > u64::from(head.size) {
            return Err(place.corrupt(format_args!("member {name} is outside its compound")));
        }
        members.push(Member { name, offset, datatype });
    }
    if members.is_empty() {
        return Err(place.corrupt("a compound of no members"));
    }
    Ok(Datatype::Compound { size: head.size, members: members.into() })
}

/// An array whose size is known to be sound.
fn checked_array(c: &Cursor<'_>, dims: Vec<u32>, base: Datatype) -> Result<Datatype> {
    let size = dims.iter().try_fold(base.size(), |n, &d| n.checked_mul(u64::from(d)));
    if size.is_none_or(|n| n == 0 || u32::try_from(n).is_err()) {
        return Err(c.place.corrupt("an array type of impossible size"));
    }
    Ok(Datatype::Array { dims, base: Arc::new(base) })
}

fn reference(c: &mut Cursor<'_>, head: Head) -> Result<Datatype> {
    let kind = match head.nibble(0) {
        0 => ReferenceKind::Object,
        1 => ReferenceKind::Region,
        2 if head.version >= 4 => ReferenceKind::NewObject,
        3 if head.version >= 4 => ReferenceKind::NewRegion,
        4 if head.version >= 4 => ReferenceKind::NewAttribute,
        other => return Err(c.place.corrupt(format_args!("reference type {other} is unknown"))),
    };
    if kind == ReferenceKind::Object && usize::try_from(head.size) != Ok(c.sizes().offsets) {
        return Err(c.place.corrupt("an object reference that is not the size of an address"));
    }
    Ok(Datatype::Reference { size: head.size, kind })
}

fn enumeration(c: &mut Cursor<'_>, head: Head, depth: usize) -> Result<Datatype> {
    let place = c.place;
    let count = usize::try_from(head.bits & 0xffff).unwrap_or(0);
    let base = read_at(c, depth)?;
    if !matches!(base, Datatype::FixedPoint { .. }) || base.size() != u64::from(head.size) {
        return Err(place.corrupt("an enumeration that is not of an integer type of its size"));
    }
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(name(c, head.version)?);
    }
    let size = usize::try_from(head.size).unwrap_or(usize::MAX);
    let all = size.checked_mul(count).ok_or_else(|| place.corrupt("an enumeration of impossible size"))?;
    // A copy: the message's block must not stay in memory for a few values.
    let values = Bytes::copy_from_slice(c.take(all)?);
    let members = names.into_iter().enumerate().map(|(i, n)| (n, values.slice(i * size..(i + 1) * size)));
    Ok(Datatype::Enum { base: Arc::new(base), members: members.collect() })
}

fn var_len(c: &mut Cursor<'_>, head: Head, depth: usize) -> Result<Datatype> {
    let place = c.place;
    let kind = match head.nibble(0) {
        0 => VarLenKind::Sequence,
        1 => {
            VarLenKind::String { padding: padding(c, head.nibble(4))?, charset: charset(c, head.nibble(8))? }
        }
        other => return Err(place.corrupt(format_args!("variable-length type {other} is unknown"))),
    };
    if usize::try_from(head.size) != Ok(c.sizes().offsets + 8) {
        return Err(place.corrupt(format_args!("a variable-length element of {} bytes", head.size)));
    }
    let base = Arc::new(read_at(c, depth)?);
    Ok(Datatype::VarLen { size: head.size, kind, base })
}

fn array(c: &mut Cursor<'_>, head: Head, depth: usize) -> Result<Datatype> {
    let place = c.place;
    let rank = usize::from(c.u8()?);
    if rank == 0 || rank > HIGHEST_RANK {
        return Err(place.corrupt(format_args!("an array type of rank {rank}")));
    }
    if head.version < 3 {
        c.skip(3)?;
    }
    let mut dims = Vec::with_capacity(rank);
    for _ in 0..rank {
        dims.push(c.u32()?);
    }
    if head.version < 3 {
        // The permutation, which was never used.
        c.skip(4 * rank)?;
    }
    let base = read_at(c, depth)?;
    let array = checked_array(c, dims, base)?;
    if array.size() != u64::from(head.size) {
        return Err(place.corrupt("an array type whose size is not that of its elements"));
    }
    Ok(array)
}
