//! URL path to [`Route`]: one pure function, one table. It knows no file: where a path may name a dataset
//! in several ways (`x.nc.dmr` may be a file, or the DMR of `x.nc`), the route carries the candidates in
//! order and the catalog decides.

use cdm::{Error, Result};
use http::Method;

use crate::{
    catalog::DatasetName,
    protocols::{dap2, dap4, ncml, pages, zarr},
};

/// Paths under which datasets are served, with the catalog's name for each.
const DATASET_MOUNTS: [&str; 5] = ["/opendap", "/thredds/dodsC", "/thredds/dap4", "/dodsC", "/dap4"];

/// Paths under which catalogs are served.
const CATALOG_MOUNTS: [&str; 2] = ["/catalog", "/thredds/catalog"];

/// Paths under which the stored files are served.
const FILE_MOUNTS: [&str; 2] = ["/files", "/thredds/fileServer"];

/// The path under which datasets are Zarr stores.
const ZARR_MOUNT: &str = "/zarr";

/// The path under which datasets are described in NcML, and where those datasets are.
const NCML_MOUNT: (&str, &str) = ("/thredds/ncml", "/thredds/dodsC");

/// Paths with one fixed meaning.
const FIXED: [(&str, Fixed); 8] = [
    ("/-/live", Fixed::Live),
    ("/-/ready", Fixed::Ready),
    ("/-/metrics", Fixed::Metrics),
    ("/-/style.css", Fixed::Style),
    ("/-/page.js", Fixed::Script),
    ("/robots.txt", Fixed::Robots),
    ("/sitemap.xml", Fixed::Sitemap),
    ("/favicon.ico", Fixed::Favicon),
];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A response about a dataset; else (a path without a known suffix) the listing of a folder.
    Dataset {
        /// The mount the client used, to build URLs that stay under it.
        mount: &'static str,
        /// What the path may mean, in the order to try: the first whose dataset exists is meant.
        candidates: Vec<Candidate>,
    },
    /// A folder's listing.
    Catalog {
        /// The folder; the root's name is empty.
        folder: DatasetName,
        /// XML for programs, HTML for people.
        format: CatalogFormat,
    },
    /// The stored file itself.
    File {
        /// The dataset.
        dataset: DatasetName,
    },
    /// One of the few pages that do not depend on data.
    Fixed(Fixed),
}

/// One meaning of a dataset URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The dataset.
    pub dataset: DatasetName,
    /// What is asked of it.
    pub response: Response,
    /// The suffix that said so; empty for the bare dataset URL.
    pub suffix: &'static str,
}

/// A front end with its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// DAP4.
    Dap4(dap4::Response),
    /// DAP2.
    Dap2(dap2::Response),
    /// The description in NcML.
    Ncml,
    /// Zarr.
    Zarr(zarr::Response),
    /// The page for people, or the same as JSON.
    Page(pages::Form),
}

/// The form of a folder's listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CatalogFormat {
    /// THREDDS InvCatalog 1.0.
    Xml,
    /// A page.
    Html,
    /// THREDDS InvCatalog 1.0 of the newest dataset alone: `latest.xml`.
    Latest,
    /// The same as JSON.
    Json,
}

/// Pages that do not depend on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// The process answers.
    Live,
    /// The server can serve.
    Ready,
    /// What the server counts.
    Metrics,
    /// The pages' style sheet.
    Style,
    /// The pages' script: what a form comes to, while it is filled in.
    Script,
    /// `robots.txt`.
    Robots,
    /// `sitemap.xml`.
    Sitemap,
    /// The icon of the pages.
    Favicon,
}

/// The route of a raw (still percent-encoded) `path`.
///
/// # Errors
/// `BadRequest` for a path that no dataset may have (promise R14), `NotFound` outside of every mount.
/// The method is checked by the caller ([`is_allowed`]), so that 405 and 404 stay apart.
pub fn route(path: &str) -> Result<Route> {
    if let Some((_, fixed)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
        return Ok(Route::Fixed(*fixed));
    }
    for mount in FILE_MOUNTS {
        let Some(rest) = below(mount, path) else { continue };
        return match rest {
            "" => catalog(""),
            folder if folder.ends_with('/') => catalog(folder),
            file => Ok(Route::File { dataset: DatasetName::from_url(file)? }),
        };
    }
    if let Some(rest) = below(ZARR_MOUNT, path) {
        return zarr_key(rest);
    }
    if let Some(rest) = below(NCML_MOUNT.0, path) {
        return described(rest);
    }
    for mount in CATALOG_MOUNTS {
        if let Some(rest) = below(mount, path) {
            return catalog(rest);
        }
    }
    for mount in DATASET_MOUNTS {
        if let Some(rest) = below(mount, path) {
            return dataset(mount, rest);
        }
    }
    match path.strip_prefix('/') {
        Some("" | "index.html" | "catalog.html" | "catalog.json" | "catalog.xml") => {
            catalog(path.trim_start_matches('/'))
        }
        Some("thredds/catalog.xml") => catalog("catalog.xml"),
        Some("opendap" | "catalog" | "thredds" | "thredds/" | "thredds/catalog.html") => catalog(""),
        // Catalogs of a content folder are there, too.
        Some(rest) if rest.strip_prefix("thredds/").is_some_and(is_catalog) => {
            catalog(rest.trim_start_matches("thredds/"))
        }
        _ => {
            DatasetName::from_url(path.trim_start_matches('/'))?;
            Err(Error::not_found("there is nothing at this address; datasets are listed at /"))
        }
    }
}

/// Whether a path may be that of a catalog of its own name.
fn is_catalog(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| matches!(end, "xml" | "html"))
}

/// Whether the server knows the method at all.
pub(super) fn is_allowed(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn below<'a>(mount: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(mount)?.strip_prefix('/')
}

fn catalog(rest: &str) -> Result<Route> {
    let (folder, format) = match rest.rsplit_once('/').unwrap_or(("", rest)) {
        (folder, "catalog.xml") => (folder, CatalogFormat::Xml),
        (folder, "latest.xml") => (folder, CatalogFormat::Latest),
        (folder, "catalog.json") => (folder, CatalogFormat::Json),
        (folder, "catalog.html" | "index.html" | "") => (folder, CatalogFormat::Html),
        _ => (rest, CatalogFormat::Html),
    };
    Ok(Route::Catalog { folder: DatasetName::from_url(folder)?, format })
}

fn dataset(mount: &'static str, rest: &str) -> Result<Route> {
    let (folder, file) = rest.rsplit_once('/').unwrap_or(("", rest));
    if matches!(file, "" | "catalog.xml" | "catalog.json" | "catalog.html" | "contents.html") {
        let format = match file {
            "catalog.xml" => CatalogFormat::Xml,
            "catalog.json" => CatalogFormat::Json,
            _ => CatalogFormat::Html,
        };
        return Ok(Route::Catalog { folder: DatasetName::from_url(folder)?, format });
    }
    let whole = DatasetName::from_url(rest)?;
    let bare = Candidate { dataset: whole.clone(), response: BARE, suffix: "" };
    let dap4 = dap4::SUFFIXES.iter().map(|&(suffix, r)| (suffix, Response::Dap4(r)));
    let dap2 = dap2::SUFFIXES.iter().map(|&(suffix, r)| (suffix, Response::Dap2(r)));
    let ncml = std::iter::once((ncml::SUFFIX, Response::Ncml));
    let zarr = zarr::SUFFIXES.iter().map(|(suffix, r)| (*suffix, Response::Zarr(r.clone())));
    let pages = pages::SUFFIXES.iter().map(|&(suffix, form)| (suffix, Response::Page(form)));
    let mut candidates: Vec<Candidate> = dap4
        .chain(pages)
        .chain(dap2)
        .chain(ncml)
        .chain(zarr)
        .filter_map(|(suffix, response)| {
            let dataset = whole.without_suffix(suffix)?;
            Some(Candidate { dataset, response, suffix })
        })
        .collect();
    // Longest dataset name first, that is shortest suffix first (protocol 1.1: the longest dataset wins).
    candidates.sort_by_key(|c| c.suffix.len());
    candidates.insert(0, bare);
    Ok(Route::Dataset { mount, candidates })
}

/// The dataset of this name, described in NcML.
fn described(rest: &str) -> Result<Route> {
    if rest.is_empty() || rest.ends_with('/') {
        return catalog(rest);
    }
    let candidate = Candidate { dataset: DatasetName::from_url(rest)?, response: Response::Ncml, suffix: "" };
    Ok(Route::Dataset { mount: NCML_MOUNT.1, candidates: vec![candidate] })
}

/// A dataset and a key in it: the shortest path that is a dataset's counts, since what is inside of one is
/// not in the catalog.
fn zarr_key(rest: &str) -> Result<Route> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let ends = rest.match_indices('/').map(|(at, _)| at).chain(std::iter::once(rest.len()));
    let mut candidates = Vec::new();
    for end in ends.take(MOST_FOLDERS) {
        let (dataset, key) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match DatasetName::from_url(dataset) {
            Ok(dataset) if !dataset.is_top() => candidates.push(Candidate {
                dataset,
                response: Response::Zarr(zarr::Response::Key(key.trim_start_matches('/').into())),
                suffix: "/",
            }),
            Ok(_) => {}
            // Keys may have names that no dataset may have.
            Err(_) if !candidates.is_empty() => break,
            Err(e) => return Err(e),
        }
    }
    if candidates.is_empty() {
        return catalog(rest);
    }
    Ok(Route::Dataset { mount: ZARR_MOUNT, candidates })
}

/// Folders a dataset may be in, to be found as a Zarr store.
const MOST_FOLDERS: usize = 64;

/// What a bare dataset URL asks for: the list of its services (DAP4 web services, DSR).
const BARE: Response = Response::Dap4(dap4::Response::Dsr);

/// Every address that the tables above lead from to the dataset `name`, or to the folder it is in: what must hold on all
/// routes is tested on these.
pub fn addresses(name: &DatasetName) -> Vec<String> {
    let url = name.to_url();
    let folder = name.parent().unwrap_or_else(DatasetName::top);
    let below = if folder.is_top() { String::new() } else { format!("{}/", folder.to_url()) };
    let suffixes = || {
        let dap4 = dap4::SUFFIXES.iter().map(|(suffix, _)| *suffix);
        let dap2 = dap2::SUFFIXES.iter().map(|(suffix, _)| *suffix);
        let zarr = zarr::SUFFIXES.iter().map(|(suffix, _)| *suffix);
        let pages = pages::SUFFIXES.iter().map(|(suffix, _)| *suffix);
        ["", ncml::SUFFIX].into_iter().chain(dap4).chain(dap2).chain(zarr).chain(pages)
    };
    let mut all = Vec::new();
    for mount in DATASET_MOUNTS {
        all.extend(suffixes().map(|suffix| format!("{mount}/{url}{suffix}")));
        let files = ["", "catalog.xml", "catalog.json", "catalog.html", "contents.html"];
        all.extend(files.map(|file| format!("{mount}/{below}{file}")));
    }
    for mount in FILE_MOUNTS {
        all.extend([format!("{mount}/{url}"), format!("{mount}/{below}")]);
    }
    all.extend(["", "/", "/zarr.json", "/.zmetadata"].map(|key| format!("{ZARR_MOUNT}/{url}{key}")));
    all.push(format!("{}/{url}", NCML_MOUNT.0));
    for mount in CATALOG_MOUNTS {
        let files = ["", "catalog.xml", "catalog.html", "catalog.json", "latest.xml", "index.html"];
        all.extend(files.map(|file| format!("{mount}/{below}{file}")));
        all.extend(["catalog.xml", "catalog.html"].map(|file| format!("{mount}/{file}?dataset={url}")));
        all.push(format!("{mount}/{url}"));
    }
    let tops = ["/", "/index.html", "/catalog.html", "/catalog.json", "/catalog.xml", "/opendap", "/catalog"];
    let thredds = ["/thredds", "/thredds/", "/thredds/catalog.xml", "/thredds/catalog.html"];
    all.extend(tops.into_iter().chain(thredds).map(str::to_owned));
    all.extend(FIXED.map(|(path, _)| path.to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(path: &str) -> String {
        match route(path) {
            Ok(Route::Dataset { mount, candidates }) => {
                let all: Vec<_> = candidates.iter().map(|c| format!("{}+{}", c.dataset, c.suffix)).collect();
                format!("{mount}: {}", all.join(" | "))
            }
            Ok(Route::Catalog { folder, format }) => format!("{format:?} of '{folder}'"),
            Ok(Route::File { dataset }) => format!("file {dataset}"),
            Ok(Route::Fixed(fixed)) => format!("{fixed:?}"),
            Err(e) => format!("{:?}", e.kind()),
        }
    }

    #[test]
    fn the_table() {
        for (path, expect) in [
            ("/", "Html of ''"),
            ("/catalog.xml", "Xml of ''"),
            ("/catalog.html", "Html of ''"),
            ("/catalog/", "Html of ''"),
            ("/catalog/catalog.xml", "Xml of ''"),
            ("/catalog/a/b%20c/catalog.xml", "Xml of 'a/b c'"),
            ("/catalog/a/catalog.html", "Html of 'a'"),
            ("/catalog/a/", "Html of 'a'"),
            ("/catalog/a", "Html of 'a'"),
            ("/thredds/catalog.xml", "Xml of ''"),
            ("/thredds/catalog/a/catalog.xml", "Xml of 'a'"),
            ("/thredds/catalog/a/catalog.html", "Html of 'a'"),
            ("/opendap/", "Html of ''"),
            ("/opendap/a/catalog.xml", "Xml of 'a'"),
            ("/opendap/a/", "Html of 'a'"),
            ("/opendap/x.nc", "/opendap: x.nc+"),
            ("/opendap/x.nc.dmr", "/opendap: x.nc.dmr+ | x.nc+.dmr"),
            ("/opendap/x.nc.dmr.xml", "/opendap: x.nc.dmr.xml+ | x.nc.dmr+.xml | x.nc+.dmr.xml"),
            ("/opendap/a/x.nc.dds", "/opendap: a/x.nc.dds+ | a/x.nc+.dds"),
            ("/dodsC/x.nc.das", "/dodsC: x.nc.das+ | x.nc+.das"),
            ("/dap4/x.nc.dap", "/dap4: x.nc.dap+ | x.nc+.dap"),
            ("/thredds/dodsC/x.nc.dods", "/thredds/dodsC: x.nc.dods+ | x.nc+.dods"),
            ("/thredds/dap4/x.nc.dap", "/thredds/dap4: x.nc.dap+ | x.nc+.dap"),
            ("/opendap/.dmr", "NotFound"),
            ("/zarr/a/x.nc/v/0.1", "/zarr: a+/ | a/x.nc+/ | a/x.nc/v+/ | a/x.nc/v/0.1+/"),
            ("/zarr/x.nc/v/.zarray", "/zarr: x.nc+/ | x.nc/v+/"),
            ("/zarr/x.nc/", "/zarr: x.nc+/"),
            ("/zarr/", "Html of ''"),
            ("/zarr/../x.nc/zarr.json", "BadRequest"),
            (
                "/opendap/x.nc.kerchunk.json",
                "/opendap: x.nc.kerchunk.json+ | x.nc.kerchunk+.json | x.nc+.kerchunk.json",
            ),
            ("/opendap/a/x.nc.ncml", "/opendap: a/x.nc.ncml+ | a/x.nc+.ncml"),
            ("/thredds/dodsC/x.ncml", "/thredds/dodsC: x.ncml+ | x+.ncml"),
            ("/thredds/ncml/a/x.nc", "/thredds/dodsC: a/x.nc+"),
            ("/thredds/ncml/a/", "Html of 'a'"),
            ("/thredds/ncml/../x.nc", "BadRequest"),
            ("/opendap/x.nc.dmrpp", "/opendap: x.nc.dmrpp+ | x.nc+.dmrpp"),
            ("/files/a/x.nc", "file a/x.nc"),
            ("/files/x%5b1%5D.nc", "file x[1].nc"),
            ("/files/", "Html of ''"),
            ("/thredds/fileServer/a/x.nc", "file a/x.nc"),
            ("/thredds/catalog/a/latest.xml", "Latest of 'a'"),
            ("/files/a/", "Html of 'a'"),
            ("/-/live", "Live"),
            ("/-/ready", "Ready"),
            ("/-/metrics", "Metrics"),
            ("/-/style.css", "Style"),
            ("/robots.txt", "Robots"),
            ("/sitemap.xml", "Sitemap"),
            ("/-/page.js", "Script"),
            ("/catalog.json", "Json of ''"),
            ("/catalog/a/catalog.json", "Json of 'a'"),
            ("/thredds/catalog/a/catalog.json", "Json of 'a'"),
            ("/opendap/a/catalog.json", "Json of 'a'"),
            ("/favicon.ico", "Favicon"),
            ("/nothing", "NotFound"),
            ("/opendapx/x.nc", "NotFound"),
            ("/opendap/../x.nc", "BadRequest"),
            ("/opendap/%2e%2e/x.nc", "BadRequest"),
            ("/opendap/a%5Cb.nc", "BadRequest"),
            ("/opendap/a%00.nc", "BadRequest"),
            ("/opendap/a%0a.nc", "BadRequest"),
            ("/opendap/%FF.nc", "BadRequest"),
            ("/opendap/%zz.nc", "BadRequest"),
            ("/../etc/passwd", "BadRequest"),
            ("/catalog/../catalog.xml", "BadRequest"),
            ("/files/..%2fx.nc", "BadRequest"),
        ] {
            assert_eq!(describe(path), expect, "{path}");
        }
    }

    #[test]
    fn methods() {
        assert!(is_allowed(&Method::HEAD) && !is_allowed(&Method::POST) && !is_allowed(&Method::TRACE));
    }
}
