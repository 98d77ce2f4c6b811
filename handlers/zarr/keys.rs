//! Where the object of a chunk key is: the seam between the hierarchy, which knows keys, and whatever
//! answers them with bytes or with a place in another object.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use cdm::Result;

use crate::{chunked::ChunkLocation, storage::Store};

/// Finds what the keys of chunks (of shards, when an array has them) stand for.
///
/// A key is a path in the dataset's store, beginning with the path of the hierarchy: `a.zarr/sst/c/0/1`.
#[async_trait]
pub trait ChunkKeys: fmt::Debug + Send + Sync + 'static {
    /// Where each key's bytes are; `None`: never written, as far as that is known without asking for it.
    ///
    /// # Errors
    /// What the storage or the references say.
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>>;

    /// Whether [`ChunkKeys::locate`] would wait for nothing now.
    fn is_ready(&self) -> bool {
        false
    }

    /// How long an answer, and what is read through it, may be taken to be current; `None`: as long as the
    /// dataset is open.
    fn recheck(&self) -> Option<Duration> {
        None
    }
}

/// Each key is an object in a store, missing when the chunk was never written.
#[derive(Debug, Clone)]
pub struct StoreKeys(pub Arc<dyn Store>);

#[async_trait]
impl ChunkKeys for StoreKeys {
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        let keyed = |key: &String| {
            Some(ChunkLocation::Keyed { store: Arc::clone(&self.0), path: key.as_str().into() })
        };
        Ok(keys.iter().map(keyed).collect())
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn recheck(&self) -> Option<Duration> {
        Some(self.0.recheck())
    }
}
