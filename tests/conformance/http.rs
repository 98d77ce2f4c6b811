//! Raw HTTP/1.1 over one TCP connection per request: what was sent is what the test wrote.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// One answer, transfer coding removed.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body came to its proper end: all announced bytes, or the last chunk.
    pub(crate) is_whole: bool,
}

impl Answer {
    /// A header's value; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of a header, joined.
    pub(crate) fn all(&self, name: &str) -> String {
        let values: Vec<&str> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        values.join(", ")
    }

    /// The body, which must be UTF-8.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn read(bytes: &[u8], method: &str) -> Self {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{method}: no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: Vec::new(), is_whole: true };
        let body = &bytes[end + 4..];
        if method == "HEAD" || status == 304 {
            assert!(body.is_empty(), "a body where none may be");
        } else if answer.header("transfer-encoding") == "chunked" {
            answer.is_whole = dechunk(body, &mut answer.body);
        } else {
            answer.body = body.to_vec();
            let announced = answer.header("content-length");
            answer.is_whole = announced.is_empty() || announced.parse() == Ok(body.len());
        }
        answer
    }
}

/// Appends the chunks to `out`; whether the last one came.
fn dechunk(mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
    loop {
        let Some(line) = bytes.windows(2).position(|w| w == b"\r\n") else { return false };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        bytes = &bytes[line + 2..];
        if size == 0 {
            assert_eq!(bytes, b"\r\n", "nothing follows the last chunk");
            return true;
        }
        let Some(rest) = bytes.get(size + 2..) else {
            out.extend_from_slice(&bytes[..size.min(bytes.len())]);
            return false;
        };
        out.extend_from_slice(&bytes[..size]);
        bytes = rest;
    }
}

/// The answer to one request with extra header lines (each ended by CR LF), read after a `pause`.
pub(crate) fn ask(server: SocketAddr, method: &str, target: &str, headers: &str, pause: Duration) -> Answer {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(pause);
    let mut bytes = Vec::new();
    // A reset ends the answer as an end of file does; what was read stays read.
    let _ = stream.read_to_end(&mut bytes);
    Answer::read(&bytes, method)
}
