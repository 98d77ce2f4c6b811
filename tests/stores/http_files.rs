//! A plain web server on the loopback interface: files by name, ranges, a password, and nothing else: no
//! listings, no entity tags.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::UNIX_EPOCH,
};

pub(crate) struct Files {
    pub(crate) url: String,
}

impl Files {
    pub(crate) fn start(root: &Path, user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (root, wanted) = (root.to_owned(), authorization(user, password));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, wanted, stream) = (root.clone(), wanted.clone(), stream.unwrap());
                let port = stream.local_addr().unwrap().port();
                // A client may go away.
                std::thread::spawn(move || while answer(&stream, &root, &wanted, port).is_some() {});
            }
        });
        Self { url }
    }
}

fn authorization(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for three in format!("{user}:{password}").as_bytes().chunks(3) {
        let bits = three.iter().chain([&0; 3]).take(3).fold(0_usize, |all, b| all << 8 | usize::from(*b));
        for i in 0..4 {
            let letter = LETTERS[bits >> (18 - 6 * i) & 63];
            text.push(if i > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// Answers one request; `None` when there is no other to come.
fn answer(mut stream: &TcpStream, root: &Path, wanted: &str, port: u16) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (mut range, mut is_known) = (None, false);
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = value.strip_prefix("bytes=").map(str::to_owned),
            "authorization" => is_known = value == wanted,
            _ => {}
        }
    }
    let mut status = |line: &str| {
        let date = "Content-Length: 0\r\n\r\n";
        write!(stream, "HTTP/1.1 {line}\r\n{date}").ok()
    };
    let path = root.join(target.trim_start_matches('/'));
    if !is_known {
        return status("401 Unauthorized");
    }
    if !["GET", "HEAD"].contains(&method) {
        return status("405 Method Not Allowed");
    }
    // The same server by its own name, and by another one.
    match target {
        "/moved.nc" => return status("302 Found\r\nLocation: /types.nc"),
        "/away.nc" => return status(&format!("302 Found\r\nLocation: http://localhost:{port}/types.nc")),
        _ => {}
    }
    let Ok(bytes) = fs::read(&path) else { return status("404 Not Found") };
    let modified = fs::metadata(&path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    // The day does not matter: that it is another one does.
    let modified = format!(
        "Sun, 01 Jan {} {:02}:{:02}:{:02} GMT",
        2023,
        modified / 3600 % 24,
        modified / 60 % 60,
        modified % 60
    );
    let common = format!("Last-Modified: {modified}\r\nAccept-Ranges: bytes\r\n");
    let (line, sent) = match range.as_deref().and_then(|r| r.split_once('-')) {
        Some((from, to)) => {
            let from: usize = from.parse().ok()?;
            let to = to.parse().unwrap_or(usize::MAX).min(bytes.len() - 1);
            let line = format!("206 Partial Content\r\nContent-Range: bytes {from}-{to}/{}", bytes.len());
            (line, &bytes[from..=to])
        }
        None => ("200 OK".to_owned(), &bytes[..]),
    };
    write!(stream, "HTTP/1.1 {line}\r\n{common}Content-Length: {}\r\n\r\n", sent.len()).ok()?;
    if method == "GET" { stream.write_all(sent).ok() } else { Some(()) }
}
