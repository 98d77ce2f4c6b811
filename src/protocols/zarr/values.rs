//! Attributes and single values as Zarr metadata has them: JSON, with xarray's conventions for what JSON
//! or Zarr cannot say.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cdm::{Attribute, Attributes, Block, DataType, Value};
use serde_json::{Map, Value as Json, json};

/// Attributes that say here what Zarr metadata says elsewhere.
const TAKEN: [&str; 2] = ["_FillValue", "_ARRAY_DIMENSIONS"];

/// The attributes as JSON, without those that have another place ([`fill_value`], dimension names).
pub(super) fn attributes(attributes: &Attributes) -> Map<String, Json> {
    let kept = attributes.iter().filter(|a| !TAKEN.contains(&&*a.name) && !says_nothing(a));
    kept.map(|a| (a.name.to_string(), attribute(a))).collect()
}

/// A missing value that is not a number says what is so anyway, and JSON has no word for it.
fn says_nothing(attribute: &Attribute) -> bool {
    &*attribute.name == "missing_value"
        && cdm::values(&attribute.data_type, &attribute.values).all(|v| {
            matches!(v, Value::Float32(_) | Value::Float64(_)) && v.as_f64().is_some_and(f64::is_nan)
        })
}

fn attribute(attribute: &Attribute) -> Json {
    if attribute.data_type == DataType::Char {
        return attribute.as_text().unwrap_or_default().trim_end_matches('\0').into();
    }
    let mut all: Vec<Json> = cdm::values(&attribute.data_type, &attribute.values).map(|v| json(&v)).collect();
    if all.len() == 1 { all.remove(0) } else { Json::Array(all) }
}

/// A value; what is no finite number is a word, as in Zarr's fill values.
fn json(value: &Value<'_>) -> Json {
    match value {
        Value::Int(i) => json!(i),
        Value::UInt(u) => json!(u),
        // All digits: readers that know no 32-bit numbers then have the very same number.
        Value::Float32(f) => float((*f).into()),
        Value::Float64(f) => float(*f),
        Value::Char(c) => json!(char::from(*c).to_string()),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        Value::Enum(number, _) => {
            i64::try_from(*number).map_or_else(|_| json!(number.to_string()), |i| json!(i))
        }
        Value::Record(all) | Value::List(all) => all.iter().map(json).collect(),
    }
}

fn float(value: f64) -> Json {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}

/// What `_FillValue` says, as one element of `data_type` (an atomic type that is not an enumeration):
/// native bytes, or a text's. `None` when it says nothing that the type can have.
pub(super) fn fill_value(attributes: &Attributes, data_type: &DataType) -> Option<Vec<u8>> {
    let attribute = attributes.get("_FillValue")?;
    let value = cdm::values(&attribute.data_type, &attribute.values).next()?;
    match (data_type, &value) {
        (DataType::String | DataType::Url, Value::Text(text)) => Some(text.as_bytes().to_vec()),
        (DataType::String | DataType::Url, _) => None,
        (DataType::Char, Value::Char(c)) => Some(vec![*c]),
        (DataType::Char, Value::Text(text)) => Some(text.bytes().take(1).collect()),
        _ => number(&value, data_type),
    }
}

/// A number as native bytes of `data_type`, if it has the same value there.
fn number(value: &Value<'_>, data_type: &DataType) -> Option<Vec<u8>> {
    let exact = value.as_f64();
    let integer = value.as_integer().or_else(|| {
        let f = exact.filter(|f| f.fract() == 0.0 && f.abs() < 9.0e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        let i = f as i64;
        Some(i.into())
    });
    macro_rules! bytes {
        ($type:ty) => {
            <$type>::try_from(integer?).ok()?.to_ne_bytes().to_vec()
        };
    }
    Some(match data_type {
        DataType::Int8 => bytes!(i8),
        DataType::Int16 => bytes!(i16),
        DataType::Int32 => bytes!(i32),
        DataType::Int64 => bytes!(i64),
        DataType::UInt8 | DataType::Char => bytes!(u8),
        DataType::UInt16 => bytes!(u16),
        DataType::UInt32 => bytes!(u32),
        DataType::UInt64 => bytes!(u64),
        DataType::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "rounding is what the reader does")]
            let f = exact? as f32;
            f.to_ne_bytes().to_vec()
        }
        DataType::Float64 => exact?.to_ne_bytes().to_vec(),
        _ => return None,
    })
}

/// One element of `data_type`, given as native bytes (or a text's), as a Zarr fill value.
pub(super) fn zarr_fill(element: &[u8], data_type: &DataType) -> Json {
    match data_type {
        DataType::Char => json!(STANDARD.encode(element)),
        DataType::String | DataType::Url => json!(String::from_utf8_lossy(element)),
        _ => {
            let block = Block::Fixed(bytes::Bytes::copy_from_slice(element));
            cdm::values(data_type, &block).next().map_or(Json::Null, |v| json(&v))
        }
    }
}

/// The same as xarray's `_FillValue` attribute in Zarr v3, which is not the fill value there.
pub(super) fn xarray_fill(element: &[u8], data_type: &DataType) -> Option<Json> {
    Some(match data_type {
        DataType::Float32 | DataType::Float64 => {
            let block = Block::Fixed(bytes::Bytes::copy_from_slice(element));
            let value = cdm::values(data_type, &block).next()?.as_f64()?;
            json!(STANDARD.encode(value.to_le_bytes()))
        }
        // Its reader knows no fill value of texts.
        DataType::String | DataType::Url => return None,
        _ => zarr_fill(element, data_type),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn fill(attribute: Attribute, data_type: &DataType) -> Option<Vec<u8>> {
        fill_value(&[attribute].into_iter().collect(), data_type)
    }

    #[test]
    fn fill_values_take_the_type_of_their_variable() {
        let float = |f| Attribute::float64("_FillValue", f);
        assert_eq!(fill(float(-1.0), &DataType::Int16), Some((-1_i16).to_ne_bytes().to_vec()));
        assert_eq!(fill(float(0.5), &DataType::Int16), None);
        assert_eq!(fill(float(70000.0), &DataType::Int16), None);
        assert_eq!(fill(float(f64::NAN), &DataType::Int32), None);
        assert_eq!(fill(float(1e20), &DataType::Float32), Some(1e20_f32.to_ne_bytes().to_vec()));
        assert_eq!(fill(Attribute::text("_FillValue", "x"), &DataType::Char), Some(b"x".to_vec()));
        let strings = Attribute::strings("_FillValue", &["none"]);
        assert_eq!(fill(strings, &DataType::String), Some(b"none".to_vec()));
        assert_eq!(fill(Attribute::int32("_FillValue", 3), &DataType::String), None);
    }

    #[test]
    fn fill_values_are_written_as_xarray_reads_them() {
        let nan = f32::NAN.to_ne_bytes();
        assert_eq!(zarr_fill(&nan, &DataType::Float32), json!("NaN"));
        assert_eq!(zarr_fill(&f64::NEG_INFINITY.to_ne_bytes(), &DataType::Float64), json!("-Infinity"));
        assert_eq!(zarr_fill(&7_i16.to_ne_bytes(), &DataType::Int16), json!(7));
        assert_eq!(zarr_fill(b"\0", &DataType::Char), json!("AA=="));
        // base64.standard_b64encode(struct.pack("<d", 1.5))
        assert_eq!(xarray_fill(&1.5_f32.to_ne_bytes(), &DataType::Float32), Some(json!("AAAAAAAA+D8=")));
        assert_eq!(xarray_fill(&u64::MAX.to_ne_bytes(), &DataType::UInt64), Some(json!(u64::MAX)));
        assert_eq!(xarray_fill(b"x", &DataType::String), None);
    }

    #[test]
    fn attributes_are_valid_json() {
        let values: Vec<u8> = [f32::NAN, 0.1].iter().flat_map(|f| f.to_ne_bytes()).collect();
        let all = [
            Attribute::numbers("range", DataType::Float32, Bytes::from(values)),
            Attribute::text("units", "K\0"),
            Attribute::strings("names", &["a", "b"]),
            Attribute::float64("missing_value", f64::NAN),
            Attribute::int32("_FillValue", 1),
        ];
        assert_eq!(
            Json::Object(attributes(&all.into_iter().collect())),
            json!({"range": ["NaN", 0.100_000_001_490_116_12], "units": "K", "names": ["a", "b"]})
        );
    }
}
