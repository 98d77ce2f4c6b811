//! A front end's [`Reply`] to an HTTP response: conditional requests, byte ranges, compression, `HEAD`,
//! the headers every answer has, and the first-block rule.
//!
//! First-block rule: the first item of a body, and all of a small one, is awaited before headers are sent, so that most
//! failures become a clean status. An error after that cuts the connection: the body fails, and hyper closes
//! without the terminating chunk or with fewer bytes than announced. What the body gave out before leaves
//! first: a front end may say what went wrong (DAP4's error chunk, protocol notes 3.7).

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use cdm::{Error, Result, Version};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Frame, SizeHint};

use super::{
    compress,
    conditions::{Part, Validators},
    stall::Flushes,
};
use crate::protocols::{ByteStream, Reply};

/// The body of every response.
pub(super) enum Body {
    /// What is left of one that is at hand.
    Whole(Bytes),
    /// What is made while it is sent.
    Made(ByteStream),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Made(_) => f.write_str("a stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Made(stream) => stream.as_mut().poll_next(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Made(_) => SizeHint::default(),
        }
    }
}

/// Bytes of a body that is sent when all of it is there.
const AT_ONCE: u64 = 64 << 10;

/// Reads a range of an answer's bytes directly; without one, a range is cut out of the whole body.
pub(super) type Seek<'a> = &'a (dyn Fn(Range<u64>) -> ByteStream + Send + Sync);

/// What of a request decides how a reply is sent.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// Of the connection, where there is one.
    pub(super) flushes: Option<&'a Flushes>,
}

/// Turns `reply`, about data of `version`, into a response.
///
/// # Errors
/// What the body fails with before its first item: nothing has been sent, the front end can still say it.
pub(super) async fn respond(
    reply: Reply,
    asked: Asked<'_>,
    version: Option<&Version>,
    seek: Option<Seek<'_>>,
) -> Result<Response<Body>> {
    let Reply { status, mut headers, mut length, identity, compressible, body } = reply;
    let mut status = status;
    let mut body = Some(body);
    common_headers(&mut headers);
    if status.is_success() {
        let validators = Validators::new(version, identity.as_deref());
        let gzip = compressible && compress::accepts_gzip(asked.headers);
        validator_headers(&mut headers, &validators, gzip);
        if compressible {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if validators.is_unmodified(asked.headers) {
            for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
                headers.remove(name);
            }
            return Ok(finish(StatusCode::NOT_MODIFIED, headers, empty()));
        }
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            length = None;
            body = body.map(compress::gzip);
        } else if let Some(len) = length {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            match part(&validators, asked, len) {
                Part::Whole => {}
                Part::Bytes(range) => {
                    status = StatusCode::PARTIAL_CONTENT;
                    length = Some(range.end - range.start);
                    let place = format!("bytes {}-{}/{len}", range.start, range.end - 1);
                    headers.insert(header::CONTENT_RANGE, text_value(&place));
                    body = match seek {
                        Some(seek) => Some(seek(range)),
                        None => body.map(|body| cut(body, range)),
                    };
                }
                Part::Outside => {
                    headers.insert(header::CONTENT_RANGE, text_value(&format!("bytes */{len}")));
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                    return Ok(finish(StatusCode::RANGE_NOT_SATISFIABLE, headers, empty()));
                }
            }
        }
    } else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    if let Some(len) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
        if asked.method == Method::HEAD {
            return Ok(finish(status, headers, empty()));
        }
    }
    let mut body = body.unwrap_or_else(|| Box::pin(stream::empty()));
    if let Some(len) = length.filter(|len| *len <= AT_ONCE)
        && asked.method == Method::GET
    {
        body = match gather(body, len).await {
            Ok(whole) => return Ok(finish(status, headers, Body::Whole(whole))),
            Err(body) => body,
        };
    }
    let first = body.next().await.transpose()?;
    if asked.method == Method::HEAD {
        return Ok(finish(status, headers, empty()));
    }
    let whole = stream::iter(first.map(Ok)).chain(body);
    let whole = match length {
        Some(len) => exactly(Box::pin(whole), len),
        None => Box::pin(whole),
    };
    let flushes = asked.flushes.cloned();
    let items = whole.then(move |item| {
        let flushes = flushes.clone().filter(|_| item.is_err());
        async move {
            if let Some(flushes) = flushes {
                flushes.next().await;
            }
            item
        }
    });
    Ok(finish(status, headers, Body::Made(Box::pin(items))))
}

/// A body without bytes.
pub(super) fn empty() -> Body {
    Body::Whole(Bytes::new())
}

fn finish(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn part(validators: &Validators, asked: Asked<'_>, len: u64) -> Part {
    // Without a strong validator the parts of two versions could be joined.
    if asked.method == Method::GET && (validators.tag.is_some() || validators.modified.is_some()) {
        validators.part(asked.headers, len)
    } else {
        Part::Whole
    }
}

fn validator_headers(headers: &mut HeaderMap, validators: &Validators, gzip: bool) {
    if let Some(tag) = &validators.tag {
        // The gzip bytes are not promised to be the same twice: a weak tag.
        let tag = if gzip { format!("W/\"{tag}\"") } else { format!("\"{tag}\"") };
        headers.insert(header::ETAG, text_value(&tag));
    }
    if let Some(modified) = validators.modified {
        headers.insert(header::LAST_MODIFIED, text_value(&httpdate::fmt_http_date(modified)));
    }
}

/// Headers of every answer: promises R22 (pages cannot be misused) and R23 (public data, any origin).
fn common_headers(headers: &mut HeaderMap) {
    const COMMON: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::REFERRER_POLICY, "same-origin"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "ETag, Content-Disposition, Content-Description, Content-Length, Content-Range, Accept-Ranges, XDAP, \
             XDODS-Server, X-Request-Id",
        ),
    ];
    for (name, value) in COMMON {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// A header value of text that is ASCII by construction; nothing if it is not.
fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// All bytes of `body`, which are to be `length`; else what there was of it, and its error.
pub(super) async fn gather(mut body: ByteStream, length: u64) -> std::result::Result<Bytes, ByteStream> {
    let expected = usize::try_from(length).unwrap_or_default();
    let mut all = Vec::with_capacity(expected);
    while let Some(item) = body.next().await {
        match item {
            Ok(bytes) if all.len() + bytes.len() <= expected => all.extend_from_slice(&bytes),
            other => {
                let before = (!all.is_empty()).then(|| Ok(Bytes::from(all)));
                return Err(Box::pin(stream::iter(before.into_iter().chain([other])).chain(body)));
            }
        }
    }
    let all = Bytes::from(all);
    if all.len() == expected { Ok(all) } else { Err(Box::pin(stream::iter([Ok(all)]))) }
}

/// The bytes `range` of `body`.
fn cut(body: ByteStream, range: Range<u64>) -> ByteStream {
    let state = (body, range.start, range.end - range.start);
    Box::pin(stream::unfold(state, |(mut body, mut skip, left)| async move {
        if left == 0 {
            return None;
        }
        loop {
            let mut bytes = match body.next().await? {
                Ok(bytes) => bytes,
                Err(e) => return Some((Err(e), (body, 0, 0))),
            };
            let len = bytes.len() as u64;
            if skip >= len {
                skip -= len;
                continue;
            }
            let start = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            let end = usize::try_from(skip.saturating_add(left)).unwrap_or(usize::MAX).min(bytes.len());
            bytes = bytes.slice(start..end);
            let taken = bytes.len() as u64;
            return Some((Ok(bytes), (body, 0, left - taken)));
        }
    }))
}

/// Fails when `body` is not `len` bytes: a defect of a front end that must not look like success.
fn exactly(body: ByteStream, len: u64) -> ByteStream {
    Box::pin(stream::unfold((body, Some(len)), move |(mut body, left)| async move {
        let left = left?;
        match body.next().await {
            Some(Ok(bytes)) => match left.checked_sub(bytes.len() as u64) {
                Some(left) => Some((Ok(bytes), (body, Some(left)))),
                None => Some((Err(wrong_length(len)), (body, None))),
            },
            Some(Err(e)) => Some((Err(e), (body, None))),
            None if left > 0 => Some((Err(wrong_length(len)), (body, None))),
            None => None,
        }
    }))
}

fn wrong_length(len: u64) -> Error {
    Error::internal(format!("an answer was not the {len} bytes it was announced to be"))
}

#[cfg(test)]
mod tests;
