//! A file's objects as the model's dataset, as netCDF-C presents netCDF-4 and HDF5 files, with what
//! netCDF-C leaves out but the model can say (references, booleans, half floats, array types).

use std::{
    mem::take,
    sync::{Arc, OnceLock},
};

use cdm::{DataType, Dataset, Dimension, Error, ErrorKind, FullName, Group, Result, Variable};
use foldhash::{HashMap, HashMapExt};

use super::{
    arrays::{array, missing_element},
    attributes::attributes,
    dimensions::{Axes, Dimensions, Shared},
    elements::Heaps,
    format::{DatasetInfo, Dataspace, File, RawAttribute},
    padding::Padding,
    tree::{DatasetDraft, Tree},
    types::{Place, Types},
};
use crate::{chunked::ChunkedArray, coordinate_maps::assign_maps, storage::Object};

/// How netCDF-4 names a variable that has a dimension's name but is not its coordinate variable.
const NON_COORDINATE: &str = "_nc4_non_coord_";

/// Where a variable's values come from.
#[derive(Debug)]
pub(super) struct Values {
    info: Arc<DatasetInfo>,
    /// Its unlimited dimensions are longer.
    is_short: bool,
    /// Made when it is first read, which most variables of large files never are; at opening when it is short.
    made: OnceLock<Result<Made>>,
}

/// What the chunk engine reads.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) array: Arc<ChunkedArray>,
    /// What it lacks, when its unlimited dimensions are longer.
    pub(super) padding: Option<Arc<Padding>>,
}

impl Values {
    /// Of the variable called `full`, of this type.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn made(
        &self,
        full: &FullName,
        data_type: &DataType,
        object: &Arc<Object>,
        heaps: &Heaps,
    ) -> Result<&Made> {
        let new = || {
            let array = array(full.clone(), object, &self.info, heaps)?;
            let padding = if self.is_short {
                let missing = missing_element(&array, &self.info, data_type)?;
                Some(Arc::new(Padding { missing, fixed_size: data_type.fixed_size() }))
            } else {
                None
            };
            Ok(Made { array: Arc::new(array), padding })
        };
        let made = self.made.get_or_init(|| new().map_err(|e: Error| e.within(full)));
        made.as_ref().map_err(Error::shared)
    }
}

/// The values of every variable.
pub(super) type ValuesByName = HashMap<FullName, Values>;

/// Reads all metadata of `file`, which is `object`. Blocks on storage.
pub(super) fn read(file: &File, object: &Arc<Object>) -> Result<(Dataset, ValuesByName, Heaps)> {
    let mut tree = Tree::read(file)?;
    let heaps = Heaps { file: file.clone(), paths: Arc::new(take(&mut tree.paths)) };
    let dimensions = Dimensions::resolve(&tree, &heaps);
    let count = tree.groups.iter().map(|g| g.datasets.len()).sum();
    let values = HashMap::with_capacity(count);
    let shown = dimensions.all.iter().map(|d| dimension(&tree, d)).collect();
    // What a draft says is moved into what is made of it, so that both never take memory for the whole file.
    let drafts = tree.groups.iter_mut().map(|g| (take(&mut g.attributes), take(&mut g.datasets)));
    let drafts: Vec<_> = drafts.collect();
    let types = Types::collect(&tree);
    let mut build =
        Build { tree: &tree, dimensions: &dimensions, shown, heaps: &heaps, object, types, values };
    let mut groups = Vec::with_capacity(tree.groups.len());
    for (at, (attributes, datasets)) in drafts.into_iter().enumerate() {
        groups.push(Some(build.group(at, attributes, datasets)?));
    }
    let values = build.values;
    // Children come after their parents: moving the last first, every group is whole when it moves.
    for at in (1..groups.len()).rev() {
        let (Some(mut group), Some(parent)) = (groups[at].take(), tree.groups[at].parent) else { continue };
        group.groups.reverse();
        if let Some(parent) = &mut groups[parent] {
            parent.groups.push(group);
        }
    }
    let mut root = groups.swap_remove(0).ok_or_else(|| Error::internal("a file without a root group"))?;
    root.groups.reverse();
    assign_maps(&mut root);
    Ok((Dataset::new(Arc::clone(&object.name), root)?, values, heaps))
}

struct Build<'a> {
    tree: &'a Tree,
    dimensions: &'a Dimensions,
    /// [`Dimensions::all`] as the model has them.
    shown: Vec<Dimension>,
    heaps: &'a Heaps,
    object: &'a Arc<Object>,
    types: Types<'a>,
    values: ValuesByName,
}

impl Build<'_> {
    fn group(&mut self, at: usize, own: Vec<RawAttribute>, datasets: Vec<DatasetDraft>) -> Result<Group> {
        let draft = &self.tree.groups[at];
        let mut group = Group::new(draft.name.clone());
        group.dimensions = self.dimensions.of_group(at).into_iter().map(|d| self.shown[d].clone()).collect();
        let place = Place { group: &draft.name, hint: "" };
        group.attributes = attributes(own, &mut self.types, place, self.heaps)?;
        group.variables.reserve_exact(datasets.len());
        for (dataset, axes) in datasets.into_iter().zip(&self.dimensions.axes[at]) {
            if axes.dimension_only {
                continue;
            }
            let name = match dataset.name.strip_prefix(NON_COORDINATE) {
                Some(rest) if !rest.is_empty() => rest.into(),
                _ => Arc::clone(&dataset.name),
            };
            let full = draft.name.join(&name);
            if self.values.contains_key(&full) {
                tracing::warn!(variable = %full, "a second dataset of the same name is left out");
                continue;
            }
            if let Some(variable) = self.variable(&draft.name, name, full, dataset, axes)? {
                group.variables.push(variable);
            }
        }
        group.types = self.types.take(&draft.name);
        Ok(group)
    }

    /// `None`: the model has no type for it.
    fn variable(
        &mut self,
        group: &FullName,
        name: Arc<str>,
        full: FullName,
        dataset: DatasetDraft,
        axes: &Axes,
    ) -> Result<Option<Variable>> {
        let info = dataset.info;
        let place = Place { group, hint: &name };
        let (data_type, inner) = match self.types.of(&info.datatype, info.committed, place) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::Unsupported => {
                tracing::warn!(variable = %full, error = %e, "a variable is left out");
                return Ok(None);
            }
            Err(e) => return Err(e.within(&full)),
        };
        let mut dimensions = Vec::with_capacity(info.dataspace.dims().len());
        let mut short = false;
        for (axis, &size) in info.dataspace.dims().iter().enumerate() {
            let shared = axes.shared.get(axis).copied().flatten().and_then(|d| self.shown.get(d));
            match shared {
                Some(d) if d.size == size || d.unlimited && d.size > size => {
                    short |= d.size > size;
                    dimensions.push(d.clone());
                }
                _ => dimensions.push(Dimension::anonymous(size)),
            }
        }
        if info.dataspace == Dataspace::Null {
            dimensions.push(Dimension::anonymous(0));
        } else {
            dimensions.extend(inner.into_iter().map(Dimension::anonymous));
        }
        let raw = Arc::unwrap_or_clone(dataset.attributes);
        let attributes = attributes(raw, &mut self.types, place, self.heaps)?;
        let values = Values { info, is_short: short, made: OnceLock::new() };
        if short {
            // What it lacks may be a text in the file, which is read where waiting is allowed: here. An error is told
            // at reading.
            let _ = values.made(&full, &data_type, self.object, self.heaps);
        }
        self.values.insert(full, values);
        Ok(Some(Variable { attributes, ..Variable::new(name, data_type, dimensions) }))
    }
}

fn dimension(tree: &Tree, shared: &Shared) -> Dimension {
    let name = tree.groups[shared.group].name.join(&shared.name);
    Dimension { name: Some(name), size: shared.size, unlimited: shared.unlimited }
}
