//! Stores made by zarr-python and xarray, compared with what zarr-python reads from them
//! (`fixtures/make.py`), through the Source contract.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use cdm::{Block, DataType, FullName, Selection, Source, Value, testing};
use serde_json::{Value as Json, json};

use crate::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::{LocalRoot, MemoryObject, Part, Place, Store, ZipStore},
};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn registry() -> Registry {
    Registry::new(Arc::new(Engine::new(EngineOptions::default())))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zarr/fixtures")
}

async fn archive() -> ZipStore {
    let bytes = std::fs::read(fixtures().join("stores.zip")).unwrap();
    ZipStore::open(MemoryObject::object("stores.zip", bytes)).await.unwrap()
}

/// The fixtures in a folder of their own, for all tests of this process.
fn unpacked() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let unpack = || run(unpack(folder.path()));
            scope.spawn(unpack).join().unwrap();
        });
        folder
    });
    folder.path()
}

async fn unpack(folder: &Path) {
    let archive = archive().await;
    for path in archive.paths() {
        let (_, bytes) = archive.open(path, Part::Whole { at_most: 1 << 20 }).await.unwrap().unwrap();
        let target = folder.join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
}

async fn place(name: &str) -> Place {
    let root = LocalRoot::open(unpacked()).unwrap();
    Place { store: Arc::new(root), path: name.into(), name: name.into() }
}

async fn open(name: &str) -> Arc<dyn Source> {
    let (place, registry) = (place(name).await, registry());
    let found = registry.find(&place).await.unwrap().unwrap_or_else(|| panic!("{name} is not there"));
    found.open(&place, &registry).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn read(source: &Arc<dyn Source>, name: &FullName) -> cdm::Result<Block> {
    let found = source.dataset().require(name)?;
    let blocks = source.read(name, &Selection::all(&found.shape()));
    testing::collect(blocks, found.data_type.fixed_size().is_some()).await
}

/// A number as Python's `float.hex` writes it.
fn hexadecimal(value: f64) -> f64 {
    value
}

fn parse_hexadecimal(text: &str) -> Option<f64> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(-parse_hexadecimal(rest)?);
    }
    match text {
        "inf" => return Some(f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = text.strip_prefix("0x")?.split_once('p')?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = u64::from_str_radix(&format!("{whole}{part}"), 16).ok()?;
    let shift = exponent.parse::<i32>().ok()? - 4 * i32::try_from(part.len()).ok()?;
    // Each step is exact, also among subnormal numbers.
    let half = shift / 2;
    Some(digits as f64 * 2_f64.powi(half) * 2_f64.powi(shift - half))
}

fn same(ours: &Value<'_>, expected: &Json) -> bool {
    match (ours, expected) {
        (Value::Float32(f), Json::String(text)) => same(&Value::Float64(f64::from(*f)), &json!(text)),
        (Value::Float64(f), Json::String(text)) => {
            let due = parse_hexadecimal(text).unwrap_or_else(|| panic!("{text}"));
            hexadecimal(*f).to_bits() == due.to_bits() || (f.is_nan() && due.is_nan())
        }
        (Value::Text(text), due) => due.get("text").is_some_and(|due| due == &json!(text)),
        (Value::Record(parts) | Value::List(parts), Json::Array(due)) => {
            parts.len() == due.len() && parts.iter().zip(due).all(|(a, b)| same(a, b))
        }
        (Value::Bytes(bytes), due) => {
            let hex = bytes.iter().fold(String::new(), |s, b| format!("{s}{b:02x}"));
            due.get("bytes").is_some_and(|due| due == &json!(hex))
        }
        (Value::Int(i), due) => due.as_i64() == Some(*i),
        (Value::UInt(u), due) => due.as_u64() == Some(*u),
        _ => false,
    }
}

fn expected() -> BTreeMap<String, BTreeMap<String, Json>> {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What is wrong with `source`, of what zarr-python reads from it.
async fn faults(store: &str, source: &Arc<dyn Source>, arrays: &BTreeMap<String, Json>) -> Vec<String> {
    let mut faults = Vec::new();
    let names: Vec<String> = source.dataset().variables().map(|(n, _)| n.to_string()).collect();
    for (path, due) in arrays {
        // A lone array is called as its folder.
        let name = if path == "/" { format!("/{store}") } else { path.clone() };
        let full = FullName::new(&name);
        let Some(variable) = source.dataset().variable(&full) else {
            faults.push(format!("{store}{path} is not among {names:?}"));
            continue;
        };
        if json!(variable.shape()) != due["shape"] {
            faults.push(format!("{store}{path} has shape {:?}, not {}", variable.shape(), due["shape"]));
            continue;
        }
        let block = match read(source, &full).await {
            Ok(block) => block,
            Err(e) => {
                faults.push(format!(
                    "{store}{path}: {e} ({:?})",
                    std::error::Error::source(&e).map(ToString::to_string)
                ));
                continue;
            }
        };
        let values: Vec<Value<'_>> = cdm::values(&variable.data_type, &block).collect();
        let wanted = due["values"].as_array().unwrap();
        let differs = values.iter().zip(wanted).find(|(a, b)| !same(a, b));
        if values.len() != wanted.len() || differs.is_some() {
            faults.push(format!("{store}{path} ({}): {differs:?}", due["dtype"]));
        }
    }
    if names.len() != arrays.len() {
        faults.push(format!("{store}: {names:?}"));
    }
    faults
}

#[test]
fn every_store_is_read_as_zarr_python_reads_it() {
    let mut all = Vec::new();
    for (store, arrays) in expected() {
        run(async {
            let source = open(&format!("{store}.zarr")).await;
            assert!(source.version().is_none(), "chunks of a folder may change by themselves");
            all.extend(faults(&store, &source, &arrays).await);
        });
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_store_keeps_the_contract() {
    for store in expected().keys() {
        run(async {
            let source = open(&format!("{store}.zarr")).await;
            testing::source_contract(&source, 7, 8).await;
        });
    }
}

#[test]
fn types_and_names_of_dimensions() {
    run(async {
        let source = open("types_v2.zarr").await;
        let kind = |name: &str| source.dataset().variable(&FullName::new(name)).unwrap().data_type.clone();
        assert_eq!(kind("be_u8"), DataType::UInt64);
        assert_eq!(kind("le_f2"), DataType::Float32);
        assert_eq!(kind("time_ns"), DataType::Int64);
    });
}
