//! A store that takes its time: who waits for it is told in time, and an answer that has begun does not stop for ever
//! (promise R6).

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use crate::{
    ALL, LAST_PLANE, bucket, check_planes,
    common::{Answer, Server},
    dap, netcdf3,
    s3::{S3, What},
    serve,
};

const HOUR: [(&str, &str); 3] = [
    ("THALWEG_REMOTE_TOTAL_TIMEOUT", "1 h"),
    ("THALWEG_REMOTE_READ_TIMEOUT", "1 h"),
    ("THALWEG_REMOTE_RECHECK", "1 h"),
];

fn impatient(s3: &S3, limit: (&'static str, &'static str)) -> Server {
    serve(s3, "s3://data", &[], &[&HOUR[..], &[limit]].concat())
}

/// Asks for what is late; how long it took to say so.
fn assert_told(server: &Server, target: &str) {
    let begin = Instant::now();
    let answer = server.get(target);
    let took = begin.elapsed();
    assert_eq!(answer.status, 504, "{target}: {}", answer.text());
    assert!(answer.text().contains("700ms"), "{target}: {}", answer.text());
    assert!((500..2000).contains(&took.as_millis()), "{target}: {took:?}");
}

#[test]
fn descriptions_that_are_late_are_told_in_time() {
    let s3 = bucket(true);
    let server = impatient(&s3, ("THALWEG_LIMITS_METADATA_TIMEOUT", "700 ms"));
    s3.fail("/data", usize::MAX, What::Late(Duration::from_secs(20)));
    for suffix in ["dmr", "dds", "html", "ncml"] {
        assert_told(&server, &format!("/opendap/types.nc.{suffix}"));
    }
    assert_told(&server, "/catalog/deep/catalog.xml");
    assert_told(&server, "/zarr/types.nc/zarr.json");
}

#[test]
fn data_that_are_late_are_told_in_time_and_streams_that_stall_are_cut() {
    let s3 = bucket(true);
    netcdf3::write(&s3.path("long.nc"), [96, 500, 500], 1, false);
    let server = impatient(&s3, ("THALWEG_LIMITS_DATA_TIMEOUT", "700 ms"));
    for target in ["/opendap/large.nc.dmr", "/opendap/long.nc.dmr"] {
        assert_eq!(server.get(target).status, 200);
    }
    s3.fail("large.nc", usize::MAX, What::Late(Duration::from_secs(20)));
    assert_told(&server, LAST_PLANE);
    assert_told(&server, "/opendap/large.nc.dods?v");
    assert_told(&server, "/files/large.nc");
    s3.mend();
    // It had begun: DAP4 says why it ends.
    let mut stream = server.connect();
    write!(stream, "GET /opendap/long.nc.dap?dap4.ce=/v HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut bytes = vec![0; 100_000];
    stream.read_exact(&mut bytes).unwrap();
    s3.fail("long.nc", usize::MAX, What::Late(Duration::from_secs(20)));
    let begin = Instant::now();
    let _ = stream.read_to_end(&mut bytes);
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    let answer = Answer::last(&bytes);
    let parts = dap::dap4(&answer.body);
    assert!(!parts.ended && bytes.len() < 96 * 1_000_000);
    let error = parts.error.unwrap();
    assert!(error.contains("no data came from storage"), "{error}");
    s3.mend();
    check_planes(&server.get(ALL), 1, 0, 15);
}
