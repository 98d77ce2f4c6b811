//! Data in object stores through the running server: how many requests that costs, and what happens when the
//! store fails, is slow, or holds something else now (promises R10 and R27).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/dap.rs"]
mod dap;
mod http_files;
#[path = "../common/netcdf3.rs"]
mod netcdf3;
mod s3;
mod slow;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use common::{Answer, Server};
use s3::{KEY, S3, SECRET, What};

const HDF5: &str = "handlers/hdf5/testdata";
const NETCDF3: &str = "handlers/netcdf3/tests/data";

/// 4 million values in 16 planes of 1 MB: what is read of them is not in the file's beginning.
const SHAPE: [u64; 3] = [16, 500, 500];

fn copy(from: &str, to: &Path) {
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(from), to).unwrap();
}

/// A bucket with a small and a large file.
fn bucket(is_signed: bool) -> S3 {
    let s3 = S3::start(is_signed);
    copy(&format!("{HDF5}/types.nc"), &s3.path("types.nc"));
    copy(&format!("{NETCDF3}/cdf1_types.nc"), &s3.path("deep/er/classic.nc"));
    netcdf3::write(&s3.path("large.nc"), SHAPE, 1, false);
    s3
}

/// A server of `url`, whose own requests at the start are not counted.
fn serve(s3: &S3, url: &str, flags: &[&str], more: &[(&str, &str)]) -> Server {
    let environment: Vec<(&str, &str)> = s3.environment().into_iter().chain(more.iter().copied()).collect();
    let server = Server::start(Path::new(url), flags, &environment);
    s3.seen();
    server
}

fn one(kind: &str, n: usize) -> Vec<(String, usize)> {
    vec![(kind.to_owned(), n)]
}

/// A plane of what is in a bucket, where it is served beside something else.
const FAR_PLANE: &str = "/opendap/data/large.nc.dap?dap4.ce=/v%5B3%5D%5B%5D%5B%5D";

/// Checks that an answer of `/v[first:last][][]` holds the values of a file of `version`.
fn check_planes(answer: &Answer, version: u32, first: u64, last: u64) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let parts = dap::dap4(&answer.body);
    let values: Vec<i32> = dap::dap4_ints(&parts).collect();
    let plane = SHAPE[1] * SHAPE[2];
    let expected = (first * plane..(last + 1) * plane).map(|at| netcdf3::value(version, at));
    assert!(values.into_iter().take(usize::try_from((last + 1 - first) * plane).unwrap()).eq(expected));
}

const FIRST_PLANE: &str = "/opendap/large.nc.dap?dap4.ce=/v%5B0:0%5D%5B%5D%5B%5D";
const LAST_PLANE: &str = "/opendap/large.nc.dap?dap4.ce=/v%5B15:15%5D%5B%5D%5B%5D";
const ALL: &str = "/opendap/large.nc.dap?dap4.ce=/v";

#[test]
fn a_page_is_one_list() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &[], &[]);
    let page = server.get("/catalog/catalog.xml");
    assert!(page.text().contains("large.nc") && page.text().contains("deep/"), "{}", page.text());
    assert_eq!(s3.counts(), one("LIST", 1));
    assert!(server.get("/catalog/deep/er/catalog.xml").text().contains("classic.nc"));
    assert_eq!(s3.counts(), one("LIST", 1));
    assert_eq!(server.get("/catalog/deep/nowhere/catalog.xml").status, 404);
    assert_eq!(server.get("/-/ready").status, 200);
}

#[test]
fn a_folder_of_many_is_listed_page_by_page() {
    let s3 = bucket(true);
    let names: Vec<String> = (0..1005).map(|i| format!("many/{i:04}.nc")).collect();
    for name in &names {
        fs::write(s3.path(name), b"CDF").unwrap();
    }
    let server = serve(&s3, "s3://data", &[], &[]);
    let page = server.get("/catalog/many/catalog.xml").text();
    assert!(names[..1000].iter().all(|name| page.contains(name.as_str())), "a page of ours has a thousand");
    assert_eq!(s3.counts(), one("LIST", 2));
}

#[test]
fn secrets_are_in_no_log() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &["--log-level", "trace"], &[]);
    assert_eq!(server.get("/opendap/types.nc.dmr").status, 200);
    s3.fail("large.nc", usize::MAX, What::Reset);
    assert_eq!(server.get("/opendap/large.nc.dmr").status, 502);
    let log = server.log();
    assert!(log.contains("TRACE") && log.contains("large.nc"), "it says much");
    assert!(!log.contains(SECRET), "{log}");
}

#[test]
fn a_description_costs_one_request_and_none_again() {
    let s3 = bucket(true);
    for name in ["coordinates.nc", "dims.nc", "storage.nc", "strings.nc"] {
        copy(&format!("{HDF5}/{name}"), &s3.path(name));
    }
    let server = serve(&s3, "s3://data", &[], &[("THALWEG_REMOTE_RECHECK", "3 s")]);
    for name in ["types.nc", "coordinates.nc", "dims.nc", "storage.nc", "strings.nc", "large.nc"] {
        assert_eq!(server.get(&format!("/opendap/{name}.dmr")).status, 200, "{name}");
        assert_eq!(s3.counts(), one("GET", 1), "{name}");
    }
    for suffix in ["dmr", "dds", "das"] {
        assert_eq!(server.get(&format!("/opendap/types.nc.{suffix}")).status, 200);
    }
    assert_eq!(s3.counts(), [], "it is known");
    std::thread::sleep(Duration::from_millis(3100));
    assert_eq!(server.get("/opendap/types.nc.dmr").status, 200);
    let seen = s3.seen();
    assert_eq!(seen.iter().map(|s| (s.kind.as_str(), s.status)).collect::<Vec<_>>(), [("GET", 304)]);
}

#[test]
fn data_is_read_in_few_requests_for_one_version() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &[], &[("THALWEG_REMOTE_RECHECK", "1 h")]);
    server.get("/opendap/large.nc.dmr");
    s3.seen();
    check_planes(&server.get(LAST_PLANE), 1, 15, 15);
    let seen = s3.seen();
    assert!(seen.iter().all(|s| s.kind == "GET" && s.status == 206 && s.if_match), "{seen:#?}");
    assert_eq!(seen.len(), 1, "{seen:#?}");
    check_planes(&server.get(ALL), 1, 0, 15);
    let seen = s3.seen();
    assert!(seen.len() <= 8, "16 MB in {} requests: {seen:#?}", seen.len());
    assert!(seen.iter().all(|s| s.kind == "GET" && s.if_match));
    // Every byte once: no read overlaps another.
    let mut ranges: Vec<(u64, u64)> = seen
        .iter()
        .map(|s| s.range.trim_start_matches("bytes=").split_once('-').unwrap())
        .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
        .collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
}

#[test]
fn answers_are_those_of_the_same_files_here() {
    let s3 = bucket(true);
    let url = ["--public-url", "http://h"];
    let (far, here) =
        (serve(&s3, "s3://data", &url, &[]), Server::start(&s3.dir.path().join("data"), &url, &[]));
    for target in [
        "/opendap/types.nc.dmr",
        "/opendap/types.nc.dap",
        "/opendap/types.nc.das",
        "/opendap/deep/er/classic.nc.dap",
        "/opendap/deep/er/classic.nc.dods",
        "/opendap/large.nc.dods?v%5B3:5:15%5D%5B7%5D%5B0:499%5D",
        "/files/large.nc",
    ] {
        let (a, b) = (far.get(target), here.get(target));
        assert_eq!((a.status, a.complete), (200, true), "{target}");
        assert!(a.body == b.body, "{target} differs");
    }
}

#[test]
fn faults_that_pass_are_not_noticed() {
    let s3 = bucket(true);
    for what in [
        What::Status(503),
        What::Status(500),
        What::Status(429),
        What::Reset,
        What::Short,
        What::Late(Duration::from_millis(300)),
    ] {
        let server = serve(&s3, "s3://data", &[], &[]);
        s3.fail("large.nc", 2, what);
        check_planes(&server.get(LAST_PLANE), 1, 15, 15);
        s3.mend();
    }
    let server = serve(&s3, "s3://data", &[], &[]);
    s3.fail("/data", 2, What::Status(503));
    assert_eq!(server.get("/catalog/catalog.xml").status, 200, "listing is tried again too");
    s3.mend();
}

#[test]
fn a_store_that_fails_is_left_alone_and_harms_nobody_else() {
    let s3 = bucket(true);
    let local = tempfile::tempdir().unwrap();
    let folder = local.path().join("folder");
    fs::create_dir(&folder).unwrap();
    copy(&format!("{HDF5}/types.nc"), &folder.join("here.nc"));
    let server = serve(&s3, "s3://data", &[folder.to_str().unwrap()], &[]);
    let here = "/opendap/folder/here.nc.dmr";
    assert_eq!(server.get(here).status, 200, "{}", server.greeting);

    s3.fail("/data", usize::MAX, What::Status(503));
    let mut made = 0;
    for round in 0.. {
        let answer = server.get("/opendap/data/types.nc.dmr");
        assert_eq!(answer.status, 502, "{}", answer.text());
        let text = answer.text();
        assert!(text.contains("s3://data"), "{text}");
        for hidden in ["types.nc failed", KEY, SECRET, "127.0.0.1:"] {
            assert!(!text.contains(hidden), "{text}");
        }
        let now = s3.seen().len();
        if now == 0 {
            break;
        }
        made += now;
        assert!(round < 5, "{made} requests and the breaker is still closed");
    }
    assert!((10..=12).contains(&made), "{made} requests");
    let started = Instant::now();
    assert_eq!(server.get("/opendap/data/large.nc.dmr").status, 502);
    assert!(started.elapsed() < Duration::from_millis(200), "nobody waits for it");
    assert_eq!(server.get(here).status, 200);
    assert_eq!(server.get("/-/ready").status, 200);
    assert_eq!(s3.seen(), [], "it is left alone");

    s3.mend();
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(server.get("/opendap/data/types.nc.dmr").status, 200);
    let log = server.log();
    assert!(log.contains("left alone") && !log.contains(SECRET), "{log}");
}

#[test]
fn a_store_that_does_not_answer_is_a_time_out() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &[], &[("THALWEG_REMOTE_TOTAL_TIMEOUT", "1 s")]);
    s3.fail("types.nc", usize::MAX, What::Late(Duration::from_secs(5)));
    let started = Instant::now();
    let answer = server.get("/opendap/types.nc.dmr");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(answer.text().contains("s3://data"), "{}", answer.text());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    check_planes(&server.get(FIRST_PLANE), 1, 0, 0);
}

/// Many who wait for a store that does not answer keep nobody from what is here.
#[test]
fn local_data_do_not_wait_behind_a_store_that_does_not_answer() {
    let s3 = bucket(true);
    let local = tempfile::tempdir().unwrap();
    let folder = local.path().join("folder");
    fs::create_dir(&folder).unwrap();
    netcdf3::write(&folder.join("here.nc"), [40, 50, 60], 2, false);
    let patience = [("THALWEG_REMOTE_TOTAL_TIMEOUT", "3 s")];
    let mut server = serve(&s3, "s3://data", &[folder.to_str().unwrap()], &patience);
    s3.fail("/data", usize::MAX, What::Late(Duration::from_secs(20)));
    let (mut times, waited) = std::thread::scope(|scope| {
        let server = &server;
        let waiting: Vec<_> = (0..64)
            .map(|i| {
                let target = if i % 2 == 0 { "/opendap/data/types.nc.dmr" } else { FAR_PLANE };
                scope.spawn(move || server.get(target).status)
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        let times: Vec<Duration> = (0..100)
            .map(|plane| {
                let plane = plane % 40;
                let begun = Instant::now();
                let answer =
                    server.get(&format!("/opendap/folder/here.nc.dap?dap4.ce=/v%5B{plane}%5D%5B%5D%5B%5D"));
                let expected = (0..3000).map(|i| netcdf3::value(2, plane * 3000 + i));
                assert!(dap::dap4_ints(&dap::dap4(&answer.body)).take(3000).eq(expected), "{}", answer.head);
                begun.elapsed()
            })
            .collect();
        let still = waiting.iter().filter(|client| !client.is_finished()).count();
        assert!(still > 0, "nobody waited for the store while this was measured");
        (times, waiting.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>())
    });
    assert!(waited.iter().all(|status| [502, 503, 504].contains(status)), "{waited:?}");
    times.sort();
    assert!(times[94] < Duration::from_millis(500), "the 95th of 100 took {:?}", times[94]);
    server.assert_sound();
}

#[test]
fn an_object_that_is_replaced_is_served_anew() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &[], &[]);
    check_planes(&server.get(LAST_PLANE), 1, 15, 15);
    let tag = server.ask("HEAD", LAST_PLANE, "").header("etag").to_owned();
    netcdf3::write(&s3.path("large.nc"), SHAPE, 2, false);
    // What is known of the old one is believed for two seconds; its data are not there any more.
    check_planes(&server.get(LAST_PLANE), 2, 15, 15);
    assert_ne!(server.ask("HEAD", LAST_PLANE, "").header("etag"), tag);
    netcdf3::write(&s3.path("large.nc"), SHAPE, 3, false);
    std::thread::sleep(Duration::from_millis(2100));
    check_planes(&server.get(FIRST_PLANE), 3, 0, 0);
    fs::remove_file(s3.path("large.nc")).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(server.get(FIRST_PLANE).status, 404);
}

#[test]
fn an_object_that_never_holds_still_is_a_conflict() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data", &[], &[("THALWEG_REMOTE_RECHECK", "1 h")]);
    assert_eq!(server.get("/opendap/large.nc.dmr").status, 200);
    for what in [What::Status(412), What::OtherTag] {
        s3.fail("large.nc", usize::MAX, what);
        let answer = server.get(LAST_PLANE);
        assert_eq!(answer.status, 409, "{what:?}: {}", answer.text());
        s3.mend();
    }
    check_planes(&server.get(LAST_PLANE), 1, 15, 15);
}

#[test]
fn settings_and_flags_say_how_a_store_is_reached() {
    let s3 = bucket(true);
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("t.toml");
    let text = format!(
        "roots = [\"s3://data/deep\"]\n[[store]]\nurl = \"s3://data\"\nendpoint = \"{}\"\n\
         access_key_id = \"{KEY}\"\nsecret_access_key = \"{SECRET}\"\n",
        s3.endpoint
    );
    fs::write(&settings, text).unwrap();
    let config = ["--config", settings.to_str().unwrap()];
    // The wrong keys of the environment are not those of this store.
    let wrong = [("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_SESSION_TOKEN", "y")];
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let done = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    };
    let (code, out, err) = run(&["ls", "s3://data", config[0], config[1]], &wrong);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("netCDF-3    deep/er/classic.nc") && out.contains("types.nc"), "{out}");
    let (code, out, err) = run(&["cat", "s3://data/types.nc", config[0], config[1]], &[]);
    assert!(code == 0 && out.starts_with("netcdf types {"), "{out}{err}");
    let (code, _, err) = run(&["cat", "s3://data/none.nc", config[0], config[1]], &[]);
    assert_eq!((code, err.as_str()), (1, "thalweg: there is no dataset none.nc\n"));
    let (code, _, err) = run(&["ls", "s3://elsewhere", "--endpoint", &s3.endpoint], &s3.environment()[1..]);
    assert_eq!((code, err.as_str()), (1, "thalweg: there is no store s3://elsewhere\n"));
    let (code, _, err) = run(&["ls", "s3://data", "--endpoint", &s3.endpoint], &wrong);
    assert_eq!((code, err.as_str()), (1, "thalweg: the server may not read from s3://data\n"));
    let (code, _, err) = run(&["ls", "s3://me:hunter2@data"], &[]);
    assert!(code == 1 && err.contains("credentials do not belong") && !err.contains("hunter2"), "{err}");
    let (code, _, err) = run(&["ls", "s3://data", "--endpoint", "http://192.0.2.1:9"], &[]);
    assert!(code == 1 && err.contains("not be encrypted"), "{err}");

    let open = bucket(false);
    let (code, out, err) = run(&["ls", "s3://data/deep", "--anonymous", "--endpoint", &open.endpoint], &[]);
    assert!(code == 0 && out.contains("er/classic.nc"), "{out}{err}");
}

/// A Zarr group with consolidated metadata and an array of 4 x 6 in chunks of 2 x 3.
fn write_zarr(write: impl Fn(&str, &[u8])) {
    let array = r#"{"zarr_format":3,"node_type":"array","shape":[4,6],"data_type":"int32","fill_value":0,
        "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2,3]}},
        "chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},
        "codecs":[{"name":"bytes","configuration":{"endian":"little"}}],
        "dimension_names":["t","x"],"attributes":{"units":"K"}}"#;
    let group = format!(
        r#"{{"zarr_format":3,"node_type":"group","attributes":{{}},"consolidated_metadata":
        {{"kind":"inline","must_understand":false,"metadata":{{"v":{array}}}}}}}"#
    );
    write("zarr.json", group.as_bytes());
    write("v/zarr.json", array.as_bytes());
    for (t, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let values = (0..6).map(|i: i32| (t * 2 + i / 3) * 6 + x * 3 + i % 3 + 1);
        write(&format!("v/c/{t}/{x}"), &values.flat_map(i32::to_le_bytes).collect::<Vec<u8>>());
    }
}

fn check_zarr(server: &Server, name: &str) {
    let answer = server.get(&format!("/opendap/{name}.dap?dap4.ce=/v"));
    assert_eq!(answer.status, 200, "{} {}", answer.text(), server.log());
    let parts = dap::dap4(&answer.body);
    assert_eq!(dap::dap4_ints(&parts).take(24).collect::<Vec<i32>>(), (1..=24).collect::<Vec<i32>>());
}

#[test]
fn a_folder_of_chunks_costs_one_request_for_each() {
    let s3 = bucket(true);
    write_zarr(|path, bytes| fs::write(s3.path(&format!("deep/group.zarr/{path}")), bytes).unwrap());
    let server = serve(&s3, "s3://data", &[], &[("THALWEG_REMOTE_RECHECK", "1 h")]);
    assert!(server.get("/catalog/deep/catalog.xml").text().contains("group.zarr"));
    assert_eq!(s3.counts(), one("LIST", 1), "a name that ends like a dataset is one");
    let description = server.get("/opendap/deep/group.zarr.dmr");
    assert!(description.status == 200 && description.text().contains("units"), "{}", description.text());
    let seen = s3.seen();
    assert!(seen.len() <= 2 && seen.iter().all(|s| s.kind == "GET"), "{seen:#?}");
    check_zarr(&server, "deep/group.zarr");
    let seen = s3.seen();
    assert_eq!(seen.len(), 4, "{seen:#?}");
    assert!(seen.iter().all(|s| s.kind == "GET" && s.path.contains("/v/c/")), "{seen:#?}");

    let alone = serve(&s3, "s3://data/deep/group.zarr", &[], &[]);
    check_zarr(&alone, "group.zarr");
}

#[test]
fn one_object_is_served_alone() {
    let s3 = bucket(true);
    let server = serve(&s3, "s3://data/types.nc", &[], &[]);
    assert!(server.greeting.contains("serving s3://data/types.nc"), "{}", server.greeting);
    assert_eq!(server.get("/opendap/types.nc.dmr").status, 200);
    assert_eq!(server.get("/opendap/large.nc.dmr").status, 404);
}

#[test]
fn files_of_a_plain_web_server_are_read_by_name() {
    let dir = tempfile::tempdir().unwrap();
    copy(&format!("{HDF5}/types.nc"), &dir.path().join("types.nc"));
    netcdf3::write(&dir.path().join("large.nc"), SHAPE, 1, false);
    let files = http_files::Files::start(dir.path(), "me", "hunter2");
    let url = files.url.replace("http://", "http://me:hunter2@");
    let server = Server::start(Path::new(&url), &[], &[]);
    assert!(!server.greeting.contains("hunter2"), "{}", server.greeting);
    assert_eq!(server.get("/opendap/types.nc.dmr").status, 200);
    check_planes(&server.get(LAST_PLANE), 1, 15, 15);
    assert_eq!(server.get("/opendap/none.nc.dmr").status, 404);
    assert_eq!(server.get("/opendap/moved.nc.dmr").status, 200);
    let away = server.get("/opendap/away.nc.dmr");
    assert_eq!(away.status, 403, "{}", away.text());
    assert!(away.text().contains("redirects to another server"), "{}", away.text());
    write_zarr(|path, bytes| {
        let path = dir.path().join("group.zarr").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    });
    check_zarr(&server, "group.zarr");
    let page = server.get("/catalog/catalog.html");
    assert_eq!(page.status, 501, "{}", page.text());
    assert!(page.text().contains("ask for them by name"), "{}", page.text());
    // It has no entity tags: the time and the size tell.
    netcdf3::write(&dir.path().join("large.nc"), [16, 500, 501], 2, false);
    std::thread::sleep(Duration::from_millis(2100));
    assert!(server.get("/opendap/large.nc.dmr").text().contains("501"));
    assert!(!server.log().contains("hunter2"), "{}", server.log());
}
