//! Fill values: the many ways metadata write one value, as one stored element.

#![warn(clippy::indexing_slicing)]

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cdm::{DataType, Error, Result};

use super::{
    elements::NOT_A_TIME,
    json::Json,
    types::{Kind, Member},
};

/// One stored element of `kind` that `value` writes; `None` for `null`.
///
/// # Errors
/// `Corrupt` when it is no value of the type.
pub(super) fn element(kind: &Kind, value: &Json) -> Result<Option<Vec<u8>>> {
    if *value == Json::Null {
        return Ok(None);
    }
    let bytes = stored(kind, value);
    bytes
        .map(Some)
        .ok_or_else(|| Error::corrupt(format!("the fill value {value} is not of the array's type")))
}

/// What stands for chunks that were never written when the metadata name nothing.
pub(super) fn default(kind: &Kind) -> Vec<u8> {
    match kind {
        Kind::Time(time) => ordered(&NOT_A_TIME.to_be_bytes(), time.big),
        Kind::Record { members, size } => {
            let mut all = vec![0; *size];
            for member in members {
                put(&mut all, member, Some(default(&member.kind)));
            }
            all
        }
        other => vec![0; other.size().unwrap_or(0)],
    }
}

fn stored(kind: &Kind, value: &Json) -> Option<Vec<u8>> {
    match kind {
        Kind::Number { model, big, .. } => number(model, value).map(|bytes| ordered(&bytes, *big)),
        Kind::Bool => Some(vec![u8::from(value.integer()? != 0)]),
        Kind::Half { big } => {
            let bits = match hexadecimal(value) {
                Some(bits) => u16::try_from(bits).ok()?,
                None => half::f16::from_f64(float(value)?).to_bits(),
            };
            Some(ordered(&bits.to_be_bytes(), *big))
        }
        Kind::Brain { big } => {
            let bits = match hexadecimal(value) {
                Some(bits) => u16::try_from(bits).ok()?,
                None => half::bf16::from_f64(float(value)?).to_bits(),
            };
            Some(ordered(&bits.to_be_bytes(), *big))
        }
        Kind::Complex { part, big } => {
            let model = if *part == 4 { DataType::Float32 } else { DataType::Float64 };
            let zero = Json::Float(0.0);
            let (real, imaginary) = match value {
                Json::List(parts) => (parts.first()?, parts.get(1)?),
                one => (one, &zero),
            };
            let mut all = ordered(&number(&model, real)?, *big);
            all.extend(ordered(&number(&model, imaginary)?, *big));
            Some(all)
        }
        Kind::Text { len } | Kind::Raw { len } => {
            let bytes = match value {
                Json::Text(text) => STANDARD.decode(text).ok().or_else(|| Some(text.as_bytes().to_vec()))?,
                Json::List(numbers) => {
                    numbers.iter().map(|n| u8::try_from(n.size()?).ok()).collect::<Option<_>>()?
                }
                other => (other.integer()? == 0).then(Vec::new)?,
            };
            padded(bytes, *len)
        }
        Kind::Char => match value {
            Json::Text(text) => {
                padded(text.as_bytes().to_vec(), 1).or_else(|| padded(STANDARD.decode(text).ok()?, 1))
            }
            other => Some(vec![u8::try_from(other.size()?).ok()?]),
        },
        Kind::Wide { len, big } => {
            let text = match value {
                Json::Text(text) => text.as_str(),
                other => (other.integer()? == 0).then_some("")?,
            };
            let units = text.chars().flat_map(|c| ordered(&u32::from(c).to_be_bytes(), *big)).collect();
            padded(units, len.checked_mul(4)?)
        }
        Kind::Time(time) => {
            let count = match value {
                Json::Text(text) if text == "NaT" => NOT_A_TIME,
                other => i64::try_from(other.integer()?).ok()?,
            };
            Some(ordered(&count.to_be_bytes(), time.big))
        }
        Kind::Record { members, size } => match value {
            Json::Text(text) => padded(STANDARD.decode(text).ok()?, *size),
            Json::List(values) => {
                let mut all = vec![0; *size];
                for (member, value) in members.iter().zip(values) {
                    put(&mut all, member, stored(&member.kind, value)).then_some(())?;
                }
                (values.len() == members.len()).then_some(all)
            }
            Json::Object(_) => {
                let mut all = vec![0; *size];
                // Of values with the same name the last one counts.
                let named: HashMap<&str, &Json> =
                    value.members().iter().map(|(name, value)| (name.as_str(), value)).collect();
                for member in members {
                    let value = named.get(&*member.name)?;
                    put(&mut all, member, stored(&member.kind, value)).then_some(())?;
                }
                Some(all)
            }
            other => (other.integer()? == 0).then(|| vec![0; *size]),
        },
        Kind::AnyText => match value {
            Json::Text(text) => Some(text.as_bytes().to_vec()),
            other => (other.integer()? == 0).then(Vec::new),
        },
        Kind::AnyBytes => match value {
            Json::Text(text) => STANDARD.decode(text).ok(),
            Json::List(numbers) => numbers.iter().map(|n| u8::try_from(n.size()?).ok()).collect(),
            other => (other.integer()? == 0).then(Vec::new),
        },
    }
}

/// Writes a member's value into the record, as often as the member has values; false when there is none or
/// it does not fit.
fn put(record: &mut [u8], member: &Member, value: Option<Vec<u8>>) -> bool {
    let size = member.kind.size().unwrap_or(0);
    let Some(value) = value.filter(|value| value.len() == size && size > 0) else { return false };
    let len = size.checked_mul(member.count());
    let end = len.and_then(|len| len.checked_add(member.offset));
    let Some(target) = end.and_then(|end| record.get_mut(member.offset..end)) else { return false };
    target.chunks_exact_mut(size).for_each(|one| one.copy_from_slice(&value));
    true
}

/// An element of `declared` with its numbers in the order of bytes of `coded`, the same type otherwise.
pub(super) fn reordered(mut element: Vec<u8>, declared: &Kind, coded: &Kind) -> Vec<u8> {
    reorder(&mut element, declared, coded);
    element
}

fn reorder(element: &mut [u8], declared: &Kind, coded: &Kind) {
    if declared == coded {
        return;
    }
    let unit = match (declared, coded) {
        (Kind::Number { size, big: a, .. }, Kind::Number { big: b, .. }) if a != b => *size,
        (Kind::Half { .. } | Kind::Brain { .. }, _) => 2,
        (Kind::Complex { part, .. }, _) => *part,
        (Kind::Wide { .. }, _) => 4,
        (Kind::Time(_), _) => 8,
        (Kind::Record { members, .. }, Kind::Record { members: coded, .. }) => {
            for (from, to) in members.iter().zip(coded) {
                let size = from.kind.size().unwrap_or(0).max(1);
                let end = from.offset.saturating_add(size.saturating_mul(from.count()));
                let all = element.get_mut(from.offset..end).unwrap_or_default();
                all.chunks_exact_mut(size).for_each(|one| reorder(one, &from.kind, &to.kind));
            }
            return;
        }
        _ => return,
    };
    element.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
}

fn padded(mut bytes: Vec<u8>, len: usize) -> Option<Vec<u8>> {
    if bytes.len() > len {
        return None;
    }
    bytes.resize(len, 0);
    Some(bytes)
}

/// Big-endian bytes in the order wanted.
fn ordered(bytes: &[u8], big: bool) -> Vec<u8> {
    if big { bytes.to_vec() } else { bytes.iter().rev().copied().collect() }
}

/// A number of `model` in big-endian bytes.
pub(super) fn number(model: &DataType, value: &Json) -> Option<Vec<u8>> {
    let int = || value.integer();
    Some(match model {
        DataType::Int8 => i8::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::Int16 => i16::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::Int32 => i32::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::Int64 => i64::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::UInt8 => u8::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::UInt16 => u16::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::UInt32 => u32::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::UInt64 => u64::try_from(int()?).ok()?.to_be_bytes().to_vec(),
        DataType::Float32 => {
            let bits = match hexadecimal(value) {
                Some(bits) => u32::try_from(bits).ok()?,
                #[expect(clippy::cast_possible_truncation, reason = "the nearest binary32 is what is meant")]
                None => (float(value)? as f32).to_bits(),
            };
            bits.to_be_bytes().to_vec()
        }
        DataType::Float64 => {
            let bits = match hexadecimal(value) {
                Some(bits) => bits,
                None => float(value)?.to_bits(),
            };
            bits.to_be_bytes().to_vec()
        }
        _ => return None,
    })
}

/// The bits that `0x7fc00000` writes.
fn hexadecimal(value: &Json) -> Option<u64> {
    u64::from_str_radix(value.text()?.strip_prefix("0x")?, 16).ok()
}

fn float(value: &Json) -> Option<f64> {
    match value {
        Json::Text(text) => match text.as_str() {
            "NaN" | "nan" => Some(f64::NAN),
            "Infinity" | "inf" => Some(f64::INFINITY),
            "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.float(),
    }
}

/// An attribute `_FillValue` (or `missing_value`) as one element of `kind`: a value as above, or xarray's
/// base64 form of floats and byte strings.
pub(super) fn from_attribute(kind: &Kind, value: &Json) -> Option<Vec<u8>> {
    let value = match value {
        Json::List(items) if items.len() == 1 && !matches!(kind, Kind::Raw { .. } | Kind::Record { .. }) => {
            items.first()?
        }
        other => other,
    };
    let is_float = match kind {
        Kind::Number { model, .. } => matches!(model, DataType::Float32 | DataType::Float64),
        Kind::Half { .. } | Kind::Brain { .. } => true,
        _ => false,
    };
    if is_float
        && let Some(text) = value.text()
        && let Ok(bytes) = STANDARD.decode(text)
        && let Ok(bytes) = <[u8; 8]>::try_from(bytes)
    {
        return stored(kind, &Json::Float(f64::from_le_bytes(bytes)));
    }
    stored(kind, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float32(big: bool) -> Kind {
        Kind::Number { model: DataType::Float32, size: 4, big }
    }

    #[test]
    fn floats_in_every_spelling() {
        let text = |t: &str| Json::Text(t.into());
        let of = |v: &Json| element(&float32(true), v).unwrap().unwrap();
        assert_eq!(of(&text("NaN")), f32::NAN.to_be_bytes());
        assert_eq!(of(&text("-Infinity")), f32::NEG_INFINITY.to_be_bytes());
        assert_eq!(of(&text("0x7fc00001")), [0x7f, 0xc0, 0, 1]);
        assert_eq!(of(&Json::Int(1)), 1_f32.to_be_bytes());
        assert_eq!(element(&float32(false), &Json::Float(1.5)).unwrap().unwrap(), 1.5_f32.to_le_bytes());
        assert!(element(&float32(true), &text("0x17fc00001")).is_err());
        assert!(element(&float32(true), &text("many")).is_err());
        assert_eq!(element(&float32(true), &Json::Null).unwrap(), None);
        // xarray: base64 of struct.pack("<d", -9999.0)
        let attribute = from_attribute(&float32(true), &text("AAAAAICHw8A="));
        assert_eq!(attribute.unwrap(), (-9999_f32).to_be_bytes());
    }

    #[test]
    fn integers_must_fit() {
        let kind = Kind::Number { model: DataType::UInt8, size: 1, big: false };
        assert_eq!(element(&kind, &Json::Float(255.0)).unwrap().unwrap(), [255]);
        assert!(element(&kind, &Json::Int(256)).is_err());
        assert!(element(&kind, &Json::Float(0.5)).is_err());
    }
}
