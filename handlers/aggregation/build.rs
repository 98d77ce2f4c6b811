//! The description of the result: the reference's, with variables, dimensions and attributes set.

use std::collections::HashMap;

use cdm::{Dataset, Dimension, FullName, Group, Result, Variable};

use crate::coordinate_maps::assign_maps;

/// A dataset being described.
#[derive(Debug)]
pub(super) struct Description {
    root: Group,
}

impl Description {
    /// Groups, types, dimensions and attributes of `dataset`, without its variables.
    pub(super) fn like(dataset: &Dataset) -> Self {
        let mut root = dataset.root().clone();
        each_group(&mut root, &mut |group| group.variables.clear());
        Self { root }
    }

    /// Adds a variable to the group that its name says, and the dimensions it needs where their names say.
    pub(super) fn add(&mut self, name: &FullName, variable: Variable) {
        for dimension in &variable.dimensions {
            self.add_dimension(dimension);
        }
        self.group(&name.parent()).variables.push(variable);
    }

    /// Adds a dimension, or sets the size of the one of that name.
    pub(super) fn add_dimension(&mut self, dimension: &Dimension) {
        let Some(name) = &dimension.name else { return };
        let group = self.group(&name.parent());
        match group.dimensions.iter_mut().find(|d| d.name.as_ref() == Some(name)) {
            Some(known) => *known = dimension.clone(),
            None => group.dimensions.push(dimension.clone()),
        }
    }

    /// Takes over what types a variable of another dataset needs.
    pub(super) fn add_types(&mut self, of: &Dataset) {
        for group in of.root().walk().filter(|g| !g.types.is_empty()) {
            let here = self.group(&group.name);
            for definition in &group.types {
                if here.types.iter().all(|t| t.name != definition.name) {
                    here.types.push(definition.clone());
                }
            }
        }
    }

    /// Takes over the attributes of groups that are not here yet under their names.
    pub(super) fn add_attributes(&mut self, of: &Dataset) {
        for group in of.root().walk() {
            let here = self.group(&group.name);
            for attribute in &group.attributes {
                if here.attributes.get(&attribute.name).is_none() {
                    here.attributes.set(attribute.clone());
                }
            }
        }
    }

    /// The group of that name, made if it is not there.
    fn group(&mut self, name: &FullName) -> &mut Group {
        let mut at = &mut self.root;
        for component in name.components() {
            let full = at.name.join(component);
            let position = at.groups.iter().position(|g| g.name == full).unwrap_or_else(|| {
                at.groups.push(Group::new(full));
                at.groups.len() - 1
            });
            at = &mut at.groups[position];
        }
        at
    }

    /// The finished dataset: sizes of dimensions as declared last, coordinates found.
    pub(super) fn finish(mut self, name: &str) -> Result<Dataset> {
        let mut sizes: HashMap<FullName, Dimension> = HashMap::new();
        each_group(&mut self.root, &mut |group| {
            for dimension in &group.dimensions {
                sizes.extend(dimension.name.clone().map(|n| (n, dimension.clone())));
            }
        });
        each_group(&mut self.root, &mut |group| {
            for dimension in group.variables.iter_mut().flat_map(|v| &mut v.dimensions) {
                if let Some(known) = dimension.name.as_ref().and_then(|n| sizes.get(n)) {
                    dimension.unlimited = known.unlimited;
                }
            }
        });
        assign_maps(&mut self.root);
        Dataset::new(name, self.root)
    }
}

fn each_group(group: &mut Group, act: &mut dyn FnMut(&mut Group)) {
    act(group);
    for child in &mut group.groups {
        each_group(child, act);
    }
}
