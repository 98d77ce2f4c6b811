//! NcML documents as a format: what a document leads to, opened, with its edits over it.
//!
//! Locations lead where references may: into the document's own store, or where the operator allows it. A
//! document may lead to another one, a bounded number of times and never to itself.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, ResultExt, Source, Version};

use super::{
    document::Netcdf,
    edit,
    parse::{LARGEST, parse},
};
use crate::{
    Format, Registry,
    storage::{Object, Place, blocking},
};

/// The NcML format.
#[derive(Debug)]
pub struct NcMl;

#[async_trait]
impl Format for NcMl {
    fn name(&self) -> &'static str {
        "NcML"
    }

    fn recognizes(&self, object: &Object, head: &[u8]) -> bool {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
        let name = object.name.rsplit('/').next().unwrap_or_default();
        let is_called = name.len() > 5 && name.to_ascii_lowercase().ends_with(".ncml");
        text.starts_with(b"<") && (is_called || has(b"<netcdf") || has(b":netcdf"))
    }

    async fn open(&self, object: Object, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        if object.size > LARGEST {
            let message = format!("an NcML document of {} bytes; at most {LARGEST} are read", object.size);
            return Err(Error::too_large(message));
        }
        let text = object.read(0..object.size).await?;
        let name = Arc::clone(&object.name);
        let parsed = blocking(move || parse(&text, &name)).await?;
        for remark in &parsed.remarks {
            tracing::debug!(document = %object.name, line = remark.line, "{}", remark.message);
        }
        let registry = registry.following(&place.name)?;
        open(&parsed.netcdf, place, Some(&object.version), &registry).await
    }
}

/// What `definition` describes, as the dataset of `place`, where its locations are looked for. `version` is
/// that of the document.
///
/// # Errors
/// `Forbidden` when it leads where it may not, or to itself; `Corrupt` when nothing is where it leads, or for
/// edits that do not fit; else what the formats say.
pub async fn open(
    definition: &Netcdf,
    place: &Place,
    version: Option<&Version>,
    registry: &Registry,
) -> Result<Arc<dyn Source>> {
    if definition.aggregation.is_some() {
        return crate::aggregation::open(definition, place, registry).await;
    }
    let source = match &definition.location {
        None => edit::nothing(&place.name)?,
        Some(location) => {
            let called = || format!("{}:{}", place.name, definition.line.max(1));
            let target =
                registry.references().resolve(place, location.trim_end_matches('/')).await.within(called)?;
            let target = Place { store: target.store, path: target.path.into(), name: target.name };
            let missing = || Error::corrupt(format!("it leads to {}, which is not there", target.name));
            let found =
                registry.find(&target).await.and_then(|found| found.ok_or_else(missing)).within(called)?;
            found.open(&target, registry).await.within(|| &target.name)?
        }
    };
    let name = Arc::clone(&place.name);
    let (definition, version) = (definition.clone(), version.cloned());
    blocking(move || edit::made(&name, source, &definition, version.as_ref())).await
}
