//! JSON as Zarr's writers write it: members keep their order, integers their precision, and the bare words
//! `NaN`, `Infinity` and `-Infinity` of Python's writer are numbers.

#![warn(clippy::indexing_slicing)]

use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use cdm::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Values of all documents of a hierarchy: what memory they take.
const MOST_VALUES: u32 = 4 << 20;

/// How many more values may be parsed, by one document after the other or several at once.
#[derive(Debug)]
pub(crate) struct ValuesLeft(AtomicU32);

impl Default for ValuesLeft {
    fn default() -> Self {
        Self(AtomicU32::new(MOST_VALUES))
    }
}

impl ValuesLeft {
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// What stands for a bare word while a document is parsed: no other text begins so.
const BARE: &str = "\u{0}\u{1}bare:";

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond `i64`.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in document order; of members with the same name the last one counts.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses one document.
    ///
    /// # Errors
    /// `Corrupt` when it is not JSON, or nested deeper than 128, or of too many values.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        Self::parse_within(bytes, &ValuesLeft::default())
    }

    /// As [`Json::parse`], one of several documents that are held together.
    ///
    /// # Errors
    /// As [`Json::parse`], the number of values being that of all documents.
    pub(super) fn parse_within(bytes: &[u8], left: &ValuesLeft) -> Result<Self> {
        let parsed = Counted { left, taken: Cell::new(0) };
        let strict = Self::strictly(bytes, &parsed);
        let broken = match strict {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        if let Some(mended) = with_words_as_text(bytes) {
            // What was parsed is gone.
            left.0.fetch_add(parsed.taken.take(), Ordering::Relaxed);
            if let Ok(value) = Self::strictly(&mended, &parsed) {
                return Ok(value);
            }
        }
        Err(Error::corrupt("the metadata are not JSON").with_source(broken))
    }

    fn strictly(bytes: &[u8], left: &Counted<'_>) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = Seed(left).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// The member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.members().iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The members of an object; none for anything else.
    pub(crate) fn members(&self) -> &[(String, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// A string.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// An integer that is not negative; writers of other languages may put `3.0`.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Int(n) => u64::try_from(*n).ok(),
            Self::UInt(n) => Some(*n),
            Self::Float(_) => u64::try_from(self.integer()?).ok(),
            _ => None,
        }
    }

    /// Any integer, a float of integral value included.
    pub(super) fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(n) => Some((*n).into()),
            Self::UInt(n) => Some((*n).into()),
            Self::Bool(b) => Some((*b).into()),
            #[expect(clippy::cast_possible_truncation, reason = "the value is integral and within i64")]
            Self::Float(f) if f.fract() == 0.0 && f.abs() < 9.2e18 => Some((*f as i64).into()),
            _ => None,
        }
    }

    /// Any number.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::UInt(n) => Some(*n as f64),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }
}

/// What is left, and what one document took of it.
struct Counted<'a> {
    left: &'a ValuesLeft,
    taken: Cell<u32>,
}

/// Visits one value; counts down what is left.
#[derive(Clone, Copy)]
struct Seed<'a>(&'a Counted<'a>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        if !self.0.left.take() {
            return Err(serde::de::Error::custom("more values than any metadata hold"));
        }
        self.0.taken.set(self.0.taken.get().saturating_add(1));
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, b: bool) -> Result<Json, E> {
        Ok(Json::Bool(b))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
        Ok(Json::Int(n))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
        Ok(i64::try_from(n).map_or(Json::UInt(n), Json::Int))
    }
    fn visit_f64<E>(self, f: f64) -> Result<Json, E> {
        Ok(Json::Float(f))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(match text.strip_prefix(BARE) {
            Some("NaN") => Json::Float(f64::NAN),
            Some("Infinity") => Json::Float(f64::INFINITY),
            Some("-Infinity") => Json::Float(f64::NEG_INFINITY),
            _ => Json::Text(text.to_owned()),
        })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

/// The document with bare words in quotes; `None` when there are none.
fn with_words_as_text(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let (mut rest, mut in_text, mut found) = (bytes, false, false);
    while let Some((&first, after)) = rest.split_first() {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|w| rest.starts_with(w.as_bytes()));
        match (in_text, first, word) {
            (true, b'\\', _) => {
                out.push(first);
                out.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            (false, _, Some(word)) => {
                found = true;
                out.extend(b"\"\\u0000\\u0001bare:");
                out.extend(word.as_bytes());
                out.push(b'"');
                rest = rest.get(word.len()..).unwrap_or_default();
                continue;
            }
            (_, b'"', _) => in_text = !in_text,
            _ => {}
        }
        out.push(first);
        rest = after;
    }
    found.then_some(out)
}

/// As JSON text without blanks.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |f: &mut fmt::Formatter<'_>, t: &str| {
            f.write_str(&serde_json::to_string(t).unwrap_or_else(|_| "\"\"".to_owned()))
        };
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::UInt(n) => write!(f, "{n}"),
            Self::Float(n) if n.is_nan() => f.write_str("NaN"),
            Self::Float(n) if n.is_infinite() => f.write_str(if *n > 0.0 { "Infinity" } else { "-Infinity" }),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::Text(t) => text(f, t),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (i, (name, value)) in members.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_precision_and_bare_words() {
        let text = br#"{"b":[NaN,-Infinity, "a NaN \" b"],"a":18446744073709551615,"c":-9223372036854775808,"d":1.5,"e":{}}"#;
        let json = Json::parse(text).unwrap();
        let names: Vec<&str> = json.members().iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "a", "c", "d", "e"]);
        assert_eq!(json.member("a"), Some(&Json::UInt(u64::MAX)));
        assert_eq!(json.member("c"), Some(&Json::Int(i64::MIN)));
        let list = json.member("b").unwrap().list().unwrap();
        assert!(matches!(list[0], Json::Float(f) if f.is_nan()));
        assert_eq!(list[1], Json::Float(f64::NEG_INFINITY));
        assert_eq!(list[2], Json::Text("a NaN \" b".into()));
        let shown = r#"{"b":[NaN,-Infinity,"a NaN \" b"],"a":18446744073709551615,"c":-9223372036854775808,"d":1.5,"e":{}}"#;
        assert_eq!(json.to_string(), shown);
    }

    #[test]
    fn sizes_may_be_floats_of_integral_value() {
        let of = |text: &str| Json::parse(text.as_bytes()).unwrap().size();
        assert_eq!((of("3.0"), of("0"), of("18446744073709551615")), (Some(3), Some(0), Some(u64::MAX)));
        assert_eq!(
            (of("3.5"), of("-1.0"), of("1e300"), of("NaN"), of("true")),
            (None, None, None, None, None)
        );
    }

    #[test]
    fn documents_held_together_share_a_bound() {
        let left = ValuesLeft(AtomicU32::new(10));
        // Four values each; that of bare words is parsed twice and counts once.
        assert!(Json::parse_within(b"[1,2,NaN]", &left).is_ok());
        assert!(Json::parse_within(b"[1,2,3]", &left).is_ok());
        let error = Json::parse_within(b"[1,2,3]", &left).unwrap_err();
        assert_eq!(error.kind(), cdm::ErrorKind::Corrupt);
    }

    #[test]
    fn what_is_no_json_is_corrupt() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "[1,]", "{} x", "NaN NaN", &deep] {
            assert_eq!(Json::parse(text.as_bytes()).unwrap_err().kind(), cdm::ErrorKind::Corrupt);
        }
        let many = format!("[{}0]", "0,".repeat(5 << 20));
        assert_eq!(Json::parse(many.as_bytes()).unwrap_err().kind(), cdm::ErrorKind::Corrupt);
    }
}
