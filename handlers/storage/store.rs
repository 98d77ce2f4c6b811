//! Where objects are: the contract of everything that has objects by path.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};
use tokio::sync::Notify;

use super::{Entry, Object};

/// What is read of an object while it is opened, in the same request where the store can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first so many bytes, or all there are.
    Head(u64),
    /// The last so many bytes, or all there are.
    Tail(u64),
    /// Everything.
    Whole {
        /// A larger object is `Corrupt`: it cannot be what it is taken for.
        at_most: u64,
    },
}

/// Objects by path: a served folder, a prefix of a bucket, the inside of a zip file, a set of references.
///
/// Paths are relative, with `/` between components; no component is empty, `.` or `..`. Nothing outside of
/// the store is ever reached.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Opens an object and reads a part of it; `None` when there is none.
    ///
    /// # Errors
    /// `Forbidden`, `Storage`, `Overloaded` as the storage says; `Corrupt` when it is larger than allowed.
    async fn open(&self, path: &str, part: Part) -> Result<Option<(Object, Bytes)>>;

    /// The size and version of an object, unopened; `None` when there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    async fn stat(&self, path: &str) -> Result<Option<FileStatus>>;

    /// Whether there may be a folder at `path`: `false` where it costs nothing to know that there is none.
    fn may_be_folder(&self, path: &str) -> bool {
        let _ = path;
        true
    }

    /// The objects and folders in `folder` (`""` is the top) by name.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder.
    async fn list(&self, folder: &str) -> Result<Vec<Entry>>;

    /// As [`Store::list`], with what tells one version of each object from another: the identity that
    /// [`Store::stat`] gives, where listing alone tells it.
    ///
    /// # Errors
    /// As [`Store::list`].
    async fn survey(&self, folder: &str) -> Result<Vec<(Entry, Option<Arc<str>>)>> {
        Ok(self.list(folder).await?.into_iter().map(|entry| (entry, None)).collect())
    }

    /// Tells `changed` whenever something is written, added or removed in one of `folders` (not below them),
    /// until what is returned is dropped; `None` where changes are not told, and must be looked for.
    fn watch(&self, folders: &[String], changed: &Arc<Notify>) -> Option<Box<dyn Any + Send + Sync>> {
        let _ = (folders, changed);
        None
    }

    /// Whether a link leads to `folder` or lies in it: what happens to what is behind it, [`Store::watch`] does not tell.
    ///
    /// # Errors
    /// As [`Store::list`].
    async fn has_links(&self, folder: &str) -> Result<bool> {
        let _ = folder;
        Ok(false)
    }

    /// What tells this store from others, the same in every process: an absolute path or a URL.
    fn label(&self) -> Option<String> {
        self.url("")
    }

    /// The names in `folder` that [`Store::list`] passes over because nothing can be read there, and why.
    ///
    /// # Errors
    /// As [`Store::list`].
    async fn passed_over(&self, folder: &str) -> Result<Vec<(String, &'static str)>> {
        let _ = folder;
        Ok(Vec::new())
    }

    /// Where others reach an object without us, if they can: `s3://bucket/key`.
    fn url(&self, path: &str) -> Option<String> {
        let _ = path;
        None
    }

    /// The path in here of what an absolute path or a URL names; `None` when that is not in here for certain.
    fn relative(&self, absolute: &str) -> Option<String> {
        let _ = absolute;
        None
    }

    /// How long what was read of a dataset of many objects is taken to be current, where no single
    /// object's version tells.
    fn recheck(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// What has been asked of a store over a network, of all who share it; `None` of others.
    fn calls(&self) -> Option<StoreCalls> {
        None
    }

    /// Whether asking it costs a request over a network.
    fn is_remote(&self) -> bool {
        false
    }
}

/// What [`Store::calls`] tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCalls {
    /// The store as messages name it: `s3://bucket`.
    pub store: String,
    /// Requests so far, each retry too.
    pub requests: u64,
    /// Those that failed in a way that may pass.
    pub failures: u64,
    /// The store is left alone for a while because it fails.
    pub is_open: bool,
}

/// What [`Store::stat`] says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// Bytes.
    pub size: u64,
    /// Identity of what is there now.
    pub version: Version,
}

/// Where a dataset is: a path in a store, whose other objects it may refer to.
#[derive(Debug, Clone)]
pub struct Place {
    /// The whole of what was served together with it.
    pub store: Arc<dyn Store>,
    /// The dataset's object, or its folder, in there.
    pub path: Arc<str>,
    /// The dataset name the catalog gives it.
    pub name: Arc<str>,
}

impl Place {
    /// A place with no other objects around it.
    pub fn alone(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        Self { store: Arc::new(Nothing), path: Arc::clone(&name), name }
    }

    /// The path of `relative` in the dataset's folder: `a/b.zarr` and `x/.zarray` give `a/b.zarr/x/.zarray`.
    pub fn inside(&self, relative: &str) -> String {
        join(&self.path, relative)
    }

    /// The path of `relative` (which may begin with `../`) beside the dataset's object.
    ///
    /// # Errors
    /// `Forbidden` when it leads out of the store.
    pub fn beside(&self, relative: &str) -> Result<String> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut components: Vec<&str> = folder.split('/').filter(|c| !c.is_empty()).collect();
        for component in relative.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    let outside = || {
                        let message = format!("{relative} leads out of the served folder");
                        Error::new(cdm::ErrorKind::Forbidden, message)
                    };
                    components.pop().ok_or_else(outside)?;
                }
                name => components.push(name),
            }
        }
        Ok(components.join("/"))
    }
}

/// `relative` in `folder`, either of which may be empty.
pub fn join(folder: &str, relative: &str) -> String {
    match (folder, relative) {
        ("", relative) => relative.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, relative) => format!("{folder}/{relative}"),
    }
}

/// What follows `root` in `path`, component by component; `None` when it is not below, or has components
/// that could lead out again.
pub(crate) fn below(root: &str, path: &str) -> Option<String> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let mut components = Vec::new();
    for component in rest.split('/') {
        match component {
            "" | "." => {}
            ".." => return None,
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

/// A store without objects.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Store for Nothing {
    async fn open(&self, _: &str, _: Part) -> Result<Option<(Object, Bytes)>> {
        Ok(None)
    }
    async fn stat(&self, _: &str) -> Result<Option<FileStatus>> {
        Ok(None)
    }
    async fn list(&self, _: &str) -> Result<Vec<Entry>> {
        Ok(Vec::new())
    }
}

/// The error for an object larger than it can rightly be.
pub(crate) fn larger(path: &str, size: u64, at_most: u64) -> Error {
    Error::corrupt(format!("{path} holds {size} bytes, more than the {at_most} it can need"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let place = Place { path: "a/b/c.json".into(), ..Place::alone("x") };
        assert_eq!(place.beside("d.nc").unwrap(), "a/b/d.nc");
        assert_eq!(place.beside("./../d.nc").unwrap(), "a/d.nc");
        assert_eq!(place.beside("../../d.nc").unwrap(), "d.nc");
        assert_eq!(place.beside("../../../d.nc").unwrap_err().kind(), cdm::ErrorKind::Forbidden);
        assert_eq!(place.inside("x"), "a/b/c.json/x");
        assert_eq!((join("", "x"), join("x", "")), ("x".to_owned(), "x".to_owned()));
    }

    #[test]
    fn below_by_component() {
        assert_eq!(below("/data", "/data/a//b.nc").as_deref(), Some("a/b.nc"));
        assert_eq!(below("/data/", "/data").as_deref(), Some(""));
        assert_eq!(below("/", "/a").as_deref(), Some("a"));
        for outside in ["/data-x/a", "/dat", "/data/../a", "data/a", "/data/a/.."] {
            assert_eq!(below("/data", outside), None, "{outside}");
        }
    }
}
