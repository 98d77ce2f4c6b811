//! The paths that are served, and where each appears in the tree of names.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cdm::{Error, ErrorKind, Result, Version};
use handlers::storage::{self, EntryKind, LocalRoot, Object};

use super::{DatasetName, Entry, Listing, is_data_file};

/// One served path.
#[derive(Debug)]
pub(super) struct Root {
    /// Its folder name at the top; `None`: its contents are the top.
    name: Option<Arc<str>>,
    /// When the path is a file: its name, alone visible.
    file: Option<Arc<str>>,
    folder: LocalRoot,
    path: PathBuf,
}

/// All served paths.
#[derive(Debug)]
pub(super) struct Tree {
    roots: Vec<Root>,
}

impl Tree {
    pub(super) fn new(paths: &[PathBuf]) -> Result<Self> {
        let mut roots: Vec<Root> = Vec::with_capacity(paths.len());
        for path in paths {
            let root =
                Root::new(path, paths.len() == 1, |name| roots.iter().any(|r| r.top_name() == Some(name)))?;
            roots.push(root);
        }
        Ok(Self { roots })
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The root that `name` is in and its path there.
    pub(super) fn root_of<'a, 'n>(&'a self, name: &'n DatasetName) -> Option<(&'a Root, &'n str)> {
        let name = name.as_str();
        self.roots.iter().find_map(|root| match (&root.name, &root.file) {
            (None, None) => Some((root, name)),
            (_, Some(_)) => (root.top_name() == Some(name)).then_some((root, name)),
            (Some(folder), None) => {
                let rest = name.strip_prefix(&**folder)?;
                if rest.is_empty() { Some((root, rest)) } else { Some((root, rest.strip_prefix('/')?)) }
            }
        })
    }

    pub(super) async fn list(&self, folder: &DatasetName) -> Result<Listing> {
        let missing = || Error::not_found(format!("there is no folder {folder}"));
        match self.roots.as_slice() {
            [Root { name: None, file: None, .. }] => {}
            _ if folder.is_top() => return self.top().await,
            _ => {}
        }
        let (root, path) = self.root_of(folder).filter(|(r, _)| r.file.is_none()).ok_or_else(missing)?;
        let entries = root.folder.list(path).await;
        let (folders, datasets) =
            split(entries.map_err(|e| if e.kind() == ErrorKind::NotFound { missing() } else { e })?);
        Ok(Listing::new(folder.clone(), folders, datasets))
    }

    /// The top of several roots.
    async fn top(&self) -> Result<Listing> {
        let mut listing = Listing { folder: DatasetName::top(), folders: Vec::new(), datasets: Vec::new() };
        for root in &self.roots {
            match (&root.name, &root.file) {
                (Some(name), None) => listing.folders.push(Arc::clone(name)),
                (_, Some(_)) => {
                    // A file that vanished is left out, the others stay.
                    if let (Some(name), Ok(entry)) = (root.top_name(), root.file_entry().await) {
                        listing.datasets.push(Entry { name: name.into(), ..entry });
                    }
                }
                (None, None) => {}
            }
        }
        listing.folders.sort_unstable();
        listing.datasets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }
}

impl Root {
    fn new(path: &Path, alone: bool, taken: impl Fn(&str) -> bool) -> Result<Self> {
        let whole = path
            .canonicalize()
            .map_err(|e| Error::not_found(format!("cannot serve {}: {e}", path.display())).with_source(e))?;
        let base = whole.file_name().map_or_else(|| "data".to_owned(), |n| n.to_string_lossy().into_owned());
        let is_file = whole.is_file();
        let visible = DatasetName::new(&base).is_ok_and(|n| n.as_str() == base);
        if is_file && !visible {
            return Err(Error::bad_request(format!(
                "cannot serve {}: its name is not one a URL may have",
                path.display()
            )));
        }
        let base = if visible { base } else { "data".to_owned() };
        // Of n + 1 names one is free when n are taken, so this ends.
        let mut unique = base.clone();
        let mut number = 1_u64;
        while taken(&unique) {
            number += 1;
            unique = format!("{base}-{number}");
        }
        let (directory, file) = if is_file {
            let parent = whole.parent().unwrap_or(Path::new("/"));
            (parent.to_path_buf(), Some(Arc::from(base)))
        } else {
            (whole.clone(), None)
        };
        let name = (file.is_some() || !alone).then(|| Arc::from(unique));
        Ok(Self { name, file, folder: LocalRoot::open(&directory)?, path: path.to_path_buf() })
    }

    /// The name at the top, if it has one of its own.
    fn top_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where `path` (as [`Tree::root_of`] gives it) lies in the folder.
    fn inside<'a>(&'a self, path: &'a str) -> Result<&'a str> {
        match &self.file {
            Some(file) => Ok(file),
            None if is_data_file(path.rsplit('/').next().unwrap_or_default()) => Ok(path),
            None => Err(Error::not_found(format!("there is no dataset {path}"))),
        }
    }

    pub(super) async fn stat(&self, path: &str) -> Result<Version> {
        Ok(self.folder.stat(self.inside(path)?).await.map_err(|e| named(e, path))?.version)
    }

    pub(super) async fn open(&self, path: &str, name: &DatasetName) -> Result<Object> {
        let mut object = self.folder.open_object(self.inside(path)?).await.map_err(|e| named(e, path))?;
        object.name = name.as_str().into();
        Ok(object)
    }

    pub(super) async fn is_readable(&self) -> bool {
        match &self.file {
            Some(file) => self.folder.stat(file).await.is_ok(),
            None => self.folder.list("").await.is_ok(),
        }
    }

    async fn file_entry(&self) -> Result<Entry> {
        let file = self.file.as_deref().unwrap_or_default();
        let status = self.folder.stat(file).await?;
        Ok(Entry { name: file.into(), size: status.size, modified: status.version.modified })
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.name {
            Some(name) if self.file.is_none() => write!(f, " as {name}/"),
            _ => Ok(()),
        }
    }
}

/// A missing file is named as the client named it.
fn named(error: Error, path: &str) -> Error {
    if error.kind() == ErrorKind::NotFound {
        Error::not_found(format!("there is no dataset {path}")).with_source(error)
    } else {
        error
    }
}

fn split(entries: Vec<storage::Entry>) -> (Vec<Arc<str>>, Vec<Entry>) {
    let mut folders = Vec::new();
    let mut datasets = Vec::new();
    for entry in entries {
        let name = entry.name.into();
        match entry.kind {
            EntryKind::Directory => folders.push(name),
            EntryKind::File { size, modified } => datasets.push(Entry { name, size, modified }),
        }
    }
    (folders, datasets)
}
