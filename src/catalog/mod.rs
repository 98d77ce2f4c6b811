//! Dataset names to Sources: roots, listings, and a cache of open Sources by object version.
//!
//! Nothing is opened or scanned when a [`Catalog`] is made; every request looks at the file's status
//! afresh, so a replaced file is served anew at once (promise R10). What a file holds is the business of
//! `handlers`; who may see it is decided in [`View`], through which requests come.

mod defined;
mod listing;
mod name;
mod root;
mod rules;
mod summaries;
pub mod tds;
mod tree;
mod view;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use cdm::{Error, ErrorKind, Result, Source, coordinates::summarise::summarise};
use handlers::{
    Registry,
    aggregation::{Collection, Note, Snapshot},
    chunked::{Counts, Engine, Rehearsal},
    ncml,
    registry::Found,
    storage::{KeptFiles, Object, Place, StoreCalls, Symlinks},
};
use moka::future::Cache;

pub use self::{
    defined::{Configured, Definition},
    listing::{DATA_FOLDER_SUFFIXES, DATA_SUFFIXES, Entry, Latest, Listing, is_data_file, is_data_folder},
    name::{DatasetName, encode_path, encode_segment},
    root::{Served, Status},
    summaries::Summaries,
    view::View,
};
use self::{
    defined::{Defined, Definitions},
    root::Root,
    tds::{Content, Scan},
    tree::Tree,
};

/// Sources that nobody asked for during this time are closed.
const IDLE: Duration = Duration::from_secs(300);

/// Everything that is served.
#[derive(Debug)]
pub struct Catalog {
    tree: Tree,
    definitions: Definitions,
    registry: Registry,
    open: Cache<Key, Arc<dyn Source>>,
    open_datasets: u64,
    started: Instant,
    summaries: Arc<Summaries>,
    content: Content,
}

/// A dataset in one version. What a folder holds may change without its mark: a Source that cannot tell
/// is good for one interval of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The place that it is in: another may take its name when the configuration changes.
    place: Arc<str>,
    name: DatasetName,
    version: Arc<str>,
    interval: u128,
}

impl Catalog {
    /// Serves local `paths`: the contents of one folder at the top, or each of several folders and datasets
    /// under its own name. At most `open_datasets` are held open.
    ///
    /// # Errors
    /// As [`Served::path`].
    pub fn new(paths: &[PathBuf], open_datasets: u64, registry: Registry) -> Result<Self> {
        let served = paths
            .iter()
            .map(|path| Served::path(path, &registry, &Symlinks::default()))
            .collect::<Result<_>>()?;
        Ok(Self::of(served, open_datasets, registry))
    }

    /// As [`Catalog::new`], of places of any kind.
    pub fn of(served: Vec<Served>, open_datasets: u64, registry: Registry) -> Self {
        let open = Cache::builder().max_capacity(open_datasets).time_to_idle(IDLE).build();
        Self {
            tree: Tree::new(served),
            definitions: Definitions::default(),
            registry,
            open,
            open_datasets,
            started: Instant::now(),
            summaries: Arc::default(),
            content: Content::default(),
        }
    }

    /// The same with what is open in the catalog `before` it, as far as it is the same here: places that are
    /// still served, read with the same engine.
    #[must_use]
    pub fn keeping(self, before: &Self) -> Self {
        let this = Self { summaries: Arc::clone(&before.summaries), ..self };
        if !this.registry.is_same(&before.registry) || this.open_datasets != before.open_datasets {
            return this;
        }
        // What is open in places that have gone closes when nobody has asked for it for a while.
        Self { open: before.open.clone(), started: before.started, ..this }
    }

    /// What reads data, within the limits that hold for all of them.
    pub(crate) fn reader(&self) -> Arc<Engine> {
        Arc::clone(self.registry.engine())
    }

    /// What the chunk engine has done and holds.
    pub fn engine(&self) -> Counts {
        self.registry.engine().counts()
    }

    /// Ends what is being read: each reader meets an error where it is.
    pub fn stop_reading(&self) {
        self.registry.engine().stop();
    }

    /// What has been asked of the object stores that places are in, each store once.
    pub fn store_calls(&self) -> Vec<StoreCalls> {
        let mut all: Vec<StoreCalls> = Vec::new();
        for root in self.tree.roots() {
            let Some(calls) = root.place("", &root.mount).store.calls() else { continue };
            match all.iter_mut().find(|known| known.store == calls.store) {
                Some(known) => {
                    known.requests += calls.requests;
                    known.failures += calls.failures;
                    known.is_open |= calls.is_open;
                }
                None => all.push(calls),
            }
        }
        all
    }

    /// From now on nothing is read of any dataset: what would be is counted.
    pub fn rehearse(&self) -> Arc<Rehearsal> {
        self.registry.engine().rehearse()
    }

    /// The name of a dataset's format; `None` for one that is made of others.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub async fn format(&self, name: &DatasetName) -> Result<Option<&'static str>> {
        if self.definitions.get(name).is_some() {
            return Ok(None);
        }
        let place = self.place(name)?;
        if let Some(found) = self.registry.find(&place).await? {
            return Ok(Some(found.format.name()));
        }
        Ok(self.registry.mark_of(&place).await?.map(|(format, _)| format.name()))
    }

    /// Adds what the configuration defines.
    ///
    /// # Errors
    /// `BadRequest` for a dataset that is made of what is not served.
    pub fn define(&mut self, dataset: Configured) -> Result<()> {
        self.definitions.add(dataset, &self.tree)
    }

    /// The same with those of `datasets` that are made of what is served here.
    #[must_use]
    pub fn with_datasets(mut self, datasets: &[Configured]) -> Self {
        for dataset in datasets {
            // Another part of the data is looked at.
            let _ = self.define(dataset.clone());
        }
        self
    }

    /// Whether something in the served places has this name: on local disk, where looking costs nothing.
    pub async fn is_taken(&self, name: &DatasetName) -> bool {
        let Some((root, path)) = self.tree.root_of(name) else { return false };
        !root.place(path, name).store.is_remote()
            && (root.stat(path, name, &self.registry).await.is_ok()
                || self.tree.list(name, &self.registry).await.is_ok())
    }

    /// The same with the catalogs of a THREDDS content folder, whose places are among those that are served.
    #[must_use]
    pub fn with_content(self, content: Content) -> Self {
        let tree = self.tree.without(content.restricted.clone());
        let mut made = Self { tree, content, ..self };
        for defined in std::mem::take(&mut made.content.defined) {
            let (name, definition) =
                (defined.name.clone(), Definition::Made(Box::new(defined.definition.clone())));
            if let Err(e) = made.define(Configured { name, definition }) {
                made.content.problems.push(defined.refused(&e));
            }
        }
        made
    }

    /// What a content folder says, if one is served.
    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// How a folder is shown that a catalog has scanned, and the path in what is scanned.
    pub(crate) fn scan_of<'n>(&self, folder: &'n DatasetName) -> Option<(&Arc<Scan>, &'n str)> {
        let (root, path) = self.tree.root_of(folder)?;
        Some((root.scan.as_ref()?, path))
    }

    /// What a content folder has that is not served, or not as it says.
    pub fn content_problems(&self) -> &[tds::Problem] {
        &self.content.problems
    }

    /// Where what no content folder names is: a folder, or a single dataset.
    pub(crate) fn beside_content(&self) -> impl Iterator<Item = (&DatasetName, bool)> {
        self.tree.roots().iter().filter(|r| !r.has_rules()).map(|r| (&r.mount, r.is_single()))
    }

    /// What a dataset is now, unopened.
    ///
    /// # Errors
    /// `NotFound` when there is no such data file and no such folder of data.
    pub async fn stat(&self, name: &DatasetName) -> Result<Status> {
        match self.definitions.get(name) {
            Some(Defined::Made { place, .. }) => return Ok(Status::defined(name.as_str(), &place.store)),
            Some(Defined::Document(place)) => return Box::pin(defined::status(place)).await,
            None => {}
        }
        let found = self.stat_stored(name).await;
        match (found, defined::versioned(name)) {
            (Err(e), Some((base, version))) if e.kind() == ErrorKind::NotFound => {
                // Whether the version is still kept is said when it is opened.
                match Box::pin(self.collection(&base)).await {
                    Ok(Some(_)) => Ok(Status::defined(version, &self.place(&base)?.store)),
                    _ => Err(e),
                }
            }
            (found, _) => found,
        }
    }

    async fn stat_stored(&self, name: &DatasetName) -> Result<Status> {
        let (root, path) = self.root_of(name)?;
        root.stat(path, name, &self.registry).await
    }

    /// Where a dataset is, for what its formats need beside it.
    ///
    /// # Errors
    /// `NotFound` when it is in no served place.
    pub fn place(&self, name: &DatasetName) -> Result<Place> {
        if let Some(Defined::Made { place, .. } | Defined::Document(place)) = self.definitions.get(name) {
            return Ok(place.clone());
        }
        let (root, path) = self.root_of(name)?;
        Ok(root.place(path, name))
    }

    /// The dataset, opened unless it is already open as it is now.
    ///
    /// # Errors
    /// As [`Catalog::stat`], and what the format says of it.
    pub async fn open(&self, name: &DatasetName) -> Result<Arc<dyn Source>> {
        self.open_found(name, self.stat(name).await?).await
    }

    /// As [`Catalog::open`], of what [`Catalog::stat`] found just now: the same Source as long as nothing changed.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub async fn open_found(&self, name: &DatasetName, found: Status) -> Result<Arc<dyn Source>> {
        let is_file = self.is_file(name, &found);
        if is_file && let Some(source) = self.open.get(&self.key(name, &found)).await {
            return Ok(source);
        }
        // Boxed, so that what most requests do stays small.
        Box::pin(self.open_anew(name, found, is_file)).await
    }

    /// Whether a dataset may be made of others, so that these have to be looked at first.
    pub(crate) fn may_be_made(&self, name: &DatasetName) -> bool {
        self.definitions.get(name).is_some()
            || defined::is_document(name.as_str())
            || defined::versioned(name).is_some()
    }

    /// Whether a dataset is a file and made of nothing else, as no document is.
    pub(crate) fn is_file(&self, name: &DatasetName, found: &Status) -> bool {
        found.size.is_some() && self.definitions.get(name).is_none() && !defined::is_document(name.as_str())
    }

    async fn open_anew(&self, name: &DatasetName, found: Status, is_file: bool) -> Result<Arc<dyn Source>> {
        if !is_file && let Some(snapshot) = self.snapshot(name).await? {
            self.summaries.opened(name, &snapshot.source);
            return Ok(Arc::clone(&snapshot.source));
        }
        let (mut status, mut retried) = (found, false);
        loop {
            let opened = self.open.try_get_with(self.key(name, &status), self.open_now(name, &status)).await;
            match opened {
                Ok(source) => {
                    self.summaries.opened(name, &source);
                    return Ok(source);
                }
                Err(e) if e.kind() == ErrorKind::Changed && !retried => retried = true,
                Err(e) => return Err(e.shared()),
            }
            status = self.stat(name).await?;
        }
    }

    /// What a user should know of the aggregation that `name` is, as it is now; `None` when it is none.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub async fn snapshot(&self, name: &DatasetName) -> Result<Option<Arc<Snapshot>>> {
        if let Some(collection) = self.collection(name).await? {
            return collection.current().await.map(Some);
        }
        let Some((base, version)) = defined::versioned(name) else { return Ok(None) };
        match self.stat_stored(name).await {
            // A file whose name has an @ in it.
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let Some(collection) = self.collection(&base).await? else { return Ok(None) };
        if let Some(snapshot) = collection.version(version) {
            return Ok(Some(snapshot));
        }
        let current = collection.current().await?;
        Err(Error::not_found(format!(
            "version {version} of {base} is not kept (any more); the current one is {base}@{}",
            current.version
        )))
    }

    /// The aggregation that `name` is, if it is one.
    async fn collection(&self, name: &DatasetName) -> Result<Option<Arc<Collection>>> {
        let (place, version) = match self.definitions.get(name) {
            Some(Defined::Made { .. }) => return self.definitions.made(name, &self.registry).await,
            Some(Defined::Document(place)) => (place.clone(), defined::status(place).await?.version),
            None if defined::is_document(name.as_str()) => match self.stat_stored(name).await {
                Ok(Status { size: Some(_), version, .. }) => (self.place(name)?, version),
                Ok(_) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            },
            None => return Ok(None),
        };
        self.definitions.document(name, &place, &version, &self.registry).await
    }

    /// What a user should know of a dataset: what an aggregation leaves out or converts. Empty for most.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub async fn notes(&self, name: &DatasetName) -> Result<Arc<[Note]>> {
        let snapshot = self.snapshot(name).await?;
        Ok(snapshot.map_or_else(|| Arc::from([]), |s| Arc::clone(&s.notes)))
    }

    /// Drops the open Source of a dataset that turned out to have changed.
    pub async fn forget(&self, name: &DatasetName) {
        if let Ok(Some(collection)) = self.collection(name).await {
            // What it meets is met again when it is opened, and said then.
            let _ = collection.refreshed().await;
            return;
        }
        if let Ok(status) = self.stat(name).await {
            self.open.invalidate(&self.key(name, &status)).await;
        }
    }

    /// The stored file itself.
    ///
    /// # Errors
    /// As [`Catalog::stat`]; `NotFound` for a folder.
    pub async fn object(&self, name: &DatasetName) -> Result<Object> {
        let (root, path) = self.root_of(name)?;
        root.object(path, name).await
    }

    /// What a folder holds.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder.
    pub async fn list(&self, folder: &DatasetName) -> Result<Listing> {
        let mut listing = self.list_bare(folder).await?;
        self.summaries.attach(&mut listing);
        Ok(listing)
    }

    /// As [`Catalog::list`], without what the datasets are about.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub(crate) async fn list_bare(&self, folder: &DatasetName) -> Result<Listing> {
        self.definitions.listed(folder, self.tree.list(folder, &self.registry).await)
    }

    /// The same with summaries that outlive the process, in a file for these places among `files`; blocks.
    #[must_use]
    pub fn with_kept_summaries(self, files: KeptFiles) -> Self {
        let places = self.tree.roots().iter().map(|root| format!("{} {}", root.mount, root.identity));
        let places = places.collect::<Vec<_>>().join("\n");
        Self { summaries: Arc::new(Summaries::kept(files, &places)), ..self }
    }

    /// What is known of datasets that were listed or opened.
    pub fn summaries(&self) -> &Arc<Summaries> {
        &self.summaries
    }

    /// Summarises a dataset that [`Summaries::next`] asks for. What cannot be read is remembered as such, as long
    /// as it stays as it is; where storage fails, nothing is.
    pub async fn summarise(&self, name: &DatasetName) {
        // In object stores each look costs requests, which nobody asked for.
        if self.place(name).is_ok_and(|place| place.store.is_remote()) {
            return;
        }
        let Ok(mut status) = self.stat(name).await else {
            self.summaries.forget(name);
            return;
        };
        let Ok(snapshot) = self.snapshot(name).await else { return };
        if let Some(snapshot) = &snapshot {
            status.version.identity = Arc::clone(&snapshot.version);
        }
        if let Some(defined) = self.definitions.get(name) {
            // As listings show it.
            status.version.modified = defined.newest().map(|snapshot| snapshot.made);
        }
        if self.summaries.is_settled(name, &status) {
            return;
        }
        let source = match (snapshot, self.open.get(&self.key(name, &status)).await) {
            (Some(snapshot), _) => Ok(Arc::clone(&snapshot.source)),
            (None, Some(source)) => Ok(source),
            // Not among those that requests hold open.
            (None, None) => self.open_now(name, &status).await,
        };
        let summary = match &source {
            Ok(source) => summarise(source).await,
            Err(e) => Err(e.shared()),
        };
        match (summary, source) {
            (Ok(summary), Ok(source)) => self.summaries.learn(name, &status, source.version(), Some(summary)),
            (Err(e), _) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                tracing::debug!(dataset = %name, error = %e, "no summary");
                self.summaries.learn(name, &status, None, None);
            }
            (Err(e), _) => tracing::debug!(dataset = %name, error = %e, "no summary for now"),
            (Ok(_), Err(_)) => {}
        }
    }

    /// Whether every root can be looked at.
    pub async fn is_ready(&self) -> bool {
        for root in self.tree.roots() {
            if !root.is_readable().await {
                return false;
            }
        }
        true
    }

    /// The one dataset, when it is all there is.
    pub fn single(&self) -> Option<DatasetName> {
        self.tree.single().cloned()
    }

    /// The roots as the user named them, for messages.
    pub fn describe(&self) -> Vec<String> {
        self.tree.roots().iter().map(ToString::to_string).collect()
    }

    async fn open_now(&self, name: &DatasetName, status: &Status) -> Result<Arc<dyn Source>> {
        let place = self.place(name)?;
        let is_document = matches!(self.definitions.get(name), Some(Defined::Document(_)));
        let found = if status.size.is_some() || is_document {
            self.registry.find(&place).await?
        } else {
            // No object has a folder's name: asking for one would cost a request.
            let mark = self.registry.mark_of(&place).await?;
            mark.map(|(format, _)| Found { format, object: None })
        };
        let found = found.ok_or_else(|| Error::not_found(format!("there is no dataset {name}")))?;
        if found.object.as_ref().is_some_and(|o| o.version.identity != status.version.identity) {
            return Err(Error::new(ErrorKind::Changed, format!("{name} changed while it was opened")));
        }
        let source = found.open(&place, &self.registry).await?;
        // A scan of a THREDDS catalog may say how each of its datasets is changed.
        let scan = self.root_of(name).ok().and_then(|(root, _)| root.scan.as_ref());
        match scan.and_then(|scan| scan.edits.as_ref()).filter(|_| !is_document) {
            Some(edits) => ncml::apply(source, edits),
            None => Ok(source),
        }
    }

    fn key(&self, name: &DatasetName, status: &Status) -> Key {
        let interval = match status.size {
            // What a definition leads to may be another while the document is the same.
            Some(_) if !defined::is_document(name.as_str()) => 0,
            _ => self.started.elapsed().as_millis() / status.recheck.as_millis().max(1),
        };
        let place = self.root_of(name).map_or_else(|_| "".into(), |(root, _)| Arc::clone(&root.identity));
        Key { place, name: name.clone(), version: Arc::clone(&status.version.identity), interval }
    }

    fn root_of<'a, 'n>(&'a self, name: &'n DatasetName) -> Result<(&'a Root, &'n str)> {
        self.tree.root_of(name).ok_or_else(|| Error::not_found(format!("there is no dataset {name}")))
    }
}

#[cfg(test)]
mod tests;
