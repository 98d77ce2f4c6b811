//! THREDDS catalogs: InvCatalog 1.0 XML for programs ([`xml()`]).
//!
//! Made from a [`Listing`] alone, so no file is opened; long folders are split into pages of
//! [`PAGE_LEN`] entries.

mod configured;
mod metadata;
mod scanned;
mod xml;

pub use self::configured::Site;
pub(crate) use self::configured::path_of;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    catalog::{
        Entry, Listing,
        tds::{Document, Node, Scan},
    },
    protocols::Reply,
};

/// Entries of one page.
pub const PAGE_LEN: usize = 1000;

/// What a catalog is made for.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the folder holds.
    pub listing: &'a Listing,
    /// The page, from 1.
    pub page: usize,
    /// Relative URL of the server's top from where the catalog is asked for: `../../`, or empty.
    pub top: &'a str,
    /// The server's top as clients see it: scheme, host and the prefix a proxy adds, without final slash.
    pub origin: &'a str,
    /// The server's title.
    pub title: &'a str,
}

impl<'a> View<'a> {
    /// Pages there are; an empty folder has one.
    pub fn page_count(&self) -> usize {
        self.entry_count().div_ceil(PAGE_LEN).max(1)
    }

    fn entry_count(&self) -> usize {
        self.listing.folders.len() + self.listing.datasets.len()
    }

    /// The folders of this page.
    fn folders(&self) -> &'a [std::sync::Arc<str>] {
        let len = self.listing.folders.len();
        let (start, end) = self.bounds();
        self.listing.folders.get(start.min(len)..end.min(len)).unwrap_or_default()
    }

    /// The datasets of this page: they follow the folders.
    fn datasets(&self) -> &'a [Entry] {
        let skip = self.listing.folders.len();
        let len = self.listing.datasets.len();
        let (start, end) = self.bounds();
        let inside = |at: usize| at.saturating_sub(skip).min(len);
        self.listing.datasets.get(inside(start)..inside(end)).unwrap_or_default()
    }

    fn bounds(&self) -> (usize, usize) {
        let start = self.page.saturating_sub(1).saturating_mul(PAGE_LEN);
        (start, start.saturating_add(PAGE_LEN))
    }

    fn name(&self) -> &'a str {
        if self.listing.folder.is_top() { self.title } else { self.listing.folder.file_name() }
    }

    /// Relative URL of a folder's catalog, without the file name.
    fn folder_url(&self, folder: &crate::catalog::DatasetName) -> String {
        if folder.is_top() {
            format!("{}catalog/", self.top)
        } else {
            format!("{}catalog/{}/", self.top, folder.to_url())
        }
    }
}

/// The catalog as InvCatalog 1.0 XML.
///
/// # Errors
/// `Internal` when writing fails, which it does not.
pub fn xml(view: &View<'_>) -> cdm::Result<Reply> {
    let text =
        xml::write(view).map_err(|e| cdm::Error::internal("writing the catalog failed").with_source(e))?;
    Ok(reply(view, "application/xml; charset=utf-8", "xml", text))
}

/// The catalog of a folder that a `datasetScan` lists, which is at `path` in it.
///
/// # Errors
/// As [`xml()`].
pub(crate) fn scanned(view: &View<'_>, scan: &Scan, path: &str) -> cdm::Result<Reply> {
    let text = scanned::write(view, scan, path)
        .map_err(|e| cdm::Error::internal("writing the catalog failed").with_source(e))?;
    Ok(reply(view, "application/xml; charset=utf-8", "xml", text))
}

/// A catalog of a content folder, and `more` that it does not have; of a dataset's ID, that one alone: `None`
/// when there is none.
///
/// # Errors
/// As [`xml()`].
pub(crate) fn configured(
    catalog: &Document,
    site: Site<'_>,
    more: &[Node],
    id: Option<&str>,
) -> cdm::Result<Option<Reply>> {
    let text = configured::write(catalog, site, more, id)
        .map_err(|e| cdm::Error::internal("writing the catalog failed").with_source(e))?;
    Ok(text.map(|text| plain("application/xml; charset=utf-8", text)))
}

/// The same, which is at `path`, as a page.
///
/// # Errors
/// As [`xml()`].
pub(crate) fn configured_page(
    catalog: &Document,
    path: &str,
    site: Site<'_>,
    more: &[Node],
) -> cdm::Result<Reply> {
    let text = configured::page(catalog, path, site, more)
        .map_err(|e| cdm::Error::internal("writing the page failed").with_source(e))?;
    Ok(plain("text/html; charset=utf-8", text))
}

fn plain(media_type: &'static str, text: String) -> Reply {
    // All of it is made already: it is its own identity.
    let identity = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))].into_iter().collect();
    let mut reply = Reply::text(StatusCode::OK, headers, text);
    reply.identity = Some(identity);
    reply
}

/// A catalog of the one dataset `entry` of the folder, which is shown as `name`.
///
/// # Errors
/// As [`xml()`].
pub fn one(view: &View<'_>, entry: &Entry, name: &str) -> cdm::Result<Reply> {
    let text = xml::write_one(view, entry, name)
        .map_err(|e| cdm::Error::internal("writing the catalog failed").with_source(e))?;
    let mut reply = reply(view, "application/xml; charset=utf-8", "xml", text);
    reply.identity = reply.identity.map(|identity| format!("{identity} {} {name}", entry.name));
    Ok(reply)
}

fn reply(view: &View<'_>, media_type: &'static str, form: &str, text: String) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let mut reply = Reply::text(StatusCode::OK, headers, text);
    reply.identity =
        Some(format!("catalog {form} {} {} {} {}", view.page, view.top, view.origin, view.title));
    reply
}

#[cfg(test)]
mod tests;
