//! Dataset names to Sources: roots, listings, and a cache of open Sources by object version.
//!
//! Nothing is opened or scanned when a [`Catalog`] is made; every request looks at the file's status
//! afresh, so a replaced file is served anew at once (promise R10). What a file holds is the business of
//! `handlers`; who may see it, of nobody yet.

mod listing;
mod name;
mod root;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cdm::{Error, ErrorKind, Result, Source, Version};
use handlers::{Registry, storage::Object};
use moka::future::Cache;

use self::root::{Root, Tree};
pub use self::{
    listing::{DATA_SUFFIXES, Entry, Listing, is_data_file},
    name::{DatasetName, encode_segment},
};

/// Sources that nobody asked for during this time are closed.
const IDLE: Duration = Duration::from_secs(300);

/// Everything that is served.
#[derive(Debug)]
pub struct Catalog {
    tree: Tree,
    registry: Registry,
    open: Cache<(DatasetName, Arc<str>), Arc<dyn Source>>,
}

impl Catalog {
    /// Serves `paths`: the contents of one folder at the top, or each of several folders and files under
    /// its own name. At most `open_datasets` files are held open.
    ///
    /// # Errors
    /// `NotFound` or `Storage` when a path cannot be used.
    pub fn new(paths: &[PathBuf], open_datasets: u64, registry: Registry) -> Result<Self> {
        let open = Cache::builder().max_capacity(open_datasets).time_to_idle(IDLE).build();
        Ok(Self { tree: Tree::new(paths)?, registry, open })
    }

    /// The version of a dataset's file now.
    ///
    /// # Errors
    /// `NotFound` when there is no such regular file, or it is not a data file.
    pub async fn stat(&self, name: &DatasetName) -> Result<Version> {
        let (root, path) = self.root_of(name)?;
        root.stat(path).await
    }

    /// The dataset, opened unless its file is already open in the version it has now.
    ///
    /// # Errors
    /// As [`Catalog::stat`], and what the format says of the file.
    pub async fn open(&self, name: &DatasetName) -> Result<Arc<dyn Source>> {
        let mut retried = false;
        loop {
            let version = self.stat(name).await?;
            let key = (name.clone(), Arc::clone(&version.identity));
            let opened = self.open.try_get_with(key, self.open_now(name, &version)).await;
            match opened {
                Ok(source) => return Ok(source),
                Err(e) if e.kind() == ErrorKind::Changed && !retried => retried = true,
                Err(e) => return Err(e.shared()),
            }
        }
    }

    /// Drops a Source that turned out to be of a version that is gone.
    pub async fn forget(&self, name: &DatasetName, version: &Version) {
        self.open.invalidate(&(name.clone(), Arc::clone(&version.identity))).await;
    }

    /// The stored file itself.
    ///
    /// # Errors
    /// As [`Catalog::stat`].
    pub async fn object(&self, name: &DatasetName) -> Result<Object> {
        let (root, path) = self.root_of(name)?;
        root.open(path, name).await
    }

    /// What a folder holds.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder.
    pub async fn list(&self, folder: &DatasetName) -> Result<Listing> {
        self.tree.list(folder).await
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

    /// The roots as the user named them, for messages.
    pub fn describe(&self) -> Vec<String> {
        self.tree.roots().iter().map(ToString::to_string).collect()
    }

    async fn open_now(&self, name: &DatasetName, version: &Version) -> Result<Arc<dyn Source>> {
        let object = self.object(name).await?;
        if object.version.identity != version.identity {
            return Err(Error::new(ErrorKind::Changed, format!("{name} changed while it was opened")));
        }
        self.registry.open(object).await
    }

    fn root_of<'a, 'n>(&'a self, name: &'n DatasetName) -> Result<(&'a Root, &'n str)> {
        self.tree.root_of(name).ok_or_else(|| Error::not_found(format!("there is no dataset {name}")))
    }
}

#[cfg(test)]
mod tests;
