//! Datasets made of datasets: union, joins, tiles, forecast collections.
//!
//! A [`Member`] is described without being open, so combining is pure: descriptions and known values in, a
//! Source out, no I/O. A read opens only the members that it touches ([`Assembled`]). A [`Collection`] is a
//! definition over time: it knows the members that there are, and makes a [`Snapshot`] when they change.

mod assembled;
mod axis;
mod build;
mod collection;
#[cfg(test)]
mod collection_tests;
mod collections;
mod combine;
mod conversion;
mod coordinate;
mod date_mark;
mod describe;
mod fill;
pub mod forecast;
mod gather;
mod index;
mod index_file;
mod join;
mod joined;
mod kinds;
mod locate;
mod member;
mod member_file;
mod members;
mod merged;
mod open;
#[cfg(test)]
mod oracle_tests;
mod parts;
mod paste;
mod pieces;
mod promote;
mod room;
mod scan;
mod snapshot;
mod structure;
#[cfg(test)]
mod tests;
mod tiled;
mod union;
mod variables;
mod watched;
mod written;

pub use self::{
    assembled::Assembled,
    collection::Collection,
    collections::{CollectionOptions, Collections},
    combine::combine,
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
