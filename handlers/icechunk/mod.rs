//! Icechunk repositories, specification versions 1 and 2, read-only: the newest snapshot of the branch
//! `main` as a dataset.
//!
//! `repository` finds the snapshot, `snapshot` and `manifest` read what it holds, over `envelope` (the
//! files' common header) and `flatbuffer` (their encoding). What a snapshot holds is a Zarr hierarchy, and
//! the Zarr reader's business: `documents` gives it the metadata, `chunks` finds the chunks.

mod chunks;
mod documents;
mod envelope;
mod flatbuffer;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod hostile_tests;
mod manifest;
mod manifests;
mod object_id;
mod repository;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, ResultExt, Source, Version};

use self::{
    chunks::Chunks, documents::Documents, envelope::Kind, manifests::Manifests, object_id::ObjectId,
    snapshot::Snapshot,
};
use crate::{
    Format, Registry,
    references::Targets,
    storage::{Object, Part, Place, blocking},
    zarr,
};

/// No snapshot needs more in storage.
const LARGEST_SNAPSHOT: u64 = 256 << 20;

/// The Icechunk format, and the manifests of the repositories that are open.
#[derive(Debug, Default)]
pub struct Icechunk {
    manifests: Arc<Manifests>,
}

#[async_trait]
impl Format for Icechunk {
    fn name(&self) -> &'static str {
        "Icechunk"
    }

    fn recognizes(&self, _object: &Object, _head: &[u8]) -> bool {
        false
    }

    async fn open(&self, _: Object, _: &Place, _: &Registry) -> Result<Arc<dyn Source>> {
        Err(Error::unsupported("an Icechunk repository is a folder"))
    }

    /// The objects that change when the branch does: their versions tell whether a dataset is current.
    fn folder_marks(&self) -> &'static [&'static str] {
        &[repository::REPOSITORY, repository::MAIN]
    }

    async fn open_folder(&self, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        let id = repository::tip(place).await?;
        let snapshot = Arc::new(snapshot(place, id).await.within(|| format!("snapshot {id}"))?);
        let version = Version {
            // A snapshot never changes. Its id is random; that nobody chose it twice is not ours to trust.
            identity: format!("icechunk-{id}-{}", place.name).into(),
            modified: snapshot.committed,
        };
        let documents = Documents { snapshot: Arc::clone(&snapshot), top: Arc::clone(&place.path) };
        let hierarchy = Place { store: Arc::new(documents), ..place.clone() };
        let chunks = Chunks {
            place: place.clone(),
            snapshot,
            manifests: Arc::clone(&self.manifests),
            repository: self.manifests.repository(),
            targets: Targets::new(place.clone(), Arc::clone(registry.references())),
        };
        zarr::open(&hierarchy, Arc::new(chunks), Some(version), registry.engine()).await
    }
}

/// What fuzzing feeds to every parser here: a metadata file, or the bytes that one has after its header.
///
/// # Errors
/// What the parser says; `Internal` would be a defect.
pub fn exercise(file: &Bytes) -> Result<()> {
    let kinds = [Kind::Snapshot, Kind::Manifest, Kind::Repository];
    let opened = kinds.into_iter().find_map(|kind| Some((kind, envelope::open(file, kind).ok()?)));
    let chosen = kinds.get(file.len() % 3).copied().unwrap_or(Kind::Snapshot);
    let (kind, bytes) = opened.unwrap_or_else(|| (chosen, file.clone()));
    let id = ObjectId(flatbuffer::Table::root(&bytes)?.bytes_of(0)?.unwrap_or_default());
    match kind {
        Kind::Snapshot => Snapshot::parse(&bytes, id).map(|_| ()),
        Kind::Manifest => {
            let manifest = manifest::Manifest::parse(bytes, id)?;
            for node in manifest.arrays() {
                for chunk in [&[][..], &[0], &[3, 0], &[3, 0, 0]] {
                    manifest.find(*node, &[chunk])?;
                }
            }
            Ok(())
        }
        Kind::Repository => repository::branch_in(&bytes, "main").map(|_| ()),
    }
}

async fn snapshot(place: &Place, id: ObjectId) -> Result<Snapshot> {
    let path = place.inside(&format!("snapshots/{id}"));
    let found = place.store.open(&path, Part::Whole { at_most: LARGEST_SNAPSHOT }).await?;
    let (_, file) = found.ok_or_else(|| Error::corrupt("it is not there"))?;
    blocking(move || Snapshot::parse(&envelope::open(&file, Kind::Snapshot)?, id)).await
}
