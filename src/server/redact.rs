//! What of an address is for nobody but who asked (promise R25): the tokens of signed links, and what queries may
//! hold of other services' signatures. The log shows addresses without them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What stands for it.
const HIDDEN: &str = "(hidden)";

/// Keys of a query whose values are hidden, without regard to case.
const KEYS: [&str; 8] =
    ["token", "access_token", "id_token", "sig", "signature", "password", "awsaccesskeyid", "key"];

/// Beginnings of such keys.
const BEGINNINGS: [&str; 2] = ["x-amz-", "x-goog-"];

/// `path` without the token of a signed link.
pub(super) fn path(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix("/~") else { return Cow::Borrowed(path) };
    let rest = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    Cow::Owned(format!("/~{HIDDEN}{rest}"))
}

/// `query` without the values of such keys.
pub(super) fn query(query: &str) -> Cow<'_, str> {
    let is_secret = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else { return false };
        let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
        !value.is_empty() && (KEYS.contains(&name.as_str()) || BEGINNINGS.iter().any(|b| name.starts_with(b)))
    };
    if !query.contains('=') || !query.split(['&', ';']).any(is_secret) {
        return Cow::Borrowed(query);
    }
    let mut shown = String::with_capacity(query.len());
    for pair in query.split_inclusive(['&', ';']) {
        let (pair, end) = match pair.strip_suffix(['&', ';']) {
            Some(cut) => pair.split_at(cut.len()),
            None => (pair, ""),
        };
        match pair.split_once('=').filter(|_| is_secret(pair)) {
            Some((name, _)) => shown.extend([name, "=", HIDDEN, end]),
            None => shown.extend([pair, end]),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hidden_and_nothing_else() {
        for (given, expect) in [
            ("/opendap/x.nc", "/opendap/x.nc"),
            ("/~abc/opendap/~x.nc", "/~(hidden)/opendap/~x.nc"),
            ("/~abc", "/~(hidden)"),
            ("/opendap/~x/y", "/opendap/~x/y"),
        ] {
            assert_eq!(path(given), expect);
        }
        for (given, expect) in [
            ("dap4.ce=/sst[0:1]&dap4.checksum=true", "dap4.ce=/sst[0:1]&dap4.checksum=true"),
            ("a=1&token=s3cret&b=2", "a=1&token=(hidden)&b=2"),
            (
                "X-Amz-Signature=s3cret&x-amz-credential=s3cret",
                "X-Amz-Signature=(hidden)&x-amz-credential=(hidden)",
            ),
            ("%74oken=s3cret;SIG=s3cret", "%74oken=(hidden);SIG=(hidden)"),
            ("token&sig=", "token&sig="),
            ("tokens=3&x>1", "tokens=3&x>1"),
        ] {
            assert_eq!(query(given), expect);
        }
    }
}
