//! Datasets made of datasets: union, joins, tiles, forecast collections.
//!
//! A [`Member`] is described without being open, so combining is pure: descriptions and known values in, a
//! Source out, no I/O. A read opens only the members that it touches.

mod member;
mod open;
mod snapshot;

pub use self::{open::open, snapshot::Snapshot};
pub use member::{Combined, Known, KnownValues, Member, Note, NoteKind, Open};
