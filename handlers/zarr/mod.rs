//! Zarr, versions 2 and 3: hierarchies of arrays in folders, zip files, and whatever else has keys.
//!
//! [`open`] reads a hierarchy out of any [`Store`](crate::storage::Store); a [`ChunkKeys`] says where the
//! chunks are, so that references to other files and versioned stores need no reader of their own.

mod array;
mod attributes;
mod chunks;
mod coding;
mod dimensions;
mod elements;
mod fill;
mod hierarchy;
mod json;
mod keys;
mod shard;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod zip;

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, Source, Version};

use self::hierarchy::{Hierarchy, Node};
pub(crate) use self::json::Json;
pub use self::{
    keys::{ChunkKeys, StoreKeys},
    zip::ZarrZip,
};
use crate::{
    Format, Registry,
    chunked::Engine,
    references,
    storage::{Object, Place, blocking},
};

/// Opens the hierarchy, or the single array, at `place`. Metadata (`zarr.json`, `.zarray` ...) are objects
/// of the place's store, found through its `list` unless they are consolidated; chunks are where `keys`
/// says. `version` identifies the whole, when something does.
///
/// # Errors
/// `NotFound` when there is no Zarr metadata; `Corrupt` and `Unsupported` for metadata that cannot be used
/// at all. A variable that cannot be read answers for itself.
pub async fn open(
    place: &Place,
    keys: Arc<dyn ChunkKeys>,
    version: Option<Version>,
    engine: &Arc<Engine>,
) -> Result<Arc<dyn Source>> {
    match hierarchy::read(place).await? {
        Hierarchy::Nodes(nodes) => build(place, nodes, keys, version, engine).await,
        Hierarchy::References(_) => Err(Error::unsupported("references within references")),
    }
}

/// As [`open`], of the metadata in a version 2 `.zmetadata`.
pub(crate) async fn open_consolidated(
    document: &Json,
    place: &Place,
    keys: Arc<dyn ChunkKeys>,
    version: Option<Version>,
    engine: &Arc<Engine>,
) -> Result<Arc<dyn Source>> {
    build(place, hierarchy::consolidated_v2(document)?, keys, version, engine).await
}

async fn build(
    place: &Place,
    nodes: Vec<Node>,
    keys: Arc<dyn ChunkKeys>,
    version: Option<Version>,
    engine: &Arc<Engine>,
) -> Result<Arc<dyn Source>> {
    let (place, engine) = (place.clone(), Arc::clone(engine));
    let build = move || source::ZarrSource::new(&place, &nodes, &keys, version, engine);
    Ok(Arc::new(blocking(build).await?))
}

/// The Zarr format in folders.
#[derive(Debug)]
pub struct Zarr;

#[async_trait]
impl Format for Zarr {
    fn name(&self) -> &'static str {
        "Zarr"
    }

    fn recognizes(&self, _object: &Object, _head: &[u8]) -> bool {
        false
    }

    async fn open(&self, _: Object, _: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        Err(Error::unsupported("a Zarr hierarchy is a folder"))
    }

    fn folder_marks(&self) -> &'static [&'static str] {
        &zip::MARKS
    }

    async fn open_folder(&self, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        match hierarchy::read(place).await? {
            Hierarchy::Nodes(nodes) => {
                let keys = Arc::new(StoreKeys(Arc::clone(&place.store)));
                build(place, nodes, keys, None, registry.engine()).await
            }
            Hierarchy::References(document) => references::open_parquet(&document, place, registry).await,
        }
    }
}
