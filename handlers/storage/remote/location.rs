//! URLs of object stores: what they name, and how they are shown.

use cdm::{Error, Result};
use object_store::{ObjectStoreScheme, path::Path};
use url::Url;

/// The kinds of stores there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Google,
    Azure,
    Http,
}

/// A URL that names a store and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) kind: Kind,
    /// As it is shown: without user, password, query and closing slash.
    pub(super) shown: String,
    /// The store in it: `s3://bucket`.
    pub(super) store: String,
    /// The path in the store.
    pub(super) prefix: Path,
    /// For HTTP: user and password.
    pub(super) user: Option<(String, String)>,
    /// Without user and password, except where the user is a container.
    pub(super) url: Url,
}

/// Whether `text` is a URL that [`super::remote_root`] takes, not a path in the file system.
pub fn is_store_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| {
        matches!(&*scheme, "s3" | "s3a" | "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" | "http" | "https")
    })
}

/// The URL with what may be secret in it left out: user, password and query.
pub fn shown_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let user_is_container = matches!(scheme, "az" | "azure" | "adl" | "abfs" | "abfss");
    let host = match authority.rsplit_once('@') {
        // A container's name, unless there is a password with it.
        Some((user, _)) if user_is_container && !user.contains(':') => authority,
        Some((_, host)) => host,
        None => authority,
    };
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

impl Location {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let shown = shown_url(text);
        let wrong = |why: &str| Error::bad_request(format!("cannot use {shown}: {why}"));
        let mut url = Url::parse(text).map_err(|e| wrong("it is not a URL").with_source(e))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a URL of a store has no query and no fragment"));
        }
        let (scheme, prefix) = ObjectStoreScheme::parse(&url)
            // Its own error holds the whole URL.
            .ok()
            .ok_or_else(|| wrong("expected s3://, gs://, az://, abfs://, https:// or http://"))?;
        let kind = match scheme {
            ObjectStoreScheme::AmazonS3 => Kind::S3,
            ObjectStoreScheme::GoogleCloudStorage => Kind::Google,
            ObjectStoreScheme::MicrosoftAzure => Kind::Azure,
            ObjectStoreScheme::Http => Kind::Http,
            _ => return Err(wrong("expected s3://, gs://, az://, abfs://, https:// or http://")),
        };
        let mut user = None;
        if url.password().is_some() || (!url.username().is_empty() && kind != Kind::Azure) {
            if kind != Kind::Http {
                return Err(wrong("credentials do not belong in a URL: use the environment or the settings"));
            }
            let decoded = |text: &str| percent_decoded(text).ok_or_else(|| wrong("its user is not UTF-8"));
            user = Some((decoded(url.username())?, decoded(url.password().unwrap_or_default())?));
            // Neither can fail for a URL with a host, which the scheme has made sure of.
            let _ = (url.set_username(""), url.set_password(None));
        }
        let path = prefix.as_ref();
        let decoded = percent_decoded(url.path()).unwrap_or_default();
        let bucket = decoded.trim_end_matches('/').strip_suffix(path).unwrap_or(&decoded);
        let host = shown.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
        let store = format!("{}://{host}{}", url.scheme(), bucket.trim_end_matches('/'));
        Ok(Self { kind, shown, store, prefix, user, url })
    }
}

/// A part of a URL as it is meant; `None` when that is not text.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
            bytes.push(digit()? << 4 | digit()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, kind: Kind, store: &str, prefix: &str) {
        let found = Location::parse(url).unwrap();
        assert_eq!((found.kind, &*found.store, found.prefix.as_ref()), (kind, store, prefix), "{url}");
    }

    #[test]
    fn urls_name_a_store_and_a_prefix() {
        check("s3://bucket", Kind::S3, "s3://bucket", "");
        check("s3://bucket/a/b/", Kind::S3, "s3://bucket", "a/b");
        check("s3a://bucket/a%20b", Kind::S3, "s3a://bucket", "a b");
        check("gs://bucket/a", Kind::Google, "gs://bucket", "a");
        check("az://container/a", Kind::Azure, "az://container", "a");
        check("abfss://c@acc.dfs.core.windows.net/a", Kind::Azure, "abfss://c@acc.dfs.core.windows.net", "a");
        check(
            "https://s3.eu-west-1.amazonaws.com/bucket/a/b",
            Kind::S3,
            "https://s3.eu-west-1.amazonaws.com/bucket",
            "a/b",
        );
        check("https://data.example.org/a/b", Kind::Http, "https://data.example.org", "a/b");
        check("http://127.0.0.1:8000/a", Kind::Http, "http://127.0.0.1:8000", "a");
    }

    #[test]
    fn users_and_passwords_are_never_shown() {
        let found = Location::parse("https://me:hunter%32@data.example.org/a").unwrap();
        assert_eq!(found.user, Some(("me".to_owned(), "hunter2".to_owned())));
        assert_eq!(
            (&*found.shown, &*found.store),
            ("https://data.example.org/a", "https://data.example.org")
        );
        assert!(!found.url.as_str().contains("hunter"), "{}", found.url);
        for url in [
            "s3://key:hunter2@bucket/a",
            "s3://hunter2@bucket",
            "az://a:hunter2@b/c",
            "https://x/y?sig=hunter2",
            "ftp://a:hunter2@b",
            "https://a:hunter2@b:x/",
        ] {
            let message = Location::parse(url).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert_eq!(shown_url("az://c@account/x/?sig=1"), "az://c@account/x");
    }

    #[test]
    fn paths_are_not_urls() {
        for path in ["data", "/data", "s3:/x", "file:///x", "c://x"] {
            assert!(!is_store_url(path), "{path}");
        }
        for url in ["s3://b", "GS://b", "https://x", "az://c/x"] {
            assert!(is_store_url(url), "{url}");
        }
    }
}
