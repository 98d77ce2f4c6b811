//! Element types: what the metadata call them, what the model calls them, how they are stored.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashSet, sync::Arc};

use cdm::{DataType, Dimension, Error, OpaqueType, RecordType, Result, Variable};

use super::json::Json;

/// A record may be nested this deep.
const DEEPEST: usize = 16;

/// Bytes of one element; more is refused.
const LARGEST_ELEMENT: usize = 16 << 20;

/// How one element is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A number of the model's type.
    Number { model: DataType, size: usize, big: bool },
    /// A truth value: one byte, 0 or 1.
    Bool,
    /// IEEE 754 binary16.
    Half { big: bool },
    /// The upper half of a binary32.
    Brain { big: bool },
    /// Two floats of so many bytes each.
    Complex { part: usize, big: bool },
    /// Bytes of text, padded with NUL.
    Text { len: usize },
    /// One byte of text, as netCDF has it.
    Char,
    /// So many UTF-32 code units, padded with NUL.
    Wide { len: usize, big: bool },
    /// Bytes without meaning.
    Raw { len: usize },
    /// A count of time units, as numpy has it.
    Time(Time),
    /// Members, one after the other.
    Record { members: Vec<Member>, size: usize },
    /// Text of any length.
    AnyText,
    /// Bytes of any length.
    AnyBytes,
}

/// `datetime64` or `timedelta64`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Time {
    /// Since 1970, not a duration.
    pub(super) since_epoch: bool,
    /// numpy's name: `ns`; empty when generic.
    pub(super) unit: String,
    /// So many units each.
    pub(super) multiple: i64,
    pub(super) big: bool,
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    /// Sizes of an array member.
    pub(super) shape: Vec<u64>,
    /// Where it begins in the record.
    pub(super) offset: usize,
}

impl Member {
    /// How many there are of it.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().fold(1_usize, |n, &s| n.saturating_mul(usize::try_from(s).unwrap_or(usize::MAX)))
    }
}

impl Kind {
    /// A number of the model's type in the machine's order, for types of version 3.
    fn native(model: DataType, size: usize) -> Self {
        Self::Number { model, size, big: cfg!(target_endian = "big") }
    }

    /// Bytes of one stored element; `None` when they differ.
    pub(super) fn size(&self) -> Option<usize> {
        Some(match self {
            Self::Number { size, .. } | Self::Record { size, .. } => *size,
            Self::Bool | Self::Char => 1,
            Self::Half { .. } | Self::Brain { .. } => 2,
            Self::Complex { part, .. } => part.saturating_mul(2),
            Self::Text { len } | Self::Raw { len } => *len,
            Self::Wide { len, .. } => len.saturating_mul(4),
            Self::Time(_) => 8,
            Self::AnyText | Self::AnyBytes => return None,
        })
    }

    /// The model's type of an element.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Number { model, .. } => model.clone(),
            Self::Bool => DataType::UInt8,
            Self::Half { .. } | Self::Brain { .. } => DataType::Float32,
            Self::Complex { part, .. } => {
                let one = if *part == 4 { DataType::Float32 } else { DataType::Float64 };
                let fields = ["r", "i"].map(|n| Variable::new(n, one.clone(), Vec::new())).to_vec();
                DataType::Structure(Arc::new(RecordType { name: None, fields, is_vlen: false }))
            }
            Self::Text { .. } | Self::Wide { .. } | Self::AnyText => DataType::String,
            Self::Char => DataType::Char,
            Self::Raw { len } => {
                DataType::Opaque(Arc::new(OpaqueType { name: None, size: Some(*len as u64) }))
            }
            Self::AnyBytes => DataType::Opaque(Arc::new(OpaqueType::default())),
            Self::Time(_) => DataType::Int64,
            Self::Record { members, .. } => {
                let field = |m: &Member| {
                    let dimensions = m.shape.iter().map(|&n| Dimension::anonymous(n)).collect();
                    Variable::new(Arc::clone(&m.name), m.kind.data_type(), dimensions)
                };
                let fields = members.iter().map(field).collect();
                DataType::Structure(Arc::new(RecordType { name: None, fields, is_vlen: false }))
            }
        }
    }

    /// The same type with its numbers in the other order of bytes, as a `bytes` codec may demand.
    pub(super) fn with_order(self, big: bool) -> Self {
        match self {
            Self::Number { model, size, .. } => Self::Number { model, size, big },
            Self::Half { .. } => Self::Half { big },
            Self::Brain { .. } => Self::Brain { big },
            Self::Complex { part, .. } => Self::Complex { part, big },
            Self::Wide { len, .. } => Self::Wide { len, big },
            Self::Time(time) => Self::Time(Time { big, ..time }),
            Self::Record { members, size } => {
                let turn = |m: Member| Member { kind: m.kind.with_order(big), ..m };
                Self::Record { members: members.into_iter().map(turn).collect(), size }
            }
            other => other,
        }
    }
}

/// An unknown type: the variable is left out, as the model has no type for it.
fn unknown(what: &Json) -> Error {
    Error::unsupported(format!("the data type {what}"))
}

/// A data type of version 2: numpy's type string, or a list of members.
pub(super) fn v2(json: &Json, is_netcdf: bool) -> Result<Kind> {
    let kind = v2_at(json, is_netcdf, 0)?;
    checked(kind)
}

fn checked(kind: Kind) -> Result<Kind> {
    match kind.size() {
        Some(0) => Err(Error::unsupported("a data type of no bytes")),
        Some(size) if size > LARGEST_ELEMENT => Err(Error::unsupported("elements of that many bytes")),
        _ => Ok(kind),
    }
}

fn v2_at(json: &Json, is_netcdf: bool, depth: usize) -> Result<Kind> {
    if depth > DEEPEST {
        return Err(Error::unsupported("records nested that deep"));
    }
    match json {
        Json::Text(text) => v2_simple(text, is_netcdf).ok_or_else(|| unknown(json)),
        Json::List(fields) => record(fields, |field| {
            let parts = field.list().unwrap_or_default();
            let name = parts.first().and_then(Json::text);
            let kind = parts.get(1).map(|k| v2_at(k, is_netcdf, depth + 1)).transpose()?;
            let (Some(name), Some(kind)) = (name, kind) else { return Err(unknown(json)) };
            let shape = match parts.get(2) {
                None => Vec::new(),
                Some(Json::List(sizes)) => {
                    let sizes: Option<Vec<u64>> = sizes.iter().map(Json::size).collect();
                    sizes.ok_or_else(|| unknown(json))?
                }
                Some(one) => vec![one.size().ok_or_else(|| unknown(json))?],
            };
            Ok((name.to_owned(), kind, shape))
        }),
        _ => Err(unknown(json)),
    }
}

/// A record of packed fields; `parse` gives each field's name, type and shape. Fields without a name are
/// padding.
fn record(fields: &[Json], parse: impl Fn(&Json) -> Result<(String, Kind, Vec<u64>)>) -> Result<Kind> {
    let mut members: Vec<Member> = Vec::new();
    let mut names = HashSet::new();
    let mut offset = 0_usize;
    for field in fields {
        let (name, kind, shape) = parse(field)?;
        let size = kind.size().ok_or_else(|| Error::unsupported("records with values of any length"))?;
        if shape.len() > 32 || (!name.is_empty() && !names.insert(name.clone())) {
            return Err(Error::corrupt("a record with impossible members"));
        }
        // However many there are of nothing, they would have to be walked.
        if size == 0 || shape.contains(&0) {
            return Err(Error::unsupported("a record member of no bytes"));
        }
        let member = Member { name: name.as_str().into(), kind, shape, offset };
        let end = size.checked_mul(member.count()).and_then(|n| n.checked_add(offset));
        offset = end
            .filter(|end| *end <= LARGEST_ELEMENT)
            .ok_or_else(|| Error::unsupported("elements of that many bytes"))?;
        if !name.is_empty() {
            members.push(member);
        }
    }
    if members.is_empty() {
        return Err(Error::unsupported("a record without members"));
    }
    Ok(Kind::Record { members, size: offset })
}

fn v2_simple(text: &str, is_netcdf: bool) -> Option<Kind> {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let mut letters = text.chars();
    let order = letters.next()?;
    let big = match order {
        '>' => true,
        '<' | '|' => false,
        '=' => cfg!(target_endian = "big"),
        _ => return None,
    };
    let letter = letters.next()?;
    let rest = letters.as_str();
    if letter == 'M' || letter == 'm' {
        return time(rest, letter == 'M', big);
    }
    if letter == 'O' {
        return rest.is_empty().then_some(Kind::AnyText);
    }
    let len = rest.parse().ok().filter(|len| *len <= LARGEST_ELEMENT)?;
    let number = |model| Some(Kind::Number { model, size: len, big });
    match (letter, len) {
        ('b', 1) => Some(Kind::Bool),
        ('i', 1) => number(Int8),
        ('i', 2) => number(Int16),
        ('i', 4) => number(Int32),
        ('i', 8) => number(Int64),
        ('u', 1) => number(UInt8),
        ('u', 2) => number(UInt16),
        ('u', 4) => number(UInt32),
        ('u', 8) => number(UInt64),
        ('f', 2) => Some(Kind::Half { big }),
        ('f', 4) => number(Float32),
        ('f', 8) => number(Float64),
        ('c', 8 | 16) => Some(Kind::Complex { part: len / 2, big }),
        // NetCDF-C marks its characters, which are not strings of one byte, by an order of bytes.
        ('S', 1) if is_netcdf && order == '>' => Some(Kind::Char),
        ('S' | 'a', _) => Some(Kind::Text { len }),
        ('U', _) => Some(Kind::Wide { len, big }),
        ('V', _) => Some(Kind::Raw { len }),
        _ => None,
    }
}

/// What follows `M` or `m`: `8[ns]`, `8[25s]`, `8`.
fn time(text: &str, since_epoch: bool, big: bool) -> Option<Kind> {
    let inner = text.strip_prefix('8')?;
    let unit = if inner.is_empty() { "" } else { inner.strip_prefix('[')?.strip_suffix(']')? };
    let digits = unit.chars().take_while(char::is_ascii_digit).count();
    let (multiple, unit) = unit.split_at_checked(digits)?;
    let multiple = if multiple.is_empty() { 1 } else { multiple.parse().ok()? };
    Some(Kind::Time(Time { since_epoch, unit: unit.to_owned(), multiple, big }))
}

/// A data type of version 3: a name, or a name with a configuration.
pub(super) fn v3(json: &Json) -> Result<Kind> {
    checked(v3_at(json, 0)?)
}

fn v3_at(json: &Json, depth: usize) -> Result<Kind> {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    if depth > DEEPEST {
        return Err(Error::unsupported("records nested that deep"));
    }
    let native = cfg!(target_endian = "big");
    let name = json.text().or_else(|| json.member("name")?.text()).ok_or_else(|| unknown(json))?;
    let configuration = json.member("configuration");
    let setting = |name: &str| configuration.and_then(|c| c.member(name));
    let bytes = || setting("length_bytes").and_then(Json::size).and_then(|n| usize::try_from(n).ok());
    let some = |kind: Option<Kind>| kind.ok_or_else(|| unknown(json));
    Ok(match name {
        "bool" => Kind::Bool,
        "int8" => Kind::native(Int8, 1),
        "int16" => Kind::native(Int16, 2),
        "int32" => Kind::native(Int32, 4),
        "int64" => Kind::native(Int64, 8),
        "uint8" => Kind::native(UInt8, 1),
        "uint16" => Kind::native(UInt16, 2),
        "uint32" => Kind::native(UInt32, 4),
        "uint64" => Kind::native(UInt64, 8),
        "float16" => Kind::Half { big: native },
        "bfloat16" => Kind::Brain { big: native },
        "float32" => Kind::native(Float32, 4),
        "float64" => Kind::native(Float64, 8),
        "complex64" => Kind::Complex { part: 4, big: native },
        "complex128" => Kind::Complex { part: 8, big: native },
        "string" => Kind::AnyText,
        "bytes" | "variable_length_bytes" => Kind::AnyBytes,
        "null_terminated_bytes" => Kind::Text { len: some_len(bytes(), json)? },
        "raw_bytes" => Kind::Raw { len: some_len(bytes(), json)? },
        "fixed_length_utf32" => Kind::Wide { len: some_len(bytes(), json)? / 4, big: native },
        "numpy.datetime64" | "numpy.timedelta64" => {
            let unit = setting("unit").and_then(Json::text).unwrap_or_default();
            let multiple = setting("scale_factor").and_then(Json::size).unwrap_or(1);
            Kind::Time(Time {
                since_epoch: name == "numpy.datetime64",
                unit: if unit == "generic" { String::new() } else { unit.to_owned() },
                multiple: i64::try_from(multiple).map_err(|e| unknown(json).with_source(e))?,
                big: native,
            })
        }
        "structured" | "struct" => {
            let fields = setting("fields").and_then(Json::list).ok_or_else(|| unknown(json))?;
            record(fields, |field| {
                let (name, kind) = match field {
                    Json::List(parts) => (parts.first(), parts.get(1)),
                    other => (other.member("name"), other.member("data_type")),
                };
                let (Some(name), Some(kind)) = (name.and_then(Json::text), kind) else {
                    return Err(unknown(json));
                };
                Ok((name.to_owned(), v3_at(kind, depth + 1)?, Vec::new()))
            })?
        }
        _ => some(name.strip_prefix('r').and_then(|bits| bits.parse::<usize>().ok()).and_then(|bits| {
            (bits > 0 && bits % 8 == 0 && bits / 8 <= LARGEST_ELEMENT).then_some(Kind::Raw { len: bits / 8 })
        }))?,
    })
}

fn some_len(len: Option<usize>, json: &Json) -> Result<usize> {
    len.filter(|len| *len <= LARGEST_ELEMENT).ok_or_else(|| unknown(json))
}
