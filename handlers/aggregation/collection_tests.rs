//! Collections over real folders: what is found, what is left out, what is opened again, and when.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cdm::{
    Block, Dataset, Dimension, FullName, Group, Selection, Source, Variable, Version,
    testing::{MemorySource, collect},
};

use super::*;
use crate::{
    Registry,
    chunked::{Engine, EngineOptions},
    ncml::document::{Aggregation, Join, Netcdf, Scan},
    storage::{KeptFiles, LocalRoot, Place},
};

#[expect(clippy::unnecessary_wraps, reason = "as the real one")]
/// In place of combining: a dataset whose one variable are the known times, one after the other.
pub(super) fn combined(name: &str, _: &Aggregation, members: Vec<Member>) -> cdm::Result<Combined> {
    let time = FullName::new("/time");
    let (mut times, mut versions) = (Vec::new(), String::new());
    for member in &members {
        if let Some(Known::Values(Block::Fixed(bytes))) = member.known.get(&time) {
            times.extend_from_slice(bytes);
        }
        versions = format!("{versions}{} {},", member.name, member.version);
    }
    let mut root = Group::new(FullName::root());
    let dimension = Dimension::shared(time.clone(), times.len() as u64 / 4);
    root.dimensions.push(dimension.clone());
    let variable = Variable::new("time", cdm::DataType::Int32, vec![dimension]);
    root.variables.push(variable);
    let memory = MemorySource::new(name, root, [(time, Block::Fixed(times.into()))]);
    let version = Version { identity: versions.into(), modified: None };
    Ok(Combined { source: Arc::new(Joined { memory, version, members }), notes: Vec::new() })
}

#[derive(Debug)]
struct Joined {
    memory: MemorySource,
    version: Version,
    members: Vec<Member>,
}

impl Source for Joined {
    fn dataset(&self) -> &Dataset {
        self.memory.dataset()
    }
    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }
    fn read(&self, variable: &FullName, selection: &Selection) -> cdm::BlockStream {
        // As every aggregation does: the members that are read are opened.
        let openers: Vec<_> = self.members.iter().map(|m| Arc::clone(&m.opener)).collect();
        let blocks = self.memory.read(variable, selection);
        let opened = futures::stream::once(async move {
            for opener in openers {
                if let Err(e) = opener.open().await {
                    return cdm::source::failed(e);
                }
            }
            blocks
        });
        Box::pin(futures::StreamExt::flatten(opened))
    }
}

/// netCDF-3 of `int time(time)` with one value and an attribute of its own.
fn netcdf(time: i32, history: &str) -> Vec<u8> {
    fn name(out: &mut Vec<u8>, name: &str) {
        out.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        out.extend(name.bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let mut out = b"CDF\x01\0\0\0\0".to_vec();
    out.extend([10_u32, 1].into_iter().flat_map(u32::to_be_bytes));
    name(&mut out, "time");
    out.extend([1_u32, 12, 1].into_iter().flat_map(u32::to_be_bytes));
    name(&mut out, "history");
    out.extend(2_u32.to_be_bytes());
    name(&mut out, history);
    out.extend([11_u32, 1].into_iter().flat_map(u32::to_be_bytes));
    name(&mut out, "time");
    out.extend([1_u32, 0, 0, 0, 4, 4].into_iter().flat_map(u32::to_be_bytes));
    out.extend(u32::try_from(out.len() + 4).unwrap().to_be_bytes());
    out.extend(time.to_be_bytes());
    out
}

/// Puts a member there as it was written long ago.
fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let temporary = folder.join(".new");
    fs::write(&temporary, bytes).unwrap();
    let file = fs::File::options().write(true).open(&temporary).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    fs::rename(&temporary, path).unwrap();
}

fn scan_of(location: &str) -> Scan {
    Scan {
        line: 1,
        location: location.to_owned(),
        suffix: Some(".nc".to_owned()),
        pattern: None,
        glob: None,
        subfolders: true,
        older_than: None,
        date_format_mark: None,
    }
}

fn definition(scan: Scan) -> Netcdf {
    let aggregation = Aggregation {
        line: 1,
        join: Join::Existing,
        dimension: Some("time".to_owned()),
        recheck: Some(Duration::ZERO),
        time_units_change: false,
        variables: Vec::new(),
        promote: Vec::new(),
        cache: Vec::new(),
        scans: vec![scan],
        members: Vec::new(),
    };
    Netcdf { aggregation: Some(aggregation), ..Netcdf::default() }
}

fn options(folder: &Path) -> CollectionOptions {
    CollectionOptions {
        index: Some(KeptFiles::new(folder)),
        quiet: Duration::from_millis(200),
        recheck: Duration::ZERO,
        ..CollectionOptions::default()
    }
}

struct World {
    folder: tempfile::TempDir,
    index: tempfile::TempDir,
    place: Place,
    registry: Registry,
}

impl World {
    fn new() -> Self {
        let (folder, index) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Arc::new(LocalRoot::open(folder.path()).unwrap());
        let place = Place { store, path: "sst.ncml".into(), name: "sst.ncml".into() };
        let registry = Self::registry(index.path());
        Self { folder, index, place, registry }
    }

    fn registry(index: &Path) -> Registry {
        Registry::new(Arc::new(Engine::new(EngineOptions::default()))).collecting(options(index))
    }

    async fn collection(&self, definition: &Netcdf) -> Arc<Collection> {
        self.registry.collections().unwrap().of(definition, &self.place, &self.registry).await.unwrap()
    }
}

async fn times(source: &Arc<dyn Source>) -> cdm::Result<Vec<i32>> {
    let name = FullName::new("/time");
    let shape = source.dataset().variable(&name).unwrap().shape();
    let Block::Fixed(bytes) = collect(source.read(&name, &Selection::all(&shape)), true).await? else {
        panic!("numbers")
    };
    Ok(bytes.chunks_exact(4).map(|b| i32::from_ne_bytes(b.try_into().unwrap())).collect())
}

fn kinds(snapshot: &Snapshot) -> Vec<(NoteKind, &str)> {
    snapshot.notes.iter().map(|n| (n.kind, n.member.as_deref().unwrap_or(""))).collect()
}

/// What was read once is not looked for, opened and understood again.
#[tokio::test]
async fn a_thousand_members_that_were_read_stay_open() {
    let world = World::new();
    // A quarter of the files that may be open: where that is fewer, so many.
    let count = i32::try_from(collections::descriptors() / 4).map_or(1000, |n| n.min(1000));
    for i in 0..count {
        put(world.folder.path(), &format!("{i:04}.nc"), &netcdf(i, ""));
    }
    let source = {
        let collection = world.collection(&definition(scan_of("."))).await;
        Arc::clone(&collection.current().await.unwrap().source)
    };
    assert_eq!(times(&source).await.unwrap(), (0..count).collect::<Vec<_>>());
    for file in fs::read_dir(world.folder.path()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(times(&source).await.is_ok(), "none of them is opened again");
}

#[tokio::test]
async fn members_are_opened_once_and_known_ever_after() {
    let world = World::new();
    for i in 0..20 {
        put(world.folder.path(), &format!("{i:02}.nc"), &netcdf(i, &format!("made by run {i}")));
    }
    let definition = definition(scan_of("."));
    let collection = world.collection(&definition).await;
    let first = collection.current().await.unwrap();
    assert_eq!(times(&first.source).await.unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!((collection.looked_at(), first.members.len(), first.notes.len()), (20, 20, 0));
    assert_eq!(collection.refreshed().await.unwrap().version, first.version, "nothing changed");
    // One more: one is opened.
    put(world.folder.path(), "20.nc", &netcdf(20, "one more"));
    let second = collection.refreshed().await.unwrap();
    assert_eq!((collection.looked_at(), second.members.len()), (21, 21));
    assert_ne!(second.version, first.version);
    assert!(Arc::ptr_eq(&collection.version(&first.version).unwrap(), &first), "the old one is kept");
    assert_eq!(times(&first.source).await.unwrap().len(), 20, "and is what it was");
    // Another process: everything but the last, which was too soon after, is known from the file.
    let registry = World::registry(world.index.path());
    let again = registry.collections().unwrap().of(&definition, &world.place, &registry).await.unwrap();
    let third = again.current().await.unwrap();
    assert_eq!((again.looked_at(), &third.version), (1, &second.version));
    // A damaged file is made anew.
    let file = fs::read_dir(world.index.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let registry = World::registry(world.index.path());
    let anew = registry.collections().unwrap().of(&definition, &world.place, &registry).await.unwrap();
    assert_eq!(anew.current().await.unwrap().version, second.version);
    assert_eq!(anew.looked_at(), 21);
}

#[tokio::test]
async fn what_cannot_be_used_is_left_out_and_said() {
    let world = World::new();
    put(world.folder.path(), "a.nc", &netcdf(1, "a"));
    put(world.folder.path(), "b.nc", b"CDF\x01 which is damaged");
    put(world.folder.path(), "c.txt", b"not looked at");
    let collection = world.collection(&definition(scan_of(""))).await;
    let snapshot = collection.current().await.unwrap();
    assert_eq!(times(&snapshot.source).await.unwrap(), [1]);
    assert_eq!(kinds(&snapshot), [(NoteKind::LeftOut, "b.nc")]);
    // It is not tried again until it is another one.
    collection.refreshed().await.unwrap();
    assert_eq!(collection.looked_at(), 2);
    put(world.folder.path(), "b.nc", &netcdf(2, "b"));
    let mended = collection.refreshed().await.unwrap();
    assert_eq!((times(&mended.source).await.unwrap(), kinds(&mended)), (vec![1, 2], vec![]));
    // All of them broken, or none there, is an error.
    put(world.folder.path(), "a.nc", b"garbage");
    put(world.folder.path(), "b.nc", b"garbage");
    let error = collection.refreshed().await.unwrap_err();
    assert_eq!(error.kind(), cdm::ErrorKind::Corrupt);
    assert!(error.message().contains("none of its 2 members") && error.message().contains("a.nc"), "{error}");
    fs::remove_file(world.folder.path().join("a.nc")).unwrap();
    fs::remove_file(world.folder.path().join("b.nc")).unwrap();
    let error = collection.refreshed().await.unwrap_err();
    assert_eq!(error.kind(), cdm::ErrorKind::NotFound);
    assert!(error.message().contains(".nc in the root"), "{error}");
}

#[tokio::test]
async fn a_replaced_member_is_never_mixed() {
    let world = World::new();
    put(world.folder.path(), "a.nc", &netcdf(1, "a"));
    put(world.folder.path(), "b.nc", &netcdf(2, "b"));
    let collection = world.collection(&definition(scan_of("."))).await;
    let old = collection.current().await.unwrap();
    put(world.folder.path(), "b.nc", &netcdf(7, "b"));
    let error = times(&old.source).await.unwrap_err();
    assert_eq!(error.kind(), cdm::ErrorKind::Changed);
    assert!(error.message().starts_with("b.nc: "), "{error}");
    assert_eq!(times(&collection.refreshed().await.unwrap().source).await.unwrap(), [1, 7]);
    fs::remove_file(world.folder.path().join("a.nc")).unwrap();
    assert_eq!(times(&collection.refreshed().await.unwrap().source).await.unwrap(), [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_appear_by_themselves_when_they_rest() {
    let world = World::new();
    put(world.folder.path(), "a.nc", &netcdf(1, "a"));
    let collection = world.collection(&definition(scan_of("."))).await;
    let first = collection.current().await.unwrap();
    // Written in pieces over more than the quiet time: no piece of it is ever seen.
    let path = world.folder.path().join("b.nc");
    let whole = netcdf(2, "b");
    for end in (0..whole.len()).step_by(20) {
        fs::write(&path, &whole[..end]).unwrap();
        assert_eq!(collection.current().await.unwrap().version, first.version, "{end} bytes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fs::write(&path, &whole).unwrap();
    let written = std::time::Instant::now();
    while collection.current().await.unwrap().version == first.version {
        assert!(written.elapsed() < Duration::from_secs(2), "it is not there yet");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(written.elapsed() >= Duration::from_millis(150), "too early: {:?}", written.elapsed());
    let second = collection.current().await.unwrap();
    assert_eq!((times(&second.source).await.unwrap(), kinds(&second)), (vec![1, 2], vec![]));
}

#[tokio::test]
async fn many_who_ask_are_given_one_look() {
    let world = World::new();
    for i in 0..10 {
        put(world.folder.path(), &format!("{i}.nc"), &netcdf(i, "x"));
    }
    let collection = world.collection(&definition(scan_of("."))).await;
    let asked = (0..50).map(|_| collection.current());
    let found = futures::future::join_all(asked).await;
    assert!(found.iter().all(|s| s.as_ref().unwrap().version == found[0].as_ref().unwrap().version));
    assert_eq!(collection.looked_at(), 10);
}

#[tokio::test]
async fn old_snapshots_are_few() {
    let world = World::new();
    let collection = world.collection(&definition(scan_of("."))).await;
    let mut versions = Vec::new();
    for i in 0..12 {
        put(world.folder.path(), &format!("{i:02}.nc"), &netcdf(i, "x"));
        versions.push(Arc::clone(&collection.refreshed().await.unwrap().version));
    }
    let kept: Vec<bool> = versions.iter().map(|v| collection.version(v).is_some()).collect();
    assert_eq!(kept, [[false; 4].as_slice(), [true; 8].as_slice()].concat());
}

#[tokio::test]
async fn listed_members_may_be_missing_and_may_not_lead_out() {
    let world = World::new();
    put(world.folder.path(), "a.nc", &netcdf(1, "a"));
    let member = |location: &str| Netcdf { location: Some(location.to_owned()), ..Netcdf::default() };
    let mut listed = definition(scan_of("."));
    if let Some(aggregation) = &mut listed.aggregation {
        aggregation.scans.clear();
        aggregation.members = vec![member("a.nc"), member("gone.nc")];
    }
    let snapshot = world.collection(&listed).await.current().await.unwrap();
    assert_eq!(kinds(&snapshot), [(NoteKind::LeftOut, "gone.nc")]);
    for outside in ["../a.nc", "/etc/passwd", "file:///etc/passwd", "s3://bucket/a.nc"] {
        if let Some(aggregation) = &mut listed.aggregation {
            aggregation.members = vec![member("a.nc"), member(outside)];
        }
        let error = world.collection(&listed).await.current().await.unwrap_err();
        assert_eq!(error.kind(), cdm::ErrorKind::Forbidden, "{outside}: {error}");
    }
}
