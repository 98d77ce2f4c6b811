//! Where references may lead: the one rule for all of them.
//!
//! A reference is text in a file that somebody else wrote. It is followed inside the store that its dataset
//! is in, and beyond it only to places that the operator listed (`references.allow`). This module turns the
//! text into a store and a path there, or refuses; opening what is there is `targets`' work.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use cdm::{Error, ErrorKind, Result};

use crate::storage::{Place, Store, join, percent_decoded};

/// Opens the store that a URL of the allow-list names.
pub type Opener = Arc<dyn Fn(&str) -> Result<Arc<dyn Store>> + Send + Sync>;

/// Places outside of a dataset's own store that references may lead to.
#[derive(Clone)]
pub struct AllowList {
    entries: Vec<Address>,
    opener: Option<Opener>,
    /// Stores opened so far, by the URL they were opened with.
    stores: Arc<Mutex<HashMap<String, Arc<dyn Store>>>>,
}

impl AllowList {
    /// References stay inside their dataset's own store.
    pub fn none() -> Self {
        Self { entries: Vec::new(), opener: None, stores: Arc::default() }
    }

    /// References may also lead to what is below one of `urls` (`s3://bucket/prefix`, `gs://`, `az://`,
    /// `https://host/path`, `http://`; `https://*.example.org` for every host of a domain), through
    /// `opener`.
    ///
    /// # Errors
    /// `BadRequest` for an entry that is not such a URL.
    pub fn new<S: AsRef<str>>(urls: &[S], opener: Opener) -> Result<Self> {
        let entry = |url: &S| {
            let url = url.as_ref();
            let wrong = |why: &str| Error::bad_request(format!("'{url}' cannot be allowed: {why}"));
            let address = Address::parse(url).map_err(|e| wrong(e.message()))?;
            address.ok_or_else(|| wrong("expected a URL such as s3://bucket/prefix or https://host/path"))
        };
        let entries = urls.iter().map(entry).collect::<Result<_>>()?;
        Ok(Self { entries, opener: Some(opener), stores: Arc::default() })
    }

    /// Where `reference`, found in the dataset at `place`, leads.
    ///
    /// # Errors
    /// `Forbidden` when it leads where references may not; `Unsupported` for a kind of URL that is not known;
    /// `Corrupt` when it is empty.
    pub(crate) async fn resolve(&self, place: &Place, reference: &str) -> Result<Target> {
        if reference.is_empty() || reference.chars().any(char::is_control) {
            return Err(Error::corrupt("a reference to nowhere"));
        }
        if let Some(path) = place.store.relative(reference) {
            return Target::inside(place, path);
        }
        if reference.starts_with('/') || local_path(reference).is_some() {
            return Err(forbidden(
                "a reference leads to a file outside of the served folder; only files beside the dataset, in \
                 the same served folder, are read",
            ));
        }
        match Address::parse(reference)? {
            None => Target::inside(place, place.beside(reference)?),
            Some(address) => self.remote(&address).await,
        }
    }

    async fn remote(&self, address: &Address) -> Result<Target> {
        let allowed = self.entries.iter().find(|entry| entry.covers(address));
        let (Some(entry), Some(opener)) = (allowed, &self.opener) else {
            return Err(forbidden(format!(
                "a reference leads to {}, which is not among references.allow in the server's settings",
                address.origin()
            )));
        };
        if entry.any_host() && address.is_web() {
            refuse_private(&address.host).await?;
        }
        // A store is opened where the allow-list says, and never shows what is above.
        let depth = entry.path.len().min(address.path.len().saturating_sub(1));
        let (root, path) = address.path.split_at_checked(depth).unwrap_or((&[], &address.path));
        let store = self.store(join(&address.origin(), &root.join("/")), opener)?;
        let path = address.keys(path)?.join("/");
        if path.is_empty() {
            return Err(Error::corrupt(format!("a reference to {} names no object", address.origin())));
        }
        let name = address.shown().into();
        Ok(Target { store, path, name })
    }
}

impl AllowList {
    /// The store at `url`, opened once.
    fn store(&self, url: String, opener: &Opener) -> Result<Arc<dyn Store>> {
        let lock = || self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = lock().get(&url) {
            return Ok(Arc::clone(store));
        }
        let store = opener(&url)?;
        let mut stores = lock();
        if stores.len() >= MOST_STORES {
            stores.clear();
        }
        Ok(Arc::clone(stores.entry(url).or_insert(store)))
    }
}

/// Stores that are kept open.
const MOST_STORES: usize = 256;

impl fmt::Debug for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(Address::shown)).finish()
    }
}

/// What a reference leads to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it is.
    pub(crate) store: Arc<dyn Store>,
    /// Its path there.
    pub(crate) path: String,
    /// For messages and exports: the name the catalog gives it, or its URL.
    pub(crate) name: Arc<str>,
}

impl Target {
    fn inside(place: &Place, path: String) -> Result<Self> {
        if path.split('/').any(|component| component.starts_with('.') || component.contains('\\')) {
            return Err(forbidden("a reference leads to a hidden file, which is not served"));
        }
        if path.is_empty() {
            return Err(Error::corrupt("a reference to a folder"));
        }
        // What comes before the path in the dataset's name comes before the target's too.
        let prefix = place.name.strip_suffix(&*place.path).unwrap_or("").trim_end_matches('/');
        let name = join(prefix, &path).into();
        Ok(Self { store: Arc::clone(&place.store), path, name })
    }
}

/// A URL of an object store, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    scheme: &'static str,
    host: String,
    path: Vec<String>,
}

/// Schemes by the names that they go by.
const SCHEMES: [(&str, &str); 11] = [
    ("s3", "s3"),
    ("s3a", "s3"),
    ("gs", "gs"),
    ("gcs", "gs"),
    ("az", "az"),
    ("azure", "az"),
    ("adl", "az"),
    ("abfs", "az"),
    ("abfss", "az"),
    ("https", "https"),
    ("http", "http"),
];

impl Address {
    /// `None` for text that is not a URL.
    fn parse(text: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let is_scheme = !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ':'));
        if !is_scheme {
            return Ok(None);
        }
        let lower = scheme.to_ascii_lowercase();
        let Some((_, scheme)) = SCHEMES.iter().find(|(name, _)| *name == lower) else {
            return Err(Error::unsupported(format!(
                "references to {scheme}:// are not supported; s3, gs, az, https and http are"
            )));
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty()
            || host.contains(['@', '%', '\\', '?', '#'])
            || host.chars().any(char::is_whitespace)
        {
            return Err(forbidden("a reference whose host or bucket cannot be right"));
        }
        if path.contains(['?', '#', '\\']) {
            return Err(Error::unsupported("references with a query are not supported"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let path: Vec<String> = path.split('/').filter(|_| !path.is_empty()).map(str::to_owned).collect();
        let dots = |component: &String| {
            let plain = component.to_ascii_lowercase().replace("%2e", ".");
            component.is_empty() || plain == "." || plain == ".."
        };
        if path.iter().any(dots) {
            return Err(forbidden("a reference with empty, . or .. components"));
        }
        let host =
            if matches!(*scheme, "http" | "https") { host.to_ascii_lowercase() } else { host.to_owned() };
        Ok(Some(Self { scheme, host, path }))
    }

    fn is_web(&self) -> bool {
        matches!(self.scheme, "http" | "https")
    }

    /// An entry for every host of a domain.
    fn any_host(&self) -> bool {
        self.host.starts_with("*.")
    }

    /// `other` is this, or below it.
    fn covers(&self, other: &Self) -> bool {
        let host = match self.host.strip_prefix('*') {
            // A whole label or more comes before the domain.
            Some(domain) if self.any_host() => {
                other.host.strip_suffix(domain).is_some_and(|sub| !sub.is_empty() && !sub.ends_with('.'))
            }
            _ => self.host == other.host,
        };
        host && self.scheme == other.scheme && other.path.starts_with(&self.path)
    }

    /// The components as the store knows them: URLs of the web encode what others write plainly.
    fn keys(&self, path: &[String]) -> Result<Vec<String>> {
        if !self.is_web() {
            return Ok(path.to_vec());
        }
        let key = |component: &String| {
            let plain = percent_decoded(component)?;
            let fits = !plain.contains(['/', '\\']) && !plain.chars().any(char::is_control) && plain != "..";
            fits.then_some(plain)
        };
        let keys: Option<Vec<String>> = path.iter().map(key).collect();
        keys.ok_or_else(|| forbidden("a reference with components that hide others"))
    }

    /// Without the path: what may be shown.
    fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    fn shown(&self) -> String {
        join(&self.origin(), &self.path.join("/"))
    }
}

/// The path in a URL for a local file.
fn local_path(reference: &str) -> Option<&str> {
    ["file://", "local://", "file:/"].iter().find_map(|scheme| reference.strip_prefix(scheme))
}

fn forbidden(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Forbidden, message)
}

/// Refuses a host that is, or whose name stands for, an address of this machine or a private network. Asked
/// for hosts that the allow-list does not name one by one.
async fn refuse_private(host: &str) -> Result<()> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let found = tokio::net::lookup_host((name.trim_matches(['[', ']']), 443)).await;
    let found = found.map_err(|e| Error::storage(format!("the host {name} was not found"), e))?;
    for address in found {
        if is_private(address.ip()) {
            return Err(forbidden(format!(
                "a reference leads to {name}, which is in a private network; references.allow must name such a \
                 host itself"
            )));
        }
    }
    Ok(())
}

/// Addresses of this machine, its link, or a private network.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => {
            let embedded = v6.to_ipv4_mapped().or_else(|| match v6.segments() {
                // NAT64 and 6to4 carry one too.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
                }
                _ => None,
            });
            embedded.is_some_and(is_private_v4)
                || v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6 == Ipv6Addr::UNSPECIFIED
        }
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_broadcast()
        || v4.is_multicast()
        || a == 0
        // Shared address space of carriers, 100.64.0.0/10.
        || (a == 100 && (64..128).contains(&b))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::storage::{Entry, FileStatus, LocalRoot, Object, Part};

    #[derive(Debug)]
    struct Named(String);

    #[async_trait::async_trait]
    impl Store for Named {
        async fn open(&self, _: &str, _: Part) -> Result<Option<(Object, Bytes)>> {
            Ok(None)
        }
        async fn stat(&self, _: &str) -> Result<Option<FileStatus>> {
            Ok(None)
        }
        async fn list(&self, _: &str) -> Result<Vec<Entry>> {
            Ok(Vec::new())
        }
        fn url(&self, path: &str) -> Option<String> {
            Some(join(&self.0, path))
        }
    }

    fn allow(urls: &[&str]) -> AllowList {
        AllowList::new(urls, Arc::new(|url: &str| Ok(Arc::new(Named(url.to_owned())) as Arc<dyn Store>)))
            .unwrap()
    }

    fn place(root: &std::path::Path) -> Place {
        let store = Arc::new(LocalRoot::open(root).unwrap());
        Place { store, path: "sub/refs.json".into(), name: "top/sub/refs.json".into() }
    }

    #[tokio::test]
    async fn references_stay_inside_unless_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::create_dir_all(folder.path().join("data-x")).unwrap();
        let place = place(&root);
        let absolute = root.canonicalize().unwrap().display().to_string();
        let list = allow(&["s3://bucket/pre/fix", "https://data.example.org", "https://*.example.net/a"]);
        let check = async |reference: &str| match list.resolve(&place, reference).await {
            Ok(target) => match target.store.url(&target.path) {
                Some(url) => url,
                None => format!("{} = {}", target.name, target.path),
            },
            Err(e) => {
                assert!(!e.message().contains(&absolute), "{e}");
                format!("{:?}", e.kind())
            }
        };
        for (reference, expect) in [
            ("a.nc", "top/sub/a.nc = sub/a.nc"),
            ("./a.nc", "top/sub/a.nc = sub/a.nc"),
            ("../a.nc", "top/a.nc = a.nc"),
            ("x/../a:b.nc", "top/sub/a:b.nc = sub/a:b.nc"),
            ("../../a.nc", "Forbidden"),
            ("../.secret/a.nc", "Forbidden"),
            ("", "Corrupt"),
            ("a\nb", "Corrupt"),
            ("/etc/passwd", "Forbidden"),
            ("file:///etc/passwd", "Forbidden"),
            ("file:/etc/passwd", "Forbidden"),
            ("s3://bucket/pre/fix/a.nc", "s3://bucket/pre/fix/a.nc"),
            ("s3a://bucket/pre/fix/a.nc", "s3://bucket/pre/fix/a.nc"),
            ("s3://bucket/pre/fix", "s3://bucket/pre/fix"),
            ("s3://bucket/pre/fixed/a.nc", "Forbidden"),
            ("s3://bucket/pre/fix/../other", "Forbidden"),
            ("s3://bucket/pre/fix/%2E%2e/other", "Forbidden"),
            ("s3://other/pre/fix/a.nc", "Forbidden"),
            ("s3://other@bucket/pre/fix/a.nc", "Forbidden"),
            ("gs://bucket/pre/fix/a.nc", "Forbidden"),
            ("https://DATA.example.org/x/a.nc", "https://data.example.org/x/a.nc"),
            ("https://data.example.org/a%20b%2Ec.nc", "https://data.example.org/a b.c.nc"),
            ("https://data.example.org/a%2f..%2fb.nc", "Forbidden"),
            ("https://data.example.org/a%zz", "Forbidden"),
            ("https://data.example.org:8443/a.nc", "Forbidden"),
            ("https://data.example.org/a.nc?x=1", "Unsupported"),
            ("https://data.example.org", "Corrupt"),
            ("http://data.example.org/a.nc", "Forbidden"),
            ("https://data.example.org.evil.net/a.nc", "Forbidden"),
            ("https://example.net/a/b", "Forbidden"),
            ("simplecache::s3://bucket/pre/fix/a.nc", "Unsupported"),
            ("memory://x", "Unsupported"),
        ] {
            assert_eq!(check(reference).await, expect, "{reference}");
        }
        assert_eq!(check(&format!("{absolute}/sub/b.nc")).await, "top/sub/b.nc = sub/b.nc");
        assert_eq!(check(&format!("file://{absolute}/b.nc")).await, "top/b.nc = b.nc");
        assert_eq!(check(&format!("{absolute}-x/b.nc")).await, "Forbidden");
        assert_eq!(check(&format!("{absolute}/../data-x/b.nc")).await, "Forbidden");
        assert_eq!(check(&absolute).await, "Corrupt");
        let error = AllowList::none().resolve(&place, "s3://bucket/pre/fix/a.nc").await.unwrap_err();
        assert_eq!(
            error.message(),
            "a reference leads to s3://bucket, which is not among references.allow in the server's settings"
        );
    }

    #[tokio::test]
    async fn hosts_of_a_domain_may_not_be_private() {
        // The name is resolved without a network.
        assert_eq!(refuse_private("127.0.0.1").await.unwrap_err().kind(), ErrorKind::Forbidden);
        assert_eq!(refuse_private("localhost:80").await.unwrap_err().kind(), ErrorKind::Forbidden);
        assert_eq!(refuse_private("[::1]:80").await.unwrap_err().kind(), ErrorKind::Forbidden);
        for private in [
            "10.1.2.3",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn entries_are_urls() {
        let opener: Opener = Arc::new(|_| Err(Error::internal("not asked")));
        for wrong in
            ["bucket", "/data", "file:///data", "ftp://x/y", "s3://", "https://u:p@host/x", "s3://b/../c"]
        {
            let error = AllowList::new(&[wrong], Arc::clone(&opener)).unwrap_err();
            assert!(error.message().starts_with(&format!("'{wrong}' cannot be allowed: ")), "{error}");
        }
    }
}
