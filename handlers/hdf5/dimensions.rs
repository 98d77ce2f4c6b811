//! The dimensions of a file, as netCDF-C finds them: dimension scales, the ids netCDF-4 hides in
//! attributes, the references between datasets and scales, and phony dimensions for the rest.

use std::sync::Arc;

use super::{
    elements::Heaps,
    format::{DatasetInfo, Dataspace, Datatype, FloatKind, RawAttribute, VarLenKind},
    tree::{DatasetDraft, Tree},
};
use foldhash::HashMap;

/// How the NAME of a scale begins that is a dimension without a variable.
const WITHOUT_VARIABLE: &str = "This is a netCDF dimension but not a netCDF variable";

/// A shared dimension.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    /// Index of its group in [`Tree::groups`].
    pub(super) group: usize,
    pub(super) size: u64,
    pub(super) unlimited: bool,
    /// netCDF's number: dimensions of a group are listed by it.
    pub(super) id: i64,
}

/// What a dataset is to the dimensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Axes {
    /// The shared dimension of each axis of the dataspace, as an index into [`Dimensions::all`].
    pub(super) shared: Vec<Option<usize>>,
    /// It is a dimension only, no variable.
    pub(super) dimension_only: bool,
    /// It is a scale: its axes are settled when it is met.
    is_scale: bool,
    /// Ids of its dimensions as netCDF hid them.
    ids: Option<Vec<i64>>,
}

/// The dimensions of a file.
#[derive(Debug, Default)]
pub(super) struct Dimensions {
    pub(super) all: Vec<Shared>,
    /// By group and dataset as in [`Tree::groups`].
    pub(super) axes: Vec<Vec<Axes>>,
    by_id: HashMap<i64, usize>,
    by_group: Vec<Vec<usize>>,
    /// The first dimension of a group that is the scale at an address.
    by_scale: HashMap<(usize, u64), usize>,
    /// The dimensions of a group of one size and kind, in order.
    by_extent: HashMap<(usize, u64, bool), Vec<usize>>,
    next_id: i64,
}

impl Dimensions {
    /// Finds all dimensions of `tree`, and which axes they are.
    pub(super) fn resolve(tree: &Tree, heaps: &Heaps) -> Self {
        let mut found = Self {
            axes: tree.groups.iter().map(|g| vec![Axes::default(); g.datasets.len()]).collect(),
            by_group: vec![Vec::new(); tree.groups.len()],
            ..Self::default()
        };
        for &group in &tree.order {
            for (i, dataset) in tree.groups[group].datasets.iter().enumerate() {
                found.axes[group][i] = found.read(group, dataset);
            }
        }
        found.use_ids();
        // Variables that netCDF-C does not know come last, so that they do not shift the numbers it gives.
        for known in [true, false] {
            for group in children_first(tree) {
                found.match_scales(tree, group, heaps, known);
            }
        }
        found.measure(tree);
        found
    }

    /// The dimensions declared in `group`, by id, as indices into [`Dimensions::all`].
    pub(super) fn of_group(&self, group: usize) -> Vec<usize> {
        let mut own = self.by_group[group].clone();
        own.sort_by_key(|&d| self.all[d].id);
        own
    }

    fn add(
        &mut self,
        group: usize,
        name: Arc<str>,
        extent: (u64, bool),
        id: Option<i64>,
        object: Option<u64>,
    ) -> usize {
        let id = id.unwrap_or_else(|| {
            self.next_id += 1;
            self.next_id - 1
        });
        let index = self.all.len();
        let (size, grows) = extent;
        // netCDF-C says "unlimited" by a length of 0, and so takes every empty dimension for one.
        let unlimited = grows || size == 0;
        self.all.push(Shared { name, group, size, unlimited, id });
        self.by_id.insert(id, index);
        self.by_group[group].push(index);
        if let Some(object) = object {
            self.by_scale.entry((group, object)).or_insert(index);
        }
        self.by_extent.entry((group, size, unlimited)).or_default().push(index);
        index
    }

    /// The first look at a dataset: whether it is a scale, and the ids netCDF hid in it.
    fn read(&mut self, group: usize, dataset: &DatasetDraft) -> Axes {
        let dims = dataset.info.dataspace.dims();
        let mut axes = Axes { shared: vec![None; dims.len()], ..Axes::default() };
        axes.ids =
            dataset.attribute("_Netcdf4Coordinates").map(integers).filter(|ids| ids.len() == dims.len());
        let (true, Some(&size)) = (is_scale(dataset), dims.first()) else { return axes };
        let id = dataset.attribute("_Netcdf4Dimid").and_then(|a| integers(a).first().copied());
        let id = id.filter(|id| (0..i64::from(i32::MAX)).contains(id));
        if let Some(id) = id {
            self.next_id = self.next_id.max(id + 1);
        }
        let name = dataset.attribute("NAME").map(text).unwrap_or_default();
        axes.dimension_only = name.starts_with(WITHOUT_VARIABLE);
        axes.is_scale = true;
        let extent = (size, unlimited(&dataset.info, 0));
        let index = self.add(group, Arc::clone(&dataset.name), extent, id, Some(dataset.address));
        if let Some(first) = axes.shared.first_mut() {
            *first = Some(index);
        }
        axes
    }

    /// Hidden ids name dimensions wherever they are declared.
    fn use_ids(&mut self) {
        for axes in self.axes.iter_mut().flatten() {
            // A 1-D scale is its own dimension whatever the ids say.
            if axes.is_scale && axes.shared.len() < 2 {
                continue;
            }
            if let Some(ids) = &axes.ids {
                axes.shared = ids.iter().map(|id| self.by_id.get(id).copied()).collect();
            }
        }
    }

    /// References to scales, and phony dimensions for datasets without; of those datasets whose types
    /// are `known` to netCDF-C, or are not.
    fn match_scales(&mut self, tree: &Tree, group: usize, heaps: &Heaps, known: bool) {
        for (i, dataset) in tree.groups[group].datasets.iter().enumerate() {
            let axes = &self.axes[group][i];
            if axes.is_scale || axes.ids.is_some() || known_to_netcdf(&dataset.info.datatype) != known {
                continue;
            }
            let scales = attached_scales(dataset, heaps);
            self.axes[group][i].shared = match scales {
                Some(scales) => {
                    scales.into_iter().map(|s| s.and_then(|s| self.visible(tree, group, s))).collect()
                }
                None => self.phony(group, &dataset.info),
            };
        }
    }

    /// The dimension of the scale at `object`, declared in `group` or an enclosing one.
    fn visible(&self, tree: &Tree, group: usize, object: u64) -> Option<usize> {
        let mut at = Some(group);
        while let Some(group) = at {
            let found = self.by_scale.get(&(group, object));
            if found.is_some() {
                return found.copied();
            }
            at = tree.groups[group].parent;
        }
        None
    }

    /// A dimension of the group of the same size and kind for each axis, never twice for one variable.
    fn phony(&mut self, group: usize, info: &DatasetInfo) -> Vec<Option<usize>> {
        let mut chosen: Vec<Option<usize>> = Vec::new();
        for (axis, &size) in info.dataspace.dims().iter().enumerate() {
            let unlimited = unlimited(info, axis);
            let alike = self.by_extent.get(&(group, size, unlimited)).into_iter().flatten();
            let mut found = alike.copied().find(|d| !chosen.contains(&Some(*d)));
            if found.is_none() {
                let name = format!("phony_dim_{}", self.next_id);
                found = Some(self.add(group, name.into(), (size, unlimited), None, None));
            }
            chosen.push(found);
        }
        chosen
    }

    /// An unlimited dimension is as long as its longest use in its group and below.
    fn measure(&mut self, tree: &Tree) {
        for dimension in self.all.iter_mut().filter(|d| d.unlimited) {
            dimension.size = 0;
        }
        for (group, all) in self.axes.iter().enumerate() {
            for (axes, dataset) in all.iter().zip(&tree.groups[group].datasets) {
                if axes.dimension_only {
                    continue;
                }
                for (shared, &size) in axes.shared.iter().zip(dataset.info.dataspace.dims()) {
                    let Some(dimension) = shared.and_then(|d| self.all.get_mut(d)) else { continue };
                    if dimension.unlimited && is_within(tree, group, dimension.group) {
                        dimension.size = dimension.size.max(size);
                    }
                }
            }
        }
    }
}

/// Whether `group` is `ancestor` or below it.
fn is_within(tree: &Tree, group: usize, ancestor: usize) -> bool {
    let mut at = Some(group);
    while let Some(group) = at {
        if group == ancestor {
            return true;
        }
        at = tree.groups[group].parent;
    }
    false
}

/// Group indices, each after its children.
fn children_first(tree: &Tree) -> Vec<usize> {
    let mut order = Vec::with_capacity(tree.groups.len());
    let mut waiting = vec![0];
    // Parents first with children in reverse; backwards that is children first, in order.
    while let Some(at) = waiting.pop() {
        order.push(at);
        waiting.extend(tree.groups[at].children.iter());
    }
    order.reverse();
    order
}

fn unlimited(info: &DatasetInfo, axis: usize) -> bool {
    match &info.dataspace {
        Dataspace::Simple { max_dims, .. } => max_dims.get(axis).is_some_and(Option::is_none),
        _ => false,
    }
}

fn is_scale(dataset: &DatasetDraft) -> bool {
    dataset.attribute("CLASS").is_some_and(|a| text(a) == "DIMENSION_SCALE")
}

/// The text of a fixed-length string attribute.
fn text(attribute: &RawAttribute) -> String {
    let stored = attribute.data.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(stored).into_owned()
}

/// The numbers of an integer attribute of 4-byte elements, which is what netCDF-C writes.
fn integers(attribute: &RawAttribute) -> Vec<i64> {
    use super::format::ByteOrder::Big;
    let Datatype::FixedPoint { size: 4, order, .. } = attribute.datatype else { return Vec::new() };
    let read =
        |c: &[u8; 4]| i64::from(if order == Big { i32::from_be_bytes(*c) } else { i32::from_le_bytes(*c) });
    attribute.data.as_chunks::<4>().0.iter().map(read).collect()
}

/// The scale attached to each axis (the last one, as netCDF-C takes it); `None` when the first axis
/// has none, which netCDF-C takes for a dataset without scales.
fn attached_scales(dataset: &DatasetDraft, heaps: &Heaps) -> Option<Vec<Option<u64>>> {
    let list = dataset.attribute("DIMENSION_LIST")?;
    let Datatype::VarLen { size, kind: VarLenKind::Sequence, base } = &list.datatype else { return None };
    if !matches!(**base, Datatype::Reference { .. }) {
        return None;
    }
    let (size, one) = (usize::try_from(*size).ok()?, usize::try_from(base.size()).ok()?);
    let rank = dataset.info.dataspace.dims().len();
    let scales: Vec<Option<u64>> = list
        .data
        .chunks_exact(size.max(1))
        .take(rank)
        .map(|element| heaps.last_reference(element, one))
        .collect();
    (scales.len() == rank && scales.first().is_some_and(Option::is_some)).then_some(scales)
}

/// Whether netCDF-C 4.10 lists variables of this type.
fn known_to_netcdf(datatype: &Datatype) -> bool {
    match datatype {
        Datatype::FixedPoint { size, .. } => matches!(size, 1 | 2 | 4 | 8),
        Datatype::Float(f) => matches!(f.kind(), FloatKind::Float32 | FloatKind::Float64),
        Datatype::String { .. }
        | Datatype::Opaque { .. }
        | Datatype::VarLen { kind: VarLenKind::String { .. }, .. } => true,
        Datatype::VarLen { base, .. } | Datatype::Enum { base, .. } => known_to_netcdf(base),
        Datatype::Compound { members, .. } => {
            members.iter().all(|m| known_to_netcdf(super::elements::array_of(&m.datatype).1))
        }
        _ => false,
    }
}
