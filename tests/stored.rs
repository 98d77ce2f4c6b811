//! The built server by raw HTTP: datasets as Zarr stores, and references to their stored chunks, against
//! values computed here.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{fs, io::Read, path::Path};

use common::Server;
use netcdf3::{positions, value};
use serde_json::Value as Json;

/// The shape and chunks of `tests/data/deflate.h5`, whose values are those of version 3.
const SHAPE: [u64; 3] = [20, 33, 47];
const CHUNK: [u64; 3] = [3, 8, 10];
const GRID: [u64; 3] = [7, 5, 5];

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/deflate.h5");
    fs::copy(fixture, dir.path().join("sub/deflate h5.h5")).unwrap();
    netcdf3::write(&dir.path().join("fixed.nc"), [6, 300, 500], 1, false);
    netcdf3::write(&dir.path().join("records.nc"), [5, 30, 40], 2, true);
    dir
}

fn json(server: &Server, target: &str) -> Json {
    let answer = server.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.head);
    serde_json::from_str(&answer.text()).unwrap()
}

/// The document under `key` of references.
fn inner(references: &Json, key: &str) -> Json {
    serde_json::from_str(references["refs"][key].as_str().unwrap()).unwrap()
}

/// What shuffle and deflate hide, and the values of the chunk at `at` as far as they are in the array.
fn decoded(stored: &[u8]) -> Vec<i32> {
    let mut shuffled = Vec::new();
    flate2::read::ZlibDecoder::new(stored).read_to_end(&mut shuffled).unwrap();
    let count = shuffled.len() / 4;
    (0..count).map(|i| i32::from_le_bytes([0, 1, 2, 3].map(|b| shuffled[b * count + i]))).collect()
}

#[track_caller]
fn assert_chunk(stored: &[u8], at: [u64; 3]) {
    let all = decoded(stored);
    assert_eq!(all.len() as u64, CHUNK.iter().product::<u64>());
    let axis = |i: usize| {
        let first = at[i] * CHUNK[i];
        (first, 1, (first + CHUNK[i]).min(SHAPE[i]) - 1)
    };
    let region = [axis(0), axis(1), axis(2)];
    let inside = region.map(|(first, _, last)| last - first + 1);
    let places = positions(CHUNK, inside.map(|n| (0, 1, n - 1)));
    for (place, position) in places.zip(positions(SHAPE, region)) {
        assert_eq!(all[usize::try_from(place).unwrap()], value(3, position), "{at:?}");
    }
}

#[test]
fn stored_chunks_are_served_as_they_are() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let file = fs::read(dir.path().join("sub/deflate h5.h5")).unwrap();
    let base = "/zarr/sub/deflate%20h5.h5";
    assert_eq!(json(&server, &format!("{base}/v/.zarray"))["chunks"], serde_json::json!(CHUNK));
    for at in [[0, 0, 0], [6, 4, 4], [3, 0, 4], [0, 4, 1]] {
        let [a, b, c] = at;
        let v2 = server.get(&format!("{base}/v/{a}.{b}.{c}"));
        let v3 = server.get(&format!("{base}/v/c/{a}/{b}/{c}"));
        assert_eq!((v2.status, v3.status), (200, 200));
        assert_eq!(v2.body, v3.body);
        assert_chunk(&v2.body, at);
        // The very bytes of the file.
        assert!(file.windows(v2.body.len()).any(|w| w == v2.body));
    }
    let first = format!("{base}/v/0.0.0");
    let whole = server.get(&first);
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    let head = server.ask("HEAD", &first, "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    let part = server.ask("GET", &first, "Range: bytes=10-19\r\n");
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[10..20]));
    let again = server.ask("GET", &first, &format!("If-None-Match: {}\r\n", whole.header("etag")));
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_ne!(whole.header("etag"), server.get(&format!("{base}/v/0.0.1")).header("etag"));
}

#[test]
fn values_without_encoding_are_served_in_pieces() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    for (name, version, shape) in [("fixed.nc", 1, [6_u64, 300, 500]), ("records.nc", 2, [5, 30, 40])] {
        let array = json(&server, &format!("/zarr/{name}/v/zarr.json"));
        let chunk: Vec<u64> =
            serde_json::from_value(array["chunk_grid"]["configuration"]["chunk_shape"].clone()).unwrap();
        assert_eq!(chunk[1..], shape[1..], "{name}");
        let mut found = Vec::new();
        for i in 0..shape[0].div_ceil(chunk[0]) {
            let answer = server.get(&format!("/zarr/{name}/v/c/{i}/0/0"));
            assert_eq!(answer.body.len() as u64, chunk.iter().product::<u64>() * 4);
            found.extend(answer.body.chunks(4).map(|b| i32::from_ne_bytes(b.try_into().unwrap())));
        }
        let count = shape.iter().product::<u64>();
        found.truncate(usize::try_from(count).unwrap());
        assert!((0..count).map(|p| value(version, p)).eq(found), "{name}");
        let beyond = shape[0].div_ceil(chunk[0]);
        for nothing in
            [format!("v/c/{beyond}/0/0"), format!("v/{beyond}.0.0"), "w/0".to_owned(), String::new()]
        {
            assert_eq!(server.get(&format!("/zarr/{name}/{nothing}")).status, 404, "{nothing}");
        }
    }
    assert_eq!(server.get("/zarr/nothing.nc/zarr.json").status, 404);
    assert_eq!(server.get("/zarr/../fixed.nc/zarr.json").status, 400);
    assert_eq!(server.get("/zarr/fixed.nc/../../etc/passwd").status, 404);
}

/// The bytes that a reference names, fetched as its readers do.
fn fetched(server: &Server, reference: &Json) -> Vec<u8> {
    let url = reference[0].as_str().unwrap();
    let target = url.strip_prefix("http://h").unwrap();
    let (first, len) = (reference[1].as_u64().unwrap(), reference[2].as_u64().unwrap());
    let answer = server.ask("GET", target, &format!("Range: bytes={first}-{}\r\n", first + len - 1));
    assert_eq!((answer.status, answer.body.len() as u64), (206, len), "{target}");
    answer.body
}

#[test]
fn references_lead_to_every_chunk() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let all = json(&server, "/opendap/sub/deflate%20h5.h5.kerchunk.json");
    assert_eq!(all["version"], 1);
    let array = inner(&all, "v/.zarray");
    assert_eq!(
        array["filters"],
        serde_json::json!([{"id": "shuffle", "elementsize": 4}, {"id": "zlib", "level": 1}])
    );
    for at in positions(GRID, GRID.map(|n| (0, 1, n - 1))) {
        let at = [at / 25, at / 5 % 5, at % 5];
        let reference = &all["refs"][format!("v/{}.{}.{}", at[0], at[1], at[2])];
        if at[0] == at[1] || at == [6, 4, 4] {
            assert_chunk(&fetched(&server, reference), at);
        } else {
            assert!(reference.is_array(), "{at:?}");
        }
    }
    // Interleaved records: one each, big-endian as they are stored.
    let all = json(&server, "/opendap/records.nc.kerchunk.json");
    let array = inner(&all, "v/.zarray");
    assert_eq!(
        (&array["chunks"], &array["dtype"]),
        (&serde_json::json!([1, 30, 40]), &serde_json::json!(">i4"))
    );
    for record in 0..5 {
        let bytes = fetched(&server, &all["refs"][format!("v/{record}.0.0")]);
        let values = bytes.chunks(4).map(|b| i32::from_be_bytes(b.try_into().unwrap()));
        assert!(values.eq((record * 1200..(record + 1) * 1200).map(|p| value(2, p))));
    }
    // Few values are in the document: five times 0x1122, in the machine's order.
    assert_eq!(all["refs"]["pad/0"], "base64:IhEiESIRIhEiEQ==");
}

#[test]
fn too_many_references_are_refused() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[("THALWEG_LIMITS_RESPONSE_TEXT", "4 KiB")]);
    for suffix in ["kerchunk.json", "dmrpp"] {
        let answer = server.get(&format!("/opendap/sub/deflate%20h5.h5.{suffix}"));
        assert_eq!(answer.status, 413, "{suffix}");
        assert!(answer.text().contains("limits.response_text"), "{}", answer.text());
    }
    assert_eq!(server.get("/zarr/sub/deflate%20h5.h5/v/0.0.0").status, 200);
}

#[test]
fn dmrpp_names_every_chunk() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let answer = server.get("/opendap/sub/deflate%20h5.h5.dmrpp");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/vnd.opendap.dap4.dmrpp+xml"));
    let text = answer.text();
    assert!(text.contains("dmrpp:href=\"http://h/files/sub/deflate%20h5.h5\""), "{text}");
    assert!(
        text.contains("<dmrpp:chunks compressionType=\"shuffle deflate\" fillValue=\"0\" byteOrder=\"LE\">")
    );
    assert!(text.contains("<dmrpp:chunkDimensionSizes>3 8 10</dmrpp:chunkDimensionSizes>"));
    let number = |line: &str, name: &str| -> u64 {
        line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let lines: Vec<&str> = text.lines().filter(|l| l.contains("<dmrpp:chunk ")).collect();
    assert_eq!(lines.len() as u64, GRID.iter().product::<u64>());
    for (line, at) in [(lines[0], [0, 0, 0]), (lines[174], [6, 4, 4]), (lines[32], [1, 1, 2])] {
        let place = format!("chunkPositionInArray=\"[{},{},{}]\"", at[0] * 3, at[1] * 8, at[2] * 10);
        assert!(line.contains(&place), "{line} lacks {place}");
        let url = "http://h/files/sub/deflate%20h5.h5";
        let reference = serde_json::json!([url, number(line, "offset"), number(line, "nBytes")]);
        assert_chunk(&fetched(&server, &reference), at);
    }
    let text = server.get("/opendap/fixed.nc.dmrpp").text();
    let line = text.lines().find(|l| l.contains("<dmrpp:chunk ")).unwrap();
    assert!(text.contains("byteOrder=\"BE\"") && !line.contains("chunkPosition"), "{text}");
    let reference =
        serde_json::json!(["http://h/files/fixed.nc", number(line, "offset"), number(line, "nBytes")]);
    let bytes = fetched(&server, &reference);
    let values = bytes.chunks(4).map(|b| i32::from_be_bytes(b.try_into().unwrap()));
    assert!(values.eq((0..6 * 300 * 500).map(|p| value(1, p))));
    let text = server.get("/opendap/records.nc.dmrpp").text();
    assert_eq!(text.matches("<dmrpp:chunk ").count(), 10);
}

/// References that lie beside their file are a dataset of the same values.
#[test]
fn references_can_be_served_again() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    for (name, shape) in [("fixed.nc", [6_u64, 300, 500]), ("records.nc", [5, 30, 40])] {
        let whole = server.get(&format!("/opendap/{name}.dods?v"));
        let values =
            &whole.body[whole.body.len() - usize::try_from(shape.iter().product::<u64>() * 4).unwrap()..];
        for suffix in ["dmrpp", "kerchunk.json"] {
            let text = server.get(&format!("/opendap/{name}.{suffix}")).text();
            let beside = text.replace("http://h/files/", "");
            assert_ne!(text, beside, "{name}.{suffix} names the file");
            fs::write(dir.path().join(format!("copy_of_{name}.{suffix}")), beside).unwrap();
            let again = server.get(&format!("/opendap/copy_of_{name}.{suffix}.dods?v"));
            assert_eq!(again.status, 200, "{name}.{suffix}: {}", again.head);
            assert!(again.body.ends_with(values), "{name}.{suffix}");
        }
    }
    for suffix in ["dmrpp", "kerchunk.json"] {
        let text = server.get(&format!("/opendap/sub/deflate%20h5.h5.{suffix}")).text();
        let beside = text.replace("http://h/files/sub/deflate%20h5.h5", "deflate h5.h5");
        fs::write(dir.path().join(format!("sub/copy.{suffix}")), beside).unwrap();
        for chunk in ["v/0.0.0", "v/6.4.4", "v/c/3/0/4"] {
            let stored = server.get(&format!("/zarr/sub/deflate%20h5.h5/{chunk}"));
            let again = server.get(&format!("/zarr/sub/copy.{suffix}/{chunk}"));
            assert_eq!(again.status, 200, "{suffix} {chunk}: {}", again.text());
            assert!(again.body == stored.body, "{suffix} {chunk}");
        }
    }
}
