//! What can be said of object stores: credentials, endpoints, patience.

use std::{fmt, time::Duration};

/// Text that is shown to nobody: neither in logs nor in messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How one store, or everything below a URL of it, is reached. What is not set comes from the environment
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// What it is about: this URL and everything below.
    pub url: String,
    /// Where the service is, when it is not the provider's own: `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    pub region: Option<String>,
    /// Requests are not signed: for public data.
    pub anonymous: Option<bool>,
    /// Whether the connection may be unencrypted to hosts other than this one.
    pub allow_http: Option<bool>,
    /// The bucket is a part of the host name (`bucket.s3.example.org`), not of the path.
    pub virtual_hosted: Option<bool>,
    /// S3: the access key's identifier.
    pub access_key_id: Option<String>,
    /// S3: the secret access key.
    pub secret_access_key: Option<Secret>,
    /// S3: the token of temporary credentials.
    pub session_token: Option<Secret>,
    /// Azure: the storage account.
    pub account: Option<String>,
    /// Azure: its access key.
    pub account_key: Option<Secret>,
    /// Google: the file with the service account's key.
    pub service_account: Option<String>,
    /// HTTP servers: sent as `Authorization: Bearer`.
    pub bearer_token: Option<Secret>,
    /// How long the status of an object is believed without asking again.
    pub recheck: Option<Duration>,
}

impl StoreOptions {
    /// These, and where they say nothing, those of `below`.
    #[must_use]
    fn over(self, below: &Self) -> Self {
        Self {
            url: self.url,
            endpoint: self.endpoint.or_else(|| below.endpoint.clone()),
            region: self.region.or_else(|| below.region.clone()),
            anonymous: self.anonymous.or(below.anonymous),
            allow_http: self.allow_http.or(below.allow_http),
            virtual_hosted: self.virtual_hosted.or(below.virtual_hosted),
            access_key_id: self.access_key_id.or_else(|| below.access_key_id.clone()),
            secret_access_key: self.secret_access_key.or_else(|| below.secret_access_key.clone()),
            session_token: self.session_token.or_else(|| below.session_token.clone()),
            account: self.account.or_else(|| below.account.clone()),
            account_key: self.account_key.or_else(|| below.account_key.clone()),
            service_account: self.service_account.or_else(|| below.service_account.clone()),
            bearer_token: self.bearer_token.or_else(|| below.bearer_token.clone()),
            recheck: self.recheck.or(below.recheck),
        }
    }

    /// Whether they are about `url`.
    fn about(&self, url: &str) -> bool {
        let own = self.url.trim_end_matches('/');
        url.strip_prefix(own).is_some_and(|rest| own.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

/// How object stores are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Of every store.
    pub every: StoreOptions,
    /// Of single stores; the longest URL that fits wins, setting by setting.
    pub stores: Vec<StoreOptions>,
    /// A connection must be made in this time.
    pub connect_timeout: Duration,
    /// No byte for this time: the request has failed.
    pub read_timeout: Duration,
    /// An operation with all its retries takes no longer, besides what many bytes take.
    pub total_timeout: Duration,
    /// How often a request that failed is made again.
    pub retries: u32,
    /// How long the status of an object is believed without asking again.
    pub recheck: Duration,
    /// Bytes of metadata that are kept, for each root.
    pub metadata_cache: u64,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            every: StoreOptions::default(),
            stores: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(10),
            retries: 3,
            recheck: Duration::from_secs(2),
            metadata_cache: 32 << 20,
        }
    }
}

impl RemoteOptions {
    /// What is set for `url`.
    pub(super) fn store(&self, url: &str) -> StoreOptions {
        let mut fitting: Vec<&StoreOptions> = self.stores.iter().filter(|store| store.about(url)).collect();
        fitting.sort_by_key(|store| std::cmp::Reverse(store.url.len()));
        fitting.into_iter().chain([&self.every]).fold(StoreOptions::default(), StoreOptions::over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let options = StoreOptions {
            secret_access_key: Some(Secret::new("hunter2")),
            bearer_token: Some(Secret::new("hunter2")),
            ..StoreOptions::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn the_longest_url_wins_setting_by_setting() {
        let store = |url: &str, region: Option<&str>, anonymous| StoreOptions {
            url: url.to_owned(),
            region: region.map(str::to_owned),
            anonymous,
            ..StoreOptions::default()
        };
        let options = RemoteOptions {
            every: store("", Some("everywhere"), Some(true)),
            stores: vec![
                store("s3://bucket/a/", None, Some(false)),
                store("s3://bucket", Some("here"), None),
            ],
            ..RemoteOptions::default()
        };
        let check = |url: &str, region: &str, anonymous: bool| {
            let found = options.store(url);
            assert_eq!((found.region.as_deref(), found.anonymous), (Some(region), Some(anonymous)), "{url}");
        };
        check("s3://bucket/a/b", "here", false);
        check("s3://bucket/a", "here", false);
        check("s3://bucket/ab", "here", true);
        check("s3://bucket-2", "everywhere", true);
    }
}
