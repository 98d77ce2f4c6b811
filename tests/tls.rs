//! TLS of the server's own (promise R26): versions, limits, and certificates that are replaced while it runs.

#![expect(clippy::unwrap_used, reason = "a test program: a failed step is a failed test")]

mod common;
#[path = "common/netcdf3.rs"]
mod netcdf3;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Answer, Server};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};

type Connection = StreamOwned<ClientConnection, TcpStream>;

struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(more: &str) -> (Self, CertificateDer<'static>) {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(site.dir.path().join("data")).unwrap();
        netcdf3::write(&site.dir.path().join("data/a.nc"), [2, 3, 4], 1, true);
        let certificate = site.certify("one");
        let text = format!(
            "roots = [\"{0}/data\"]\n[tls]\ncertificate = \"{0}/chain.pem\"\nkey = \"{0}/key.pem\"\n{more}",
            site.dir.path().display()
        );
        fs::write(site.dir.path().join("t.toml"), text).unwrap();
        (site, certificate)
    }

    /// Writes another certificate and its key.
    fn certify(&self, name: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), name.to_owned()]).unwrap();
        self.write("chain.pem", &made.cert.pem());
        self.write("key.pem", &made.signing_key.serialize_pem());
        made.cert.der().clone()
    }

    /// Writes a file beside it and puts it in its place, as who renews certificates does.
    fn write(&self, name: &str, text: &str) {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    fn start(&self) -> Server {
        Server::start_with(&["--config", self.path("t.toml").to_str().unwrap()], &[])
    }
}

fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<Connection> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = server.connect();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// The answer to a request on a connection that stays open.
fn ask(stream: &mut Connection, target: &str) -> Answer {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let mut byte = [0; 1];
    while !all.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        all.push(byte[0]);
    }
    let length: usize = Answer::last(&all).header("content-length").parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    all.extend(body);
    Answer::last(&all)
}

#[test]
fn both_versions_are_spoken_and_links_say_so() {
    let (site, certificate) = Site::new("");
    let server = site.start();
    assert!(server.greeting.contains("listening on https://"), "{}", server.greeting);
    for version in [&TLS12, &TLS13] {
        let mut stream = connect(&server, &certificate, &[version]).unwrap();
        let answer = ask(&mut stream, "/opendap/a.nc.dmr");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("https://localhost/opendap/a.nc"), "{}", answer.text());
        // Several requests on one connection, with what the log and the limits know of it.
        assert_eq!(ask(&mut stream, "/files/a.nc").body, fs::read(site.path("data/a.nc")).unwrap());
    }
    // Who does not speak it is not answered.
    let plain = server.raw(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(plain.status, 0, "{}", plain.head);
    // A certificate that is not the server's is noticed by clients.
    let (_other, foreign) = Site::new("");
    assert!(connect(&server, &foreign, &[&TLS13]).is_err());
}

#[test]
fn handshakes_that_do_not_end_hold_up_nobody_and_are_cut() {
    let (site, certificate) =
        Site::new("[limits]\nheader_timeout = \"2 s\"\nconnections_per_address = 120\n");
    let server = site.start();
    let mut stalled: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = server.connect();
            // The beginning of a handshake, or nothing at all.
            if n % 2 == 0 {
                stream.write_all(&[22, 3, 1, 2]).unwrap();
            }
            stream
        })
        .collect();
    let begin = Instant::now();
    for _ in 0..10 {
        let mut stream = connect(&server, &certificate, &[&TLS13]).unwrap();
        assert_eq!(ask(&mut stream, "/opendap/a.nc.dds").status, 200);
    }
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    for stream in &mut stalled {
        stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
        let mut rest = Vec::new();
        // Closed or reset.
        let _ = stream.read_to_end(&mut rest);
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    }
    // A head that does not end is cut as it is without TLS, and so is one connection too many.
    let mut slow = connect(&server, &certificate, &[&TLS13]).unwrap();
    slow.write_all(b"GET / HT").unwrap();
    let begin = Instant::now();
    let _ = slow.read(&mut [0; 16]);
    assert!((1..6).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    let open: Vec<_> = (0..120).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!(connect(&server, &certificate, &[&TLS13]).is_err(), "the limit for one address");
    drop(open);
}

#[test]
fn certificates_are_exchanged_and_connections_are_kept() {
    let (site, first) = Site::new("");
    let server = site.start();
    let mut kept = connect(&server, &first, &[&TLS13]).unwrap();
    assert_eq!(ask(&mut kept, "/opendap/a.nc.dds").status, 200);
    let second = site.certify("two");
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}\n{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("the files are looked at", &|| connect(&server, &second, &[&TLS13]).is_ok());
    assert!(connect(&server, &first, &[&TLS13]).is_err());
    assert_eq!(ask(&mut kept, "/opendap/a.nc.das").status, 200, "made with the former certificate");
    // Broken ones change nothing, and it is said; no file's content is.
    site.write("key.pem", "-----BEGIN NONSENSE-----\nc2VjcmV0c2VjcmV0\n");
    server.signal("HUP");
    until("the log says so", &|| server.log().contains("there is no private key (PEM) in the file"));
    assert!(connect(&server, &second, &[&TLS13]).is_ok() && !server.log().contains("c2VjcmV0"));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    site.write("key.pem", &other.signing_key.serialize_pem());
    server.signal("HUP");
    until("a key of another", &|| server.log().contains("the certificate and the key do not go together"));
    assert!(connect(&server, &second, &[&TLS13]).is_ok());
    assert_eq!(ask(&mut kept, "/opendap/a.nc.dds").status, 200);
}
