//! The page of a folder.

use askama::Template;

use cdm::{Error, Result};

use super::{Site, View};
use crate::{catalog::DatasetName, protocols::text};

/// A link with the text it shows.
struct Link {
    url: String,
    name: String,
}

/// One line of the table.
struct Row {
    url: String,
    name: String,
    size: String,
    modified: String,
    /// `None` for a dataset that is not one file.
    file_url: Option<String>,
    dataset_url: String,
}

#[derive(Template)]
#[template(path = "folder.html")]
struct Page<'a> {
    title: &'a str,
    heading: &'a str,
    top: &'a str,
    crumbs: Vec<Link>,
    folders: Vec<Link>,
    datasets: Vec<Row>,
    xml_url: String,
    previous: Option<String>,
    next: Option<String>,
    number: usize,
    count: usize,
    version: &'static str,
}

pub(super) fn write(view: &View<'_>) -> Result<String> {
    let Site { top, origin, title } = view.site;
    let folder = &view.listing.folder;
    let own = folder_url(top, folder);
    let page_url = |page: usize| format!("{own}catalog.html?page={page}");
    let top_url = if top.is_empty() { "./".to_owned() } else { top.to_owned() };
    let mut crumbs = vec![Link { url: top_url, name: title.to_owned() }];
    let mut above = DatasetName::top();
    for component in folder.components() {
        above = above.join(component);
        crumbs.push(Link { url: folder_url(top, &above), name: component.to_owned() });
    }
    let folders = view
        .folders()
        .iter()
        .map(|name| Link { url: folder_url(top, &folder.join(name)), name: name.to_string() });
    let datasets = view.datasets().iter().map(|entry| {
        let path = folder.join(&entry.name).to_url();
        Row {
            url: format!("{top}opendap/{path}.html"),
            dataset_url: format!("{origin}/opendap/{path}"),
            file_url: entry.size.map(|_| format!("{top}files/{path}")),
            name: entry.name.to_string(),
            size: entry.size.map(text::size).unwrap_or_default(),
            modified: text::iso(entry.modified),
        }
    });
    Page {
        title,
        heading: if folder.is_top() { title } else { folder.file_name() },
        top,
        crumbs,
        folders: folders.collect(),
        datasets: datasets.collect(),
        xml_url: format!("{own}catalog.xml"),
        previous: (view.page > 1).then(|| page_url(view.page - 1)),
        next: (view.page < view.page_count()).then(|| page_url(view.page + 1)),
        number: view.page,
        count: view.page_count(),
        version: env!("CARGO_PKG_VERSION"),
    }
    .render()
    .map_err(|e| Error::internal("writing the page failed").with_source(e))
}

/// Relative URL of a folder's page, without the file name.
fn folder_url(top: &str, folder: &DatasetName) -> String {
    if folder.is_top() { format!("{top}catalog/") } else { format!("{top}catalog/{}/", folder.to_url()) }
}
