//! The built server over a temporary folder, and raw HTTP to it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What it said on standard error until it was listening.
    pub greeting: String,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    pub(crate) fn start(root: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let root = root.to_str().unwrap();
        Self::start_with(&[flags, &[root]].concat(), environment)
    }

    /// Serves what `arguments` say.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            // What tests leave behind is not the user's.
            .env("THALWEG_INDEX_FOLDER", "none")
            // Nobody is in front of it who has to notice that it stops.
            .env("THALWEG_LIMITS_DRAIN_DELAY", "0 s")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("browse ") {
            assert_ne!(lines.read_line(&mut greeting).unwrap(), 0, "the server ended: {greeting}");
        }
        // The rest is the log: taken, so that the server never waits for us.
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = lines.read(&mut part) {
                kept.lock().unwrap().extend_from_slice(&part[..n]);
            }
        });
        let address = greeting.split("listening on ").nth(1).unwrap().split('/').nth(2).unwrap().to_owned();
        Self { child, address, greeting, log }
    }

    /// What it has logged since it was listening.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// Fails unless the process is alive and no thread of it has ever panicked.
    pub fn assert_sound(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "the server ended: {}", self.log());
        let log = self.log();
        let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
        assert!(panics.is_empty(), "{panics:#?}");
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory now, in bytes.
    pub fn resident(&self) -> u64 {
        resident(&self.child.id().to_string(), "VmRSS")
    }

    /// Files and sockets it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// The most resident memory it ever had, in bytes.
    pub fn most_resident(&self) -> u64 {
        resident(&self.child.id().to_string(), "VmHWM")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The answer to a request given as bytes; the request must make the server close.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        Answer::last(&read_all(&mut stream))
    }

    /// The answer to one request with extra header lines.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}Connection: close\r\n\r\n");
        self.raw(head.as_bytes())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end; the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Linux says in `/proc` of the memory of `process`, in bytes.
pub fn resident(process: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Everything until the server closes; a reset ends it too.
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 16 * 1024];
    while let Ok(n @ 1..) = stream.read(&mut part) {
        all.extend_from_slice(&part[..n]);
    }
    all
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// A chunked body ended properly; true for others.
    pub(crate) complete: bool,
}

impl Answer {
    pub fn last(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = bytes.get(end + 4..).unwrap_or_default();
        let chunked = head.contains("transfer-encoding: chunked");
        let (body, complete) = if chunked { unchunked(body) } else { (body.to_vec(), true) };
        Self { status, head, body, complete }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find(|l| l.starts_with(&format!("{name}:")));
        line.map_or("", |l| l[name.len() + 1..].trim())
    }

    pub(crate) fn text(&self) -> String {
        assert!(self.complete, "the answer was cut");
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The content of a chunked body, and whether it ended properly.
fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(line) = body.windows(2).position(|w| w == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        let chunk = &body[line + 2..];
        if len == 0 {
            return (all, chunk == b"\r\n");
        }
        all.extend_from_slice(&chunk[..len.min(chunk.len())]);
        let Some(rest) = chunk.get(len..).and_then(|c| c.strip_prefix(b"\r\n")) else { break };
        body = rest;
    }
    (all, false)
}
