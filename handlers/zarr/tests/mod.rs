//! Stores made by zarr-python and xarray, compared with what zarr-python reads from them
//! (`fixtures/make.py`), through the Source contract.

mod bounds;
mod fills;
mod hostile;
mod storage;

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

fn place(name: &str) -> Place {
    let root = LocalRoot::open(unpacked()).unwrap();
    Place { store: Arc::new(root), path: name.into(), name: name.into() }
}

async fn open(name: &str) -> Arc<dyn Source> {
    let (place, registry) = (place(name), registry());
    let found = registry.find(&place).await.unwrap().unwrap_or_else(|| panic!("{name} is not there"));
    found.open(&place, &registry).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn read(source: &Arc<dyn Source>, name: &FullName) -> cdm::Result<Block> {
    let found = source.dataset().require(name)?;
    let blocks = source.read(name, &Selection::all(&found.shape()));
    testing::collect(blocks, found.data_type.fixed_size().is_some()).await
}

/// The number that Python's `float.hex` wrote.
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
            f.to_bits() == due.to_bits() || (f.is_nan() && due.is_nan())
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

/// Each variable's type and dimensions, as `Int16 /v(/y=2, /x=3)`.
fn described(source: &Arc<dyn Source>) -> Vec<String> {
    let variables = source.dataset().variables();
    variables
        .map(|(name, v)| {
            let axis =
                |d: &cdm::Dimension| format!("{}={}", d.name.as_ref().map_or("", FullName::as_str), d.size);
            let all: Vec<String> = v.dimensions.iter().map(axis).collect();
            format!("{} {name}({})", v.data_type.name(), all.join(", "))
        })
        .collect()
}

#[test]
fn axes_share_dimensions_within_their_scope() {
    for version in [2, 3] {
        let source = run(open(&format!("groups_v{version}.zarr")));
        let mut expected = vec![
            "Int16 /v(/y=2, /x=3)",
            "Int16 /x(/x=3)",
            "Int16 /a/again(/a/x=5)",
            "Int16 /a/other(/a/x_4=4)",
            "Int16 /a/same(/x=3, /y=2)",
            "Int16 /a/b/far(/y=2, /a/b/z=7, /a/b/x=4)",
        ];
        if version == 3 {
            expected.push("Int16 /a/b/unnamed(=2, /x=3)");
        }
        assert_eq!(described(&source), expected, "version {version}");
        let root = source.dataset().root();
        let names = |g: &cdm::Group| -> Vec<String> {
            let mut names: Vec<_> =
                g.dimensions.iter().map(|d| d.name.as_ref().unwrap().to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(names(root), ["/x", "/y"]);
        assert_eq!(names(&root.groups[0]), ["/a/x", "/a/x_4"]);
        let v = root.variable("v").unwrap();
        assert_eq!(v.maps, [FullName::new("/x")]);
        assert!(v.attributes.get("_ARRAY_DIMENSIONS").is_none(), "hidden");
    }
}

#[test]
fn types_are_the_nearest_of_the_model() {
    for version in [2, 3] {
        let source = run(open(&format!("types_v{version}.zarr")));
        let variable = |name: &str| source.dataset().variable(&FullName::new(name)).unwrap().clone();
        for (name, kind) in [
            ("be_u8", DataType::UInt64),
            ("le_f2", DataType::Float32),
            ("b1", DataType::UInt8),
            ("time_ns", DataType::Int64),
            ("bytes_s", DataType::String),
            ("wide_u", DataType::String),
            ("text", DataType::String),
        ] {
            assert_eq!(variable(name).data_type, kind, "{name} of version {version}");
        }
        let complex = variable("le_c8").data_type;
        let members: Vec<_> =
            complex.record().unwrap().fields.iter().map(|f| (&*f.name, f.data_type.name())).collect();
        assert_eq!(members, [("r", "Float32"), ("i", "Float32")]);
        let time = variable("time_s").attributes;
        assert_eq!(time.text("units").unwrap(), "seconds since 1970-01-01");
        assert_eq!(time.text("calendar").unwrap(), "proleptic_gregorian");
        assert_eq!(time.get("_FillValue").unwrap().data_type, DataType::Int64);
        assert_eq!(variable("lag").attributes.text("units").unwrap(), "hours");
        let n = source.dataset().root().attributes.get("n").unwrap().clone();
        assert_eq!((n.data_type, n.len), (DataType::Int64, 1));
    }
}

/// What is different between what xarray wrote as Zarr and as netCDF.
#[test]
fn attributes_are_those_of_the_same_netcdf_file() {
    let netcdf = run(async {
        let bytes = std::fs::read(unpacked().join("xarray.nc")).unwrap();
        registry().open(MemoryObject::object("xarray.nc", bytes)).await.unwrap()
    });
    let shown = |a: &cdm::Attribute| {
        let values: Vec<String> = match a.as_text() {
            Some(text) => vec![text.into_owned()],
            None => cdm::values(&a.data_type, &a.values).map(|v| format!("{v:?}")).collect(),
        };
        format!("{} {} {values:?}", a.data_type.name(), a.len)
    };
    for store in ["xarray_v2.zarr", "xarray_v2_walked.zarr", "xarray_v3.zarr", "xarray_v3_walked.zarr"] {
        let zarr = run(open(store));
        let mut different = Vec::new();
        let pairs = |source: &Arc<dyn Source>| -> BTreeMap<String, String> {
            let root = source.dataset().root();
            let own = root.attributes.iter().map(|a| (format!("/@{}", a.name), shown(a)));
            let all = source.dataset().variables().flat_map(|(name, v)| {
                let dims: Vec<_> = v.dimensions.iter().map(|d| d.name.clone().unwrap().to_string()).collect();
                let maps: Vec<_> = v.maps.iter().map(ToString::to_string).collect();
                let kind = format!("{} {dims:?} {maps:?}", v.data_type.name());
                let attributes = v.attributes.iter().map(|a| (format!("{name}@{}", a.name), shown(a)));
                attributes.chain([(name.to_string(), kind)]).collect::<Vec<_>>()
            });
            own.chain(all).collect()
        };
        let (ours, due) = (pairs(&zarr), pairs(&netcdf));
        for key in ours.keys().chain(due.keys()) {
            if ours.get(key) != due.get(key) && !different.contains(key) {
                different.push(key.clone());
            }
        }
        // The model's truth values are UInt8 in every format; xarray knows them by their attribute.
        different.retain(|key| key != "/truth");
        let different: Vec<String> =
            different.iter().map(|k| format!("{k}: {:?} not {:?}", ours.get(k), due.get(k))).collect();
        assert!(different.is_empty(), "{store}: {}", different.join("\n"));
        for (name, _) in netcdf.dataset().variables() {
            let (ours, due) =
                run(async { (read(&zarr, &name).await.unwrap(), read(&netcdf, &name).await.unwrap()) });
            assert_eq!(ours, due, "{store}{name}");
        }
    }
}

#[test]
fn netcdf_c_has_its_own_dimensions_and_types_of_attributes() {
    let source = run(open("nczarr.zarr"));
    let root = source.dataset().root();
    let mut found = described(&source);
    found.sort_unstable();
    assert_eq!(found, ["Char /c(/x=3)", "Int16 /g/w(/g/y=2, /x=3)", "Int32 /v(/time=2, /x=3)"]);
    let unlimited: Vec<_> =
        root.dimensions.iter().map(|d| (d.name.clone().unwrap().to_string(), d.unlimited)).collect();
    assert_eq!(unlimited, [("/time".to_owned(), true), ("/x".to_owned(), false)]);
    let v = root.variable("v").unwrap();
    assert_eq!((v.dimensions[0].unlimited, v.dimensions[1].unlimited), (true, false));
    let kinds = |a: &cdm::Attributes| -> Vec<String> {
        a.iter().map(|a| format!("{} {} {}", a.name, a.data_type.name(), a.len)).collect()
    };
    assert_eq!(
        kinds(&v.attributes),
        ["_FillValue Int32 1", "units Char 1", "flags Int8 2", "factor Float32 1"]
    );
    assert_eq!(kinds(&root.attributes), ["title Char 6", "n Int16 1"]);
    run(async {
        let c = read(&source, &FullName::new("/c")).await.unwrap();
        assert_eq!(c, Block::Fixed(bytes::Bytes::from_static(b"xyz")));
        let v = read(&source, &FullName::new("/v")).await.unwrap();
        assert_eq!(v, cdm::fixed_block!([1_i32, 2, 3, 4, 5, 6]));
        testing::source_contract(&source, 3, 8).await;
    });
}
