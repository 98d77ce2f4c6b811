//! The words of NcML: names of types, truth values, durations, and what was probably meant by others.

use std::{sync::Arc, time::Duration};

use cdm::{DataType, OpaqueType};

/// The plain type that a word names.
pub(crate) fn data_type(word: &str) -> Option<DataType> {
    Some(match word {
        "byte" => DataType::Int8,
        "ubyte" => DataType::UInt8,
        "char" => DataType::Char,
        "short" => DataType::Int16,
        "ushort" => DataType::UInt16,
        "int" => DataType::Int32,
        "uint" => DataType::UInt32,
        "long" => DataType::Int64,
        "ulong" => DataType::UInt64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "String" | "string" => DataType::String,
        "opaque" => DataType::Opaque(Arc::new(OpaqueType::default())),
        _ => return None,
    })
}

/// Every word of [`data_type`], for messages.
pub(super) const TYPES: [&str; 13] = [
    "byte", "ubyte", "char", "short", "ushort", "int", "uint", "long", "ulong", "float", "double", "String",
    "opaque",
];

/// The word for a type.
pub(crate) fn type_word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 => "byte",
        DataType::UInt8 => "ubyte",
        DataType::Char => "char",
        DataType::Int16 => "short",
        DataType::UInt16 => "ushort",
        DataType::Int32 => "int",
        DataType::UInt32 => "uint",
        DataType::Int64 => "long",
        DataType::UInt64 => "ulong",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::String | DataType::Url => "String",
        DataType::Opaque(_) => "opaque",
        DataType::Enum(kind) => match kind.base.fixed_size() {
            Some(1) => "enum1",
            Some(2) => "enum2",
            _ => "enum4",
        },
        DataType::Structure(_) => "Structure",
        DataType::Sequence(_) => "Sequence",
    }
}

/// The type of the same width without sign.
pub(super) fn unsigned(data_type: DataType) -> DataType {
    match data_type {
        DataType::Int8 => DataType::UInt8,
        DataType::Int16 => DataType::UInt16,
        DataType::Int32 => DataType::UInt32,
        DataType::Int64 => DataType::UInt64,
        other => other,
    }
}

/// `true`, `false`, `1`, `0`.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Units of a duration, with their seconds.
const UNITS: [(&str, f64); 22] = [
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("millisecond", 1e-3),
    ("milliseconds", 1e-3),
    ("s", 1.0),
    ("sec", 1.0),
    ("secs", 1.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("min", 60.0),
    ("mins", 60.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("h", 3600.0),
    ("hr", 3600.0),
    ("hrs", 3600.0),
    ("hour", 3600.0),
    ("hours", 3600.0),
    ("day", 86400.0),
    ("days", 86400.0),
    ("week", 604_800.0),
    ("weeks", 604_800.0),
];

/// A duration as udunits writes it (`15 min`, `1 days`) or ISO 8601 (`PT5M`, `P1DT12H`). Months and years have
/// no length and are refused.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = if let Some(iso) = text.strip_prefix('P') {
        iso_seconds(iso)?
    } else {
        let split = text.find(|c: char| c.is_alphabetic() || c.is_whitespace())?;
        let (number, unit) = text.split_at_checked(split)?;
        let unit = unit.trim().to_ascii_lowercase();
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.trim().parse::<f64>().ok()? * seconds
    };
    Duration::try_from_secs_f64(seconds).ok()
}

fn iso_seconds(text: &str) -> Option<f64> {
    let (mut seconds, mut in_time, mut number, mut any) = (0.0, false, String::new(), false);
    for c in text.chars() {
        let unit = match (c, in_time) {
            ('0'..='9' | '.', _) => {
                number.push(c);
                continue;
            }
            ('T', false) if number.is_empty() => {
                in_time = true;
                continue;
            }
            ('W', false) => 604_800.0,
            ('D', false) => 86400.0,
            ('H', true) => 3600.0,
            ('M', true) => 60.0,
            ('S', true) => 1.0,
            _ => return None,
        };
        seconds += std::mem::take(&mut number).parse::<f64>().ok()? * unit;
        any = true;
    }
    (any && number.is_empty()).then_some(seconds)
}

/// The one of `known` that `word` is probably meant to be.
pub(crate) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Longer than any word: comparing it would cost its length for nothing.
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), *k))
        .filter(|(distance, k)| *distance <= (k.len() / 3).max(1) && *distance < k.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Names at blanks; a backslash takes a blank (or a backslash) into the name.
pub(super) fn names(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut name = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => name.extend(chars.next()),
            c if c.is_whitespace() => all.push(std::mem::take(&mut name)),
            c => name.push(c),
        }
    }
    all.push(name);
    all.retain(|name| !name.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("15 min", 900.0),
            ("1 days", 86400.0),
            ("2hours", 7200.0),
            ("1.5 h", 5400.0),
            ("500 msec", 0.5),
            ("PT5M", 300.0),
            ("P1DT12H", 129_600.0),
            ("PT0.5S", 0.5),
            ("P2W", 1_209_600.0),
            ("0 sec", 0.0),
        ] {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), Some(seconds), "{text}");
        }
        for text in
            ["", "15", "min", "-5 min", "1 month", "P", "PT", "P1M", "P1Y", "PT5", "PTM", "1e400 s", "5 é"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_meant() {
        assert_eq!(closest("atribute", &["attribute", "variable"]), Some("attribute"));
        assert_eq!(closest("orgname", &["name", "orgName"]), Some("orgName"));
        assert_eq!(closest("zebra", &["name", "orgName"]), None);
        assert_eq!(closest(&"x".repeat(100), &["name"]), None);
    }

    #[test]
    fn names_at_blanks() {
        assert_eq!(names(" time  lat\tlon\n"), ["time", "lat", "lon"]);
        assert_eq!(names(r"a\ b c\\d"), ["a b", r"c\d"]);
        assert!(names("  ").is_empty());
    }
}
