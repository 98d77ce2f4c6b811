//! What the server reads of requests by itself, on any bytes: for fuzzing.

use std::time::SystemTime;

use cdm::Version;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{
    compress::accepts_gzip,
    conditions::{Part, Validators},
    error::{Audience, with_status},
    mender::{Framing, Machine},
    origin::{client, origin},
};
use crate::config::Config;

/// Mends `data` as what a client sends, in one piece and in several, and reads its lines as headers.
///
/// # Panics
/// When it makes a difference how the bytes arrive, or when a part of an answer is not one.
pub fn exercise(data: &[u8]) {
    let mended = |step: usize| {
        let framing = Framing::default();
        let mut machine = Machine::new(framing.clone());
        let mut output = Vec::new();
        data.chunks(step.max(1)).for_each(|part| machine.mend(part, &mut output));
        (output, framing.has_body(), framing.is_ambiguous())
    };
    let whole = mended(data.len());
    for step in [1, 3, 7] {
        assert!(mended(step) == whole, "in steps of {step} it is mended otherwise");
    }
    let headers = headers(data);
    let version = Version { identity: "v".into(), modified: Some(SystemTime::UNIX_EPOCH) };
    let validators = Validators::new(Some(&version), Some("i"));
    let _ = validators.is_unmodified(&headers);
    for len in [0, 1, 1000, u64::MAX] {
        if let Part::Bytes(range) = validators.part(&headers, len) {
            assert!(range.start < range.end && range.end <= len, "{range:?} of {len}");
        }
    }
    let _ = accepts_gzip(&headers);
    let config = Config { trusted_proxies: "0.0.0.0/0".parse().into_iter().collect(), ..Config::default() };
    let local = config.listen;
    let _ = client(&config, &headers, local.ip());
    if let Ok(origin) = origin(&config, &headers, (local.ip(), false), local) {
        assert!(!origin.contains(['"', '<', '>', '\'', ' ', '\\']), "{origin} cannot stand in a page");
    }
    let audience = Audience { headers: &headers, title: "", top: "", id: "" };
    let _ = with_status(http::StatusCode::BAD_REQUEST, &String::from_utf8_lossy(data), audience);
    let _ = Method::from_bytes(data);
}

/// The lines that can be headers.
fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name.trim_ascii());
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            // As many as hyper lets through.
            if headers.len() < 100 {
                headers.append(name, value);
            }
        }
    }
    headers
}
