//! Opening what a definition describes.

use std::sync::Arc;

use cdm::{Result, Source};

use super::{Combined, Member, collection};
use crate::{
    Registry,
    ncml::document::{Aggregation, GroupEdit, Netcdf},
    storage::Place,
};

/// The dataset that `definition` describes, its edits included: the newest snapshot of its aggregation, whose
/// members are found beside `place`, the document's (or, for what the configuration defines, in its store).
///
/// # Errors
/// `NotFound` or `Corrupt` when no member can be used; `TimedOut` when looking at all of them takes long (it
/// goes on, ask again); `Forbidden` when definitions lead to one another without end.
pub async fn open(definition: &Netcdf, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
    collection::open(definition, place, registry).await
}

/// `source` with the edits of `definition` over it.
pub(super) fn edited(source: Arc<dyn Source>, definition: &Netcdf) -> Result<Arc<dyn Source>> {
    crate::ncml::apply(source, definition)
}

/// Whether a definition changes anything of what it is made of.
pub(super) fn has_edits(definition: &Netcdf) -> bool {
    let nothing = GroupEdit { line: definition.edits.line, ..GroupEdit::default() };
    definition.is_explicit || definition.edits != nothing
}

/// The members made one.
pub(super) fn combined(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    #[cfg(test)]
    return super::collection_tests::combined(name, aggregation, members);
    #[cfg(not(test))]
    super::combine(name, aggregation, members)
}
