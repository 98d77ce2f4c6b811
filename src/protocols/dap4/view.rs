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
    let mut view = Viewer { declared: HashSet::new(), changed: false };
    let mut root = view.group(source.dataset().root());
    // A dataset that needs no change is not held twice.
    if !view.changed {
        return Ok(source);
    }
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
    changed: bool,
}

impl Viewer {
    fn group(&mut self, group: &Group) -> Group {
        let order = coordinates_first(group);
        self.changed |= !order.is_sorted();
        let mut dimensions = group.dimensions.clone();
        let mut variables = Vec::with_capacity(group.variables.len());
        for variable in order.into_iter().filter_map(|i| group.variables.get(i)) {
            let full = group.name.join(&variable.name);
            let mut shown = variable.clone();
            // A map must be declared already, in this or an enclosing group (notes 2.8).
            shown.maps.retain(|map| self.declared.contains(map) && full.is_within(&map.parent()));
            self.changed |= shown.maps.len() != variable.maps.len();
            self.name_axes(&group.name, &mut shown, &mut dimensions);
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

    /// Gives names to anonymous axes beside named ones, which pydap would put in another order (2.7).
    fn name_axes(&mut self, group: &FullName, variable: &mut Variable, declared: &mut Vec<Dimension>) {
        let named = variable.dimensions.iter().filter(|d| d.name.is_some()).count();
        if named == 0 || named == variable.dimensions.len() {
            return;
        }
        self.changed = true;
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
