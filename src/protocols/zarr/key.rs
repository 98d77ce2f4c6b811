//! Keys of a Zarr store: which document or chunk of the dataset a path below its address means.
//!
//! A key is only ever compared with the names in the dataset; it names no file.

use cdm::{Dataset, FullName};
use percent_encoding::percent_decode_str;

use super::plan::Version;

/// What a key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `.zgroup`, `.zarray`: a node, which must be of that kind.
    Node { name: FullName, is_group: bool },
    /// `.zattrs`
    Attributes(FullName),
    /// `.zmetadata`
    Consolidated(FullName),
    /// `zarr.json`
    Document(FullName),
    /// A chunk of a variable.
    Chunk { variable: FullName, version: Version, index: Vec<u64> },
}

/// A longer key names nothing.
const LONGEST: usize = 16 << 10;

impl Key {
    /// What `path` (still percent-encoded) means in `dataset`, as far as its form tells; a chunk's variable
    /// exists and has as many axes.
    pub(super) fn parse(dataset: &Dataset, path: &str) -> Option<Self> {
        if path.len() > LONGEST {
            return None;
        }
        let segments: Vec<String> = path
            .split('/')
            .map(|s| percent_decode_str(s).decode_utf8().ok().map(std::borrow::Cow::into_owned))
            .collect::<Option<_>>()?;
        // Encoded slashes are no separators, and no name has one.
        if segments.iter().any(|s| s.is_empty() || s.contains('/')) {
            return None;
        }
        let (last, before) = segments.split_last()?;
        match last.as_str() {
            ".zgroup" => return Some(Self::Node { name: name(before), is_group: true }),
            ".zarray" => return Some(Self::Node { name: name(before), is_group: false }),
            ".zattrs" => return Some(Self::Attributes(name(before))),
            ".zmetadata" => return Some(Self::Consolidated(name(before))),
            "zarr.json" => return Some(Self::Document(name(before))),
            _ => {}
        }
        v3_chunk(dataset, &segments).or_else(|| {
            let index = last.split('.').map(number).collect::<Option<Vec<u64>>>()?;
            let variable = name(before);
            let rank = dataset.variable(&variable)?.dimensions.len();
            // A scalar's only chunk is called 0.
            let index = if rank == 0 && index == [0] { Vec::new() } else { index };
            (index.len() == rank).then_some(Self::Chunk { variable, version: Version::V2, index })
        })
    }
}

/// `a/c/0/1`
fn v3_chunk(dataset: &Dataset, segments: &[String]) -> Option<Key> {
    let digits = segments.iter().rev().take_while(|s| number(s).is_some()).count();
    // The name may itself end in numbers, or in `c`.
    for rank in (0..=digits).rev() {
        let (rest, index) = segments.split_at_checked(segments.len() - rank)?;
        let Some(("c", before)) = rest.split_last().map(|(c, before)| (c.as_str(), before)) else { continue };
        let variable = name(before);
        if dataset.variable(&variable).is_some_and(|v| v.dimensions.len() == rank) {
            let index = index.iter().filter_map(|s| number(s)).collect();
            return Some(Key::Chunk { variable, version: Version::V3, index });
        }
    }
    None
}

fn name(segments: &[String]) -> FullName {
    FullName::new(&format!("/{}", segments.join("/")))
}

/// A number as Zarr writes it: without sign and leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// Whether a path is that of a chunk, by its form alone.
pub(super) fn is_chunk(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last == "c" || !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use cdm::{DataType, Dimension, Group, Variable};

    use super::*;

    fn dataset() -> Dataset {
        let variable = |name: &str, rank: usize| {
            Variable::new(name, DataType::Int8, vec![Dimension::anonymous(4); rank])
        };
        let mut root = Group::new(FullName::root());
        root.variables = vec![variable("a", 2), variable("s", 0), variable("c", 1), variable("x y", 1)];
        let mut inner = Group::new(FullName::new("/g"));
        inner.variables = vec![variable("7", 1), variable("c", 0)];
        root.groups.push(inner);
        Dataset::new("d", root).unwrap()
    }

    #[test]
    fn keys_are_told_apart() {
        let dataset = dataset();
        let parse = |path| Key::parse(&dataset, path);
        let chunk = |name: &str, version, index: &[u64]| {
            Some(Key::Chunk { variable: FullName::new(name), version, index: index.to_vec() })
        };
        assert_eq!(parse("zarr.json"), Some(Key::Document(FullName::root())));
        assert_eq!(parse("g/.zmetadata"), Some(Key::Consolidated(FullName::new("/g"))));
        assert_eq!(parse("a/.zarray"), Some(Key::Node { name: FullName::new("/a"), is_group: false }));
        assert_eq!(parse("a/0.1"), chunk("/a", Version::V2, &[0, 1]));
        assert_eq!(parse("a/c/0/1"), chunk("/a", Version::V3, &[0, 1]));
        assert_eq!(parse("s/0"), chunk("/s", Version::V2, &[]));
        assert_eq!(parse("s/c"), chunk("/s", Version::V3, &[]));
        assert_eq!(parse("c/3"), chunk("/c", Version::V2, &[3]));
        assert_eq!(parse("c/c/3"), chunk("/c", Version::V3, &[3]));
        assert_eq!(parse("g/7/2"), chunk("/g/7", Version::V2, &[2]));
        assert_eq!(parse("g/7/c/2"), chunk("/g/7", Version::V3, &[2]));
        assert_eq!(parse("g/c/c"), chunk("/g/c", Version::V3, &[]));
        assert_eq!(parse("x%20y/1"), chunk("/x y", Version::V2, &[1]));
        for nothing in
            ["", "a", "a/0", "a/0.1.2", "a/00.1", "a/c/0", "a/-1.0", "b/0", "a/0.1/", "a%2F0.1", "a/0.1e1"]
        {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
        assert!(is_chunk("a/0.1") && is_chunk("a/c/0/1") && is_chunk("s/c") && !is_chunk("zarr.json"));
    }
}
