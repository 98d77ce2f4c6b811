//! Hierarchies in a zip file: `.zarr.zip`.

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, Source};

use super::ChunkKeys;
use crate::{
    Format, Registry,
    chunked::ChunkLocation,
    storage::{Object, Place, Store, ZipStore},
};

/// The Zarr format in zip files.
#[derive(Debug)]
pub struct ZarrZip;

/// What shows a hierarchy at the top of a zip file.
pub(super) const MARKS: [&str; 4] = ["zarr.json", ".zmetadata", ".zgroup", ".zarray"];

#[async_trait]
impl Format for ZarrZip {
    fn name(&self) -> &'static str {
        "Zarr in a zip file"
    }

    fn recognizes(&self, _object: &Object, head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
    }

    async fn open(&self, object: Object, _: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        let (name, version) = (Arc::clone(&object.name), object.version.clone());
        let store = Arc::new(ZipStore::open(object).await?);
        let path = top(&store)?;
        let place = Place { store: Arc::clone(&store) as Arc<dyn Store>, path: path.into(), name };
        super::open(&place, Arc::new(ZipKeys(store)), Some(version), registry.engine()).await
    }
}

/// The folder of the hierarchy: the top, or the one folder that there is.
fn top(store: &ZipStore) -> Result<String> {
    if MARKS.iter().any(|mark| store.contains(mark)) {
        return Ok(String::new());
    }
    let first = store.paths().next().and_then(|path| path.split_once('/')).map(|(folder, _)| folder);
    first
        .filter(|folder| {
            let all = store.paths().all(|path| path.split_once('/').is_some_and(|(f, _)| f == *folder));
            all && MARKS.iter().any(|mark| store.contains(&format!("{folder}/{mark}")))
        })
        .map(str::to_owned)
        .ok_or_else(|| Error::unsupported("a zip file without a Zarr hierarchy"))
}

/// Chunks that are stored as they are lie in the zip file; others are entries of their own.
#[derive(Debug)]
struct ZipKeys(Arc<ZipStore>);

#[async_trait]
impl ChunkKeys for ZipKeys {
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        let ranges = self.0.ranges(keys).await?;
        let locate = |(key, range): (&String, Option<std::ops::Range<u64>>)| match range {
            Some(range) => Some(ChunkLocation::Stored {
                object: Arc::clone(self.0.object()),
                offset: range.start,
                len: range.end - range.start,
                filter_mask: 0,
            }),
            None if self.0.contains(key) => Some(ChunkLocation::Keyed {
                store: Arc::clone(&self.0) as Arc<dyn Store>,
                path: key.as_str().into(),
            }),
            None => None,
        };
        Ok(keys.iter().zip(ranges).map(locate).collect())
    }
}
