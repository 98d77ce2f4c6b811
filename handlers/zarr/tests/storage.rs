//! What is asked of storage: requests counted, stores that cannot list, links, zip files.

use std::{
    os::unix::fs::symlink,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Slice};

use super::*;
use crate::storage::{
    Entry, FileStatus, Object,
    faults::{Fault, Faulty},
};

/// A store that counts what is asked of it.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Store>,
    lists: bool,
    opened: Mutex<Vec<(String, Part)>>,
    listed: AtomicUsize,
    readers: Mutex<Vec<Arc<Faulty>>>,
}

impl Watched {
    fn place(name: &str, lists: bool) -> (Place, Arc<Self>) {
        let place = place(name);
        let watched = Arc::new(Self {
            inner: place.store,
            lists,
            opened: Mutex::default(),
            listed: AtomicUsize::new(0),
            readers: Mutex::default(),
        });
        (Place { store: Arc::clone(&watched) as Arc<dyn Store>, ..place }, watched)
    }

    /// Objects opened and listings made since the last call, and ranges and bytes read of open objects.
    fn since(&self) -> (usize, usize, u64, u64) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap()).len();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap());
        let sum = |of: fn(&Faulty) -> u64| readers.iter().map(|r| of(r)).sum();
        let counts =
            (opened, self.listed.swap(0, Ordering::SeqCst), sum(Faulty::reads), sum(Faulty::bytes_read));
        *self.readers.lock().unwrap() = readers;
        counts
    }
}

#[async_trait]
impl Store for Watched {
    async fn open(&self, path: &str, part: Part) -> cdm::Result<Option<(Object, Bytes)>> {
        self.opened.lock().unwrap().push((path.to_owned(), part));
        let Some((object, bytes)) = self.inner.open(path, part).await? else { return Ok(None) };
        let (object, reader) = Faulty::wrap(object, Fault::None);
        self.readers.lock().unwrap().push(reader);
        Ok(Some((object, bytes)))
    }
    async fn stat(&self, path: &str) -> cdm::Result<Option<FileStatus>> {
        self.inner.stat(path).await
    }
    async fn list(&self, folder: &str) -> cdm::Result<Vec<Entry>> {
        self.listed.fetch_add(1, Ordering::SeqCst);
        if self.lists { self.inner.list(folder).await } else { Err(Error::unsupported("no listings here")) }
    }
}

async fn open_watched(name: &str, lists: bool) -> (cdm::Result<Arc<dyn Source>>, Arc<Watched>) {
    let (place, watched) = Watched::place(name, lists);
    let registry = registry();
    let keys = Arc::new(super::super::StoreKeys(Arc::clone(&place.store)));
    (super::super::open(&place, keys, None, registry.engine()).await, watched)
}

#[test]
fn metadata_take_one_listing_per_group_and_none_when_consolidated() {
    run(async {
        for (name, opens, lists) in [
            ("xarray_v3.zarr", 1, 0),
            ("xarray_v2.zarr", 2, 0),
            ("xarray_v3_walked.zarr", 10, 1),
            ("single_v3.zarr", 1, 0),
        ] {
            let (source, watched) = open_watched(name, true).await;
            source.unwrap();
            let (opened, listed, ..) = watched.since();
            assert_eq!((opened, listed), (opens, lists), "{name}");
        }
        for name in ["groups_v2.zarr", "groups_v3.zarr"] {
            let (source, watched) = open_watched(name, true).await;
            source.unwrap();
            assert_eq!(watched.since().1, 3, "{name}: one for each group");
        }
    });
}

#[test]
fn storage_that_cannot_list_serves_what_is_consolidated() {
    run(async {
        let (source, _) = open_watched("xarray_v3.zarr", false).await;
        assert_eq!(source.unwrap().dataset().variables().count(), 9);
        for name in ["xarray_v3_walked.zarr", "xarray_v2_walked.zarr"] {
            let error = open_watched(name, false).await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("consolidate"), "{error}");
        }
    });
}

fn one_chunk(rows: (u64, u64), columns: (u64, u64)) -> Selection {
    let slice = |(start, count)| vec![Slice::new(start, 1, count).unwrap()];
    Selection::new(vec![slice(rows), slice(columns)], &[20, 30]).unwrap()
}

#[test]
fn a_shard_is_read_by_its_index_and_the_chunks_wanted() {
    run(async {
        for name in ["/end", "/start"] {
            let (source, watched) = open_watched("sharded.zarr", true).await;
            let source = source.unwrap();
            let full = FullName::new(name);
            watched.since();
            // One chunk: the index with the opening, and one range.
            let block = testing::collect(source.read(&full, &one_chunk((0, 4), (0, 5))), true).await.unwrap();
            assert_eq!(block.byte_len(), 80);
            let (opened, _, reads, bytes) = watched.since();
            assert_eq!((opened, reads), (1, 1), "{name}");
            let part = watched.inner.stat(&format!("sharded.zarr{name}/c/0/0")).await.unwrap().unwrap();
            assert!(bytes < part.size / 2, "{name}: {bytes} of {}", part.size);
            // Another chunk of the same shard: the index is known, the file opened again.
            let block = testing::collect(source.read(&full, &one_chunk((4, 4), (5, 5))), true).await.unwrap();
            assert_eq!(block.byte_len(), 80);
            let (opened, _, reads, _) = watched.since();
            assert_eq!(opened, 1, "{name}");
            assert!(reads <= 2, "{name}: {reads}");
            let open = watched.readers.lock().unwrap().iter().filter(|r| Arc::strong_count(r) > 1).count();
            assert_eq!(open, 0, "{name}: no file stays open for the shards that are known");
        }
        let (source, watched) = open_watched("sharded.zarr", true).await;
        source.unwrap();
        let shards = watched.opened.lock().unwrap().iter().filter(|(p, _)| p.contains("/c/")).count();
        assert_eq!(shards, 0, "opening a dataset reads no shard");
    });
}

#[test]
fn links_out_of_the_root_are_not_followed_and_circles_end() {
    let around = tempfile::tempdir().unwrap();
    let data = around.path().join("data");
    let group = br#"{"zarr_format":3,"node_type":"group","attributes":{}}"#;
    let array = unpacked().join("single_v3.zarr");
    for folder in ["data/a.zarr/inner", "outside"] {
        std::fs::create_dir_all(around.path().join(folder)).unwrap();
    }
    std::fs::write(data.join("a.zarr/zarr.json"), group).unwrap();
    std::fs::write(data.join("a.zarr/inner/zarr.json"), group).unwrap();
    std::fs::copy(array.join("zarr.json"), around.path().join("outside/zarr.json")).unwrap();
    symlink(around.path().join("outside"), data.join("a.zarr/stolen")).unwrap();
    symlink("../../outside", data.join("a.zarr/relative")).unwrap();
    symlink(around.path().join("outside"), data.join("whole.zarr")).unwrap();
    let root = LocalRoot::open(&data).unwrap();
    let place = |name: &str| Place { store: Arc::new(root.clone()), path: name.into(), name: name.into() };
    run(async {
        let registry = registry();
        let found = registry.find(&place("a.zarr")).await.unwrap().unwrap();
        let source = found.open(&place("a.zarr"), &registry).await.unwrap();
        assert_eq!(source.dataset().variables().count(), 0);
        assert_eq!(source.dataset().root().groups.len(), 1);
        assert!(registry.find(&place("whole.zarr")).await.unwrap().is_none());

        symlink("..", data.join("a.zarr/inner/loop")).unwrap();
        symlink("..", data.join("a.zarr/inner/loop2")).unwrap();
        std::fs::remove_file(data.join("a.zarr/inner/loop2")).unwrap();
        let found = registry.find(&place("a.zarr")).await.unwrap().unwrap();
        let begin = std::time::Instant::now();
        // The system's own limit on links, or ours on depth: one of them ends it.
        if let Err(error) = found.open(&place("a.zarr"), &registry).await {
            assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        }
        assert!(begin.elapsed().as_secs() < 20);
    });
}

#[test]
fn every_store_reads_the_same_from_a_zip_file() {
    run(async {
        let mut all = Vec::new();
        for store in ["types_v2", "types_v3", "sharded", "groups_v2", "xarray_v3"] {
            let name = format!("{store}.zarr.zip");
            let bytes = std::fs::read(fixtures().join(&name)).unwrap();
            let (object, reads) = Faulty::wrap(MemoryObject::object(name.as_str(), bytes), Fault::None);
            let source = registry().open(object).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(source.version().is_some(), "a zip file is one object");
            all.extend(faults(store, &source, &expected()[store]).await);
            assert!(reads.reads() > 2);
            testing::source_contract(&source, 5, 4).await;
        }
        assert!(all.is_empty(), "{}", all.join("\n"));
        let empty = MemoryObject::object("a.zip", &b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..]);
        assert_eq!(registry().open(empty).await.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn a_shard_that_is_replaced_while_its_index_is_known_is_not_misread() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("a.zarr");
    let from = unpacked().join("sharded.zarr/end");
    std::fs::create_dir_all(folder.join("c/0")).unwrap();
    for name in ["zarr.json", "c/0/0"] {
        std::fs::copy(from.join(name), folder.join(name)).unwrap();
    }
    let root = LocalRoot::open(around.path()).unwrap();
    let place = Place { store: Arc::new(root), path: "a.zarr".into(), name: "a.zarr".into() };
    run(async {
        let registry = registry();
        let source = registry.find(&place).await.unwrap().unwrap().open(&place, &registry).await.unwrap();
        let full = FullName::new("/a");
        let first = testing::collect(source.read(&full, &one_chunk((0, 4), (0, 5))), true).await;
        assert!(first.is_ok());
        let shard = std::fs::read(from.join("c/0/0")).unwrap();
        let longer = [&[0; 8], shard.as_slice()].concat();
        std::fs::write(folder.join("new"), longer).unwrap();
        std::fs::rename(folder.join("new"), folder.join("c/0/0")).unwrap();
        let error = testing::collect(source.read(&full, &one_chunk((4, 4), (5, 5))), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    });
}
