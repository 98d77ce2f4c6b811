//! `thalweg explain`: what is told of a URL is what the server does when it is asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{fs, path::Path, process::Command};

use common::Server;
use serde_json::Value;

/// What is told of `url` where `root` is served, and the exit code.
fn explain(root: &Path, url: &str, flags: &[&str]) -> (Value, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["explain", "--json", url])
        .arg(root)
        .args(flags)
        .env("THALWEG_INDEX_FOLDER", "none")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{url}: {e}: {text}{}", String::from_utf8_lossy(&output.stderr));
    });
    (told, output.status.code())
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.get("/-/metrics").text();
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    values.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("deflate.h5"), include_bytes!("data/deflate.h5")).unwrap();
    netcdf3::write(&dir.path().join("plain.nc"), [20, 30, 40], 1, true);
    dir
}

#[test]
fn sizes_chunks_and_bytes_are_those_of_the_answer() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    // The files are open, and what leads to their chunks has been read.
    server.get("/opendap/deflate.h5.dap?dap4.ce=/v[0:2][0:7][0:9]");
    server.get("/opendap/plain.nc.dods?v[0:0][0:0][0:0]");
    for (target, chunks, encoded) in [
        ("/opendap/deflate.h5.dap?dap4.ce=/v[3:5][][]", 25, 25),
        ("/opendap/deflate.h5.dods?v[6:7][0:7][10:19]", 1, 1),
        ("/opendap/deflate.h5.dap?dap4.ce=/v[9:2:19][8:32][20:46]&dap4.checksum=true", 48, 48),
        ("/opendap/plain.nc.dap?dap4.ce=/v[3:5][][]", 3, 0),
        ("/opendap/plain.nc.dods?v[6:8][2:3][0:39]", 3, 0),
        ("/opendap/plain.nc.dods?v[19][29][39]", 1, 0),
    ] {
        let (told, code) = explain(dir.path(), &format!("http://h{target}"), &[]);
        assert_eq!((told["status"].as_u64(), code), (Some(200), Some(0)), "{told}");
        let before =
            [metric(&server, "thalweg_chunks_decoded_total"), metric(&server, "thalweg_read_bytes_total")];
        let answer = server.get(target);
        let decoded = metric(&server, "thalweg_chunks_decoded_total") - before[0];
        let read = metric(&server, "thalweg_read_bytes_total") - before[1];
        assert_eq!(told["bytes"].as_u64(), Some(answer.body.len() as u64), "{target}: {told}");
        let reads = &told["reads"];
        assert_eq!(reads["chunks"].as_u64(), Some(chunks), "{target}: {told}");
        assert_eq!((reads["encoded"].as_u64(), decoded), (Some(encoded), encoded), "{target}: {told}");
        assert_eq!(reads["bytes"].as_u64(), Some(read), "{target}: {told}");
        assert_eq!(reads["objects"].as_u64(), Some(1), "{target}: {told}");
        assert!(told["time"]["seconds"].as_f64().unwrap() > 0.0, "{told}");
    }
}

#[test]
fn what_would_be_refused_is_told_with_the_servers_words() {
    let dir = folder();
    let server = Server::start(
        dir.path(),
        &["--config", "/dev/null"],
        &[("THALWEG_LIMITS_RESPONSE_BINARY", "10 KiB")],
    );
    for (target, status) in [
        ("/opendap/nothing.nc.dap", 404),
        ("/opendap/plain.nc.dap?dap4.ce=/v[0:99][][]", 400),
        ("/opendap/plain.nc.dods?nothing", 400),
        ("/nowhere", 404),
        ("/opendap/../plain.nc.dap", 400),
    ] {
        let (told, code) = explain(dir.path(), target, &[]);
        assert_eq!((told["status"].as_u64(), code), (Some(status), Some(1)), "{target}: {told}");
        let answer = server.get(target);
        assert_eq!(u64::from(answer.status), status, "{target}");
        let problem = told["problem"].as_str().unwrap();
        let said = String::from_utf8_lossy(&answer.body).replace("&gt;", ">").replace("\\\"", "\"");
        assert!(said.contains(problem), "{target}: {problem} in {said}");
    }
    let config = dir.path().join("thalweg.toml");
    fs::write(&config, "[limits]\nresponse_binary = \"10 KiB\"\n").unwrap();
    let whole = "/opendap/plain.nc.dap?dap4.ce=/v";
    let (told, code) = explain(dir.path(), whole, &["--config", config.to_str().unwrap()]);
    assert_eq!((told["status"].as_u64(), code), (Some(413), Some(1)), "{told}");
    assert_eq!(server.get(whole).status, 413);
    let check = told["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (check["name"].as_str(), check["holds"].as_bool()),
        (Some("limits.response_binary"), Some(false))
    );
}

#[test]
fn every_kind_of_address_has_a_meaning() {
    let dir = folder();
    for (url, asks_for) in [
        ("http://h/", "the folder '' as a page"),
        ("http://h/catalog.xml", "the folder '' as a THREDDS catalog"),
        ("http://h/files/plain.nc", "the stored file itself, or ranges of it"),
        ("http://h/opendap/plain.nc#dap4", "the services of a dataset: its page, or DAP4's list (.dsr)"),
        ("http://h/opendap/plain.nc.dds", "the structure, in DAP2 (.dds)"),
        ("http://h/opendap/plain.nc.ascii?v[0][0][0]", "values, as text (.ascii)"),
        ("http://h/zarr/deflate.h5/v/0.0.0", "what a Zarr store of the dataset holds under a key"),
        ("http://h/-/ready", "whether the server can serve (a probe)"),
    ] {
        let (told, code) = explain(dir.path(), url, &[]);
        assert_eq!((told["asks_for"].as_str(), code), (Some(asks_for), Some(0)), "{url}: {told}");
    }
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_thalweg")).arg("explain").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let root = dir.path().to_str().unwrap();
    assert_eq!(run(&["ftp://h/x", root]).0, Some(2));
    assert_eq!(run(&["http://h/x"]).0, Some(2));
    let (code, text) = run(&["http://h/opendap/deflate.h5.dap?dap4.ce=/v[0:2][][]", root]);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "asks for   values, as DAP4 data (.dap)\n",
        "dataset    deflate.h5 (HDF5)\n",
        "variable   Int32 /v[3][phony_dim_1 = 33][phony_dim_2 = 47]\n",
        " of 25 chunks in 1 file, all to decode\n",
        "limit      limits.response_binary: ",
        "time       about ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
