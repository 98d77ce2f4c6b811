//! The files of the fixtures, against what icechunk and zarr-python read there.

use std::{fs, path::Path};

use bytes::Bytes;
use cdm::ErrorKind;

use super::{
    envelope::{self, Kind},
    manifest::{Checksum, ChunkRef, Manifest},
    object_id::ObjectId,
    repository,
    snapshot::Snapshot,
};

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("icechunk/fixtures").join(name)
}

pub(super) fn file(name: &str) -> Bytes {
    fs::read(folder(name)).unwrap().into()
}

pub(super) fn told(repository: &str) -> serde_json::Value {
    serde_json::from_slice(&file(&format!("{repository}.json"))).unwrap()
}

fn snapshot(repository: &str) -> Snapshot {
    let id = told(repository)["snapshot"].as_str().unwrap().to_owned();
    let bytes = envelope::open(&file(&format!("{repository}/snapshots/{id}")), Kind::Snapshot).unwrap();
    Snapshot::parse(&bytes, ObjectId::parse(&id).unwrap()).unwrap()
}

fn manifest(repository: &str, id: ObjectId) -> Manifest {
    let bytes = envelope::open(&file(&format!("{repository}/manifests/{id}")), Kind::Manifest).unwrap();
    Manifest::parse(bytes, id).unwrap()
}

/// Every metadata file of the repositories: its path, its kind, its id (if it has one).
pub(super) fn files() -> Vec<(String, Kind, ObjectId)> {
    let mut files = vec![("v2/repo".to_owned(), Kind::Repository, ObjectId([0; 12]))];
    for repository in ["old", "v1", "v2"] {
        for (part, kind) in [("snapshots", Kind::Snapshot), ("manifests", Kind::Manifest)] {
            let part = format!("{repository}/{part}");
            for entry in fs::read_dir(folder(&part)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                files.push((format!("{part}/{name}"), kind, ObjectId::parse(&name).unwrap()));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() > 20);
    files
}

#[test]
fn branches_lead_to_the_snapshot_that_icechunk_reads() {
    let id = |name: &str| ObjectId::parse(told(name)["snapshot"].as_str().unwrap()).unwrap();
    assert_eq!(repository::reference(&file("v1/refs/branch.main/ref.json")).unwrap(), id("v1"));
    assert_eq!(repository::branch(&file("v2/repo"), "main").unwrap(), id("v2"));
    let none = repository::branch(&file("v2/repo"), "mai").unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[test]
fn snapshots_hold_the_hierarchy() {
    for repository in ["old", "v1", "v2"] {
        let snapshot = snapshot(repository);
        let told = told(repository);
        let paths: Vec<String> = snapshot.nodes.keys().map(|path| format!("/{path}")).collect();
        let mut expected: Vec<&String> = told["nodes"].as_object().unwrap().keys().collect();
        expected.sort();
        assert_eq!(paths.iter().collect::<Vec<_>>(), expected);
        assert!(snapshot.committed.is_some());
        for (path, node) in &snapshot.nodes {
            let document: serde_json::Value = serde_json::from_slice(&node.document).unwrap();
            let expected = &told["nodes"][format!("/{path}")];
            assert_eq!(document["attributes"], expected["attributes"], "{path}");
            if let Some(shape) = expected.get("shape") {
                assert_eq!(&document["shape"], shape, "{path}");
            }
        }
        // Split along time, two steps each; the third has nothing.
        let split = &snapshot.nodes["temperature"].manifests;
        let extents: Vec<_> = split.iter().map(|m| m.extents[0].clone()).collect();
        assert_eq!(extents, [0..2, 2..4], "{repository}");
        assert!(split[1].covers(&[3, 0, 0]) && !split[1].covers(&[4, 0, 0]) && !split[1].covers(&[3]));
    }
}

#[test]
fn manifests_hold_chunks_of_each_kind() {
    for repository in ["old", "v1", "v2"] {
        let snapshot = snapshot(repository);
        let find = |path: &str, chunk: &[u32]| {
            let node = &snapshot.nodes[path];
            let covering = node.manifests.iter().find(|m| m.covers(chunk))?;
            manifest(repository, covering.id).find(node.id, &[chunk]).unwrap().remove(0)
        };
        let Some(ChunkRef::Native { id, offset: 0, len: 60 }) = find("temperature", &[3, 0, 0]) else {
            panic!("a native chunk")
        };
        let values = file(&format!("{repository}/chunks/{id}"));
        assert_eq!(values[..4], 115_f32.to_le_bytes());
        assert_eq!(find("temperature", &[4, 0, 0]), None);
        let Some(ChunkRef::Inline(bytes)) = find("model/scalar", &[]) else { panic!("an inline chunk") };
        assert!(!bytes.is_empty());
        assert_eq!(find("model/never", &[1]), None);
        assert_eq!(find("model/counts", &[1, 0]), None);
        let Some(ChunkRef::Virtual { location, offset, len, checksum }) = find("virtual/tas", &[23, 0])
        else {
            panic!("a virtual chunk")
        };
        assert_eq!((location.as_str(), checksum), ("s3://climate/source.nc", Checksum::None));
        assert!(len > 0 && offset + len <= file("source.nc").len() as u64);
    }
}
