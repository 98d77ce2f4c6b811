//! A disk that is full (promise R28): what the server keeps for its next start cannot be written. Serving goes on, the log and
//! a metric say so, and when there is room again it is written again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/dap.rs"]
mod dap;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use common::Server;

fn start(data: &Path, kept: &Path) -> Server {
    Server::start(data, &[], &[("THALWEG_INDEX_FOLDER", kept.to_str().unwrap())])
}

/// The names of the regular files in `folder`, without those that are not yet written whole (or were not, when their server was
/// killed).
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let whole = entries.filter(|entry| entry.path().extension().is_none_or(|extension| extension != "new"));
    let regular = whole.filter(|entry| entry.file_type().unwrap().is_file());
    regular.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn failures(server: &Server) -> u64 {
    let text = server.get("/-/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("thalweg_index_write_failures_total "));
    line.unwrap_or_else(|| panic!("no such metric: {text}")).parse().unwrap()
}

#[test]
fn a_full_disk_costs_what_would_have_been_kept_and_nothing_else() {
    let (data, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    netcdf3::write(&data.path().join("a.nc"), [3, 4, 5], 1, false);
    let listed = |server: &Server| assert_eq!(server.get("/catalog.xml").status, 200);

    // What is kept, and under which name.
    let server = start(data.path(), kept.path());
    listed(&server);
    until("summaries are kept", || !files(kept.path()).is_empty());
    drop(server);
    let name = files(kept.path()).remove(0);
    fs::remove_file(kept.path().join(&name)).unwrap();

    // Each file that will be written is now one of a device that is always full.
    let mut server = start(data.path(), kept.path());
    let temporary = |n: u32| kept.path().join(format!("{name}.{}-{n}.new", server.id()));
    (0..200).for_each(|n| symlink("/dev/full", temporary(n)).unwrap());
    listed(&server);
    until("it is counted", || failures(&server) > 0);
    assert!(files(kept.path()).is_empty());
    assert!(server.log().contains("No space left on device"), "{}", server.log());
    let answer = server.get("/opendap/a.nc.dap?dap4.ce=/v");
    assert_eq!(answer.status, 200);
    let expected: Vec<i32> = (0..60).map(|position| netcdf3::value(1, position)).collect();
    assert_eq!(dap::dap4_ints(&dap::dap4(&answer.body)).take(60).collect::<Vec<_>>(), expected);
    assert_eq!(server.get("/-/ready").status, 200);

    // There is room again.
    for n in 0..200 {
        // The server has removed some itself.
        let _ = fs::remove_file(temporary(n));
    }
    netcdf3::write(&data.path().join("b.nc"), [3, 4, 5], 2, false);
    listed(&server);
    until("it is written again", || files(kept.path()).contains(&name));
    server.assert_sound();
}
