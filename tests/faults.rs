//! Files that change, shrink, vanish or were never data, through the running server (promises R10 to
//! R12): an answer is wholly of one version, or visibly broken; never zeros, never a mixture.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/dap.rs"]
mod dap;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use common::{Answer, Server};

/// More than sockets and the server's read-ahead hold: most of it is read after the change.
const SHAPE: [u64; 3] = [12, 1000, 1000];
const LEN: usize = 48_000_000;

struct Served {
    dir: tempfile::TempDir,
    server: Server,
    old: u32,
}

impl Served {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        netcdf3::write(&dir.path().join("a.nc"), SHAPE, 1, false);
        let server = Server::start(dir.path(), &[], &[]);
        Self { dir, server, old: 1 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks for `target`, takes the first bytes, lets `change` happen, takes the rest.
    fn around(&self, target: &str, change: impl FnOnce(&Path)) -> Answer {
        let mut stream = self.server.connect();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut bytes = vec![0; 100_000];
        stream.read_exact(&mut bytes).unwrap();
        change(&self.path("a.nc"));
        rest(&mut stream, &mut bytes);
        Answer::last(&bytes)
    }

    /// Checks that what arrived of `target` is a beginning of the old values; true if it is all of them
    /// and looks so.
    fn is_whole(&self, target: &str, answer: &Answer) -> bool {
        assert_eq!(answer.status, 200, "{target}");
        let announced: usize = answer.header("content-length").parse().unwrap();
        let arrived = answer.body.len() == announced;
        let (ints, ended): (Vec<i32>, bool) = if target.contains(".dap") {
            let parts = dap::dap4(&answer.body);
            assert!(!(parts.ended && parts.error.is_some()));
            (dap::dap4_ints(&parts).take(LEN / 4).collect(), parts.ended && arrived)
        } else if target.contains(".dods") {
            (dap::xdr_ints(dap::xdr(&answer.body).unwrap()).take(LEN / 4).collect(), arrived)
        } else {
            let head = answer.body.len().min(announced - LEN);
            (answer.body[head..].as_chunks::<4>().0.iter().map(|&b| i32::from_be_bytes(b)).collect(), arrived)
        };
        // A cut may fall into a checksum, not before the data.
        for (position, value) in (0..).zip(&ints) {
            assert_eq!(*value, netcdf3::value(self.old, position), "{target}: element {position}");
        }
        assert!(!ended || ints.len() == LEN / 4, "{target} ends well after {} elements", ints.len());
        ended
    }

    fn etag(&self) -> String {
        let answer = self.server.ask("HEAD", "/opendap/a.nc.dap?dap4.ce=/v", "");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.header("etag").to_owned()
    }
}

fn rest(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut part = vec![0; 1 << 20];
    while let Ok(n @ 1..) = stream.read(&mut part) {
        bytes.extend_from_slice(&part[..n]);
    }
}

const TARGETS: [&str; 3] = ["/opendap/a.nc.dap?dap4.ce=/v", "/opendap/a.nc.dods?v", "/files/a.nc"];

/// The first values of the variable, by both protocols.
fn first_value(server: &Server) -> i32 {
    let four = server.get("/opendap/a.nc.dap?dap4.ce=/v%5B0%5D%5B0%5D%5B0%5D");
    let two = server.get("/opendap/a.nc.dods?v%5B0%5D%5B0%5D%5B0%5D");
    assert_eq!((four.status, two.status), (200, 200), "{} {}", four.text(), two.text());
    let four = dap::dap4_ints(&dap::dap4(&four.body)).next().unwrap();
    assert_eq!(dap::xdr_ints(dap::xdr(&two.body).unwrap()).next(), Some(four));
    four
}

#[test]
fn a_file_replaced_while_it_is_sent_is_sent_to_its_end() {
    let mut served = Served::new();
    for (i, target) in TARGETS.into_iter().enumerate() {
        let version = u32::try_from(i).unwrap() + 2;
        let tag = served.etag();
        let answer = served.around(target, |path| {
            netcdf3::write(&served.path("new"), SHAPE, version, false);
            fs::rename(served.path("new"), path).unwrap();
            // Visible at once, though the old one is still being sent.
            assert_eq!(first_value(&served.server), netcdf3::value(version, 0));
            assert_ne!(served.etag(), tag);
        });
        // The old file's bytes are all there still, and they are what is sent.
        assert!(served.is_whole(target, &answer), "{target}");
        served.old = version;
    }
    served.server.assert_sound();
}

#[test]
fn a_file_deleted_while_it_is_sent_is_sent_to_its_end_and_is_gone() {
    let mut served = Served::new();
    for target in TARGETS {
        let answer = served.around(target, |path| fs::remove_file(path).unwrap());
        assert!(served.is_whole(target, &answer), "{target}");
        for gone in TARGETS {
            assert_eq!(served.server.get(gone).status, 404, "{gone}");
        }
        assert!(!served.server.get("/catalog.xml").text().contains("a.nc"));
        netcdf3::write(&served.path("a.nc"), SHAPE, 1, false);
        assert_eq!(first_value(&served.server), netcdf3::value(1, 0));
    }
    served.server.assert_sound();
}

/// What must hold of an answer whose file was spoilt: it never looks like success.
fn assert_visibly_broken(served: &Served, target: &str, answer: &Answer) {
    assert!(!served.is_whole(target, answer), "{target} ends as if nothing had happened");
    if target.contains(".dap") {
        let parts = dap::dap4(&answer.body);
        let error = parts.error.unwrap_or_else(|| panic!("{target}: no error chunk"));
        assert!(error.contains("<Error"), "{error}");
        assert!(!error.contains(served.dir.path().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_file_truncated_while_it_is_sent_is_never_zeros() {
    let mut served = Served::new();
    for target in TARGETS {
        let answer = served.around(target, |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(30_000_000).unwrap();
        });
        assert_visibly_broken(&served, target, &answer);
        // The file is refused as it is now: its header names more than it holds, and not records.
        for again in &TARGETS[..2] {
            assert!(served.server.get(again).status >= 400, "{again}");
        }
        fs::remove_file(served.path("a.nc")).unwrap();
        netcdf3::write(&served.path("a.nc"), SHAPE, 1, false);
        assert_eq!(first_value(&served.server), netcdf3::value(1, 0));
    }
    served.server.assert_sound();
}

#[test]
fn a_file_rewritten_in_place_while_it_is_sent_is_never_a_mixture() {
    let mut served = Served::new();
    for (i, target) in TARGETS.into_iter().enumerate() {
        let version = u32::try_from(i).unwrap() + 2;
        let answer = served.around(target, |path| netcdf3::write(path, SHAPE, version, false));
        assert_visibly_broken(&served, target, &answer);
        served.old = version;
        assert_eq!(
            first_value(&served.server),
            netcdf3::value(version, 0),
            "the next answer is of the new file"
        );
    }
    served.server.assert_sound();
}

#[test]
fn appended_records_are_seen_by_the_next_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("growing.nc");
    netcdf3::write(&path, [3, 4, 5], 7, true);
    let mut server = Server::start(dir.path(), &[], &[]);
    let url = "/opendap/growing.nc.dap?dap4.ce=/v";
    let count = |answer: &Answer| dap::dap4(&answer.body).data.len() / (4 * 20);
    let before = server.get(url);
    assert_eq!((before.status, count(&before)), (200, 3));
    // Two more records, the count in the header last, as libraries do.
    let mut longer = tempfile::NamedTempFile::new().unwrap();
    netcdf3::write(longer.path(), [5, 4, 5], 7, true);
    let mut bytes = Vec::new();
    longer.read_to_end(&mut bytes).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let old = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&bytes[old..], old as u64).unwrap();
    let between = server.get(url);
    assert_eq!((between.status, count(&between)), (200, 3), "records that are not announced do not count");
    file.write_all_at(&bytes[4..8], 4).unwrap();
    let after = server.get(url);
    assert_eq!((after.status, count(&after)), (200, 5));
    assert_ne!(after.header("etag"), before.header("etag"));
    let parts = dap::dap4(&after.body);
    let expected: Vec<i32> = (0..100).map(|position| netcdf3::value(7, position)).collect();
    assert_eq!(dap::dap4_ints(&parts).take(100).collect::<Vec<_>>(), expected);
    // A header may announce more than is there: what is whole is served, nothing is filled up, and it is said.
    file.write_all_at(&6_u32.to_be_bytes(), 4).unwrap();
    let beyond = server.get(url);
    assert_eq!((beyond.status, count(&beyond)), (200, 5));
    let described = server.get("/opendap/growing.nc.das").text();
    assert!(described.contains("thalweg_warning") && described.contains("names 6 records"), "{described}");
    server.assert_sound();
}

#[test]
fn what_is_not_data_is_listed_and_never_served_as_data() {
    let dir = tempfile::tempdir().unwrap();
    netcdf3::write(&dir.path().join("good.nc"), [2, 3, 4], 1, false);
    let good = fs::read(dir.path().join("good.nc")).unwrap();
    let hdf5 =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("handlers/hdf5/testdata/storage.nc")).unwrap();
    let bad: [(&str, Vec<u8>); 9] = [
        ("empty.nc", Vec::new()),
        ("empty.h5", Vec::new()),
        ("text.nc", b"<html>not found</html>".repeat(100)),
        ("noise.h5", (0..20_000_u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()),
        ("zeros.nc", vec![0; 100_000]),
        ("magic.nc", b"CDF".to_vec()),
        ("version.nc", b"CDF\x09\0\0\0\0".to_vec()),
        ("cut.nc", good[..good.len() - 20].to_vec()),
        ("cut.h5", hdf5[..hdf5.len() / 2].to_vec()),
    ];
    for (name, bytes) in &bad {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let mut server = Server::start(dir.path(), &[], &[]);
    let before = server.get("/opendap/good.nc.dap");
    let listing = server.get("/catalog.xml").text();
    for (name, bytes) in &bad {
        assert!(listing.contains(&format!("urlPath=\"{name}\"")), "{name} is listed");
        for suffix in [
            ".dmr",
            ".dap",
            ".dds",
            ".das",
            ".dods",
            ".ascii",
            ".html",
            ".dsr",
            "",
            ".kerchunk.json",
            ".dmrpp",
        ] {
            let answer = server.ask("GET", &format!("/opendap/{name}{suffix}"), "X-Request-Id: q7\r\n");
            let text = answer.text();
            assert!(answer.status == 500 || answer.status == 501, "{name}{suffix}: {}\n{text}", answer.head);
            assert!(
                text.contains("q7") || suffix.starts_with(".d") || suffix.starts_with(".a"),
                "{suffix}: {text}"
            );
            assert!(!text.contains(dir.path().to_str().unwrap()), "{text}");
        }
        // The file itself is what it is.
        let file = server.get(&format!("/files/{name}"));
        assert_eq!((file.status, &file.body), (200, bytes), "{name}");
    }
    let after = server.get("/opendap/good.nc.dap");
    assert_eq!((after.status, after.body), (200, before.body));
    server.assert_sound();
}
