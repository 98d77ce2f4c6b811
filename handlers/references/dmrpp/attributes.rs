//! Attributes in DMR++: typed texts to the model's values.

#![warn(clippy::indexing_slicing)]

use cdm::{Attribute, Attributes, DataType};

use crate::xml::Element;

/// Containers within containers.
const MOST_DEPTH: usize = 16;

/// The attributes directly inside `element`. The members of a container become attributes of their own, with
/// the container's name and a dot before theirs.
pub(super) fn attributes(element: &Element<'_>) -> Attributes {
    let mut found = Vec::new();
    collect(element, "", 0, &mut found);
    found.into_iter().collect()
}

fn collect(element: &Element<'_>, prefix: &str, depth: usize, found: &mut Vec<Attribute>) {
    for attribute in element.all("Attribute") {
        let Some(name) = attribute.attribute("name").filter(|name| !name.is_empty()) else { continue };
        let name = format!("{prefix}{name}");
        match attribute.attribute("type").unwrap_or("String") {
            "Container" if depth < MOST_DEPTH => collect(attribute, &format!("{name}."), depth + 1, found),
            "Container" | "OtherXML" => {}
            kind => found.push(one(&name, kind, attribute)),
        }
    }
}

fn one(name: &str, kind: &str, attribute: &Element<'_>) -> Attribute {
    let values: Vec<&str> =
        attribute.all("Value").map(|v| v.attribute("value").unwrap_or(v.text.as_str())).collect();
    let numbers = number_type(kind).and_then(|data_type| {
        let mut bytes = Vec::new();
        values.iter().try_for_each(|text| {
            bytes.extend_from_slice(&number(&data_type, text, false)?);
            Some(())
        })?;
        Some(Attribute::numbers(name, data_type, bytes.into()))
    });
    match (numbers, values.as_slice()) {
        (Some(numbers), _) => numbers,
        (None, [only]) => Attribute::text(name, only),
        (None, several) => Attribute::strings(name, several),
    }
}

/// The numeric type called `name`.
pub(super) fn number_type(name: &str) -> Option<DataType> {
    Some(match name {
        "Byte" | "UInt8" => DataType::UInt8,
        "Int8" => DataType::Int8,
        "Int16" => DataType::Int16,
        "UInt16" => DataType::UInt16,
        "Int32" => DataType::Int32,
        "UInt32" => DataType::UInt32,
        "Int64" => DataType::Int64,
        "UInt64" => DataType::UInt64,
        "Float32" => DataType::Float32,
        "Float64" => DataType::Float64,
        _ => return None,
    })
}

/// The bytes of the number in `text`, in the machine's order or reversed.
pub(super) fn number(data_type: &DataType, text: &str, swapped: bool) -> Option<Vec<u8>> {
    let text = text.trim();
    // Bytes may be written with either sign.
    let wide = || text.parse::<i64>().ok();
    let mut bytes = match data_type {
        DataType::Int8 => wide()
            .and_then(|n| i8::try_from(n).ok().or(u8::try_from(n).ok().map(u8::cast_signed)))?
            .to_ne_bytes()
            .to_vec(),
        DataType::UInt8 | DataType::Char => wide()
            .and_then(|n| u8::try_from(n).ok().or(i8::try_from(n).ok().map(i8::cast_unsigned)))?
            .to_ne_bytes()
            .to_vec(),
        DataType::Int16 => text.parse::<i16>().ok()?.to_ne_bytes().to_vec(),
        DataType::UInt16 => text.parse::<u16>().ok()?.to_ne_bytes().to_vec(),
        DataType::Int32 => text.parse::<i32>().ok()?.to_ne_bytes().to_vec(),
        DataType::UInt32 => text.parse::<u32>().ok()?.to_ne_bytes().to_vec(),
        DataType::Int64 => text.parse::<i64>().ok()?.to_ne_bytes().to_vec(),
        DataType::UInt64 => text.parse::<u64>().ok()?.to_ne_bytes().to_vec(),
        DataType::Float32 => text.parse::<f32>().ok()?.to_ne_bytes().to_vec(),
        DataType::Float64 => text.parse::<f64>().ok()?.to_ne_bytes().to_vec(),
        DataType::Enum(kind) => return number(&kind.base, text, swapped),
        _ => return None,
    };
    if swapped {
        bytes.reverse();
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_type() {
        let text = r#"<v><Attribute name="a" type="Int16"><Value>-2</Value><Value value="3"/></Attribute>
            <Attribute name="b" type="String"><Value>x</Value></Attribute>
            <Attribute name="c" type="String"><Value>x</Value><Value/></Attribute>
            <Attribute name="d" type="Container"><Attribute name="e" type="Float32"><Value>NaN</Value></Attribute></Attribute>
            <Attribute name="f" type="Byte"><Value>-1</Value></Attribute>
            <Attribute name="g" type="Int32"><Value>many</Value></Attribute>
            <Attribute name="h" type="OtherXML"><x/></Attribute></v>"#;
        let found = attributes(&crate::xml::parse(text).unwrap());
        let shown: Vec<String> =
            found.iter().map(|a| format!("{} {} {}", a.name, a.data_type.name(), a.len)).collect();
        assert_eq!(shown, ["a Int16 2", "b Char 1", "c String 2", "d.e Float32 1", "f UInt8 1", "g Char 4"]);
        assert_eq!(number(&DataType::UInt8, "-1", false), Some(vec![255]));
        assert_eq!(number(&DataType::Int16, "258", cfg!(target_endian = "little")), Some(vec![1, 2]));
    }
}
