//! Pages for people: folders ([`folder()`]) and datasets ([`dataset()`]). Plain HTML that works without
//! scripts; askama escapes everything that is put in.
//!
//! What the protocols say of a dataset is their own business; a page links to it and shows how to read it.

mod dataset;
mod folder;

#[cfg(test)]
mod tests;

use cdm::{Dataset, Result};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Reply, Request};
use crate::catalog::{Entry, Listing};

/// Entries of one page of a folder.
pub const PAGE_LEN: usize = 1000;

/// Which suffix of a dataset's URL asks for its page.
pub const SUFFIXES: [&str; 3] = [".dmr.html", ".dsr.html", ".html"];

/// What the server knows besides what a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Relative URL of the server's top from where the page is asked for: `../../`, or empty.
    pub top: &'a str,
    /// The server's top as clients see it: scheme, host and the prefix a proxy adds, without final slash.
    pub origin: &'a str,
    /// The server's title.
    pub title: &'a str,
}

/// What a folder's page is made for.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the folder holds.
    pub listing: &'a Listing,
    /// The page, from 1.
    pub page: usize,
    /// The server.
    pub site: Site<'a>,
}

impl<'a> View<'a> {
    /// Pages there are; an empty folder has one.
    pub fn page_count(&self) -> usize {
        (self.listing.folders.len() + self.listing.datasets.len()).div_ceil(PAGE_LEN).max(1)
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
}

/// The page of a folder.
///
/// # Errors
/// `Internal` when the template fails, which it has no reason to.
pub fn folder(view: &View<'_>) -> Result<Reply> {
    let Site { top, origin, title } = view.site;
    Ok(html(folder::write(view)?, format!("folder {} {top} {origin} {title}", view.page)))
}

/// How the protocols write what a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Spelling<'a> {
    /// A full name in a DAP4 constraint in a URL.
    pub dap4_path: fn(&str) -> String,
    /// The URL of some data, not much.
    pub example: Option<&'a str>,
}

/// The page of the dataset that `request` is about.
///
/// # Errors
/// `Internal` when the template fails, which it has no reason to.
pub fn dataset(
    request: &Request<'_>,
    dataset: &Dataset,
    site: Site<'_>,
    spelling: Spelling<'_>,
) -> Result<Reply> {
    let text = dataset::page(dataset, request.base_url, site, spelling)?;
    Ok(html(text, format!("dataset {} {}", request.base_url, site.top)))
}

fn html(text: String, identity: String) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Reply { identity: Some(identity), ..Reply::text(StatusCode::OK, headers, text) }
}
