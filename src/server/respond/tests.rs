//! Replies as responses: ranges, conditions, `HEAD`, compression, early and late errors.

use std::time::{Duration, SystemTime};

use http::HeaderName;
use http_body_util::BodyExt;

use super::*;

fn version() -> Version {
    Version {
        identity: "v1".into(),
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
    }
}

fn reply(parts: Vec<Result<Bytes>>, length: Option<u64>) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))].into_iter().collect(),
        length,
        identity: Some("whole".to_owned()),
        compressible: false,
        body: Box::pin(stream::iter(parts)),
    }
}

fn digits() -> Reply {
    reply(["012", "", "3456", "789"].iter().map(|s| Ok(Bytes::from_static(s.as_bytes()))).collect(), Some(10))
}

async fn ask(method: Method, headers: &[(HeaderName, &str)], reply: Reply) -> Result<Response<Body>> {
    let headers: HeaderMap = headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect();
    respond(reply, Asked { method: &method, headers: &headers, flushes: None }, Some(&version()), None).await
}

async fn bytes(response: Response<Body>) -> Result<Bytes> {
    Ok(response.into_body().collect().await?.to_bytes())
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test]
async fn a_whole_answer() {
    let response = ask(Method::GET, &[], digits()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(text(&response, "content-length"), "10");
    assert_eq!(text(&response, "accept-ranges"), "bytes");
    assert_eq!(text(&response, "last-modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
    assert!(text(&response, "etag").starts_with('"'));
    for (name, value) in [("x-content-type-options", "nosniff"), ("access-control-allow-origin", "*")] {
        assert_eq!(text(&response, name), value);
    }
    assert_eq!(bytes(response).await.unwrap(), "0123456789");
}

#[tokio::test]
async fn a_small_body_leaves_in_one_piece() {
    for (len, is_whole) in [(10, true), (AT_ONCE, true), (AT_ONCE + 1, false)] {
        let half = usize::try_from(len / 2).unwrap();
        let parts = [half, usize::try_from(len).unwrap() - half].map(|n| Ok(vec![b'x'; n].into()));
        let response = ask(Method::GET, &[], reply(parts.into(), Some(len))).await.unwrap();
        assert_eq!(matches!(response.body(), Body::Whole(_)), is_whole, "{len}");
        assert_eq!(bytes(response).await.unwrap().len() as u64, len);
    }
}

#[tokio::test]
async fn ranges_are_cut_out() {
    for (range, expect, place) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
    ] {
        let response = ask(Method::GET, &[(header::RANGE, range)], digits()).await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(text(&response, "content-range"), place);
        assert_eq!(text(&response, "content-length"), expect.len().to_string());
        assert_eq!(bytes(response).await.unwrap(), expect, "{range}");
    }
    let response = ask(Method::GET, &[(header::RANGE, "bytes=10-")], digits()).await.unwrap();
    assert_eq!((response.status().as_u16(), text(&response, "content-range")), (416, "bytes */10"));
}

#[tokio::test]
async fn a_range_needs_a_validator_and_a_length() {
    let range = &[(header::RANGE, "bytes=0-0")];
    assert_eq!(ask(Method::HEAD, range, digits()).await.unwrap().status(), 200);
    let unknown = reply(vec![Ok(Bytes::from_static(b"ab"))], None);
    assert_eq!(ask(Method::GET, range, unknown).await.unwrap().status(), 200);
    let headers: HeaderMap = [(header::RANGE, HeaderValue::from_static("bytes=0-0"))].into_iter().collect();
    let asked = Asked { method: &Method::GET, headers: &headers, flushes: None };
    assert_eq!(respond(digits(), asked, None, None).await.unwrap().status(), 200);
}

#[tokio::test]
async fn not_modified_reads_nothing() {
    let first = ask(Method::GET, &[], digits()).await.unwrap();
    let tag = text(&first, "etag").to_owned();
    let unread = || reply(vec![Err(Error::internal("was read"))], Some(10));
    for condition in
        [(header::IF_NONE_MATCH, tag.as_str()), (header::IF_MODIFIED_SINCE, "Sun, 09 Sep 2001 01:46:40 GMT")]
    {
        let response = ask(Method::GET, &[condition], unread()).await.unwrap();
        assert_eq!(response.status(), 304);
        assert_eq!(text(&response, "etag"), tag);
        assert!(bytes(response).await.unwrap().is_empty());
    }
    assert!(ask(Method::GET, &[(header::IF_NONE_MATCH, "\"x\"")], unread()).await.is_err());
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_reads_nothing_when_the_length_is_known() {
    let unread = reply(vec![Err(Error::internal("was read"))], Some(10));
    let response = ask(Method::HEAD, &[], unread).await.unwrap();
    assert_eq!((response.status().as_u16(), text(&response, "content-length")), (200, "10"));
    let failing = reply(vec![Err(Error::not_found("v"))], None);
    assert!(ask(Method::HEAD, &[], failing).await.is_err(), "the status of GET");
}

// These keep what they are given, so the failure waits as long as it may: paused time passes at once.
#[tokio::test(start_paused = true)]
async fn an_early_error_is_returned_and_a_late_one_fails_the_body() {
    let early = reply(vec![Err(Error::corrupt("early"))], None);
    assert_eq!(ask(Method::GET, &[], early).await.unwrap_err().message(), "early");
    for length in [None, Some(9)] {
        let late = reply(vec![Ok(Bytes::from_static(b"abc")), Err(Error::corrupt("late"))], length);
        let response = ask(Method::GET, &[], late).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(bytes(response).await.unwrap_err().message(), "late");
    }
}

// These keep what they are given, so the failure waits as long as it may: paused time passes at once.
#[tokio::test(start_paused = true)]
async fn a_wrong_length_never_looks_like_success() {
    for length in [2, 4] {
        let wrong = reply(vec![Ok(Bytes::from_static(b"abc"))], Some(length));
        let response = ask(Method::GET, &[], wrong).await.unwrap();
        assert!(bytes(response).await.is_err(), "{length}");
    }
}

#[tokio::test]
async fn text_is_compressed_when_asked() {
    let compressible = || Reply { compressible: true, ..digits() };
    let plain = ask(Method::GET, &[], compressible()).await.unwrap();
    assert_eq!((text(&plain, "content-encoding"), text(&plain, "vary")), ("", "Accept-Encoding"));
    let strong = text(&plain, "etag").to_owned();
    let packed = ask(Method::GET, &[(header::ACCEPT_ENCODING, "gzip")], compressible()).await.unwrap();
    assert_eq!(text(&packed, "content-encoding"), "gzip");
    assert_eq!(text(&packed, "etag"), format!("W/{strong}"));
    assert_eq!((text(&packed, "content-length"), text(&packed, "accept-ranges")), ("", ""));
    let mut back = String::new();
    let packed = bytes(packed).await.unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut back).unwrap();
    assert_eq!(back, "0123456789");
    let data = ask(Method::GET, &[(header::ACCEPT_ENCODING, "gzip")], digits()).await.unwrap();
    assert_eq!(text(&data, "content-encoding"), "", "data is never compressed");
}

#[tokio::test]
async fn errors_are_not_cached() {
    let error = Reply { status: StatusCode::NOT_FOUND, ..digits() };
    let response =
        ask(Method::GET, &[(header::IF_NONE_MATCH, "*"), (header::RANGE, "bytes=0-0")], error).await.unwrap();
    assert_eq!((response.status().as_u16(), text(&response, "cache-control")), (404, "no-cache"));
    assert_eq!(text(&response, "etag"), "");
    assert_eq!(bytes(response).await.unwrap().len(), 10);
}
