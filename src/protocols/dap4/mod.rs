//! The DAP4 front end: a request and a Source in, a reply out.
//!
//! Pure: no HTTP server, no storage, no state. [`respond`] reads the query ([`request`]), parses and
//! resolves the constraint ([`grammar`], [`resolve`]), wraps the Source ([`view()`], [`cdm::subset`])
//! and writes one of the responses ([`dmr`], [`data`], [`dsr`]). Section numbers in the
//! comments are those of the protocol notes, which collect what the specification says and what real
//! clients do.

mod axes;
mod constraint;
mod data;
mod dialect;
mod dmr;
mod dmrpp;
mod dsr;
mod error;
mod example;
mod fault;
mod grammar;
mod headers;
mod literal;
mod names;
mod negotiate;
mod request;
mod resolve;
mod view;
mod xml;

#[cfg(test)]
mod tests;

use std::{fmt::Write as _, sync::Arc};

use cdm::{Error, Result, Source, subset::subset};
use http::StatusCode;

use self::{dialect::Client, request::Query};
use super::{Reply, Request, Selected};

pub use self::{
    dialect::Checksums,
    error::error,
    example::{path_in_url, smaller_request},
    headers::of_page,
    negotiate::{Wanted, wanted},
    view::view,
};

/// What may be asked of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Response {
    /// The services that the dataset has, as DAP4 names them: the bare URL, and `.dsr`.
    Dsr,
    /// The services as plain XML.
    DsrXml,
    /// The description (DMR).
    Dmr,
    /// The description as plain XML.
    DmrXml,
    /// The data.
    Dap,
    /// The description with the places of the stored chunks (DMR++).
    Dmrpp,
}

/// Which suffix of a dataset's URL asks for what; the first that fits counts. No suffix asks for
/// [`Response::Dsr`].
pub const SUFFIXES: &[(&str, Response)] = &[
    (".dmr.xml", Response::DmrXml),
    (".dmr", Response::Dmr),
    (".dap", Response::Dap),
    (".dmrpp", Response::Dmrpp),
    (".dsr.xml", Response::DsrXml),
    (".dsr", Response::Dsr),
    (".xml", Response::DsrXml),
];

/// What the server knows besides the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Checksums when the query does not say.
    pub checksums: Checksums,
    /// Scheme, host and prefix of the server's URLs, without final slash.
    pub origin: &'a str,
    /// Bytes of the largest list of chunks that is sent.
    pub largest_text: u64,
}

/// Answers `request` for `source`, in the form that was [`wanted`]; errors become [`error()`]'s document.
pub async fn respond(
    request: &Request<'_>,
    response: Response,
    source: Arc<dyn Source>,
    options: Options<'_>,
) -> Reply {
    let answered = match response {
        Response::Dmrpp => dmrpp::reply(request, &source, options).await,
        form => answer(request, form, source, options),
    };
    match answered {
        Ok(reply) => reply,
        Err(failed) => error(&failed, request),
    }
}

fn answer(
    request: &Request<'_>,
    form: Response,
    source: Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Reply> {
    let client = Client::of(request.headers);
    let source = view(source)?;
    let mut reply = match form {
        Response::Dsr | Response::DsrXml => {
            let text = dsr::dsr(source.dataset(), request.base_url);
            Reply::text(StatusCode::OK, headers::of(form, request), text)
        }
        Response::Dmr | Response::DmrXml | Response::Dap | Response::Dmrpp => {
            return constrained(request, form, client, source, options);
        }
    };
    reply.identity = Some(format!("dap4 {form:?} {}", request.base_url));
    Ok(reply)
}

/// The length of the data that `request` asks for, without reading them; `None` when it cannot be known.
///
/// # Errors
/// As [`respond`] refuses it.
pub fn data_length(
    request: &Request<'_>,
    source: Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Option<u64>> {
    Ok(answer(request, Response::Dap, source, options)?.length)
}

/// The variables that an answer with the data of `request` has.
///
/// # Errors
/// As [`respond`] refuses it.
pub fn selected(request: &Request<'_>, source: Arc<dyn Source>) -> Result<Vec<Selected>> {
    let query = Query::parse(request.query)?;
    let (source, _) = constrain(view(source)?, &query.constraint)?;
    check_size(source.as_ref(), request)?;
    let variables = source.dataset().variables();
    Ok(variables.map(|(name, v)| Selected::new(name.to_string(), v.data_type.name(), v)).collect())
}

/// The responses that a constraint applies to.
fn constrained(
    request: &Request<'_>,
    form: Response,
    client: Client,
    source: Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Reply> {
    let query = Query::parse(request.query)?;
    let (source, canonical) = constrain(source, &query.constraint)?;
    let mut identity = String::with_capacity(request.base_url.len() + canonical.len() + 128);
    let _ = write!(identity, "dap4 {form:?} {} {} {canonical}", request.base_url, client.identity());
    if form != Response::Dap {
        let text = dmr::dmr(source.dataset(), request.base_url, client);
        let mut reply = Reply::text(StatusCode::OK, headers::of(form, request), text);
        reply.identity = Some(identity);
        return Ok(reply);
    }
    check_size(source.as_ref(), request)?;
    let dmr = dmr::dmr(source.dataset(), request.base_url, client);
    let form_of_data = data::Form {
        checksums: client.checksums(query.checksum, options.checksums, source.dataset().variables().count()),
        flag_absence: client.obeys_no_checksum_flag,
        groups_first: client.groups_first,
    };
    let _ = write!(identity, " {form_of_data:?}");
    let id = request.id.to_owned();
    let report =
        move |failed: &Error| error::document(super::status_of(failed.kind()), &error::public(failed), &id);
    Ok(Reply {
        status: StatusCode::OK,
        headers: headers::of(form, request),
        length: data::length(source.as_ref(), &dmr, form_of_data),
        identity: Some(identity),
        compressible: false,
        body: data::encode(&source, dmr, form_of_data, report)?,
    })
}

/// `source` with the first reading of the constraint that makes sense, and that reading in canonical
/// form; the error is that of the last.
fn constrain(source: Arc<dyn Source>, readings: &[String]) -> Result<(Arc<dyn Source>, String)> {
    let mut failed = None;
    for text in readings {
        let projections = grammar::parse(text).and_then(|constraint| {
            if constraint.is_empty() {
                Ok(None)
            } else {
                resolve::resolve(&constraint, source.dataset()).map(Some)
            }
        });
        // What makes no sense may still be names as they are.
        let projections = projections.or_else(|fault| {
            let literal = literal::parse(text, source.dataset()).ok_or(());
            let found = literal.and_then(|c| resolve::resolve(&c, source.dataset()).map_err(drop));
            found.map(Some).map_err(|()| fault)
        });
        match projections {
            Ok(None) => break,
            Ok(Some(projections)) => {
                let canonical = resolve::canonical(&projections);
                return Ok((subset(source, projections)?, canonical));
            }
            Err(fault) => failed = Some(fault.into_error(text)),
        }
    }
    failed.map_or(Ok((source, String::new())), Err)
}

/// Refuses what is larger than an answer may be, with a request that is not.
fn check_size(source: &dyn Source, request: &Request<'_>) -> Result<()> {
    let (bytes, exact) = data::size(source);
    let limit = request.largest.binary;
    if bytes <= limit {
        return Ok(());
    }
    let least = if exact { "" } else { "at least " };
    let example = example::smaller_request(source.dataset(), request.base_url, limit / 2)
        .map(|url| format!(". Ask for less, for example {url}"))
        .unwrap_or_default();
    Err(Error::too_large(format!(
        "what was asked for has {least}{bytes} bytes; the limit is {limit} bytes{example}"
    )))
}
