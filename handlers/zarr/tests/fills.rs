//! Values of chunks that were never written, in every order of bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{hostile::Loaded, *};

/// Version 3 metadata of four elements in chunks of two.
fn array(data_type: &Json, fill: &Json, codecs: &Json) -> Json {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": data_type, "fill_value": fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
        "chunk_key_encoding": {"name": "default"}, "codecs": codecs,
    })
}

fn v2(data_type: &Json, fill: &Json) -> Json {
    json!({
        "zarr_format": 2, "shape": [4, 3], "chunks": [2, 2], "dtype": data_type, "fill_value": fill,
        "order": "F", "filters": null, "compressor": null,
    })
}

fn elements(block: &Block, size: usize) -> Vec<Vec<u8>> {
    match block {
        Block::Fixed(bytes) => bytes.chunks_exact(size).map(<[u8]>::to_vec).collect(),
        varying @ Block::Varying { .. } => varying.elements().map(<[u8]>::to_vec).collect(),
    }
}

fn together(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn chunks_never_written_are_fill_in_every_order_of_bytes() {
    let record = json!({"name": "struct", "configuration": {"fields": [["a", "float32"], ["b", "int16"]]}});
    let packed = json!(STANDARD.encode(together(&[&1.5_f32.to_le_bytes(), &258_i16.to_le_bytes()])));
    let mixed = json!([["a", ">f4"], ["b", "<i2", [2]]]);
    let stored = together(&[&1.5_f32.to_be_bytes(), &258_i16.to_le_bytes(), &259_i16.to_le_bytes()]);
    let of_record = together(&[&1.5_f32.to_ne_bytes(), &258_i16.to_ne_bytes()]);
    let of_mixed = together(&[&of_record, &259_i16.to_ne_bytes()]);
    let wide = json!({"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}});
    let time = json!({"name": "numpy.datetime64", "configuration": {"unit": "ns", "scale_factor": 1}});
    let types: Vec<(&str, Json, Json, Vec<u8>)> = vec![
        ("float", json!("float32"), json!(1.5), 1.5_f32.to_ne_bytes().to_vec()),
        ("short", json!("int16"), json!(258), 258_i16.to_ne_bytes().to_vec()),
        ("half", json!("float16"), json!(1.5), 1.5_f32.to_ne_bytes().to_vec()),
        ("brain", json!("bfloat16"), json!(1.5), 1.5_f32.to_ne_bytes().to_vec()),
        (
            "complex",
            json!("complex128"),
            json!([1.5, -2.0]),
            together(&[&1.5_f64.to_ne_bytes(), &(-2_f64).to_ne_bytes()]),
        ),
        ("time", time, json!(258), 258_i64.to_ne_bytes().to_vec()),
        ("wide", wide, json!("hé"), "hé".as_bytes().to_vec()),
        ("record", record.clone(), json!({"a": 1.5, "b": 258}), of_record.clone()),
        ("packed", record, packed, of_record),
    ];
    let bytes = |endian: &str| json!({"name": "bytes", "configuration": {"endian": endian}});
    let index = json!([bytes("little"), {"name": "crc32c"}]);
    let mut store = Loaded::default();
    let mut due = Vec::new();
    store.0.insert("zarr.json".to_owned(), r#"{"zarr_format":3,"node_type":"group"}"#.into());
    for (name, data_type, fill, expected) in &types {
        for endian in ["big", "little"] {
            let transpose = json!({"name": "transpose", "configuration": {"order": [0]}});
            let shard = json!({"name": "sharding_indexed", "configuration":
                {"chunk_shape": [1], "codecs": [bytes(endian)], "index_codecs": index}});
            for (what, codecs) in [
                ("plain", json!([bytes(endian)])),
                ("transposed", json!([transpose, bytes(endian)])),
                ("sharded", json!([shard])),
                ("packed", json!([bytes(endian), {"name": "zstd", "configuration": {"level": 1}}])),
            ] {
                let name = format!("{name}_{endian}_{what}");
                let document = array(data_type, fill, &codecs).to_string();
                store.0.insert(format!("{name}/zarr.json"), document.into());
                due.push((format!("/{name}"), expected.clone()));
            }
        }
    }
    run(check(&store, &due, 4));

    let mut store = Loaded::default();
    let mut due = Vec::new();
    store.0.insert(".zgroup".to_owned(), r#"{"zarr_format":2}"#.into());
    for (i, (data_type, fill, expected)) in [
        (json!(">f4"), json!(1.5), 1.5_f32.to_ne_bytes().to_vec()),
        (json!("<f4"), json!(1.5), 1.5_f32.to_ne_bytes().to_vec()),
        (json!(">i2"), json!(258), 258_i16.to_ne_bytes().to_vec()),
        (json!(">M8[ns]"), json!(258), 258_i64.to_ne_bytes().to_vec()),
        (json!(">U3"), json!("hé"), "hé".as_bytes().to_vec()),
        (mixed, json!(STANDARD.encode(stored)), of_mixed),
    ]
    .into_iter()
    .enumerate()
    {
        store.0.insert(format!("v{i}/.zarray"), v2(&data_type, &fill).to_string().into());
        due.push((format!("/v{i}"), expected));
    }
    run(check(&store, &due, 12));
}

async fn check(store: &Loaded, due: &[(String, Vec<u8>)], count: usize) {
    let source = store.source().await.unwrap();
    let mut wrong = Vec::new();
    for (name, expected) in due {
        let block = read(&source, &FullName::new(name)).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = elements(&block, expected.len());
        if found.len() != count || found.iter().any(|one| one != expected) {
            wrong.push(format!("{name}: {found:?} where each is {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_written_chunk_beside_one_that_never_was() {
    let codecs = json!([{"name": "bytes", "configuration": {"endian": "big"}}]);
    let mut store = Loaded::default();
    store.0.insert("zarr.json".to_owned(), array(&json!("float32"), &json!(1.5), &codecs).to_string().into());
    store.0.insert("c/1".to_owned(), together(&[&2.5_f32.to_be_bytes(), &3.5_f32.to_be_bytes()]).into());
    run(async {
        let source = store.source().await.unwrap();
        let block = read(&source, &FullName::new("/loaded")).await.unwrap();
        let due = [1.5_f32, 1.5, 2.5, 3.5].map(|n| n.to_ne_bytes().to_vec());
        assert_eq!(elements(&block, 4), due);
    });
}
