//! Conditional requests and byte ranges (RFC 9110 13 and 14): pure functions of headers and validators.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use cdm::Version;
use http::{HeaderMap, HeaderName, header};
use xxhash_rust::xxh3::Xxh3;

/// What validates an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Validators {
    /// The opaque part of a strong entity tag, without quotes.
    pub(super) tag: Option<String>,
    /// Whole seconds.
    pub(super) modified: Option<SystemTime>,
}

/// What a `Range` header comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole answer: no range, or one that is to be ignored.
    Whole,
    /// These bytes: 206.
    Bytes(Range<u64>),
    /// Outside: 416.
    Outside,
}

impl Validators {
    /// Of an answer that `identity` and the version of its data determine.
    pub(super) fn new(version: Option<&Version>, identity: Option<&str>) -> Self {
        let tag = version.zip(identity).map(|(version, identity)| {
            let mut hash = Xxh3::new();
            // Another release may write another byte.
            for part in [env!("CARGO_PKG_VERSION"), &version.identity, identity] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
            format!("{:032x}", hash.digest128())
        });
        let modified = version.and_then(|v| v.modified).map(whole_seconds);
        Self { tag, modified }
    }

    /// Whether the client's copy is still right (304). `If-None-Match` wins over `If-Modified-Since`.
    pub(super) fn is_unmodified(&self, headers: &HeaderMap) -> bool {
        let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
        if tags.peek().is_some() {
            let Some(own) = &self.tag else { return false };
            return tags.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|tag| {
                let tag = tag.trim();
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                tag == "*" || unquoted(tag) == Some(own)
            });
        }
        let since = date(headers, &header::IF_MODIFIED_SINCE);
        matches!((since, self.modified), (Some(since), Some(modified)) if modified <= since)
    }

    /// The part of an answer of `len` bytes that is asked for.
    pub(super) fn part(&self, headers: &HeaderMap, len: u64) -> Part {
        let mut ranges = headers.get_all(header::RANGE).iter();
        let (Some(range), None) = (ranges.next(), ranges.next()) else { return Part::Whole };
        if let Some(condition) = headers.get(header::IF_RANGE) {
            let same_tag =
                condition.to_str().ok().and_then(unquoted).is_some_and(|t| Some(t) == self.tag.as_deref());
            let same_date = self.modified.is_some() && date(headers, &header::IF_RANGE) == self.modified;
            if !same_tag && !same_date {
                return Part::Whole;
            }
        }
        range.to_str().ok().and_then(|text| parse_range(text, len)).unwrap_or(Part::Whole)
    }
}

/// `None` when it is not one range of bytes: such a header is ignored, as RFC 9110 14.2 permits.
fn parse_range(text: &str, len: u64) -> Option<Part> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let number = |digits: &str| -> Option<u64> {
        // More digits than fit are still a number: one beyond every answer.
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => len.saturating_sub(number(suffix)?)..len,
        (first, "") => number(first)?..len,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(len)
        }
    };
    Some(if range.start < range.end { Part::Bytes(range) } else { Part::Outside })
}

fn unquoted(tag: &str) -> Option<&str> {
    tag.trim().strip_prefix('"')?.strip_suffix('"')
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect()
    }

    fn validators() -> Validators {
        Validators {
            tag: Some("t1".to_owned()),
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)),
        }
    }

    #[test]
    fn ranges() {
        let check = |range: &str, expect: Part| {
            assert_eq!(validators().part(&headers(&[(header::RANGE, range)]), 10), expect, "{range}");
        };
        check("bytes=0-3", Part::Bytes(0..4));
        check("bytes=3-", Part::Bytes(3..10));
        check("bytes=-3", Part::Bytes(7..10));
        check("bytes=-30", Part::Bytes(0..10));
        check("bytes=5-99999999999999999999999", Part::Bytes(5..10));
        check("bytes=10-", Part::Outside);
        check("bytes=99999999999999999999999-", Part::Outside);
        check("bytes=-0", Part::Outside);
        for ignored in
            ["bytes=0-1,3-4", "bytes=5-3", "lines=0-1", "bytes=a-b", "bytes=", "bytes=+1-2", "bytes=-"]
        {
            check(ignored, Part::Whole);
        }
    }

    #[test]
    fn if_range() {
        let part = |condition: &str| {
            validators().part(&headers(&[(header::RANGE, "bytes=0-3"), (header::IF_RANGE, condition)]), 10)
        };
        assert_eq!(part("\"t1\""), Part::Bytes(0..4));
        assert_eq!(part("Sun, 06 Nov 1994 08:49:37 GMT"), Part::Bytes(0..4));
        for other in ["\"t2\"", "W/\"t1\"", "Sun, 06 Nov 1994 08:49:38 GMT"] {
            assert_eq!(part(other), Part::Whole, "{other}");
        }
    }

    #[test]
    fn unmodified() {
        let check = |pairs: &[(HeaderName, &str)]| validators().is_unmodified(&headers(pairs));
        let since = |d| (header::IF_MODIFIED_SINCE, d);
        assert!(check(&[(header::IF_NONE_MATCH, "\"a\", W/\"t1\"")]));
        assert!(check(&[(header::IF_NONE_MATCH, "*")]));
        assert!(check(&[since("Sun, 06 Nov 1994 08:49:37 GMT")]));
        assert!(!check(&[since("Sun, 06 Nov 1994 08:49:36 GMT")]));
        assert!(!check(&[(header::IF_NONE_MATCH, "\"t2\""), since("Sun, 06 Nov 2094 08:49:37 GMT")]));
        assert!(!check(&[(header::IF_NONE_MATCH, "t1")]) && !check(&[]));
    }

    #[test]
    fn tags_depend_on_version_and_identity() {
        let version = |identity: &str| Version { identity: identity.into(), modified: None };
        let tag = |v: &str, i: &str| Validators::new(Some(&version(v)), Some(i)).tag.unwrap();
        assert_eq!(tag("a", "b"), tag("a", "b"));
        assert_ne!(tag("a", "bc"), tag("ab", "c"));
        assert_eq!(Validators::new(Some(&version("a")), None).tag, None);
    }
}
