//! Answers that are kept: given again as long as they are right, and to no other request.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{fs, path::Path};

use common::{Answer, Server};

/// Answers that the server gave as it gave them before.
fn kept(server: &Server) -> u64 {
    let text = server.get("/-/metrics").text();
    let line = text.lines().find(|line| line.starts_with("thalweg_kept_answers_total ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The answer to a request that is made again, the last time from what is kept: data are when they are asked for twice.
fn twice(server: &Server, method: &str, target: &str, headers: &str) -> Answer {
    let first = server.ask(method, target, headers);
    if [".dap", ".dods"].iter().any(|data| target.contains(data)) {
        assert_eq!(server.ask(method, target, headers).body, first.body, "{target} {headers}");
    }
    let before = kept(server);
    let second = server.ask(method, target, headers);
    assert_eq!(kept(server), before + 1, "{method} {target} {headers}");
    assert_eq!((first.status, &first.body), (second.status, &second.body), "{target} {headers}");
    let comparable = |answer: &Answer| {
        let lines = answer
            .head
            .lines()
            .filter(|l| !["date:", "x-request-id:", "server-timing:"].iter().any(|n| l.starts_with(n)));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(comparable(&first), comparable(&second), "{target} {headers}");
    second
}

fn get(server: &Server, target: &str) -> Answer {
    twice(server, "GET", target, "")
}

fn start(root: &Path) -> Server {
    Server::start(root, &[], &[])
}

#[test]
fn a_file_that_changed_is_answered_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (file, other) = (dir.path().join("a.nc"), dir.path().join("b.tmp"));
    netcdf3::write(&file, [4, 3, 2], 1, true);
    let server = start(dir.path());
    let data = get(&server, "/opendap/a.nc.dods?v").body;
    let shape = get(&server, "/opendap/a.nc.dds").text();

    netcdf3::write(&other, [4, 3, 2], 2, true);
    fs::rename(&other, &file).unwrap();
    let replaced = get(&server, "/opendap/a.nc.dods?v").body;
    assert_ne!(replaced, data, "replaced");
    assert_eq!(get(&server, "/opendap/a.nc.dds").text(), shape);

    // Written over in place, and grown; a clock may stand still for some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    netcdf3::write(&file, [4, 3, 2], 3, true);
    let rewritten = get(&server, "/opendap/a.nc.dods?v").body;
    assert!(rewritten != replaced && rewritten != data);
    netcdf3::write(&file, [5, 3, 2], 3, true);
    assert!(get(&server, "/opendap/a.nc.dods?v").body.len() > data.len());
    assert_ne!(get(&server, "/opendap/a.nc.dds").text(), shape);

    fs::remove_file(&file).unwrap();
    assert_eq!(server.get("/opendap/a.nc.dds").status, 404);
    netcdf3::write(&file, [4, 3, 2], 1, true);
    get(&server, "/opendap/a.nc.dds");
    // The longer name is a dataset of its own from now on.
    fs::create_dir(dir.path().join("a.nc.dds")).unwrap();
    fs::write(dir.path().join("a.nc.dds/.zgroup"), "{\"zarr_format\": 2}").unwrap();
    assert!(server.get("/opendap/a.nc.dds").text().contains("a.nc.dds.dmr"), "its services");
}

#[test]
fn data_are_kept_when_they_are_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [4, 3, 2], 1, false);
    netcdf3::write(&dir.path().join("b.nc"), [4, 3, 2], 2, false);
    let settings = dir.path().join("thalweg.toml");
    let joined =
        "[[dataset]]\nname = \"joined\"\nglob = \"*.nc\"\ntype = \"joinNew\"\ndimension = \"file\"\n";
    fs::write(&settings, joined).unwrap();
    let flags = ["--config", settings.to_str().unwrap()];
    let server = Server::start(dir.path(), &flags, &[("THALWEG_INDEX_FOLDER", "none")]);
    // Data of many files at once: they cost more than their place.
    for (target, before) in [
        ("/opendap/a.nc.dap", 2),
        ("/opendap/a.nc.dods?v[0][0][0:1]", 2),
        ("/opendap/a.nc.dds", 1),
        ("/opendap/joined.dap?dap4.ce=/v[][0][0][0]", 1),
    ] {
        let at = kept(&server);
        let answers: Vec<_> = (0..4).map(|_| server.get(target).body).collect();
        assert!(answers.iter().all(|body| *body == answers[0]), "{target}");
        assert_eq!(kept(&server) - at, 4 - before, "{target}");
    }
}

#[test]
fn who_would_get_another_answer_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [4, 3, 2], 1, false);
    let server = start(dir.path());
    let plain = get(&server, "/opendap/a.nc.dmr");
    let xml = twice(&server, "GET", "/opendap/a.nc.dmr", "Accept: text/xml\r\n");
    assert_ne!(plain.header("content-type"), xml.header("content-type"));
    assert_eq!(server.ask("GET", "/opendap/a.nc.dmr", "Accept: image/png\r\n").status, 406);
    let page = server.ask("GET", "/opendap/a.nc.dmr", "Accept: text/html\r\n");
    assert!(page.header("content-type").starts_with("text/html"));

    let data = get(&server, "/opendap/a.nc.dap").body;
    let old = twice(&server, "GET", "/opendap/a.nc.dap", "User-Agent: netCDF4.8.1\r\n").body;
    assert!(old.len() > data.len(), "old clients expect checksums");
    assert_eq!(get(&server, "/opendap/a.nc.dap").body, data);

    let packed = twice(&server, "GET", "/opendap/a.nc.dmr", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("content-length"), packed.body.len().to_string());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut text).unwrap();
    assert_eq!(text, plain.text());
    assert_eq!(get(&server, "/opendap/a.nc.dmr").header("content-encoding"), "");

    let part = get(&server, "/opendap/a.nc.dods?v[0][0][0]").body;
    assert_ne!(get(&server, "/opendap/a.nc.dods?v[1][0][0]").body, part);
    assert_eq!(get(&server, "/dodsC/a.nc.dods?v[0][0][0]").body, part);

    let host = |name: &str| {
        let request = format!("GET /opendap/a.nc.dmr HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        server.raw(request.as_bytes()).text()
    };
    for name in ["one.org", "two.org", "one.org"] {
        assert!(host(name).contains(&format!("http://{name}/opendap/a.nc")), "{name}");
    }
}

#[test]
fn parts_and_questions_are_answered_from_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("a.nc"), [4, 3, 2], 1, false);
    let server = start(dir.path());
    for target in ["/opendap/a.nc.dds", "/opendap/a.nc.dap"] {
        let whole = get(&server, target);
        let tag = format!("If-None-Match: {}\r\n", whole.header("etag"));
        let unchanged = twice(&server, "GET", target, &tag);
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
        assert_eq!(unchanged.header("etag"), whole.header("etag"));
        assert_eq!(twice(&server, "GET", target, "If-None-Match: \"x\"\r\n").body, whole.body);
        let part = twice(&server, "GET", target, "Range: bytes=2-4\r\n");
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..5]));
        assert_eq!(twice(&server, "GET", target, "Range: bytes=99999999-\r\n").status, 416);
        let head = twice(&server, "HEAD", target, "");
        assert!(head.body.is_empty());
        for name in ["content-length", "etag", "content-type", "accept-ranges"] {
            assert_eq!(head.header(name), whole.header(name), "{target} {name}");
        }
    }
    // What fails is not kept, and is told by a number of its own each time.
    let before = kept(&server);
    let ids: Vec<_> =
        (0..2).map(|_| server.get("/opendap/a.nc.dds?none").header("x-request-id").to_owned()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(kept(&server), before);
}

#[test]
fn a_folder_is_shown_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, version| netcdf3::write(&dir.path().join(name), [4, 3, 2], version, true);
    write("a.nc", 1);
    let server = start(dir.path());
    for target in ["/catalog.xml", "/catalog.json", "/", "/?q=a"] {
        let headers = if target == "/" { "Accept: text/html\r\n" } else { "" };
        // What is learnt of the dataset meanwhile changes the page.
        let settled = (0..100).any(|_| {
            let before = kept(&server);
            let _ = server.ask("GET", target, headers);
            std::thread::sleep(std::time::Duration::from_millis(20));
            kept(&server) > before
        });
        assert!(settled, "{target}");
        let first = twice(&server, "GET", target, headers).body;
        netcdf3::write(&dir.path().join("a.nc"), [5, 3, 2], 1, true);
        let grown = server.ask("GET", target, headers).body;
        assert_ne!(grown, first, "{target}: a dataset has another size");
        write("aa.nc", 1);
        let text = server.ask("GET", target, headers).text();
        assert!(text.contains("aa.nc"), "{target}: a dataset more");
        fs::remove_file(dir.path().join("aa.nc")).unwrap();
        assert!(!server.ask("GET", target, headers).text().contains("aa.nc"), "{target}: one less");
        write("a.nc", 1);
    }
}
