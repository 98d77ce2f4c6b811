//! Many clients at once, random hyperslabs, every byte compared with what the test itself computes
//! (promise R9): no wrong byte, no failure.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/dap.rs"]
mod dap;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cdm::testing::Random;
use common::Server;
use netcdf3::{Axis, positions, value};

const CLIENTS: u64 = 48;
const TIME: Duration = Duration::from_secs(6);

/// A file, its variable's shape, and the version its values were made with.
const FILES: [(&str, [u64; 3], u32); 3] =
    [("fixed.nc", [9, 70, 90], 1), ("records.nc", [40, 30, 25], 2), ("deflate.h5", [20, 33, 47], 3)];

fn axis(random: &mut Random, size: u64) -> Axis {
    let start = random.below(size);
    let step = if random.below(2) == 0 { 1 } else { 1 + random.below(7) };
    (start, step, start + random.below(size - start))
}

fn one_request(server: &Server, random: &mut Random) {
    let (name, shape, version) = FILES[usize::try_from(random.below(3)).unwrap()];
    let whole = random.below(20) == 0;
    let axes = shape.map(|n| if whole { (0, 1, n - 1) } else { axis(random, n) });
    let slices = axes.map(|(start, step, last)| format!("[{start}:{step}:{last}]")).concat();
    let slices = if whole { String::new() } else { slices };
    // Brackets as they are and encoded: the same request (promise R20).
    let slices = if random.below(2) == 0 { slices.replace('[', "%5B").replace(']', "%5D") } else { slices };
    let expected: Vec<i32> = positions(shape, axes).map(|p| value(version, p)).collect();
    let target = if random.below(2) == 0 {
        format!("/opendap/{name}.dap?dap4.ce=/v{slices}&dap4.checksum=true")
    } else {
        format!("/opendap/{name}.dods?v{slices}")
    };
    let answer = server.get(&target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    if target.contains(".dap") {
        let parts = dap::dap4(&answer.body);
        assert!(parts.ended && parts.data.len() == expected.len() * 4 + 4, "{target}");
        let found: Vec<i32> = dap::dap4_ints(&parts).take(expected.len()).collect();
        assert!(found == expected, "{target}");
        let (data, sum) = parts.data.split_at(expected.len() * 4);
        let sum: [u8; 4] = sum.try_into().unwrap();
        let sum = if parts.little_endian { u32::from_le_bytes(sum) } else { u32::from_be_bytes(sum) };
        assert_eq!(crc32fast::hash(data), sum, "{target}");
    } else {
        let xdr = dap::xdr(&answer.body).unwrap();
        let len = u32::try_from(expected.len()).unwrap().to_be_bytes();
        assert_eq!(
            (&xdr[..4], &xdr[4..8], xdr.len()),
            (&len[..], &len[..], 8 + 4 * expected.len()),
            "{target}"
        );
        let found: Vec<i32> = dap::xdr_ints(xdr).collect();
        assert!(found == expected, "{target}");
    }
}

#[test]
fn random_hyperslabs_under_load_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("fixed.nc"), FILES[0].1, 1, false);
    netcdf3::write(&dir.path().join("records.nc"), FILES[1].1, 2, true);
    let chunked = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/deflate.h5");
    fs::copy(chunked, dir.path().join("deflate.h5")).unwrap();
    // Little memory, so that bands are small and the caches are always full.
    let little = [("THALWEG_LIMITS_MEMORY", "8 MiB"), ("THALWEG_LIMITS_CHUNK_CACHE", "64 KiB")];
    let mut server = Server::start(dir.path(), &[], &little);
    let requests = AtomicU64::new(0);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let (server, requests) = (&server, &requests);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut random = Random(client << 20);
                    while begin.elapsed() < TIME {
                        one_request(server, &mut random);
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
        assert_eq!(failed, 0, "clients met wrong bytes or failures");
    });
    let requests = requests.into_inner();
    assert!(requests > 200, "only {requests} requests: that is no load");
    server.assert_sound();
}

/// What waits for its DAP4 chunk to be complete must not hold the memory that others need to complete theirs.
#[test]
fn more_readers_than_there_is_memory_for_all_come_to_their_end() {
    const READERS: usize = 96;
    let shape = [100, 130, 90];
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("v.nc"), shape, 1, false);
    let little = [("THALWEG_LIMITS_MEMORY", "4 MiB")];
    let mut server = Server::start(dir.path(), &[], &little);
    let whole = server.get("/opendap/v.nc.dap?dap4.ce=/v");
    assert_eq!(whole.status, 200);
    let expected: Vec<i32> = positions(shape, shape.map(|n| (0, 1, n - 1))).map(|p| value(1, p)).collect();
    assert!(dap::dap4_ints(&dap::dap4(&whole.body)).eq(expected));
    let differing: usize = std::thread::scope(|scope| {
        let (server, whole) = (&server, &whole);
        let read = || usize::from(server.get("/opendap/v.nc.dap?dap4.ce=/v").body != whole.body);
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert_eq!(differing, 0, "readers did not get all");
    server.assert_sound();
}

/// Clients that take nothing of large answers may hold most of the memory, not all of it (promise R7).
#[test]
fn clients_that_take_nothing_leave_memory_for_the_others() {
    const STALLED: usize = 56;
    const MEMORY: u64 = 32 << 20;
    let shape = [4, 500, 500];
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("v.nc"), shape, 1, false);
    let folder = dir.path().join("large.zarr");
    fs::create_dir_all(folder.join("v")).unwrap();
    let array = r#"{"zarr_format":2,"shape":[100000,500,500],"chunks":[1,500,500],"dtype":"<f4","fill_value":7.5,
        "order":"C","filters":null,"compressor":{"id":"zlib","level":1}}"#;
    fs::write(folder.join(".zgroup"), r#"{"zarr_format":2}"#).unwrap();
    fs::write(folder.join("v/.zarray"), array).unwrap();
    fs::write(folder.join("v/.zattrs"), r#"{"_ARRAY_DIMENSIONS":["t","y","x"]}"#).unwrap();
    let mut server = Server::start(dir.path(), &[], &[("THALWEG_LIMITS_MEMORY", "32 MiB")]);
    let in_flight = || {
        let text = server.get("/-/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix("dap_inflight_bytes "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let stalled: Vec<_> = (0..STALLED)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET /opendap/large.zarr.dap?dap4.ce=/v HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // Who holds much does not let go, and others have begun to wait for it.
    let begin = Instant::now();
    while in_flight() < MEMORY / 2 {
        assert!(begin.elapsed() < Duration::from_secs(10), "only {} bytes are held", in_flight());
    }
    std::thread::sleep(Duration::from_secs(4));
    let expected: Vec<i32> = positions(shape, shape.map(|n| (0, 1, n - 1))).map(|p| value(1, p)).collect();
    for _ in 0..5 {
        let answer = server.get("/opendap/large.zarr.dap?dap4.ce=/v[7:16][][]");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let parts = dap::dap4(&answer.body);
        let fill =
            parts.data.chunks_exact(4).take(10 * 500 * 500).filter(|value| **value == 7.5_f32.to_le_bytes());
        assert!(parts.ended && parts.little_endian && fill.count() == 10 * 500 * 500);
        let answer = server.get("/opendap/v.nc.dap?dap4.ce=/v");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(dap::dap4_ints(&dap::dap4(&answer.body)).eq(expected.iter().copied()));
    }
    assert!(in_flight() >= MEMORY / 2, "they are still there");
    drop(stalled);
    server.assert_sound();
}
