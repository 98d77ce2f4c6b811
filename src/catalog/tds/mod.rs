//! The content folder of a THREDDS data server: its catalogs, what they serve, and what of them is not
//! supported here.
//!
//! Reading makes a [`Content`] of it: the catalogs as trees of elements that are shown again under the same
//! addresses, and the places that they name. Nothing of the data is opened.

mod collection;
mod elements;
mod read;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use handlers::{
    Registry,
    ncml::document::Netcdf,
    storage::{RemoteOptions, Symlinks},
};

pub(crate) use self::{
    elements::Node,
    scan::{Newest, Scan},
    walk::{ALL, VIRTUAL},
};
use super::{DatasetName, Served, rules::Rules};
pub use read::read;

/// What a content folder says.
#[derive(Debug, Default)]
pub struct Content {
    /// Catalogs by their path in the folder: `catalog.xml`, `idd/models.xml`.
    pub(crate) documents: BTreeMap<String, Document>,
    /// Places that datasets are in.
    pub(crate) roots: Vec<DataRoot>,
    /// Datasets that a definition makes.
    pub(crate) defined: Vec<Defined>,
    /// Paths that are not served, nor what is below: who may see them is not decided here.
    pub(crate) restricted: Vec<DatasetName>,
    /// Datasets that catalogs name, and where.
    pub(crate) named: Vec<(DatasetName, At)>,
    /// The files that were read, or looked for.
    pub files: Vec<PathBuf>,
    /// What is not served, or not as the catalogs say.
    pub problems: Vec<Problem>,
}

/// A catalog.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Its name.
    pub(crate) title: String,
    /// The elements in it, as they are shown.
    pub(crate) content: Vec<Node>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

/// A place, and the path it is served under.
#[derive(Debug, Clone)]
pub(crate) struct DataRoot {
    pub(crate) path: DatasetName,
    pub(crate) location: PathBuf,
    pub(crate) at: At,
    /// `datasetScan`: it is listed.
    pub(crate) scan: Option<Arc<Scan>>,
}

/// A dataset that a definition makes.
#[derive(Debug, Clone)]
pub(crate) struct Defined {
    pub(crate) name: DatasetName,
    pub(crate) definition: Netcdf,
    pub(crate) at: At,
}

/// Something that is not served, or not as a catalog says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file:line`.
    pub place: String,
    /// It is not served at all, rather than less well.
    pub is_error: bool,
    /// What.
    pub what: String,
    /// What comes of it.
    pub consequence: String,
    /// What mends it.
    pub fix: String,
}

impl Defined {
    /// It is not served, because of `error`.
    pub(super) fn refused(&self, error: &cdm::Error) -> Problem {
        Problem {
            place: format!("{}:{}", self.at.file, self.at.line),
            is_error: true,
            what: format!("{}: {}", self.name, error.message()),
            consequence: "it is shown, and requests for it fail with 404 Not Found".to_owned(),
            fix: "correct the locations".to_owned(),
        }
    }
}

impl Content {
    /// The places that its datasets are in, to be served; links lead out of them where `links` says. What is not there
    /// is among the problems.
    pub fn places(&mut self, registry: &Registry, remote: &RemoteOptions, links: &Symlinks) -> Vec<Served> {
        let mut served = Vec::with_capacity(self.roots.len());
        let roots = self.roots.clone();
        for root in &roots {
            let place = match Served::named(&root.location, registry, remote, links) {
                Ok(place) => place,
                Err(e) => {
                    self.problems.push(Problem {
                        place: format!("{}:{}", root.at.file, root.at.line),
                        is_error: true,
                        what: format!("{}: {}", root.path, e.message()),
                        consequence: "nothing of it is served".to_owned(),
                        fix: "correct the location".to_owned(),
                    });
                    continue;
                }
            };
            let mut rules = Rules { is_unlisted: root.scan.is_none(), ..Rules::default() };
            if let Some(scan) = &root.scan {
                rules.filter = scan.filter.clone();
            }
            for (name, _) in &self.named {
                let of_this = owner(&roots, name).is_some_and(|owner| owner.path == root.path);
                let path = name.as_str().strip_prefix(root.path.as_str()).and_then(|p| p.strip_prefix('/'));
                rules.named.extend(path.filter(|_| of_this).map(str::to_owned));
            }
            served.push(place.at(root.path.clone()).by_rules(rules, root.scan.clone()));
        }
        served
    }

    /// Whether there is no content folder.
    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// The datasets that catalogs name, with the place where they do.
    pub fn named(&self) -> impl Iterator<Item = (&DatasetName, String)> {
        self.named.iter().map(|(name, at)| (name, format!("{}:{}", at.file, at.line)))
    }

    /// The catalog at `path`, which may end in `.html` for its page.
    pub(crate) fn document(&self, path: &str) -> Option<(&str, &Document)> {
        let (path, document) = match path.strip_suffix(".html") {
            Some(stem) => self.documents.get_key_value(&format!("{stem}.xml"))?,
            None => self.documents.get_key_value(path)?,
        };
        Some((path, document))
    }
}

/// The root that `name` is in: the one with the longest path.
fn owner<'a>(roots: &'a [DataRoot], name: &DatasetName) -> Option<&'a DataRoot> {
    let is_in = |root: &&DataRoot| {
        let rest = name.as_str().strip_prefix(root.path.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    roots.iter().filter(is_in).max_by_key(|root| root.path.as_str().len())
}
