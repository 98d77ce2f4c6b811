//! Against what rasterio (GDAL) reads in the fixtures (`fixtures/make.py`), and damaged files.

use std::{path::Path, sync::Arc};

use cdm::{
    Block, DataType, ErrorKind, FullName, Group, Result, Selection, Source,
    testing::{collect, source_contract},
};
use serde_json::Value;

use crate::{Registry, chunked::Engine, storage::MemoryObject};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("geotiff/fixtures")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn expected() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap().as_object().unwrap().clone()
}

async fn open(bytes: &[u8]) -> Result<Arc<dyn Source>> {
    let registry = Registry::new(Arc::new(Engine::default()));
    registry.open(MemoryObject::object("fixture.tif", bytes.to_vec())).await
}

async fn whole(source: &Arc<dyn Source>, name: &FullName) -> Result<Vec<u8>> {
    let shape = source.dataset().require(name)?.shape();
    match collect(source.read(name, &Selection::all(&shape)), true).await? {
        Block::Fixed(bytes) => Ok(bytes.to_vec()),
        Block::Varying { .. } => unreachable!("numbers"),
    }
}

async fn floats(source: &Arc<dyn Source>, name: &str) -> Vec<f64> {
    let bytes = whole(source, &FullName::new(name)).await.unwrap();
    bytes.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().unwrap())).collect()
}

/// The bands of a group one after the other, as rasterio gives them.
async fn bands(source: &Arc<dyn Source>, group: &Group) -> (DataType, Vec<u64>, Vec<u8>) {
    if let Some(data) = group.variable("data") {
        let values = whole(source, &group.name.join("data")).await.unwrap_or_else(|e| panic!("{e}"));
        return (data.data_type.clone(), data.shape(), values);
    }
    let mut values = Vec::new();
    let mut count = 0;
    let first = group.variable("band_1").expect("a band");
    while group.variable(&format!("band_{}", count + 1)).is_some() {
        count += 1;
        let band = whole(source, &group.name.join(&format!("band_{count}"))).await;
        values.extend(band.unwrap_or_else(|e| panic!("{e}")));
    }
    let shape = std::iter::once(count).chain(first.shape()).collect();
    (first.data_type.clone(), shape, values)
}

/// The machine's numbers as little-endian ones.
fn little(data_type: &DataType, mut values: Vec<u8>) -> Vec<u8> {
    let size = match data_type {
        DataType::Structure(record) => record.fields[0].data_type.fixed_size(),
        other => other.fixed_size(),
    };
    if cfg!(target_endian = "big") {
        values.chunks_mut(usize::try_from(size.unwrap()).unwrap()).for_each(<[u8]>::reverse);
    }
    values
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Structure(record) => match record.fields[0].data_type {
            DataType::Float64 => "complex128".to_owned(),
            DataType::Int16 => "complex_int16".to_owned(),
            _ => "complex64".to_owned(),
        },
        other => other.name().to_ascii_lowercase(),
    }
}

fn shape_of(entry: &Value) -> Vec<u64> {
    entry["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

/// As rasterio reads complex integers: as complex floats.
fn widened(data_type: &DataType, values: Vec<u8>) -> Vec<u8> {
    if type_name(data_type) == "complex_int16" {
        let parts = values.chunks_exact(2).map(|b| f32::from(i16::from_ne_bytes([b[0], b[1]])));
        return parts.flat_map(f32::to_ne_bytes).collect();
    }
    values
}

#[tokio::test]
async fn every_fixture_is_what_rasterio_reads() {
    let expected = expected();
    assert!(expected.len() > 100);
    let mut wrong = Vec::new();
    for (file, entry) in &expected {
        let source = open(&bytes_of(file)).await.unwrap_or_else(|e| panic!("{file}: {e}"));
        let root = source.dataset().root();
        let (data_type, shape, values) = bands(&source, root).await;
        assert_eq!(shape, shape_of(entry), "{file}");
        let found_type = type_name(&data_type);
        let due = entry["type"].as_str().unwrap();
        assert!(
            found_type == due || found_type == "complex_int16" && due == "complex64",
            "{file}: {found_type} {due}"
        );
        let values = little(&data_type, widened(&data_type, values));
        let due = entry["values"].as_str().unwrap();
        match entry["lossy"].as_u64().unwrap() {
            0 => {
                if format!("{:08x}", crc32fast::hash(&values)) != due {
                    wrong.push(format!("{file}: {:?}", &values[..values.len().min(32)]));
                }
            }
            most => {
                let due = hex(due);
                let worst = values.iter().zip(&due).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                if values.len() != due.len() || u64::from(worst) > most {
                    wrong.push(format!("{file}: differs by {worst}"));
                }
            }
        }
        for (i, overview) in entry["overviews"].as_array().unwrap().iter().enumerate() {
            let group = root.group(&format!("overview_{}", i + 1)).unwrap_or_else(|| panic!("{file} {i}"));
            let (data_type, shape, values) = bands(&source, group).await;
            assert_eq!(shape, shape_of(overview), "{file} {i}");
            let crc = format!("{:08x}", crc32fast::hash(&little(&data_type, values)));
            if crc != overview["values"].as_str().unwrap() {
                wrong.push(format!("{file}: overview {i}"));
            }
            let (transform, due) = (transform_of(group), numbers(&overview["transform"]));
            assert!(
                transform.iter().zip(&due).all(|(a, b)| (a - b).abs() < 1e-12 * b.abs().max(1.0)),
                "{file}: {transform:?} {due:?}"
            );
        }
        if let Some(mask) = entry.get("mask").and_then(Value::as_str) {
            let stored = whole(&source, &FullName::new("/mask")).await.unwrap();
            let valid: Vec<u8> = stored.iter().map(|v| if *v == 0 { 0 } else { 255 }).collect();
            if format!("{:08x}", crc32fast::hash(&valid)) != mask {
                wrong.push(format!("{file}: mask"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The numbers of the group's `GeoTransform`.
fn transform_of(group: &Group) -> Vec<f64> {
    let crs = group.variable("crs").expect("a grid mapping");
    let text = crs.attributes.text("GeoTransform").expect("a transform");
    text.split(' ').map(|n| n.parse().unwrap()).collect()
}

#[tokio::test]
async fn every_fixture_lies_where_rasterio_says() {
    let identity = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    for (file, entry) in &expected() {
        let source = open(&bytes_of(file)).await.unwrap();
        let root = source.dataset().root();
        let due = numbers(&entry["transform"]);
        if due == identity {
            assert!(root.variable("y").is_none() && root.variable("lat").is_none(), "{file}");
        } else {
            assert_eq!(transform_of(root), due, "{file}");
            let shape = shape_of(entry);
            let [x0, x_column, x_row, y0, y_column, y_row] = due[..] else { unreachable!() };
            let (columns, rows) = (shape[2], shape[1]);
            let rotated = x_row != 0.0 || y_column != 0.0;
            let find = |names: [&'static str; 4]| {
                names.into_iter().find(|n| root.variable(n).is_some()).unwrap_or_else(|| panic!("{file}"))
            };
            let names = [
                find(["x", "lon", "projection_x", "longitude"]),
                find(["y", "lat", "projection_y", "latitude"]),
            ];
            let (xs, ys) = (floats(&source, names[0]).await, floats(&source, names[1]).await);
            let half = |i: u64| i as f64 + 0.5;
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
            for (row, column) in [(0, 0), (rows - 1, columns - 1), (rows / 2, columns / 3)] {
                let at = |row: u64, column: u64| usize::try_from(row * columns + column).unwrap();
                let (x, y) = if rotated {
                    (xs[at(row, column)], ys[at(row, column)])
                } else {
                    (xs[usize::try_from(column).unwrap()], ys[usize::try_from(row).unwrap()])
                };
                assert!(close(x, x0 + half(column) * x_column + half(row) * x_row), "{file}: {x}");
                assert!(close(y, y0 + half(column) * y_column + half(row) * y_row), "{file}: {y}");
            }
        }
        let points = entry["gcps"].as_array().unwrap();
        for (i, name) in ["gcp_column", "gcp_row", "gcp_x", "gcp_y", "gcp_z"].into_iter().enumerate() {
            if points.is_empty() {
                assert!(root.variable(name).is_none(), "{file}");
            } else {
                let due: Vec<f64> = points.iter().map(|p| p[i].as_f64().unwrap()).collect();
                assert_eq!(floats(&source, name).await, due, "{file} {name}");
            }
        }
        assert_eq!(
            root.variable("crs").and_then(|v| v.attributes.text("crs_wkt")).is_some(),
            // Of an image with control points rasterio counts the system as theirs.
            entry["crs"].as_bool().unwrap() || !points.is_empty(),
            "{file}"
        );
    }
}

#[tokio::test]
async fn every_fixture_says_what_rasterio_says() {
    for (file, entry) in &expected() {
        let source = open(&bytes_of(file)).await.unwrap();
        let root = source.dataset().root();
        for (name, value) in entry["tags"].as_object().unwrap() {
            let numeric = name.ends_with("RESOLUTION") || name.ends_with("RESOLUTIONUNIT");
            if numeric || name == "AREA_OR_POINT" && root.attributes.get(name).is_none() {
                continue;
            }
            assert_eq!(root.attributes.text(name).as_deref(), value.as_str(), "{file} {name}");
        }
        let count = shape_of(entry)[0];
        for i in 0..usize::try_from(count).unwrap() {
            let variable =
                root.variable(&format!("band_{}", i + 1)).or_else(|| root.variable("data")).unwrap();
            let text = |name: &str| variable.attributes.text(name).map(std::borrow::Cow::into_owned);
            let due = |name: &str| entry[name][i].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
            assert_eq!(text("long_name"), due("descriptions"), "{file}");
            assert_eq!(text("units"), due("units"), "{file}");
            let number = |name: &str, absent: f64| match variable.attributes.get(name) {
                None => absent,
                Some(a) => match &a.values {
                    Block::Fixed(bytes) => f64::from_ne_bytes(bytes[..].try_into().unwrap()),
                    Block::Varying { .. } => unreachable!(),
                },
            };
            assert_eq!(Some(number("scale_factor", 1.0)), entry["scales"][i].as_f64(), "{file}");
            assert_eq!(Some(number("add_offset", 0.0)), entry["offsets"][i].as_f64(), "{file}");
            assert_eq!(variable.attributes.get("_FillValue").is_some(), !entry["nodata"].is_null(), "{file}");
            if let Some(fill) = variable.attributes.get("_FillValue") {
                assert_eq!(fill.data_type, variable.data_type, "{file}");
            }
        }
    }
}

#[tokio::test]
async fn every_fixture_keeps_the_contract() {
    for (seed, file) in expected().keys().enumerate() {
        source_contract(&open(&bytes_of(file)).await.unwrap(), seed as u64, 3).await;
    }
}

#[tokio::test]
async fn bands_that_are_alike_are_one_variable() {
    for (file, names) in [
        ("described.tif", &["y", "x", "crs", "band_1", "band_2"][..]),
        ("alike.tif", &["y", "x", "crs", "band", "data"]),
        ("type_uint8_big.tif", &["y", "x", "crs", "band_1"]),
        ("epsg_4326.tif", &["lat", "lon", "crs", "band_1"]),
        ("rotated_degrees.tif", &["latitude", "longitude", "crs", "band_1"]),
        ("palette.tif", &["y", "x", "crs", "band_1", "palette"]),
        ("mask.tif", &["y", "x", "crs", "band", "data", "mask"]),
        ("bare.tif", &["band_1"]),
    ] {
        let source = open(&bytes_of(file)).await.unwrap();
        let found: Vec<_> = source.dataset().root().variables.iter().map(|v| v.name.to_string()).collect();
        assert_eq!(found, names, "{file}");
    }
}

/// Whatever is cut off, what still opens either reads the same or fails: nothing is filled in.
#[tokio::test]
async fn a_cut_file_is_an_error_never_zeros() {
    for file in ["type_int16_big.tif", "none_pixel_strips.tif", "bits_2_bands.tif", "bigtiff.tif"] {
        let bytes = bytes_of(file);
        let full = open(&bytes).await.unwrap();
        let (_, _, due) = bands(&full, full.dataset().root()).await;
        let mut failed = 0;
        for len in (0..bytes.len()).step_by(37) {
            let Ok(source) = open(&bytes[..len]).await else {
                failed += 1;
                continue;
            };
            let root = source.dataset().root();
            let name = if root.variable("data").is_some() { "/data" } else { "/band_1" };
            match whole(&source, &FullName::new(name)).await {
                Ok(values) => assert_eq!(values, due, "{file} cut to {len}"),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::Corrupt, "{file} cut to {len}: {e}");
                    failed += 1;
                }
            }
        }
        assert!(failed > 3, "{file}");
    }
}
