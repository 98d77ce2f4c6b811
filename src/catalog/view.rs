//! The catalog as one caller sees it: what they may not read is not there.
//!
//! Requests reach the catalog in no other way (the server keeps it to itself), so a rule holds on every route. What is
//! hidden is refused before anything is looked at: it makes no difference to the caller whether it exists.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cdm::{Error, ErrorKind, Result, Source};
use handlers::{aggregation::Note, storage::Object};

use super::{
    Catalog, DatasetName, Listing, Status, Summaries,
    tds::{Document, Node, Scan},
};
use crate::access::{Caller, Rules};

/// See the module's documentation.
#[derive(Debug)]
pub struct View<'a> {
    catalog: &'a Catalog,
    /// `None`: all is everyone's.
    sight: Option<Sight<'a>>,
}

/// What somebody sees.
#[derive(Debug)]
struct Sight<'a> {
    rules: &'a Rules,
    caller: Caller,
    /// Something was found that not everybody would find, or is hidden from this caller.
    is_personal: AtomicBool,
}

impl Sight<'_> {
    fn note(&self, name: &str) {
        if matches!(self.caller, Caller::Linked(_)) || !self.rules.is_public(name) {
            self.is_personal.store(true, Ordering::Relaxed);
        }
    }

    fn may_read(&self, name: &str) -> bool {
        self.note(name);
        self.rules.may_read(&self.caller, name)
    }

    fn may_enter(&self, folder: &str) -> bool {
        self.note(folder);
        self.rules.may_enter(&self.caller, folder)
    }
}

impl<'a> View<'a> {
    /// All of `catalog`.
    pub fn all(catalog: &'a Catalog) -> Self {
        Self { catalog, sight: None }
    }

    /// What `rules` let `caller` see of `catalog`.
    pub fn of(catalog: &'a Catalog, rules: &'a Rules, caller: Caller) -> Self {
        Self { catalog, sight: Some(Sight { rules, caller, is_personal: AtomicBool::new(false) }) }
    }

    /// Whether somebody else may have been shown something else.
    pub fn is_personal(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.is_personal.load(Ordering::Relaxed))
    }

    /// Whether `name` may be read, whether there is such a dataset or not.
    pub fn may_read(&self, name: &DatasetName) -> bool {
        self.sight.as_ref().is_none_or(|sight| sight.may_read(name.as_str()))
    }

    fn may_enter(&self, folder: &DatasetName) -> bool {
        self.sight.as_ref().is_none_or(|sight| sight.may_enter(folder.as_str()))
    }

    /// As [`Catalog::stat`].
    ///
    /// # Errors
    /// As there; what is hidden is not found, in the same words as what there is not.
    pub async fn stat(&self, name: &DatasetName) -> Result<Status> {
        if !self.may_read(name) {
            return Err(no_dataset(name));
        }
        self.same(no_dataset, name, self.catalog.stat(name).await)
    }

    /// As [`Catalog::open`].
    ///
    /// # Errors
    /// As [`View::stat`], and there.
    pub async fn open(&self, name: &DatasetName) -> Result<Arc<dyn Source>> {
        if !self.may_read(name) {
            return Err(no_dataset(name));
        }
        self.same(no_dataset, name, self.catalog.open(name).await)
    }

    /// As [`Catalog::open_found`].
    ///
    /// # Errors
    /// As [`View::open`].
    pub async fn open_found(&self, name: &DatasetName, found: Status) -> Result<Arc<dyn Source>> {
        if !self.may_read(name) {
            return Err(no_dataset(name));
        }
        self.catalog.open_found(name, found).await
    }

    /// As [`Catalog::object`].
    ///
    /// # Errors
    /// As [`View::stat`].
    pub async fn object(&self, name: &DatasetName) -> Result<Object> {
        if !self.may_read(name) {
            return Err(no_dataset(name));
        }
        self.same(no_dataset, name, self.catalog.object(name).await)
    }

    /// As [`Catalog::notes`].
    ///
    /// # Errors
    /// As [`View::open`].
    pub async fn notes(&self, name: &DatasetName) -> Result<Arc<[Note]>> {
        if !self.may_read(name) {
            return Err(no_dataset(name));
        }
        self.catalog.notes(name).await
    }

    /// As [`Catalog::forget`].
    pub async fn forget(&self, name: &DatasetName) {
        if self.may_read(name) {
            self.catalog.forget(name).await;
        }
    }

    /// As [`Catalog::is_file`], which looks at names alone.
    pub(crate) fn is_file(&self, name: &DatasetName, found: &Status) -> bool {
        self.catalog.is_file(name, found)
    }

    /// As [`Catalog::list`], with what may be seen.
    ///
    /// # Errors
    /// As there; a folder in which nothing may be seen is not found.
    pub async fn list(&self, folder: &DatasetName) -> Result<Listing> {
        let mut listing = self.list_bare(folder).await?;
        self.attach(&mut listing);
        Ok(listing)
    }

    /// As [`View::list`], without what the datasets are about.
    ///
    /// # Errors
    /// As [`View::list`].
    pub(crate) async fn list_bare(&self, folder: &DatasetName) -> Result<Listing> {
        if !self.may_enter(folder) {
            return Err(no_folder(folder));
        }
        let mut listing = self.same(no_folder, folder, self.catalog.list_bare(folder).await)?;
        if self.sight.is_some() {
            listing.folders.retain(|name| self.may_enter(&folder.join(name)));
            listing.datasets.retain(|entry| self.may_read(&folder.join(&entry.name)));
        }
        Ok(listing)
    }

    /// Gives a listing of [`View::list_bare`] what its datasets are about.
    pub(crate) fn attach(&self, listing: &mut Listing) {
        let summaries = self.catalog.summaries();
        if self.sight.is_some() { summaries.attach_to_part(listing) } else { summaries.attach(listing) }
    }

    /// What is known of datasets.
    pub(crate) fn summaries(&self) -> &Summaries {
        self.catalog.summaries()
    }

    /// As [`Catalog::scan_of`].
    pub(crate) fn scan_of<'n>(&self, folder: &'n DatasetName) -> Option<(&'a Arc<Scan>, &'n str)> {
        self.may_enter(folder).then(|| self.catalog.scan_of(folder)).flatten()
    }

    /// Whether there are catalogs of a content folder.
    pub(crate) fn has_documents(&self) -> bool {
        !self.catalog.content().is_empty()
    }

    /// The catalog at `path` of the content folder, which may end in `.html`, with what of it may be seen.
    pub(crate) fn document(&self, path: &str) -> Option<(&'a str, Cow<'a, Document>)> {
        let (path, document) = self.catalog.content().document(path)?;
        let Some(sight) = &self.sight else { return Some((path, Cow::Borrowed(document))) };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !sight.may_enter(folder) {
            return None;
        }
        let content = document.content.iter().filter_map(|node| visible(node, sight)).collect();
        Some((path, Cow::Owned(Document { title: document.title.clone(), content })))
    }

    /// As [`Catalog::beside_content`].
    pub(crate) fn beside_content(&self) -> impl Iterator<Item = (&'a DatasetName, bool)> {
        let may_see = |name: &DatasetName, is_single| {
            if is_single { self.may_read(name) } else { self.may_enter(name) }
        };
        self.catalog.beside_content().filter(move |(name, is_single)| may_see(name, *is_single))
    }

    /// Where rules hide things, what there is not is said in one way.
    fn same<T>(&self, missing: fn(&DatasetName) -> Error, name: &DatasetName, found: Result<T>) -> Result<T> {
        match found {
            Err(e) if self.sight.is_some() && e.kind() == ErrorKind::NotFound => Err(missing(name)),
            found => found,
        }
    }
}

fn no_dataset(name: &DatasetName) -> Error {
    Error::not_found(format!("there is no dataset {name}"))
}

fn no_folder(name: &DatasetName) -> Error {
    Error::not_found(format!("there is no folder {name}"))
}

/// An element with what of it may be seen; `None` when that is nothing.
fn visible(node: &Node, sight: &Sight<'_>) -> Option<Node> {
    let is_dataset = |node: &Node| matches!(node.name.as_str(), "dataset" | "catalogRef");
    if let Some(path) = node.attribute("urlPath")
        && !sight.may_read(path.trim_matches('/'))
    {
        return None;
    }
    if node.name == "catalogRef"
        && let Some(folder) = node.attribute("xlink:href").and_then(folder_of)
        && !sight.may_enter(folder.as_str())
    {
        return None;
    }
    let children: Vec<Node> = node.children.iter().filter_map(|child| visible(child, sight)).collect();
    // What held hidden things alone says nothing either.
    let is_emptied = node.children.iter().any(is_dataset) && !children.iter().any(is_dataset);
    if is_emptied && is_dataset(node) && node.attribute("urlPath").is_none() {
        return None;
    }
    Some(Node { children, ..node.clone() })
}

/// The folder whose catalog is at this address of ours.
fn folder_of(address: &str) -> Option<DatasetName> {
    let path = address.strip_prefix("/thredds/catalog/").or_else(|| address.strip_prefix("/thredds/"))?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    DatasetName::from_url(path.rsplit_once('/').map_or("", |(folder, _)| folder)).ok()
}
