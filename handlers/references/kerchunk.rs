//! Kerchunk's references as a format: what they say, read as the Zarr hierarchy that their keys are.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Source};

use super::{
    kerchunk_json,
    kerchunk_parquet::{self, METADATA, ParquetReferences},
    table::{Reference, ReferenceStore},
    targets::Targets,
};
use crate::{
    Format, Registry,
    chunked::ChunkLocation,
    storage::{Object, Place, blocking},
    zarr::{self, ChunkKeys, Json},
};

/// Bytes of a JSON file of references; those who have more use Parquet.
const LARGEST: u64 = 128 << 20;

/// References in JSON.
#[derive(Debug)]
pub struct KerchunkJson;

#[async_trait]
impl Format for KerchunkJson {
    fn name(&self) -> &'static str {
        "kerchunk"
    }

    fn recognizes(&self, object: &Object, head: &[u8]) -> bool {
        // The telling keys may come later than the head.
        let named =
            [".kerchunk.json", ".refs.json", ".kerchunk"].iter().any(|end| object.name.ends_with(end));
        kerchunk_json::recognizes(head) || (named && head.trim_ascii_start().starts_with(b"{"))
    }

    async fn open(&self, object: Object, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        if object.size > LARGEST {
            return Err(Error::too_large(format!(
                "references of {} bytes; at most {LARGEST} are read from JSON, and Parquet has no such limit",
                object.size
            )));
        }
        let text = object.read(0..object.size).await?;
        let references = blocking(move || kerchunk_json::parse(&text)).await?;
        let targets = Targets::new(place.clone(), Arc::clone(registry.references()));
        let listed: Vec<&str> = references.targets.iter().map(|t| &**t).filter(|t| !t.is_empty()).collect();
        let version = targets.version(&object.version, &listed).await;
        let store = Arc::new(ReferenceStore::new(references, targets, version.clone()));
        let keys = Arc::new(JsonKeys(Arc::clone(&store)));
        let inside = Place { store, path: "".into(), name: Arc::clone(&place.name) };
        zarr::open(&inside, keys, Some(version), registry.engine()).await
    }
}

/// Opens the references in Parquet in the folder `place`, whose metadata are `document`.
///
/// # Errors
/// `Corrupt` when the metadata are damaged; what the hierarchy says.
pub(crate) async fn open_parquet(
    document: &Json,
    place: &Place,
    registry: &Registry,
) -> Result<Arc<dyn Source>> {
    let metadata = kerchunk_parquet::parse(document)?;
    let status = place.store.stat(&place.inside(METADATA)).await?;
    let version =
        status.ok_or_else(|| Error::not_found(format!("{} has no {METADATA}", place.name)))?.version;
    let targets = Targets::new(place.clone(), Arc::clone(registry.references()));
    let keys = Arc::new(ParquetKeys(ParquetReferences::new(place.clone(), metadata, targets)));
    // Its keys are those of the references, not paths in the store.
    let inside = Place { path: "".into(), ..place.clone() };
    zarr::open_consolidated(document, &inside, keys, Some(version), registry.engine()).await
}

#[derive(Debug)]
struct JsonKeys(Arc<ReferenceStore>);

#[async_trait]
impl ChunkKeys for JsonKeys {
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        self.0.locate(keys).await
    }
}

#[derive(Debug)]
struct ParquetKeys(ParquetReferences);

#[async_trait]
impl ChunkKeys for ParquetKeys {
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        self.0.locate(keys).await
    }
}

/// For fuzzing: parses, and opens nothing.
pub(crate) fn exercise(text: &[u8]) {
    if let Ok(references) = kerchunk_json::parse(text) {
        let inline = references.entries.values().filter(|r| matches!(r, Reference::Inline(_))).count();
        assert!(inline <= references.entries.len());
    }
    if let Ok(document) = Json::parse(text) {
        drop(kerchunk_parquet::parse(&document));
    }
    if let Ok(rows) = super::parquet_file::read(&Bytes::copy_from_slice(text), 1000) {
        for row in 0..rows.len() as u64 {
            rows.get(row);
        }
    }
}
