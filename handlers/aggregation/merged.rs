//! All variables of all members, each agreed on: what joins have in common.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use cdm::{Attribute, FullName, Result, Variable, coordinates::time::TimeUnits};

use super::{
    Member, Note, NoteKind,
    kinds::Kinds,
    structure::left_out,
    variables::{Agreed, Refused, agree},
};

/// Variables in the order in which members bring them.
#[derive(Debug)]
pub(super) struct Merged {
    /// Each with its full name.
    pub(super) variables: Vec<(FullName, Agreed)>,
    /// Positions of the members that agree, ascending.
    pub(super) kept: Vec<usize>,
    /// Why others do not.
    pub(super) left_out: Vec<Note>,
}

impl Merged {
    /// Of the members at `kept`; `reference` is the one that others are measured by. Sizes of `joined` dimensions
    /// may differ. `lacks` tells that some of a variable may have no value even if all members have it.
    pub(super) fn of(
        members: &[Member],
        kinds: &Kinds,
        reference: usize,
        kept: Vec<usize>,
        joined: &[FullName],
    ) -> Result<Self> {
        let mut refused: HashMap<usize, String> = HashMap::new();
        loop {
            let mut used: Vec<usize> = vec![kinds.of[reference]];
            let mut seen: HashSet<usize> = used.iter().copied().collect();
            for &member in &kept {
                let kind = kinds.of[member];
                if !refused.contains_key(&kind) && seen.insert(kind) {
                    used.push(kind);
                }
            }
            let (variables, more) = once(kinds, &used, joined)?;
            if more.is_empty() {
                let mut left_out_notes = Vec::new();
                let mut left = Vec::new();
                for member in kept {
                    match refused.get(&kinds.of[member]) {
                        Some(reason) => left_out_notes.push(left_out(&members[member], reason)),
                        None => left.push(member),
                    }
                }
                return Ok(Self { variables, kept: left, left_out: left_out_notes });
            }
            // Without those that are refused the others may need no conversion.
            refused.extend(more);
        }
    }

    /// One note for each variable and kind of conversion.
    pub(super) fn conversion_notes(&self, members: &[Member], kinds: &Kinds) -> Vec<Note> {
        let mut notes = Vec::new();
        for (name, agreed) in &self.variables {
            let texts: HashMap<usize, &str> =
                agreed.converted.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
            let mut by_text: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
            for &member in &self.kept {
                if let Some(text) = texts.get(&kinds.of[member]) {
                    by_text.entry(text).or_insert((member, 0)).1 += 1;
                }
            }
            for (text, (first, count)) in by_text {
                let first = &members[first].name;
                let (member, whose) = match count {
                    1 => (Some(Arc::clone(first)), String::new()),
                    n => (None, format!(" in {n} members, the first {first}")),
                };
                let message = format!("{name}: {text}{whose}");
                notes.push(Note { member, kind: NoteKind::Converted, message });
            }
        }
        notes
    }
}

/// Agrees on every variable of the kinds `used`, the first of which is the reference.
fn once(kinds: &Kinds, used: &[usize], joined: &[FullName]) -> Result<(Vec<(FullName, Agreed)>, Refused)> {
    let mut order: Vec<FullName> = Vec::new();
    let mut having: HashMap<FullName, Vec<(usize, &Variable)>> = HashMap::new();
    for &kind in used {
        for (name, variable) in kinds.datasets[kind].variables() {
            let list = having.entry(name.clone()).or_insert_with(|| {
                order.push(name);
                Vec::new()
            });
            list.push((kind, variable));
        }
    }
    let parents = bounds(kinds, used);
    let (mut variables, mut refused) = (Vec::new(), HashMap::new());
    for name in order {
        let Some(list) = having.get(&name) else { continue };
        let is_missing = list.len() < used.len();
        let with_units = parents.get(&name).and_then(|parent| with_units_of(list, having.get(parent)?));
        let (agreed, more) = match &with_units {
            Some(own) => {
                let list: Vec<(usize, &Variable)> = own.iter().map(|(kind, v)| (*kind, v)).collect();
                agree(&name, &list, joined, is_missing)?
            }
            None => agree(&name, list, joined, is_missing)?,
        };
        for (kind, reason) in more {
            refused.entry(kind).or_insert(reason);
        }
        let Some(mut agreed) = agreed else { continue };
        if is_missing && agreed.fill.is_none() {
            // Nothing stands for a value that is not there: those that lack the variable cannot be used.
            let have: HashSet<usize> = list.iter().map(|(kind, _)| *kind).collect();
            let (is_in_reference, first) = (have.contains(&used[0]), list.first().map(|(kind, _)| *kind));
            for &kind in used.iter().filter(|kind| have.contains(kind) != is_in_reference) {
                let what = if is_in_reference { "there is no" } else { "there is a" };
                let reason = format!(
                    "{what} {name}, whose type ({}) has no fill value for where it is missing",
                    agreed.variable.data_type.name()
                );
                refused.entry(kind).or_insert(reason);
            }
            debug_assert!(first.is_some(), "a variable is had by someone");
        }
        if with_units.is_some() && agreed.conversions.is_empty() {
            agreed.variable = list.first().map_or(agreed.variable, |(_, v)| (*v).clone());
        }
        variables.push((name, agreed));
    }
    Ok((variables, refused.into_iter().collect()))
}

/// Variables that `bounds` attributes name, with the variable whose bounds they are.
fn bounds(kinds: &Kinds, used: &[usize]) -> HashMap<FullName, FullName> {
    let mut found = HashMap::new();
    for &kind in used.iter().take(1) {
        for (name, variable) in kinds.datasets[kind].variables() {
            for attribute in ["bounds", "climatology"] {
                if let Some(text) = variable.attributes.text(attribute) {
                    found.insert(name.parent().join(text.trim()), name.clone());
                }
            }
        }
    }
    found
}

/// Bounds are in the units of what they bound, and mostly do not say so: `bounds` with those units, when they
/// differ between members.
fn with_units_of(
    bounds: &[(usize, &Variable)],
    parents: &[(usize, &Variable)],
) -> Option<Vec<(usize, Variable)>> {
    let units = |v: &Variable| {
        let text = |name| v.attributes.text(name).map(std::borrow::Cow::into_owned);
        (text("units"), text("calendar"))
    };
    let first = units(parents.first()?.1);
    if parents.iter().all(|(_, v)| units(v) == first) {
        return None;
    }
    let by_kind: HashMap<usize, &Variable> = parents.iter().copied().collect();
    let own = bounds.iter().map(|(kind, variable)| {
        let mut variable = (*variable).clone();
        if let Some((Some(units), calendar)) = by_kind.get(kind).map(|parent| units(parent))
            && variable.attributes.get("units").is_none()
            && TimeUnits::parse(&units, calendar.as_deref().unwrap_or_default()).is_ok()
        {
            variable.attributes.set(Attribute::text("units", &units));
            if let Some(calendar) = calendar {
                variable.attributes.set(Attribute::text("calendar", &calendar));
            }
        }
        (*kind, variable)
    });
    Some(own.collect())
}
