//! A server that is out of file descriptors (promise R13): it says so, does not spin, and recovers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use common::Server;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

const FILES: usize = 12;

/// The lowest descriptor that the server does not use: the next it will be given.
fn next_descriptor(server: &Server) -> u64 {
    let folder = format!("/proc/{}/fd", server.id());
    (0..10_000).find(|n| fs::symlink_metadata(format!("{folder}/{n}")).is_err()).unwrap()
}

/// From now on, the server may have `limit` descriptors.
fn allow(server: &Server, limit: u64) {
    let pid = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(limit), maximum }).unwrap();
}

/// Processor time that the server has had, in clock ticks (a hundredth of a second).
fn ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The status line of the next answer on a connection that stays open.
fn status(stream: &mut TcpStream, target: &str) -> u16 {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let n = stream.read(&mut part).unwrap();
        assert_ne!(n, 0, "closed before an answer");
        bytes.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                assert!(status != 503 || head.contains("retry-after: "), "{head}");
                return status;
            }
        }
    }
}

#[test]
fn out_of_descriptors_is_503_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    // In a folder: a look at what is in the root itself needs no descriptor.
    fs::create_dir(dir.path().join("in")).unwrap();
    for i in 0..FILES {
        netcdf3::write(&dir.path().join(format!("in/{i}.nc")), [2, 3, 4], 1, false);
    }
    let mut server = Server::start(dir.path(), &[], &[]);
    let mut kept = server.connect();
    assert_eq!(status(&mut kept, "/opendap/in/0.nc.dds"), 200);

    // Not one more: no file can be looked at, and it is not said that they are not there.
    allow(&server, next_descriptor(&server));
    for i in 0..FILES {
        assert_eq!(status(&mut kept, &format!("/opendap/in/{i}.nc.dds")), 503, "{i}");
    }
    // What needs no file is served as before.
    assert_eq!(status(&mut kept, "/-/live"), 200);

    // Connections that cannot be accepted wait; waiting costs next to nothing.
    let waiting: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    let (begun, used) = (Instant::now(), ticks(&server));
    std::thread::sleep(Duration::from_secs(1));
    let used = ticks(&server) - used;
    let most = u64::try_from(begun.elapsed().as_millis()).unwrap() / 10 / 4;
    assert!(used < most, "{used} ticks of processor time while there was nothing to do");

    allow(&server, 1000);
    for mut stream in waiting {
        assert_eq!(status(&mut stream, "/opendap/in/1.nc.dds"), 200, "who waited is served");
    }
    for i in 0..FILES {
        assert_eq!(server.get(&format!("/opendap/in/{i}.nc.dds")).status, 200, "{i}");
    }
    server.assert_sound();
}
