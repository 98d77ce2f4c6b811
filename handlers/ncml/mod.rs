//! NcML 2.2: a dataset defined by a document: edits over another dataset, or an aggregation of several.
//!
//! [`document`] is what a definition says, wherever it was written: in NcML, in the configuration, in a
//! THREDDS catalog. [`mod@parse`] reads it from NcML, [`edit`] applies its edits. Combining members is the business of
//! [`crate::aggregation`].

pub mod document;
pub mod edit;
pub mod parse;
mod parse_aggregation;
#[cfg(test)]
mod parse_tests;
mod words;

pub use edit::apply;
pub use parse::{Parsed, Remark, parse};
