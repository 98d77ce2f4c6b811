//! A set of files that grows while many read it as one dataset: every answer is whole and of one snapshot,
//! what is still being written is never seen, what rests is seen soon.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/dap.rs"]
mod dap;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::Server;

/// Values of `v` in each file.
const WIDTH: i32 = 300;

/// Files that are written while others read.
const FILES: i32 = 40;

fn value(time: i32, x: i32) -> i32 {
    time * 1000 + x
}

/// netCDF-3 of `int time(time)` and `int v(time, x)`, with one time.
fn netcdf(time: i32) -> Vec<u8> {
    fn name(out: &mut Vec<u8>, name: &str) {
        out.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        out.extend(name.bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let numbers = |out: &mut Vec<u8>, all: &[u32]| all.iter().for_each(|n| out.extend(n.to_be_bytes()));
    let mut out = b"CDF\x01".to_vec();
    numbers(&mut out, &[0, 10, 2]);
    name(&mut out, "time");
    numbers(&mut out, &[1]);
    name(&mut out, "x");
    numbers(&mut out, &[WIDTH.cast_unsigned(), 0, 0, 11, 2]);
    let head = u32::try_from(out.len()).unwrap() + (8 + 4 * 7) + (8 + 4 * 8);
    name(&mut out, "time");
    numbers(&mut out, &[1, 0, 0, 0, 4, 4, head]);
    name(&mut out, "v");
    numbers(&mut out, &[2, 0, 1, 0, 0, 4, 4 * WIDTH.cast_unsigned(), head + 4]);
    assert_eq!(out.len(), usize::try_from(head).unwrap());
    out.extend(time.to_be_bytes());
    (0..WIDTH).for_each(|x| out.extend(value(time, x).to_be_bytes()));
    out
}

/// Writes a file as a slow program does: in pieces.
fn write_slowly(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        file.write_all(piece).unwrap();
        file.flush().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Puts a file there that has been written long ago.
fn put(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(&temporary).unwrap().set_modified(long_ago).unwrap();
    fs::rename(&temporary, path).unwrap();
}

/// The times of one answer, every value of which is checked; and its `ETag`.
fn one_answer(server: &Server, dataset: &str) -> (Vec<i32>, String) {
    let answer = server.get(&format!("/opendap/{dataset}.dap?dap4.ce=/time;/v&dap4.checksum=false"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let parts = dap::dap4(&answer.body);
    assert!(parts.ended && parts.error.is_none() && answer.complete);
    let all: Vec<i32> = dap::dap4_ints(&parts).collect();
    let count = all.len() / usize::try_from(1 + WIDTH).unwrap();
    assert_eq!(all.len(), count * usize::try_from(1 + WIDTH).unwrap(), "as many values as times");
    let (times, values) = all.split_at(count);
    let expected: Vec<i32> = times.iter().flat_map(|&time| (0..WIDTH).map(move |x| value(time, x))).collect();
    assert!(values == expected, "each value belongs to its time");
    let tag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    (times.to_vec(), tag.to_owned())
}

#[test]
fn a_set_that_grows_is_whole_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let parts = dir.path().join("parts");
    fs::create_dir(&parts).unwrap();
    put(&parts.join("0000.nc"), &netcdf(0));
    fs::write(
        dir.path().join("all.ncml"),
        "<netcdf><aggregation type=\"joinExisting\" dimName=\"time\"><scan location=\"parts\" suffix=\".nc\"/>\
         </aggregation></netcdf>",
    )
    .unwrap();
    let settings = dir.path().join("thalweg.toml");
    let tables = "[[dataset]]\nname = \"set\"\nglob = \"parts/*.nc\"\njoin = \"time\"\n\
                  [[dataset]]\nname = \"all\"\nncml = \"all.ncml\"\n";
    fs::write(&settings, tables).unwrap();
    let environment = [("THALWEG_AGGREGATION_QUIET", "300 ms"), ("THALWEG_INDEX_FOLDER", "none")];
    let mut server = Server::start(dir.path(), &["--config", settings.to_str().unwrap()], &environment);
    let over = AtomicBool::new(false);
    let tags: Mutex<HashMap<(usize, String), usize>> = Mutex::default();
    std::thread::scope(|scope| {
        for reader in 0..4 {
            let dataset = ["all", "set"][reader % 2];
            let (server, over, tags) = (&server, &over, &tags);
            scope.spawn(move || {
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let (times, tag) = one_answer(server, dataset);
                    let count = times.len();
                    assert!(times == (0..i32::try_from(count).unwrap()).collect::<Vec<_>>(), "{times:?}");
                    assert!(count >= last, "what was there is gone: {count} after {last}");
                    last = count;
                    let known = *tags.lock().unwrap().entry((reader % 2, tag)).or_insert(count);
                    assert_eq!(known, count, "one version, two contents");
                }
            });
        }
        for time in 1..=FILES {
            write_slowly(&parts.join(format!("{time:04}.nc")), &netcdf(time));
            std::thread::sleep(Duration::from_millis(20));
        }
        let written = Instant::now();
        for dataset in ["all", "set"] {
            while one_answer(&server, dataset).0.len() <= usize::try_from(FILES).unwrap() {
                assert!(written.elapsed() < Duration::from_secs(2), "the last file is not seen");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(tags.lock().unwrap().len() > 4, "it grew under the eyes of readers");
    server.assert_sound();
}

/// Waits until the dataset has these times; each answer until then is whole.
fn becomes(server: &Server, times: &[i32]) {
    let since = Instant::now();
    while one_answer(server, "in/set").0 != times {
        assert!(since.elapsed() < Duration::from_secs(2), "not {times:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn broken_replaced_and_removed_members_and_versions() {
    let dir = tempfile::tempdir().unwrap();
    for time in 0..4 {
        put(&dir.path().join(format!("{time}.nc")), &netcdf(time));
    }
    put(&dir.path().join("4.nc"), b"CDF\x01 and no more");
    let settings = dir.path().join("thalweg.toml");
    fs::write(&settings, "[[dataset]]\nname = \"in/set\"\nglob = \"*.nc\"\njoin = \"time\"\n").unwrap();
    let environment = [("THALWEG_AGGREGATION_QUIET", "100 ms"), ("THALWEG_INDEX_FOLDER", "none")];
    let mut server = Server::start(dir.path(), &["--config", settings.to_str().unwrap()], &environment);
    let current = |server: &Server| {
        let gone = server.get("/opendap/in/set@nothing.dds");
        assert_eq!(gone.status, 404);
        let text = gone.text();
        let version = text.split("in/set@").nth(1).unwrap_or_else(|| panic!("{text}"));
        version.chars().take_while(char::is_ascii_hexdigit).collect::<String>()
    };
    assert_eq!(one_answer(&server, "in/set").0, [0, 1, 2, 3], "the broken one is left out");
    let first = current(&server);
    assert_eq!(one_answer(&server, &format!("in/set@{first}")).0, [0, 1, 2, 3]);
    assert!(server.get("/in/").text().contains("set"), "it is listed");
    assert!(server.log().contains("4.nc"), "the log names the broken one: {}", server.log());
    // Replaced by another that has rested: the old one is served whole, then the new one.
    put(&dir.path().join("3.nc"), &netcdf(7));
    becomes(&server, &[0, 1, 2, 7]);
    let second = current(&server);
    assert_ne!(first, second);
    let old = server.get(&format!("/opendap/in/set@{first}.dap?dap4.ce=/time"));
    assert!(
        old.status == 200 || old.status == 409,
        "known times, or a member that is not there: {}",
        old.status
    );
    fs::remove_file(dir.path().join("0.nc")).unwrap();
    becomes(&server, &[1, 2, 7]);
    server.assert_sound();
}
