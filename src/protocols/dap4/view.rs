//! A dataset as DAP4 shows it: order of variables, maps that can be followed, named axes.
//!
//! One stable rule for both the metadata and the data response, so their orders agree. Names of
//! variables do not change; reading passes straight through.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cdm::{BlockStream, Dataset, Dimension, FullName, Group, Result, Selection, Source, Variable, Version};

/// `source` as DAP4 shows it; itself when nothing needs to change.
///
/// The caller may keep the result beside the source: it is as immutable. Applying it twice changes
/// nothing.
///
/// # Errors
/// None in practice: names stay as unique as they were.
pub fn view(source: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
    // A dataset that needs no change is not copied.
    if is_fit(source.dataset()) {
        return Ok(source);
    }
    let mut view = Viewer { declared: HashSet::new() };
    let mut root = view.group(source.dataset().root());
    root.name = FullName::root();
    let dataset = Dataset::new(source.dataset().name(), root)?;
    Ok(Arc::new(View { source, dataset }))
}

#[derive(Debug)]
struct View {
    source: Arc<dyn Source>,
    dataset: Dataset,
}

impl Source for View {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.source.version()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        self.source.read(variable, selection)
    }
}

struct Viewer {
    /// Variables declared so far, in document order.
    declared: HashSet<FullName>,
}

/// Whether `dataset` is already as [`Viewer`] would make it.
fn is_fit(dataset: &Dataset) -> bool {
    let mut declared = HashSet::new();
    let uses_maps = dataset.variables().any(|(_, v)| !v.maps.is_empty());
    for group in dataset.root().walk() {
        if !coordinates_first(group).is_sorted() {
            return false;
        }
        for variable in &group.variables {
            if mixes_axes(variable) {
                return false;
            }
            if !uses_maps {
                continue;
            }
            let full = group.name.join(&variable.name);
            if !variable.maps.iter().all(|map| declared.contains(map) && full.is_within(&map.parent())) {
                return false;
            }
            declared.insert(full);
        }
    }
    true
}

/// Whether some axes have names and some have none.
fn mixes_axes(variable: &Variable) -> bool {
    let named = variable.dimensions.iter().filter(|d| d.name.is_some()).count();
    named > 0 && named < variable.dimensions.len()
}

impl Viewer {
    fn group(&mut self, group: &Group) -> Group {
        let order = coordinates_first(group);
        let mut dimensions = group.dimensions.clone();
        let mut variables = Vec::with_capacity(group.variables.len());
        for variable in order.into_iter().filter_map(|i| group.variables.get(i)) {
            let full = group.name.join(&variable.name);
            let mut shown = variable.clone();
            // A map must be declared already, in this or an enclosing group (notes 2.8).
            shown.maps.retain(|map| self.declared.contains(map) && full.is_within(&map.parent()));
            name_axes(&group.name, &mut shown, &mut dimensions);
            self.declared.insert(full);
            variables.push(shown);
        }
        Group {
            name: group.name.clone(),
            dimensions,
            types: group.types.clone(),
            variables,
            attributes: group.attributes.clone(),
            groups: group.groups.iter().map(|g| self.group(g)).collect(),
        }
    }
}

/// Gives names to anonymous axes beside named ones, which pydap would put in another order (2.7).
fn name_axes(group: &FullName, variable: &mut Variable, declared: &mut Vec<Dimension>) {
    if !mixes_axes(variable) {
        return;
    }
    for (axis, dimension) in variable.dimensions.iter_mut().enumerate() {
        if dimension.name.is_some() {
            continue;
        }
        let mut name = group.join(&format!("{}_dim_{axis}", variable.name));
        while declared.iter().any(|d| d.name.as_ref() == Some(&name)) {
            name = FullName::new(&format!("{name}_"));
        }
        dimension.name = Some(name);
        declared.push(dimension.clone());
    }
}

/// Positions of the group's variables, the targets of a variable's maps before it, else in file order.
fn coordinates_first(group: &Group) -> Vec<usize> {
    if group.variables.iter().all(|v| v.maps.is_empty()) {
        return (0..group.variables.len()).collect();
    }
    let positions: HashMap<FullName, usize> =
        group.variables.iter().enumerate().map(|(i, v)| (group.name.join(&v.name), i)).collect();
    let mut order = Vec::with_capacity(group.variables.len());
    let mut seen = vec![false; group.variables.len()];
    for first in 0..group.variables.len() {
        // Work list of (variable, its maps have been put on the list).
        let mut waiting = vec![(first, false)];
        while let Some((i, expanded)) = waiting.pop() {
            if expanded {
                order.push(i);
                continue;
            }
            let (Some(done), Some(variable)) = (seen.get_mut(i), group.variables.get(i)) else { continue };
            if std::mem::replace(done, true) {
                continue;
            }
            waiting.push((i, true));
            let targets = variable.maps.iter().rev().filter_map(|map| positions.get(map));
            waiting.extend(targets.map(|&target| (target, false)));
        }
    }
    order
}
