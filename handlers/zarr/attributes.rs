//! JSON attributes as typed ones: what becomes of them on the way through xarray into a netCDF file.
//!
//! Integers are `Int64` (`UInt64` beyond it), other numbers and lists with one of them `Float64`, truth values
//! `UInt8`; ASCII text is characters, other text a string; anything that is no flat list is its JSON text.
//! Where netCDF-C left the types of its attributes, those are used.

#![warn(clippy::indexing_slicing)]

use std::collections::HashMap;

use bytes::Bytes;
use cdm::{Attribute, Attributes, DataType};

use super::{
    elements::StoredElements,
    fill::{from_attribute, number},
    json::Json,
    types::{self, Kind},
};
use crate::chunked::Elements;

/// Names that say how the container is used and that no reader of the data wants.
fn is_hidden(name: &str) -> bool {
    matches!(name, "_ARRAY_DIMENSIONS" | "_NCProperties")
        || name.starts_with("_nczarr")
        || name.starts_with("_NCZARR")
}

/// All attributes of a node. `kind` is the array's type, for attributes that are of it.
pub(super) fn attributes(json: &Json, kind: Option<&Kind>) -> Attributes {
    let types = json.member("_nczarr_attr").or_else(|| json.member("_nczarr_attrs"));
    let types = types.and_then(|t| t.member("types")).map(Json::members).unwrap_or_default();
    let types: HashMap<&str, &Json> =
        types.iter().map(|(name, declared)| (name.as_str(), declared)).collect();
    let shown = json.members().iter().filter(|(name, _)| !is_hidden(name));
    let each = shown.map(|(name, value)| {
        let declared = types.get(name.as_str()).and_then(|declared| declared.text());
        let of_variable = match name.as_str() {
            "_FillValue" | "missing_value" => kind.and_then(|k| of_kind(name, k, value)),
            _ => None,
        };
        let as_declared = || declared.and_then(|d| declared_type(name, d, value));
        of_variable.or_else(as_declared).unwrap_or_else(|| plain(name, value))
    });
    each.collect()
}

/// The attribute of the variable's own type; `None` when the value is none of it.
pub(super) fn of_kind(name: &str, kind: &Kind, value: &Json) -> Option<Attribute> {
    let stored = from_attribute(kind, value)?;
    from_stored(name, kind, stored)
}

/// One stored element as an attribute; records have none.
pub(super) fn from_stored(name: &str, kind: &Kind, stored: Vec<u8>) -> Option<Attribute> {
    let data_type = kind.data_type();
    match data_type {
        DataType::Structure(_) | DataType::Opaque(_) => None,
        DataType::String => {
            let text = if *kind == Kind::AnyText {
                String::from_utf8_lossy(&stored).into_owned()
            } else {
                let block = StoredElements(kind.clone()).decode(stored.into()).ok()?;
                String::from_utf8_lossy(block.elements().next()?).into_owned()
            };
            Some(Attribute::strings(name, &[text]))
        }
        _ => {
            let block = StoredElements(kind.clone()).decode(stored.into()).ok()?;
            let cdm::Block::Fixed(bytes) = block else { return None };
            Some(Attribute::numbers(name, data_type, bytes))
        }
    }
}

/// An attribute of the type that netCDF-C noted: `<i4`, `>S1`.
fn declared_type(name: &str, declared: &str, value: &Json) -> Option<Attribute> {
    let kind = types::v2(&Json::Text(declared.to_owned()), true).ok()?;
    let one = std::slice::from_ref(value);
    let values = value.list().unwrap_or(one);
    match kind {
        Kind::Number { model, .. } => numbers(name, model, values),
        Kind::Char => Some(Attribute::text(name, value.text()?)),
        Kind::Text { .. } => {
            let texts: Option<Vec<&str>> = values.iter().map(Json::text).collect();
            Some(Attribute::strings(name, &texts?))
        }
        _ => None,
    }
}

fn numbers(name: &str, model: DataType, values: &[Json]) -> Option<Attribute> {
    let mut data = Vec::with_capacity(values.len() * 8);
    for value in values {
        let big = number(&model, value)?;
        if cfg!(target_endian = "big") { data.extend(big) } else { data.extend(big.iter().rev()) }
    }
    Some(Attribute::numbers(name, model, Bytes::from(data)))
}

fn plain(name: &str, value: &Json) -> Attribute {
    let one = std::slice::from_ref(value);
    let values = value.list().unwrap_or(one);
    let typed = match value {
        Json::Text(text) if text.is_ascii() => Some(Attribute::text(name, text)),
        Json::Object(_) | Json::Null => None,
        _ if values.is_empty() => None,
        _ if values.iter().all(|v| matches!(v, Json::Text(_))) => {
            let texts: Vec<&str> = values.iter().filter_map(Json::text).collect();
            Some(Attribute::strings(name, &texts))
        }
        _ if values.iter().all(|v| matches!(v, Json::Bool(_))) => numbers(name, DataType::UInt8, values),
        _ if values.iter().all(|v| matches!(v, Json::Int(_) | Json::UInt(_))) => {
            numbers(name, DataType::Int64, values)
                .or_else(|| numbers(name, DataType::UInt64, values))
                .or_else(|| numbers(name, DataType::Float64, values))
        }
        _ if values.iter().all(|v| v.float().is_some()) => numbers(name, DataType::Float64, values),
        _ => None,
    };
    typed.unwrap_or_else(|| Attribute::text(name, &value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_values() {
        let json = Json::parse(
            r#"{"a":1,"b":[1,2.5],"c":"x","d":"é","e":["x","y"],"f":{"k":[1]},"g":true,"h":18446744073709551615,
                "i":[1,"x"],"j":null,"_ARRAY_DIMENSIONS":["x"],"_FillValue":7}"#
                .as_bytes(),
        );
        let kind = Kind::Number { model: DataType::Int16, size: 2, big: true };
        let all = attributes(&json.unwrap(), Some(&kind));
        let shown: Vec<String> =
            all.iter().map(|a| format!("{} {} {}", a.name, a.data_type.name(), a.len)).collect();
        let expected = [
            "a Int64 1",
            "b Float64 2",
            "c Char 1",
            "d String 1",
            "e String 2",
            "f Char 9",
            "g UInt8 1",
            "h UInt64 1",
            "i Char 7",
            "j Char 4",
            "_FillValue Int16 1",
        ];
        assert_eq!(shown, expected);
        assert_eq!(all.text("f").unwrap(), r#"{"k":[1]}"#);
    }
}
