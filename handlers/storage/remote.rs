//! Objects in an object store (S3, HTTP, ...), through the `object_store` crate.
//!
//! Owns nothing but the translation: ranges to conditional requests, its errors to ours.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Result, Version};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;

use super::{
    Object, ReadRanges, byte_len,
    coalesce::{Fetch, LARGEST, coalesce},
};

/// A request costs about as much as this many bytes.
const GAP: u64 = 1 << 20;

/// Requests of one read that are under way at once.
const IN_FLIGHT: usize = 8;

/// One version of an object in a store.
#[derive(Debug)]
struct RemoteObject {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    runtime: Handle,
}

/// The object `meta` of `store`, named `name` in the catalog; `runtime` serves reads from blocking threads.
pub fn remote_object(
    name: impl Into<Arc<str>>,
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    runtime: Handle,
) -> Object {
    let modified = meta.last_modified;
    let tag = meta.version.clone().or_else(|| meta.e_tag.clone()).unwrap_or_default();
    Object {
        name: name.into(),
        size: meta.size,
        version: Version {
            identity: format!(
                "{store}/{}-{:x}-{:x}-{tag}",
                meta.location,
                meta.size,
                modified.timestamp_micros()
            )
            .into(),
            modified: Some(modified.into()),
        },
        reader: Arc::new(RemoteObject { store, meta, runtime }),
    }
}

impl RemoteObject {
    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end > self.meta.size {
            return Err(super::beyond(&range, self.meta.size));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: self.meta.e_tag.clone(),
            version: self.meta.version.clone(),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&self.meta.location, options).await.map_err(store_error)?;
        // Stores without entity tags: the next best validators.
        if answer.meta.size != self.meta.size
            || (self.meta.e_tag.is_none() && answer.meta.last_modified != self.meta.last_modified)
        {
            return Err(changed());
        }
        let bytes = answer.bytes().await.map_err(store_error)?;
        if bytes.len() != byte_len(&range)? {
            return Err(Error::storage("the storage gave a short answer", "length differs from the range"));
        }
        Ok(bytes)
    }
}

#[async_trait]
impl ReadRanges for RemoteObject {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetches = coalesce(ranges, GAP, LARGEST);
        let answers: Vec<(Fetch, Bytes)> = futures::stream::iter(fetches)
            .map(|fetch| async move {
                let bytes = self.fetch(fetch.range.clone()).await?;
                Ok::<_, Error>((fetch, bytes))
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await?;
        let mut found = vec![Bytes::new(); ranges.len()];
        for (fetch, bytes) in answers {
            for i in fetch.serves {
                let at = byte_len(&(fetch.range.start..ranges[i].start))?;
                found[i] = bytes.slice(at..at + byte_len(&ranges[i])?);
            }
        }
        Ok(found)
    }

    fn read_blocking(&self, range: Range<u64>) -> Result<Bytes> {
        self.runtime.block_on(self.fetch(range))
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Changed, "the object changed while it was being read")
}

fn store_error(e: object_store::Error) -> Error {
    match e {
        object_store::Error::Precondition { .. } => changed().with_source(e),
        object_store::Error::NotFound { .. } => Error::not_found("there is no such object").with_source(e),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::new(ErrorKind::Forbidden, "the server may not read it").with_source(e)
        }
        e => Error::storage("the storage failed", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

    #[tokio::test]
    async fn ranges_are_read_and_a_change_is_noticed() {
        let store = Arc::new(InMemory::new());
        let path = Path::from("a.nc");
        let bytes: Vec<u8> = (0..=255).collect();
        store.put(&path, bytes.clone().into()).await.unwrap();
        let meta = store.head(&path).await.unwrap();
        let object = remote_object("a.nc", Arc::clone(&store) as _, meta, Handle::current());
        let found = object.read_ranges(&[200..256, 0..4, 10..12]).await.unwrap();
        assert_eq!(found, [&bytes[200..], &bytes[0..4], &bytes[10..12]]);
        let here = object.clone();
        let one = tokio::task::spawn_blocking(move || here.read_blocking(5..7)).await.unwrap();
        assert_eq!(one.unwrap(), &bytes[5..7]);
        assert_eq!(object.read(250..300).await.unwrap_err().kind(), ErrorKind::Corrupt);

        store.put(&path, vec![0_u8; 256].into()).await.unwrap();
        assert_eq!(object.read(0..4).await.unwrap_err().kind(), ErrorKind::Changed);
        store.delete(&path).await.unwrap();
        assert_eq!(object.read(0..4).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
