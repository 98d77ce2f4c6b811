//! One after the other: along a dimension that members have, or along one that is new.

use std::{collections::HashSet, sync::Arc};

use cdm::{Block, Dimension, Error, FullName, Result, Variable};

use super::{
    Assembled, Combined, Member, Note,
    axis::{Axis, Position, order},
    build::Description,
    combine::version_of,
    coordinate::{Coordinate, find},
    joined::Joined,
    kinds::{Kinds, is_coordinate},
    merged::Merged,
    promote::promoted,
    structure::{Structure, left_out},
};
use crate::ncml::document::Aggregation;

/// What is joined along what.
pub(super) struct Along {
    /// The join dimension; several when groups have one of that name each.
    pub(super) dimensions: Vec<FullName>,
    /// The members have it not.
    pub(super) is_new: bool,
}

impl Along {
    /// Which axis of a variable is the join dimension.
    pub(super) fn axis_of(&self, variable: &Variable) -> Option<usize> {
        variable.dimensions.iter().position(|d| d.name.as_ref().is_some_and(|n| self.dimensions.contains(n)))
    }

    /// The join dimension for a variable in `group`: its own group's, or the nearest enclosing one's.
    pub(super) fn for_group(&self, group: &FullName) -> &FullName {
        let enclosing = self.dimensions.iter().filter(|d| group.is_within(&d.parent()));
        enclosing.max_by_key(|d| d.as_str().len()).unwrap_or(&self.dimensions[0])
    }
}

/// `joinExisting`.
pub(super) fn existing(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    let wanted = dimension_name(name, aggregation)?;
    let kinds = Kinds::new(&members);
    let dimensions = existing_dimensions(&kinds, wanted);
    if dimensions.is_empty() {
        let mut there: Vec<&FullName> = kinds.datasets[0]
            .variables()
            .flat_map(|(_, v)| &v.dimensions)
            .filter_map(|d| d.name.as_ref())
            .collect();
        there.sort_unstable();
        there.dedup();
        let there: Vec<&str> = there.into_iter().map(FullName::as_str).collect();
        return Err(Error::unsupported(format!(
            "{name}: no member has a dimension {wanted} to join along; {} has {}",
            members[0].name,
            if there.is_empty() { "none".to_owned() } else { there.join(", ") }
        )));
    }
    together(name, aggregation, members, &kinds, &Along { dimensions, is_new: false })
}

/// `joinNew`.
pub(super) fn new(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    let wanted = FullName::new(dimension_name(name, aggregation)?);
    let kinds = Kinds::new(&members);
    if let Some(kind) =
        kinds.datasets.iter().position(|d| !existing_dimensions_of(d, wanted.as_str()).is_empty())
    {
        let member = kinds.of.iter().position(|k| *k == kind).unwrap_or(0);
        return Err(Error::unsupported(format!(
            "{name}: {} has a dimension {wanted} already; joinExisting joins along it",
            members[member].name
        )));
    }
    together(name, aggregation, members, &kinds, &Along { dimensions: vec![wanted], is_new: true })
}

fn dimension_name<'a>(name: &str, aggregation: &'a Aggregation) -> Result<&'a str> {
    let given = aggregation.dimension.as_deref().map(str::trim).filter(|d| !d.is_empty());
    given.ok_or_else(|| {
        Error::unsupported(format!("{name}: a join needs the name of its dimension (dimName)"))
    })
}

/// The dimensions that a name means: exactly that one, or for a bare name all that are called so.
fn existing_dimensions(kinds: &Kinds, wanted: &str) -> Vec<FullName> {
    let mut found: Vec<FullName> = Vec::new();
    let mut seen = HashSet::new();
    for dataset in &kinds.datasets {
        for name in existing_dimensions_of(dataset, wanted) {
            if seen.insert(name.clone()) {
                found.push(name);
            }
        }
    }
    found.sort_by_key(|name| name.components().count());
    found
}

fn existing_dimensions_of(dataset: &cdm::Dataset, wanted: &str) -> Vec<FullName> {
    let is_meant = |name: &FullName| {
        if wanted.starts_with('/') { name.as_str() == wanted } else { name.short() == wanted }
    };
    let mut found = Vec::new();
    for group in dataset.root().walk() {
        let used = group.variables.iter().flat_map(|v| &v.dimensions);
        for name in used.filter_map(|d| d.name.as_ref()).filter(|n| is_meant(n)) {
            if !found.contains(name) {
                found.push(name.clone());
            }
        }
    }
    found
}

/// The length of the join dimension in each kind of member.
fn lengths(kinds: &Kinds, along: &Along) -> Vec<Result<u64, String>> {
    let of = |dataset: &cdm::Dataset| {
        if along.is_new {
            return Ok(1);
        }
        let mut found: Option<u64> = None;
        for (name, variable) in dataset.variables() {
            let Some(axis) = along.axis_of(variable) else { continue };
            let size = variable.dimensions[axis].size;
            let others = &variable.dimensions[axis + 1..];
            if others.iter().any(|d| d.name.as_ref().is_some_and(|n| along.dimensions.contains(n))) {
                return Err(format!("{name} has the join dimension twice"));
            }
            if let Some(found) = found
                && found != size
            {
                return Err(format!("its groups have {found} and {size} elements of the join dimension"));
            }
            found = Some(size);
        }
        found.ok_or_else(|| format!("it has no dimension {}", along.dimensions[0]))
    };
    kinds.datasets.iter().map(|d| of(d)).collect()
}

fn together(
    name: &str,
    aggregation: &Aggregation,
    members: Vec<Member>,
    kinds: &Kinds,
    along: &Along,
) -> Result<Combined> {
    let version = version_of(aggregation, &members);
    let lengths = lengths(kinds, along);
    let mut notes = Vec::new();
    let coordinate = find(kinds, along);
    let calendars = Coordinate::calendars(coordinate.as_ref(), kinds);
    let structure = Structure::of(&members, kinds, &along.dimensions, &|member| {
        let kind = kinds.of[member];
        match &lengths[kind] {
            Ok(_) => calendars[kind].clone(),
            Err(reason) => reason.clone(),
        }
    });
    notes.extend(structure.notes);
    if let Err(reason) = &lengths[kinds.of[structure.reference]] {
        return Err(Error::unsupported(format!("{name}: {}: {reason}", members[structure.reference].name)));
    }
    let merged = Merged::of(&members, kinds, structure.reference, structure.kept, &along.dimensions)?;
    notes.extend(merged.left_out.iter().cloned());
    let length = |member: usize| lengths[kinds.of[member]].as_ref().copied().unwrap_or_default();
    let counts: Vec<(usize, u64)> = merged.kept.iter().map(|&m| (m, length(m))).collect();
    let coordinate = Coordinate::of(aggregation, along, coordinate, &members, kinds, &merged, &counts);
    notes.extend(coordinate.left_out.iter().map(|(member, reason)| left_out(&members[*member], reason)));
    notes.extend(coordinate.note.clone());
    let (axis, values) = placed(&members, &coordinate, &counts, &mut notes);
    if axis.len == 0 && counts.iter().any(|(_, count)| *count > 0) {
        return Err(nothing_left(name, &notes));
    }
    notes.extend(merged.conversion_notes(&members, kinds));
    let joined = Joined {
        members: &members,
        kinds,
        merged: &merged,
        along,
        axis: &axis,
        variables: &aggregation.variables,
        reference: structure.reference,
    };
    let described = &members[structure.reference].dataset;
    let mut description = Description::like(described);
    for dimension in &along.dimensions {
        let own = described.dimension(dimension);
        let unlimited = own.is_some_and(|d| d.unlimited);
        let dimension = Dimension { name: Some(dimension.clone()), size: axis.len, unlimited };
        description.add_dimension(&dimension);
    }
    let mut plans =
        joined.plans(&mut description, &mut notes, coordinate.variable.as_ref().map(|(n, _)| n))?;
    if let Some((full, variable)) = &coordinate.variable {
        let own = Dimension { name: Some(along.dimensions[0].clone()), size: axis.len, unlimited: false };
        let unlimited = described.dimension(&along.dimensions[0]).is_some_and(|d| d.unlimited);
        let variable = Variable { dimensions: vec![Dimension { unlimited, ..own }], ..variable.clone() };
        plans.insert(full.clone(), coordinate.plan(&axis, &values, &variable)?);
        description.add(full, variable);
    }
    for promote in &aggregation.promote {
        if coordinate.variable.as_ref().is_some_and(|(full, _)| full.short() == promote.name) {
            continue;
        }
        let (full, variable, plan) = promoted(promote, &members, &axis, along, &mut notes)?;
        if plans.insert(full.clone(), plan).is_some() {
            return Err(Error::unsupported(format!(
                "{name}: {full} is to be made of the attribute {}, but members have such a variable; \
                 give it another name",
                promote.attribute
            )));
        }
        description.add(&full, variable);
    }
    let source = Assembled::new(description.finish(name)?, version, members.into(), plans)?;
    Ok(Combined { source: Arc::new(source), notes })
}

/// Which member lies where, and the values of the join coordinate if they are numbers.
fn placed(
    members: &[Member],
    coordinate: &Coordinate,
    counts: &[(usize, u64)],
    notes: &mut Vec<Note>,
) -> (Axis, Vec<Position>) {
    if let Some(lists) = &coordinate.positions {
        let (axis, values, more) = order(members, lists, &|value| coordinate.shown(value));
        notes.extend(more);
        return (axis, values);
    }
    let out: HashSet<usize> = coordinate.left_out.iter().map(|(member, _)| *member).collect();
    let left = counts.iter().copied().filter(|(member, _)| !out.contains(member));
    (Axis::in_turn(left), Vec::new())
}

/// The error that no member can be used.
fn nothing_left(name: &str, notes: &[Note]) -> Error {
    let why: Vec<String> = notes
        .iter()
        .take(3)
        .map(|note| match &note.member {
            Some(member) => format!("{member}: {}", note.message),
            None => note.message.clone(),
        })
        .collect();
    Error::unsupported(format!("{name}: no member can be used: {}", why.join("; ")))
}

/// Whether a variable is in the new dimension's place already: its coordinate.
pub(super) fn is_own_coordinate(name: &FullName, variable: &Variable, along: &Along) -> bool {
    if along.is_new {
        along.dimensions.contains(name) && variable.element_count() == 1
    } else {
        along.dimensions.contains(name) && is_coordinate(name, variable)
    }
}

/// Bytes of `block`'s elements `from..from + count`; all of a varying block are cut too.
pub(super) fn cut(block: &Block, size: Option<u64>, from: u64, count: u64) -> Option<Block> {
    let (from, count) = (usize::try_from(from).ok()?, usize::try_from(count).ok()?);
    match block {
        Block::Fixed(bytes) => {
            let size = usize::try_from(size?).ok()?;
            let range = from.checked_mul(size)?..from.checked_add(count)?.checked_mul(size)?;
            (range.end <= bytes.len()).then(|| Block::Fixed(bytes.slice(range)))
        }
        Block::Varying { .. } => {
            let elements: Vec<&[u8]> = block.elements().skip(from).take(count).collect();
            (elements.len() == count).then(|| Block::varying(elements))
        }
    }
}
