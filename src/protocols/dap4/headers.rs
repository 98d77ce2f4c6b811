//! The headers of a reply (protocol notes 1.4).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Response;
use crate::protocols::Request;

/// How this server names itself to DAP clients.
const SERVER: &str = concat!("thalweg/", env!("CARGO_PKG_VERSION"));
/// Headers of an answer, with those that the server adds.
const HEADERS: usize = 24;
const DESCRIPTION: HeaderName = HeaderName::from_static("content-description");
/// The protocol and the server, as clients of all ages look for them.
const NAMES: [(HeaderName, &str); 5] = [
    (HeaderName::from_static("xdap"), "4.0"),
    (HeaderName::from_static("x-dap"), "4.0"),
    (HeaderName::from_static("xdods-server"), SERVER),
    (HeaderName::from_static("xopendap-server"), SERVER),
    (HeaderName::from_static("x-dap-server"), SERVER),
];
/// The media type of error documents.
const ERROR_TYPE: &str = "application/vnd.opendap.dap4.error+xml";

/// The headers of a successful `response`.
pub(super) fn of(response: Response, request: &Request<'_>) -> HeaderMap {
    let (media_type, description) = match response {
        Response::Dsr => (
            "application/vnd.opendap.dap4.dataset-services+xml; charset=utf-8",
            "application/vnd.opendap.dap4.dataset-services+xml",
        ),
        Response::DsrXml => ("text/xml; charset=utf-8", "application/vnd.opendap.dap4.dataset-services+xml"),
        Response::Dmr => (
            "application/vnd.opendap.dap4.dataset-metadata+xml; charset=utf-8",
            "application/vnd.opendap.dap4.dataset-metadata+xml",
        ),
        Response::DmrXml => ("text/xml; charset=utf-8", "application/vnd.opendap.dap4.dataset-metadata+xml"),
        Response::Dmrpp => (
            "application/vnd.opendap.dap4.dmrpp+xml; charset=utf-8",
            "application/vnd.opendap.dap4.dmrpp+xml",
        ),
        Response::Dap => ("application/vnd.opendap.dap4.data", "application/vnd.opendap.dap4.data"),
    };
    let mut headers = dap(media_type, description);
    let vary = match response {
        Response::Dmr | Response::DmrXml | Response::Dap => "Accept, User-Agent",
        _ => "Accept",
    };
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    if response == Response::Dap {
        headers.insert(header::CONTENT_DISPOSITION, attachment(request.dataset));
    }
    headers
}

/// The headers by which DAP4 clients know that the page at a dataset's URL is this server's.
pub fn of_page() -> HeaderMap {
    let mut headers = dap("text/html; charset=utf-8", "text/html");
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers
}

/// The headers of an error document.
pub(super) fn of_error() -> HeaderMap {
    let mut headers = dap("application/vnd.opendap.dap4.error+xml; charset=utf-8", ERROR_TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
}

/// What every DAP4 reply says.
fn dap(media_type: &'static str, description: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(DESCRIPTION, HeaderValue::from_static(description));
    for (name, value) in &NAMES {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// `attachment; filename="sst.nc.dap"`, with the exact name beside when it is not plain ASCII.
fn attachment(dataset: &str) -> HeaderValue {
    let name = dataset.rsplit('/').next().unwrap_or(dataset);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ';
    let mut text = String::with_capacity(name.len() + 32);
    text.push_str("attachment; filename=\"");
    text.extend(name.chars().map(|c| if plain(c) { c } else { '_' }));
    text.push_str(".dap\"");
    if !name.chars().all(plain) {
        let name = format!("{name}.dap");
        let exact = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        text = format!("{text}; filename*=UTF-8''{exact}");
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_in_a_header() {
        assert_eq!(attachment("a/sst.nc"), "attachment; filename=\"sst.nc.dap\"");
        assert_eq!(
            attachment("a\"\r\n.nc"),
            "attachment; filename=\"a___.nc.dap\"; filename*=UTF-8''a%22%0D%0A%2Enc%2Edap"
        );
    }
}
