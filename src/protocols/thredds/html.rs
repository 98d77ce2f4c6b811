//! The catalog as a page.

use askama::Template;

use super::{View, text};
use crate::catalog::DatasetName;

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
#[template(path = "catalog.html")]
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

pub(super) fn write(view: &View<'_>) -> askama::Result<String> {
    let folder = &view.listing.folder;
    let own = view.folder_url(folder);
    let page_url = |page: usize| format!("{own}catalog.html?page={page}");
    let top_url = if view.top.is_empty() { "./".to_owned() } else { view.top.to_owned() };
    let mut crumbs = vec![Link { url: top_url, name: view.title.to_owned() }];
    let mut above = DatasetName::top();
    for component in folder.components() {
        above = above.join(component);
        crumbs.push(Link { url: view.folder_url(&above), name: component.to_owned() });
    }
    let folders = view
        .folders()
        .iter()
        .map(|name| Link { url: view.folder_url(&folder.join(name)), name: name.to_string() });
    let datasets = view.datasets().iter().map(|entry| {
        let path = folder.join(&entry.name).to_url();
        Row {
            url: format!("{}opendap/{path}.html", view.top),
            dataset_url: format!("{}/opendap/{path}", view.origin),
            file_url: entry.size.map(|_| format!("{}files/{path}", view.top)),
            name: entry.name.to_string(),
            size: entry.size.map(text::size).unwrap_or_default(),
            modified: text::iso(entry.modified),
        }
    });
    Page {
        title: view.title,
        heading: view.name(),
        top: view.top,
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
}
