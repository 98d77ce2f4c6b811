//! Edits over a dataset, as NcML has them: a Source over a Source.
//!
//! The description is made anew, and for each variable it is known how it is read: the original seen another
//! way ([`view`]), or values that the definition gives ([`given`]). Reads stay lazy: selections are mapped,
//! blocks converted one by one. What does not fit is an error, never another value.

mod attributes;
mod bands;
mod given;
mod numbers;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
mod view;

use std::{collections::HashMap, sync::Arc};

use cdm::{
    BlockStream, Dataset, Error, FullName, Group, Result, Selection, Source, StoredChunks, Version,
    source::failed,
};

use self::{given::Given, view::View};
use super::document::{GroupEdit, Netcdf};
use crate::coordinate_maps::assign_maps;

/// `source` with the edits of `definition`. Where it comes from is not looked at.
///
/// # Errors
/// `Corrupt` for an edit of what is not there or does not fit, as `name:line: what`; `Unsupported` for one that
/// cannot be done.
pub fn apply(source: Arc<dyn Source>, definition: &Netcdf) -> Result<Arc<dyn Source>> {
    let name = source.dataset().name().to_owned();
    apply_as(&name, source, definition)
}

/// As [`apply`], as a dataset called `name`.
///
/// # Errors
/// As [`apply`].
pub fn apply_as(name: &str, source: Arc<dyn Source>, definition: &Netcdf) -> Result<Arc<dyn Source>> {
    let nothing = GroupEdit { line: definition.edits.line, ..GroupEdit::default() };
    if !definition.is_explicit && definition.edits == nothing && source.dataset().name() == name {
        return Ok(source);
    }
    made(name, source, definition, None)
}

/// As [`apply_as`], for a document of the given version.
pub(super) fn made(
    name: &str,
    source: Arc<dyn Source>,
    definition: &Netcdf,
    document: Option<&Version>,
) -> Result<Arc<dyn Source>> {
    let (mut root, plans) = tree::edited(name, source.dataset(), definition)?;
    assign_maps(&mut root);
    let dataset = Dataset::new(name, root)?;
    let version = source.version().map(|version| Version {
        identity: format!("{}+{}", version.identity, digest(definition)).into(),
        modified: version.modified.max(document.and_then(|d| d.modified)),
    });
    Ok(Arc::new(Edited { source, dataset, version, plans }))
}

/// A dataset of nothing, for definitions that give all their values.
pub fn nothing(name: &str) -> Result<Arc<dyn Source>> {
    let dataset = Dataset::new(name, Group::new(FullName::root()))?;
    let version = Some(Version { identity: "nothing".into(), modified: None });
    Ok(Arc::new(Edited { source: Arc::new(Empty(dataset.clone())), dataset, version, plans: HashMap::new() }))
}

/// The same for equal definitions.
pub(crate) fn digest(definition: &Netcdf) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(format!("{definition:?}").as_bytes()))
}

/// How a variable is read.
#[derive(Debug)]
enum Plan {
    View(View),
    Given(Given),
}

#[derive(Debug)]
struct Edited {
    source: Arc<dyn Source>,
    dataset: Dataset,
    version: Option<Version>,
    plans: HashMap<FullName, Plan>,
}

impl Source for Edited {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        let described = match self.dataset.require(variable) {
            Ok(described) => described,
            Err(error) => return failed(error),
        };
        if selection.of_shape() != described.shape() {
            return failed(Error::internal("a selection made for another shape"));
        }
        match self.plans.get(variable) {
            Some(Plan::View(view)) => view.read(&self.source, variable, selection),
            Some(Plan::Given(given)) => given.read(&described.data_type, selection),
            None => failed(Error::internal(format!("nothing says how {variable} is read"))),
        }
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        match self.plans.get(variable)? {
            Plan::View(view) if view.is_plain() => self.source.stored(&view.base),
            _ => None,
        }
    }
}

/// What a dataset of nothing is made over.
#[derive(Debug)]
struct Empty(Dataset);

impl Source for Empty {
    fn dataset(&self) -> &Dataset {
        &self.0
    }

    fn version(&self) -> Option<&Version> {
        None
    }

    fn read(&self, variable: &FullName, _: &Selection) -> BlockStream {
        failed(Error::not_found(format!("there is no variable {variable}")))
    }
}
