//! Attributes as DAP2 can carry them: stored attribute in, attribute of a DAP2 type out (or none).
//! The text form is [`super::das`]'s business.

use cdm::{Attribute, Attributes, DataType, Value, values};

/// Attributes that speak in the variable's own values and therefore share its type (5.3, 5.5).
const OF_THE_VARIABLES_TYPE: [&str; 8] = [
    "_FillValue",
    "missing_value",
    "valid_min",
    "valid_max",
    "valid_range",
    "actual_range",
    "flag_values",
    "flag_masks",
];

/// The attributes of a variable of the `stored` type, shown as `shown`.
pub(super) fn of_variable(attributes: &Attributes, stored: &DataType, shown: &DataType) -> Attributes {
    let as_float = *shown == DataType::Float64 && *stored != DataType::Float64;
    let mut mapped: Attributes = attributes
        .iter()
        .filter(|a| !(is_text(shown) && &*a.name == "_FillValue" && !is_one_character(a)))
        .filter_map(|a| mapped(a, as_float && OF_THE_VARIABLES_TYPE.contains(&&*a.name)))
        .collect();
    let base = if let DataType::Enum(e) = stored { &e.base } else { stored };
    let unsigned = match base {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Some("true"),
        DataType::Int8 => Some("false"),
        _ => None,
    };
    // A file that says so itself (netCDF-3 convention) knows better.
    if let Some(text) = unsigned
        && mapped.get("_Unsigned").is_none()
    {
        mapped.set(Attribute::text("_Unsigned", text));
    }
    if as_float {
        let note = format!("{} in the file; DAP2 has no 64-bit integers", base.name());
        mapped.set(Attribute::text("dap2_note", &note));
    }
    if let DataType::Enum(e) = stored
        && mapped.get("flag_values").is_none()
        && mapped.get("flag_meanings").is_none()
        && !e.members.is_empty()
    {
        let numbers: Vec<i128> = e.members.iter().map(|(_, v)| *v).collect();
        if let Some(flags) = integers("flag_values", &e.base, &numbers, as_float) {
            let meanings: Vec<String> =
                e.members.iter().map(|(n, _)| n.replace(char::is_whitespace, "_")).collect();
            mapped.set(flags);
            mapped.set(Attribute::text("flag_meanings", &meanings.join(" ")));
        }
    }
    mapped
}

/// The attributes of a group.
pub(super) fn of_group(attributes: &Attributes) -> impl Iterator<Item = Attribute> {
    attributes.iter().filter_map(|a| mapped(a, false))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::String | DataType::Url)
}

/// netcdf-c makes text variables arrays of characters, whose fill value must be a single one.
fn is_one_character(attribute: &Attribute) -> bool {
    attribute.as_text().is_some_and(|t| t.len() == 1 && !t.starts_with('\0'))
}

/// `None` for what DAP2 cannot say: opaque values, records, and numbers of which there are none.
fn mapped(attribute: &Attribute, as_float: bool) -> Option<Attribute> {
    use DataType as T;
    let base = if let T::Enum(e) = &attribute.data_type { &e.base } else { &attribute.data_type };
    match base {
        T::Char | T::String | T::Url => Some(attribute.clone()),
        T::Opaque(_) | T::Structure(_) | T::Sequence(_) | T::Enum(_) => None,
        _ if attribute.len == 0 => None,
        T::Float32 | T::Float64 => Some(attribute.clone()),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            let numbers: Vec<i128> =
                values(&attribute.data_type, &attribute.values).map_while(|v| integer(&v)).collect();
            integers(&attribute.name, base, &numbers, as_float)
        }
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(n) => Some((*n).into()),
        Value::UInt(n) => Some((*n).into()),
        Value::Enum(n, _) => Some(*n),
        _ => None,
    }
}

/// Whole numbers of type `base` in the DAP2 type that holds them: Int8 is Byte unless negative (then
/// Int16, as THREDDS does and netcdf-c expects); 64-bit ones are Int32, exact Float64, or text.
fn integers(name: &str, base: &DataType, numbers: &[i128], as_float: bool) -> Option<Attribute> {
    if numbers.is_empty() {
        return None;
    }
    let all = |low: i128, high: i128| numbers.iter().all(|n| (low..=high).contains(n));
    let exact = 1_i128 << 53;
    let (data_type, wide) = match base {
        _ if as_float => (DataType::Float64, false),
        DataType::Int8 if all(0, 127) => (DataType::UInt8, false),
        DataType::Int8 => (DataType::Int16, false),
        DataType::Int64 | DataType::UInt64 => (DataType::Int32, true),
        other => (other.clone(), false),
    };
    if wide && !all(i32::MIN.into(), i32::MAX.into()) {
        if all(-exact, exact) {
            return Some(packed(name, DataType::Float64, numbers));
        }
        let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        return Some(Attribute::strings(name, &texts));
    }
    Some(packed(name, data_type, numbers))
}

/// Callers have chosen a type that holds the numbers; one that does not fit would show as 0.
fn packed(name: &str, data_type: DataType, numbers: &[i128]) -> Attribute {
    let mut bytes = Vec::new();
    for &n in numbers {
        match data_type {
            DataType::UInt8 => bytes.extend(u8::try_from(n).unwrap_or_default().to_ne_bytes()),
            DataType::Int16 => bytes.extend(i16::try_from(n).unwrap_or_default().to_ne_bytes()),
            DataType::UInt16 => bytes.extend(u16::try_from(n).unwrap_or_default().to_ne_bytes()),
            DataType::Int32 => bytes.extend(i32::try_from(n).unwrap_or_default().to_ne_bytes()),
            DataType::UInt32 => bytes.extend(u32::try_from(n).unwrap_or_default().to_ne_bytes()),
            _ => bytes.extend((n as f64).to_ne_bytes()),
        }
    }
    Attribute::numbers(name, data_type, bytes.into())
}
