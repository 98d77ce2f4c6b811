//! `thalweg check`: what it says of good and of damaged datasets, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::Value;

/// One example of each kind of problem that damage alone does not make, and a good file.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/check");

/// 2,000 deflated chunks and nothing that checks them.
const DEFLATE: &[u8] = include_bytes!("data/deflate.h5");

const CLASSIC: &[u8] = include_bytes!("../handlers/netcdf3/tests/data/cdf1_types.nc");

/// Exit code, standard output, standard error.
fn check(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let output = command.arg("check").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The examples, without the script that makes them.
fn examples() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(EXAMPLES), dir.path());
    fs::remove_file(dir.path().join("make.py")).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn each_problem_has_its_consequence_and_its_fix() {
    let dir = examples();
    let (code, text, errors) = check(dir.path(), &["."]);
    assert_eq!((code, errors.as_str()), (1, ""));
    insta::assert_snapshot!(text, @r#"
    warning: chunks.h5 /huge: its chunks are of 128 MiB each
        consequence: one value costs reading and decoding a whole chunk, which takes all of limits.memory (128 MiB) and leaves other requests waiting
        fix: write it with chunks of 1 to 16 MiB (nccopy -c, h5repack -l CHUNK), or raise limits.memory
    warning: chunks.h5 /tiny: it lies in 20000 chunks of 8 bytes
        consequence: reading it is slow: finding and fetching the chunks takes far longer than their bytes
        fix: write it with chunks of 1 to 16 MiB (nccopy -c, h5repack -l CHUNK)
    warning: disordered.nc /time: it is the coordinate of its dimension, and its values do not run in one direction (index 2)
        consequence: clients that look up an index by value (nearest, ranges of time or place) fail or find the wrong one
        fix: sort the data along this dimension, give every place a value, or choose another _FillValue (ncap2, xarray sortby)
    warning: disordered.nc /lat: it is the coordinate of its dimension, and has no value at index 1
        consequence: clients that look up an index by value (nearest, ranges of time or place) fail or find the wrong one
        fix: sort the data along this dimension, give every place a value, or choose another _FillValue (ncap2, xarray sortby)
    warning: disordered.nc /air: its attribute coordinates names what is not there: depth
        consequence: clients that follow the CF conventions do not know where its values are
        fix: add the variable, or correct the attribute (ncatted -a)
    error: filters.h5 /strange: filter 511 is not supported; supported are: deflate, shuffle, fletcher32, szip, nbit, scaleoffset, bzip2 (307), lzf (32000), blosc (32001), lz4 (32004), bitshuffle (32008), zstd (32015), blosc2 (32026)
        consequence: it is listed, and reading these values fails with 501 Not Implemented; the rest of the dataset is served
        fix: write it again with a compression and a type that are served (of HDF5: h5repack -f GZIP=4)
    error: outside.h5 /outside: the data are in other files (external storage), which are not opened
        consequence: it is listed, and reading these values fails with 403 Forbidden; the rest of the dataset is served
        fix: store the values in the dataset itself, or beside it in the served folder; chunk references may also lead to the places in references.allow
    warning: types.h5: names with characters that have a meaning in a URL or lie outside ASCII: /naïve name
        consequence: such characters are percent-encoded in requests, outside ASCII DAP2 clients see _uXXXX_ instead, and some clients cannot ask for them at all
        fix: rename them with letters, digits and _ . - + @ (ncrename -v, h5py move)
    warning: types.h5: DAP2 has no form for /bytes (Opaque), /counter (Int64)
        consequence: DAP2 clients do not see it; DAP4 clients do
        fix: read it with DAP4, or store it as what DAP2 has: integers of 8 to 32 bits, floats, strings
    7 datasets, 9 problems
    "#);
}

#[test]
fn json_says_the_same() {
    let dir = examples();
    fs::remove_file(dir.path().join("types.h5")).unwrap();
    fs::remove_file(dir.path().join("chunks.h5")).unwrap();
    fs::remove_file(dir.path().join("outside.h5")).unwrap();
    let (code, json, _) = check(dir.path(), &["--json", "."]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(json, @r#"
    {
      "datasets": 4,
      "problems": [
        {
          "level": "warning",
          "dataset": "disordered.nc",
          "variable": "/time",
          "what": "it is the coordinate of its dimension, and its values do not run in one direction (index 2)",
          "consequence": "clients that look up an index by value (nearest, ranges of time or place) fail or find the wrong one",
          "fix": "sort the data along this dimension, give every place a value, or choose another _FillValue (ncap2, xarray sortby)"
        },
        {
          "level": "warning",
          "dataset": "disordered.nc",
          "variable": "/lat",
          "what": "it is the coordinate of its dimension, and has no value at index 1",
          "consequence": "clients that look up an index by value (nearest, ranges of time or place) fail or find the wrong one",
          "fix": "sort the data along this dimension, give every place a value, or choose another _FillValue (ncap2, xarray sortby)"
        },
        {
          "level": "warning",
          "dataset": "disordered.nc",
          "variable": "/air",
          "what": "its attribute coordinates names what is not there: depth",
          "consequence": "clients that follow the CF conventions do not know where its values are",
          "fix": "add the variable, or correct the attribute (ncatted -a)"
        },
        {
          "level": "error",
          "dataset": "filters.h5",
          "variable": "/strange",
          "what": "filter 511 is not supported; supported are: deflate, shuffle, fletcher32, szip, nbit, scaleoffset, bzip2 (307), lzf (32000), blosc (32001), lz4 (32004), bitshuffle (32008), zstd (32015), blosc2 (32026)",
          "consequence": "it is listed, and reading these values fails with 501 Not Implemented; the rest of the dataset is served",
          "fix": "write it again with a compression and a type that are served (of HDF5: h5repack -f GZIP=4)"
        }
      ]
    }
    "#);
}

#[test]
fn good_files_are_not_blamed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::copy(format!("{EXAMPLES}/good.nc"), dir.path().join("good.nc")).unwrap();
    fs::write(dir.path().join("sub/deflate.h5"), DEFLATE).unwrap();
    copy(&Path::new(EXAMPLES).join("shards.zarr"), &dir.path().join("sub/shards.zarr"));
    fs::write(dir.path().join("classic.nc"), CLASSIC).unwrap();
    let empty = include_bytes!("../handlers/netcdf3/tests/data/cdf1_no_records.nc");
    fs::write(dir.path().join("no_records.nc"), empty).unwrap();
    // Not data: ignored.
    fs::write(dir.path().join("README.txt"), "text").unwrap();
    fs::write(dir.path().join("sub/.hidden.nc"), "not shown").unwrap();
    for arguments in [&["."][..], &["--deep", "."]] {
        assert_eq!(check(dir.path(), arguments), (0, "5 datasets, 0 problems\n".to_owned(), String::new()));
    }
    let (code, json, _) = check(dir.path(), &["--json", "good.nc"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &report), (0, &serde_json::json!({"datasets": 1, "problems": []})));
}

#[test]
fn what_cannot_be_opened_is_an_error_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty.nc"), b"").unwrap();
    fs::write(dir.path().join("garbage.h5"), [0x55; 4096]).unwrap();
    fs::write(dir.path().join("short.nc"), &CLASSIC[..CLASSIC.len() / 2]).unwrap();
    fs::write(dir.path().join("whole.nc"), CLASSIC).unwrap();
    fs::write(dir.path().join("back\\slash.nc"), CLASSIC).unwrap();
    symlink("/etc/hostname", dir.path().join("outside.nc")).unwrap();
    symlink("nowhere", dir.path().join("nowhere.nc")).unwrap();
    // A folder within itself.
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/whole.nc"), CLASSIC).unwrap();
    symlink("../sub", dir.path().join("sub/again")).unwrap();
    let (code, json, _) = check(dir.path(), &["--json", "."]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let told: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["level"].as_str().unwrap(), p["dataset"].as_str().unwrap()))
        .collect();
    let expected = [
        ("error", "back\\\\slash.nc"),
        ("error", "nowhere.nc"),
        ("error", "outside.nc"),
        ("error", "empty.nc"),
        ("error", "garbage.h5"),
        ("error", "short.nc"),
        ("warning", "sub/again/"),
    ];
    assert_eq!((code, told.as_slice()), (1, &expected[..]));
    assert_eq!(report["datasets"], 5);
    assert!(!json.contains(dir.path().to_str().unwrap()), "no path of the machine: {json}");
}

#[test]
fn damage_between_the_ends_is_found_by_reading_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut damaged = DEFLATE.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    fs::write(dir.path().join("damaged.h5"), damaged).unwrap();
    assert_eq!(check(dir.path(), &["."]).0, 0, "the first and the last value can be read");
    let (code, text, _) = check(dir.path(), &["--deep", "."]);
    assert_eq!(code, 1);
    assert!(text.starts_with("error: damaged.h5 /v: chunk "), "{text}");
    assert!(text.ends_with("1 dataset, 1 problem\n"), "{text}");
}

#[test]
fn what_readers_leave_out_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("s.zarr/v")).unwrap();
    fs::write(dir.path().join("s.zarr/.zgroup"), r#"{"zarr_format":2}"#).unwrap();
    let array = r#"{"zarr_format":2,"shape":[1],"chunks":[1],"dtype":"<i7","compressor":null,"fill_value":0,"order":"C","filters":null}"#;
    fs::write(dir.path().join("s.zarr/v/.zarray"), array).unwrap();
    let (code, text, _) = check(dir.path(), &["."]);
    assert_eq!(code, 1);
    assert!(text.starts_with("warning: s.zarr: left out; variable: /v; error: "), "{text}");
    assert!(text.ends_with("1 dataset, 1 problem\n"), "{text}");
}

#[test]
fn damaged_shards_are_found() {
    let whole = fs::read(format!("{EXAMPLES}/shards.zarr/v/c/1")).unwrap();
    let mut flipped = whole.clone();
    flipped[2] ^= 1;
    for (damaged, why) in [(&whole[..whole.len() - 10], "truncated"), (&flipped, "a wrong checksum")] {
        let dir = tempfile::tempdir().unwrap();
        copy(&Path::new(EXAMPLES).join("shards.zarr"), &dir.path().join("s.zarr"));
        fs::write(dir.path().join("s.zarr/v/c/1"), damaged).unwrap();
        assert_eq!(check(dir.path(), &["."]).0, 0, "{why}: the shards of the first and last value are whole");
        let (code, text, _) = check(dir.path(), &["--deep", "."]);
        assert_eq!(code, 1, "{why}");
        assert!(text.starts_with("error: s.zarr /v: "), "{why}: {text}");
    }
}

#[test]
fn references_that_lead_nowhere_or_outside_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("served")).unwrap();
    for (name, target) in
        [("outside", "../secret.bin"), ("lost", "lost.bin"), ("far", "http://127.0.0.1:1/x")]
    {
        let array = r#"{\"zarr_format\":2,\"shape\":[1],\"chunks\":[1],\"dtype\":\"<f8\",\"compressor\":null,\"fill_value\":0,\"order\":\"C\",\"filters\":null}"#;
        let text = format!(
            r#"{{"version":1,"refs":{{".zgroup":"{{\"zarr_format\":2}}","v/.zarray":"{array}","v/0":["{target}",0,8]}}}}"#
        );
        fs::write(dir.path().join(format!("served/{name}.refs.json")), text).unwrap();
    }
    fs::write(dir.path().join("secret.bin"), [1; 8]).unwrap();
    let (code, json, _) = check(dir.path(), &["--json", "served"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let told: Vec<_> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["level"].as_str().unwrap(), p["dataset"].as_str().unwrap(), p["variable"].as_str()))
        .collect();
    let error = |name| ("error", name, Some("/v"));
    let expected = [error("far.refs.json"), error("lost.refs.json"), error("outside.refs.json")];
    assert_eq!((code, told.as_slice()), (1, &expected[..]), "{json}");
}

#[test]
fn what_cannot_be_checked_is_no_problem_found() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["nowhere"][..], &[], &["--shallow", "."]] {
        let (code, out, error) = check(dir.path(), arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        assert!(!error.is_empty());
    }
    assert_eq!(check(dir.path(), &["."]), (0, "0 datasets, 0 problems\n".to_owned(), String::new()));
}

#[test]
fn records_that_are_announced_and_not_there_are_told() {
    let records = include_bytes!("../handlers/netcdf3/tests/data/cdf1_one_i1_5.nc");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cut.nc"), &records[..records.len() - 7]).unwrap();
    let (code, text, errors) = check(dir.path(), &["cut.nc"]);
    assert_eq!((code, errors.as_str()), (1, ""));
    let told = "warning: cut.nc: the header names 7 records, but the file holds 5 whole ones";
    assert!(text.contains(told), "{text}");
}
