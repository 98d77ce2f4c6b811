//! What one client may take: slow heads, idle and stalled connections, too many connections.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;

use std::{
    fs,
    io::{Read, Write},
    time::{Duration, Instant},
};

use common::{Server, read_all};

const SHORT: [(&str, &str); 4] = [
    ("THALWEG_LIMITS_HEADER_TIMEOUT", "300 ms"),
    ("THALWEG_LIMITS_IDLE_TIMEOUT", "700 ms"),
    ("THALWEG_LIMITS_WRITE_TIMEOUT", "500 ms"),
    ("THALWEG_LIMITS_CONNECTIONS_PER_ADDRESS", "20"),
];

fn start() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 50_000_000]).unwrap();
    let server = Server::start(dir.path(), &[], &SHORT);
    (dir, server)
}

#[test]
fn slow_heads_are_cut_and_others_served() {
    let (_dir, server) = start();
    let mut slow: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /-/live HTTP/1.1\r\nX-").unwrap();
    }
    let begin = Instant::now();
    assert_eq!(server.get("/-/live").status, 200);
    assert!(begin.elapsed() < Duration::from_millis(300));
    for stream in &mut slow {
        // One more byte does not buy more time.
        let _ = stream.write_all(b"a");
        assert!(!String::from_utf8_lossy(&read_all(stream)).contains("200 OK"));
    }
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn idle_connections_are_closed() {
    let (_dir, server) = start();
    let mut stream = server.connect();
    stream.write_all(b"GET /-/live HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let begin = Instant::now();
    assert!(read_all(&mut stream).ends_with(b"live\n"));
    let idle = begin.elapsed();
    assert!(idle > Duration::from_millis(500) && idle < Duration::from_secs(4), "{idle:?}");
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let (_dir, server) = start();
    let mut stream = server.connect();
    stream.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    // What was in flight arrives; the rest does not, and it does not look like the end.
    assert!(read_all(&mut stream).len() < 50_000_000);
}

#[test]
fn a_client_that_is_merely_slow_gets_everything() {
    let (_dir, server) = start();
    let mut stream = server.connect();
    stream.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut part = vec![0; 8 << 20];
    let mut len = 0;
    while len < 50_000_000 {
        std::thread::sleep(Duration::from_millis(100));
        match stream.read(&mut part).unwrap() {
            0 => break,
            n => len += n,
        }
    }
    assert!(len > 50_000_000, "{len}");
}

#[test]
fn one_address_has_a_limited_number_of_connections() {
    let (_dir, server) = start();
    let mut answered = 0;
    let mut streams: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for stream in &mut streams {
        let _ = stream.write_all(b"GET /-/live HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for stream in &mut streams {
        answered += usize::from(read_all(stream).ends_with(b"live\n"));
    }
    assert_eq!(answered, 20);
    drop(streams);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.get("/-/live").status, 200, "places are given back");
}

#[test]
fn data_waits_its_turn_and_the_rest_does_not() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 50_000_000]).unwrap();
    let narrow = [("THALWEG_LIMITS_DATA_RESPONSES", "1"), ("THALWEG_LIMITS_QUEUE_TIMEOUT", "200 ms")];
    let server = Server::start(dir.path(), &[], &narrow);
    let mut holder = server.connect();
    holder.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    holder.read_exact(&mut [0; 100]).unwrap();
    let refused = server.get("/files/big.nc");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    for free in ["/catalog.xml", "/", "/-/live", "/-/ready"] {
        let begin = Instant::now();
        assert_eq!(server.get(free).status, 200, "{free}");
        assert!(begin.elapsed() < Duration::from_millis(200), "{free}");
    }
    // The client goes: its place is free at once.
    drop(holder);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.ask("GET", "/files/big.nc", "Range: bytes=0-9\r\n").body.len(), 10);
}
