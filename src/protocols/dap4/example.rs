//! URLs that ask for a part of a dataset, for error messages and for the pages that show how.

use cdm::{Dataset, Variable};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A URL that asks for a part, of at most `limit` bytes, of the largest variable.
pub fn smaller_request(dataset: &Dataset, base: &str, limit: u64) -> Option<String> {
    let size = |v: &Variable| v.data_type.fixed_size().unwrap_or(64).saturating_mul(v.element_count());
    let (name, variable) = dataset.variables().max_by_key(|(_, v)| size(v))?;
    let mut room = (limit / variable.data_type.fixed_size().unwrap_or(64).max(1)).max(1);
    let mut slices = Vec::new();
    for dimension in variable.dimensions.iter().rev() {
        let take = dimension.size.min(room);
        slices.push(match take {
            0 => "[]".to_owned(),
            take if take == dimension.size => "[]".to_owned(),
            take => format!("[0:{}]", take - 1),
        });
        room = (room / take.max(1)).max(1);
    }
    let brackets: String = slices.iter().rev().map(|s| s.replace('[', "%5B").replace(']', "%5D")).collect();
    Some(format!("{base}.dap?dap4.ce={}{brackets}", path_in_url(name.as_str())))
}

/// A full name as a constraint inside a URL: special characters of the grammar escaped, then encoded.
pub fn path_in_url(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'_').remove(b'-');
    let mut escaped = String::new();
    for c in name.chars() {
        if c != '/' && (super::constraint::SPECIAL.contains(c)) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    utf8_percent_encode(&escaped, KEPT).to_string()
}
