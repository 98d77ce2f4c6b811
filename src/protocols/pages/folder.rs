//! The page of a folder: searched, sorted, cut into pages of [`PAGE_LEN`]; and the same as JSON.
//!
//! Made from a [`Listing`] alone: no file is opened.

use std::{cmp::Ordering, sync::Arc};

use askama::Template;
use cdm::{Error, Result, coordinates::summary::Summary};
use serde_json::{Value as Json, json};

use super::{
    Site, coverage, jsonld,
    query::{Fields, encoded},
};
use crate::{
    catalog::{DatasetName, Entry, Listing},
    protocols::text,
};

/// Entries of one page of a folder.
pub const PAGE_LEN: usize = 1000;

/// What orders the datasets of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    #[default]
    Name,
    Size,
    Time,
}

/// What of a folder is to be shown, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// Words that must all be in a name, a title or a variable's names, in small letters.
    words: Vec<String>,
    /// The words as they were asked for.
    search: String,
    sort: Sort,
    descending: bool,
    page: usize,
}

impl Asked {
    /// # Errors
    /// `BadRequest` for an order that there is not.
    pub(super) fn parse(query: Option<&str>) -> Result<Self> {
        let fields = Fields::parse(query)?;
        let search = fields.get("q").unwrap_or_default().to_owned();
        let sort = match fields.get("sort") {
            None | Some("name") => Sort::Name,
            Some("size") => Sort::Size,
            Some("time") => Sort::Time,
            Some(_) => return Err(Error::bad_request("sort is none of name, size, time")),
        };
        let descending = match fields.get("order") {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Error::bad_request("order is neither asc nor desc")),
        };
        let words = search.split_whitespace().map(str::to_lowercase).collect();
        Ok(Self { words, search, sort, descending, page: fields.number("page")? })
    }

    fn query(&self, sort: Sort, descending: bool, page: usize) -> String {
        let page = page.to_string();
        let mut pairs = Vec::new();
        if !self.search.is_empty() {
            pairs.push(("q", self.search.as_str()));
        }
        if (sort, descending) != (Sort::Name, false) {
            pairs.push(("sort", sort.name()));
            pairs.push(("order", if descending { "desc" } else { "asc" }));
        }
        if page != "1" {
            pairs.push(("page", &page));
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", encoded(pairs)) }
    }

    /// Determines, with the listing, what is shown.
    pub(super) fn identity(&self) -> String {
        format!("{:?}", (&self.search, self.sort, self.descending, self.page))
    }
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Time => "time",
        }
    }
}

/// What of a folder is shown: folders before datasets.
pub(super) struct Selected<'a> {
    folders: Vec<&'a Arc<str>>,
    datasets: Vec<&'a Entry>,
    /// Entries that fit the search, on all pages.
    count: usize,
    pages: usize,
}

impl<'a> Selected<'a> {
    /// # Errors
    /// `NotFound` for a page behind the last.
    pub(super) fn of(listing: &'a Listing, asked: &Asked) -> Result<Self> {
        let fits = |text: &str| asked.words.iter().all(|word| text.to_lowercase().contains(word));
        let mut folders: Vec<_> = listing.folders.iter().filter(|name| fits(name)).collect();
        let mut datasets: Vec<_> = listing
            .datasets
            .iter()
            .filter(|entry| asked.words.is_empty() || fits(&searched(entry)))
            .collect();
        let by = |a: &&Entry, b: &&Entry| -> Ordering {
            match asked.sort {
                Sort::Name => a.name.cmp(&b.name),
                Sort::Size => a.size.cmp(&b.size),
                Sort::Time => a.modified.cmp(&b.modified),
            }
        };
        // The listing is sorted by name, which stays the order of equals.
        if asked.sort != Sort::Name {
            datasets.sort_by(by);
        }
        if asked.descending {
            datasets.reverse();
            if asked.sort == Sort::Name {
                folders.reverse();
            }
        }
        let count = folders.len() + datasets.len();
        let pages = count.div_ceil(PAGE_LEN).max(1);
        if asked.page > pages {
            return Err(Error::not_found(match pages {
                1 => "there is one page".to_owned(),
                _ => format!("there are {pages} pages"),
            }));
        }
        let skip = (asked.page - 1) * PAGE_LEN;
        let folder_count = folders.len();
        let shown_folders: Vec<_> = folders.into_iter().skip(skip).take(PAGE_LEN).collect();
        let rest = PAGE_LEN - shown_folders.len();
        let shown_datasets = datasets.into_iter().skip(skip.saturating_sub(folder_count)).take(rest);
        Ok(Self { datasets: shown_datasets.collect(), folders: shown_folders, count, pages })
    }
}

/// Everything of an entry that a search looks at.
fn searched(entry: &Entry) -> String {
    let mut all = entry.name.to_string();
    if let Some(summary) = summary_of(entry) {
        let texts = summary.texts.iter().filter(|(key, _)| key == "title").map(|(_, text)| text.as_str());
        let variables = summary.variables.iter().flat_map(|v| {
            [Some(&v.name), v.long_name.as_ref(), v.standard_name.as_ref()].into_iter().flatten()
        });
        for text in texts.chain(variables.map(String::as_str)) {
            all.push('\n');
            all.push_str(text);
        }
    }
    all
}

/// What is known of a dataset without opening it.
fn summary_of(entry: &Entry) -> Option<&Summary> {
    entry.summary.as_deref()
}

/// A link with the text it shows.
struct Link {
    url: String,
    name: String,
}

/// The head of a column by which the datasets can be sorted.
struct Column {
    name: &'static str,
    url: String,
    /// `aria-sort`: `ascending`, `descending`, or empty.
    sorted: &'static str,
}

/// One line of the table.
struct Row {
    url: String,
    name: String,
    title: String,
    period: String,
    size: String,
    modified: String,
    /// `None` for a dataset that is not one file.
    file_url: Option<String>,
}

#[derive(Template)]
#[template(path = "folder.html")]
struct Page<'a> {
    title: &'a str,
    heading: &'a str,
    top: &'a str,
    own: &'a str,
    crumbs: Vec<Link>,
    search: &'a str,
    sort: &'static str,
    order: &'static str,
    columns: Vec<Column>,
    folders: Vec<Link>,
    datasets: Vec<Row>,
    has_periods: bool,
    /// How many there are of what, in words.
    count: String,
    previous: Option<String>,
    next: Option<String>,
    number: usize,
    pages: usize,
    jsonld: Option<String>,
    version: &'static str,
}

/// The page.
///
/// # Errors
/// `Internal` when the template fails, which it has no reason to.
pub(super) fn html(listing: &Listing, asked: &Asked, site: Site<'_>) -> Result<String> {
    let selected = Selected::of(listing, asked)?;
    let folder = &listing.folder;
    let own = folder_url(site.top, folder);
    let page_url = |page| format!("{own}{}", asked.query(asked.sort, asked.descending, page));
    let top_url = if site.top.is_empty() { "./".to_owned() } else { site.top.to_owned() };
    let mut crumbs = vec![Link { url: top_url, name: site.title.to_owned() }];
    let mut above = DatasetName::top();
    for component in folder.components() {
        above = above.join(component);
        crumbs.push(Link { url: folder_url(site.top, &above), name: component.to_owned() });
    }
    let folders = selected
        .folders
        .iter()
        .map(|name| Link { url: folder_url(site.top, &folder.join(name)), name: name.to_string() });
    let datasets: Vec<_> = selected.datasets.iter().map(|entry| row(folder, entry, site.top)).collect();
    let columns =
        [("Name", Sort::Name), ("Size", Sort::Size), ("Modified", Sort::Time)].map(|(name, sort)| {
            let is_this = asked.sort == sort;
            Column {
                name,
                url: format!("{own}{}", asked.query(sort, is_this && !asked.descending, 1)),
                sorted: match (is_this, asked.descending) {
                    (false, _) => "",
                    (true, false) => "ascending",
                    (true, true) => "descending",
                },
            }
        });
    Page {
        title: site.title,
        heading: if folder.is_top() { site.title } else { folder.file_name() },
        top: site.top,
        crumbs,
        search: &asked.search,
        sort: asked.sort.name(),
        order: if asked.descending { "desc" } else { "asc" },
        columns: columns.into(),
        folders: folders.collect(),
        has_periods: datasets.iter().any(|row| !row.period.is_empty()),
        datasets,
        count: counted(selected.count, asked),
        previous: (asked.page > 1).then(|| page_url(asked.page - 1)),
        next: (asked.page < selected.pages).then(|| page_url(asked.page + 1)),
        number: asked.page,
        pages: selected.pages,
        jsonld: (folder.is_top() && asked.page == 1).then(|| jsonld::catalog(site)),
        version: env!("CARGO_PKG_VERSION"),
        own: &own,
    }
    .render()
    .map_err(|e| Error::internal("writing the page failed").with_source(e))
}

fn counted(count: usize, asked: &Asked) -> String {
    let what = if count == 1 { "entry" } else { "entries" };
    if asked.words.is_empty() {
        return format!("{count} {what}");
    }
    format!("{count} {what} found for \u{201c}{}\u{201d}", asked.search)
}

fn row(folder: &DatasetName, entry: &Entry, top: &str) -> Row {
    let path = folder.join(&entry.name).to_url();
    let summary = summary_of(entry);
    Row {
        url: format!("{top}opendap/{path}.html"),
        file_url: entry.size.map(|_| format!("{top}files/{path}")),
        name: entry.name.to_string(),
        title: summary.and_then(|s| coverage::text(s, "title")).unwrap_or_default().to_owned(),
        period: summary.map(coverage::period).unwrap_or_default(),
        size: entry.size.map(text::size).unwrap_or_default(),
        modified: text::iso(entry.modified),
    }
}

/// The page as JSON; documented in `docs/browsing.md`.
///
/// # Errors
/// `NotFound` for a page behind the last.
pub(super) fn json(listing: &Listing, asked: &Asked, site: Site<'_>) -> Result<Json> {
    let selected = Selected::of(listing, asked)?;
    let folder = &listing.folder;
    let origin = site.origin;
    let own = folder_url(&format!("{origin}/"), folder);
    let page_url = |page| format!("{own}catalog.json{}", asked.query(asked.sort, asked.descending, page));
    let folders = selected.folders.iter().map(|name| {
        let url = folder_url(&format!("{origin}/"), &folder.join(name));
        json!({ "name": name.to_string(), "url": url, "json": format!("{url}catalog.json"), "catalog": format!("{url}catalog.xml") })
    });
    let datasets = selected.datasets.iter().map(|entry| {
        let path = folder.join(&entry.name).to_url();
        json!({
            "name": entry.name.to_string(),
            "url": format!("{origin}/opendap/{path}"),
            "page": format!("{origin}/opendap/{path}.html"),
            "json": format!("{origin}/opendap/{path}.json"),
            "file": entry.size.map(|_| format!("{origin}/files/{path}")),
            "size": entry.size,
            "modified": Some(text::iso(entry.modified)).filter(|t| !t.is_empty()),
            "summary": summary_of(entry).map(coverage::json),
        })
    });
    Ok(json!({
        "type": "folder",
        "name": folder.as_str(),
        "title": if folder.is_top() { site.title } else { folder.file_name() },
        "url": own,
        "catalog": format!("{own}catalog.xml"),
        "search": asked.search,
        "sort": asked.sort.name(),
        "order": if asked.descending { "desc" } else { "asc" },
        "page": asked.page,
        "pages": selected.pages,
        "count": selected.count,
        "next": (asked.page < selected.pages).then(|| page_url(asked.page + 1)),
        "previous": (asked.page > 1).then(|| page_url(asked.page - 1)),
        "folders": folders.collect::<Vec<_>>(),
        "datasets": datasets.collect::<Vec<_>>(),
    }))
}

/// Relative URL of a folder's page, without the file name.
fn folder_url(top: &str, folder: &DatasetName) -> String {
    if folder.is_top() { format!("{top}catalog/") } else { format!("{top}catalog/{}/", folder.to_url()) }
}
