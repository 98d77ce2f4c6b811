//! What a request is called in metrics and in the log: one of a few names, and the dataset that its path names.
//!
//! Both follow from the path alone, so that they cost next to nothing and no client can make up new ones.

use crate::protocols::{dap2, dap4, zarr};

/// What kind of answer a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Values over DAP4.
    Dap4Data,
    /// The rest of DAP4: descriptions, services, pages of datasets.
    Dap4,
    /// Values over DAP2.
    Dap2Data,
    /// The rest of DAP2.
    Dap2,
    Zarr,
    /// Lists of chunks: DMR++, kerchunk.
    References,
    Ncml,
    /// Stored files.
    File,
    /// Folders, in whatever form.
    Catalog,
    /// `/-/live`, `/-/ready`, `/-/metrics`.
    Probe,
    /// Everything else.
    Other,
}

/// All labels, in the order of their numbers.
pub(super) const LABELS: [&str; 11] = [
    "dap4_data",
    "dap4",
    "dap2_data",
    "dap2",
    "zarr",
    "references",
    "ncml",
    "file",
    "catalog",
    "probe",
    "other",
];

impl Label {
    pub(super) fn name(self) -> &'static str {
        LABELS.get(self as usize).copied().unwrap_or("other")
    }

    /// The label of a path, and what of the path names the dataset or folder.
    pub(super) fn of(path: &str) -> (Self, Option<&str>) {
        // The token of a signed link is nobody's business.
        let path = match path.strip_prefix("/~") {
            Some(link) => link.find('/').and_then(|at| link.get(at..)).unwrap_or_default(),
            None => path,
        };
        let below = |mount: &str| path.strip_prefix(mount)?.strip_prefix('/');
        if let Some(rest) = below("/-") {
            let probe = matches!(rest, "live" | "ready" | "metrics");
            return (if probe { Self::Probe } else { Self::Other }, None);
        }
        if let Some(rest) =
            ["/opendap", "/dodsC", "/dap4", "/thredds/dodsC", "/thredds/dap4"].iter().find_map(|m| below(m))
        {
            return Self::of_dataset(rest);
        }
        if let Some(rest) = below("/zarr") {
            return (Self::Zarr, Some(rest));
        }
        if let Some(rest) = below("/files").or_else(|| below("/thredds/fileServer")) {
            return (Self::File, Some(rest));
        }
        if let Some(rest) = below("/thredds/ncml") {
            return (Self::Ncml, Some(rest));
        }
        let is_catalog = matches!(path, "/" | "/catalog" | "/opendap" | "/index.html")
            || ["/catalog", "/thredds"].iter().any(|mount| below(mount).is_some())
            || ["/catalog.xml", "/catalog.html", "/catalog.json"].contains(&path);
        if is_catalog {
            return (Self::Catalog, None);
        }
        (Self::Other, None)
    }

    fn of_dataset(rest: &str) -> (Self, Option<&str>) {
        let file = rest.rsplit('/').next().unwrap_or_default();
        if matches!(file, "" | "catalog.xml" | "catalog.json" | "catalog.html" | "contents.html") {
            return (Self::Catalog, Some(rest));
        }
        let ends = |suffix: &str| rest.strip_suffix(suffix).filter(|name| !name.is_empty());
        for (suffix, response) in zarr::SUFFIXES {
            if let (Some(name), zarr::Response::References) = (ends(suffix), response) {
                return (Self::References, Some(name));
            }
        }
        for (suffix, response) in dap4::SUFFIXES {
            let Some(name) = ends(suffix) else { continue };
            let label = match response {
                dap4::Response::Dap => Self::Dap4Data,
                dap4::Response::Dmrpp => Self::References,
                _ => Self::Dap4,
            };
            return (label, Some(name));
        }
        for (suffix, response) in dap2::SUFFIXES {
            let Some(name) = ends(suffix) else { continue };
            let is_data = matches!(response, dap2::Response::Dods | dap2::Response::Ascii);
            return (if is_data { Self::Dap2Data } else { Self::Dap2 }, Some(name));
        }
        if let Some(name) = ends(".ncml") {
            return (Self::Ncml, Some(name));
        }
        for suffix in [".html", ".json"] {
            if let Some(name) = ends(suffix) {
                return (Self::Dap4, Some(name));
            }
        }
        (Self::Dap4, Some(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (path, name, dataset) in [
            ("/", "catalog", None),
            ("/catalog/a/catalog.xml", "catalog", None),
            ("/thredds/catalog.xml", "catalog", None),
            ("/opendap/a/", "catalog", Some("a/")),
            ("/opendap/a/x.nc", "dap4", Some("a/x.nc")),
            ("/opendap/a/x.nc.dap", "dap4_data", Some("a/x.nc")),
            ("/dap4/x.nc.dmr.xml", "dap4", Some("x.nc")),
            ("/thredds/dodsC/x.nc.dods", "dap2_data", Some("x.nc")),
            ("/dodsC/x.nc.das", "dap2", Some("x.nc")),
            ("/opendap/x.nc.dmrpp", "references", Some("x.nc")),
            ("/opendap/x.nc.kerchunk.json", "references", Some("x.nc")),
            ("/opendap/x.nc.html", "dap4", Some("x.nc")),
            ("/opendap/x.nc.ncml", "ncml", Some("x.nc")),
            ("/thredds/ncml/x.nc", "ncml", Some("x.nc")),
            ("/zarr/x.nc/v/0.0", "zarr", Some("x.nc/v/0.0")),
            ("/files/x.nc", "file", Some("x.nc")),
            ("/-/ready", "probe", None),
            ("/-/style.css", "other", None),
            ("/robots.txt", "other", None),
            ("/anything/that/is/asked", "other", None),
            ("/~token/opendap/x.nc.dods", "dap2_data", Some("x.nc")),
            ("/~token", "other", None),
        ] {
            let (label, of) = Label::of(path);
            assert_eq!((label.name(), of), (name, dataset), "{path}");
        }
        assert_eq!(Label::Other as usize + 1, LABELS.len());
    }
}
