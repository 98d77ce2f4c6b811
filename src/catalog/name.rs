//! Names of datasets and folders as clients write them: checked once, safe ever after.

use std::{fmt, sync::Arc};

use cdm::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What stays as it is in a URL path segment: RFC 3986 unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// More than any file system allows.
const MAX_LEN: usize = 4096;

/// A relative path with `/` between components; empty for the top folder.
///
/// No component is empty, begins with a dot, or holds a backslash or a control character, so a name
/// cannot climb out of its root and never shows a hidden file (promise R14). Symbolic links are the
/// concern of the storage below, which resolves beneath its root.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatasetName(Arc<str>);

impl DatasetName {
    /// The top folder.
    pub fn top() -> Self {
        Self("".into())
    }

    /// Decodes `path` (percent-encoded, without leading slash) exactly once and checks it.
    ///
    /// # Errors
    /// `BadRequest` for what no name may hold; `NotFound` for hidden files.
    pub fn from_url(path: &str) -> Result<Self> {
        let mut bytes = Vec::with_capacity(path.len());
        let mut rest = path.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = (rest.next().and_then(hex), rest.next().and_then(hex));
            let (Some(high), Some(low)) = digits else {
                return Err(Error::bad_request(
                    "a '%' in the path is not followed by two hexadecimal digits",
                ));
            };
            bytes.push(high << 4 | low);
        }
        match String::from_utf8(bytes) {
            Ok(name) => Self::new(&name),
            Err(e) => Err(Error::bad_request("the path is not UTF-8").with_source(e)),
        }
    }

    /// Checks a name that is not encoded.
    ///
    /// # Errors
    /// As [`DatasetName::from_url`].
    pub fn new(name: &str) -> Result<Self> {
        let name = name.strip_suffix('/').unwrap_or(name);
        Self::check(name)?;
        Ok(Self(name.into()))
    }

    /// Whether an entry of a folder may be shown under this name.
    pub(super) fn may_show(entry: &str) -> bool {
        !entry.is_empty() && !entry.contains('/') && Self::check(entry).is_ok()
    }

    fn check(name: &str) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        if name.len() > MAX_LEN {
            return Err(Error::bad_request(format!("the path is longer than {MAX_LEN} bytes")));
        }
        // Most names are of plain characters, which are looked at several at once.
        let is_plain = |byte: u8| matches!(byte, b' '..=b'[' | b']'..=b'~');
        if !name.bytes().fold(true, |plain, byte| plain & is_plain(byte))
            && name.chars().any(|c| c == '\\' || c.is_control())
        {
            return Err(Error::bad_request("the path holds a backslash or a control character"));
        }
        for component in name.split('/') {
            match component {
                ".." | "." => return Err(Error::bad_request("the path holds '..' or '.'")),
                "" => return Err(Error::bad_request("the path holds an empty component")),
                hidden if hidden.starts_with('.') => {
                    return Err(Error::not_found(format!("there is no dataset {name}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The name without `suffix`, if it ends so (whatever the case) and something is left.
    #[must_use]
    pub fn without_suffix(&self, suffix: &str) -> Option<Self> {
        let cut = self.0.len().checked_sub(suffix.len())?;
        let (rest, end) = self.0.split_at_checked(cut)?;
        let left = !rest.is_empty() && !rest.ends_with('/');
        (left && end.eq_ignore_ascii_case(suffix)).then(|| Self(rest.into()))
    }

    /// The name of `child` (one component) in this folder.
    #[must_use]
    pub fn join(&self, child: &str) -> Self {
        if self.is_top() { Self(child.into()) } else { Self(format!("{self}/{child}").into()) }
    }

    /// The folder it is in; `None` for the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_top() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map_or("", |(folder, _)| folder).into()))
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, file)| file)
    }

    /// The components, from the top.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }

    /// True for the top folder.
    pub fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Percent-encoded for a URL path, slashes kept.
    pub fn to_url(&self) -> String {
        encode_path(&self.0)
    }
}

/// A path, its components percent-encoded and its slashes kept.
pub fn encode_path(path: &str) -> String {
    path.split('/').map(encode_segment).collect::<Vec<_>>().join("/")
}

/// One path component, percent-encoded.
pub fn encode_segment(component: &str) -> String {
    percent_encode(component.as_bytes(), SEGMENT).to_string()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use cdm::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_names_are_refused() {
        for path in [
            "..",
            "a/../b",
            "%2e%2e/b",
            "a/%2E%2e",
            "a/..",
            ".",
            "a/./b",
            "a//b",
            "/a",
            "a\\b",
            "a%5cb",
            "a%00b",
            "a%0Ab",
            "a%7fb",
            "%",
            "%4",
            "%4g",
            "%+1",
            "%ff",
            "%c0%ae%c0%ae",
            "..%2f..",
            "a%2f..%2fb",
            "%C2%85",
        ] {
            assert_eq!(DatasetName::from_url(path).unwrap_err().kind(), ErrorKind::BadRequest, "{path}");
        }
        for path in [".git", "a/.hidden/x.nc", "%2ehtaccess", "..."] {
            assert_eq!(DatasetName::from_url(path).unwrap_err().kind(), ErrorKind::NotFound, "{path}");
        }
    }

    #[test]
    fn percent_is_decoded_once() {
        assert_eq!(DatasetName::from_url("a%2525").unwrap().as_str(), "a%25");
        assert_eq!(DatasetName::from_url("%252e%252e").unwrap().as_str(), "%2e%2e");
        assert_eq!(DatasetName::from_url("a+b%20c").unwrap().as_str(), "a+b c");
    }

    #[test]
    fn suffixes() {
        let name = DatasetName::new("a/x.nc.DMR").unwrap();
        assert_eq!(name.without_suffix(".dmr").unwrap().as_str(), "a/x.nc");
        assert_eq!(name.without_suffix(".dds"), None);
        assert_eq!(DatasetName::new("a/b").unwrap().without_suffix("b"), None);
        assert_eq!(DatasetName::new("é").unwrap().without_suffix("x"), None);
    }

    #[test]
    fn parts() {
        let name = DatasetName::new("a/b/c").unwrap();
        assert_eq!((name.file_name(), name.parent().unwrap().as_str()), ("c", "a/b"));
        assert_eq!(DatasetName::top().join("a").join("b").as_str(), "a/b");
        assert_eq!(DatasetName::new("a").unwrap().parent(), Some(DatasetName::top()));
        assert_eq!(DatasetName::top().parent(), None);
    }

    proptest! {
        #[test]
        fn an_accepted_name_survives_a_url(name in "\\PC{0,40}") {
            if let Ok(name) = DatasetName::new(&name) {
                prop_assert_eq!(DatasetName::from_url(&name.to_url()).unwrap(), name.clone());
                prop_assert!(name.components().all(|c| c != ".." && !c.starts_with('.')));
            }
        }
    }
}
