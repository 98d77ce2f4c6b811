//! Errors before a front end is known: a page for browsers, problem JSON for programs that ask for it,
//! else one line of text. The status comes from the one table, [`crate::protocols::status_of`].

use askama::Template;
use cdm::{Error, ErrorKind};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::protocols::{Reply, status_of};

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    status: StatusCode,
    title: &'a str,
    top: &'a str,
    message: &'a str,
    id: &'a str,
}

/// How an error is said, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) title: &'a str,
    pub(super) top: &'a str,
    pub(super) id: &'a str,
}

/// `error` with the status of its kind.
pub(super) fn reply(error: &Error, audience: Audience<'_>) -> Reply {
    let message = match error.kind() {
        // What a defect says is for the log.
        ErrorKind::Internal => "a defect of the server; its log names this request",
        _ => error.message(),
    };
    with_status(status_of(error.kind()), message, audience)
}

/// `message` with a status that no kind has.
pub(super) fn with_status(status: StatusCode, message: &str, audience: Audience<'_>) -> Reply {
    let Audience { headers: asked, title, top, id } = audience;
    let page = || Page { status, title, top, message, id }.render().ok();
    let (media_type, text) = match wanted(asked) {
        Form::Json => ("application/problem+json", problem(status, message, id)),
        Form::Html => match page() {
            Some(page) => ("text/html; charset=utf-8", page),
            None => ("text/plain; charset=utf-8", format!("{message}\n")),
        },
        Form::Text => ("text/plain; charset=utf-8", format!("{status}: {message}. Request {id}\n")),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Reply::text(status, headers, text)
}

/// RFC 9457.
fn problem(status: StatusCode, message: &str, id: &str) -> String {
    serde_json::json!({
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": message,
        "request": id,
    })
    .to_string()
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

fn wanted(headers: &HeaderMap) -> Form {
    let accepts = |kinds: &[&str]| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|item| {
            let kind = item.split(';').next().unwrap_or_default().trim();
            kinds.iter().any(|k| kind.eq_ignore_ascii_case(k))
        })
    };
    if accepts(&["text/html", "application/xhtml+xml"]) {
        Form::Html
    } else if accepts(&["application/json", "application/problem+json"]) {
        Form::Json
    } else {
        Form::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::compress::collect;

    async fn check(accept: &str, media_type: &str, body: &str) {
        let headers = [(header::ACCEPT, accept.parse().unwrap())].into_iter().collect();
        let audience = Audience { headers: &headers, title: "T", top: "../", id: "r1" };
        let reply = reply(&Error::not_found("there is no dataset <x>"), audience);
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.headers[header::CONTENT_TYPE], media_type);
        let text = String::from_utf8(collect(reply.body).await.unwrap()).unwrap();
        assert!(text.contains(body), "{text}");
    }

    #[tokio::test]
    async fn the_form_follows_accept() {
        check("*/*", "text/plain; charset=utf-8", "404 Not Found: there is no dataset <x>. Request r1").await;
        check("text/html,*/*;q=0.8", "text/html; charset=utf-8", "<p>there is no dataset &#60;x&#62;</p>")
            .await;
        let json = "\"detail\":\"there is no dataset <x>\"";
        check("application/json", "application/problem+json", json).await;
    }
}
