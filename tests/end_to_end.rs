//! The built server over a temporary folder, by raw HTTP: finding data, files, errors, HTTP hygiene.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;

use std::{fs, io::Write, time::Instant};

use common::{Server, read_all};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sub/deeper")).unwrap();
    fs::write(dir.path().join("digits.nc"), b"0123456789").unwrap();
    fs::write(dir.path().join("sub/b.nc"), b"bb").unwrap();
    fs::write(dir.path().join("sub/x.nc.dmr.nc"), b"literal").unwrap();
    fs::write(dir.path().join("name with [1] & é.nc"), b"odd").unwrap();
    fs::write(dir.path().join("notes.txt"), b"secret").unwrap();
    fs::write(dir.path().join(".hidden.nc"), b"secret").unwrap();
    dir
}

#[test]
fn the_greeting_says_what_to_try() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    assert!(server.greeting.contains(&format!("serving {}", dir.path().display())));
    assert!(server.greeting.contains(&format!("browse http://{}/", server.address)));
    assert!(server.greeting.contains("this machine only"));
}

#[test]
fn catalogs_lead_to_every_dataset() {
    let dir = folder();
    let server = Server::start(dir.path(), &["--title", "Tests <&>"], &[]);
    let top = server.get("/catalog.xml");
    assert_eq!((top.status, top.header("content-type")), (200, "application/xml; charset=utf-8"));
    let text = top.text();
    for expect in
        ["urlPath=\"digits.nc\"", "xlink:href=\"catalog/sub/catalog.xml\"", "name=\"Tests &lt;&amp;&gt;\""]
    {
        assert!(text.contains(expect), "{expect} in {text}");
    }
    assert!(!text.contains("notes") && !text.contains("hidden"));
    let sub = server.get("/catalog/sub/catalog.xml");
    assert!(sub.text().contains("urlPath=\"sub/b.nc\""));
    assert!(sub.text().contains("xlink:href=\"../../catalog/sub/deeper/catalog.xml\""));
    assert_eq!(server.get("/thredds/catalog/sub/catalog.xml").text(), {
        sub.text().replace("../../catalog/", "../../../catalog/")
    });
    let again = server.ask("GET", "/catalog.xml", &format!("If-None-Match: {}\r\n", top.header("etag")));
    assert_eq!((again.status, again.body.len()), (304, 0));
    let page = server.get("/");
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.text().contains("href=\"opendap/digits.nc.html\"")
            && page.text().contains("Tests &#60;&#38;&#62;")
    );
    assert_eq!(server.get("/catalog/nowhere/catalog.xml").status, 404);
    let moved = server.get("/opendap/sub");
    assert_eq!((moved.status, moved.header("location")), (302, "./sub/"));
    assert_eq!(server.get("/opendap/sub/").status, 200);
}

#[test]
fn files_are_sent_whole_and_in_parts() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let whole = server.get("/files/digits.nc");
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    assert_eq!(whole.header("content-type"), "application/x-netcdf");
    assert!(whole.header("content-disposition").starts_with("attachment; filename=\"digits.nc\""));
    assert_eq!((whole.header("accept-ranges"), whole.header("content-length")), ("bytes", "10"));
    let part = server.ask("GET", "/files/digits.nc", "Range: bytes=3-5\r\n");
    assert_eq!(
        (part.status, part.text().as_str(), part.header("content-range")),
        (206, "345", "bytes 3-5/10")
    );
    let outside = server.ask("GET", "/files/digits.nc", "Range: bytes=10-\r\n");
    assert_eq!((outside.status, outside.header("content-range")), (416, "bytes */10"));
    let head = server.ask("HEAD", "/files/digits.nc", "");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    let tag = format!("If-None-Match: {}\r\n", whole.header("etag"));
    assert_eq!(server.ask("GET", "/files/digits.nc", &tag).status, 304);
    // A replaced file is served anew at once, under another tag.
    fs::write(dir.path().join("new"), b"other").unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("digits.nc")).unwrap();
    let replaced = server.ask("GET", "/files/digits.nc", &tag);
    assert_eq!((replaced.status, replaced.text().as_str()), (200, "other"));
    for path in ["/files/notes.txt", "/files/.hidden.nc", "/files/nowhere.nc"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn raw_and_encoded_targets_are_the_same() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let raw = server.raw(
        "GET /files/name%20with%20[1]%20&%20é.nc HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".as_bytes(),
    );
    let encoded = server.get("/files/name%20with%20%5B1%5D%20%26%20%C3%A9.nc");
    assert_eq!((raw.status, encoded.status), (200, 200));
    assert_eq!(raw.body, encoded.body);
    for (one, other) in [
        ("/opendap/n.nc.dds?v[0:1]&v>\"x\"{|}", "/opendap/n.nc.dds?v%5B0:1%5D&v%3E%22x%22%7B%7C%7D"),
        ("/opendap/n.nc.dmr?dap4.ce=/{x;y}|a<3", "/opendap/n.nc.dmr?dap4.ce=/%7Bx;y%7D%7Ca%3C3"),
    ] {
        let id = "X-Request-Id: same\r\n";
        let (raw, encoded) = (server.ask("GET", one, id), server.ask("GET", other, id));
        assert_eq!((raw.status, raw.body), (encoded.status, encoded.body), "{one}");
        assert_eq!(raw.status, 404, "reached the route: {one}");
    }
}

#[test]
fn requests_of_one_connection_are_all_mended() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let mut stream = server.connect();
    let one = "GET /files/digits.nc?{ HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET /files/digits.nc?| HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    let text = String::from_utf8(read_all(&mut stream)).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 3);
    assert_eq!(text.matches("0123456789").count(), 3);
}

#[test]
fn bodies_cannot_smuggle_requests() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let inner = "GET /files/digits.nc HTTP/1.1\r\nHost: h\r\n\r\n";
    for (headers, body, expect) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n", 400),
        ("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd", 400),
        ("Content-Length: 4\r\nContent-Length: 5\r\n", "abcd", 400),
        ("Content-Length: +3\r\n", "abc", 400),
        ("Content-Length: 3, 3\r\n", "abc", 400),
        ("Content-Length : 3\r\n", "abc", 400),
        ("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", "-1\r\nabc\r\n0\r\n\r\n", 400),
        // A well-formed body is read, ignored, and the connection closed after the answer.
        ("Content-Length: 4\r\n", "GET{", 200),
        ("Transfer-Encoding: chunked\r\n", "4\r\nGET{\r\n0\r\n\r\n", 200),
    ] {
        for method in ["GET", "POST"] {
            let request = format!("{method} /-/live HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}{inner}");
            let mut stream = server.connect();
            stream.write_all(request.as_bytes()).unwrap();
            let text = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
            let expect = if method == "POST" && expect == 200 { 405 } else { expect };
            assert!(text.starts_with(&format!("HTTP/1.1 {expect} ")), "{method} {headers:?}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{method} {headers:?}: one answer, then closed");
            assert!(!text.contains("0123456789"), "{headers:?} smuggled a request");
        }
    }
}

#[test]
fn methods_and_long_targets() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    for method in ["POST", "PUT", "DELETE", "TRACE", "PATCH"] {
        let answer = server.ask(method, "/", "");
        assert_eq!((answer.status, answer.header("allow")), (405, "get, head, options"), "{method}");
    }
    let preflight = server.ask("OPTIONS", "/opendap/x.nc.dap", "Origin: https://o\r\n");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(server.get(&format!("/opendap/x.nc.dds?{}", "a".repeat(70_000))).status, 414);
    assert_eq!(server.get(&format!("/opendap/x.nc.dds?{}", "a".repeat(60_000))).status, 404);
}

#[test]
fn paths_do_not_escape() {
    let dir = folder();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/in.nc"), b"in").unwrap();
    std::os::unix::fs::symlink("../digits.nc", dir.path().join("data/link.nc")).unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    assert_eq!(server.get("/files/in.nc").status, 200);
    assert_eq!(server.get("/files/link.nc").status, 404, "a link out of the root");
    for path in [
        "..",
        "../digits.nc",
        "%2e%2e/digits.nc",
        "..%2fdigits.nc",
        "a/../../digits.nc",
        "a%5c..",
        "a%00.nc",
        "%ff",
    ] {
        for mount in ["/files/", "/opendap/", "/catalog/", "/thredds/dodsC/"] {
            let answer = server.get(&format!("{mount}{path}"));
            assert_eq!(answer.status, 400, "{mount}{path}");
        }
    }
}

#[test]
fn errors_fit_who_asks() {
    let dir = folder();
    let server = Server::start(dir.path(), &[], &[]);
    let page = server.ask("GET", "/nowhere", "Accept: text/html\r\n");
    assert!(page.status == 404 && page.text().contains("<h1>404 Not Found</h1>"));
    let problem = server.ask("GET", "/nowhere", "Accept: application/json\r\nX-Request-Id: abc\r\n");
    assert_eq!(
        (problem.header("content-type"), problem.header("x-request-id")),
        ("application/problem+json", "abc")
    );
    let json: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
    assert_eq!((json["status"].as_u64(), json["request"].as_str()), (Some(404), Some("abc")));
    // Garbage under a data name is listed and downloadable, never served as data; others are unaffected.
    let garbage = server.get("/opendap/digits.nc.dds");
    assert!(garbage.status >= 400, "{garbage:?}");
    assert_eq!(garbage.header("cache-control"), "no-cache");
    assert!(!garbage.text().contains(dir.path().to_str().unwrap()), "no server path in an answer");
    assert_eq!(server.get("/opendap/nowhere.nc.dap").status, 404);
    assert_eq!(server.get("/opendap/nowhere.nc").status, 404);
}

#[test]
fn links_follow_the_proxy_only_when_trusted() {
    let dir = folder();
    let forwarded = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: d.org\r\nX-Forwarded-Prefix: /data\r\n";
    let server = Server::start(dir.path(), &[], &[]);
    assert!(server.ask("GET", "/catalog.json", forwarded).text().contains("\"http://h/opendap/digits.nc\""));
    let trusting = Server::start(dir.path(), &[], &[("THALWEG_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let listed = "\"https://d.org/data/opendap/digits.nc\"";
    assert!(trusting.ask("GET", "/catalog.json", forwarded).text().contains(listed));
    assert!(trusting.ask("GET", "/", forwarded).text().contains("\"url\":\"https://d.org/data/\""));
    assert!(trusting.ask("GET", "/catalog.xml", forwarded).text().contains("base=\"/data/thredds/dodsC/\""));
    let public = Server::start(dir.path(), &["--public-url", "https://p.org/x"], &[]);
    assert!(
        public
            .ask("GET", "/catalog.json", forwarded)
            .text()
            .contains("\"https://p.org/x/opendap/digits.nc\"")
    );
}

#[test]
fn a_stop_lets_answers_finish() {
    let dir = folder();
    fs::write(dir.path().join("big.nc"), vec![7_u8; 30_000_000]).unwrap();
    let mut server = Server::start(dir.path(), &["--drain-delay", "1 s"], &[]);
    assert_eq!((server.get("/-/live").status, server.get("/-/ready").status), (200, 200));
    let mut open = server.connect();
    open.write_all(b"GET /files/big.nc HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(server.get("/-/ready").status, 503);
    assert!(read_all(&mut open).len() > 30_000_000, "the answer under way is finished");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_start_over_many_files_is_quick_and_so_is_their_catalog() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..10_000 {
        fs::write(dir.path().join(format!("file{i:05}.nc")), b"x").unwrap();
    }
    let begin = Instant::now();
    let server = Server::start(dir.path(), &[], &[]);
    assert!(begin.elapsed().as_millis() < 1000, "{:?}", begin.elapsed());
    let begin = Instant::now();
    let page = server.get("/catalog.xml");
    assert!(begin.elapsed().as_millis() < 1000, "{:?}", begin.elapsed());
    assert_eq!(page.text().matches("urlPath=").count(), 1000);
    assert!(page.text().contains("catalog/catalog.xml?page=2"));
    assert!(server.get("/catalog/catalog.xml?page=10").text().contains("urlPath=\"file09999.nc\""));
    assert_eq!(server.get("/catalog.xml?page=11").status, 404);
}

#[test]
fn commands_have_exit_codes_and_clear_errors() {
    let dir = folder();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(arguments)
            .current_dir(dir.path())
            .output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    fs::write(dir.path().join("thalweg.toml"), "title = \"x\"\nlistn = \"y\"\n").unwrap();
    let (code, _, stderr) = run(&["serve", ".", "--config", "thalweg.toml"]);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "thalweg: thalweg.toml:2: unknown key 'listn' (did you mean 'listen'?)\n")
    );
    let (code, _, stderr) = run(&["serve", "nowhere"]);
    assert!(code == 1 && stderr.starts_with("thalweg: cannot serve nowhere"), "{stderr}");
    assert_eq!(run(&["serve"]).0, 2);
    assert_eq!(run(&["fly"]).0, 2);
    let (code, stdout, _) = run(&["ls", ".", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (1, 4), "garbage is listed as unreadable: {stdout}");
    assert_eq!(rows[0]["format"], serde_json::Value::Null);
    fs::create_dir(dir.path().join("good")).unwrap();
    fs::write(dir.path().join("good/a.nc"), SAMPLE).unwrap();
    let (code, stdout, _) = run(&["ls", "good"]);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!((code, words(&stdout)), (0, format!("{} netCDF-3 a.nc", SAMPLE.len())));
    fs::write(dir.path().join("good/a.nc"), &SAMPLE[..SAMPLE.len() / 2]).unwrap();
    let (code, stdout, _) = run(&["ls", "good"]);
    assert!(code == 1 && words(&stdout).contains("unreadable a.nc"), "a truncated file: {stdout}");
    let (code, _, stderr) = run(&["cat", "digits.nc"]);
    assert!(code == 1 && stderr.starts_with("thalweg: "), "{stderr}");
}

/// A small netCDF-3 file with several types; what it holds is the readers' business.
const SAMPLE: &[u8] = include_bytes!("../handlers/netcdf3/tests/data/cdf1_types.nc");

#[test]
fn both_protocols_answer_under_every_mount() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/s.nc"), SAMPLE).unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    for mount in ["/opendap", "/dodsC", "/dap4", "/thredds/dodsC", "/thredds/dap4"] {
        for (suffix, media_type) in [
            ("", "application/vnd.opendap.dap4.dataset-services+xml"),
            (".dmr", "application/vnd.opendap.dap4.dataset-metadata+xml"),
            (".dap", "application/vnd.opendap.dap4.data"),
            (".dds", "text/plain"),
            (".das", "text/plain"),
            (".dods", "application/octet-stream"),
            (".ncml", "application/xml"),
        ] {
            let answer = server.get(&format!("{mount}/sub/s.nc{suffix}"));
            assert_eq!(answer.status, 200, "{mount} {suffix}");
            assert!(
                answer.header("content-type").starts_with(media_type),
                "{mount} {suffix} {}",
                answer.head
            );
        }
    }
    let page = server.ask("GET", "/opendap/sub/s.nc", "Accept: text/html\r\n");
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("http://h/opendap/sub/s.nc"));
    // A file that is literally called so wins over the suffix.
    fs::write(dir.path().join("sub/s.nc.dds.nc"), SAMPLE).unwrap();
    assert!(server.get("/opendap/sub/s.nc.dds.nc.dds").text().contains("Dataset"));
}

#[test]
fn every_dataset_is_described_in_ncml() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/s.nc"), SAMPLE).unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    for (target, location) in [
        ("/opendap/sub/s.nc.ncml", "http://h/opendap/sub/s.nc"),
        ("/thredds/ncml/sub/s.nc", "http://h/thredds/dodsC/sub/s.nc"),
        ("/thredds/ncml/sub/s.nc?catalog=c&dataset=d", "http://h/thredds/dodsC/sub/s.nc"),
    ] {
        let whole = server.get(target);
        assert_eq!((whole.status, whole.header("content-type")), (200, "application/xml; charset=utf-8"));
        assert_eq!(whole.header("content-length"), whole.body.len().to_string(), "{target}");
        let text = whole.text();
        assert!(text.contains(&format!(" location=\"{location}\">")), "{target}: {text}");
        assert!(text.contains("<variable name=\"fixed_f8\" shape=\"y größe\" type=\"double\""), "{text}");
        let tag = format!("If-None-Match: {}\r\n", whole.header("etag"));
        assert_eq!(server.ask("GET", target, &tag).status, 304, "{target}");
        let head = server.ask("HEAD", target, "");
        assert_eq!((head.header("content-length"), head.body.len()), (whole.header("content-length"), 0));
    }
    assert_eq!(server.get("/opendap/sub/t.nc.ncml").status, 404);
    assert_eq!(server.get("/thredds/ncml/sub/t.nc").status, 404);
    assert!(server.get("/catalog/sub/catalog.xml").text().contains("base=\"/thredds/ncml/\""));
    // A document of that name is a dataset, which wins over the description of another.
    let edited = "<netcdf location='s.nc'><attribute name='title' value='edited here'/></netcdf>";
    fs::write(dir.path().join("sub/s.nc.ncml"), edited).unwrap();
    assert!(server.get("/opendap/sub/s.nc.ncml.ncml").text().contains("edited here"));
    let services = server.get("/opendap/sub/s.nc.ncml");
    assert!(services.header("content-type").contains("dataset-services"), "{}", services.head);
}

#[test]
fn data_answers_have_lengths_tags_and_parts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("s.nc"), SAMPLE).unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    // Strings have no length before they are read: numbers alone in DAP2.
    for target in ["/opendap/s.nc.dap", "/opendap/s.nc.dods?fixed_f8,record_i2"] {
        let whole = server.get(target);
        assert_eq!(whole.header("content-length"), whole.body.len().to_string(), "{target}");
        let head = server.ask("HEAD", target, "");
        assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")));
        assert_eq!(head.header("etag"), whole.header("etag"));
        assert!(head.body.is_empty());
        let tag = format!("If-None-Match: {}\r\n", whole.header("etag"));
        assert_eq!(server.ask("GET", target, &tag).status, 304);
        let part = server.ask("GET", target, "Range: bytes=5-60\r\n");
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[5..61]));
        let packed = server.ask("GET", target, "Accept-Encoding: gzip\r\n");
        assert_eq!(
            (packed.header("content-encoding"), &packed.body),
            ("", &whole.body),
            "data is not compressed"
        );
        // A touched file is another version.
        fs::write(dir.path().join("new"), SAMPLE).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("s.nc")).unwrap();
        let again = server.ask("GET", target, &tag);
        assert_eq!((again.status, &again.body), (200, &whole.body));
    }
    let text = server.ask("GET", "/opendap/s.nc.dmr", "Accept-Encoding: gzip\r\n");
    assert_eq!((text.header("content-encoding"), &text.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    assert!(text.header("etag").starts_with("w/\"") && text.header("vary").len() > 3);
}

#[test]
fn files_that_cannot_be_read_do_not_disturb_others() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("good.nc"), SAMPLE).unwrap();
    fs::write(dir.path().join("empty.nc"), b"").unwrap();
    fs::write(dir.path().join("garbage.nc"), [0x55; 4096]).unwrap();
    fs::write(dir.path().join("short.nc"), &SAMPLE[..SAMPLE.len() / 2]).unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let catalog = server.get("/catalog.xml").text();
    for name in ["empty", "garbage", "short"] {
        assert!(catalog.contains(&format!("urlPath=\"{name}.nc\"")));
        for suffix in ["", ".dmr", ".dap", ".dds", ".dods"] {
            let answer = server.get(&format!("/opendap/{name}.nc{suffix}"));
            // A header that names more than the file holds is an error, never zeros.
            assert!(answer.status >= 400, "{name}{suffix}: {}", answer.head);
            assert!(!answer.text().contains(dir.path().to_str().unwrap()));
        }
    }
    assert_eq!(server.get("/opendap/good.nc.dap").status, 200);
}

#[test]
fn constraints_may_be_raw_or_encoded() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("s.nc"), SAMPLE).unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let name = "series_f8";
    for suffix in ["dap", "dmr"] {
        let raw = server.get(&format!("/opendap/s.nc.{suffix}?dap4.ce=/{name}[0:1]"));
        let encoded = server.get(&format!("/opendap/s.nc.{suffix}?dap4.ce=%2F{name}%5B0%3A1%5D"));
        assert_eq!((raw.status, encoded.status), (200, 200), "{}", raw.text());
        assert_eq!((raw.body, raw.head.contains("etag")), (encoded.body, true));
    }
    let raw = server.get(&format!("/opendap/s.nc.dods?{name}[0:1]"));
    let encoded = server.get(&format!("/opendap/s.nc.dods?{name}%5B0%3A1%5D"));
    assert_eq!((raw.status, raw.body), (encoded.status, encoded.body));
    assert_eq!(raw.status, 200);
    // Errors are the front end's own documents.
    let wrong = server.get("/opendap/s.nc.dap?dap4.ce=/nowhere{");
    assert!(wrong.status == 400 && wrong.text().contains("<Error"), "{}", wrong.text());
    let wrong = server.get("/opendap/s.nc.dods?nowhere|\"");
    assert!(wrong.status >= 400 && wrong.text().starts_with("Error {"), "{}", wrong.text());
}
