//! The query of a DAP4 request: keys and values, percent-decoding, options.
//!
//! Owns nothing of the constraint's grammar; it hands over the constraint's text.

use cdm::{Error, Result};
use percent_encoding::percent_decode_str;

/// A longer query is refused (the server refuses longer request targets first; a POST body may be longer).
const LONGEST_QUERY: usize = 2 << 20;

/// The options of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Query {
    /// Readings of `dap4.ce`, the least decoded first; empty when there is no constraint.
    ///
    /// A proper client encodes once. Some encode two or three times (netCDF-C 4.9.0 sends
    /// `%25255b` for `[`), so what does not resolve as sent is tried again, decoded further.
    pub(super) constraint: Vec<String>,
    /// `dap4.checksum`, if given.
    pub(super) checksum: Option<bool>,
}

impl Query {
    /// Reads a raw query string (protocol notes 1.2).
    ///
    /// # Errors
    /// `BadRequest` for a duplicated key, bytes that are not UTF-8, and bad option values;
    /// `Unsupported` for server functions.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self> {
        let mut query = Self::default();
        let raw = raw.unwrap_or_default();
        if raw.len() > LONGEST_QUERY {
            return Err(Error::too_large(format!(
                "the query has {} bytes; the limit is {LONGEST_QUERY}",
                raw.len()
            )));
        }
        let mut seen: Vec<String> = Vec::new();
        for pair in raw.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(key)?;
            if !key.starts_with("dap4.") {
                continue; // unknown keys are ignored, ours are not
            }
            if seen.contains(&key) {
                return Err(Error::bad_request(format!("the query gives {key} twice; give it once")));
            }
            match key.as_str() {
                "dap4.ce" => query.constraint = readings(value)?,
                "dap4.checksum" => query.checksum = flag(&key, &decode(value)?)?,
                "dap4.function" | "dap4.func" => refuse_function(&decode(value)?)?,
                "dap4.async" => check_patience(&decode(value)?)?,
                _ => continue,
            }
            seen.push(key);
        }
        Ok(query)
    }
}

/// Percent-decodes once; `+` stays `+`, and a `%` that begins no escape stays too.
fn decode(text: &str) -> Result<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(error) => Err(Error::bad_request(format!(
            "the query is not valid UTF-8 after percent-decoding ({} bytes are)",
            error.valid_up_to()
        ))),
    }
}

/// `text` decoded once, twice, and so on until nothing changes; none for blank text.
fn readings(text: &str) -> Result<Vec<String>> {
    const MOST: usize = 4;
    let mut readings: Vec<String> = vec![decode(text)?];
    while let Some(last) = readings.last()
        && readings.len() < MOST
    {
        // What a proper client sent is valid after the first decoding; a further one is a guess.
        match decode(last) {
            Ok(next) if next != *last => readings.push(next),
            _ => break,
        }
    }
    readings.retain(|r| !r.trim().is_empty());
    Ok(readings)
}

fn flag(key: &str, value: &str) -> Result<Option<bool>> {
    match value.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "on" | "yes" | "1" => Ok(Some(true)),
        "false" | "off" | "no" | "0" => Ok(Some(false)),
        _ => Err(Error::bad_request(format!("{key} is neither true nor false"))),
    }
}

fn refuse_function(value: &str) -> Result<()> {
    let name: String = value.trim().chars().take_while(|c| !"(;".contains(*c)).take(60).collect();
    if name.is_empty() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "there is no server function {}; this server has none. Use dap4.ce to select data",
        name.trim_end()
    )))
}

/// Every answer is immediate, so any willingness to wait is satisfied; the value must still be one.
fn check_patience(value: &str) -> Result<()> {
    match value.trim() {
        "" => Ok(()),
        text if text.parse::<u64>().is_ok() => Ok(()),
        _ => Err(Error::bad_request("dap4.async must be a number of seconds, 0 or more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cdm::ErrorKind;

    #[track_caller]
    fn constraint(raw: &str) -> Vec<String> {
        Query::parse(Some(raw)).unwrap().constraint
    }

    #[test]
    fn a_query_is_split_before_it_is_decoded() {
        assert_eq!(constraint("dap4.ce=/a%26b%5B0%5D;/c=[1]&x=1"), ["/a&b[0];/c=[1]"]);
        assert_eq!(constraint("dap4.ce=/a+b"), ["/a+b"]);
        assert_eq!(constraint("dap4%2Ece=/a"), ["/a"]);
        assert_eq!(constraint("dap4.ce=100%"), ["100%"]);
    }

    #[test]
    fn an_empty_constraint_is_none() {
        for raw in ["", "&", "dap4.ce=", "dap4.ce", "dap4.ce=%20", "unknown=1&unknown=2"] {
            assert_eq!(Query::parse(Some(raw)).unwrap(), Query::default(), "{raw}");
        }
        assert_eq!(Query::parse(None).unwrap(), Query::default());
    }

    #[test]
    fn over_encoded_constraints_have_several_readings() {
        assert_eq!(constraint("dap4.ce=/v%25255b0%25255d"), ["/v%255b0%255d", "/v%5b0%5d", "/v[0]"]);
    }

    #[test]
    fn checksum_is_a_flag() {
        let checksum = |raw: &str| Query::parse(Some(raw)).map(|q| q.checksum);
        assert_eq!(checksum("dap4.checksum=TRUE").unwrap(), Some(true));
        assert_eq!(checksum("dap4.checksum=false").unwrap(), Some(false));
        assert_eq!(checksum("dap4.checksum=").unwrap(), None);
        assert_eq!(checksum("dap4.checksum=maybe").unwrap_err().kind(), ErrorKind::BadRequest);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let kind = |raw: &str| Query::parse(Some(raw)).unwrap_err().kind();
        assert_eq!(kind("dap4.ce=/a&dap4.ce=/b"), ErrorKind::BadRequest);
        assert_eq!(kind("dap4.ce=%ff"), ErrorKind::BadRequest);
        assert_eq!(kind("dap4.async=-1"), ErrorKind::BadRequest);
        assert_eq!(kind("dap4.function=mean(/t)"), ErrorKind::Unsupported);
        assert_eq!(kind("dap4.func=mean(/t)"), ErrorKind::Unsupported);
        let error = Query::parse(Some("dap4.function=mean(/t)")).unwrap_err();
        assert!(error.message().contains("function mean"), "{error}");
        assert!(Query::parse(Some("dap4.async=0")).is_ok());
    }
}
