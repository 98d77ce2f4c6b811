//! Objects in an object store (S3, Google, Azure, HTTP), through the `object_store` crate.
//!
//! [`RemoteStore`] is the [`Store`] of a prefix. Around it, one concern each: `location` (URLs), `options`,
//! `connect` (clients and credentials), `calls` (retries, time-outs, the circuit breaker), `failure` (what an
//! error means), `status` (what is known without asking), `extents` (pieces kept), `object` (ranged reads).
//!
//! No request is made that is not needed: the first look at an object reads its head, which opening it and
//! reading its metadata then find here; each later look is a conditional request.

mod breaker;
mod calls;
mod connect;
mod extents;
mod failure;
mod location;
mod object;
mod options;
mod status;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, path::Path};
use tokio::runtime::Handle;

pub(crate) use self::location::percent_decoded;
use self::{
    calls::{Calls, Failure},
    extents::Extents,
    failure::{Reason, Refusal},
    location::Location,
    object::{RemoteObject, same_version},
    status::{Found, Known, Looks},
};
pub use self::{
    location::{is_store_url, shown_url},
    options::{RemoteOptions, Secret, StoreOptions},
};
use super::{Entry, EntryKind, FileStatus, Object, Part, Store, StoreCalls, join, store::below};

/// Bytes of an object that the first look at it reads.
const HEAD: u64 = 256 << 10;

/// The objects beneath `url`: `s3://bucket/prefix`, `gs://...`, `az://...`, `abfs://...`, `https://...`. Makes no
/// request. Must be called within a tokio runtime, which then serves reads from blocking threads too.
///
/// # Errors
/// `BadRequest` when the URL or the options for it cannot be used; no error holds a secret.
pub fn remote_root(url: &str, options: &RemoteOptions) -> Result<Arc<dyn Store>> {
    let location = Location::parse(url)?;
    let store = connect::connect(&location, options)?;
    let recheck = options.store(&location.shown).recheck.unwrap_or(options.recheck);
    let calls = Calls::new(&*location.store, options);
    let shared = Shared::new(store, calls, options.metadata_cache);
    Ok(Arc::new(RemoteStore { shared, prefix: location.prefix, url: location.shown.into(), recheck }))
}

/// The objects beneath a prefix of an object store.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    shared: Arc<Shared>,
    prefix: Path,
    /// What the user called it: `s3://bucket/prefix`.
    url: Arc<str>,
    recheck: Duration,
}

/// What the objects of one store share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn ObjectStore>,
    calls: Calls,
    extents: Extents,
    looks: Looks,
    runtime: Handle,
    /// Names for versions of objects.
    next: AtomicU64,
}

impl Shared {
    fn new(store: Arc<dyn ObjectStore>, calls: Calls, metadata_cache: u64) -> Arc<Self> {
        Arc::new(Self {
            store,
            calls,
            extents: Extents::new(metadata_cache),
            looks: Looks::default(),
            runtime: Handle::current(),
            next: AtomicU64::new(0),
        })
    }

    /// The next look at `path` asks the store.
    fn forget(&self, path: &str) {
        self.looks.forget(path);
    }

    /// A part of an object and its status; `None` when it is larger than `at_most`, which is then the
    /// status alone.
    async fn get(
        &self,
        key: &Path,
        range: Option<GetRange>,
        known: Option<&str>,
        at_most: u64,
    ) -> Result<(ObjectMeta, Range<u64>, Option<Bytes>), Failure> {
        let range = &range;
        self.calls
            .make(|coming| async move {
                let options = GetOptions {
                    range: range.clone(),
                    if_none_match: known.map(str::to_owned),
                    ..GetOptions::default()
                };
                let answer = self.store.get_opts(key, options).await?;
                let (meta, range) = (answer.meta.clone(), answer.range.clone());
                if range.end - range.start > at_most {
                    return Ok((meta, range, None));
                }
                coming.begins(range.end - range.start);
                let bytes = answer.bytes().await?;
                Ok((meta, range, Some(bytes)))
            })
            .await
            .and_then(|(meta, range, bytes)| match bytes {
                Some(bytes) if bytes.len() as u64 != range.end - range.start => {
                    let reason = Reason::Failing;
                    Err(Failure { reason, error: reason.error(&self.calls.store) })
                }
                bytes => Ok((meta, range, bytes)),
            })
    }

    async fn head(&self, key: &Path) -> Result<ObjectMeta, Failure> {
        let options = || GetOptions { head: true, ..GetOptions::default() };
        self.calls.make(|_| async { Ok(self.store.get_opts(key, options()).await?.meta) }).await
    }

    /// A version of an object, and a piece of it, which is kept.
    fn know(&self, meta: ObjectMeta, start: u64, bytes: &Bytes) -> Known {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.extents.keep(id, start, bytes);
        Known { meta, id }
    }

    /// Asks the store what is there, unless it is what was there `before`.
    async fn look(&self, key: &Path, before: Found) -> Result<Found> {
        let tag = before.as_ref().and_then(|known| known.meta.e_tag.as_deref());
        if let (Some(known), None) = (&before, tag) {
            match self.head(key).await {
                Ok(meta) if same_version(&meta, &known.meta) => return Ok(before),
                Ok(_) => {}
                Err(e) if e.reason == Reason::Missing => return Ok(None),
                Err(e) => return Err(e.into_error()),
            }
        }
        match self.get(key, Some(GetRange::Bounded(0..HEAD)), tag, HEAD).await {
            Ok((meta, _, bytes)) => match before {
                Some(known) if same_version(&meta, &known.meta) => Ok(Some(known)),
                replaced => {
                    if let Some(replaced) = replaced {
                        self.extents.forget(replaced.id);
                    }
                    Ok(Some(Arc::new(self.know(meta, 0, &bytes.unwrap_or_default()))))
                }
            },
            Err(e) => match e.reason {
                Reason::Missing => Ok(None),
                Reason::Same => Ok(before),
                // No object of no bytes has a first one.
                Reason::Refused(Refusal::Range) => match self.head(key).await {
                    Ok(meta) => Ok(Some(Arc::new(self.know(meta, 0, &Bytes::new())))),
                    Err(e) if e.reason == Reason::Missing => Ok(None),
                    Err(e) => Err(e.into_error()),
                },
                _ => Err(e.into_error()),
            },
        }
    }
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
        let (url, options) = (url.into(), RemoteOptions::default());
        let shared = Shared::new(store, Calls::new(Arc::clone(&url), &options), options.metadata_cache);
        Ok(Self { shared, prefix, url, recheck: options.recheck })
    }

    /// The same, which believes what it knows of objects for `recheck`.
    #[must_use]
    pub fn with_recheck(self, recheck: Duration) -> Self {
        Self { recheck, ..self }
    }

    /// The key of a path; `None` when no key is like that.
    fn key(&self, path: &str) -> Option<Path> {
        let whole = join(self.prefix.as_ref(), path);
        Path::parse(whole).ok()
    }

    /// What is at `path`.
    async fn known(&self, path: &str) -> Result<Found> {
        let Some(key) = self.key(path) else { return Ok(None) };
        self.shared.looks.at(path, self.recheck, |before| self.shared.look(&key, before)).await
    }

    fn object(&self, path: &str, known: &Known) -> Object {
        Object {
            name: path.into(),
            size: known.meta.size,
            version: self.version(&known.meta),
            url: self.url(path).map(Into::into),
            reader: Arc::new(RemoteObject {
                shared: Arc::clone(&self.shared),
                path: path.into(),
                meta: known.meta.clone(),
                id: known.id,
            }),
        }
    }

    fn version(&self, meta: &ObjectMeta) -> Version {
        let modified = meta.last_modified;
        let tag = match &meta.e_tag {
            Some(tag) => tag.clone(),
            None => format!("{:x}", modified.timestamp_micros()),
        };
        Version {
            identity: format!("{}/{}-{:x}-{tag}", self.shared.calls.store, meta.location, meta.size).into(),
            // Servers that do not say give the beginning of time.
            modified: (modified.timestamp_micros() > 0).then(|| modified.into()),
        }
    }

    /// A range of a known object.
    async fn part(&self, path: &str, known: &Known, range: Range<u64>) -> Result<(Object, Bytes)> {
        let object = self.object(path, known);
        let bytes = if range.is_empty() { Bytes::new() } else { object.read(range).await? };
        Ok((object, bytes))
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(key) = self.key(path) else { return Ok(None) };
        let wanted = |size: u64| match part {
            Part::Head(len) => 0..len.min(size),
            Part::Tail(len) => size.saturating_sub(len)..size,
            Part::Whole { .. } => 0..size,
        };
        // What is known already may be all that is wanted.
        match self.shared.looks.peek(path, self.recheck) {
            Some(None) => return Ok(None),
            Some(Some(known)) => {
                let range = wanted(known.meta.size);
                check_size(path, known.meta.size, part)?;
                if range.is_empty() || self.shared.extents.find(known.id, &range).is_some() {
                    return self.part(path, &known, range).await.map(Some);
                }
            }
            None => {}
        }
        let (range, at_most) = match part {
            Part::Whole { at_most } => (None, at_most),
            Part::Head(len) => (Some(GetRange::Bounded(0..len.max(1))), len.max(1)),
            Part::Tail(len) => (Some(GetRange::Suffix(len.max(1))), len.max(1)),
        };
        match self.shared.get(&key, range, None, at_most).await {
            Ok((meta, range, Some(bytes))) => {
                let kept = if let Part::Whole { .. } = part { Bytes::new() } else { bytes.clone() };
                let known = self.shared.know(meta, range.start, &kept);
                // Of none, one was asked for: there is no range of none.
                let bytes = if let Part::Head(0) | Part::Tail(0) = part { Bytes::new() } else { bytes };
                Ok(Some((self.object(path, &known), bytes)))
            }
            Ok((meta, _, None)) => Err(super::larger(path, meta.size, at_most)),
            Err(e) => match e.reason {
                Reason::Missing => Ok(None),
                // Azure has no ranges from the end; an object of no bytes has no ranges at all.
                Reason::Refused(Refusal::Range | Refusal::Suffix) => {
                    let Some(known) = self.known(path).await? else { return Ok(None) };
                    self.part(path, &known, wanted(known.meta.size)).await.map(Some)
                }
                _ => Err(e.into_error()),
            },
        }
    }

    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let known = self.known(path).await?;
        Ok(known.map(|known| FileStatus { size: known.meta.size, version: self.version(&known.meta) }))
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        Ok(self.survey(folder).await?.into_iter().map(|(entry, _)| entry).collect())
    }

    async fn survey(&self, folder: &str) -> Result<Vec<(Entry, Option<Arc<str>>)>> {
        let missing = || Error::not_found("there is no such folder");
        let key = self.key(folder).ok_or_else(missing)?;
        let found = self.shared.calls.make(|_| self.shared.store.list_with_delimiter(Some(&key))).await;
        let found = found.map_err(Failure::into_error)?;
        let child = |path: &Path| {
            let mut parts = path.prefix_match(&key)?;
            let name = parts.next()?.as_ref().to_owned();
            parts.next().is_none().then_some(name)
        };
        let mut entries: Vec<(Entry, Option<Arc<str>>)> = Vec::new();
        for prefix in found.common_prefixes {
            let Some(name) = child(&prefix) else { continue };
            entries.push((Entry { name: name.into(), kind: EntryKind::Directory }, None));
        }
        for meta in found.objects {
            // An object that is named as the folder itself marks it and is not in it.
            let Some(name) = child(&meta.location) else { continue };
            let kind = EntryKind::File { size: meta.size, modified: Some(meta.last_modified.into()) };
            entries.push((Entry { name: name.into(), kind }, Some(self.version(&meta).identity)));
        }
        if entries.is_empty() && !folder.is_empty() {
            return Err(missing());
        }
        entries.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Ok(entries)
    }

    fn url(&self, path: &str) -> Option<String> {
        Some(join(&self.url, path))
    }

    fn relative(&self, absolute: &str) -> Option<String> {
        below(&self.url, absolute)
    }

    fn recheck(&self) -> Duration {
        self.recheck.max(Duration::from_secs(30))
    }

    fn calls(&self) -> Option<StoreCalls> {
        Some(self.shared.calls.counts())
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Refuses what is larger than it can rightly be.
fn check_size(path: &str, size: u64, part: Part) -> Result<()> {
    match part {
        Part::Whole { at_most } if size > at_most => Err(super::larger(path, size, at_most)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cdm::ErrorKind;
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    async fn filled(path: &str, bytes: Vec<u8>) -> (Arc<InMemory>, RemoteStore) {
        let store = Arc::new(InMemory::new());
        store.put(&Path::from(path), bytes.into()).await.unwrap();
        let remote = RemoteStore::new(Arc::clone(&store) as _, "data", "memory://bucket/data").unwrap();
        (store, remote.with_recheck(Duration::ZERO))
    }

    #[tokio::test]
    async fn ranges_are_read_and_a_change_is_noticed() {
        let bytes: Vec<u8> = (0..=250).cycle().take(2 << 20).collect();
        let size = bytes.len();
        let (store, remote) = filled("data/a.nc", bytes.clone()).await;
        let (object, head) = remote.open("a.nc", Part::Head(4)).await.unwrap().unwrap();
        assert_eq!((&head[..], object.url.as_deref()), (&bytes[..4], Some("memory://bucket/data/a.nc")));
        assert_eq!(remote.open("a.nc", Part::Tail(2)).await.unwrap().unwrap().1, &bytes[size - 2..]);
        let whole = remote.open("a.nc", Part::Whole { at_most: size as u64 }).await.unwrap().unwrap();
        assert_eq!(whole.1, bytes);
        let larger = remote.open("a.nc", Part::Whole { at_most: size as u64 - 1 }).await.unwrap_err();
        assert_eq!(larger.kind(), ErrorKind::Corrupt);
        for part in [Part::Head(0), Part::Tail(0)] {
            assert_eq!(remote.open("a.nc", part).await.unwrap().unwrap().1.len(), 0);
        }
        assert!(remote.open("b.nc", Part::Head(4)).await.unwrap().is_none());
        assert_eq!(remote.stat("a.nc").await.unwrap().unwrap().version, object.version);
        assert_eq!(remote.list("").await.unwrap().len(), 1);
        let found = object.read_ranges(&[300_000..300_056, 0..4, 10..12]).await.unwrap();
        assert_eq!(found, [&bytes[300_000..300_056], &bytes[0..4], &bytes[10..12]]);
        let here = object.clone();
        let one = tokio::task::spawn_blocking(move || here.read_blocking(299_995..299_997)).await.unwrap();
        assert_eq!(one.unwrap(), &bytes[299_995..299_997]);
        let beyond = object.read(2_000_000..3_000_000).await.unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::Corrupt);

        let path = Path::from("data/a.nc");
        store.put(&path, vec![0_u8; size].into()).await.unwrap();
        assert_eq!(object.read(1_400_000..1_400_004).await.unwrap_err().kind(), ErrorKind::Changed);
        assert_ne!(remote.stat("a.nc").await.unwrap().unwrap().version, object.version);
        store.delete(&path).await.unwrap();
        assert_eq!(object.read(1_400_000..1_400_004).await.unwrap_err().kind(), ErrorKind::Changed);
        assert_eq!(remote.stat("a.nc").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_known_is_believed_for_a_while() {
        let (store, remote) = filled("data/a.nc", vec![1; 10]).await;
        let remote = remote.with_recheck(Duration::from_secs(3600));
        let before = remote.stat("a.nc").await.unwrap();
        assert_eq!(remote.stat("b.nc").await.unwrap(), None);
        store.put(&Path::from("data/a.nc"), vec![2; 10].into()).await.unwrap();
        store.put(&Path::from("data/b.nc"), vec![2; 10].into()).await.unwrap();
        assert_eq!((remote.stat("a.nc").await.unwrap(), remote.stat("b.nc").await.unwrap()), (before, None));
        let believed = remote.open("a.nc", Part::Whole { at_most: 10 }).await.unwrap().unwrap();
        assert_eq!(believed.1, [1; 10].as_slice(), "the head is the object");
        let remote = remote.with_recheck(Duration::ZERO);
        assert_eq!(remote.open("a.nc", Part::Head(10)).await.unwrap().unwrap().1, [2; 10].as_slice());
    }

    #[tokio::test]
    async fn a_marker_of_a_folder_is_not_in_it() {
        let (store, remote) = filled("data/folder/a.nc", vec![1; 10]).await;
        store.put(&Path::from("data/folder"), vec![].into()).await.unwrap();
        let names = |entries: Vec<Entry>| entries.into_iter().map(|e| e.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(remote.list("folder").await.unwrap()), ["a.nc"]);
        assert_eq!(remote.list("other").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
