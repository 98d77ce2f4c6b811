//! The DAP4 error document (protocol notes 1.7).

use cdm::ErrorKind;
use http::StatusCode;

use super::{headers, xml::Document};
use crate::protocols::{Reply, Request, status_of};

/// The reply for `error`.
pub fn error(error: &cdm::Error, request: &Request<'_>) -> Reply {
    failure(status_of(error.kind()), &public(error), request)
}

/// The reply for a failure that has no [`ErrorKind`].
pub(super) fn failure(status: StatusCode, message: &str, request: &Request<'_>) -> Reply {
    let mut reply = Reply::text(status, headers::of_error(), document(status, message, request.id));
    reply.compressible = false;
    reply
}

/// What the client may read of an error: defects of ours stay in the log.
pub(super) fn public(error: &cdm::Error) -> String {
    match error.kind() {
        ErrorKind::Internal => {
            "the server failed to answer; its log has the reason under this request's id".into()
        }
        _ => error.message().to_owned(),
    }
}

/// The document; everything in it is escaped.
pub(super) fn document(status: StatusCode, message: &str, id: &str) -> String {
    let mut out = Document::new();
    let code = status.as_u16().to_string();
    out.open("Error", &[("xmlns", "http://xml.opendap.org/ns/DAP/4.0#"), ("httpcode", &code)]);
    out.leaf("Message", &[], message);
    out.leaf("OtherInformation", &[], &format!("request {id}"));
    out.finish()
}
