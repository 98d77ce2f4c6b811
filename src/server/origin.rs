//! The URL at which a client reached this server, for the links in its answers (promise R21).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::config::Config;

/// Scheme, host and the prefix a proxy adds, without final slash: `https://data.example.org/thalweg`.
///
/// `public_url` wins. Else `Forwarded` or `X-Forwarded-*`, from trusted proxies only; else `Host`; else
/// the address the server listens on, by https when that is what it speaks. The host of an absolute-form target is ignored.
///
/// # Errors
/// 400 for a `Host` that is none, 421 for one that is not among `allowed_hosts`.
pub(super) fn origin(
    config: &Config,
    headers: &HeaderMap,
    (peer, is_secure): (IpAddr, bool),
    local: SocketAddr,
) -> Result<String, (StatusCode, &'static str)> {
    let trusted = config.trusted_proxies.iter().any(|network| network.contains(peer));
    let forwarded = if trusted { Forwarded::of(headers) } else { Forwarded::default() };
    let mut hosts = headers.get_all(header::HOST).iter();
    let own = hosts.next().map(|v| v.to_str().unwrap_or("?"));
    let host = forwarded.host.or_else(|| own.map(str::to_owned)).unwrap_or_else(|| local.to_string());
    if !is_host(&host) || hosts.next().is_some() {
        return Err((StatusCode::BAD_REQUEST, "the Host header does not name one host"));
    }
    if !config.allowed_hosts.is_empty() {
        let name = without_port(&host);
        if !config.allowed_hosts.iter().any(|allowed| without_port(allowed).eq_ignore_ascii_case(name)) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not answer for the host that was asked",
            ));
        }
    }
    if let Some(url) = &config.public_url {
        return Ok(url.clone());
    }
    let is_https = forwarded.proto.as_deref().map_or(is_secure, |proto| proto == "https");
    let scheme = if is_https { "https" } else { "http" };
    // Said for every request, which `format!` would make twice as long.
    Ok([scheme, "://", &host, &forwarded.prefix.unwrap_or_default()].concat())
}

/// The address of the client: of a trusted proxy's, the last that no trusted proxy has.
pub(super) fn client(config: &Config, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let is_trusted =
        |address: &IpAddr| config.trusted_proxies.iter().any(|network| network.contains(*address));
    if !is_trusted(&peer) {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer;
    for address in named.iter().rev() {
        // What is no address, and what stands before it, anybody may have written.
        let Ok(address) = address.parse() else { return client };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// What a proxy says of the request it was sent.
#[derive(Debug, Default)]
struct Forwarded {
    proto: Option<String>,
    host: Option<String>,
    prefix: Option<String>,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        let first = |name: &str| -> Option<String> {
            let name: HeaderName = name.parse().ok()?;
            // The first of a list is what the client used; proxies on the way append.
            let value = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let standard = first("forwarded").unwrap_or_default();
        let parameter = |name: &str| {
            standard.split(';').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
            })
        };
        Self {
            proto: parameter("proto").or_else(|| first("x-forwarded-proto")).map(|p| p.to_ascii_lowercase()),
            host: parameter("host").or_else(|| first("x-forwarded-host")),
            prefix: first("x-forwarded-prefix")
                .filter(|p| is_prefix(p))
                .map(|p| p.trim_end_matches('/').to_owned()),
        }
    }
}

fn is_prefix(prefix: &str) -> bool {
    prefix.starts_with('/')
        && !prefix.starts_with("//")
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b))
}

/// A host name or address with an optional port: nothing that could end an attribute or a URL's authority.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
        && host.parse::<http::uri::Authority>().is_ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, pairs: &[(&str, &str)], expect: Result<&str, u16>) {
        let headers: HeaderMap =
            pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect();
        let local = SocketAddr::from(([127, 0, 0, 1], 8080));
        let found = origin(config, &headers, (IpAddr::from([10, 1, 2, 3]), false), local);
        assert_eq!(found.as_deref().map_err(|(status, _)| status.as_u16()), expect, "{pairs:?}");
    }

    const FORWARDED: [(&str, &str); 4] = [
        ("host", "inner:8080"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "data.example.org, proxy"),
        ("x-forwarded-prefix", "/data/"),
    ];

    #[test]
    fn only_trusted_proxies_are_believed() {
        check(&Config::default(), &FORWARDED, Ok("http://inner:8080"));
        let trusting = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        check(&trusting, &FORWARDED, Ok("https://data.example.org/data"));
        check(
            &trusting,
            &[("host", "h"), ("forwarded", "for=1.2.3.4;proto=https;host=\"d.org\"")],
            Ok("https://d.org"),
        );
        check(&trusting, &[("host", "h"), ("x-forwarded-prefix", "//evil")], Ok("http://h"));
        check(&trusting, &[("host", "h"), ("x-forwarded-host", "e\"vil")], Err(400));
        let other = Config { trusted_proxies: vec!["192.168.0.0/16".parse().unwrap()], ..Config::default() };
        check(&other, &FORWARDED, Ok("http://inner:8080"));
    }

    #[test]
    fn clients_behind_proxies() {
        let config = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        let check = |peer: [u8; 4], forwarded: &[&str], expect: [u8; 4]| {
            let headers = forwarded.iter().map(|v| ("x-forwarded-for".parse().unwrap(), v.parse().unwrap()));
            let headers: HeaderMap = headers.collect();
            assert_eq!(client(&config, &headers, peer.into()), IpAddr::from(expect), "{forwarded:?}");
        };
        check([192, 0, 2, 1], &["198.51.100.7"], [192, 0, 2, 1]);
        check([10, 0, 0, 1], &[], [10, 0, 0, 1]);
        check([10, 0, 0, 1], &["198.51.100.7"], [198, 51, 100, 7]);
        // What the client itself says stands first and is not believed.
        check([10, 0, 0, 1], &["203.0.113.9, 198.51.100.7, 10.0.0.2"], [198, 51, 100, 7]);
        check([10, 0, 0, 1], &["203.0.113.9", "198.51.100.7"], [198, 51, 100, 7]);
        check([10, 0, 0, 1], &["x, 10.0.0.3"], [10, 0, 0, 3]);
    }

    #[test]
    fn public_url_wins() {
        let config = Config { public_url: Some("https://d.org/x".to_owned()), ..Config::default() };
        check(&config, &FORWARDED, Ok("https://d.org/x"));
    }

    #[test]
    fn hosts_are_checked() {
        check(&Config::default(), &[], Ok("http://127.0.0.1:8080"));
        check(&Config::default(), &[("host", "[::1]:80")], Ok("http://[::1]:80"));
        for bad in ["a/b", "a b", "u@h", "", "<h>"] {
            check(&Config::default(), &[("host", bad)], Err(400));
        }
        check(&Config::default(), &[("host", "a"), ("host", "b")], Err(400));
        let config = Config { allowed_hosts: vec!["d.org".to_owned()], ..Config::default() };
        check(&config, &[("host", "D.org:8080")], Ok("http://D.org:8080"));
        check(&config, &[("host", "evil.org")], Err(421));
    }
}
