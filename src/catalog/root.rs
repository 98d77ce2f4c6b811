//! The places that are served: what of each is visible, and what is there at this moment.

use std::{
    fmt,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use cdm::{Error, ErrorKind, Result, Version};
use handlers::{
    Registry,
    storage::{self, EntryKind, FileStatus, LocalRoot, Object, Part, Place, RemoteOptions, Store, Symlinks},
};

use super::{DatasetName, Entry, Listing, is_data_file, is_data_folder, rules::Rules, tds::Scan};

/// Places opened so far, to tell them apart.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A place to serve: a folder or a single dataset of a store.
#[derive(Debug, Clone)]
pub struct Served {
    store: Arc<dyn Store>,
    /// What is the same place when it is opened again; no other one has it.
    identity: Arc<str>,
    /// The one dataset of the store that is visible; `None`: everything in it.
    single: Option<Arc<str>>,
    /// The path it was given.
    mount: Option<DatasetName>,
    /// Which of its files are served; `None`: all that look like data.
    rules: Option<Arc<Rules>>,
    /// How a catalog says that it is shown.
    scan: Option<Arc<Scan>>,
    /// What it is called among others without one.
    base: String,
    /// As the user named it.
    shown: String,
}

impl Served {
    /// What `name` is: the URL of an object store or a local path, out of which links lead where `links` says.
    ///
    /// # Errors
    /// As [`Served::url`] and [`Served::path`].
    pub fn named(name: &Path, registry: &Registry, remote: &RemoteOptions, links: &Symlinks) -> Result<Self> {
        match name.to_str().filter(|text| storage::is_store_url(text)) {
            Some(url) => Self::url(url, false, remote),
            None => Self::path(name, registry, links),
        }
    }

    /// A prefix of an object store, or one dataset there: by its name, or because `is_single` says so. Makes
    /// no request; must be called within a tokio runtime.
    ///
    /// # Errors
    /// `BadRequest` when the URL, or what is set for it, cannot be used.
    pub fn url(url: &str, is_single: bool, remote: &RemoteOptions) -> Result<Self> {
        let shown = storage::shown_url(url);
        let (above, last) = url.trim_end_matches('/').rsplit_once('/').unwrap_or((url, ""));
        // The host alone is a store, not a name in one.
        let in_store = above.split_once("://").is_some_and(|(_, rest)| !rest.is_empty());
        let base = shown.rsplit('/').next().unwrap_or("data").to_owned();
        if in_store && (is_single || is_data_file(&base) || is_data_folder(&base)) {
            let base = DatasetName::from_url(last)?.as_str().to_owned();
            return Self::store(storage::remote_root(above, remote)?, base, true, shown);
        }
        if is_single {
            return Err(Error::bad_request(format!("{shown} names no dataset")));
        }
        Self::store(storage::remote_root(url, remote)?, base, false, shown)
    }

    /// A local folder, file, or folder that is one dataset, out of which links lead where `links` says.
    ///
    /// # Errors
    /// `NotFound` or `Forbidden` when it cannot be used, `BadRequest` for a file whose name no URL may have.
    pub fn path(path: &Path, registry: &Registry, links: &Symlinks) -> Result<Self> {
        let whole = path
            .canonicalize()
            .map_err(|e| Error::not_found(format!("cannot serve {}: {e}", path.display())).with_source(e))?;
        let base = whole.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned());
        let is_single = whole.is_file() || registry.folder_marks().any(|mark| whole.join(mark).is_file());
        let directory = if is_single { whole.parent().unwrap_or(Path::new("/")) } else { &whole };
        let store = Arc::new(LocalRoot::open(directory)?.following(links.clone()));
        let served = Self::store(store, base, is_single, path.display().to_string())?;
        // The folder itself: another one may be at the same path when it is opened again. What was opened by way of
        // links is not served when they may not be followed any more.
        let folder = directory.metadata().map(|m| format!("{}:{}{}", m.dev(), m.ino(), links.identity()));
        Ok(Self { identity: folder.map_or(served.identity, Arc::from), ..served })
    }

    /// Everything in `store`, or its dataset `base` alone; `shown` is for messages.
    ///
    /// # Errors
    /// `BadRequest` for a single dataset whose name no URL may have.
    pub fn store(store: Arc<dyn Store>, base: String, is_single: bool, shown: String) -> Result<Self> {
        let visible = DatasetName::new(&base).is_ok_and(|n| n.as_str() == base && !n.is_top());
        if is_single && !visible {
            let message = format!("cannot serve {shown}: its name is not one a URL may have");
            return Err(Error::bad_request(message));
        }
        let single = is_single.then(|| Arc::from(base.as_str()));
        let base = if visible { base } else { "data".to_owned() };
        let identity = format!("#{}", COUNT.fetch_add(1, Ordering::Relaxed)).into();
        Ok(Self { store, identity, single, mount: None, rules: None, scan: None, base, shown })
    }

    /// The same under a path of its own, which may have several components: a folder's contents are below it,
    /// a single dataset has it as its name. The top is no path of a single dataset: that keeps its name.
    #[must_use]
    pub fn at(self, path: DatasetName) -> Self {
        let is_nameless = path.is_top() && self.single.is_some();
        Self { mount: (!is_nameless).then_some(path), ..self }
    }

    /// The same of which `rules` say what is served, and `scan` how it is shown.
    #[must_use]
    pub(super) fn by_rules(self, rules: Rules, scan: Option<Arc<Scan>>) -> Self {
        // What is open with other edits is not what is served now.
        let edits = scan.as_ref().and_then(|scan| scan.edits.as_ref()).map(|edits| format!("{edits:?}"));
        let identity = edits.map_or_else(
            || Arc::clone(&self.identity),
            |edits| format!("{} {:016x}", self.identity, xxhash_rust::xxh3::xxh3_64(edits.as_bytes())).into(),
        );
        Self { rules: Some(Arc::new(rules)), scan, identity, ..self }
    }

    /// The path it was given, if it was given one.
    pub(super) fn mount(&self) -> Option<&DatasetName> {
        self.mount.as_ref()
    }

    /// What it is called among others without a path.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Whether it is one dataset.
    pub(super) fn is_single(&self) -> bool {
        self.single.is_some()
    }

    /// Whether a catalog says what of it is served.
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    pub(super) fn into_root(self, mount: DatasetName) -> Root {
        let Self { store, identity, single, rules, scan, shown, .. } = self;
        Root { mount, single, store, identity, rules, scan, shown }
    }
}

/// One served place in the tree.
#[derive(Debug)]
pub(super) struct Root {
    /// Where its contents are in the tree of names; the name of a single dataset.
    pub(super) mount: DatasetName,
    /// When it is one dataset: its name in the store, alone visible.
    single: Option<Arc<str>>,
    store: Arc<dyn Store>,
    /// As [`Served`]'s.
    pub(super) identity: Arc<str>,
    rules: Option<Arc<Rules>>,
    pub(super) scan: Option<Arc<Scan>>,
    shown: String,
}

/// What a dataset is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Identity of its object; of a folder's, the object that marks it.
    pub version: Version,
    /// Bytes of its object; `None` for a folder.
    pub size: Option<u64>,
    /// How long an open Source that has no version of its own stays current.
    pub(super) recheck: Duration,
}

impl Status {
    /// That of an object in `store`.
    pub(super) fn of(found: FileStatus, store: &Arc<dyn Store>) -> Self {
        Self { version: found.version, size: Some(found.size), recheck: store.recheck() }
    }

    /// That of what is made of objects in `store`; what version it is, is found out when it is opened.
    pub(super) fn defined(identity: &str, store: &Arc<dyn Store>) -> Self {
        let version = Version { identity: identity.into(), modified: None };
        Self { version, size: None, recheck: store.recheck() }
    }
}

impl Root {
    /// Whether it is one dataset.
    pub(super) fn is_single(&self) -> bool {
        self.single.is_some()
    }

    /// Where `path` (as [`super::tree::Tree::root_of`] gives it) lies in the store.
    fn inside<'a>(&'a self, path: &'a str) -> &'a str {
        self.single.as_deref().unwrap_or(path)
    }

    /// Whether a catalog says what of it is served.
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Whether listings pass it over.
    pub(super) fn is_unlisted(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.is_unlisted)
    }

    /// Whether the dataset at `path`, written at `modified`, is served by the rules.
    fn accepts(&self, path: &str, modified: Option<SystemTime>) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.accepts(path, modified))
    }

    /// Whether the object at `path` may be looked at by its name.
    fn shows_file(&self, path: &str) -> bool {
        match &self.single {
            // Far away, a look at what the name says is a folder would be a request for nothing.
            Some(single) => !(self.store.is_remote() && is_data_folder(single)),
            None => self.rules.as_ref().map_or_else(|| is_data_file(file_name(path)), |r| r.may_show(path)),
        }
    }

    pub(super) fn place(&self, path: &str, name: &DatasetName) -> Place {
        Place { store: Arc::clone(&self.store), path: self.inside(path).into(), name: name.as_str().into() }
    }

    pub(super) async fn stat(&self, path: &str, name: &DatasetName, registry: &Registry) -> Result<Status> {
        let recheck = self.store.recheck();
        if self.shows_file(path)
            && let Some(found) = self.store.stat(self.inside(path)).await?
            && self.accepts(path, found.version.modified)
        {
            return Ok(Status { version: found.version, size: Some(found.size), recheck });
        }
        // Far away, each look costs a request: only names that promise a dataset are looked into.
        if !path.is_empty()
            && (!self.store.is_remote() || is_data_folder(file_name(self.inside(path))))
            && self.store.may_be_folder(self.inside(path))
        {
            let found = registry.mark_of(&self.place(path, name)).await?;
            if let Some((_, status)) = found
                && self.accepts(path, status.version.modified)
            {
                return Ok(Status { version: status.version, size: None, recheck });
            }
        }
        Err(missing(path))
    }

    /// The object of a dataset that is one.
    pub(super) async fn object(&self, path: &str, name: &DatasetName) -> Result<Object> {
        if !self.shows_file(path) {
            return Err(missing(path));
        }
        let found = self.store.open(self.inside(path), Part::Head(0)).await?;
        let found = found.filter(|(object, _)| self.accepts(path, object.version.modified));
        let (object, _) = found.ok_or_else(|| missing(path))?;
        Ok(Object { name: name.as_str().into(), ..object })
    }

    pub(super) async fn is_readable(&self) -> bool {
        // A store that is down is nothing a restart of this server mends, and asking costs a request.
        self.single.is_some() || self.store.is_remote() || self.store.list("").await.is_ok()
    }

    /// The one dataset, as the folder it is mounted in shows it.
    pub(super) async fn single_entry(&self, registry: &Registry) -> Result<Entry> {
        let status = self.stat(self.mount.as_str(), &self.mount, registry).await?;
        let name = self.mount.file_name().into();
        Ok(Entry { name, size: status.size, modified: status.version.modified, summary: None })
    }

    /// What the folder at `path` in the store holds, which is called `folder`.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder, or it is a dataset.
    pub(super) async fn list(
        &self,
        folder: &DatasetName,
        path: &str,
        registry: &Registry,
    ) -> Result<Listing> {
        if self.is_unlisted() || self.rules.as_ref().is_some_and(|rules| !rules.accepts_folder(path)) {
            return Err(Error::not_found(format!("there is no folder {folder}")));
        }
        let entries = self.store.list(path).await;
        let is_missing = |e: &Error| e.kind() == ErrorKind::NotFound && !folder.is_top();
        let missing = || Error::not_found(format!("there is no folder {folder}"));
        let entries = entries.map_err(|e| if is_missing(&e) { missing() } else { e })?;
        for mark in registry.folder_marks() {
            let has = |name: &str| entries.iter().any(|e| *e.name == *name);
            let is_here = match mark.split_once('/') {
                None => has(mark),
                Some((first, _)) => {
                    has(first) && self.store.stat(&storage::join(path, mark)).await?.is_some()
                }
            };
            if is_here {
                return Err(Error::not_found(format!("{folder} is a dataset, not a folder")));
            }
        }
        let (folders, datasets) = self.split(folder, path, entries, registry).await?;
        Ok(Listing::new(folder.clone(), folders, datasets))
    }

    /// The folders and datasets among the entries of `folder`, which is `path` in the store.
    async fn split(
        &self,
        folder: &DatasetName,
        path: &str,
        entries: Vec<storage::Entry>,
        registry: &Registry,
    ) -> Result<(Vec<Arc<str>>, Vec<Entry>)> {
        let mut folders: Vec<Arc<str>> = Vec::new();
        let mut datasets: Vec<Entry> = Vec::new();
        for entry in entries {
            let name = entry.name;
            let is_shown = || match &self.rules {
                // The name tells: no path is needed.
                None => is_data_file(&name),
                Some(rules) => rules.may_show(&storage::join(path, &name)),
            };
            if matches!(entry.kind, EntryKind::File { .. }) && !is_shown() {
                continue;
            }
            match entry.kind {
                EntryKind::File { size, modified } => {
                    datasets.push(Entry { name, size: Some(size), modified, summary: None });
                }
                EntryKind::Directory if is_data_folder(&name) => {
                    datasets.push(Entry { name, size: None, modified: None, summary: None });
                }
                EntryKind::Directory if name.starts_with('.') || self.store.is_remote() => folders.push(name),
                EntryKind::Directory => {
                    let place = self.place(&storage::join(path, &name), &folder.join(&name));
                    match registry.mark_of(&place).await? {
                        Some((_, status)) => {
                            let modified = status.version.modified;
                            datasets.push(Entry { name, size: None, modified, summary: None });
                        }
                        None => folders.push(name),
                    }
                }
            }
        }
        if let Some(rules) = &self.rules {
            folders.retain(|name| rules.accepts_folder(&storage::join(path, name)));
            datasets.retain(|entry| rules.accepts(&storage::join(path, &entry.name), entry.modified));
        }
        Ok((folders, datasets))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn missing(path: &str) -> Error {
    Error::not_found(format!("there is no dataset {path}"))
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)?;
        match (&self.single, self.mount.as_str()) {
            (None, "") => Ok(()),
            (None, mount) => write!(f, " as {mount}/"),
            (Some(single), mount) if **single == *mount => Ok(()),
            (Some(_), mount) => write!(f, " as {mount}"),
        }
    }
}
