//! Against what netCDF-C reads in the fixtures (`tests/data/make.py`), cut files, and damaged headers.

use std::sync::Arc;

use cdm::{
    Attributes, Block, DataType, ErrorKind, FullName, Result, Selection, Source,
    testing::{collect, source_contract},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{Registry, chunked::Engine, storage::MemoryObject};

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        [$(($name, &include_bytes!(concat!("tests/data/", $name))[..])),*]
    };
}

fn fixtures() -> Vec<(&'static str, &'static [u8])> {
    fixtures![
        "cdf1_types.nc",
        "cdf1_streaming_types.nc",
        "cdf1_no_records.nc",
        "cdf1_one_i1_1.nc",
        "cdf1_one_i1_5.nc",
        "cdf1_streaming_one_i1_5.nc",
        "cdf1_one_i2_3.nc",
        "cdf1_one_S1_2.nc",
        "cdf1_one_f8_2.nc",
        "cdf2_types.nc",
        "cdf2_streaming_types.nc",
        "cdf2_no_records.nc",
        "cdf2_one_i1_1.nc",
        "cdf2_one_i1_5.nc",
        "cdf2_streaming_one_i1_5.nc",
        "cdf2_one_i2_3.nc",
        "cdf2_one_S1_2.nc",
        "cdf2_one_f8_2.nc",
        "cdf5_types.nc",
        "cdf5_streaming_types.nc",
        "cdf5_no_records.nc",
        "cdf5_one_i1_1.nc",
        "cdf5_one_i1_5.nc",
        "cdf5_streaming_one_i1_5.nc",
        "cdf5_one_i2_3.nc",
        "cdf5_one_S1_2.nc",
        "cdf5_one_f8_2.nc",
        "long_header.nc",
    ]
    .to_vec()
}

fn bytes_of(name: &str) -> Vec<u8> {
    fixtures().into_iter().find(|(n, _)| *n == name).expect("a fixture").1.to_vec()
}

async fn open(bytes: &[u8]) -> Result<Arc<dyn Source>> {
    let registry = Registry::new(Arc::new(Engine::default()));
    registry.open(MemoryObject::object("fixture.nc", bytes.to_vec())).await
}

async fn whole(source: &Arc<dyn Source>, name: &str) -> Result<Block> {
    let name = FullName::new(name);
    let shape = source.dataset().require(&name)?.shape();
    collect(source.read(&name, &Selection::all(&shape)), true).await
}

/// The type `NumPy` calls `text`.
fn data_type(text: &str) -> DataType {
    match text {
        "i1" => DataType::Int8,
        "S1" | "Char" => DataType::Char,
        "i2" => DataType::Int16,
        "i4" => DataType::Int32,
        "i8" => DataType::Int64,
        "u1" => DataType::UInt8,
        "u2" => DataType::UInt16,
        "u4" => DataType::UInt32,
        "u8" => DataType::UInt64,
        "f4" => DataType::Float32,
        "f8" => DataType::Float64,
        other => unreachable!("{other}"),
    }
}

/// Little-endian bytes in hexadecimal, as the machine's.
fn values(expected: &Value) -> Block {
    let hex = expected["bytes"].as_str().expect("hexadecimal");
    let mut bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("digits")).collect();
    if cfg!(target_endian = "big") {
        let size = data_type(expected["type"].as_str().expect("a type")).fixed_size().expect("fixed");
        bytes.chunks_mut(usize::try_from(size).expect("small")).for_each(<[u8]>::reverse);
    }
    Block::Fixed(bytes.into())
}

fn check_attributes(found: &Attributes, expected: &Value, place: &str) {
    let expected = expected.as_object().expect("attributes");
    assert_eq!(found.len(), expected.len(), "{place}");
    for attribute in found {
        let expected = &expected[&*attribute.name];
        assert_eq!(attribute.data_type, data_type(expected["type"].as_str().unwrap()), "{place}");
        assert_eq!(attribute.values, values(expected), "{place} {}", attribute.name);
        let size = attribute.data_type.fixed_size().unwrap();
        assert_eq!(attribute.len * size, attribute.values.byte_len() as u64);
    }
}

#[tokio::test]
async fn every_fixture_is_what_netcdf_c_reads() {
    let expected: Value = serde_json::from_str(include_str!("tests/data/expected.json")).unwrap();
    assert_eq!(expected.as_object().unwrap().len(), fixtures().len());
    for (file, bytes) in fixtures() {
        let expected = &expected[file];
        let source = open(bytes).await.unwrap_or_else(|e| unreachable!("{file}: {e}"));
        let root = source.dataset().root();
        check_attributes(&root.attributes, &expected["attributes"], file);
        let dimensions: Vec<Value> = root
            .dimensions
            .iter()
            .map(|d| serde_json::json!([d.name.as_ref().unwrap().short(), d.size, d.unlimited]))
            .collect();
        assert_eq!(&Value::Array(dimensions), &expected["dimensions"], "{file}");
        let variables = expected["variables"].as_array().unwrap();
        assert_eq!(root.variables.len(), variables.len(), "{file}");
        for (found, expected) in root.variables.iter().zip(variables) {
            let place = format!("{file} {}", found.name);
            assert_eq!(&*found.name, expected["name"].as_str().unwrap());
            assert_eq!(found.data_type, data_type(expected["type"].as_str().unwrap()), "{place}");
            let dimensions: Vec<&str> =
                found.dimensions.iter().map(|d| d.name.as_ref().unwrap().short()).collect();
            assert_eq!(serde_json::json!(dimensions), expected["dimensions"], "{place}");
            check_attributes(&found.attributes, &expected["attributes"], &place);
            let block = whole(&source, &found.name).await.unwrap();
            assert_eq!(block, values(expected), "{place}");
        }
    }
}

#[tokio::test]
async fn every_fixture_keeps_the_contract() {
    for (seed, (_, bytes)) in fixtures().into_iter().enumerate() {
        source_contract(&open(bytes).await.unwrap(), seed as u64, 5).await;
    }
}

#[tokio::test]
async fn coordinate_variables_become_maps() {
    let source = open(&bytes_of("cdf2_types.nc")).await.unwrap();
    let record = source.dataset().variable(&FullName::new("/record_i1")).unwrap();
    assert_eq!(record.maps, [FullName::new("/time"), FullName::new("/y")]);
}

/// Whatever is cut off, the answer is an error; or, for padding at the very end, the same values; or, of records, those
/// that are whole, and it says so.
#[tokio::test]
async fn a_cut_file_is_an_error_or_its_whole_records_never_zeros() {
    for name in ["cdf1_no_records.nc", "cdf2_one_i1_5.nc", "cdf5_one_i2_3.nc", "cdf1_types.nc"] {
        let bytes = bytes_of(name);
        let full = open(&bytes).await.unwrap();
        let mut shorter = 0;
        for len in 0..bytes.len() {
            let source = match open(&bytes[..len]).await {
                Ok(source) => source,
                Err(e) => {
                    let kind = if len < 4 { ErrorKind::Unsupported } else { ErrorKind::Corrupt };
                    assert_eq!(e.kind(), kind, "{name} cut to {len}: {e}");
                    continue;
                }
            };
            let is_said = source.dataset().root().attributes.get(super::source::WARNING).is_some();
            shorter += usize::from(is_said);
            assert!(is_said || bytes.len() - len < 4, "{name} cut to {len} opens as if it were whole");
            for v in &source.dataset().root().variables {
                let (Block::Fixed(some), Block::Fixed(all)) =
                    (whole(&source, &v.name).await.unwrap(), whole(&full, &v.name).await.unwrap())
                else {
                    panic!("netCDF-3 has values of fixed size");
                };
                assert!(all.starts_with(&some), "{name} cut to {len}: {}", v.name);
                let is_record = source
                    .dataset()
                    .root()
                    .dimensions
                    .iter()
                    .any(|d| d.unlimited && v.dimensions.first() == Some(d));
                assert!(some.len() == all.len() || is_said && is_record, "{name} cut to {len}: {}", v.name);
            }
        }
        assert_eq!(shorter > 0, name != "cdf1_no_records.nc", "{name}");
    }
}

#[tokio::test]
async fn a_cut_file_says_what_is_missing() {
    let bytes = bytes_of("cdf1_one_i1_5.nc");
    let source = open(&bytes[..bytes.len() - 7]).await.unwrap();
    assert_eq!(source.dataset().variable(&FullName::new("/only")).unwrap().shape(), [5, 5]);
    assert_eq!(
        source.dataset().root().attributes.text(super::source::WARNING).unwrap(),
        "the header names 7 records, but the file holds 5 whole ones: it is cut or still being written"
    );
    let bytes = bytes_of("cdf1_no_records.nc");
    let error = open(&bytes[..bytes.len() - 7]).await.unwrap_err();
    assert!(error.message().ends_with("bytes are missing"), "{error}");
}

#[tokio::test]
async fn a_stream_has_as_many_records_as_are_whole() {
    let bytes = bytes_of("cdf1_streaming_one_i1_5.nc");
    for (cut, records) in [(0, 7), (1, 6), (5, 6), (6, 5), (35, 0)] {
        let source = open(&bytes[..bytes.len() - cut]).await.unwrap();
        let only = source.dataset().variable(&FullName::new("/only")).unwrap();
        assert_eq!(only.shape(), [records, 5], "cut by {cut}");
    }
}

/// A header by hand: big-endian words and padded names.
fn header(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const NONE: [u8; 8] = [0; 8];

#[tokio::test]
async fn impossible_headers_are_corrupt() {
    let dimension = |name: &[u8; 4], len: u32| [&[0, 0, 0, 4], name.as_slice(), &len.to_be_bytes()].concat();
    let variable = |rank: u32, ids: &[u32], code: u32, begin: u32| {
        let ids: Vec<u8> = ids.iter().flat_map(|i| i.to_be_bytes()).collect();
        [
            &[0, 0, 0, 4][..],
            b"vari",
            &rank.to_be_bytes(),
            &ids,
            &NONE,
            &code.to_be_bytes(),
            &[0; 4],
            &begin.to_be_bytes(),
        ]
        .concat()
    };
    let list = |tag: u8, items: &[Vec<u8>]| {
        let n = u32::try_from(items.len()).unwrap();
        [&[0, 0, 0, tag][..], &n.to_be_bytes(), &items.concat()].concat()
    };
    let start = |version: u8| [b"CDF".as_slice(), &[version, 0, 0, 0, 9]].concat();
    let file = |dimensions: &[Vec<u8>], variables: &[Vec<u8>]| {
        header(&[&start(1), &list(10, dimensions), &NONE, &list(11, variables), &[0; 64]])
    };
    let sound = file(&[dimension(b"xdim", 3)], &[variable(1, &[0], 4, 80)]);
    assert!(open(&sound).await.is_ok());
    let x = || dimension(b"xdim", 3);
    for (what, bytes) in [
        ("two record dimensions", file(&[dimension(b"aaaa", 0), dimension(b"bbbb", 0)], &[])),
        ("a record dimension within", file(&[x(), dimension(b"time", 0)], &[variable(2, &[0, 1], 4, 80)])),
        ("an unknown dimension", file(&[x()], &[variable(1, &[1], 4, 80)])),
        ("a type of CDF-5 in CDF-1", file(&[x()], &[variable(1, &[0], 11, 80)])),
        ("type 0", file(&[x()], &[variable(1, &[0], 0, 80)])),
        ("twice the name", file(&[x()], &[variable(1, &[0], 4, 80), variable(1, &[0], 4, 80)])),
        ("twice the dimension", file(&[x(), x()], &[])),
        ("a begin beyond the file", file(&[x()], &[variable(1, &[0], 4, u32::MAX)])),
        ("more than can be", file(&[dimension(b"huge", i32::MAX as u32)], &[variable(3, &[0; 3], 6, 80)])),
        ("records of nothing", file(&[dimension(b"time", 0)], &[variable(1, &[0], 4, 4_000_000)])),
        ("a slash", file(&[dimension(b"a/bc", 3)], &[])),
        ("a negative length", file(&[dimension(b"xdim", u32::MAX)], &[])),
        ("the wrong list", header(&[&start(1), &list(11, &[]), &NONE, &NONE])),
        ("no list but items", header(&[&start(1), &[0, 0, 0, 0, 0, 0, 0, 5], &NONE, &NONE])),
        ("many items that are not there", header(&[&start(1), &[0, 0, 0, 10, 0x7f, 255, 255, 255]])),
        ("a long name", header(&[&start(1), &[0, 0, 0, 10, 0, 0, 0, 1, 0x7f, 255, 255, 255]])),
        ("too many dimensions", file(&[x()], &[variable(2000, &[0; 2000], 4, 80)])),
        ("negative records", header(&[b"CDF\x05", &[0x80, 0, 0, 0, 0, 0, 0, 0], &[0; 36]])),
    ] {
        let error = open(&bytes).await.err().unwrap_or_else(|| unreachable!("{what} opens"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
}

/// Offsets beyond 4 GiB, in a file that is mostly a hole.
#[tokio::test]
async fn offsets_beyond_four_gibibytes() {
    use std::os::unix::fs::FileExt;
    let begin = 5_000_000_000_u64;
    let folder = tempfile::tempdir().unwrap();
    let bytes = header(&[
        b"CDF\x02",
        &[0; 4],
        &NONE,
        &NONE,
        &[0, 0, 0, 11, 0, 0, 0, 1],
        &[0, 0, 0, 1],
        b"v\0\0\0",
        &[0; 4],
        &NONE,
        &[0, 0, 0, 4],
        &[0xff; 4],
        &begin.to_be_bytes(),
    ]);
    let file = std::fs::File::create(folder.path().join("large.nc")).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.write_all_at(&(-7_i32).to_be_bytes(), begin).unwrap();
    let root = crate::storage::LocalRoot::open(folder.path()).unwrap();
    let registry = Registry::new(Arc::new(Engine::default()));
    let source = registry.open(root.open_object("large.nc").await.unwrap()).await.unwrap();
    assert_eq!(whole(&source, "v").await.unwrap(), Block::Fixed((-7_i32).to_ne_bytes().to_vec().into()));
}

/// Opens, and reads a little of everything that it then claims to have.
async fn try_everything(bytes: &[u8]) {
    let Ok(source) = open(bytes).await else { return };
    for variable in &source.dataset().root().variables {
        if variable.byte_len().is_some_and(|n| n < 1 << 20) {
            let block = whole(&source, &variable.name).await.expect("what opens can be read");
            assert_eq!(Some(block.byte_len() as u64), variable.byte_len());
        }
    }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..28, changes in prop::collection::vec((0_usize..1500, any::<u8>()), 1..6), cut in 0_usize..4000
    ) {
        let mut bytes = fixtures()[which].1.to_vec();
        let len = bytes.len();
        for (at, value) in changes {
            bytes[at % len] = value;
        }
        bytes.truncate(len.saturating_sub(cut).max(len / 2));
        block_on(try_everything(&bytes));
    }

    #[test]
    fn random_headers_never_panic(
        version in prop::sample::select(vec![1_u8, 2, 5]),
        words in prop::collection::vec(prop_oneof![0_u32..16, any::<u32>(), Just(u32::MAX)], 0..80),
    ) {
        let words = words.into_iter().flat_map(u32::to_be_bytes);
        let bytes: Vec<u8> = b"CDF".iter().copied().chain([version]).chain(words).collect();
        block_on(try_everything(&bytes));
    }
}
