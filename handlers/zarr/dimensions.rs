//! Dimensions: Zarr names axes, array by array; the model shares dimensions between arrays.
//!
//! Arrays of one group whose axes have the same name and size share a dimension of the group; one of the
//! nearest enclosing group with the same name and size is used rather than a new one; an axis of the same
//! name and another size gets a dimension with its size in the name. Where netCDF-C wrote the hierarchy, its
//! own dimensions are used.

#![warn(clippy::indexing_slicing)]

use std::collections::HashMap;

use cdm::{Dimension, FullName};

use super::{
    hierarchy::{Node, Version},
    json::Json,
};

/// What netCDF-C wrote about a node (`_nczarr_array`, `_nczarr_group`), in the metadata or the attributes.
pub(super) fn netcdf<'a>(node: &'a Node, what: &str) -> Option<&'a Json> {
    let matches = |name: &str| {
        name.get(..8).is_some_and(|n| n.eq_ignore_ascii_case("_nczarr_"))
            && name.get(8..).is_some_and(|n| n.eq_ignore_ascii_case(what))
    };
    let mut members = node.attributes.members().iter().chain(node.document.members());
    members.find(|(name, _)| matches(name)).map(|(_, value)| value)
}

/// The names of an array's axes: `None` for those without one. A name that begins with `/` is a whole one.
fn names(node: &Node, rank: usize) -> Vec<Option<String>> {
    let own = netcdf(node, "array")
        .and_then(|array| array.member("dimension_references").or_else(|| array.member("dimrefs")));
    let list = own
        .or_else(|| match node.format {
            Version::V2 => node.attributes.member("_ARRAY_DIMENSIONS"),
            Version::V3 => {
                let names = node.document.member("dimension_names").filter(|n| **n != Json::Null);
                names.or_else(|| node.attributes.member("_ARRAY_DIMENSIONS"))
            }
        })
        .and_then(Json::list)
        .filter(|list| list.len() == rank)
        .unwrap_or_default();
    let name = |json: &Json| json.text().filter(|t| !t.is_empty() && !t.ends_with('/')).map(str::to_owned);
    let mut names: Vec<_> = list.iter().map(name).collect();
    names.resize(rank, None);
    names
}

/// The dimensions of every group, as they come to be known.
#[derive(Debug, Default)]
pub(super) struct Dimensions {
    by_group: HashMap<FullName, Own>,
}

/// What one group declares.
#[derive(Debug, Default)]
struct Own {
    all: Vec<Dimension>,
    positions: HashMap<FullName, usize>,
}

impl Own {
    fn get(&self, name: &FullName) -> Option<&Dimension> {
        self.all.get(*self.positions.get(name)?)
    }

    /// Adds a dimension of a new name.
    fn add(&mut self, name: FullName, dimension: Dimension) {
        self.positions.insert(name, self.all.len());
        self.all.push(dimension);
    }
}

impl Dimensions {
    /// Declares what netCDF-C says are the dimensions of a group.
    pub(super) fn declare(&mut self, group: &FullName, node: &Node) {
        let Some(own) = netcdf(node, "group") else { return };
        let named = own.member("dimensions").or_else(|| own.member("dims"));
        for (name, value) in named.map(Json::members).unwrap_or_default() {
            let size = value.size().or_else(|| value.member("size")?.size());
            let Some(size) = size.filter(|_| !name.is_empty() && !name.contains('/')) else { continue };
            let unlimited = value.member("unlimited").and_then(Json::integer).unwrap_or(0) != 0;
            let full = group.join(name);
            let dimension = Dimension { name: Some(full.clone()), size, unlimited };
            let own = self.by_group.entry(group.clone()).or_default();
            if own.get(&full).is_none() {
                own.add(full, dimension);
            }
        }
    }

    /// The dimensions of an array of `shape` in `group`. Arrays of enclosing groups come first.
    pub(super) fn of_array(&mut self, group: &FullName, node: &Node, shape: &[u64]) -> Vec<Dimension> {
        let names = names(node, shape.len());
        let axes = names.into_iter().zip(shape);
        axes.map(|(name, &size)| match name {
            None => Dimension::anonymous(size),
            Some(name) => self.shared(group, &name, size),
        })
        .collect()
    }

    /// What is declared in a group.
    pub(super) fn of_group(&self, group: &FullName) -> Vec<Dimension> {
        self.by_group.get(group).map(|own| own.all.clone()).unwrap_or_default()
    }

    fn shared(&mut self, group: &FullName, name: &str, size: u64) -> Dimension {
        if name.starts_with('/')
            && let Some(found) = self.find(&FullName::new(name), size)
        {
            return found;
        }
        let name = name.rsplit('/').next().unwrap_or(name);
        let mut at = group.clone();
        loop {
            if let Some(found) = self.find(&at.join(name), size) {
                return found;
            }
            if at.is_root() {
                break;
            }
            at = at.parent();
        }
        let all = self.by_group.entry(group.clone()).or_default();
        let mut own = group.join(name);
        while all.get(&own).is_some() {
            own = FullName::new(&format!("{own}_{size}"));
            // Another array with the same conflict was here before.
            if let Some(found) = all.get(&own).filter(|d| d.size == size) {
                return found.clone();
            }
        }
        let dimension = Dimension::shared(own.clone(), size);
        all.add(own, dimension.clone());
        dimension
    }

    fn find(&self, name: &FullName, size: u64) -> Option<Dimension> {
        self.by_group.get(&name.parent())?.get(name).filter(|d| d.size == size).cloned()
    }
}
