//! Kerchunk's JSON: a table from the keys of a Zarr hierarchy to bytes, or to where the bytes are.
//!
//! Version 0 is the table alone; version 1 adds templates for URLs and generators of entries. This module
//! reads the text into a [`References`] and expands both; it opens nothing.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose};
use bytes::Bytes;
use cdm::{Error, Result, ResultExt};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    table::{Reference, References},
    template::{Scope, Templates},
};

/// Entries that generators may make in all.
const MOST_GENERATED: u64 = 1 << 20;

/// Generators of one file, and dimensions of one generator.
const MOST_GENERATORS: usize = 1024;
const MOST_DIMENSIONS: usize = 16;

/// What the JSON `text` says.
///
/// # Errors
/// `Corrupt` when it is not JSON of that form; `Unsupported` for a version or a template that is not known;
/// `TooLarge` when it would expand to too much.
pub(crate) fn parse(text: &[u8]) -> Result<References> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let raw = Raw::deserialize(&mut reader).and_then(|raw| reader.end().map(|()| raw));
    let raw = raw.map_err(|e| {
        Error::corrupt(format!("not a kerchunk reference file (line {}, column {})", e.line(), e.column()))
            .with_source(e)
    })?;
    expand(raw)
}

/// Whether `head`, the beginning of an object, may be such a file: a JSON object with a telling key.
pub(crate) fn recognizes(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let has = |word: &str| text.windows(word.len()).any(|w| w == word.as_bytes());
    text.starts_with(b"{")
        && (has("\".zgroup\"")
            || has("/.zarray\"")
            || has("\".zmetadata\"")
            || has("zarr.json\"")
            || has("\"refs\""))
}

fn expand(raw: Raw) -> Result<References> {
    let Raw { version, refs, flat, templates, generators } = raw;
    let table = match (version, refs) {
        (None, None) => flat,
        (None | Some(0 | 1), Some(refs)) => refs,
        (Some(0 | 1), None) => return Err(Error::corrupt("a kerchunk reference file without refs")),
        (Some(n), _) => return Err(Error::unsupported(format!("kerchunk reference files of version {n}"))),
    };
    let templates = Templates::new(templates)?;
    let Table { mut entries, urls } = table;
    let mut addresses = Vec::with_capacity(urls.len());
    for url in urls {
        let url = if url.contains("{{") { templates.render(&url, &Scope::default())? } else { url };
        addresses.push(url.into());
    }
    let mut made = 0;
    for generator in &generators {
        generator.run(&templates, &mut made, &mut entries, &mut addresses).within(|| "gen")?;
    }
    Ok(References { entries, targets: addresses })
}

/// A file as it is written.
#[derive(Default)]
struct Raw {
    version: Option<u64>,
    refs: Option<Table>,
    /// Entries beside `refs`: all of them in version 0.
    flat: Table,
    templates: HashMap<String, String>,
    generators: Vec<Generator>,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<Box<str>, Reference>,
    /// Each URL once, unexpanded.
    urls: Vec<String>,
}

/// A table being read, with the positions of its URLs.
#[derive(Default)]
struct Reading {
    table: Table,
    positions: HashMap<String, u32>,
}

impl Reading {
    fn insert<E: serde::de::Error>(&mut self, key: String, entry: Entry) -> Result<(), E> {
        let reference = match entry {
            Entry::Inline(bytes) => Reference::Inline(bytes),
            Entry::Target(url, range) => {
                let next = u32::try_from(self.positions.len()).map_err(E::custom)?;
                let urls = &mut self.table.urls;
                let target = *self.positions.entry(url).or_insert_with_key(|url| {
                    urls.push(url.clone());
                    next
                });
                match range {
                    Some((offset, len)) => Reference::Range { target, offset, len },
                    None => Reference::Whole { target },
                }
            }
        };
        // Kerchunk's own reader takes the last of two equal keys.
        self.table.entries.insert(key.into(), reference);
        Ok(())
    }
}

/// The value of one key.
enum Entry {
    Inline(Bytes),
    Target(String, Option<(u64, u64)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of references")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                let mut flat = Reading::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "version" => raw.version = Some(map.next_value()?),
                        "refs" => raw.refs = Some(map.next_value()?),
                        "templates" => raw.templates = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        "gen" => raw.generators = map.next_value_seed(Generators)?,
                        _ => {
                            let entry = map.next_value()?;
                            flat.insert(key, entry)?;
                        }
                    }
                }
                raw.flat = flat.table;
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Table;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of references")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut reading = Reading::default();
                while let Some((key, entry)) = map.next_entry()? {
                    reading.insert(key, entry)?;
                }
                Ok(reading.table)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, [url] or [url, offset, length]")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Entry, E> {
                match text.strip_prefix("base64:") {
                    Some(code) => general_purpose::STANDARD
                        .decode(code)
                        .or_else(|_| general_purpose::URL_SAFE.decode(code))
                        .map(|bytes| Entry::Inline(bytes.into()))
                        .map_err(E::custom),
                    None => Ok(Entry::Inline(Bytes::copy_from_slice(text.as_bytes()))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                // Metadata may be JSON itself, not text that holds JSON.
                let value =
                    serde_json::Value::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Entry::Inline(value.to_string().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
                let missing = || serde::de::Error::custom("a reference without a URL");
                let url = items.next_element::<Option<String>>()?.ok_or_else(missing)?.unwrap_or_default();
                let Some(offset) = items.next_element::<u64>()? else { return Ok(Entry::Target(url, None)) };
                let len = items.next_element::<u64>()?;
                let len =
                    len.ok_or_else(|| serde::de::Error::custom("a reference with an offset but no length"))?;
                if items.next_element::<IgnoredAny>()?.is_some() {
                    return Err(serde::de::Error::custom("a reference of more than three parts"));
                }
                Ok(Entry::Target(url, Some((offset, len))))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// Makes entries from templates, one for each combination of its dimensions' values.
#[derive(serde::Deserialize)]
struct Generator {
    key: String,
    url: String,
    offset: Option<Number>,
    length: Option<Number>,
    #[serde(default)]
    dimensions: BTreeMap<String, Dimension>,
}

/// A number, or a template that makes one.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Number {
    Known(u64),
    Made(String),
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Dimension {
    Values(Vec<serde_json::Value>),
    Range {
        #[serde(default)]
        start: i64,
        stop: i64,
        step: Option<i64>,
    },
}

/// Reads generators, as many as there may be.
struct Generators;

impl<'de> DeserializeSeed<'de> for Generators {
    type Value = Vec<Generator>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Generator>, D::Error> {
        let generators = Option::<Vec<Generator>>::deserialize(deserializer)?.unwrap_or_default();
        if generators.len() > MOST_GENERATORS {
            return Err(serde::de::Error::custom("too many generators"));
        }
        Ok(generators)
    }
}

impl Dimension {
    fn len(&self) -> Result<u64> {
        Ok(match self {
            Self::Values(values) => values.len() as u64,
            Self::Range { start, stop, step } => {
                let (step, span) = (i128::from(step.unwrap_or(1)), i128::from(*stop) - i128::from(*start));
                let len = match step {
                    0 => return Err(Error::corrupt("a range with step 0")),
                    1.. => (span + step - 1).div_euclid(step),
                    _ => (span + step + 1) / step,
                };
                u64::try_from(len.max(0)).unwrap_or(u64::MAX)
            }
        })
    }

    fn value(&self, i: u64) -> super::template::Value {
        use super::template::Value;
        match self {
            Self::Values(values) => {
                let value = usize::try_from(i).ok().and_then(|i| values.get(i));
                match value {
                    Some(serde_json::Value::Number(n)) if n.is_i64() => {
                        Value::Integer(n.as_i64().unwrap_or(0))
                    }
                    Some(serde_json::Value::String(text)) => Value::Text(text.clone()),
                    Some(other) => Value::Text(other.to_string()),
                    None => Value::Text(String::new()),
                }
            }
            Self::Range { start, step, .. } => {
                let i = i64::try_from(i).unwrap_or(i64::MAX);
                Value::Integer(start.saturating_add(step.unwrap_or(1).saturating_mul(i)))
            }
        }
    }
}

impl Generator {
    fn run(
        &self,
        templates: &Templates,
        made: &mut u64,
        entries: &mut BTreeMap<Box<str>, Reference>,
        targets: &mut Vec<Arc<str>>,
    ) -> Result<()> {
        let range = match (&self.offset, &self.length) {
            (Some(offset), Some(len)) => Some((offset, len)),
            (None, None) => None,
            _ => return Err(Error::corrupt("a generator with an offset or a length alone")),
        };
        if self.dimensions.len() > MOST_DIMENSIONS {
            return Err(Error::too_large("a generator of too many dimensions"));
        }
        let lens = self.dimensions.values().map(Dimension::len).collect::<Result<Vec<_>>>()?;
        let count = lens.iter().try_fold(1_u64, |n, len| n.checked_mul(*len)).unwrap_or(u64::MAX);
        *made = made.saturating_add(count);
        if *made > MOST_GENERATED {
            return Err(Error::too_large(format!("more than {MOST_GENERATED} generated references")));
        }
        let mut last: Option<(String, u32)> = None;
        for number in 0..count {
            let mut scope = Scope::default();
            let mut rest = number;
            for ((name, dimension), len) in self.dimensions.iter().zip(&lens) {
                scope.set(name, dimension.value(rest % len));
                rest /= len;
            }
            let key = templates.render(&self.key, &scope)?;
            let url = templates.render(&self.url, &scope)?;
            let target = match &last {
                Some((same, target)) if *same == url => *target,
                _ => {
                    let target = u32::try_from(targets.len())
                        .map_err(|e| Error::too_large("too many targets").with_source(e))?;
                    targets.push(url.clone().into());
                    last = Some((url, target));
                    target
                }
            };
            let reference = match range {
                Some((offset, len)) => Reference::Range {
                    target,
                    offset: offset.value(templates, &scope)?,
                    len: len.value(templates, &scope)?,
                },
                None => Reference::Whole { target },
            };
            entries.insert(key.into(), reference);
        }
        Ok(())
    }
}

impl Number {
    fn value(&self, templates: &Templates, scope: &Scope) -> Result<u64> {
        match self {
            Self::Known(n) => Ok(*n),
            Self::Made(template) => {
                let text = templates.render(template, scope)?;
                let wrong = |e: std::num::ParseIntError| {
                    Error::corrupt(format!("{template} does not make an offset or a length")).with_source(e)
                };
                text.trim().parse().map_err(wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(&str, &str)]) {
        let found = parse(text.as_bytes()).unwrap();
        let shown = |reference: &Reference| match reference {
            Reference::Inline(bytes) => format!("={}", String::from_utf8_lossy(bytes)),
            Reference::Whole { target } => found.targets[*target as usize].to_string(),
            Reference::Range { target, offset, len } => {
                format!("{} {offset}+{len}", found.targets[*target as usize])
            }
        };
        let all: Vec<(String, String)> =
            found.entries.iter().map(|(key, reference)| (key.to_string(), shown(reference))).collect();
        let expect: Vec<(String, String)> =
            expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(all, expect, "{text}");
    }

    fn fails(text: &str) -> String {
        let error = parse(text.as_bytes()).unwrap_err();
        format!("{:?}: {}", error.kind(), error.message())
    }

    #[test]
    fn both_versions() {
        let flat = r#"{".zgroup": "{}", "a/0": ["x.nc", 10, 20], "a/1": ["x.nc"], "b": "base64:AAH/", "c": {"d": 1}}"#;
        check(
            flat,
            &[
                (".zgroup", "={}"),
                ("a/0", "x.nc 10+20"),
                ("a/1", "x.nc"),
                ("b", "=\0\u{1}\u{fffd}"),
                ("c", "={\"d\":1}"),
            ],
        );
        // The example of the specification.
        let example = r#"{
            "version": 1,
            "templates": {"u": "server.domain/path", "f": "{{c}}"},
            "gen": [{
                "key": "gen_key{{i}}", "url": "http://{{u}}_{{i}}", "offset": "{{(i + 1) * 1000}}", "length": "1000",
                "dimensions": {"i": {"stop": 2}}
            }],
            "refs": {
                "key0": "data", "key1": ["http://target_url", 10000, 100], "key2": ["http://{{u}}", 10000, 100],
                "key3": ["http://{{f(c='text')}}", 10000, 100], "key4": ["http://target_url"]
            }}"#;
        check(
            example,
            &[
                ("gen_key0", "http://server.domain/path_0 1000+1000"),
                ("gen_key1", "http://server.domain/path_1 2000+1000"),
                ("key0", "=data"),
                ("key1", "http://target_url 10000+100"),
                ("key2", "http://server.domain/path 10000+100"),
                ("key3", "http://text 10000+100"),
                ("key4", "http://target_url"),
            ],
        );
        let product = r#"{"version": 1, "refs": {}, "gen": [{"key": "v/{{i}}.{{j}}", "url": "{{k}}.nc",
            "dimensions": {"i": {"start": 4, "stop": 0, "step": -2}, "j": [7], "k": ["a"]}}]}"#;
        check(product, &[("v/2.7", "a.nc"), ("v/4.7", "a.nc")]);
    }

    #[test]
    fn hostile_files_are_refused() {
        for wrong in [
            "",
            "[]",
            "{",
            "1",
            r#"{"a": 1}"#,
            r#"{"a": []}"#,
            r#"{"a": ["x", 1]}"#,
            r#"{"a": ["x", -1, 2]}"#,
            r#"{"a": ["x", 1, 2, 3]}"#,
            r#"{"a": ["x", 1.5, 2]}"#,
            r#"{"a": ["x", 18446744073709551616, 1]}"#,
            r#"{"a": "base64:%%%"}"#,
            r#"{"a": [["x"]]}"#,
            "{} {}",
        ] {
            assert!(fails(wrong).starts_with("Corrupt: not a kerchunk reference file (line "), "{wrong}");
        }
        let deep = format!(r#"{{"a": {}1{}}}"#, "{\"b\":".repeat(100_000), "}".repeat(100_000));
        assert!(fails(&deep).starts_with("Corrupt"));
        assert_eq!(
            fails(r#"{"version": 2, "refs": {}}"#),
            "Unsupported: kerchunk reference files of version 2"
        );
        assert_eq!(fails(r#"{"version": 1}"#), "Corrupt: a kerchunk reference file without refs");
        let generated = |rest: &str| {
            fails(&format!(r#"{{"version": 1, "refs": {{}}, "gen": [{{"key": "k", "url": "u", {rest}}}]}}"#))
        };
        assert_eq!(
            generated(r#""dimensions": {"i": {"stop": 9000000000}}"#),
            "TooLarge: gen: more than 1048576 generated references"
        );
        assert_eq!(
            generated(
                r#""dimensions": {"i": {"stop": 1000000}, "j": {"stop": 1000000}, "k": {"stop": 100000000000}}"#
            ),
            "TooLarge: gen: more than 1048576 generated references"
        );
        assert_eq!(
            generated(r#""dimensions": {"i": {"stop": 9, "step": 0}}"#),
            "Corrupt: gen: a range with step 0"
        );
        assert_eq!(
            generated(r#""offset": "1""#),
            "Corrupt: gen: a generator with an offset or a length alone"
        );
        assert_eq!(
            generated(r#""offset": "x", "length": 1"#),
            "Corrupt: gen: x does not make an offset or a length"
        );
        assert_eq!(
            generated(r#""offset": "{{0-5}}", "length": 1"#),
            "Corrupt: gen: {{0-5}} does not make an offset or a length"
        );
        assert_eq!(
            fails(r#"{"version": 1, "refs": {"a": ["{{u}}"]}, "templates": {"u": "{{v}}", "v": "{{u}}"}}"#),
            "Corrupt: a template refers to itself"
        );
    }

    #[test]
    fn recognised_by_its_keys() {
        for text in [r#"{"version":1,"refs":{}}"#, r#" {".zgroup":"{}"}"#, "{\n\"x/.zarray\":"] {
            assert!(recognizes(text.as_bytes()), "{text}");
        }
        for text in ["[]", "CDF\x01", "{}", "", r#"{"type": "FeatureCollection"}"#] {
            assert!(!recognizes(text.as_bytes()), "{text}");
        }
    }
}
