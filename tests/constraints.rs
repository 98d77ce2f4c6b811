//! Limits and errors of constraints through the running server (promises R17 to R20): refused at once,
//! with the place and the valid range, and the same however the URL is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::time::{Duration, Instant};

use common::Server;

fn start() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [3, 4, 5], 1, false);
    let server = Server::start(dir.path(), &[], &[]);
    (dir, server)
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The two URLs that mean `four` in DAP4 and `two` in DAP2.
fn targets(four: &str, two: &str) -> [String; 2] {
    [format!("/opendap/a.nc.dap?dap4.ce={}", encoded(four)), format!("/opendap/a.nc.dods?{}", encoded(two))]
}

#[test]
fn constraints_have_limits() {
    let (_dir, mut server) = start();
    let many = |n: usize, separator: &str| vec!["v"; n].join(separator);
    let cases = [
        ("projections", many(1_001, ";"), many(32_769, ",")),
        ("slices", format!("v{}", "[0]".repeat(65)), format!("v{}", "[0]".repeat(65))),
        ("nesting", format!("v{}a{}", "{".repeat(65), "}".repeat(65)), format!("v{}", ".a".repeat(65))),
        ("open brackets", "[".repeat(20_000), "[".repeat(20_000)),
        ("open braces", "v{".repeat(10_000), "(".repeat(20_000)),
        ("digits", format!("v[{}]", "9".repeat(20_000)), format!("v[{}]", "9".repeat(20_000))),
        ("a long name", "n".repeat(20_000), "n".repeat(20_000)),
        ("selections", format!("v|{}", "a<1,".repeat(2_000)), format!("v{}", "&v<1".repeat(2_000))),
        ("escapes", "\\".repeat(20_000), "%25".repeat(6_000)),
        ("calls", "f(".repeat(5_000), "f(".repeat(5_000)),
    ];
    for (what, four, two) in cases {
        for target in targets(&four, &two) {
            let begin = Instant::now();
            let answer = server.get(&target);
            let time = begin.elapsed();
            assert!([400, 413, 414].contains(&answer.status), "{what}: {} {}", answer.head, answer.text());
            assert!(time < Duration::from_millis(500), "{what} takes {time:?}");
            assert!(answer.body.len() < 10_000, "{what}: the answer echoes {} bytes", answer.body.len());
        }
    }
    // As many as are allowed work.
    for target in targets(&many(1_000, ";"), &many(15_000, ",")) {
        let answer = server.get(&target);
        assert_eq!(answer.status, 200, "{} {}", answer.head, answer.text());
    }
    server.assert_sound();
}

#[test]
fn wrong_indices_are_explained() {
    let (_dir, mut server) = start();
    for (slices, names) in [
        ("[3][0][0]", "0 to 2"),
        ("[0:1:99][0][0]", "0 to 2"),
        ("[0][4][0]", "0 to 3"),
        ("[0][0][18446744073709551616]", ""),
        ("[2:1][0][0]", ""),
        ("[0:0:2][0][0]", ""),
        ("[-1][0][0]", ""),
        ("[a][0][0]", ""),
        ("[0]", ""),
        ("[0][0][0][0]", ""),
        ("[0][0][0", ""),
    ] {
        for target in targets(&format!("/v{slices}"), &format!("v{slices}")) {
            let answer = server.get(&target);
            let text = answer.text();
            assert_eq!(answer.status, 400, "{target}: {text}");
            assert!(text.contains("character"), "{slices} {target}: where? {text}");
            assert!(text.contains(names), "{slices} {target}: {text}");
            let form = if target.contains(".dap") { "<Error" } else { "Error {" };
            assert!(text.contains(form), "{target}: {text}");
        }
    }
    for target in targets("/vv", "vv") {
        let answer = server.get(&target);
        assert!([400, 404].contains(&answer.status), "{}", answer.head);
        assert!(answer.text().contains('v'), "{}", answer.text());
    }
    server.assert_sound();
}

#[test]
fn one_constraint_written_in_several_ways_is_one_answer() {
    let (_dir, server) = start();
    let whole = server.get("/opendap/a.nc.dods?v[0:1][2][0:2:4]");
    assert_eq!(whole.status, 200, "{}", whole.text());
    for same in [
        "/opendap/a.nc.dods?v%5B0:1%5D%5B2%5D%5B0:2:4%5D",
        "/opendap/a.nc.dods?v%5b0%3a1%5d%5b2%5d%5b0%3A2%3A4%5D",
        "/dodsC/a.nc.dods?v[0:1][2][0:2:4]",
        "/thredds/dodsC/a.nc.dods?v[0:1][2][0:2:4]",
        // The absolute form that proxies send: its host is not ours to judge.
        "http://elsewhere.example/opendap/a.nc.dods?v[0:1][2][0:2:4]",
    ] {
        let answer = server.get(same);
        assert_eq!(answer.status, 200, "{same}");
        assert_eq!(answer.body, whole.body, "{same}");
    }
}
