//! Datasets made of datasets: union, joins, tiles, forecast collections.
//!
//! A [`Member`] is described without being open, so combining is pure: descriptions and known values in, a
//! Source out, no I/O. A read opens only the members that it touches ([`Assembled`]). A [`Collection`] is a
//! definition over time: it knows the members that there are, and makes a [`Snapshot`] when they change.

mod assembled;
mod collection;
#[cfg(test)]
mod collection_tests;
mod collections;
mod conversion;
mod date_mark;
mod describe;
pub mod forecast;
mod index;
mod index_file;
mod locate;
mod member;
mod member_file;
mod members;
mod open;
mod parts;
mod paste;
mod pieces;
mod scan;
mod snapshot;
#[cfg(test)]
mod tests;
mod watched;

pub use self::{
    assembled::Assembled,
    collection::Collection,
    collections::{CollectionOptions, Collections},
    conversion::{Arithmetic, Conversion},
    member::{Combined, Known, KnownValues, Member, Note, NoteKind, Open},
    open::open,
    parts::{Along, Mosaic, Part, Plan, Span},
    snapshot::Snapshot,
};
use self::{
    date_mark::DateMark,
    open::{combined, edited, has_edits},
};
