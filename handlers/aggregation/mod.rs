//! Datasets made of datasets: union, joins, tiles, forecast collections.
//!
//! A [`Member`] is described without being open, so combining is pure: descriptions and known values in, a
//! Source out, no I/O. A read opens only the members that it touches ([`Assembled`]).

mod assembled;
mod conversion;
pub mod forecast;
mod member;
mod open;
mod parts;
mod paste;
mod pieces;
mod snapshot;
#[cfg(test)]
mod tests;

pub use self::{open::open, snapshot::Snapshot};
pub use assembled::Assembled;
pub use conversion::{Arithmetic, Conversion};
pub use member::{Combined, Known, KnownValues, Member, Note, NoteKind, Open};
pub use parts::{Along, Mosaic, Part, Plan, Span};
