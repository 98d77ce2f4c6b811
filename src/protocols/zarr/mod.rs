//! Every dataset as a Zarr store: `/zarr/<dataset>/`, in version 2 and 3 at once, whose keys differ; and
//! the same as references, `<dataset>.kerchunk.json`.
//!
//! Nothing is stored in this form: metadata are written from the dataset's description, chunks are passed
//! on as storage has them where Zarr has a name for their encoding ([`plan`]), else read and sent without
//! encoding in chunks of a convenient size ([`chunk`]). One request is one chunk.

mod chunk;
mod codecs;
mod grid;
mod kerchunk;
mod key;
mod metadata;
mod plan;
#[cfg(test)]
mod tests;
mod values;
mod workspace;

use std::sync::Arc;

use cdm::{Error, ErrorKind, Result, Source};
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub use self::workspace::Workspace;
use self::{
    key::Key,
    metadata::Node,
    plan::{Plan, Version},
};
use super::{Reply, Request, status_of};

/// What may be asked of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// What the store holds under a key, still percent-encoded.
    Key(Arc<str>),
    /// References to where the chunks are, as kerchunk writes them.
    References,
}

/// Which suffix of a dataset's URL asks for what.
pub const SUFFIXES: &[(&str, Response)] = &[(".kerchunk.json", Response::References)];

/// What the server knows besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Scheme, host and prefix of the server's URLs, without final slash.
    pub origin: &'a str,
    /// Bytes of the largest text that is sent.
    pub largest_text: u64,
    /// Memory for chunks that are not streamed.
    pub workspace: &'a Workspace,
}

impl Response {
    /// Whether the answer carries values, or takes long to make.
    pub fn is_data(&self) -> bool {
        match self {
            Self::Key(key) => key::is_chunk(key),
            Self::References => true,
        }
    }
}

/// Answers `request` for `source`; errors become [`error()`]'s line.
///
/// # Errors
/// `Changed` is the caller's to handle.
pub async fn respond(
    request: &Request<'_>,
    response: &Response,
    source: Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Reply> {
    match response {
        Response::Key(key) => value(key, &source, options.workspace).await,
        Response::References => kerchunk::references(request, &source, options).await,
    }
}

/// An error as one line of text; Zarr has no form for them.
pub fn error(error: &Error, request: &Request<'_>) -> Reply {
    let status = status_of(error.kind());
    let message = match error.kind() {
        ErrorKind::Internal => "a defect of the server; its log names this request",
        _ => error.message(),
    };
    let headers = typed("text/plain; charset=utf-8");
    Reply::text(status, headers, format!("{status}: {message}. Request {}\n", request.id))
}

async fn value(path: &str, source: &Arc<dyn Source>, workspace: &Workspace) -> Result<Reply> {
    let dataset = source.dataset();
    let missing = || {
        let hint = if path.is_empty() {
            "open this address as a Zarr store; its metadata are at zarr.json and .zmetadata".to_owned()
        } else {
            format!("the store has no key {path}")
        };
        Error::not_found(hint)
    };
    let key = Key::parse(dataset, path).ok_or_else(missing)?;
    let document = match key {
        Key::Node { name, is_group } => {
            let node = metadata::node(source, dataset, &name).ok_or_else(missing)?;
            if matches!(node, Node::Group(_)) != is_group {
                return Err(missing());
            }
            node.v2()
        }
        Key::Attributes(name) => {
            metadata::node(source, dataset, &name).ok_or_else(missing)?.v2_attributes(source)
        }
        Key::Consolidated(name) => {
            metadata::v2_consolidated(source, dataset.group(&name).ok_or_else(missing)?)
        }
        Key::Document(name) => match metadata::node(source, dataset, &name).ok_or_else(missing)? {
            Node::Group(group) => metadata::v3_consolidated(source, group),
            array @ Node::Array(..) => array.v3(source),
        },
        Key::Chunk { variable, version, index } => {
            let described = dataset.variable(&variable).ok_or_else(missing)?;
            let plan = Plan::new(source, &variable, described).ok().ok_or_else(missing)?;
            let data = chunk::data(source, &variable, &plan, version, index, workspace)
                .await?
                .ok_or_else(missing)?;
            return Ok(Reply {
                status: StatusCode::OK,
                headers: typed("application/octet-stream"),
                length: data.length,
                identity: Some(format!("zarr {path}")),
                compressible: false,
                body: data.body,
            });
        }
    };
    let text = serde_json::to_string(&document)
        .map_err(|e| Error::internal("metadata that are no JSON").with_source(e))?;
    let mut reply = Reply::text(StatusCode::OK, typed("application/json"), text);
    reply.identity = Some(format!("zarr {path}"));
    Ok(reply)
}

fn typed(media_type: &'static str) -> HeaderMap {
    [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect()
}

/// The version that references are written in.
const REFERENCES: Version = Version::V2;
