//! Settings: flags over environment over file over defaults, validated once.
//!
//! [`SETTINGS`] is the one list of keys: the file, the environment (`THALWEG_` + key in capitals, `.` as
//! `_`) and the flags all go through it, so a setting is added by one field and one line.

mod access;
mod datasets;
mod document;
mod load;
mod manager;
mod origin;
mod print;
mod roots;
mod stamp;
mod stores;
mod value;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use handlers::storage::RemoteOptions;

use self::value::Value;
pub use self::{
    access::{certificates, material},
    datasets::CollectionSettings,
    load::{Inputs, Loaded, Overrides, parse},
    manager::Manager,
    origin::{ConfigError, Origin},
    roots::Mount,
    stamp::Stamp,
    value::Network,
};
use crate::{access::Settings, catalog::Configured, protocols::dap4::Checksums};

/// A file with every setting, explained, and its default.
pub const EXAMPLE: &str = include_str!("../config/example.toml");

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Address and port that connections are accepted on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folders, files and URLs of object stores that are served.
    pub roots: Vec<PathBuf>,
    /// Those that are served under paths of their own.
    pub mounts: Vec<Mount>,
    /// Folders that symbolic links in all of these may lead into, where one has no such list of its own.
    pub follow_symlinks: Vec<PathBuf>,
    /// Datasets made of others.
    pub datasets: Vec<Configured>,
    /// How those are kept.
    pub collections: CollectionSettings,
    /// The content folder of a THREDDS data server, whose catalogs are served.
    pub thredds_content: Option<PathBuf>,
    /// Shown on pages and in catalogs.
    pub title: String,
    /// The URL clients reach this server at, when it is behind a proxy: `https://data.example.org/thalweg`.
    pub public_url: Option<String>,
    /// Host names requests may be for; empty: any.
    pub allowed_hosts: Vec<String>,
    /// Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Who may read what.
    pub access: Settings,
    /// A chain of certificates and its key, as PEM files: the server speaks TLS.
    pub tls: TlsFiles,
    /// Origins of pages that may ask for what takes signing in.
    pub cors_origins: Vec<String>,
    /// Whether DAP4 data have checksums when the query does not say.
    pub dap4_checksum: Checksums,
    /// How object stores are reached.
    pub remote: RemoteOptions,
    /// URLs below which references inside datasets may lead, besides the dataset's own root.
    pub references_allow: Vec<String>,
    /// The log.
    pub log: LogSettings,
    /// The address that metrics are served at; `None`: with everything else.
    pub metrics_listen: Option<SocketAddr>,
    /// What one client, or all, may take.
    pub limits: Limits,
}

/// The files of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, the server's own first.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,thalweg=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What one client, or all, may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections from one address at a time; trusted proxies are exempt.
    pub connections_per_address: usize,
    /// A request's head must be complete after this time.
    pub header_timeout: Duration,
    /// An idle connection is closed after this time.
    pub idle_timeout: Duration,
    /// A connection whose client takes no byte for this time is cut.
    pub write_timeout: Duration,
    /// A connection whose client takes fewer bytes a second is cut, after twice `write_timeout`.
    pub slowest_client: u64,
    /// An answer without data must have begun after this time.
    pub metadata_timeout: Duration,
    /// An answer with data must have begun after this time, and must not stop for as long.
    pub data_timeout: Duration,
    /// Bytes of a request's target.
    pub uri: u64,
    /// Bytes of one binary answer.
    pub response_binary: u64,
    /// Bytes of one text answer.
    pub response_text: u64,
    /// Data answers at a time; more wait `queue_timeout`, then are told to come again.
    pub data_responses: usize,
    /// How long a data answer may wait for its turn.
    pub queue_timeout: Duration,
    /// Bytes of data in memory at a time, over all requests.
    pub memory: u64,
    /// Bytes of decoded chunks that are kept for the next request.
    pub chunk_cache: u64,
    /// Files held open.
    pub open_datasets: u64,
    /// How long answers may finish after the server is told to stop.
    pub drain_timeout: Duration,
    /// How long connections are still accepted after SIGTERM, so that those in front of the server notice.
    pub drain_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            roots: Vec::new(),
            mounts: Vec::new(),
            follow_symlinks: Vec::new(),
            datasets: Vec::new(),
            collections: CollectionSettings::default(),
            thredds_content: None,
            title: "Thalweg data server".to_owned(),
            public_url: None,
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            access: Settings::default(),
            tls: TlsFiles::default(),
            cors_origins: Vec::new(),
            dap4_checksum: Checksums::Auto,
            remote: RemoteOptions::default(),
            references_allow: Vec::new(),
            log: LogSettings { format: LogFormat::Text, level: "info".to_owned() },
            metrics_listen: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            connections: 10_000,
            connections_per_address: 256,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            slowest_client: 1024,
            metadata_timeout: Duration::from_secs(10),
            data_timeout: Duration::from_secs(30),
            uri: 64 * 1024,
            response_binary: 256 * 1024 * MIB,
            response_text: 100 * MIB,
            data_responses: 512,
            queue_timeout: Duration::from_secs(5),
            memory: 128 * MIB,
            chunk_cache: 96 * MIB,
            open_datasets: 512,
            drain_timeout: Duration::from_secs(30),
            drain_delay: Duration::from_secs(2),
        }
    }
}

/// One key: its name in the file (with its table), and what a value does.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) apply: fn(&mut Config, &Value) -> Result<(), String>,
}

macro_rules! setting {
    ($key:literal, $field:ident $(. $more:ident)*, $read:ident) => {
        Setting {
            key: $key,
            apply: |config, value| {
                config.$field$(.$more)* = value.$read()?;
                Ok(())
            },
        }
    };
}

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    setting!("listen", listen, address),
    setting!("roots", roots, paths),
    setting!("root", mounts, mounts),
    setting!("follow_symlinks", follow_symlinks, absolute_paths),
    setting!("dataset", datasets, datasets),
    setting!("index.folder", collections.index_folder, text),
    setting!("aggregation.quiet", collections.quiet, duration),
    setting!("aggregation.recheck", collections.recheck, duration),
    setting!("aggregation.recheck_remote", collections.recheck_remote, duration),
    setting!("aggregation.snapshots", collections.snapshots, count),
    setting!("aggregation.snapshots_for", collections.snapshots_for, duration),
    setting!("aggregation.first_look", collections.first_look, duration),
    setting!("aggregation.open_members", collections.open_members, number),
    setting!("thredds.content", thredds_content, path_if_set),
    setting!("title", title, text),
    setting!("public_url", public_url, url),
    setting!("allowed_hosts", allowed_hosts, texts),
    setting!("trusted_proxies", trusted_proxies, networks),
    setting!("user", access.users, users),
    setting!("token", access.tokens, tokens),
    setting!("rule", access.rules, rules),
    setting!("signing.keys", access.signing_keys, secrets),
    setting!("signing.key_files", access.signing_key_files, paths),
    setting!("oidc.issuer", access.oidc.issuer, text),
    setting!("oidc.audience", access.oidc.audience, text),
    setting!("oidc.keys", access.oidc.keys, text),
    setting!("oidc.algorithms", access.oidc.algorithms, texts),
    setting!("oidc.user_claim", access.oidc.user_claim, text),
    setting!("oidc.groups_claim", access.oidc.groups_claim, text),
    setting!("tls.certificate", tls.certificate, path_if_set),
    setting!("tls.key", tls.key, path_if_set),
    setting!("cors.origins", cors_origins, origins),
    setting!("references.allow", references_allow, texts),
    setting!("dap4.checksum", dap4_checksum, checksums),
    setting!("remote.anonymous", remote.every.anonymous, flag_if_set),
    setting!("remote.endpoint", remote.every.endpoint, text_if_set),
    setting!("remote.region", remote.every.region, text_if_set),
    setting!("remote.allow_http", remote.every.allow_http, flag_if_set),
    setting!("remote.connect_timeout", remote.connect_timeout, duration),
    setting!("remote.read_timeout", remote.read_timeout, duration),
    setting!("remote.total_timeout", remote.total_timeout, duration),
    setting!("remote.retries", remote.retries, small),
    setting!("remote.recheck", remote.recheck, duration),
    setting!("remote.metadata_cache", remote.metadata_cache, bytes),
    setting!("store", remote.stores, stores),
    setting!("log.format", log.format, log_format),
    setting!("log.level", log.level, text),
    setting!("metrics.listen", metrics_listen, address_or_same),
    setting!("limits.connections", limits.connections, count),
    setting!("limits.connections_per_address", limits.connections_per_address, count),
    setting!("limits.header_timeout", limits.header_timeout, duration),
    setting!("limits.idle_timeout", limits.idle_timeout, duration),
    setting!("limits.write_timeout", limits.write_timeout, duration),
    setting!("limits.slowest_client", limits.slowest_client, bytes),
    setting!("limits.metadata_timeout", limits.metadata_timeout, duration),
    setting!("limits.data_timeout", limits.data_timeout, duration),
    setting!("limits.uri", limits.uri, bytes),
    setting!("limits.response_binary", limits.response_binary, bytes),
    setting!("limits.response_text", limits.response_text, bytes),
    setting!("limits.data_responses", limits.data_responses, count),
    setting!("limits.queue_timeout", limits.queue_timeout, duration),
    setting!("limits.memory", limits.memory, bytes),
    setting!("limits.chunk_cache", limits.chunk_cache, bytes),
    setting!("limits.open_datasets", limits.open_datasets, number),
    setting!("limits.drain_timeout", limits.drain_timeout, duration),
    setting!("limits.drain_delay", limits.drain_delay, duration),
];
