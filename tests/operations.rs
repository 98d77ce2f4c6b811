//! What those who run the server rely on: logs, request ids, metrics, probes, the way it stops, word to the service
//! manager (promises R31, R32, R34, R35).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

use common::{Answer, Server, read_all};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    netcdf3::write(&dir.path().join("sub/a.nc"), [4, 3, 2], 1, true);
    dir
}

/// The log's line of the request with this id.
fn line(server: &Server, id: &str) -> Value {
    let begin = Instant::now();
    loop {
        let log = server.log();
        let found = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(line) = found.filter(|l| l["target"] == "thalweg::access").find(|line| line["id"] == id) {
            return line;
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "no line of {id}: {log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_request_has_one_line_that_says_all_of_it() {
    let dir = folder();
    let mut server = Server::start(dir.path(), &["--log-format", "json"], &[]);
    let ask = |target: &str, id: &str| server.ask("GET", target, &format!("X-Request-Id: {id}\r\n"));
    let answer = ask("/opendap/sub/a.nc.dods?v[0:1][0:2][0:1]", "r-1");
    assert_eq!((answer.status, answer.header("x-request-id")), (200, "r-1"));
    let said = line(&server, "r-1");
    assert_eq!(said["message"], "GET /opendap/sub/a.nc.dods?v[0:1][0:2][0:1]");
    assert_eq!(
        (&said["client"], &said["route"], &said["dataset"]),
        (&"127.0.0.1".into(), &"dap2_data".into(), &"sub/a.nc".into())
    );
    assert_eq!(
        (said["status"].as_u64(), said["bytes"].as_u64()),
        (Some(200), Some(answer.body.len() as u64))
    );
    assert!(said["read"].as_u64().unwrap() > 48, "two records, and what leads to them: {said}");
    assert!(said["ms"].is_u64() && said["outcome"] == "done" && said.get("reason").is_none(), "{said}");
    // The same from memory, as soon as it was asked for twice; other kinds, what is not there, and long queries.
    ask("/opendap/sub/a.nc.dods?v[0:1][0:2][0:1]", "r-again");
    ask("/opendap/sub/a.nc.dods?v[0:1][0:2][0:1]", "r-2");
    assert_eq!(line(&server, "r-2")["read"], 0);
    for (target, id, route, status) in [
        ("/files/sub/a.nc", "r-3", "file", 200),
        ("/sub/../x", "r-4", "other", 400),
        ("/opendap/none.nc.dmr", "r-5", "dap4", 404),
        ("/-/ready", "r-6", "probe", 200),
        ("/catalog/sub/catalog.xml", "r-7", "catalog", 200),
    ] {
        let answer = ask(target, id);
        let said = line(&server, id);
        assert_eq!((said["route"].as_str(), said["status"].as_u64()), (Some(route), Some(status)), "{said}");
        assert_eq!(u64::from(answer.status), status);
    }
    let long = format!("dap4.ce=/{}", "v;".repeat(300));
    ask(&format!("/opendap/sub/a.nc.dap?{long}"), "r-8");
    let message = line(&server, "r-8")["message"].as_str().unwrap().to_owned();
    let shown = &long[..200];
    assert!(message.starts_with(&format!("GET /opendap/sub/a.nc.dap?{shown}...(609 bytes, ")), "{message}");
    assert_eq!(server.log().matches("\"id\":\"r-8\"").count(), 1, "one line");
    server.assert_sound();
}

#[test]
fn clients_of_a_trusted_proxy_are_themselves() {
    let dir = folder();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 50_000_000]).unwrap();
    let settings = dir.path().join("thalweg.toml");
    let hash = std::process::Command::new("sh")
        .args(["-c", &format!("printf 'a-long-random-token' | {} hash-token", env!("CARGO_BIN_EXE_thalweg"))])
        .output()
        .unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let text = format!(
        "trusted_proxies = [\"127.0.0.1\"]\n[limits]\ndata_responses = 4\nqueue_timeout = \"200 ms\"\n\
         connections_per_address = 2\n[[token]]\nname = \"ann\"\nsha256 = \"{}\"\n",
        hash.trim()
    );
    fs::write(&settings, &text).unwrap();
    let start = || {
        let flags = ["--log-format", "json", "--config", settings.to_str().unwrap()];
        Server::start(dir.path(), &flags, &[])
    };
    let mut server = start();
    let target = "/opendap/sub/a.nc.dmr";
    let signed = "Authorization: Bearer a-long-random-token\r\n";
    for (id, headers, client, peer, user) in [
        ("p-1", "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", "192.0.2.7", Some("127.0.0.1"), None),
        ("p-2", signed, "127.0.0.1", None, Some("ann")),
        (
            "p-3",
            &format!("X-Forwarded-For: 2001:db8::7\r\n{signed}"),
            "2001:db8::7",
            Some("127.0.0.1"),
            Some("ann"),
        ),
        ("p-4", "", "127.0.0.1", None, None),
    ] {
        let answer = server.ask("GET", target, &format!("X-Request-Id: {id}\r\n{headers}"));
        assert_eq!(answer.status, 200, "{id} {}", answer.head);
        let said = line(&server, id);
        assert_eq!(
            (said["client"].as_str(), said["peer"].as_str(), said["user"].as_str()),
            (Some(client), peer, user)
        );
    }
    assert!(!server.log().contains("a-long-random-token"));
    // One client has half of the places; those of the others by way of the same proxy are theirs.
    let begin = |client: &str| {
        let mut stream = server.connect();
        let head = format!("GET /files/big.nc HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (stream, String::from_utf8_lossy(&head[9..]).into_owned())
    };
    let held = [begin("192.0.2.7"), begin("192.0.2.7")];
    assert!(held.iter().all(|(_, status)| status == "200"));
    assert_eq!(begin("192.0.2.7").1, "503");
    let (mut other, status) = begin("192.0.2.8");
    assert_eq!(status, "200");
    let rest = read_to(&mut other, 50_000_000);
    assert!(rest.ends_with(&[7; 1000]), "{} bytes of a stream that is somebody's", rest.len());
    drop(held);
    server.assert_sound();
    drop(server);
    // Nobody else is believed.
    fs::write(&settings, text.replace("127.0.0.1", "127.9.9.9")).unwrap();
    let server = start();
    server.ask("GET", target, "X-Request-Id: q-1\r\nX-Forwarded-For: 192.0.2.7\r\n");
    let said = line(&server, "q-1");
    assert_eq!((said["client"].as_str(), said.get("peer")), (Some("127.0.0.1"), None));
}

/// At least so many bytes.
fn read_to(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = vec![0; 1 << 16];
    while all.len() < len {
        match stream.read(&mut part).unwrap() {
            0 => break,
            n => all.extend_from_slice(&part[..n]),
        }
    }
    all
}

#[test]
fn who_is_refused_has_a_line_for_the_audit() {
    let dir = folder();
    let settings = dir.path().join("thalweg.toml");
    fs::write(
        &settings,
        "[[rule]]\npath = \"sub\"\nread = [\"ann\"]\n[[token]]\nname = \"ann\"\nsha256 = \"",
    )
    .unwrap();
    let hash = std::process::Command::new("sh")
        .args(["-c", &format!("printf 'a-long-random-token' | {} hash-token", env!("CARGO_BIN_EXE_thalweg"))])
        .output()
        .unwrap();
    let text =
        fs::read_to_string(&settings).unwrap() + String::from_utf8(hash.stdout).unwrap().trim() + "\"\n";
    fs::write(&settings, text).unwrap();
    let server =
        Server::start(dir.path(), &["--log-format", "json", "--config", settings.to_str().unwrap()], &[]);
    let ask = |id: &str, more: &str| {
        let headers = format!("X-Request-Id: {id}\r\n{more}");
        let status = server.ask("GET", "/opendap/sub/a.nc.dmr?token=s3cret", &headers).status;
        line(&server, id);
        status
    };
    assert_eq!(ask("stranger", ""), 401);
    assert_eq!(ask("friend", "Authorization: Bearer a-long-random-token\r\n"), 200);
    let log = server.log();
    let audit: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["target"] == "thalweg::audit" && line.get("id").is_some())
        .collect();
    let [denied] = audit.as_slice() else { panic!("{audit:?}") };
    assert_eq!((&denied["id"], &denied["client"]), (&"stranger".into(), &"127.0.0.1".into()));
    assert_eq!((&denied["status"], &denied["denied"]), (&401.into(), &"not authenticated".into()));
    assert_eq!(denied["message"], "GET /opendap/sub/a.nc.dmr?token=(hidden)");
    assert!(!log.contains("s3cret") && !log.contains("a-long-random-token"), "{log}");
    assert!(server.get("/-/metrics").text().contains("\nthalweg_denied_total 1\n"));
}

#[test]
fn who_goes_away_is_logged_as_such() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 30_000_000]).unwrap();
    let server = Server::start(dir.path(), &["--log-format", "json"], &[]);
    let mut stream = server.connect();
    stream.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\nX-Request-Id: gone\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    let said = line(&server, "gone");
    assert_eq!((said["outcome"].as_str(), said["status"].as_u64()), (Some("cancelled"), Some(200)));
    assert!(said["bytes"].as_u64().unwrap() < 30_000_000, "{said}");
}

#[test]
fn errors_name_their_request_in_every_form() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    for (target, accept) in [
        ("/nothing", "text/html"),
        ("/nothing", "application/json"),
        ("/nothing", "*/*"),
        ("/opendap/none.nc.dap", "*/*"),
        ("/opendap/none.nc.dods", "*/*"),
        ("/zarr/none/zarr.json", "*/*"),
    ] {
        let answer = server.ask("GET", target, &format!("Accept: {accept}\r\nX-Request-Id: my-id.7\r\n"));
        assert_eq!((answer.status, answer.header("x-request-id")), (404, "my-id.7"));
        assert!(answer.text().contains("my-id.7"), "{target} {accept}: {}", answer.text());
    }
    // What is no plain word is not taken over.
    let answer = server.ask("GET", "/nothing", "X-Request-Id: <script>\r\n");
    assert!(!answer.header("x-request-id").is_empty() && !answer.text().contains("<script>"));
}

#[test]
fn streams_say_how_soon_they_began() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [100, 100, 100], 1, true);
    let server = Server::start(dir.path(), &[], &[]);
    let timing = server.get("/opendap/a.nc.dap?dap4.ce=/v").header("server-timing").to_owned();
    let ms: f64 = timing.strip_prefix("app;dur=").unwrap_or_else(|| panic!("{timing}")).parse().unwrap();
    assert!((0.0..20_000.0).contains(&ms), "{timing}");
}

/// The value of this name, with its labels, among the metrics.
fn metric(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn metrics_tell_what_is_the_case() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[("THALWEG_LIMITS_MEMORY", "64 MiB")]);
    server.get("/opendap/sub/a.nc.dap?dap4.ce=/v");
    server.get("/nothing");
    let text = server.get("/-/metrics").text();
    let value = |name: &str| metric(&text, name);
    let is =
        |name: &str, expect: f64| assert!((value(name) - expect).abs() < 1e-9, "{name} is {}", value(name));
    is("thalweg_requests_total{route=\"dap4_data\",class=\"2xx\",outcome=\"done\"}", 1.0);
    is("thalweg_refusals_total{reason=\"not_found\"}", 1.0);
    is("thalweg_response_start_seconds_count{route=\"dap4_data\"}", 1.0);
    is("dap_inflight_bytes", 0.0);
    is("dap_inflight_bytes_limit", 67_108_864.0);
    is("thalweg_data_answers_limit", 512.0);
    is("thalweg_draining", 0.0);
    is("thalweg_index_write_failures_total", 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") > 3.0);
    assert!(value("process_cpu_seconds_total") > 0.0 && value("process_max_fds") > 10.0);
    assert!(value("thalweg_read_bytes_total{route=\"dap4_data\"}") >= 96.0);
}

#[test]
fn bytes_that_no_answer_needed_are_counted() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let read = || metric(&server.get("/-/metrics").text(), "thalweg_read_bytes_total{route=\"background\"}");
    assert!(read() < 1.0);
    // A listing is made without reading the file; then it is read to say what it is about.
    server.get("/catalog/sub/");
    let begin = Instant::now();
    while read() < 1.0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing was read in the background");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_gives_those_in_front_of_it_time_to_notice() {
    let dir = folder();
    let mut server = Server::start(dir.path(), &["--drain-delay", "1 s"], &[]);
    assert_eq!(server.get("/-/ready").status, 200);
    let begin = Instant::now();
    server.signal("TERM");
    while server.get("/-/ready").status != 503 {
        assert!(begin.elapsed() < Duration::from_millis(500), "not ready is said at once");
    }
    assert_eq!((server.get("/-/live").status, server.get("/opendap/sub/a.nc.dmr").status), (200, 200));
    assert!(server.get("/-/metrics").text().contains("\nthalweg_draining 1\n"));
    assert!(begin.elapsed() < Duration::from_millis(900), "too slow to tell");
    assert_eq!(server.wait(), Some(0));
    assert!((900..5000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(&server.address).is_err());
}

#[test]
fn the_delay_is_two_seconds_unless_a_person_waits() {
    let dir = folder();
    for (signal, least, most) in [("TERM", 1900, 8000), ("INT", 0, 1900)] {
        let mut server = Server::start(dir.path(), &["--drain-delay", "2 s"], &[]);
        let begin = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait(), Some(0));
        assert!((least..most).contains(&begin.elapsed().as_millis()), "{signal}: {:?}", begin.elapsed());
    }
    let printed =
        std::process::Command::new(env!("CARGO_BIN_EXE_thalweg")).args(["config", "print"]).output().unwrap();
    assert!(String::from_utf8(printed.stdout).unwrap().contains("drain_delay = \"2 s\""));
}

#[test]
fn a_second_signal_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 30_000_000]).unwrap();
    let mut server = Server::start(dir.path(), &[], &[]);
    let mut open = server.connect();
    open.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    open.read_exact(&mut [0; 1000]).unwrap();
    let begin = Instant::now();
    server.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(read_all(&mut open).len() < 30_000_000, "what is cut is not whole");
}

#[test]
fn answers_that_take_too_long_end_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [400, 200, 200], 1, true);
    let mut server = Server::start(dir.path(), &[], &[("THALWEG_LIMITS_DRAIN_TIMEOUT", "1 s")]);
    let ask = |target: &str| {
        let mut stream = server.connect();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        stream
    };
    let mut dap4 = ask("/opendap/a.nc.dap?dap4.ce=/v");
    let mut dap2 = ask("/opendap/a.nc.dods?v");
    // Slow readers, which never stop: 64 MB would take them several seconds.
    let slowly = |stream: &mut TcpStream, begun: Vec<u8>| {
        let (mut all, mut part) = (begun, vec![0; 100_000]);
        while let Ok(n @ 1..) = stream.read(&mut part) {
            all.extend_from_slice(&part[..n]);
            std::thread::sleep(Duration::from_millis(5));
        }
        all
    };
    // Both have begun.
    let begun = |stream: &mut TcpStream| {
        let mut first = vec![0; 1000];
        stream.read_exact(&mut first).unwrap();
        first
    };
    let (first4, first2) = (begun(&mut dap4), begun(&mut dap2));
    server.signal("TERM");
    let (dap4, dap2) = std::thread::scope(|scope| {
        let dap2 = scope.spawn(|| slowly(&mut dap2, first2));
        (slowly(&mut dap4, first4), dap2.join().unwrap())
    });
    assert_eq!(server.wait(), Some(0));
    let announced = |all: &[u8]| -> usize { Answer::last(all).header("content-length").parse().unwrap() };
    assert!(dap4.len() < announced(&dap4), "{} bytes", dap4.len());
    let end = String::from_utf8_lossy(&dap4[dap4.len() - 400..]).into_owned();
    assert!(end.contains("<Error") && end.contains("the server stops"), "{end}");
    assert!(dap2.len() < announced(&dap2) && !dap2.is_empty(), "{} bytes", dap2.len());
}

#[test]
fn a_server_that_was_killed_is_ready_again_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10_000 {
        netcdf3::write(&dir.path().join(format!("file{i:05}.nc")), [1, 1, 1], i, false);
    }
    let index = tempfile::tempdir().unwrap();
    let environment = [("THALWEG_INDEX_FOLDER", index.path().to_str().unwrap())];
    let mut server = Server::start(dir.path(), &[], &environment);
    // Something is known of the files, and being written down.
    assert_eq!(server.get("/catalog.xml").status, 200);
    server.signal("KILL");
    assert_eq!(server.wait(), None);
    let begin = Instant::now();
    let server = Server::start(dir.path(), &[], &environment);
    assert_eq!(server.get("/-/ready").status, 200);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(server.get("/opendap/file09999.nc.dods").status, 200);
}

#[test]
fn a_folder_of_ten_thousand_files_is_listed_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10_000 {
        netcdf3::write(&dir.path().join(format!("file{i:05}.nc")), [1, 1, 1], i, false);
    }
    let server = Server::start(dir.path(), &[], &[]);
    let before = server.resident();
    for target in ["/catalog.xml", "/catalog.html"] {
        let timed = |headers: &str| {
            let begin = Instant::now();
            (server.ask("GET", target, headers), begin.elapsed())
        };
        let (cold, first) = timed("");
        assert_eq!((cold.status, first < Duration::from_secs(1)), (200, true), "{target}: {first:?}");
        // The best of a few: other tests run beside this one.
        let warm = (0..5).map(|_| timed("").1).min().unwrap();
        assert!(warm < Duration::from_millis(200), "{target}: {warm:?}");
    }
    assert!(server.resident() < before + (40 << 20), "{before} bytes grew to {}", server.resident());
}

#[test]
fn a_listing_that_is_the_same_is_not_sent_again() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    // What is known of the file is found out meanwhile, and is a part of the answer.
    let begin = Instant::now();
    loop {
        let tag = server.get("/catalog/sub/catalog.xml").header("etag").to_owned();
        assert!(tag.starts_with('"'), "{tag}");
        if server.ask("GET", "/catalog/sub/catalog.xml", &format!("If-None-Match: {tag}\r\n")).status == 304 {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "it is never the same");
    }
}

/// What a service manager hears.
fn hear(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 200];
    let len = socket.recv(&mut bytes).unwrap_or_else(|e| panic!("nothing was said: {e}"));
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

#[test]
fn the_service_manager_is_told() {
    let dir = folder();
    let path = dir.path().join("notify");
    let abstract_name = format!("thalweg-test-{}", std::process::id());
    let sockets = [
        (path.to_str().unwrap().to_owned(), UnixDatagram::bind(&path).unwrap()),
        (
            format!("@{abstract_name}"),
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap(),
        ),
    ];
    for (name, socket) in sockets {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let environment = [("NOTIFY_SOCKET", name.as_str()), ("WATCHDOG_USEC", "400000")];
        let mut server = Server::start(dir.path(), &[], &environment);
        assert_eq!(hear(&socket), "READY=1");
        assert_eq!(hear(&socket), "WATCHDOG=1");
        let begin = Instant::now();
        assert_eq!((hear(&socket), begin.elapsed().as_millis() < 2000), ("WATCHDOG=1".into(), true));
        let next = || loop {
            let said = hear(&socket);
            if said != "WATCHDOG=1" {
                return said;
            }
        };
        server.signal("HUP");
        let said = next();
        let micros = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{said}"));
        assert!(micros.parse::<u64>().unwrap() > 0);
        assert_eq!(next(), "READY=1");
        server.signal("TERM");
        assert_eq!(next(), "STOPPING=1");
        assert_eq!(server.wait(), Some(0));
    }
}
