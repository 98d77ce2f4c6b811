//! Where each served place appears in the tree of names, and the folders in between: a place is mounted at
//! the top, under a name of its own there, or under a path of several components. The longest mount that a
//! name begins with is the one it is in, and what a mount covers of another place is hidden.

use std::sync::Arc;

use cdm::{Error, ErrorKind, Result};
use handlers::{Registry, storage::Place};

use super::{DatasetName, Listing, Served, root::Root};

/// All served places.
#[derive(Debug)]
pub(super) struct Tree {
    roots: Vec<Root>,
    /// Names that are not served, nor what is below them.
    restricted: Vec<DatasetName>,
}

impl Tree {
    /// Places without a path of their own: one folder is the top, several are each under its own name.
    pub(super) fn new(served: Vec<Served>) -> Self {
        let mut taken: Vec<DatasetName> = served.iter().filter_map(|s| s.mount().cloned()).collect();
        let unplaced = served.iter().filter(|s| s.mount().is_none()).count();
        // Beside the catalogs of a content folder, which are the top, each has its name.
        let is_free = !taken.iter().any(DatasetName::is_top) && !served.iter().any(Served::has_rules);
        let alone = unplaced == 1 && is_free;
        let mut roots = Vec::with_capacity(served.len());
        for place in served {
            let mount = match place.mount() {
                Some(mount) => mount.clone(),
                None if alone && !place.is_single() => DatasetName::top(),
                None => {
                    let free = free_name(place.base(), &taken);
                    taken.push(free.clone());
                    free
                }
            };
            roots.push(place.into_root(mount));
        }
        Self { roots, restricted: Vec::new() }
    }

    /// The same without what is called by a name of `restricted`, or is below one.
    pub(super) fn without(self, restricted: Vec<DatasetName>) -> Self {
        Self { restricted, ..self }
    }

    fn is_restricted(&self, name: &str) -> bool {
        self.restricted.iter().any(|restricted| below(restricted, name).is_some())
    }

    /// The one dataset, when it is all there is.
    pub(super) fn single(&self) -> Option<&DatasetName> {
        match self.roots.as_slice() {
            [root] if root.is_single() => Some(&root.mount),
            _ => None,
        }
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The root that `name` is in and its path there: the root with the longest mount, the first of equals.
    pub(super) fn root_of<'a, 'n>(&'a self, name: &'n DatasetName) -> Option<(&'a Root, &'n str)> {
        if self.is_restricted(name.as_str()) {
            return None;
        }
        let mut found: Option<(&Root, &str)> = None;
        for root in &self.roots {
            let Some(path) = below(&root.mount, name.as_str()) else { continue };
            if root.is_single() {
                if path.is_empty() {
                    return Some((root, name.as_str()));
                }
            } else if found.is_none_or(|(other, _)| root.mount.as_str().len() > other.mount.as_str().len()) {
                found = Some((root, path));
            }
        }
        found
    }

    /// The place that `location` is in, and its path there: a dataset name, an absolute path or a URL. `None`
    /// when it is in none that is served whole.
    pub(super) fn located(&self, location: &str) -> Option<(Place, String)> {
        let absolute = location.starts_with('/') || location.contains(":/");
        if !absolute {
            let name = location.split('/').filter(|part| !matches!(*part, "" | "."));
            let name = DatasetName::new(&name.collect::<Vec<_>>().join("/")).ok()?;
            let (root, path) = self.root_of(&name).filter(|(root, _)| !root.is_single())?;
            return Some((root.place(path, &name), path.to_owned()));
        }
        self.roots.iter().filter(|root| !root.is_single()).find_map(|root| {
            let place = root.place("", &root.mount);
            let path = place.store.relative(location)?;
            Some((place, path))
        })
    }

    /// What a folder holds: of the root it is in, and what is mounted in it or below it.
    pub(super) async fn list(&self, folder: &DatasetName, registry: &Registry) -> Result<Listing> {
        let mounted = self.mounted_in(folder, registry).await;
        let is_between = folder.is_top() || self.listed().any(|r| is_above(folder, &r.mount));
        let own = match self.root_of(folder).filter(|(root, _)| !root.is_single()) {
            Some((root, path)) => root.list(folder, path, registry).await,
            None => Err(Error::not_found(format!("there is no folder {folder}"))),
        };
        let is_root = self.listed().any(|r| r.mount == *folder && !r.is_single());
        match own {
            Ok(mut own) => {
                if !self.restricted.is_empty() {
                    own.folders.retain(|name| !self.is_restricted(folder.join(name).as_str()));
                    own.datasets.retain(|entry| !self.is_restricted(folder.join(&entry.name).as_str()));
                }
                Ok(merged(own, mounted))
            }
            Err(e) if e.kind() == ErrorKind::NotFound && is_between && !is_root => Ok(mounted),
            Err(e) => Err(e),
        }
    }

    /// The roots that listings show.
    fn listed(&self) -> impl Iterator<Item = &Root> {
        self.roots.iter().filter(|root| !root.is_unlisted() && !self.is_restricted(root.mount.as_str()))
    }

    /// The folders that lead from `folder` to mounts below it, and the single datasets mounted in it.
    async fn mounted_in(&self, folder: &DatasetName, registry: &Registry) -> Listing {
        let mut found = Listing { folder: folder.clone(), folders: Vec::new(), datasets: Vec::new() };
        for root in self.listed() {
            let Some(path) = below(folder, root.mount.as_str()).filter(|path| !path.is_empty()) else {
                continue;
            };
            match path.split_once('/') {
                None if root.is_single() => {
                    // A dataset that vanished is left out, the others stay.
                    found.datasets.extend(root.single_entry(registry).await.ok());
                }
                None => found.folders.push(path.into()),
                Some((first, _)) => found.folders.push(first.into()),
            }
        }
        found.folders.sort_unstable();
        found.folders.dedup();
        found.datasets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// `own` with what is mounted in it, which hides what has the same name.
fn merged(own: Listing, mounted: Listing) -> Listing {
    if mounted.folders.is_empty() && mounted.datasets.is_empty() {
        return own;
    }
    let is_free = |name: &Arc<str>| {
        !mounted.folders.contains(name) && !mounted.datasets.iter().any(|entry| entry.name == *name)
    };
    let Listing { folder, mut folders, mut datasets } = own;
    folders.retain(&is_free);
    datasets.retain(|entry| is_free(&entry.name));
    folders.extend(mounted.folders);
    datasets.extend(mounted.datasets);
    folders.sort_unstable();
    datasets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Listing { folder, folders, datasets }
}

/// `base`, or `base-2` and so on when that is taken.
fn free_name(base: &str, taken: &[DatasetName]) -> DatasetName {
    let mut name = DatasetName::top().join(base);
    let mut number = 1_u64;
    // Of n + 1 names one is free when n are taken, so this ends.
    while taken.contains(&name) {
        number += 1;
        name = DatasetName::top().join(&format!("{base}-{number}"));
    }
    name
}

/// What follows `mount` in `name`, component by component: empty for the mount itself.
fn below<'n>(mount: &DatasetName, name: &'n str) -> Option<&'n str> {
    if mount.is_top() {
        return Some(name);
    }
    let rest = name.strip_prefix(mount.as_str())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Whether `mount` is below `folder`.
fn is_above(folder: &DatasetName, mount: &DatasetName) -> bool {
    below(folder, mount.as_str()).is_some_and(|path| !path.is_empty())
}
