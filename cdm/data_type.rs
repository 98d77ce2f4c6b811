//! Element types: atomic, enumerated, opaque, and records of other variables.

use std::sync::Arc;

use crate::{Variable, model::FullName};

/// The type of one element of a variable, a member or an attribute.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DataType {
    /// Signed 8-bit integer.
    Int8,
    /// Signed 16-bit integer.
    Int16,
    /// Signed 32-bit integer.
    Int32,
    /// Signed 64-bit integer.
    Int64,
    /// Unsigned 8-bit integer.
    UInt8,
    /// Unsigned 16-bit integer.
    UInt16,
    /// Unsigned 32-bit integer.
    UInt32,
    /// Unsigned 64-bit integer.
    UInt64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// One byte of text (`NC_CHAR`).
    Char,
    /// A string of any length, UTF-8.
    String,
    /// A string that is a URL.
    Url,
    /// Bytes without meaning to the model.
    Opaque(Arc<OpaqueType>),
    /// An integer with named values; elements are stored as the base type.
    Enum(Arc<EnumType>),
    /// One record of the member variables.
    Structure(Arc<RecordType>),
    /// Any number of records of the member variables.
    Sequence(Arc<RecordType>),
}

/// An enumeration.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EnumType {
    /// Full name, unique within the dataset: it is declared in [`FullName::parent`]'s group.
    pub name: FullName,
    /// An integer type.
    pub base: DataType,
    /// Names and values in declaration order.
    pub members: Vec<(Arc<str>, i128)>,
}

impl EnumType {
    /// The name of `value`, if it has one.
    pub fn member(&self, value: i128) -> Option<&str> {
        self.members.iter().find(|(_, v)| *v == value).map(|(n, _)| n.as_ref())
    }
}

/// An opaque type; `size` and `name` are known for netCDF-4 and HDF5 opaque types.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpaqueType {
    /// Full name of the named type, if it has one.
    pub name: Option<FullName>,
    /// Byte length of every element, if fixed.
    pub size: Option<u64>,
}

/// The members of a structure or a sequence.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RecordType {
    /// Full name of the named type (netCDF-4 compound or vlen), if it has one.
    pub name: Option<FullName>,
    /// Members in storage order. Their dimensions are anonymous and fixed; they have no maps.
    pub fields: Vec<Variable>,
    /// For a [`DataType::Sequence`]: it is a netCDF variable-length type, whose one field's name is of
    /// no meaning.
    pub is_vlen: bool,
}

impl RecordType {
    /// The member called `name`, with its position.
    pub fn field(&self, name: &str) -> Option<(usize, &Variable)> {
        self.fields.iter().enumerate().find(|(_, f)| &*f.name == name)
    }
}

impl DataType {
    /// Bytes of one element when every element has the same size in a [`crate::Block`]; `None` for
    /// strings, opaque values, sequences and structures that contain one of them. Structures are
    /// packed: the sum of their members, without padding. Saturates at `u64::MAX`.
    pub fn fixed_size(&self) -> Option<u64> {
        Some(match self {
            Self::Int8 | Self::UInt8 | Self::Char => 1,
            Self::Int16 | Self::UInt16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64 | Self::UInt64 | Self::Float64 => 8,
            Self::Enum(e) => return e.base.fixed_size(),
            Self::Structure(s) => {
                let mut size = 0_u64;
                for field in &s.fields {
                    let one = field.data_type.fixed_size()?;
                    let all = field.dimensions.iter().fold(one, |n, d| n.saturating_mul(d.size));
                    size = size.saturating_add(all);
                }
                size
            }
            Self::String | Self::Url | Self::Opaque(_) | Self::Sequence(_) => return None,
        })
    }

    /// An integer type of any width and sign (enumerations are not).
    pub fn is_integer(&self) -> bool {
        use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
        matches!(self, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64)
    }

    /// An integer or floating-point type.
    pub fn is_numeric(&self) -> bool {
        self.is_integer() || matches!(self, Self::Float32 | Self::Float64)
    }

    /// The members of a structure or sequence.
    pub fn record(&self) -> Option<&Arc<RecordType>> {
        match self {
            Self::Structure(r) | Self::Sequence(r) => Some(r),
            _ => None,
        }
    }

    /// The model's word for the type: `Int8` .. `Sequence`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Int8 => "Int8",
            Self::Int16 => "Int16",
            Self::Int32 => "Int32",
            Self::Int64 => "Int64",
            Self::UInt8 => "UInt8",
            Self::UInt16 => "UInt16",
            Self::UInt32 => "UInt32",
            Self::UInt64 => "UInt64",
            Self::Float32 => "Float32",
            Self::Float64 => "Float64",
            Self::Char => "Char",
            Self::String => "String",
            Self::Url => "URL",
            Self::Opaque(_) => "Opaque",
            Self::Enum(_) => "Enum",
            Self::Structure(_) => "Structure",
            Self::Sequence(_) => "Sequence",
        }
    }
}
