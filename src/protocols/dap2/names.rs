//! How names look in DAP2 text: which characters stay raw, which become `%XX`, and what stands for
//! characters outside ASCII. It does not know datasets; [`super::view`] applies it to one.

use std::{borrow::Cow, fmt::Write as _};

use cdm::FullName;
use percent_encoding::percent_decode_str;

/// What joins the groups above a variable to its name. Measured: netcdf-c, pydap and getdap all read
/// `g/v` as one name.
pub(super) const GROUP_SEPARATOR: &str = "/";

/// The same for dimensions, where pydap's grammar has no `/`. netcdf-c shows the variable `g/x` as
/// `g%2fx` (with a small f), so this spelling also keeps coordinate variables recognisable there.
pub(super) const GROUP_SEPARATOR_IN_DIMENSIONS: &str = "%2f";

/// One name component as it stands in a DDS or DAS: letters, digits and `_ - * ! ~` raw, other ASCII
/// as `%XX` (also `.`, which separates path steps, and `%` itself), everything else as `_uXXXX_`,
/// because netcdf-c refuses non-ASCII names, raw and as `%XX`.
pub(super) fn encode(raw: &str) -> String {
    encode_keeping(raw, "")
}

/// An attribute's name: as [`encode`], but a dot has no meaning there and stays.
pub(super) fn encode_attribute(raw: &str) -> String {
    encode_keeping(raw, ".:")
}

/// The dataset's name at the end of a DDS. Clients take everything up to `;` (pydap: `[^;]+`); oc
/// wants a word, in which a dot is allowed. This is the one place that rule lives.
pub(super) fn encode_dataset(raw: &str) -> String {
    encode_keeping(raw.rsplit('/').next().unwrap_or(raw), ".")
}

fn encode_keeping(raw: &str, also: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for c in raw.chars() {
        if c.is_ascii_alphanumeric() || "_-*!~".contains(c) || also.contains(c) {
            text.push(c);
        } else if c.is_ascii() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{:02X}", u32::from(c));
        } else {
            let _ = write!(text, "_u{:04X}_", u32::from(c));
        }
    }
    if text.is_empty() { "_".to_owned() } else { text }
}

/// A full name as it stands in a DDS or DAS, unless that is taken.
pub(super) fn printed(name: &FullName) -> String {
    name.components().map(encode).collect::<Vec<_>>().join(GROUP_SEPARATOR)
}

/// Undoes `%XX`; invalid UTF-8 is replaced.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_for_every_client() {
        let check = |raw: &str, expect: &str| assert_eq!(encode(raw), expect, "{raw}");
        check("sst", "sst");
        check("a b", "a%20b");
        check("a.b", "a%2Eb");
        check("50%", "50%25");
        check("p+q/r", "p%2Bq%2Fr");
        check("température", "temp_u00E9_rature");
        check("", "_");
        assert_eq!(encode_attribute("DODS.strlen"), "DODS.strlen");
        assert_eq!(encode_dataset("dir/a b;c.nc"), "a%20b%3Bc.nc");
    }

    #[test]
    fn decoding_undoes_ascii_escapes() {
        assert_eq!(decode(&encode("a.b c%/")), "a.b c%/");
        assert_eq!(decode("100%"), "100%");
    }
}
