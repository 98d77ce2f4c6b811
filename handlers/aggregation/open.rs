//! Opening what a definition describes.

use std::sync::Arc;

use cdm::{Error, Result, Source};

use crate::{Registry, ncml::document::Netcdf, storage::Place};

/// The dataset that `definition` describes, its edits included: the newest snapshot of its aggregation, whose
/// members are found beside `place`, the document's (or, for what the configuration defines, in its store).
///
/// # Errors
/// `Unsupported`: collections are not kept yet.
pub async fn open(definition: &Netcdf, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
    let _ = (definition, registry);
    Err(Error::unsupported(format!("{} is an aggregation, which is not opened yet", place.name)))
}
