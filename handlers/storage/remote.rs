//! Objects in an object store (S3, HTTP, ...), through the `object_store` crate.
//!
//! Owns nothing but the translation: ranges to conditional requests, its errors to ours.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Result, Version};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use tokio::runtime::Handle;

use super::{
    Entry, EntryKind, FileStatus, Object, Part, ReadRanges, Store, byte_len,
    coalesce::{Fetch, LARGEST, coalesce},
    join,
};

/// A request costs about as much as this many bytes.
const GAP: u64 = 1 << 20;

/// Requests of one read that are under way at once.
const IN_FLIGHT: usize = 8;

/// The objects beneath a prefix of an object store.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What the user called it: `s3://bucket/prefix`.
    url: Arc<str>,
    runtime: Handle,
}

impl RemoteStore {
    /// The objects of `store` beneath `prefix`, which others know as `url`; must be called within a tokio
    /// runtime, which then serves reads from blocking threads too.
    ///
    /// # Errors
    /// `BadRequest` when `prefix` is not a path of an object store.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, url: impl Into<Arc<str>>) -> Result<Self> {
        let prefix = Path::parse(prefix).map_err(|e| {
            Error::bad_request(format!("{prefix} is not a path of an object store")).with_source(e)
        })?;
        Ok(Self { store, prefix, url: url.into(), runtime: Handle::current() })
    }

    /// The key of a path; `None` when no key is like that.
    fn key(&self, path: &str) -> Option<Path> {
        let whole = join(self.prefix.as_ref(), path);
        Path::parse(whole).ok()
    }

    fn object(&self, path: &str, meta: ObjectMeta) -> Object {
        Object {
            name: path.into(),
            size: meta.size,
            version: self.version(&meta),
            url: self.url(path).map(Into::into),
            reader: Arc::new(RemoteObject {
                store: Arc::clone(&self.store),
                meta,
                runtime: self.runtime.clone(),
            }),
        }
    }

    fn version(&self, meta: &ObjectMeta) -> Version {
        let modified = meta.last_modified;
        let tag = meta.version.as_ref().or(meta.e_tag.as_ref()).map_or("", String::as_str);
        let (size, micros) = (meta.size, modified.timestamp_micros());
        Version {
            identity: format!("{}/{}-{size:x}-{micros:x}-{tag}", self.url, meta.location).into(),
            modified: Some(modified.into()),
        }
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(key) = self.key(path) else { return Ok(None) };
        let range = match part {
            Part::Head(len) => Some(GetRange::Bounded(0..len.max(1))),
            Part::Tail(len) => Some(GetRange::Suffix(len.max(1))),
            Part::Whole { .. } => None,
        };
        let answer = match self.store.get_opts(&key, GetOptions { range, ..GetOptions::default() }).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(store_error(e)),
        };
        let size = answer.meta.size;
        if let Part::Whole { at_most } = part
            && size > at_most
        {
            return Err(super::larger(path, size, at_most));
        }
        let expected = byte_len(&answer.range)?;
        let object = self.object(path, answer.meta.clone());
        let bytes = answer.bytes().await.map_err(store_error)?;
        if bytes.len() != expected {
            return Err(short());
        }
        Ok(Some((object, bytes)))
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let Some(key) = self.key(path) else { return Ok(None) };
        match self.store.head(&key).await {
            Ok(meta) => Ok(Some(FileStatus { size: meta.size, version: self.version(&meta) })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(store_error(e)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let missing = || Error::not_found("there is no such folder");
        let key = self.key(folder).ok_or_else(missing)?;
        let found = self.store.list_with_delimiter(Some(&key)).await.map_err(store_error)?;
        let mut entries: Vec<Entry> = Vec::new();
        for prefix in found.common_prefixes {
            let Some(name) = prefix.filename() else { continue };
            entries.push(Entry { name: name.to_owned(), kind: EntryKind::Directory });
        }
        for meta in found.objects {
            let Some(name) = meta.location.filename() else { continue };
            let kind = EntryKind::File { size: meta.size, modified: Some(meta.last_modified.into()) };
            entries.push(Entry { name: name.to_owned(), kind });
        }
        if entries.is_empty() && !folder.is_empty() {
            return Err(missing());
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn url(&self, path: &str) -> Option<String> {
        Some(join(&self.url, path))
    }

    fn recheck(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// One version of an object in a store.
#[derive(Debug)]
struct RemoteObject {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    runtime: Handle,
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
            return Err(short());
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

fn short() -> Error {
    Error::storage("the storage gave a short answer", "its length differs from the range's")
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
    use object_store::memory::InMemory;

    #[tokio::test]
    async fn ranges_are_read_and_a_change_is_noticed() {
        let store = Arc::new(InMemory::new());
        let path = Path::from("data/a.nc");
        let bytes: Vec<u8> = (0..=255).collect();
        store.put(&path, bytes.clone().into()).await.unwrap();
        let remote = RemoteStore::new(Arc::clone(&store) as _, "data", "memory://bucket/data").unwrap();
        let (object, head) = remote.open("a.nc", Part::Head(4)).await.unwrap().unwrap();
        assert_eq!((&head[..], object.url.as_deref()), (&bytes[..4], Some("memory://bucket/data/a.nc")));
        assert_eq!(remote.open("a.nc", Part::Tail(2)).await.unwrap().unwrap().1, &bytes[254..]);
        let whole = remote.open("a.nc", Part::Whole { at_most: 256 }).await.unwrap().unwrap();
        assert_eq!(whole.1, bytes);
        let larger = remote.open("a.nc", Part::Whole { at_most: 255 }).await.unwrap_err();
        assert_eq!(larger.kind(), ErrorKind::Corrupt);
        assert!(remote.open("b.nc", Part::Head(4)).await.unwrap().is_none());
        assert_eq!(remote.stat("a.nc").await.unwrap().unwrap().version, object.version);
        assert_eq!(remote.list("").await.unwrap().len(), 1);
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
