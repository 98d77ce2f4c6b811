//! Metadata and chunks that are broken or meant to harm: an error that says so, for that variable alone
//! where the rest can be read.

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind};

use super::*;
use crate::storage::{Entry, EntryKind, FileStatus, Object};

/// Objects in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded(pub(super) BTreeMap<String, Bytes>);

#[async_trait]
impl Store for Loaded {
    async fn open(&self, path: &str, part: Part) -> cdm::Result<Option<(Object, Bytes)>> {
        let Some(bytes) = self.0.get(path) else { return Ok(None) };
        let size = bytes.len() as u64;
        let cut = |n: u64| usize::try_from(n).unwrap();
        let read = match part {
            Part::Head(len) => bytes.slice(..cut(len.min(size))),
            Part::Tail(len) => bytes.slice(cut(size - len.min(size))..),
            Part::Whole { at_most } if size > at_most => return Err(Error::corrupt("too large")),
            Part::Whole { .. } => bytes.clone(),
        };
        Ok(Some((MemoryObject::object(path, bytes.clone()), read)))
    }
    async fn stat(&self, path: &str) -> cdm::Result<Option<FileStatus>> {
        let status = |b: &Bytes| {
            let object = MemoryObject::object(path, b.clone());
            FileStatus { size: object.size, version: object.version }
        };
        Ok(self.0.get(path).map(status))
    }
    async fn list(&self, folder: &str) -> cdm::Result<Vec<Entry>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut names: Vec<&str> =
            self.0.keys().filter_map(|k| k.strip_prefix(&prefix)?.split_once('/')).map(|(n, _)| n).collect();
        names.dedup();
        let entry = |n: &&str| Entry { name: (*n).into(), kind: EntryKind::Directory };
        Ok(names.iter().map(entry).collect())
    }
}

impl Loaded {
    /// A store of the fixture called `name`.
    fn fixture(name: &str) -> Self {
        let mut all = Self::default();
        let root = unpacked().join(format!("{name}.zarr"));
        let mut waiting = vec![root.clone()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let key = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                    all.0.insert(key, std::fs::read(&path).unwrap().into());
                }
            }
        }
        all
    }

    fn edit(&mut self, path: &str, change: impl FnOnce(&mut Json)) {
        let mut json: Json = serde_json::from_slice(&self.0[path]).unwrap();
        change(&mut json);
        self.0.insert(path.to_owned(), json.to_string().into());
    }

    pub(super) async fn source(&self) -> cdm::Result<Arc<dyn Source>> {
        let store: Arc<dyn Store> = Arc::new(self.clone());
        let place = Place { store: Arc::clone(&store), path: "".into(), name: "loaded".into() };
        super::super::open(&place, Arc::new(super::super::StoreKeys(store)), None, registry().engine()).await
    }

    /// The error of reading one variable; another one can still be read.
    async fn error(&self, variable: &str, other: &str) -> Error {
        let source = self.source().await.unwrap_or_else(|e| panic!("{variable}: {e}"));
        read(&source, &FullName::new(other)).await.unwrap_or_else(|e| panic!("{other}: {e}"));
        match read(&source, &FullName::new(variable)).await {
            Ok(_) => panic!("{variable} can be read"),
            Err(e) => e,
        }
    }
}

/// Damages one byte.
fn flip(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x55;
    bytes.into()
}

#[test]
fn a_damaged_shard_costs_its_variable_an_error() {
    let whole = Loaded::fixture("sharded");
    let key = "end/c/0/0";
    let shard = whole.0[key].clone();
    let index = 4 * 16 + 4;
    let cases = [
        ("cut in its index", shard.slice(..index - 1)),
        ("empty", Bytes::new()),
        ("cut in its chunks", shard.slice(shard.len() - index..)),
        ("another checksum", flip(&shard, shard.len() - 1)),
        ("another offset", flip(&shard, shard.len() - index)),
        ("another chunk", flip(&shard, 2)),
    ];
    for (what, bytes) in cases {
        let mut store = whole.clone();
        store.0.insert(key.to_owned(), bytes);
        let error = run(store.error("/end", "/start"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.message().contains("/end"), "{what}: {error}");
    }
    // A checksum of an inner chunk.
    let mut store = whole.clone();
    let bytes = flip(&store.0["checked/c/0/0"], 1);
    store.0.insert("checked/c/0/0".to_owned(), bytes);
    assert_eq!(run(store.error("/checked", "/end")).kind(), ErrorKind::Corrupt);
}

#[test]
fn impossible_metadata_cost_their_variable_an_error() {
    type Change = fn(&mut Json);
    let cases: &[(&str, Change, ErrorKind)] = &[
        (
            "no chunks",
            |j| j["chunk_grid"]["configuration"]["chunk_shape"] = json!([0, 5]),
            ErrorKind::Corrupt,
        ),
        (
            "huge chunks",
            |j| j["chunk_grid"]["configuration"]["chunk_shape"] = json!([1_u64 << 62, 1_u64 << 62]),
            ErrorKind::Corrupt,
        ),
        (
            "large chunks",
            |j| j["chunk_grid"]["configuration"]["chunk_shape"] = json!([1 << 20, 1 << 20]),
            ErrorKind::Unsupported,
        ),
        (
            "another rank",
            |j| j["chunk_grid"]["configuration"]["chunk_shape"] = json!([4]),
            ErrorKind::Corrupt,
        ),
        ("a rectangular grid", |j| j["chunk_grid"]["name"] = json!("rectangular"), ErrorKind::Unsupported),
        (
            "an unknown codec",
            |j| j["codecs"] = json!([{"name": "bytes"}, {"name": "quux"}]),
            ErrorKind::Unsupported,
        ),
        ("no codecs", |j| j["codecs"] = json!([]), ErrorKind::Corrupt),
        (
            "bytes compressed before there are any",
            |j| j["codecs"] = json!([{"name": "zstd"}, {"name": "bytes"}]),
            ErrorKind::Corrupt,
        ),
        (
            "bytes transposed",
            |j| {
                j["codecs"] =
                    json!([{"name": "bytes"}, {"name": "transpose", "configuration": {"order": [0, 1]}}]);
            },
            ErrorKind::Corrupt,
        ),
        ("another fill value", |j| j["fill_value"] = json!("many"), ErrorKind::Corrupt),
        ("an unknown extension", |j| j["quux"] = json!({"a": 1}), ErrorKind::Unsupported),
        ("unknown keys", |j| j["chunk_key_encoding"]["name"] = json!("quux"), ErrorKind::Unsupported),
        ("no keys", |j| j["chunk_key_encoding"] = Json::Null, ErrorKind::Corrupt),
        ("transformers", |j| j["storage_transformers"] = json!([{"name": "x"}]), ErrorKind::Unsupported),
        ("a shorter type", |j| j["data_type"] = json!("int16"), ErrorKind::Corrupt),
    ];
    let whole = Loaded::fixture("codecs_v3");
    for (what, change, kind) in cases {
        let mut store = whole.clone();
        store.edit("zstd/zarr.json", change);
        let error = run(store.error("/zstd", "/gzip"));
        assert_eq!(error.kind(), *kind, "{what}: {error}");
        assert_ne!(error.kind(), ErrorKind::Internal);
    }
}

#[test]
fn what_the_model_cannot_say_is_left_out() {
    let mut store = Loaded::fixture("codecs_v3");
    store.edit("zstd/zarr.json", |j| j["data_type"] = json!("quux"));
    store.edit("gzip/zarr.json", |j| j["shape"] = json!([u64::MAX, 3]));
    store.edit("crc32c/zarr.json", |j| j["shape"] = Json::Null);
    let source = run(store.source()).unwrap();
    for (name, there) in [("/zstd", false), ("/gzip", false), ("/crc32c", false), ("/none", true)] {
        assert_eq!(source.dataset().variable(&FullName::new(name)).is_some(), there, "{name}");
    }
}

#[test]
fn metadata_that_are_none_are_refused() {
    let deep = "[".repeat(200_000);
    let huge = format!("{{\"zarr_format\":3,\"x\":\"{}\"}}", "y".repeat(65 << 20));
    for (text, kind) in [
        ("", ErrorKind::Corrupt),
        ("{", ErrorKind::Corrupt),
        ("{}", ErrorKind::Corrupt),
        (r#"{"zarr_format":4,"node_type":"group"}"#, ErrorKind::Unsupported),
        (r#"{"zarr_format":3}"#, ErrorKind::Corrupt),
        (deep.as_str(), ErrorKind::Corrupt),
        (huge.as_str(), ErrorKind::Corrupt),
        (
            r#"{"zarr_format":3,"node_type":"group","consolidated_metadata":{"metadata":{"../x":{"zarr_format":3,"node_type":"group"}}}}"#,
            ErrorKind::Corrupt,
        ),
        (
            r#"{"zarr_format":3,"node_type":"group","consolidated_metadata":{"metadata":{"a/.x":{"zarr_format":3,"node_type":"group"}}}}"#,
            ErrorKind::Corrupt,
        ),
    ] {
        let mut store = Loaded::default();
        store.0.insert("zarr.json".to_owned(), text.to_owned().into());
        let error = run(store.source()).unwrap_err();
        assert_eq!(error.kind(), kind, "{}: {error}", &text[..text.len().min(60)]);
    }
    assert_eq!(run(Loaded::default().source()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn depth_is_limited() {
    let mut store = Loaded::default();
    let mut path = String::new();
    for _ in 0..100 {
        store.0.insert(format!("{path}zarr.json"), r#"{"zarr_format":3,"node_type":"group"}"#.into());
        path.push_str("g/");
    }
    let error = run(store.source()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("nested"), "{error}");
}

#[test]
fn damaged_lists_of_text_are_corrupt() {
    let whole = Loaded::fixture("types_v3");
    let key = "text/c/0/0";
    let plain = |text: &[u8]| {
        let mut store = whole.clone();
        store.edit("text/zarr.json", |j| j["codecs"] = json!([{"name": "vlen-utf8"}]));
        store.0.retain(|k, _| !k.starts_with("text/c"));
        store.0.insert(key.to_owned(), Bytes::copy_from_slice(text));
        store
    };
    let list = |count: u32, lens: &[u32]| {
        let mut bytes = count.to_le_bytes().to_vec();
        for len in lens {
            bytes.extend(len.to_le_bytes());
            bytes.extend(std::iter::repeat_n(b'x', usize::try_from(*len % 100).unwrap()));
        }
        bytes
    };
    let good = plain(&list(4, &[1, 2, 3, 4]));
    run(async {
        let source = good.source().await.unwrap();
        assert!(read(&source, &FullName::new("/text")).await.is_ok());
        for bad in [
            vec![],
            list(3, &[1, 2, 3]),
            list(u32::MAX, &[1]),
            list(4, &[1, 2, 3]),
            list(4, &[1, 2, 3, u32::MAX]),
        ] {
            let error = plain(&bad).error("/text", "/i1").await;
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    });
}

/// One object of a store with a few bytes or a number damaged.
fn damaged(random: &mut testing::Random, store: &Loaded) -> Loaded {
    const NUMBERS: [&str; 8] =
        ["0", "-1", "1", "65536", "4294967296", "9223372036854775807", "18446744073709551615", "1e300"];
    let mut store = store.clone();
    let pick = |random: &mut testing::Random, n: usize| usize::try_from(random.below(n as u64)).unwrap();
    let keys: Vec<String> = store.0.keys().cloned().collect();
    for _ in 0..=random.below(3) {
        let key = keys[pick(random, keys.len())].clone();
        let mut bytes = store.0[&key].to_vec();
        if bytes.is_empty() {
            continue;
        }
        let at = pick(random, bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            _ => {
                // The next number in a text becomes another one.
                let start = (at..bytes.len()).find(|i| bytes[*i].is_ascii_digit()).unwrap_or(at);
                let end = (start..bytes.len()).find(|i| !bytes[*i].is_ascii_digit()).unwrap_or(bytes.len());
                bytes.splice(start..end, NUMBERS[pick(random, NUMBERS.len())].bytes());
            }
        }
        store.0.insert(key, bytes.into());
    }
    store
}

#[test]
fn damage_never_panics_and_is_never_our_fault() {
    let stores: Vec<Loaded> =
        ["types_v2", "types_v3", "sharded", "codecs_v2", "codecs_v3", "orders_v2", "fills_v2", "xarray_v3"]
            .map(Loaded::fixture)
            .to_vec();
    let rounds: u64 = std::env::var("THALWEG_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    run(async {
        let (mut refused, mut failed, mut good) = (0, 0, 0);
        for round in 0..rounds {
            for (i, store) in stores.iter().enumerate() {
                let mut random = testing::Random(round << 8 | i as u64);
                let store = damaged(&mut random, store);
                let source = match store.source().await {
                    Ok(source) => source,
                    Err(e) => {
                        assert_ne!(e.kind(), ErrorKind::Internal, "round {round} store {i}: {e}");
                        refused += 1;
                        continue;
                    }
                };
                for (name, variable) in source.dataset().variables() {
                    // What damage made large is not read whole.
                    let first = |size: &u64| cdm::Slice::new(0, 1, (*size).min(40)).unwrap();
                    let axes: Vec<_> = variable.shape().iter().map(|n| vec![first(n)]).collect();
                    let selection = Selection::new(axes, &variable.shape()).unwrap();
                    if selection.element_count() > 100_000 {
                        continue;
                    }
                    let fixed = variable.data_type.fixed_size().is_some();
                    match testing::collect(source.read(&name, &selection), fixed).await {
                        Ok(_) => good += 1,
                        Err(e) => {
                            assert_ne!(e.kind(), ErrorKind::Internal, "round {round} store {i} {name}: {e}");
                            failed += 1;
                        }
                    }
                }
            }
        }
        assert!(refused > 10 && failed > 100 && good > 1000, "{refused} {failed} {good}");
    });
}
