//! HDF5's n-bit packing (filter 5): only the significant bits of each number are stored, one after another.
//!
//! The filter's parameters describe the element type as a tree (atomic, array, compound, opaque bytes);
//! [`NBit::new`] reads it once, with a bounded depth, and decoding walks it for each element.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bits::Bits,
    bytes_in::{claimed_len, index, wrong_len, zeroed},
};

/// Types nest at most this deep.
const MAX_DEPTH: u32 = 32;

/// n-bit packing of elements of one type.
#[derive(Debug)]
pub struct NBit(Option<Packing>);

#[derive(Debug)]
struct Packing {
    count: usize,
    size: usize,
    /// Stored bits of an element, more than 0.
    bits: u64,
    element: Type,
}

#[derive(Debug)]
enum Type {
    Atomic(Atomic),
    Array {
        base: Box<Type>,
        base_size: usize,
        count: usize,
    },
    Compound(Vec<(usize, usize, Type)>),
    /// Whole bytes.
    Opaque(usize),
}

#[derive(Debug)]
struct Atomic {
    size: usize,
    big_endian: bool,
    precision: usize,
    /// From the least significant bit.
    offset: usize,
}

impl NBit {
    /// From the filter's client data.
    ///
    /// # Errors
    /// `Corrupt` when it does not describe a type.
    pub fn new(client_data: &[u32]) -> Result<Self> {
        let mut parameters = Parameters(client_data);
        let stated = parameters.next()?;
        if stated != client_data.len() {
            return Err(wrong_parameters("their number is not the one stated"));
        }
        // Nothing to gain from packing: stored as it is.
        if parameters.next()? != 0 {
            return Ok(Self(None));
        }
        let count = parameters.next()?;
        let class = parameters.next()?;
        let size = parameters.peek()?;
        let element = parameters.data_type(class, MAX_DEPTH)?;
        let bits = element.bits();
        if bits == 0 || size == 0 {
            return Err(wrong_parameters("an element has no bits"));
        }
        Ok(Self(Some(Packing { count, size, bits, element })))
    }
}

fn wrong_parameters(what: &str) -> Error {
    Error::corrupt(format!("nbit parameters: {what}"))
}

struct Parameters<'a>(&'a [u32]);

impl Parameters<'_> {
    fn next(&mut self) -> Result<usize> {
        let (first, rest) = self.0.split_first().ok_or_else(|| wrong_parameters("they end early"))?;
        self.0 = rest;
        index(*first)
    }

    fn peek(&self) -> Result<usize> {
        self.0.first().map_or_else(|| Err(wrong_parameters("they end early")), |n| index(*n))
    }

    /// A type of `class`; its size comes first.
    fn data_type(&mut self, class: usize, depth: u32) -> Result<Type> {
        let depth = depth.checked_sub(1).ok_or_else(|| wrong_parameters("types nest too deep"))?;
        let size = self.next()?;
        match class {
            1 => {
                let (order, precision, offset) = (self.next()?, self.next()?, self.next()?);
                let top = precision.checked_add(offset).ok_or_else(|| wrong_parameters("overflow"))?;
                if precision == 0 || top > size.saturating_mul(8) || order > 1 {
                    return Err(wrong_parameters("a number's bits are outside its bytes"));
                }
                Ok(Type::Atomic(Atomic { size, big_endian: order == 1, precision, offset }))
            }
            2 => {
                let base_class = self.next()?;
                let base_size = self.peek()?;
                let base = self.data_type(base_class, depth)?;
                // Opaque bases are stored as one run of bytes whatever their own size.
                if let Type::Opaque(_) = base {
                    return Ok(Type::Opaque(size));
                }
                if base_size == 0 {
                    return Err(wrong_parameters("an array of nothing"));
                }
                Ok(Type::Array { base: Box::new(base), base_size, count: size / base_size })
            }
            3 => {
                let count = self.next()?;
                let mut members = Vec::new();
                let mut used = 0_usize;
                for _ in 0..count {
                    let offset = self.next()?;
                    let class = self.next()?;
                    let member_size = self.peek()?;
                    used = used.saturating_add(member_size);
                    if member_size == 0 || used > size || offset.saturating_add(member_size) > size {
                        return Err(wrong_parameters("a member is outside its compound"));
                    }
                    members.push((offset, member_size, self.data_type(class, depth)?));
                }
                Ok(Type::Compound(members))
            }
            4 => Ok(Type::Opaque(size)),
            _ => Err(wrong_parameters("an unknown type class")),
        }
    }
}

impl Type {
    /// Stored bits; saturating, for what saturates is refused for want of input.
    fn bits(&self) -> u64 {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        match self {
            Self::Atomic(atomic) => wide(atomic.precision),
            Self::Array { base, count, .. } => base.bits().saturating_mul(wide(*count)),
            Self::Compound(members) => {
                members.iter().fold(0, |sum, (_, _, member)| sum.saturating_add(member.bits()))
            }
            Self::Opaque(size) => wide(*size).saturating_mul(8),
        }
    }

    fn unpack(&self, bits: &mut Bits<'_>, out: &mut [u8]) -> Result<()> {
        match self {
            Self::Atomic(atomic) => atomic.unpack(bits, out),
            Self::Array { base, base_size, count } => {
                out.chunks_exact_mut(*base_size).take(*count).try_for_each(|part| base.unpack(bits, part))
            }
            Self::Compound(members) => members.iter().try_for_each(|(offset, size, member)| {
                let part = out.get_mut(*offset..offset.saturating_add(*size)).unwrap_or_default();
                member.unpack(bits, part)
            }),
            Self::Opaque(size) => {
                out.iter_mut().take(*size).try_for_each(|byte| byte_of(bits, 8).map(|value| *byte = value))
            }
        }
    }
}

fn byte_of(bits: &mut Bits<'_>, count: usize) -> Result<u8> {
    let value = bits.read(u32::try_from(count).unwrap_or(8))?;
    u8::try_from(value).map_err(|e| Error::corrupt("a byte is too wide").with_source(e))
}

impl Atomic {
    fn unpack(&self, bits: &mut Bits<'_>, out: &mut [u8]) -> Result<()> {
        let top = self.precision + self.offset;
        if self.size <= 8 {
            let value = bits.read(u32::try_from(self.precision).unwrap_or(64))? << self.offset;
            let bytes = value.to_le_bytes();
            for (i, byte) in bytes.iter().take(self.size).enumerate() {
                let place = if self.big_endian { self.size - 1 - i } else { i };
                if let Some(target) = out.get_mut(place) {
                    *target = *byte;
                }
            }
            return Ok(());
        }
        // Wider numbers byte by byte, the most significant first.
        for i in (self.offset / 8..top.div_ceil(8)).rev() {
            let low = self.offset.max(i * 8);
            let high = top.min(i * 8 + 8);
            let place = if self.big_endian { self.size - 1 - i } else { i };
            let value = byte_of(bits, high - low)? << (low - i * 8);
            if let Some(target) = out.get_mut(place) {
                *target = value;
            }
        }
        Ok(())
    }
}

impl Codec for NBit {
    fn name(&self) -> &'static str {
        "nbit"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let Some(packing) = &self.0 else {
            return match decoded_len {
                Some(len) if len != input.len() => Err(wrong_len(input.len(), len)),
                _ => Ok(input),
            };
        };
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let len = claimed_len(wide(packing.count).saturating_mul(wide(packing.size)), decoded_len)?;
        let needed = packing.bits.saturating_mul(wide(packing.count)).div_ceil(8);
        if needed > wide(input.len()) {
            return Err(wrong_len(input.len(), usize::try_from(needed).unwrap_or(usize::MAX)));
        }
        let mut out = zeroed(len)?;
        let mut bits = Bits::new(&input);
        for element in out.chunks_exact_mut(packing.size) {
            packing.element.unpack(&mut bits, element)?;
        }
        Ok(out.into())
    }
}
