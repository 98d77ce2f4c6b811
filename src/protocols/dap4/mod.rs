//! DAP4.

use std::sync::Arc;

use cdm::Source;

use super::{Reply, Request};

/// stub
pub const SUFFIXES: &[(&str, Response)] = &[
    (".dsr", Response::Dsr),
    (".xml", Response::Dsr),
    (".dmr", Response::Dmr),
    (".dmr.xml", Response::Dmr),
    (".dap", Response::Dap),
];

/// stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// stub
    Dsr,
    /// stub
    Dmr,
    /// stub
    Dap,
}

/// stub
pub async fn respond(request: &Request<'_>, response: Response, source: Arc<dyn Source>) -> Reply {
    let _ = (response, source);
    error(&cdm::Error::unsupported("not yet"), request)
}

/// stub
pub fn error(error: &cdm::Error, _request: &Request<'_>) -> Reply {
    Reply::text(super::status_of(error.kind()), http::HeaderMap::new(), error.message().to_owned())
}
