//! Files made by libnetcdf and libhdf5, compared with what those say is in them (`testdata/make.py`),
//! through the Source contract.

use std::{path::PathBuf, sync::Arc};

use cdm::{
    Attribute, Block, DataType, Dimension, Error, ErrorKind, FullName, Group, Selection, Source, Value,
    testing,
};
use serde_json::{Value as Json, json};

use crate::{
    Registry,
    chunked::{Engine, EngineOptions},
    storage::MemoryObject,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hdf5/testdata")
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn open(name: &str) -> Arc<dyn Source> {
    let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
    let object = MemoryObject::object(name, bytes_of(name));
    registry.open(object).await.unwrap_or_else(|e| panic!("{name}: {e}"))
}

async fn read(source: &Arc<dyn Source>, variable: &FullName) -> Result<Block, Error> {
    let found = source.dataset().require(variable)?;
    let blocks = source.read(variable, &Selection::all(&found.shape()));
    testing::collect(blocks, found.data_type.fixed_size().is_some()).await
}

/// A value as `make.py` writes it.
fn plain(value: &Value<'_>) -> Json {
    let float = |x: f64| {
        if x.is_nan() {
            json!("NaN")
        } else if x.is_infinite() {
            json!(if x > 0.0 { "inf" } else { "-inf" })
        } else {
            json!(x)
        }
    };
    match value {
        Value::Int(i) => json!(i),
        Value::UInt(u) => json!(u),
        Value::Float32(x) => float(f64::from(*x)),
        Value::Float64(x) => float(*x),
        Value::Char(0) => json!(""),
        Value::Char(c) => json!(String::from_utf8_lossy(&[*c])),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(bytes.iter().fold("0x".to_owned(), |s, b| format!("{s}{b:02x}"))),
        Value::Enum(number, _) => json!(i64::try_from(*number).unwrap()),
        Value::Record(members) | Value::List(members) => Json::Array(members.iter().map(plain).collect()),
    }
}

fn all_plain(data_type: &DataType, block: &Block) -> Vec<Json> {
    cdm::values(data_type, block)
        .map(|v| match v {
            // A vlen's records have one field each.
            Value::List(records) => Json::Array(
                records
                    .iter()
                    .map(|r| match r {
                        Value::Record(fields) if fields.len() == 1 => plain(&fields[0]),
                        other => plain(other),
                    })
                    .collect(),
            ),
            other => plain(&other),
        })
        .collect()
}

fn same(ours: &Json, expected: &Json) -> bool {
    match (ours, expected) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => {
            // serde_json's reading of a decimal fraction may be off by its last bit.
            let bits = |n: &serde_json::Number| n.as_f64().unwrap().to_bits();
            bits(a).abs_diff(bits(b)) <= 1
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => ours == expected,
    }
}

fn attribute(a: &Attribute) -> Json {
    match &a.data_type {
        DataType::Char => json!(a.as_text().unwrap()),
        DataType::String if a.len == 1 => json!(a.as_text().unwrap()),
        data_type => Json::Array(all_plain(data_type, &a.values)),
    }
}

fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Structure(r) | DataType::Sequence(r) => r.name.clone(),
        DataType::Enum(e) => Some(e.name.clone()),
        _ => None,
    };
    name.map_or_else(|| data_type.name().to_owned(), |n| format!("{} {}", data_type.name(), n.short()))
}

fn compare_attributes(place: &str, ours: &cdm::Attributes, expected: &Json, faults: &mut Vec<String>) {
    let expected = expected.as_object().unwrap();
    let names: Vec<&str> = ours.iter().map(|a| &*a.name).collect();
    let wanted: Vec<&str> = expected.keys().map(String::as_str).collect();
    if names.len() != wanted.len() || !wanted.iter().all(|w| names.contains(w)) {
        faults.push(format!("{place}: attributes {names:?}, not {wanted:?}"));
    }
    for (name, value) in expected {
        let Some(found) = ours.get(name) else { continue };
        let got = attribute(found);
        if !value.is_null() && !same(&got, value) {
            faults.push(format!("{place}: {name} is {got}, not {value}"));
        }
    }
}

fn dims(dimensions: &[Dimension]) -> Json {
    let pair = |d: &Dimension| json!([d.name.as_ref().map_or("", FullName::as_str), d.size]);
    Json::Array(dimensions.iter().map(pair).collect())
}

/// Structure and attributes against netCDF-C; what it leaves out must come last in no particular way.
fn compare_group(ours: &Group, expected: &Json, faults: &mut Vec<String>) {
    let place = ours.name.as_str();
    let declared: Json = ours
        .dimensions
        .iter()
        .map(|d| json!([d.name.as_ref().unwrap().short(), d.size, d.unlimited]))
        .collect();
    if declared != expected["dimensions"] {
        faults.push(format!("{place}: dimensions {declared}, not {}", expected["dimensions"]));
    }
    compare_attributes(place, &ours.attributes, &expected["attributes"], faults);
    let wanted = expected["variables"].as_object().unwrap();
    let listed: Vec<&str> =
        ours.variables.iter().map(|v| &*v.name).filter(|n| wanted.contains_key(*n)).collect();
    // serde_json sorts keys; the order itself is compared in `order`.
    if listed.len() != wanted.len() {
        faults.push(format!("{place}: variables {listed:?}, not {:?}", wanted.keys().collect::<Vec<_>>()));
    }
    for variable in &ours.variables {
        let Some(wanted) = wanted.get(&*variable.name) else { continue };
        let place = format!("{place} {}", variable.name);
        if type_name(&variable.data_type) != wanted["type"] {
            faults.push(format!("{place}: {}, not {}", type_name(&variable.data_type), wanted["type"]));
        }
        if dims(&variable.dimensions) != wanted["dims"] {
            faults.push(format!("{place}: {}, not {}", dims(&variable.dimensions), wanted["dims"]));
        }
        compare_attributes(&place, &variable.attributes, &wanted["attributes"], faults);
    }
    let groups: Vec<&str> = ours.groups.iter().map(|g| g.name.short()).collect();
    let order: Vec<&str> =
        expected["group_order"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    if groups != order {
        faults.push(format!("{place}: groups {groups:?}, not {order:?}"));
    }
    let order: Vec<&str> =
        expected["variable_order"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    if listed != order {
        faults.push(format!("{place}: variables {listed:?}, not {order:?}"));
    }
    for group in &ours.groups {
        compare_group(group, &expected["groups"][group.name.short()], faults);
    }
}

/// All values netCDF-C gives, by full name.
fn netcdf_values(place: &FullName, group: &Json, all: &mut Vec<(FullName, Json)>) {
    for (name, v) in group["variables"].as_object().unwrap() {
        if !v["values"].is_null() {
            all.push((place.join(name), v["values"].clone()));
        }
    }
    for (name, g) in group["groups"].as_object().unwrap() {
        netcdf_values(&place.join(name), g, all);
    }
}

async fn check(name: &str, different: &[&str]) {
    let expected: Json = serde_json::from_slice(&bytes_of(&format!("{name}.json"))).unwrap();
    let source = open(name).await;
    let mut faults = Vec::new();
    let mut values = Vec::new();
    if !expected["netcdf"].is_null() {
        compare_group(source.dataset().root(), &expected["netcdf"], &mut faults);
        netcdf_values(&FullName::root(), &expected["netcdf"], &mut values);
    }
    for (full, v) in expected["h5py"].as_object().unwrap() {
        let full = FullName::new(full);
        // Dimensions without variables are datasets for h5py, and it knows nothing of lengthening.
        let variable = source.dataset().variable(&full);
        let scale = source.dataset().dimension(&full).is_some() && variable.is_none();
        if !scale && !values.iter().any(|(n, _)| *n == full) && !different.contains(&full.as_str()) {
            values.push((full, v["values"].clone()));
        }
    }
    for (full, wanted) in values {
        match read(&source, &full).await {
            Ok(block) => {
                let data_type = &source.dataset().variable(&full).unwrap().data_type;
                let got = Json::Array(all_plain(data_type, &block));
                if !same(&got, &wanted) {
                    faults.push(format!("{full} is {got}, not {wanted}"));
                }
            }
            Err(e) => faults.push(format!("{full}: {e}")),
        }
    }
    assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
    if different.is_empty() {
        testing::source_contract(&source, 7, 20).await;
    }
}

#[test]
fn every_netcdf4_type() {
    run(check("types.nc", &["/never", "/inner/q"]));
}

/// As `ncdump -h` prints it (netCDF4-python refuses this file).
#[test]
fn types_keep_their_names() {
    run(async {
        let source = open("types.nc").await;
        let root = source.dataset().root();
        let declared = |g: &Group| -> Vec<String> {
            g.types.iter().map(|t| format!("{} {}", t.data_type.name(), t.name)).collect()
        };
        assert_eq!(
            declared(root),
            [
                "Enum clouds",
                "Enum wide",
                "Opaque blob",
                "Sequence counts",
                "Sequence words",
                "Structure point",
                "Structure station",
                "Sequence track"
            ]
        );
        assert_eq!(declared(&root.groups[0]), ["Structure local"]);
        let of = |name: &str| type_name(&source.dataset().variable(&FullName::new(name)).unwrap().data_type);
        for (name, expected) in [
            ("/sky", "Enum clouds"),
            ("/w", "Enum wide"),
            ("/c", "Sequence counts"),
            ("/p", "Structure point"),
            ("/tr", "Sequence track"),
            ("/inner/c", "Sequence counts"),
            ("/inner/l", "Structure local"),
            ("/code", "Char"),
            ("/name", "String"),
            ("/u64", "UInt64"),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
        // Members and records are of named types, too.
        let DataType::Sequence(track) = &source.dataset().variable(&FullName::new("/tr")).unwrap().data_type
        else {
            panic!("a sequence")
        };
        assert!(track.is_vlen);
        assert_eq!(type_name(&track.fields[0].data_type), "Structure point");
        let local = root.groups[0].types[0].data_type.record().unwrap();
        assert_eq!(type_name(&local.fields[0].data_type), "Enum clouds");
        assert_eq!(local.fields[1].shape(), [2]);
        // Dimensions are listed by netCDF's ids; deeper's use the enclosing groups'.
        let names: Vec<&str> = root.dimensions.iter().map(|d| d.name.as_ref().unwrap().short()).collect();
        assert_eq!(names, ["n", "m", "len", "t"]);
        let lat = source.dataset().variable(&FullName::new("/inner/deeper/r")).unwrap();
        assert_eq!(lat.dimensions[0].name, Some(FullName::new("/inner/n")));
        assert_eq!(lat.maps, [FullName::new("/inner/deeper/lat"), FullName::new("/inner/deeper/lon")]);
    });
}

#[test]
fn nameless_types_and_odd_attributes() {
    run(async {
        let source = open("odd.h5").await;
        let root = source.dataset().root();
        let of = |name: &str| type_name(&root.variable(name).unwrap().data_type);
        for (name, expected) in [
            ("half", "Float32"),
            ("flag", "UInt8"),
            ("z", "Structure"),
            ("fixed", "String"),
            ("color", "Enum color_t"),
            ("ragged", "Sequence"),
            ("raw", "Opaque"),
            ("reference", "String"),
            ("three_bytes", "Int32"),
            ("ten_bits", "UInt16"),
            ("bits", "UInt8"),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
        assert_eq!(root.variable("arrays").unwrap().shape(), [2, 2, 3]);
        assert_eq!(root.variable("empty").unwrap().shape(), [0]);
        let attributes = &root.variable("half").unwrap().attributes;
        for (name, expected) in [
            ("half", json!([0.25])),
            ("flag", json!([1])),
            ("z", json!([[1.0, 2.0]])),
            ("matrix", json!([0, 1, 2, 3])),
            ("nothing", json!([])),
            ("words", json!(["a", "bc"])),
            ("fixed", json!(["a", "bc"])),
            ("bytes", json!("abc")),
            ("text", json!("t\u{e9}xt")),
            ("color", json!([1, -5])),
        ] {
            let got = attribute(attributes.get(name).unwrap_or_else(|| panic!("{name}")));
            assert!(same(&got, &expected), "{name}: {got}");
        }
        assert!(attributes.get("ref").is_none(), "netCDF-C leaves references out");
        let values = |name: &'static str| {
            let source = Arc::clone(&source);
            async move {
                let full = FullName::new(name);
                let block = read(&source, &full).await.unwrap();
                Json::Array(all_plain(&source.dataset().variable(&full).unwrap().data_type, &block))
            }
        };
        assert_eq!(values("/three_bytes").await, json!([-1, 70000, 5]));
        assert_eq!(values("/blank_padded").await, json!(["a", "b c"]));
        assert_eq!(values("/reference").await, json!(["/half", "/", ""]));
    });
}

#[test]
fn strings_rows_and_records() {
    run(check("strings.nc", &[]));
}

#[test]
fn netcdf4_dimensions() {
    run(check("dims.nc", &[]));
    run(check("coordinates.nc", &[]));
}

#[test]
fn every_storage() {
    for name in ["storage.nc", "storage_earliest.h5", "storage_latest.h5"] {
        run(check(name, &[]));
    }
}

#[test]
fn phony_dimensions() {
    for libver in ["earliest", "latest"] {
        run(check(&format!("phony_{libver}.h5"), &[]));
        run(check(&format!("phony_{libver}_tracked.h5"), &[]));
    }
}

#[test]
fn dimension_scales_of_h5py() {
    run(check("scales.h5", &[]));
}

/// What is missing of them is a text in the file, too.
#[test]
fn texts_that_are_fewer_than_their_dimension_says() {
    run(check("short_words.h5", &[]));
}

#[test]
fn what_netcdf_c_leaves_out() {
    run(check("odd.h5", &[]));
}

#[test]
fn user_blocks() {
    run(check("user_block_512.h5", &[]));
    run(check("user_block_2048.h5", &[]));
}

#[test]
fn links_lead_to_each_group_once() {
    run(async {
        check("links.h5", &[]).await;
        let source = open("links.h5").await;
        let names: Vec<String> = source.dataset().variables().map(|(n, _)| n.to_string()).collect();
        assert_eq!(names, ["/again", "/real", "/relative", "/soft", "/g/inside"]);
        assert_eq!(source.dataset().root().groups.len(), 1);
    });
}

#[test]
fn what_cannot_be_read_is_listed_and_says_why() {
    run(async {
        let source = open("refused.h5").await;
        let refusal = |name: &'static str| {
            let source = Arc::clone(&source);
            async move { read(&source, &FullName::new(name)).await.unwrap_err() }
        };
        assert_eq!(refusal("/external").await.kind(), ErrorKind::Forbidden);
        assert_eq!(refusal("/virtual").await.kind(), ErrorKind::Forbidden);
        let unknown = refusal("/unknown_filter").await;
        assert_eq!(unknown.kind(), ErrorKind::Unsupported);
        assert!(unknown.message().contains("60000"), "{unknown}");
        assert!(read(&source, &FullName::new("/fine")).await.is_ok());
    });
}

/// Damage anywhere gives errors or other values, never a panic; nothing waits for ever.
#[test]
fn damaged_files_do_no_harm() {
    run(async {
        for name in ["types.nc", "dims.nc", "odd.h5", "scales.h5", "strings.nc", "links.h5"] {
            let whole = bytes_of(name);
            let mut random = testing::Random(11);
            for _ in 0..150 {
                let mut bytes = whole.clone();
                for _ in 0..=random.below(4) {
                    let at = usize::try_from(random.below(whole.len() as u64)).unwrap();
                    bytes[at] = u8::try_from(random.below(256)).unwrap();
                }
                let registry = Registry::new(Arc::new(Engine::new(EngineOptions::default())));
                let Ok(source) = registry.open(MemoryObject::object(name, bytes)).await else { continue };
                let small = source.dataset().variables().filter(|(_, v)| v.element_count() < 1000);
                let names: Vec<FullName> = small.map(|(n, _)| n).collect();
                for variable in names {
                    let _ = read(&source, &variable).await;
                }
            }
        }
    });
}
