//! Which representation a client accepts (protocol notes 1.3).

use http::{HeaderMap, StatusCode, header};

use super::{Response, error};
use crate::protocols::{Reply, Request};

/// What a client that accepts some media types is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A response of DAP4.
    Answer(Response),
    /// The dataset's page for people.
    Page,
}

/// What `request`, whose path asks for `response`, is to be answered with.
///
/// # Errors
/// The reply to a client that accepts nothing of what there is.
#[expect(clippy::result_large_err, reason = "the error is sent as it is, once")]
pub fn wanted(response: Response, request: &Request<'_>) -> Result<Wanted, Reply> {
    negotiate(response, request.headers).map_err(|offered| {
        let message =
            format!("none of the accepted media types is on offer; there is {}", offered.join(", "));
        error::failure(StatusCode::NOT_ACCEPTABLE, &message, request)
    })
}

/// What can be answered where `response` is asked for, the normative form first.
fn offers(response: Response) -> &'static [(&'static str, Wanted)] {
    match response {
        Response::Dsr => &[
            ("application/vnd.opendap.dap4.dataset-services+xml", Wanted::Answer(Response::Dsr)),
            ("text/xml", Wanted::Answer(Response::DsrXml)),
            ("application/xml", Wanted::Answer(Response::DsrXml)),
            ("text/html", Wanted::Page),
        ],
        Response::DsrXml => &[
            ("text/xml", Wanted::Answer(Response::DsrXml)),
            ("application/xml", Wanted::Answer(Response::DsrXml)),
        ],
        Response::Dmr => &[
            ("application/vnd.opendap.dap4.dataset-metadata+xml", Wanted::Answer(Response::Dmr)),
            ("text/xml", Wanted::Answer(Response::DmrXml)),
            ("application/xml", Wanted::Answer(Response::DmrXml)),
            ("text/html", Wanted::Page),
        ],
        Response::DmrXml => &[
            ("text/xml", Wanted::Answer(Response::DmrXml)),
            ("application/xml", Wanted::Answer(Response::DmrXml)),
        ],
        Response::Dmrpp => &[
            ("application/vnd.opendap.dap4.dmrpp+xml", Wanted::Answer(Response::Dmrpp)),
            ("text/xml", Wanted::Answer(Response::Dmrpp)),
            ("application/xml", Wanted::Answer(Response::Dmrpp)),
        ],
        Response::Dap => &[
            ("application/vnd.opendap.dap4.data", Wanted::Answer(Response::Dap)),
            ("application/octet-stream", Wanted::Answer(Response::Dap)),
        ],
    }
}

/// The form to answer in: the one with the highest quality, the normative one among equals.
///
/// # Errors
/// The media types on offer when none is acceptable.
fn negotiate(response: Response, headers: &HeaderMap) -> Result<Wanted, Vec<&'static str>> {
    let offers = offers(response);
    let ranges: Vec<Range> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return Ok(Wanted::Answer(response));
    }
    let mut best = None;
    for (media_type, form) in offers {
        let quality = ranges
            .iter()
            .filter_map(|r| Some((r.specificity(media_type)?, r.quality)))
            .max_by_key(|(specificity, _)| *specificity)
            .map_or(0, |(_, quality)| quality);
        if quality > 0 && best.is_none_or(|(q, _)| quality > q) {
            best = Some((quality, *form));
        }
    }
    best.map(|(_, form)| form).ok_or_else(|| offers.iter().map(|(media_type, _)| *media_type).collect())
}

/// `type/subtype;q=0.5`
struct Range {
    main: String,
    sub: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let quality = parts
            .filter_map(|p| p.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, q)| thousandths(q.trim()));
        Some(Self { main: main.to_ascii_lowercase(), sub: sub.to_ascii_lowercase(), quality })
    }

    /// How closely it names `media_type`; `None` when it does not.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        let (main, sub) = media_type.split_once('/')?;
        match (self.main.as_str(), self.sub.as_str()) {
            ("*", "*") => Some(0),
            (m, "*") if m == main => Some(1),
            (m, s) if m == main && s == sub => Some(2),
            _ => None,
        }
    }
}

/// `0.25` as 250; what is no number counts as 1.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole != "0" {
        return 1000;
    }
    let mut digits: String = fraction.chars().take_while(char::is_ascii_digit).take(3).collect();
    while digits.len() < 3 {
        digits.push('0');
    }
    digits.parse().unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(response: Response, accept: &str, expected: Option<Response>) {
        check_wanted(response, accept, expected.map(Wanted::Answer));
    }

    #[track_caller]
    fn check_wanted(response: Response, accept: &str, expected: Option<Wanted>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        assert_eq!(negotiate(response, &headers).ok(), expected, "{accept}");
    }

    #[test]
    fn wildcards_give_the_normative_form() {
        for response in [Response::Dsr, Response::Dmr, Response::DmrXml, Response::Dap] {
            check(response, "*/*", Some(response));
            assert_eq!(negotiate(response, &HeaderMap::new()), Ok(Wanted::Answer(response)));
        }
        check(Response::Dmr, "application/*", Some(Response::Dmr));
        check(Response::Dap, "application/*", Some(Response::Dap));
    }

    #[test]
    fn an_alternate_is_given_when_named() {
        check(Response::Dmr, "text/xml", Some(Response::DmrXml));
        check_wanted(Response::Dmr, "text/html", Some(Wanted::Page));
        check(
            Response::Dmr,
            "text/xml;q=0.3, application/vnd.opendap.dap4.dataset-metadata+xml;q=0.2",
            Some(Response::DmrXml),
        );
        check_wanted(
            Response::Dsr,
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Some(Wanted::Page),
        );
        check(Response::DmrXml, "text/html,application/xhtml+xml,*/*;q=0.8", Some(Response::DmrXml));
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        check(Response::Dap, "text/html", None);
        check(Response::Dmr, "image/png", None);
        check(Response::Dmr, "application/vnd.opendap.dap4.dataset-metadata+xml;q=0", None);
    }
}
