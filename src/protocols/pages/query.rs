//! What a page's URL and headers ask for: the fields of a form, and HTML or JSON.

use std::fmt::Write as _;

use cdm::{Error, Result};
use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// The two forms that every page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// For people.
    Html,
    /// The same for programs.
    Json,
}

impl Form {
    /// HTML, unless the client likes JSON better by name.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let (mut html, mut json) = (0, 0);
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        for item in values.flat_map(|v| v.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(1000, thousandths);
            match kind.as_str() {
                "application/json" => json = json.max(quality),
                "text/html" | "application/xhtml+xml" => html = html.max(quality),
                _ => {}
            }
        }
        if json > html { Self::Json } else { Self::Html }
    }
}

/// `0.25` as 250; what is no number counts as 0.
fn thousandths(text: &str) -> u16 {
    let quality: f32 = text.parse().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
    let all = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    all
}

/// A form's fields in the order of the URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// As browsers send a form: `+` is a blank.
    ///
    /// # Errors
    /// `BadRequest` for bytes that are not UTF-8.
    pub(super) fn parse(query: Option<&str>) -> Result<Self> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key)?, decoded(value)?))
        });
        Ok(Self(fields.collect::<Result<_>>()?))
    }

    /// The last value of `key`, trimmed; `None` when it is missing or blank.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().rev().find(|(k, _)| k == key)?.1.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Every value of `key`.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// A number, at least 1; 1 when it is missing.
    ///
    /// # Errors
    /// `BadRequest` for what is none.
    pub(super) fn number(&self, key: &str) -> Result<usize> {
        match self.get(key) {
            None => Ok(1),
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| Error::bad_request(format!("{key} is not a number from 1 on"))),
        }
    }
}

fn decoded(text: &str) -> Result<String> {
    let bytes: Vec<u8> = percent_decode(text.replace('+', " ").as_bytes()).collect();
    String::from_utf8(bytes).map_err(|e| Error::bad_request("the query is not UTF-8").with_source(e))
}

/// `key=value` pairs as a query, without the question mark.
pub(super) fn encoded<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    const KEPT: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/').remove(b':');
    let mut query = String::new();
    for (key, value) in pairs {
        let between = if query.is_empty() { "" } else { "&" };
        let (key, value) = (utf8_percent_encode(key, KEPT), utf8_percent_encode(value, KEPT));
        let _ = write!(query, "{between}{key}={value}");
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_given_to_who_names_it() {
        let form =
            |accept: &str| Form::accepted(&[(header::ACCEPT, accept.parse().unwrap())].into_iter().collect());
        for json in ["application/json", "text/html;q=0.5, application/json", "application/json, */*;q=0.1"] {
            assert_eq!(form(json), Form::Json, "{json}");
        }
        for html in [
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/json",
            "application/*",
            "application/json;q=0",
            "application/json;q=x",
        ] {
            assert_eq!(form(html), Form::Html, "{html}");
        }
        assert_eq!(Form::accepted(&HeaderMap::new()), Form::Html);
    }

    #[test]
    fn fields_are_as_browsers_send_them() {
        let fields = Fields::parse(Some("v=%2Fa+b&v=/c%2B&&q=+x+&first./t=3&empty=")).unwrap();
        assert_eq!(fields.all("v").collect::<Vec<_>>(), ["/a b", "/c+"]);
        assert_eq!((fields.get("q"), fields.get("empty"), fields.get("none")), (Some("x"), None, None));
        assert_eq!(fields.get("first./t"), Some("3"));
        assert_eq!(encoded([("v", "/a b"), ("q", "x&=+")]), "v=/a%20b&q=x%26%3D%2B");
        assert!(Fields::parse(Some("v=%FF")).is_err());
        for wrong in ["page=0", "page=x", "page=-1"] {
            assert!(Fields::parse(Some(wrong)).unwrap().number("page").is_err());
        }
    }
}
