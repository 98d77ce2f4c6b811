//! A URL of a server to the path and the query that the server sees.

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme and host, where they are given.
    pub(super) origin: Option<String>,
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl Address {
    /// Of `url`, which may leave out the host. `public_url` is where clients find the server: what it has of a path
    /// is a proxy's business.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str, public_url: Option<&str>) -> Result<Self, String> {
        // What clients do with what they ask for is behind the hash, and not sent.
        let url = url.split('#').next().unwrap_or_default();
        let (origin, target) = match url.split_once("://") {
            Some((scheme @ ("http" | "https" | "dap2" | "dap4"), rest)) => {
                let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                let scheme = if scheme == "https" { scheme } else { "http" };
                (Some(format!("{scheme}://{host}")), target)
            }
            Some((scheme, _)) => {
                return Err(format!("{scheme}:// is no URL of a server: http://host/path?query"));
            }
            None if url.starts_with('/') => (None, url),
            None => {
                return Err(format!("'{url}' is no URL of a server: http://host/path?query, or /path?query"));
            }
        };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let prefix = public_url.and_then(|public| public.split_once("://")).map_or("", |(_, rest)| {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default().trim_end_matches('/')
        });
        let path = match path.strip_prefix(prefix) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        // A signed link says who asks, not what for.
        let path = match path.strip_prefix("/~") {
            Some(link) => link.find('/').and_then(|at| link.get(at..)).unwrap_or_default(),
            None => path,
        };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { origin, path: path.to_owned(), query: query.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, public: Option<&str>, path: &str, query: Option<&str>| {
            let found = Address::parse(url, public).unwrap();
            assert_eq!((found.path.as_str(), found.query.as_deref()), (path, query), "{url}");
        };
        assert_eq!(Address::parse("https://h:1/a?b", None).unwrap().origin.as_deref(), Some("https://h:1"));
        check(
            "http://h:8080/opendap/a.nc.dap?dap4.ce=/v[0:1]",
            None,
            "/opendap/a.nc.dap",
            Some("dap4.ce=/v[0:1]"),
        );
        check("https://h/opendap/a.nc#dap4&mode=bytes", None, "/opendap/a.nc", None);
        check("/opendap/a.nc.dods?v?w", None, "/opendap/a.nc.dods", Some("v?w"));
        check("http://h/~token/opendap/a.nc.dap?x", None, "/opendap/a.nc.dap", Some("x"));
        check("http://h", None, "/", None);
        check("http://h?x", None, "/", Some("x"));
        let public = Some("https://d.example.org/thalweg/");
        check("https://d.example.org/thalweg/opendap/a.nc", public, "/opendap/a.nc", None);
        check("http://127.0.0.1:8080/opendap/a.nc", public, "/opendap/a.nc", None);
        check("https://d.example.org/thalwegs/a.nc", public, "/thalwegs/a.nc", None);
        assert!(Address::parse("ftp://h/a", None).is_err() && Address::parse("a.nc", None).is_err());
    }
}
