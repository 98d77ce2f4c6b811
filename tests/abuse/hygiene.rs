//! Requests that could be read in two ways, or that are none (promise R19): one refusal, and the connection is closed;
//! what follows is never taken for a request.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use crate::{ALONE, common::read_all, world::World};

/// A request, and the statuses that may answer it.
const REFUSED: &[(&str, &[u16])] = &[
    // Bodies: how long?
    (
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\n\r\nabcd", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3 3\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", &[400]),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        &[400],
    ),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", &[400, 501]),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    ("GET / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
    // Heads that are none.
    ("GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c: folded\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nX-A: b\0c\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nX-A: b\rc\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nX A: b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", &[400]),
    ("GET / HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", &[400]),
    ("GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n", &[400]),
    ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", &[400]),
    ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", &[400]),
    ("GET / HTTP/9.9\r\nHost: h\r\n\r\n", &[400, 505]),
    ("G\0T / HTTP/1.1\r\nHost: h\r\n\r\n", &[400]),
    // Closed without a word: it is the beginning of another protocol.
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0, 400, 505]),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n", &[400]),
];

/// Methods that are not for us, in the forms that they have.
const METHODS: &[&str] = &[
    "TRACE / HTTP/1.1",
    "PUT /files/small.nc HTTP/1.1",
    "DELETE /files/small.nc HTTP/1.1",
    "CONNECT h:80 HTTP/1.1",
    "PATCH / HTTP/1.1",
    "PROPFIND / HTTP/1.1",
    "BREW /pot HTTP/1.1",
    "POST /opendap/small.nc.dap HTTP/1.1",
];

/// The answer to bytes; with a second request behind them, whose answer nobody may get.
fn answer(world: &World, request: &str) -> (u16, String) {
    let inner = "GET /files/small.nc HTTP/1.1\r\nHost: h\r\nRange: bytes=0-2\r\n\r\n";
    let mut stream = world.server.connect();
    let begin = Instant::now();
    stream.write_all(format!("{request}{inner}").as_bytes()).unwrap();
    let text = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
    assert!(begin.elapsed() < Duration::from_millis(900), "{request:?}: it was not closed at once");
    assert!(!text.contains("CDF") && text.matches("HTTP/1.1 ").count() <= 1, "{request:?}: {text}");
    (text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), text)
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let _alone = ALONE.lock();
    let mut world = World::new(&[]);
    for (request, statuses) in REFUSED {
        let (status, text) = answer(&world, request);
        assert!(statuses.contains(&status), "{request:?}: {text}");
    }
    let many =
        (0..300).fold("GET / HTTP/1.1\r\nHost: h\r\n".to_owned(), |all, i| all + &format!("X-{i}: a\r\n"));
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Long: {}\r\n", "a".repeat(2 << 20));
    for request in [many, long] {
        let mut stream = world.server.connect();
        // It may be closed before all of it was taken.
        let _ = stream.write_all(format!("{request}\r\n").as_bytes());
        let text = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{}: {text}", request.len());
    }
    world.server.assert_sound();
}

#[test]
fn other_methods_are_refused_and_nothing_is_reflected() {
    let _alone = ALONE.lock();
    let world = World::new(&[]);
    for line in METHODS {
        let request = format!("{line}\r\nHost: h\r\nCookie: secret=1\r\nConnection: close\r\n\r\n");
        let answer = world.server.raw(request.as_bytes());
        assert_eq!(answer.status, 405, "{line}: {}", answer.head);
        assert!(answer.header("allow").contains("get"), "{line}: {}", answer.head);
        assert!(!answer.text().contains("secret"), "{line} reflects");
    }
    assert_eq!(world.server.get("/files/small.nc").status, 200);
    // The host of an absolute form is not ours to judge, and goes nowhere.
    let elsewhere =
        "GET http://evil.example:81/opendap/small.nc.dsr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = world.server.raw(elsewhere.as_bytes());
    assert!(answer.status == 200 && !answer.text().contains("evil"), "{}", answer.text());
}
