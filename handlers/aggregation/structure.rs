//! Which members fit together: dimensions of equal size, coordinates of equal values. The structure that most
//! members share is the one that the others are measured by.

use std::{collections::HashMap, hash::Hasher};

use cdm::{Block, DataType, FullName};
use xxhash_rust::xxh3::Xxh3;

use super::{
    Member, Note, NoteKind,
    kinds::{Kinds, is_coordinate},
};

/// The members that fit together.
#[derive(Debug)]
pub(super) struct Structure {
    /// The member that attributes and units are taken from.
    pub(super) reference: usize,
    /// Positions of the members that fit, ascending.
    pub(super) kept: Vec<usize>,
    /// Why others do not.
    pub(super) notes: Vec<Note>,
}

/// What one description says of dimensions that are not `free`.
struct Shape<'a> {
    sizes: Vec<(&'a FullName, u64)>,
    coordinates: Vec<(FullName, &'a DataType)>,
    /// A digest of what variables there are, along which dimensions and in which units.
    variables: u128,
}

impl<'a> Shape<'a> {
    fn of(kinds: &'a Kinds, free: &[FullName]) -> Vec<Self> {
        let of = |dataset: &'a cdm::Dataset| {
            let mut sizes: Vec<(&FullName, u64)> = dataset
                .variables()
                .flat_map(|(_, v)| &v.dimensions)
                .filter_map(|d| Some((d.name.as_ref()?, d.size)))
                .filter(|(name, _)| !free.contains(name))
                .collect();
            sizes.sort_unstable();
            sizes.dedup();
            let coordinates = dataset
                .variables()
                .filter(|(name, v)| is_coordinate(name, v) && !free.contains(name))
                .map(|(name, v)| (name, &v.data_type));
            Shape { sizes, coordinates: coordinates.collect(), variables: digest(dataset) }
        };
        kinds.datasets.iter().map(|dataset| of(dataset)).collect()
    }
}

impl Structure {
    /// Of `members`, dimensions named in `free` may differ. `trait_of` is something more that has to be the same
    /// in all (in words; empty for nothing).
    pub(super) fn of(
        members: &[Member],
        kinds: &Kinds,
        free: &[FullName],
        trait_of: &dyn Fn(usize) -> String,
    ) -> Self {
        let shapes = Shape::of(kinds, free);
        let traits: Vec<String> = (0..members.len()).map(trait_of).collect();
        let signatures = members.iter().zip(&kinds.of).zip(&traits).map(|((member, &kind), more)| {
            let mut hash = Xxh3::new();
            for (name, size) in &shapes[kind].sizes {
                hash.update(name.as_str().as_bytes());
                hash.write_u64(*size);
            }
            for (name, _) in &shapes[kind].coordinates {
                if let Some(Block::Fixed(bytes)) = member.values(name) {
                    hash.update(bytes);
                }
            }
            hash.update(more.as_bytes());
            hash.write_u128(shapes[kind].variables);
            hash.digest128()
        });
        Self::measured_by(most_common(signatures), members, kinds, &shapes, &traits)
    }

    /// As [`Structure::of`], but the first member is the one that the others are measured by.
    pub(super) fn of_first(members: &[Member], kinds: &Kinds) -> Self {
        Self::measured_by(0, members, kinds, &Shape::of(kinds, &[]), &vec![String::new(); members.len()])
    }

    fn measured_by(
        reference: usize,
        members: &[Member],
        kinds: &Kinds,
        shapes: &[Shape<'_>],
        traits: &[String],
    ) -> Self {
        let mut notes = Vec::new();
        let mut known = Agreement::default();
        known.differs(members, reference, &shapes[kinds.of[reference]]);
        let kept = (0..members.len())
            .filter(|&i| {
                let differs = if traits[i] == traits[reference] {
                    known.differs(members, i, &shapes[kinds.of[i]])
                } else {
                    Some(format!("{} where {} {}", traits[i], members[reference].name, traits[reference]))
                };
                let Some(difference) = differs else { return true };
                notes.push(left_out(&members[i], &difference));
                false
            })
            .collect();
        Self { reference, kept, notes }
    }
}

/// Of names, dimensions and units of variables. Units of time are converted: they need not be the same.
fn digest(dataset: &cdm::Dataset) -> u128 {
    let mut hash = Xxh3::new();
    for (name, variable) in dataset.variables() {
        hash.update(name.as_str().as_bytes());
        for dimension in &variable.dimensions {
            hash.update(dimension.name.as_ref().map_or("", FullName::as_str).as_bytes());
            hash.update(&[0]);
        }
        if let Some(units) = variable.attributes.text("units").filter(|u| !u.contains(" since ")) {
            hash.update(units.as_bytes());
        }
        hash.update(&[1]);
    }
    hash.digest128()
}

/// The note that a member is not in the dataset.
pub(super) fn left_out(member: &Member, difference: &str) -> Note {
    Note {
        member: Some(std::sync::Arc::clone(&member.name)),
        kind: NoteKind::LeftOut,
        message: format!("left out: {difference}"),
    }
}

/// The first position of the value that is there most often (the first such).
fn most_common(values: impl Iterator<Item = u128>) -> usize {
    let mut counts: HashMap<u128, (usize, usize)> = HashMap::new();
    for (i, value) in values.enumerate() {
        counts.entry(value).or_insert((i, 0)).1 += 1;
    }
    let best = counts.into_values().max_by_key(|(first, count)| (*count, std::cmp::Reverse(*first)));
    best.map_or(0, |(first, _)| first)
}

/// Sizes and coordinates agreed on so far, each with the member that brought it.
#[derive(Default)]
struct Agreement {
    sizes: HashMap<FullName, (u64, usize)>,
    coordinates: HashMap<FullName, (DataType, usize)>,
}

impl Agreement {
    /// How a member differs; when it does not, what it adds is agreed on.
    fn differs(&mut self, members: &[Member], at: usize, shape: &Shape<'_>) -> Option<String> {
        for (name, size) in &shape.sizes {
            if let Some((agreed, other)) = self.sizes.get(*name)
                && agreed != size
            {
                let other = &members[*other].name;
                return Some(format!("dimension {name} has {size} elements here and {agreed} in {other}"));
            }
        }
        for (name, data_type) in &shape.coordinates {
            let Some((other_type, other)) = self.coordinates.get(name) else { continue };
            let (Some(here), Some(there)) = (members[at].values(name), members[*other].values(name)) else {
                if members[at].equal(&members[*other], name) == Some(false) {
                    return Some(format!("{name} has other values than in {}", members[*other].name));
                }
                continue;
            };
            let (here, there) = ((*data_type, here), (other_type, there));
            if let Some(difference) = first_difference(here, there) {
                return Some(format!("{name} differs from {}: {difference}", members[*other].name));
            }
        }
        for (name, size) in &shape.sizes {
            self.sizes.entry((*name).clone()).or_insert((*size, at));
        }
        for (name, data_type) in &shape.coordinates {
            self.coordinates.entry(name.clone()).or_insert(((*data_type).clone(), at));
        }
        None
    }
}

/// Where two lists of values first differ, in words.
fn first_difference(here: (&DataType, &Block), there: (&DataType, &Block)) -> Option<String> {
    if here == there {
        return None;
    }
    let pairs = cdm::values(here.0, here.1).zip(cdm::values(there.0, there.1));
    for (i, (one, two)) in pairs.enumerate() {
        let same = match (one.as_f64(), two.as_f64()) {
            (Some(a), Some(b)) => (a + 0.0).total_cmp(&(b + 0.0)).is_eq() || a.is_nan() && b.is_nan(),
            _ => one == two,
        };
        if !same {
            return Some(format!("value {i} is {} here and {} there", text(&one), text(&two)));
        }
    }
    None
}

/// A value for people.
pub(super) fn text(value: &cdm::Value<'_>) -> String {
    match value {
        cdm::Value::Text(text) => format!("\"{text}\""),
        number => number.as_f64().map_or_else(|| format!("{number:?}"), |n| n.to_string()),
    }
}
