//! NcML 2.2: a dataset defined by a document: edits over another dataset, or an aggregation of several.
//!
//! [`document`] is what a definition says, wherever it was written: in NcML, in the configuration, in a
//! THREDDS catalog. [`mod@parse`] reads it from NcML, [`edit`] applies its edits,
//! [`fn@open`] opens what it leads to, [`fn@write`] describes a dataset in it. Combining members is the business of
//! [`crate::aggregation`].

pub mod document;
pub mod edit;
mod open;
#[cfg(test)]
mod open_tests;
pub mod parse;
mod parse_aggregation;
#[cfg(test)]
mod parse_tests;
mod words;
pub mod write;
#[cfg(test)]
mod write_tests;

pub use edit::apply;
pub use open::{NcMl, open};
pub use parse::{Parsed, Remark, parse};
pub use write::write;

/// What fuzzing feeds to the parser, and a definition that it finds to the edits of an empty dataset.
pub fn exercise(bytes: &[u8]) {
    if let Ok(parsed) = parse(bytes, "fuzz")
        && let Ok(nothing) = edit::nothing("fuzz")
    {
        drop(apply(nothing, &parsed.netcdf));
    }
}
