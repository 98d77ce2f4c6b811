//! Mends request targets before hyper parses them.
//!
//! hyper answers 400 by itself to a target with raw `"`, `<`, `>`, `{` and the like, which curl and
//! hand-written constraints send (`?v&v>1`, `/{x;y}`). [`Mender`] sits on the bytes read from a connection
//! and percent-encodes those bytes inside the request *target* alone, on every request of a kept-alive
//! connection. It never adds or removes a space, a line end, a header or a digit.
//!
//! Framing: requests without `Content-Length` and `Transfer-Encoding` have no body (RFC 9112 6.3), so the
//! next request starts after the blank line. A request that carries either ends the mending for the rest
//! of the connection ([`Framing`] is told, and the connection closes after the answer): lengthening
//! something inside a body would move the end of the body, which is how requests are smuggled.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// Longer header names are not interesting.
const NAME_LEN: usize = 32;

/// What the heads read so far say about bodies; shared with the service of the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Framing(Arc<AtomicU8>);

impl Framing {
    const BODY: u8 = 1;
    const AMBIGUOUS: u8 = 2;

    /// A request announced a body: the connection is not mended any more and must be closed.
    pub(super) fn has_body(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::BODY != 0
    }

    /// A request announced its body twice (`Content-Length` with `Transfer-Encoding`, or either twice):
    /// refused, whatever the values (RFC 9112 6.3, request smuggling).
    pub(super) fn is_ambiguous(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::AMBIGUOUS != 0
    }

    fn set(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::AcqRel);
    }
}

/// Where in a request head the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the request line: empty lines are skipped.
    Start,
    Method,
    Target,
    /// After the target, to the end of the request line.
    Version,
    /// At the beginning of a header line; `true` after a carriage return.
    LineStart(bool),
    HeaderName,
    HeaderValue,
    /// Past a head that announced a body.
    Unmended,
}

/// The state machine: bytes in, mended bytes out.
#[derive(Debug)]
pub(super) struct Machine {
    place: Place,
    name: Vec<u8>,
    lengths: u8,
    framing: Framing,
}

impl Machine {
    pub(super) fn new(framing: Framing) -> Self {
        Self { place: Place::Start, name: Vec::with_capacity(NAME_LEN), lengths: 0, framing }
    }

    /// True while a request head has begun and not ended.
    fn inside_head(&self) -> bool {
        !matches!(self.place, Place::Start | Place::Unmended)
    }

    pub(super) fn mend(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        loop {
            let (same, rest) = input.split_at(self.pass(input));
            output.extend_from_slice(same);
            let Some((&byte, rest)) = rest.split_first() else { return };
            output.push(b'%');
            output.extend(HEX.get(usize::from(byte >> 4)));
            output.extend(HEX.get(usize::from(byte & 15)));
            self.step(byte);
            input = rest;
        }
    }

    /// Takes the bytes of `input` that stay as they are, up to the first that does not; how many they are.
    fn pass(&mut self, input: &[u8]) -> usize {
        let mut rest = input;
        loop {
            // Runs of bytes that only their end can make a difference to.
            let end = match self.place {
                Place::Unmended => return input.len(),
                Place::Target => rest.iter().position(|b| matches!(b, b' ' | b'\n') || is_forbidden(*b)),
                Place::Version | Place::HeaderValue => rest.iter().position(|b| *b == b'\n'),
                _ => Some(0),
            };
            let Some((&byte, after)) = end.and_then(|end| rest.get(end..)?.split_first()) else {
                return input.len();
            };
            if self.place == Place::Target && is_forbidden(byte) {
                return input.len() - after.len() - 1;
            }
            self.step(byte);
            rest = after;
        }
    }

    fn step(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Unmended, _) => Place::Unmended,
            (Place::Start, b'\r' | b'\n') => Place::Start,
            (Place::Start | Place::Method, b' ') => Place::Target,
            (Place::Start, _) => Place::Method,
            (Place::Target, b' ') => Place::Version,
            (
                Place::Method | Place::Target | Place::Version | Place::HeaderName | Place::HeaderValue,
                b'\n',
            ) => Place::LineStart(false),
            (Place::LineStart(_), b'\n') => self.end_of_head(),
            (Place::LineStart(false), b'\r') => Place::LineStart(true),
            (Place::LineStart(_), b':') => Place::HeaderValue,
            (Place::LineStart(_), _) => {
                self.name.clear();
                self.name.push(byte.to_ascii_lowercase());
                Place::HeaderName
            }
            (Place::HeaderName, b':') => {
                self.note_header();
                Place::HeaderValue
            }
            (Place::HeaderName, _) => {
                if self.name.len() < NAME_LEN {
                    self.name.push(byte.to_ascii_lowercase());
                }
                Place::HeaderName
            }
            (place, _) => place,
        };
    }

    fn note_header(&mut self) {
        let name = self.name.trim_ascii();
        if name == b"content-length" || name == b"transfer-encoding" {
            self.lengths = self.lengths.saturating_add(1);
        }
    }

    fn end_of_head(&mut self) -> Place {
        match std::mem::take(&mut self.lengths) {
            0 => Place::Start,
            1 => {
                self.framing.set(Framing::BODY);
                Place::Unmended
            }
            _ => {
                self.framing.set(Framing::BODY | Framing::AMBIGUOUS);
                Place::Unmended
            }
        }
    }
}

/// Outside of hyper's grammar for a target, or not a URI character: encoded. Control characters stay, so
/// that hyper refuses them.
fn is_forbidden(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

/// A connection whose request targets are mended on the way in, and whose request heads must be complete
/// within a time. Writes pass through.
#[derive(Debug)]
pub(super) struct Mender<S> {
    inner: S,
    machine: Machine,
    /// Mended bytes that did not fit the reader's buffer, and how many of them were handed out.
    waiting: Vec<u8>,
    given: usize,
    head_timeout: Duration,
    /// Runs while a head is awaited.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Mender<S> {
    /// Mends what is read from `inner`. A head must be complete `head_timeout` after its first byte, the
    /// first one after the connection was made.
    pub(super) fn new(inner: S, framing: Framing, head_timeout: Duration) -> Self {
        let deadline = Some(Box::pin(tokio::time::sleep(head_timeout)));
        let machine = Machine::new(framing);
        Self { inner, machine, waiting: Vec::new(), given: 0, head_timeout, deadline }
    }

    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = self.waiting.get(self.given..).unwrap_or_default();
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..taken).unwrap_or_default());
        self.given += taken;
        if self.given == self.waiting.len() {
            self.waiting.clear();
            self.given = 0;
        }
    }

    fn watch_head(&mut self) {
        if !self.machine.inside_head() {
            self.deadline = None;
        } else if self.deadline.is_none() {
            self.deadline = Some(Box::pin(tokio::time::sleep_until(Instant::now() + self.head_timeout)));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mender<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        if !this.waiting.is_empty() {
            this.hand_out(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, buffer) {
            Poll::Ready(done) => done?,
            Poll::Pending => {
                if let Some(deadline) = &mut this.deadline {
                    ready!(deadline.as_mut().poll(context));
                    return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
                }
                return Poll::Pending;
            }
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        let same = this.machine.pass(read);
        if let Some(rest) = read.get(same..).filter(|rest| !rest.is_empty()) {
            this.machine.mend(rest, &mut this.waiting);
            buffer.set_filled(before + same);
            this.hand_out(buffer);
        }
        this.watch_head();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mender<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn mended(input: &[u8], step: usize) -> (Vec<u8>, Framing) {
        let framing = Framing::default();
        let mut machine = Machine::new(framing.clone());
        let mut output = Vec::new();
        input.chunks(step.max(1)).for_each(|part| machine.mend(part, &mut output));
        (output, framing)
    }

    fn check(input: &str, expect: &str) {
        for step in [1, 2, 7, 10_000] {
            let (output, _) = mended(input.as_bytes(), step);
            assert_eq!(String::from_utf8(output).unwrap(), expect, "in steps of {step}");
        }
    }

    #[test]
    fn only_the_target_changes() {
        check(
            "GET /a?v[0:1]&v>\"x\"{|}^`\\<é HTTP/1.1\r\nHost: \"{h}\"\r\nX-Y: <>\r\n\r\n",
            "GET /a?v[0:1]&v%3E%22x%22%7B%7C%7D%5E%60%5C%3C%C3%A9 HTTP/1.1\r\nHost: \"{h}\"\r\nX-Y: <>\r\n\r\n",
        );
    }

    #[test]
    fn encoded_bytes_are_left_alone() {
        check("GET /a%7B%25 HTTP/1.1\r\n\r\n", "GET /a%7B%25 HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn every_request_of_a_connection_is_mended() {
        let one = "GET /{ HTTP/1.1\r\nHost: h\r\n\r\n";
        let mended = "GET /%7B HTTP/1.1\r\nHost: h\r\n\r\n";
        check(&one.repeat(3), &mended.repeat(3));
        check("\r\n\nGET /{ HTTP/1.1\nHost: h\n\nGET /} HTTP/1.1\n\n", {
            "\r\n\nGET /%7B HTTP/1.1\nHost: h\n\nGET /%7D HTTP/1.1\n\n"
        });
    }

    #[test]
    fn nothing_after_a_head_with_a_body_changes() {
        for header in ["Content-Length: 30", "content-length:30", "TRANSFER-ENCODING: chunked"] {
            let head = format!("POST /%7B HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
            let input = format!("{head}GET /{{ HTTP/1.1\r\nHost: h\r\n\r\nGET /{{ HTTP/1.1\r\n\r\n");
            check(&input, &input);
            let (_, framing) = mended(input.as_bytes(), 3);
            assert!(framing.has_body() && !framing.is_ambiguous());
        }
    }

    #[test]
    fn two_lengths_are_ambiguous() {
        for pair in [
            ["Content-Length: 3", "Transfer-Encoding: chunked"],
            ["Transfer-Encoding: chunked", "Content-Length: 3"],
            ["Content-Length: 3", "Content-Length: 3"],
            ["Transfer-Encoding: chunked", "transfer-encoding: identity"],
        ] {
            let input = format!("GET / HTTP/1.1\r\n{}\r\nA: b\r\n{}\r\n\r\n", pair[0], pair[1]);
            assert!(mended(input.as_bytes(), 5).1.is_ambiguous(), "{pair:?}");
        }
        let two_requests = "GET / HTTP/1.1\r\nA: Content-Length: 3\r\n\r\n".repeat(2);
        assert!(!mended(two_requests.as_bytes(), 5).1.has_body());
    }

    #[tokio::test]
    async fn small_buffers_lose_nothing() {
        let input = b"GET /{{{{{{{{{{{{{ HTTP/1.1\r\n\r\n".as_slice();
        let mut mender = Mender::new(input, Framing::default(), Duration::from_secs(10));
        let mut output = Vec::new();
        let mut one = [0_u8; 3];
        loop {
            match mender.read(&mut one).await.unwrap() {
                0 => break,
                n => output.extend_from_slice(&one[..n]),
            }
        }
        assert_eq!(output, mended(input, 1).0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_times_out_but_an_idle_connection_does_not() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut mender = Mender::new(server, Framing::default(), Duration::from_secs(10));
        let mut buffer = [0_u8; 64];
        tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_ne!(mender.read(&mut buffer).await.unwrap(), 0);
        let idle = tokio::time::timeout(Duration::from_secs(60), mender.read(&mut buffer)).await;
        assert!(idle.is_err(), "idle is not this type's concern");
        tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HT").await.unwrap();
        assert_ne!(mender.read(&mut buffer).await.unwrap(), 0);
        let slow = tokio::time::timeout(Duration::from_secs(11), mender.read(&mut buffer)).await.unwrap();
        assert_eq!(slow.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }

    proptest! {
        /// However the bytes arrive, the output is the same; outside a target nothing changes; line ends
        /// and spaces stay as they are, so hyper sees the same requests, headers and bodies.
        #[test]
        fn cuts_do_not_matter(input in proptest::collection::vec(any::<u8>(), 0..300), step in 1_usize..40) {
            let (whole, _) = mended(&input, input.len());
            let (parts, _) = mended(&input, step);
            prop_assert_eq!(&whole, &parts);
            let shape = |bytes: &[u8]| bytes.iter().copied().filter(|b| matches!(b, b'\r' | b'\n' | b' ' | b':'))
                .collect::<Vec<_>>();
            prop_assert_eq!(shape(&input), shape(&whole));
        }
    }
}
