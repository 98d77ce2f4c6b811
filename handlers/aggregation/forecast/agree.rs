//! Members that do not fit the others, and what the variables of those that do have in common: the rules are those of
//! joins, for members as they are without what says when, and with one name for each time dimension.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cdm::{Dataset, Dimension, FullName, Group, Result};

use super::described::Described;
use crate::aggregation::{
    Member, Note, kinds::Kinds, merged::Merged, structure::Structure, variables::Agreed,
};

/// The members that fit together, each with its [`Described::kind`], and what they agree on by variable; dimensions of
/// time have the names of axes. Notes say who is left out and what is converted.
pub(super) fn fitting(
    described: Vec<Described>,
    notes: &mut Vec<Note>,
) -> Result<(Vec<Described>, HashMap<FullName, Agreed>)> {
    if described.is_empty() {
        return Ok((described, HashMap::new()));
    }
    let mut axes: Vec<FullName> = Vec::new();
    for axis in described.iter().flat_map(|d| &d.axes) {
        if !axes.contains(&axis.name) {
            axes.push(axis.name.clone());
        }
    }
    let members = alike(&described)?;
    let kinds = Kinds::new(&members);
    let Structure { reference, kept, notes: different } =
        Structure::of(&members, &kinds, &axes, &|_| String::new());
    let merged = Merged::of(&members, &kinds, reference, kept, &axes)?;
    notes.extend(different);
    notes.extend(merged.left_out.iter().cloned());
    notes.extend(merged.conversion_notes(&members, &kinds));
    let kept: HashSet<usize> = merged.kept.into_iter().collect();
    let described = described.into_iter().zip(kinds.of).enumerate();
    let fitting = described.filter(|(i, _)| kept.contains(i)).map(|(_, (d, kind))| Described { kind, ..d });
    Ok((fitting.collect(), merged.variables.into_iter().collect()))
}

/// Members without the variables that say when, and with dimensions called as the axes are; equal descriptions stay
/// shared.
fn alike(described: &[Described]) -> Result<Vec<Member>> {
    type Layout = (*const Dataset, Vec<(Option<FullName>, FullName)>);
    let mut made: HashMap<Layout, Arc<Dataset>> = HashMap::new();
    let mut members = Vec::with_capacity(described.len());
    for one in described {
        let axes = one.axes.iter().map(|axis| (axis.dimension.clone(), axis.name.clone())).collect();
        let layout: Layout = (Arc::as_ptr(&one.member.dataset), axes);
        let shared = made.get(&layout).cloned();
        let dataset = if let Some(dataset) = shared {
            dataset
        } else {
            let root = renamed(one, one.member.dataset.root());
            let dataset = Arc::new(Dataset::new(one.member.dataset.name(), root)?);
            made.insert(layout, Arc::clone(&dataset));
            dataset
        };
        members.push(Member { dataset, ..one.member.clone() });
    }
    Ok(members)
}

fn renamed(described: &Described, group: &Group) -> Group {
    let mut variables = Vec::with_capacity(group.variables.len());
    for variable in &group.variables {
        let name = group.name.join(&variable.name);
        if described.said.contains(&name) {
            continue;
        }
        let mut variable = variable.clone();
        if let Some((axis, position)) = described.axis_of(&name, &variable)
            && let Some(axis) = described.axes.get(axis)
        {
            let size = axis.cells.len() as u64;
            match position {
                Some(at) => variable.dimensions[at] = Dimension::shared(axis.name.clone(), size),
                None => variable.dimensions.insert(0, Dimension::shared(axis.name.clone(), size)),
            }
        }
        variables.push(variable);
    }
    Group {
        variables,
        groups: group.groups.iter().map(|child| renamed(described, child)).collect(),
        ..group.clone()
    }
}
