//! Small documents that ask for much: work and memory stay in proportion to the bytes there are.

use std::{fmt::Write as _, time::Instant};

use super::{hostile::Loaded, *};

/// A lone version 2 array.
fn lone(data_type: &str, fill: &str) -> Loaded {
    let mut store = Loaded::default();
    let document = format!(
        r#"{{"zarr_format":2,"shape":[4],"chunks":[2],"dtype":{data_type},"fill_value":{fill},"order":"C",
            "filters":null,"compressor":null}}"#
    );
    store.0.insert(".zarray".to_owned(), document.into());
    store
}

#[test]
fn members_of_no_bytes_are_refused_however_many() {
    for (data_type, fill) in [
        (r#"[["a","<i4"],["b","|S0",[4611686018427387904]]]"#, "null"),
        (r#"[["a","<i4"],["b","|S0",[4611686018427387904]]]"#, r#"{"a":1,"b":""}"#),
        (r#"[["a","<i4"],["b","|V0"]]"#, "null"),
        (r#"[["a","<i4"],["b",[["c","|U0"]],[4611686018427387904]]]"#, "null"),
        (r#"[["a","<i4"],["b","<i4",[0]]]"#, "null"),
        (r#""|S0""#, "null"),
    ] {
        let begin = Instant::now();
        let source = run(lone(data_type, fill).source()).unwrap();
        assert!(begin.elapsed().as_secs() < 5, "{data_type}");
        assert_eq!(source.dataset().variables().count(), 0, "{data_type}");
    }
}

#[test]
fn lengths_that_overflow_are_refused() {
    let types = ["<U4611686018427387905", "|S18446744073709551615", "|V99999999999", "<U16777217"];
    for data_type in types {
        let source = run(lone(&format!("\"{data_type}\""), "null").source()).unwrap();
        assert_eq!(source.dataset().variables().count(), 0, "{data_type}");
    }
    for data_type in [
        r#"{"name":"fixed_length_utf32","configuration":{"length_bytes":18446744073709551615}}"#,
        r#"{"name":"raw_bytes","configuration":{"length_bytes":18446744073709551615}}"#,
        r#""r18446744073709551608""#,
    ] {
        let mut store = Loaded::default();
        let document = format!(
            r#"{{"zarr_format":3,"node_type":"array","shape":[4],"data_type":{data_type},"fill_value":"",
                "chunk_grid":{{"name":"regular","configuration":{{"chunk_shape":[2]}}}},
                "chunk_key_encoding":{{"name":"default"}},"codecs":[{{"name":"bytes"}}]}}"#
        );
        store.0.insert("zarr.json".to_owned(), document.into());
        let source = run(store.source()).unwrap();
        assert_eq!(source.dataset().variables().count(), 0, "{data_type}");
    }
}

#[test]
fn fill_values_of_all_arrays_are_within_a_bound() {
    let array = r#"{"zarr_format":2,"shape":[4],"chunks":[2],"dtype":"|V16777216","fill_value":null,"order":"C",
        "filters":null,"compressor":null}"#;
    let mut text = String::from(r#"{"zarr_consolidated_format":1,"metadata":{".zgroup":{"zarr_format":2}"#);
    for i in 0..200 {
        write!(text, r#","a{i}/.zarray":{array}"#).unwrap();
    }
    text.push_str("}}");
    let mut store = Loaded::default();
    store.0.insert(".zmetadata".to_owned(), text.into());
    let source = run(store.source()).unwrap();
    assert_eq!(source.dataset().variables().count(), 4);
}

#[test]
fn many_names_take_time_in_proportion() {
    let mut attributes = String::from(r#""x":1"#);
    let mut types = String::from(r#""x":"<i4""#);
    let mut dimensions = String::from(r#""d":1"#);
    let mut fields = String::from(r#"["x","|i1"]"#);
    for i in 0..40_000 {
        write!(attributes, r#","name{i}":{i}"#).unwrap();
        write!(types, r#","name{i}":"<i4""#).unwrap();
        write!(dimensions, r#","name{i}":{i}"#).unwrap();
        write!(fields, r#",["name{i}","|i1"]"#).unwrap();
    }
    let mut store = lone(&format!("[{fields}]"), "null");
    let all = format!(
        r#"{{{attributes},"_nczarr_attr":{{"types":{{{types}}}}},"_nczarr_group":{{"dims":{{{dimensions}}}}}}}"#
    );
    let document = store.0.remove(".zarray").unwrap();
    store.0.insert("a/.zarray".to_owned(), document);
    store.0.insert("a/.zattrs".to_owned(), all.clone().into());
    store.0.insert(".zgroup".to_owned(), r#"{"zarr_format":2}"#.into());
    store.0.insert(".zattrs".to_owned(), all.into());
    let begin = Instant::now();
    let source = run(store.source()).unwrap();
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    let root = source.dataset().root();
    assert_eq!((root.attributes.len(), root.dimensions.len()), (40_001, 40_001));
    assert_eq!(root.attributes.get("name7").unwrap().data_type, DataType::Int32);
}

#[test]
fn documents_of_a_hierarchy_share_one_bound() {
    let many = format!(r#"{{"x":[{}0]}}"#, "0,".repeat(900_000));
    let groups = |count: usize| {
        let mut store = Loaded::default();
        store.0.insert("zarr.json".to_owned(), r#"{"zarr_format":3,"node_type":"group"}"#.into());
        for i in 0..count {
            let document = format!(r#"{{"zarr_format":3,"node_type":"group","attributes":{many}}}"#);
            store.0.insert(format!("g{i}/zarr.json"), document.into());
        }
        run(store.source())
    };
    assert!(groups(2).is_ok());
    assert_eq!(groups(5).unwrap_err().kind(), cdm::ErrorKind::Corrupt);
}
