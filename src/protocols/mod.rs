//! One folder per front end; folders never import each other. What they share is here: the request a
//! front end is shown and the reply it gives.

pub mod dap2;
pub mod dap4;
pub mod ncml;
pub mod pages;
mod text;
pub mod thredds;
pub mod zarr;

use bytes::Bytes;
use cdm::{Dataset, Result, Variable};
use futures::{TryStreamExt, stream::BoxStream};
use http::{HeaderMap, StatusCode};

use crate::catalog::encode_path;

/// A body: chunks of bytes; an error item cuts the connection once headers are sent.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// What a front end may know of a request for one dataset.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The dataset's name: a relative path with `/`.
    pub dataset: &'a str,
    /// The absolute URL of the dataset as the client should use it, without suffix and query,
    /// percent-encoded.
    pub base_url: &'a str,
    /// The raw query string, still percent-encoded, without the `?`.
    pub query: Option<&'a str>,
    /// Request headers.
    pub headers: &'a HeaderMap,
    /// Names the request in error documents and the log.
    pub id: &'a str,
    /// How large an answer may be.
    pub largest: Largest,
}

/// Bytes of the largest answers that are given (promise R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Largest {
    /// Of one with binary data.
    pub binary: u64,
    /// Of one with data as text.
    pub text: u64,
}

impl Default for Largest {
    fn default() -> Self {
        Self { binary: 256 << 30, text: 100 << 20 }
    }
}

/// What a front end answers; `server::respond` turns it into HTTP (conditional requests, ranges,
/// compression, `HEAD`, the first-block rule).
pub struct Reply {
    /// 200 unless it is an error.
    pub status: StatusCode,
    /// `Content-Type`, `Content-Description`, `XDAP` and so on; not `Content-Length`, `ETag`,
    /// `Last-Modified`, which `server::respond` adds.
    pub headers: HeaderMap,
    /// The body's exact byte length, when it is known before any data is read.
    pub length: Option<u64>,
    /// With the Source's version it determines every byte of the body (constraint in canonical form,
    /// response kind, options, dialect): the strong `ETag` is made of both. `None`: no `ETag`.
    pub identity: Option<String>,
    /// Text: may be sent gzip-encoded to a client that asks for it.
    pub compressible: bool,
    /// The body.
    pub body: ByteStream,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("length", &self.length)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// A reply whose body is `text`.
    pub fn text(status: StatusCode, headers: HeaderMap, text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self {
            status,
            headers,
            length: Some(text.len() as u64),
            identity: None,
            compressible: true,
            body: Box::pin(futures::stream::once(async move { Ok(text) })),
        }
    }
}

/// A variable as an answer with data has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Selected {
    /// As the protocol calls it.
    pub name: String,
    /// As the protocol calls its type.
    #[serde(rename = "type")]
    pub data_type: &'static str,
    /// Its dimensions: names, where they have one, and how much of them.
    pub dimensions: Vec<(Option<String>, u64)>,
}

impl Selected {
    fn new(name: String, data_type: &'static str, variable: &Variable) -> Self {
        let short = |name: &cdm::FullName| name.short().to_owned();
        let dimensions = variable.dimensions.iter();
        Self {
            name,
            data_type,
            dimensions: dimensions.map(|d| (d.name.as_ref().map(short), d.size)).collect(),
        }
    }
}

/// Documents up to this many bytes are kept while they are counted.
const KEPT: u64 = 1 << 20;

/// A document and its length, without which some clients take no answer: made once to be counted, and once
/// more to be sent unless it is small.
///
/// # Errors
/// What making it meets: nothing is sent then.
pub(crate) async fn counted(make: impl Fn() -> ByteStream) -> Result<(u64, ByteStream)> {
    let (mut length, mut kept) = (0, Vec::new());
    let mut first = make();
    while let Some(bytes) = first.try_next().await? {
        length += bytes.len() as u64;
        if length <= KEPT {
            kept.push(Ok(bytes));
        } else {
            kept.clear();
        }
    }
    let body = if length <= KEPT { Box::pin(futures::stream::iter(kept)) } else { make() };
    Ok((length, body))
}

/// Where others read an object that chunks of `dataset` are in: its own URL, or the file below `files` when
/// it is the dataset's. Other files are not given out: `None`.
pub(crate) fn address(files: &str, dataset: &Dataset, name: &str, url: Option<&str>) -> Option<String> {
    match url {
        Some(url) => Some(url.to_owned()),
        None => (name == dataset.name()).then(|| format!("{files}{}", encode_path(name))),
    }
}

/// The one table of error kinds and statuses.
pub fn status_of(kind: cdm::ErrorKind) -> StatusCode {
    use cdm::ErrorKind as K;
    match kind {
        K::BadRequest => StatusCode::BAD_REQUEST,
        K::NotFound => StatusCode::NOT_FOUND,
        K::Forbidden => StatusCode::FORBIDDEN,
        K::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        K::Unsupported => StatusCode::NOT_IMPLEMENTED,
        K::Changed => StatusCode::CONFLICT,
        K::Corrupt | K::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        K::Storage => StatusCode::BAD_GATEWAY,
        K::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        K::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
    }
}
