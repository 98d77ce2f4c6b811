//! Datasets that are made of others: those the configuration defines, and NcML documents in the roots.
//!
//! Each is a [`Collection`] that is kept with the catalog; what is asked for is its newest snapshot, or one by
//! its version: `<dataset>@<version>`.

use std::{collections::HashMap, sync::Arc};

use cdm::{Error, Result, Version};
use handlers::{
    Registry,
    aggregation::{Collection, Snapshot},
    ncml::{self, document::Netcdf},
    storage::{Part, Place},
};
use moka::future::Cache;
use tokio::sync::OnceCell;

use super::{DatasetName, Entry, IDLE, Listing, Status, tree::Tree};

/// NcML documents that are known at a time.
const MOST_DOCUMENTS: u64 = 10_000;

/// A dataset that the configuration defines.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// What it is called.
    pub name: DatasetName,
    /// What it is made of.
    pub definition: Definition,
}

/// What a dataset is made of. Locations are dataset names, or absolute paths and URLs of what is served.
#[derive(Debug, Clone, PartialEq)]
pub enum Definition {
    /// What the configuration says.
    Made(Box<Netcdf>),
    /// What an NcML document says.
    Document(String),
}

/// A configured dataset, where it is.
#[derive(Debug)]
pub(super) enum Defined {
    /// A collection of its own.
    Made { place: Place, definition: Box<Netcdf>, kept: OnceCell<Arc<Collection>> },
    /// A document by another name.
    Document(Place),
}

/// All that are known.
#[derive(Debug)]
pub(super) struct Definitions {
    configured: HashMap<DatasetName, Defined>,
    /// By name and version; `None` for a document without an aggregation.
    documents: Cache<(DatasetName, Arc<str>), Option<Arc<Collection>>>,
}

impl Default for Definitions {
    fn default() -> Self {
        let documents = Cache::builder().max_capacity(MOST_DOCUMENTS).time_to_idle(IDLE).build();
        Self { configured: HashMap::new(), documents }
    }
}

impl Definitions {
    /// Adds one of the configuration, found in `tree`.
    pub(super) fn add(&mut self, dataset: Configured, tree: &Tree) -> Result<()> {
        let Configured { name, definition } = dataset;
        let defined = located(&name, definition, tree)?;
        self.configured.insert(name, defined);
        Ok(())
    }

    pub(super) fn get(&self, name: &DatasetName) -> Option<&Defined> {
        self.configured.get(name)
    }

    /// The collection of a definition of the configuration.
    pub(super) async fn made(
        &self,
        name: &DatasetName,
        registry: &Registry,
    ) -> Result<Option<Arc<Collection>>> {
        let Some(Defined::Made { place, definition, kept }) = self.get(name) else { return Ok(None) };
        let new = async { registry.collections()?.of(definition, place, registry).await };
        kept.get_or_try_init(|| new).await.cloned().map(Some)
    }

    /// The collection of the NcML document at `place`, which has `version` now; `None` when the document has
    /// no aggregation.
    pub(super) async fn document(
        &self,
        name: &DatasetName,
        place: &Place,
        version: &Version,
        registry: &Registry,
    ) -> Result<Option<Arc<Collection>>> {
        let key = (name.clone(), Arc::clone(&version.identity));
        let read = async {
            let part = Part::Whole { at_most: ncml::parse::LARGEST };
            let missing = || Error::not_found(format!("there is no dataset {name}"));
            let (_, text) = place.store.open(&place.path, part).await?.ok_or_else(missing)?;
            let parsed = ncml::parse(&text, name.as_str())?;
            for remark in &parsed.remarks {
                tracing::info!(document = %name, line = remark.line, "{}", remark.message);
            }
            if parsed.netcdf.aggregation.is_none() {
                return Ok(None);
            }
            registry.collections()?.of(&parsed.netcdf, place, registry).await.map(Some)
        };
        self.documents.try_get_with(key, read).await.map_err(|e: Arc<Error>| e.shared())
    }

    /// `listing` with the configured datasets that are in its folder or below; `None` of both: there is no such
    /// folder.
    pub(super) fn listed(&self, folder: &DatasetName, listing: Result<Listing>) -> Result<Listing> {
        let mut here = Vec::new();
        let mut folders: Vec<Arc<str>> = Vec::new();
        for (name, defined) in &self.configured {
            let below = if folder.is_top() {
                Some(name.as_str())
            } else {
                name.as_str().strip_prefix(folder.as_str()).and_then(|rest| rest.strip_prefix('/'))
            };
            match below.map(|below| below.split_once('/')) {
                None => {}
                Some(Some((first, _))) => folders.push(first.into()),
                Some(None) => here.push(Entry {
                    name: name.file_name().into(),
                    size: None,
                    modified: defined.newest().map(|snapshot| snapshot.made),
                    summary: None,
                }),
            }
        }
        if here.is_empty() && folders.is_empty() {
            return listing;
        }
        let empty = Listing { folder: folder.clone(), folders: Vec::new(), datasets: Vec::new() };
        let mut listing = listing.unwrap_or(empty);
        listing.datasets.retain(|entry| !here.iter().any(|new| new.name == entry.name));
        listing.datasets.extend(here);
        listing.datasets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listing.folders.extend(folders);
        listing.folders.sort_unstable();
        listing.folders.dedup();
        Ok(listing)
    }
}

impl Defined {
    /// The newest snapshot, without looking.
    pub(super) fn newest(&self) -> Option<Arc<Snapshot>> {
        match self {
            Self::Made { kept, .. } => kept.get()?.newest(),
            Self::Document(_) => None,
        }
    }
}

/// What the document at `place` is now.
pub(super) async fn status(place: &Place) -> Result<Status> {
    let missing = || Error::not_found(format!("the document of {} is not there", place.name));
    let found = place.store.stat(&place.path).await?.ok_or_else(missing)?;
    Ok(Status { size: None, ..Status::of(found, &place.store) })
}

/// The name and the version that `<dataset>@<version>` says.
pub(super) fn versioned(name: &DatasetName) -> Option<(DatasetName, &str)> {
    let (base, version) = name.as_str().rsplit_once('@')?;
    // Nothing else is one: what follows it is what is asked of it.
    let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric());
    let fits = is_version && !base.ends_with('/');
    Some((DatasetName::new(base).ok().filter(|base| fits && !base.is_top())?, version))
}

/// Whether a name is that of an NcML document.
pub(super) fn is_document(name: &str) -> bool {
    let end = name.len().checked_sub(5).and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(".ncml"))
}

/// Where a configured dataset is: everything it is made of must be in one served place.
fn located(name: &DatasetName, definition: Definition, tree: &Tree) -> Result<Defined> {
    let mut netcdf = match definition {
        Definition::Document(path) => {
            let (place, path) = served(&path, tree)?;
            return Ok(Defined::Document(Place { path: path.into(), name: name.as_str().into(), ..place }));
        }
        Definition::Made(netcdf) => netcdf,
    };
    let mut first: Option<(Place, String)> = None;
    let mut locations: Vec<&mut String> = Vec::new();
    if let Some(aggregation) = &mut netcdf.aggregation {
        locations.extend(aggregation.scans.iter_mut().map(|scan| &mut scan.location));
        locations.extend(aggregation.members.iter_mut().filter_map(|member| member.location.as_mut()));
    }
    for location in locations {
        let (place, path) = served(location, tree)?;
        let (known, said) = first.get_or_insert_with(|| (place.clone(), location.clone()));
        if !Arc::ptr_eq(&known.store, &place.store) {
            return Err(Error::bad_request(format!(
                "{said} and {location} are in two served places; a dataset is made of files in one"
            )));
        }
        *location = path;
    }
    let (place, _) = first.ok_or_else(|| Error::bad_request("it is made of nothing"))?;
    let place = Place { path: "".into(), name: name.as_str().into(), ..place };
    Ok(Defined::Made { place, definition: netcdf, kept: OnceCell::new() })
}

/// The served place that `location` is in, and its path there.
fn served(location: &str, tree: &Tree) -> Result<(Place, String)> {
    tree.located(location).ok_or_else(|| {
        let roots: Vec<String> = tree.roots().iter().map(ToString::to_string).collect();
        let location = if location.is_empty() { "the top" } else { location };
        Error::bad_request(format!("{location} is in none of the served places ({})", roots.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_versions() {
        let check = |name: &str, expect: Option<(&str, &str)>| {
            let name = DatasetName::new(name).unwrap();
            let found = versioned(&name);
            assert_eq!(found.as_ref().map(|(base, version)| (base.as_str(), *version)), expect);
        };
        check("a/sst@12ab", Some(("a/sst", "12ab")));
        check("a@b@1", Some(("a@b", "1")));
        for name in ["sst", "sst@", "a@b/c", "x/@1", "sst@12ab.dds"] {
            check(name, None);
        }
        assert!(is_document("a/B.NCML") && !is_document("ncml") && !is_document("a.nc"));
    }
}
