//! Datatypes: what one stored element is. The types and their sizes; decoding the message is in
//! `datatype_message`.

use std::sync::Arc;

use bytes::Bytes;

/// Order of the bytes of a stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
    /// VAX: big-endian 16-bit words in mixed order (floating point only).
    Vax,
}

/// How a fixed-length string shorter than its space ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StringPadding {
    /// At the first NUL.
    NullTerminated,
    /// Filled with NULs.
    NullPadded,
    /// Filled with blanks.
    SpacePadded,
}

/// The character set of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// US-ASCII.
    Ascii,
    /// UTF-8.
    Utf8,
}

/// What a reference points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    /// An object: the element is its address (`size_of_offsets` bytes, little-endian).
    Object,
    /// A region of a dataset: a global heap id.
    Region,
    /// HDF5 1.12 references (`H5R_ref_t`): to an object.
    NewObject,
    /// HDF5 1.12 references: to a region.
    NewRegion,
    /// HDF5 1.12 references: to an attribute.
    NewAttribute,
}

/// What a variable-length value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VarLenKind {
    /// Any number of elements of the base type.
    Sequence,
    /// Text.
    String {
        /// How it ends.
        padding: StringPadding,
        /// Its character set.
        charset: Charset,
    },
}

/// The bit layout of a floating-point number. Bit positions count from the least significant bit of
/// the number once its bytes are in little-endian order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FloatType {
    /// Bytes of one element.
    pub size: u32,
    /// Byte order.
    pub order: ByteOrder,
    /// First significant bit.
    pub bit_offset: u16,
    /// Significant bits.
    pub precision: u16,
    /// Where the sign bit is.
    pub sign_position: u8,
    /// Where the exponent begins.
    pub exponent_position: u8,
    /// Bits of the exponent.
    pub exponent_size: u8,
    /// Where the mantissa begins.
    pub mantissa_position: u8,
    /// Bits of the mantissa.
    pub mantissa_size: u8,
    /// Bias of the exponent.
    pub exponent_bias: u32,
    /// 0: none; 1: the most significant mantissa bit is set; 2: that bit is implied.
    pub normalization: u8,
}

/// Well-known bit layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatKind {
    /// IEEE 754 binary16.
    Float16,
    /// The upper half of binary32.
    BFloat16,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// Anything else (x87 extended, binary128, VAX, user-defined).
    Other,
}

impl FloatType {
    /// The well-known layout this is; its byte order is [`FloatType::order`].
    pub fn kind(&self) -> FloatKind {
        if self.order == ByteOrder::Vax || self.normalization != 2 || self.bit_offset != 0 {
            return FloatKind::Other;
        }
        let exponent = (self.exponent_position, self.exponent_size, self.exponent_bias);
        let mantissa = (self.mantissa_position, self.mantissa_size);
        match (self.size, self.precision, self.sign_position, exponent, mantissa) {
            (2, 16, 15, (10, 5, 15), (0, 10)) => FloatKind::Float16,
            (2, 16, 15, (7, 8, 127), (0, 7)) => FloatKind::BFloat16,
            (4, 32, 31, (23, 8, 127), (0, 23)) => FloatKind::Float32,
            (8, 64, 63, (52, 11, 1023), (0, 52)) => FloatKind::Float64,
            _ => FloatKind::Other,
        }
    }
}

/// A member of a compound type.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: Arc<str>,
    /// Where it begins in the element; it ends within the element.
    pub offset: u32,
    /// Its type.
    pub datatype: Datatype,
}

/// The type of one stored element.
#[derive(Debug, Clone, PartialEq)]
pub enum Datatype {
    /// An integer (class 0).
    FixedPoint {
        /// Bytes of one element.
        size: u32,
        /// Little or big.
        order: ByteOrder,
        /// Two's complement.
        signed: bool,
        /// First significant bit.
        bit_offset: u16,
        /// Significant bits.
        precision: u16,
    },
    /// A floating-point number (class 1).
    Float(FloatType),
    /// A time (class 2), which nobody writes.
    Time {
        /// Bytes of one element.
        size: u32,
        /// Byte order.
        order: ByteOrder,
        /// Significant bits.
        precision: u16,
    },
    /// A string of fixed length (class 3).
    String {
        /// Bytes of one element.
        size: u32,
        /// How it ends.
        padding: StringPadding,
        /// Its character set.
        charset: Charset,
    },
    /// Bits (class 4).
    Bitfield {
        /// Bytes of one element.
        size: u32,
        /// Little or big.
        order: ByteOrder,
        /// First significant bit.
        bit_offset: u16,
        /// Significant bits.
        precision: u16,
    },
    /// Bytes (class 5).
    Opaque {
        /// Bytes of one element.
        size: u32,
        /// What the writer calls them.
        tag: Arc<str>,
    },
    /// A record (class 6).
    Compound {
        /// Bytes of one element, gaps included.
        size: u32,
        /// The members in declaration order.
        members: Arc<[Member]>,
    },
    /// A reference (class 7).
    Reference {
        /// Bytes of one element.
        size: u32,
        /// To what.
        kind: ReferenceKind,
    },
    /// Named values of an integer type (class 8).
    Enum {
        /// The integer type.
        base: Arc<Datatype>,
        /// Names and values, as stored (`base.size()` bytes each), in declaration order.
        members: Arc<[(Arc<str>, Bytes)]>,
    },
    /// A value of varying length (class 9): the element is a 4-byte count of base elements (bytes for
    /// a string), the address of a global heap collection (`size_of_offsets` bytes) and a 4-byte index
    /// there, all little-endian.
    VarLen {
        /// Bytes of one element.
        size: u32,
        /// Sequence or text.
        kind: VarLenKind,
        /// The type of the sequence's elements.
        base: Arc<Datatype>,
    },
    /// An array of fixed shape (class 10).
    Array {
        /// Sizes, outermost first; rank 1 to 32, none 0.
        dims: Vec<u32>,
        /// The type of its elements.
        base: Arc<Datatype>,
    },
    /// A complex number (class 11): two elements of the base type, real first.
    Complex {
        /// A floating-point type.
        base: Arc<Datatype>,
    },
}

impl Datatype {
    /// Bytes of one stored element; at least 1 for every type that a file may hold.
    pub fn size(&self) -> u64 {
        match self {
            Self::FixedPoint { size, .. }
            | Self::Float(FloatType { size, .. })
            | Self::Time { size, .. }
            | Self::String { size, .. }
            | Self::Bitfield { size, .. }
            | Self::Opaque { size, .. }
            | Self::Compound { size, .. }
            | Self::Reference { size, .. }
            | Self::VarLen { size, .. } => u64::from(*size),
            Self::Enum { base, .. } => base.size(),
            Self::Array { dims, base } => {
                dims.iter().fold(base.size(), |n, d| n.saturating_mul(u64::from(*d)))
            }
            Self::Complex { base } => base.size().saturating_mul(2),
        }
    }
}
