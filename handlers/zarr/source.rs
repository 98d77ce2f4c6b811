//! A hierarchy as a [`cdm::Source`].

#![warn(clippy::indexing_slicing)]

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cdm::{
    BlockStream, Dataset, Error, FullName, Group, Result, ResultExt, Selection, Source, StoredChunks,
    Variable, Version, source::failed,
};

use super::{
    ChunkKeys,
    array::{MOST_FILLS, Shared, Values, draft},
    attributes::attributes,
    dimensions::Dimensions,
    hierarchy::Node,
};
use crate::{chunked::Engine, coordinate_maps::assign_maps, storage::Place};

/// An open hierarchy.
#[derive(Debug)]
pub(super) struct ZarrSource {
    dataset: Dataset,
    version: Option<Version>,
    values: HashMap<FullName, Result<Values>>,
    engine: Arc<Engine>,
}

/// What two opened hierarchies never share, so that neither is given the other's decoded chunks.
fn new_identity(version: Option<&Version>) -> Arc<str> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    match version {
        Some(version) => Arc::clone(&version.identity),
        None => format!("zarr-{}", OPENED.fetch_add(1, Ordering::Relaxed)).into(),
    }
}

impl ZarrSource {
    /// The dataset that `nodes` (parents before children) describe.
    pub(super) fn new(
        place: &Place,
        nodes: &[Node],
        keys: &Arc<dyn ChunkKeys>,
        version: Option<Version>,
        engine: Arc<Engine>,
    ) -> Result<Self> {
        let shared = Shared {
            place,
            keys,
            identity: new_identity(version.as_ref()),
            fills_left: Cell::new(MOST_FILLS),
        };
        let mut groups: Vec<(Group, Option<usize>)> = Vec::new();
        let mut positions: HashMap<&str, usize> = HashMap::new();
        let mut dimensions = Dimensions::default();
        let mut values = HashMap::new();
        for node in nodes.iter().filter(|n| !n.is_array) {
            let name = FullName::new(&node.path);
            let parent = node.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let parent = if node.path.is_empty() { None } else { positions.get(parent).copied() };
            if positions.insert(&node.path, groups.len()).is_some() || (parent.is_none() && !name.is_root()) {
                return Err(Error::corrupt(format!("the group {name} is out of place")));
            }
            dimensions.declare(&name, node);
            let mut group = Group::new(name);
            group.attributes = attributes(&node.attributes, None);
            groups.push((group, parent));
        }
        if groups.is_empty() {
            groups.push((Group::new(FullName::root()), None));
            positions.insert("", 0);
        }
        for node in nodes.iter().filter(|n| n.is_array) {
            let (parent, name) = match node.path.rsplit_once('/') {
                Some((parent, name)) => (parent, name),
                None if node.path.is_empty() => ("", stem(&place.name)),
                None => ("", node.path.as_str()),
            };
            let group = positions.get(parent).and_then(|at| groups.get_mut(*at));
            let Some((group, _)) = group else {
                return Err(Error::corrupt(format!("the array /{} is within an array", node.path)));
            };
            let full = group.name.join(name);
            let draft = match draft(node, &full, &shared) {
                Ok(draft) => draft,
                Err(e) => {
                    tracing::warn!(dataset = %place.name, variable = %full, error = %e, "left out");
                    continue;
                }
            };
            let dims = dimensions.of_array(&group.name, node, &draft.shape);
            let mut variable = Variable::new(name, draft.data_type, dims);
            variable.attributes = draft.attributes;
            group.variables.push(variable);
            values.insert(full, draft.values);
        }
        for (group, _) in &mut groups {
            group.dimensions = dimensions.of_group(&group.name);
        }
        let mut root = tree(groups)?;
        assign_maps(&mut root);
        let dataset = Dataset::new(Arc::clone(&place.name), root)?;
        Ok(Self { dataset, version, values, engine })
    }

    fn blocks(&self, variable: &FullName, selection: &Selection) -> Result<BlockStream> {
        self.dataset.require(variable)?;
        let values = self.values.get(variable).ok_or_else(|| Error::internal("a variable without values"))?;
        Ok(match values.as_ref().map_err(Error::shared).within(|| variable.clone())? {
            Values::Fixed(array) => self.engine.read(array, selection),
            Values::Varying(array) => self.engine.read_varying(array, selection),
        })
    }
}

/// The groups as one tree; each comes after its parent, whose position it has.
fn tree(mut groups: Vec<(Group, Option<usize>)>) -> Result<Group> {
    while groups.len() > 1 {
        // The last has all its children by now, the last one first.
        let Some((mut group, parent)) = groups.pop() else { break };
        group.groups.reverse();
        if let Some((parent, _)) = parent.and_then(|at| groups.get_mut(at)) {
            parent.groups.push(group);
        }
    }
    let (mut root, _) = groups.pop().ok_or_else(|| Error::internal("a hierarchy without a root"))?;
    root.groups.reverse();
    Ok(root)
}

/// What a lone array is called: as its folder, without `.zarr`.
fn stem(name: &str) -> &str {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.strip_suffix(".zip").unwrap_or(last);
    let last = last.strip_suffix(".zarr").unwrap_or(last);
    if last.is_empty() { "data" } else { last }
}

impl Source for ZarrSource {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        self.blocks(variable, selection).unwrap_or_else(failed)
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        match self.values.get(variable)?.as_ref().ok()? {
            Values::Fixed(array) => array.stored(),
            Values::Varying(_) => None,
        }
    }
}
