//! References made by kerchunk and `VirtualiZarr`, and DMR++ in the form of Hyrax's, compared with what
//! netCDF-C and libhdf5 read from the files they lead to (`fixtures/make.py`), through the Source contract.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use cdm::{
    Block, Error, ErrorKind, FullName, Selection, Source, Value,
    testing::{self, Random},
};
use serde_json::{Value as Json, json};

use super::{AllowList, Opener};
use crate::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::{Entry, FileStatus, LocalRoot, MemoryObject, Object, Part, Place, Store},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("references/fixtures")
}

fn registry() -> Registry {
    Registry::new(Arc::new(Engine::new(EngineOptions::default())))
}

/// References to `s3://archive/days` lead to the fixtures.
fn with_archive() -> Registry {
    let opener: Opener = Arc::new(|url: &str| {
        assert_eq!(url, "s3://archive/days");
        Ok(Arc::new(LocalRoot::open(&folder())?) as Arc<dyn Store>)
    });
    registry().allowing(AllowList::new(&["s3://archive/days"], opener).unwrap())
}

async fn open_in(root: &std::path::Path, name: &str, registry: &Registry) -> Result<Arc<dyn Source>, Error> {
    let store = Arc::new(LocalRoot::open(root)?);
    let place = Place { store, path: name.into(), name: name.into() };
    registry.find(&place).await?.unwrap_or_else(|| panic!("no {name}")).open(&place, registry).await
}

async fn open(name: &str) -> Arc<dyn Source> {
    open_in(&folder(), name, &with_archive()).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn read(source: &Arc<dyn Source>, name: &str) -> Result<Vec<Json>, Error> {
    let name = FullName::new(name);
    let variable = source.dataset().require(&name)?;
    let fixed = variable.data_type.fixed_size().is_some();
    let block: Block =
        testing::collect(source.read(&name, &Selection::all(&variable.shape())), fixed).await?;
    Ok(cdm::values(&variable.data_type, &block).map(|v| plain(&v)).collect())
}

fn plain(value: &Value<'_>) -> Json {
    match value {
        Value::Int(i) => json!(i),
        Value::UInt(u) => json!(u),
        Value::Float32(x) => json!(f64::from(*x)),
        Value::Float64(x) => json!(x),
        Value::Char(c) => json!(String::from_utf8_lossy(&[*c])),
        Value::Text(text) => json!(text),
        Value::Enum(number, _) => json!(i64::try_from(*number).unwrap()),
        Value::Record(all) | Value::List(all) => Json::Array(all.iter().map(plain).collect()),
        Value::Bytes(_) => panic!("no opaque values here"),
    }
}

fn same(ours: &Json, expected: &Json) -> bool {
    match (ours, expected) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => {
            // serde_json's reading of a decimal fraction may be off by its last bit.
            let bits = |n: &serde_json::Number| n.as_f64().unwrap().to_bits();
            bits(a).abs_diff(bits(b)) <= 1
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

fn expected() -> serde_json::Map<String, Json> {
    let text = std::fs::read(folder().join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variable_is_as_its_source_has_it() {
    for (name, variables) in expected() {
        let source = open(&name).await;
        let variables = variables.as_object().unwrap();
        for (path, what) in variables {
            let found = read(&source, path).await.unwrap_or_else(|e| panic!("{name} {path}: {e}"));
            let due = what["values"].as_array().unwrap();
            assert_eq!(found.len(), due.len(), "{name} {path}");
            for (ours, theirs) in found.iter().zip(due) {
                assert!(same(ours, theirs), "{name} {path}: {ours} for {theirs}");
            }
            let variable = source.dataset().require(&FullName::new(path)).unwrap();
            assert_eq!(json!(variable.shape()), what["shape"], "{name} {path}");
            let dims: Vec<&str> =
                variable.dimensions.iter().map(|d| d.name.as_ref().map_or("", FullName::short)).collect();
            assert_eq!(json!(dims), what["dims"], "{name} {path}");
            let kind = variable.data_type.name().to_lowercase();
            let same = match what["type"].as_str().unwrap() {
                "bytes8" => kind == "char" || kind == "string",
                "struct" => kind == "structure",
                "string" => kind == "string",
                other => kind == other,
            };
            assert!(same, "{name} {path}: {kind} for {}", what["type"]);
        }
        let all: Vec<String> = source.dataset().variables().map(|(n, _)| n.to_string()).collect();
        let unreadable = usize::from(name == "forms.h5.dmrpp");
        assert_eq!(all.len(), variables.len() + unreadable, "{name}: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept() {
    for name in expected().keys() {
        // It has a variable that cannot be read.
        if name != "forms.h5.dmrpp" {
            testing::source_contract(&open(name).await, 7, 12).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_says_why() {
    let forms = open("forms.h5.dmrpp").await;
    let error = read(&forms, "/listed").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.message(), "/listed: the DMR++ file does not say where the values are");
    let refused = open_in(&folder(), "virtualizarr.kerchunk.json", &registry()).await.unwrap();
    assert_eq!(read(&refused, "/time").await.unwrap().len(), 4, "time is in the file itself");
    let error = read(&refused, "/sst").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    let expect =
        "a reference leads to s3://archive, which is not among references.allow in the server's settings";
    assert!(error.message().ends_with(expect) && error.message().contains("sst"), "{error}");
}

/// A copy of the fixtures in which `name` holds what `edit` makes of it.
fn edited(name: &str, edit: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    std::fs::write(copy.path().join(name), edit(text)).unwrap();
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_paths_are_followed_inside_the_root_alone() {
    let there = tempfile::tempdir().unwrap();
    let inside = edited("single.kerchunk.json", |text| text);
    for (root, path, expect) in
        [(inside.path(), inside.path(), None), (inside.path(), there.path(), Some(ErrorKind::Forbidden))]
    {
        for scheme in ["", "file://"] {
            let target = format!("{scheme}{}/day1.nc", path.display());
            let text = std::fs::read_to_string(folder().join("single.kerchunk.json")).unwrap();
            std::fs::write(root.join("single.kerchunk.json"), text.replace("day1.nc", &target)).unwrap();
            let source = open_in(root, "single.kerchunk.json", &registry()).await.unwrap();
            let found = read(&source, "/ice").await;
            match expect {
                None => assert_eq!(found.unwrap().len(), 96),
                Some(kind) => {
                    let error = found.unwrap_err();
                    assert_eq!(error.kind(), kind, "{error}");
                    assert!(!error.message().contains(&*path.to_string_lossy()), "{error}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_an_error_of_its_variable() {
    for (name, from, to, path, kind) in [
        ("day1.nc.dmrpp", "chunk offset=\"", "chunk offset=\"9", "/sst", ErrorKind::Corrupt),
        ("day1.nc.dmrpp", "OPeNDAP_DMRpp_DATA_ACCESS_URL", "nowhere.nc", "/sst", ErrorKind::Corrupt),
        ("day1.nc.dmrpp", "OPeNDAP_DMRpp_DATA_ACCESS_URL", "../other.nc", "/sst", ErrorKind::Forbidden),
        ("day1.nc.dmrpp", "OPeNDAP_DMRpp_DATA_ACCESS_URL", "day1.nc.dmrpp", "/sst", ErrorKind::Corrupt),
        ("day1.nc.dmrpp", "shuffle deflate", "shuffle lzma", "/sst", ErrorKind::Unsupported),
        ("day1.nc.dmrpp", "\"[0,0,3]\"", "\"[0,0,2]\"", "/sst", ErrorKind::Corrupt),
        ("day1.nc.dmrpp", "\"[0,0,3]\"", "\"[0,9,3]\"", "/sst", ErrorKind::Corrupt),
        ("day1.nc.dmrpp", "\"[0,0,3]\"", "\"[0,0,0]\"", "/sst", ErrorKind::Corrupt),
        ("single.kerchunk.json", "\"day1.nc\"", "\"single.kerchunk.json\"", "/ice", ErrorKind::Corrupt),
        ("single.kerchunk.json", "\"day1.nc\"", "\"gone.nc\"", "/ice", ErrorKind::Corrupt),
    ] {
        let copy = edited(name, |text| {
            assert!(text.contains(from), "{name}: {from}");
            text.replace(from, to)
        });
        // The file beside it may not save it.
        let source = open_in(copy.path(), name, &registry()).await.unwrap();
        let error = read(&source, path).await.err().unwrap_or_else(|| panic!("{name} {from} -> {to}: read"));
        assert_eq!(error.kind(), kind, "{name} {from} -> {to}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_changes_is_noticed() {
    for name in ["single.kerchunk.json", "day1.nc.dmrpp"] {
        let copy = edited(name, |text| text);
        let source = open_in(copy.path(), name, &registry()).await.unwrap();
        let before = source.version().unwrap().clone();
        let target = copy.path().join("day1.nc");
        let mut bytes = std::fs::read(&target).unwrap();
        bytes.push(0);
        std::fs::write(&target, bytes).unwrap();
        assert_eq!(read(&source, "/ice").await.unwrap_err().kind(), ErrorKind::Changed, "{name}");
        let again = open_in(copy.path(), name, &registry()).await.unwrap();
        assert_ne!(*again.version().unwrap(), before, "{name}: the version tells");
        assert_eq!(read(&again, "/ice").await.unwrap().len(), 96);
    }
}

/// The fixtures, with one object damaged.
#[derive(Debug)]
struct Damaged {
    whole: LocalRoot,
    path: String,
    bytes: Vec<u8>,
}

#[async_trait::async_trait]
impl Store for Damaged {
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>, Error> {
        if path == self.path {
            let object = MemoryObject::object(path, self.bytes.clone());
            let all = Bytes::from(self.bytes.clone());
            let bytes = if let Part::Head(n) = part {
                all.slice(..all.len().min(usize::try_from(n).unwrap()))
            } else {
                all
            };
            return Ok(Some((object, bytes)));
        }
        Store::open(&self.whole, path, part).await
    }
    async fn stat(&self, path: &str) -> Result<Option<FileStatus>, Error> {
        Store::stat(&self.whole, path).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<Entry>, Error> {
        Store::list(&self.whole, folder).await
    }
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    const WORDS: [&[u8]; 12] = [
        b"\"",
        b"-1",
        b"18446744073709551615",
        b"{{",
        b"<",
        b"[",
        b"null",
        b"NaN",
        b"\x00\xff",
        b"\xff\xff\xff\xff\x0f",
        b"/>",
        b"0",
    ];
    for _ in 0..=random.below(3) {
        let len = bytes.len().max(1) as u64;
        let at = usize::try_from(random.below(len)).unwrap();
        let other = usize::try_from(random.below(len)).unwrap();
        match random.below(6) {
            0 => bytes.truncate(at),
            1 | 2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                let word = WORDS[usize::try_from(random.below(WORDS.len() as u64)).unwrap()];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at.min(end)..end, word.iter().copied());
            }
            4 => {
                let word = WORDS[usize::try_from(random.below(WORDS.len() as u64)).unwrap()];
                let at = at.min(bytes.len());
                bytes.splice(at..at, word.iter().copied());
            }
            _ => {
                let part: Vec<u8> = bytes.iter().skip(other).take(40).copied().collect();
                let end = (at + part.len()).min(bytes.len());
                bytes.splice(at.min(end)..end, part);
            }
        }
    }
}

/// Nothing that is damaged may be called a defect of ours, and a decoder that panics is one.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_references_are_read_or_refused() {
    let rounds = std::env::var("THALWEG_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let registry = with_archive();
    let (mut opened, mut failed) = (0, 0);
    for (i, (name, inside)) in [
        ("single.kerchunk.json", "single.kerchunk.json"),
        ("templates.kerchunk.json", "templates.kerchunk.json"),
        ("combined.parq", "combined.parq/.zmetadata"),
        ("combined.parq", "combined.parq/ice/refs.0.parq"),
        ("pyarrow.parquet", "pyarrow.parquet/ice/refs.0.parq"),
        ("virtualizarr.parq", "virtualizarr.parq/sst/refs.0.parq"),
        ("day1.nc.dmrpp", "day1.nc.dmrpp"),
        ("forms.h5.dmrpp", "forms.h5.dmrpp"),
    ]
    .into_iter()
    .enumerate()
    {
        let original = std::fs::read(folder().join(inside)).unwrap();
        for round in 0..rounds {
            let mut random = Random(round << 8 | i as u64);
            let mut bytes = original.clone();
            damage(&mut random, &mut bytes);
            let store =
                Arc::new(Damaged { whole: LocalRoot::open(&folder()).unwrap(), path: inside.into(), bytes });
            let place = Place { store, path: name.into(), name: name.into() };
            let found = match registry.find(&place).await {
                Ok(found) => found.unwrap().open(&place, &registry).await,
                Err(e) => Err(e),
            };
            let source = match found {
                Ok(source) => source,
                Err(e) => {
                    assert_ne!(e.kind(), ErrorKind::Internal, "{inside} {round}: {e}");
                    continue;
                }
            };
            opened += 1;
            for (variable, described) in source.dataset().variables() {
                if described.element_count() > 10_000 {
                    continue;
                }
                let fixed = described.data_type.fixed_size().is_some();
                let read = source.read(&variable, &Selection::all(&described.shape()));
                if let Err(e) = testing::collect(read, fixed).await {
                    failed += 1;
                    assert_ne!(e.kind(), ErrorKind::Internal, "{inside} {round} {variable}: {e}");
                    assert!(!e.message().contains("a decoder failed"), "{inside} {round}");
                }
            }
        }
    }
    assert!(opened > rounds && failed > rounds / 8, "{opened} opened, {failed} variables failed");
}
