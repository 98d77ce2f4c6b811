//! The DAP2 front end: `.dds`, `.das`, `.dods`, `.ascii` and the pages beside them, from a request and a
//! Source to a reply. It does no HTTP and no I/O of its own.
//!
//! A request runs through: [`View`] (the dataset with DAP2's types and names), [`constraint`] (text to
//! tree), `resolve` (tree and view to what is answered, in dataset order), then one of the writers
//! `dds`, `das`, `dods` with `xdr`, or `ascii`.

mod ascii;
mod attributes;
pub mod constraint;
mod convert;
mod das;
mod dds;
mod dods;
mod grids;
mod names;
mod pages;
mod resolve;
mod spellings;
mod view;
mod xdr;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use cdm::{Error, ErrorKind, FullName, Result, Source};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use self::view::View;
pub use self::view::WideIntegers;
use super::{ByteStream, Reply, Request, Selected, status_of};

/// What may be asked of a dataset, by suffix of its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Structure.
    Dds,
    /// Attributes.
    Das,
    /// Values.
    Dods,
    /// Values as text.
    Ascii,
    /// Versions of the protocol and the server.
    Ver,
    /// What may be asked.
    Help,
    /// A page for people.
    Info,
}

/// The suffixes and what they ask for.
pub const SUFFIXES: &[(&str, Response)] = &[
    (".dds", Response::Dds),
    (".das", Response::Das),
    (".dods", Response::Dods),
    (".ascii", Response::Ascii),
    (".asc", Response::Ascii),
    (".ver", Response::Ver),
    (".help", Response::Help),
    (".info", Response::Info),
];

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

impl Response {
    /// `Content-Type` and `Content-Description` (protocol section 5.1).
    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Dds => (TEXT, "dods_dds"),
            Self::Das => (TEXT, "dods_das"),
            Self::Dods => ("application/octet-stream", "dods_data"),
            Self::Ascii => (TEXT, "dods_ascii"),
            Self::Ver => (TEXT, "dods_version"),
            Self::Help => (HTML, "dods_help"),
            Self::Info => (HTML, "dods_description"),
        }
    }
}

/// Answers `request`; errors become DAP2's Error object.
pub async fn respond(request: &Request<'_>, response: Response, source: Arc<dyn Source>) -> Reply {
    respond_with(request, response, source, WideIntegers::default()).await
}

/// As [`respond`], with another policy for 64-bit integers.
pub async fn respond_with(
    request: &Request<'_>,
    response: Response,
    source: Arc<dyn Source>,
    wide: WideIntegers,
) -> Reply {
    match answer(request, response, source, wide).await {
        Ok(reply) => reply,
        Err(failure) => error(&failure, request),
    }
}

/// The variables that a dataset's DAP2 form lacks, each with why in a few words.
///
/// # Errors
/// As for a request: the names cannot be made unique.
pub fn left_out(source: Arc<dyn Source>) -> Result<Vec<(FullName, String)>> {
    Ok(View::new(source, WideIntegers::default())?.left_out())
}

/// How a variable is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelling {
    /// Its name in a constraint, percent-encoded for a URL.
    pub name: String,
    /// How many axes it has: texts have one less than their characters.
    pub rank: usize,
}

/// How each variable of a dataset is asked for; those that DAP2 lacks, with why in a few words.
///
/// # Errors
/// As for a request: the names cannot be made unique.
pub fn spellings(
    source: Arc<dyn Source>,
) -> Result<HashMap<FullName, std::result::Result<Spelling, String>>> {
    let view = View::new(source, WideIntegers::default())?;
    let mut all: HashMap<_, _> = view
        .origins()
        .filter_map(|(shown, stored)| {
            let rank = view.dataset().variable(shown)?.dimensions.len();
            let name =
                utf8_percent_encode(shown.as_str().trim_start_matches('/'), NON_ALPHANUMERIC).to_string();
            // What is no letter but has no meaning in a URL either is easier to read as it is.
            let name = name.replace("%5F", "_").replace("%2F", "/").replace("%2D", "-");
            Some((stored.clone(), Ok(Spelling { name, rank })))
        })
        .collect();
    all.extend(view.left_out().into_iter().map(|(name, why)| (name, Err(why))));
    Ok(all)
}

/// The length of the data that `request` asks for, without reading them; `None` when it cannot be known.
///
/// # Errors
/// As [`respond`] refuses it.
pub async fn data_length(request: &Request<'_>, source: Arc<dyn Source>) -> Result<Option<u64>> {
    Ok(answer(request, Response::Dods, source, WideIntegers::default()).await?.length)
}

/// The variables that an answer with the data of `request` has; of a Grid, its array and its maps.
///
/// # Errors
/// As [`respond`] refuses it.
pub fn selected(request: &Request<'_>, source: Arc<dyn Source>) -> Result<Vec<Selected>> {
    let view = Arc::new(View::new(source, WideIntegers::default())?);
    let text = constraint_text(request)?;
    let answer = resolve::resolve(&view, &text)?;
    let leaves = answer.items.iter().flat_map(resolve::Item::leaves);
    let declared = leaves.map(|leaf| &leaf.declared);
    Ok(declared.map(|v| Selected::new(v.name.to_string(), dds::type_name(&v.data_type), v)).collect())
}

/// The whole query is the constraint. It is decoded once here; names may hold another layer (5.2).
fn constraint_text<'a>(request: &Request<'a>) -> Result<Cow<'a, str>> {
    percent_decode_str(request.query.unwrap_or_default())
        .decode_utf8()
        .map_err(|e| Error::bad_request("the constraint is not UTF-8").with_source(e))
}

async fn answer(
    request: &Request<'_>,
    response: Response,
    source: Arc<dyn Source>,
    wide: WideIntegers,
) -> Result<Reply> {
    let (media_type, description) = response.described();
    let headers = headers(media_type, description);
    let view = Arc::new(View::new(source, wide)?);
    let text = constraint_text(request)?;
    let answer = match response {
        Response::Ver | Response::Help => resolve::resolve(&view, "")?,
        _ => resolve::resolve(&view, &text)?,
    };
    let dataset = view.dataset().name().to_owned();
    let identity = format!("dap2 {response:?} {wide:?} {}", answer.canonical);
    let status = http::StatusCode::OK;
    let text = match response {
        Response::Dds => dds::text(&dataset, &answer),
        Response::Das => das::text(&view, &answer).await,
        Response::Ver => pages::version(),
        Response::Help => pages::help(request),
        Response::Info => {
            pages::info(request, &dds::text(&dataset, &answer), &das::text(&view, &answer).await)
        }
        Response::Dods => {
            let (length, body) = dods::body(request, &dataset, &answer)?;
            return Ok(streamed(headers, length, identity, body, false));
        }
        Response::Ascii => {
            let body = ascii::body(request, &dataset, &answer)?;
            return Ok(streamed(headers, None, identity, body, true));
        }
    };
    Ok(Reply { identity: Some(identity), ..Reply::text(status, headers, text) })
}

fn streamed(
    headers: HeaderMap,
    length: Option<u64>,
    identity: String,
    body: ByteStream,
    compressible: bool,
) -> Reply {
    Reply { status: http::StatusCode::OK, headers, length, identity: Some(identity), compressible, body }
}

/// DAP2's Error object (protocol section 5.8) with the status of the error's kind.
pub fn error(error: &Error, request: &Request<'_>) -> Reply {
    let code = match error.kind() {
        ErrorKind::BadRequest => 1005,
        ErrorKind::NotFound => 1003,
        ErrorKind::Forbidden => 1006,
        ErrorKind::Unsupported => 1008,
        ErrorKind::Corrupt | ErrorKind::Storage | ErrorKind::TimedOut | ErrorKind::Changed => 1007,
        ErrorKind::TooLarge | ErrorKind::Overloaded => 1001,
        ErrorKind::Internal => 1002,
    };
    let message = match error.kind() {
        // What went wrong inside is for the log.
        ErrorKind::Internal => "internal error",
        _ => &clipped(error.message()),
    };
    let message = das::quoted(&format!("{message} (request {})", request.id));
    let text = format!("Error {{\n    code = {code};\n    message = {message};\n}};\n");
    let mut headers = headers(TEXT, "dods_error");
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Reply { compressible: false, ..Reply::text(status_of(error.kind()), headers, text) }
}

/// A message that echoes only so much of what the client sent; what is wrong and where stands at its ends.
fn clipped(message: &str) -> Cow<'_, str> {
    const HEAD: usize = 600;
    const TAIL: usize = 300;
    let count = message.chars().count();
    if count <= HEAD + TAIL {
        return message.into();
    }
    let head: String = message.chars().take(HEAD).collect();
    let tail: String = message.chars().skip(count - TAIL).collect();
    format!("{head} ... {tail}").into()
}

fn headers(media_type: &'static str, description: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("content-description", HeaderValue::from_static(description));
    headers.insert("xdap", HeaderValue::from_static("2.0"));
    headers.insert("xdods-server", HeaderValue::from_static("dods/3.2"));
    headers
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
