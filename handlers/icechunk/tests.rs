//! Repositories that icechunk wrote, against what zarr-python reads in them through icechunk.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{
    Block, DataType, ErrorKind, FullName, Result, Selection, Source,
    testing::{Random, collect, source_contract},
};
use futures::StreamExt;
use serde_json::Value;

use super::{
    chunks::native_object,
    envelope::{self, Kind},
    format_tests::{file, told},
    hostile_tests::damaged,
    object_id::ObjectId,
};
use crate::{
    Registry,
    chunked::Engine,
    references::AllowList,
    storage::{Entry, FileStatus, LocalRoot, MemoryObject, Object, Part, Place, Store},
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("icechunk/fixtures")
}

/// Virtual chunks may lead to the folder of fixtures.
fn registry() -> Registry {
    let opener = Arc::new(|_: &str| Ok(Arc::new(LocalRoot::open(&fixtures())?) as Arc<dyn Store>));
    let allowed = AllowList::new(&["s3://climate"], opener).unwrap();
    Registry::new(Arc::new(Engine::default())).allowing(allowed)
}

fn place(root: &Path, path: &str) -> Place {
    let store = Arc::new(LocalRoot::open(root).unwrap());
    Place { store, path: path.into(), name: path.into() }
}

async fn open(registry: &Registry, root: &Path, path: &str) -> Result<Arc<dyn Source>> {
    let place = place(root, path);
    let found = registry.find(&place).await?.expect("a mark");
    assert_eq!(found.format.name(), "Icechunk");
    found.open(&place, registry).await
}

async fn whole(source: &Arc<dyn Source>, name: &str) -> Result<Block> {
    let name = FullName::new(name);
    let shape = source.dataset().require(&name)?.shape();
    collect(source.read(&name, &Selection::all(&shape)), true).await
}

/// Numbers of the type that `NumPy` calls `text`.
fn numbers(text: &str, block: &Block) -> (DataType, Vec<f64>) {
    let Block::Fixed(bytes) = block else { panic!("numbers") };
    macro_rules! read {
        ($data_type:ident, $number:ty) => {{
            let each = bytes.chunks_exact(size_of::<$number>());
            let numbers = each.map(|raw| <$number>::from_ne_bytes(raw.try_into().unwrap()) as f64);
            (DataType::$data_type, numbers.collect())
        }};
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_lossless, reason = "small numbers")]
    match text {
        "f4" => read!(Float32, f32),
        "f8" => read!(Float64, f64),
        "i4" => read!(Int32, i32),
        "i8" => read!(Int64, i64),
        "u2" => read!(UInt16, u16),
        other => panic!("the type {other}"),
    }
}

#[tokio::test]
async fn what_icechunk_reads_is_served() {
    for repository in ["old", "v1", "v2"] {
        let source = open(&registry(), &fixtures(), repository).await.unwrap();
        let told = told(repository);
        let version = source.version().unwrap();
        assert!(version.identity.contains(told["snapshot"].as_str().unwrap()), "{version:?}");
        assert!(version.modified.is_some());
        let mut variables = 0;
        for (path, expected) in told["nodes"].as_object().unwrap() {
            let Some(values) = expected.get("values") else { continue };
            variables += 1;
            let variable = source.dataset().require(&FullName::new(path)).unwrap();
            let block = whole(&source, path).await.unwrap_or_else(|e| panic!("{repository}{path}: {e}"));
            let (data_type, found) = numbers(expected["type"].as_str().unwrap(), &block);
            assert_eq!(variable.data_type, data_type, "{path}");
            let values: Vec<f64> = values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(found, values, "{repository}{path}");
            let shape: Vec<Value> = variable.shape().into_iter().map(Value::from).collect();
            assert_eq!(Value::from(shape), expected["shape"], "{path}");
            let names = variable.dimensions.iter().filter_map(|d| d.name.as_ref());
            let names: Vec<Value> = names.map(|name| Value::from(name.short().to_owned())).collect();
            assert_eq!(Value::from(names), expected["dimensions"], "{path}");
            for (name, value) in expected["attributes"].as_object().unwrap() {
                let found = variable.attributes.iter().find(|a| *a.name == **name);
                assert!(found.is_some(), "{path}: {name} = {value}");
            }
        }
        assert_eq!((variables, source.dataset().variables().count()), (8, 8));
        source_contract(&source, 7, 20).await;
    }
}

#[tokio::test]
async fn what_leads_elsewhere_is_refused_and_the_rest_is_read() {
    let registry = Registry::new(Arc::new(Engine::default()));
    let source = open(&registry, &fixtures(), "v2").await.unwrap();
    let refused = whole(&source, "/virtual/tas").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    whole(&source, "/temperature").await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_branch_that_moves_is_another_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("sub/a");
    copy(&fixtures().join("v1"), &repository);
    let registry = registry();
    let place = place(folder.path(), "sub/a");
    let (format, before) = registry.mark_of(&place).await.unwrap().unwrap();
    assert_eq!(format.name(), "Icechunk");
    let last = open(&registry, folder.path(), "sub/a").await.unwrap();
    fs::copy(repository.join("refs/tag.v0/ref.json"), repository.join("refs/branch.main/ref.json")).unwrap();
    let (_, after) = registry.mark_of(&place).await.unwrap().unwrap();
    assert_ne!(before.version, after.version);
    let first = open(&registry, folder.path(), "sub/a").await.unwrap();
    assert_ne!(first.version(), last.version());
    assert_eq!(first.dataset().require(&FullName::new("/temperature")).unwrap().shape(), [2, 3, 5]);
    assert_eq!(first.dataset().variables().count(), 4);
    whole(&first, "/temperature").await.unwrap();
    // The other is what it was.
    assert_eq!(last.dataset().variables().count(), 8);
    whole(&last, "/temperature").await.unwrap();

    // With both, as while one is made the other: the later version of the specification.
    fs::copy(fixtures().join("v2/repo"), repository.join("repo")).unwrap();
    let error = open(&registry, folder.path(), "sub/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "its snapshot is not there: {error}");
}

#[tokio::test]
async fn what_is_missing_is_an_error_and_not_fill() {
    for (part, kind) in [("chunks", ErrorKind::Corrupt), ("manifests", ErrorKind::Corrupt)] {
        for cut in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            copy(&fixtures().join("v2"), &folder.path().join("a"));
            for entry in fs::read_dir(folder.path().join("a").join(part)).unwrap() {
                let path = entry.unwrap().path();
                if cut {
                    let bytes = fs::read(&path).unwrap();
                    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
            }
            let source = open(&registry(), folder.path(), "a").await.unwrap();
            let error = whole(&source, "/temperature").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{part}: {error}");
            // What nobody wrote is fill all the same: no manifest is asked.
            whole(&source, "/model/never").await.unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/refs/branch.main")).unwrap();
    for (text, kind) in [
        (r#"{"snapshot":"1CECHNKREP0F1RSTCMT0"}"#, ErrorKind::Corrupt),
        (r#"{"snapshot":"../../../../../etc/passwd"}"#, ErrorKind::Corrupt),
        ("{}", ErrorKind::Corrupt),
        ("", ErrorKind::Corrupt),
    ] {
        fs::write(folder.path().join("a/refs/branch.main/ref.json"), text).unwrap();
        let error = open(&registry(), folder.path(), "a").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
    }
}

/// One object, with the number of times it was asked for.
#[derive(Debug)]
struct Counted {
    bytes: Bytes,
    opened: AtomicUsize,
    read: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct CountedReads(Object, Arc<AtomicUsize>);

#[async_trait]
impl crate::storage::ReadRanges for CountedReads {
    async fn read(&self, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.read_ranges(ranges).await
    }
    fn read_blocking(&self, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.read_ranges_blocking(ranges)
    }
}

#[async_trait]
impl Store for Counted {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let object = MemoryObject::object(path, self.bytes.clone());
        let range = match part {
            Part::Head(len) => 0..len.min(object.size),
            Part::Tail(len) => object.size.saturating_sub(len)..object.size,
            Part::Whole { .. } => 0..object.size,
        };
        let bytes = object.read(range).await?;
        let reader = Arc::new(CountedReads(object.clone(), Arc::clone(&self.read)));
        Ok(Some((Object { reader, ..object }, bytes)))
    }
    async fn stat(&self, _: &str) -> Result<Option<FileStatus>> {
        Ok(None)
    }
    async fn list(&self, _: &str) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_chunk_costs_one_request() {
    let all: Vec<u8> = (0..200_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    // What is asked for of an object of so many bytes, and the requests that it costs.
    for (size, ranges, opened, read) in [
        (200_000, vec![(0, 200_000)], 1, 0),
        (100, vec![(0, 100)], 1, 0),
        (100, vec![(20, 100)], 1, 0),
        (200_000, vec![(150_000, 200_000)], 1, 0),
        (190_000, vec![(150_000, 190_000)], 1, 1),
        (200_000, vec![(100_000, 150_000)], 1, 1),
        (200_000, vec![(0, 10), (190_000, 200_000)], 1, 1),
    ] {
        let store = Arc::new(Counted {
            bytes: all.clone().into(),
            opened: AtomicUsize::new(0),
            read: Arc::default(),
        });
        let place = Place { store: Arc::clone(&store) as _, ..Place::alone("a") };
        let object = native_object(&place, ObjectId([1; 12]), size);
        assert!(object.name.starts_with("a/chunks/"), "{}", object.name);
        let ranges: Vec<_> = ranges.into_iter().map(|(start, end)| start..end).collect();
        let found = object.read_ranges(&ranges).await.unwrap();
        for (range, bytes) in ranges.iter().zip(found) {
            let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            assert_eq!(bytes, &all[start..end]);
        }
        let requests = (store.opened.load(Ordering::SeqCst), store.read.load(Ordering::SeqCst));
        assert_eq!(requests, (opened, read), "{ranges:?} of {size}");
    }
    let store = Counted { bytes: all.into(), opened: AtomicUsize::new(0), read: Arc::default() };
    let place = Place { store: Arc::new(store), ..Place::alone("a") };
    let longer = native_object(&place, ObjectId([1; 12]), 200_001);
    for range in [0..10, 0..200_001, 190_000..200_001, 100_000..100_001] {
        assert_eq!(longer.read(range).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let object = native_object(&place, ObjectId([1; 12]), 100);
    let found = tokio::task::spawn_blocking(move || object.read_blocking(3..5)).await.unwrap();
    assert_eq!(&found.unwrap()[..], [3, 4]);
}

/// A folder in memory.
#[derive(Debug)]
struct Files(BTreeMap<String, Bytes>);

#[async_trait]
impl Store for Files {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>> {
        let Some(bytes) = self.0.get(path) else { return Ok(None) };
        let object = MemoryObject::object(path, bytes.clone());
        let range = match part {
            Part::Head(len) => 0..len.min(object.size),
            Part::Tail(len) => object.size.saturating_sub(len)..object.size,
            Part::Whole { .. } => 0..object.size,
        };
        let bytes = object.read(range).await?;
        Ok(Some((object, bytes)))
    }
    async fn stat(&self, path: &str) -> Result<Option<FileStatus>> {
        let status = |b: &Bytes| {
            let object = MemoryObject::object(path, b.clone());
            FileStatus { size: object.size, version: object.version }
        };
        Ok(self.0.get(path).map(status))
    }
    async fn list(&self, _: &str) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
}

/// Every file of a repository, its metadata decompressed so that damage reaches what it says.
fn in_memory(repository: &str) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(fixtures().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = file(&path);
            for kind in [Kind::Snapshot, Kind::Manifest, Kind::Repository] {
                if let Ok(body) = envelope::open(&bytes, kind) {
                    bytes = [&bytes[..38], &[0], &body].concat().into();
                    break;
                }
            }
            found.insert(path, bytes);
        }
    }
    found
}

#[tokio::test]
async fn damaged_repositories_are_refused_or_read() {
    let registry = registry();
    let (mut read, mut refused, mut failed) = (0, 0, 0);
    for (r, repository) in ["v1", "v2"].into_iter().enumerate() {
        let files = in_memory(repository);
        let paths: Vec<&String> = files.keys().filter(|path| !path.ends_with("yaml")).collect();
        for round in 0..400_u64 {
            let mut random = Random(round << 8 | r as u64);
            let mut files = files.clone();
            for _ in 0..=random.below(2) {
                let path = paths[usize::try_from(random.below(paths.len() as u64)).unwrap()];
                let bytes = damaged(&mut random, &files[path]);
                files.insert(path.clone(), bytes);
            }
            let place =
                Place { store: Arc::new(Files(files)), path: repository.into(), name: repository.into() };
            let source = match registry.find(&place).await.unwrap().unwrap().open(&place, &registry).await {
                Ok(source) => source,
                Err(e) => {
                    assert_ne!(e.kind(), ErrorKind::Internal, "{round}: {e}");
                    refused += 1;
                    continue;
                }
            };
            for (name, variable) in source.dataset().variables() {
                let mut blocks = source.read(&name, &Selection::all(&variable.shape()));
                let mut len = 0;
                while let Some(block) = blocks.next().await {
                    match block {
                        Ok(block) => len += block.byte_len(),
                        Err(e) => {
                            assert_ne!(e.kind(), ErrorKind::Internal, "{round} {name}: {e}");
                            failed += 1;
                        }
                    }
                    if len > 64 << 10 {
                        break;
                    }
                }
                read += 1;
            }
        }
    }
    assert!(read > 500 && refused > 50 && failed > 20, "{read} read, {refused} refused, {failed} failed");
}
