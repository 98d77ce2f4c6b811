//! Members that do not fit the others, and what the variables of those that do have in common.

use std::{cmp::Reverse, collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use cdm::{Attribute, Attributes, Block, DataType, FullName, Variable};
use xxhash_rust::xxh3::xxh3_128;

use super::{described::Described, gather::Collection};
use crate::aggregation::{Conversion, Known, Note, NoteKind};

/// Attributes that say which number a stored one is.
const PACKING: [&str; 4] = ["scale_factor", "add_offset", "_FillValue", "missing_value"];

/// A variable as its members agree on it.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    /// As members have it, without a run dimension.
    pub(super) variable: Variable,
    /// Members that have it, and what is done to their values.
    pub(super) conversions: HashMap<usize, Option<Arc<Conversion>>>,
}

/// Something that has to be the same in all members.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Size(FullName),
    Shape(FullName),
    Type(FullName),
    Units(FullName),
    Packing(FullName),
    Values(FullName),
}

/// What it is in one of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Is {
    Number(u64),
    Text(String),
    Hash(u128),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(name) => write!(f, "size of dimension {name}"),
            Self::Shape(name) => write!(f, "dimensions of {name}"),
            Self::Type(name) => write!(f, "type of {name}"),
            Self::Units(name) => write!(f, "units of {name}"),
            Self::Packing(name) => write!(f, "packing or fill value of {name}"),
            Self::Values(name) => write!(f, "values of the coordinate {name}"),
        }
    }
}

/// The members that agree with most of them; a note for each of the others.
pub(super) fn fitting(described: Vec<Described>, notes: &mut Vec<Note>) -> Vec<Described> {
    let all: Vec<Vec<(Of, Is)>> = described.iter().map(what_must_agree).collect();
    // How often each is so, and where first.
    let mut counts: HashMap<&Of, HashMap<&Is, (usize, usize)>> = HashMap::new();
    for (number, (of, is)) in all.iter().flatten().enumerate() {
        counts.entry(of).or_default().entry(is).or_insert((0, number)).0 += 1;
    }
    // The most frequent one, the first of them on a tie.
    let frequent = |found: &HashMap<&'_ Is, (usize, usize)>| {
        found.iter().max_by_key(|(_, (count, first))| (*count, Reverse(*first))).map(|(is, _)| (*is).clone())
    };
    let usual: HashMap<&Of, Is> =
        counts.iter().filter_map(|(of, found)| Some((*of, frequent(found)?))).collect();
    let usual = |of: &Of| usual.get(of);
    let difference =
        |own: &[(Of, Is)]| own.iter().find(|(of, is)| usual(of).is_some_and(|other| other != is)).cloned();
    let differences: Vec<_> =
        all.iter().map(|own| difference(own).map(|(of, is)| say(&of, &is, usual(&of)))).collect();
    let mut kept = Vec::new();
    for (described, difference) in described.into_iter().zip(differences) {
        match difference {
            None => kept.push(described),
            Some(message) => notes.push(Note {
                member: Some(Arc::clone(&described.member.name)),
                kind: NoteKind::LeftOut,
                message,
            }),
        }
    }
    kept
}

fn say(of: &Of, is: &Is, usual: Option<&Is>) -> String {
    let text = |is: &Is| match is {
        Is::Number(number) => number.to_string(),
        Is::Text(text) if text.is_empty() => "none".into(),
        Is::Text(text) => text.clone(),
        Is::Hash(_) => String::new(),
    };
    match (is, usual) {
        (Is::Hash(_), _) | (_, None) => format!("left out: the {of} are not those of the other members"),
        (is, Some(usual)) => {
            format!("left out: the {of} is {} here and {} in the other members", text(is), text(usual))
        }
    }
}

fn what_must_agree(described: &Described) -> Vec<(Of, Is)> {
    let mut found = Vec::new();
    for (name, variable) in described.member.dataset.variables() {
        if described.said.contains(&name) {
            continue;
        }
        let on = described.axis_of(&name, variable);
        let mut shape: Vec<String> = Vec::new();
        for (position, dimension) in variable.dimensions.iter().enumerate() {
            match (&dimension.name, on) {
                (_, Some((axis, Some(time)))) if time == position => {
                    shape.push(described.axes.get(axis).map(|a| a.name.to_string()).unwrap_or_default());
                }
                (Some(of), _) => {
                    found.push((Of::Size(of.clone()), Is::Number(dimension.size)));
                    shape.push(of.to_string());
                }
                (None, _) => shape.push(dimension.size.to_string()),
            }
        }
        if let Some((axis, None)) = on {
            shape.insert(0, described.axes.get(axis).map(|a| a.name.to_string()).unwrap_or_default());
        }
        found.push((Of::Shape(name.clone()), Is::Text(format!("({})", shape.join(", ")))));
        found.push((Of::Type(name.clone()), Is::Text(variable.data_type.name().into())));
        let units = variable.attributes.text("units").unwrap_or_default().into_owned();
        found.push((Of::Units(name.clone()), Is::Text(units)));
        let mut packing: Vec<u8> = Vec::new();
        for attribute in PACKING.iter().filter_map(|of| variable.attributes.get(of)) {
            packing.extend_from_slice(attribute.name.as_bytes());
            packing.extend_from_slice(attribute.data_type.name().as_bytes());
            packing.extend(hash(&attribute.values).to_ne_bytes());
        }
        found.push((Of::Packing(name.clone()), Is::Hash(xxh3_128(&packing))));
        let is_coordinate =
            matches!(variable.dimensions.as_slice(), [only] if only.name.as_ref() == Some(&name));
        if is_coordinate && let Some(Known::Values(values)) = described.member.known.get(&name) {
            found.push((Of::Values(name), Is::Hash(hash(values))));
        }
    }
    found
}

fn hash(block: &Block) -> u128 {
    match block {
        Block::Fixed(bytes) => xxh3_128(bytes),
        Block::Varying { ends, bytes } => {
            let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_ne_bytes()).collect();
            xxh3_128(bytes) ^ xxh3_128(&ends).rotate_left(1)
        }
    }
}

/// What members agree on, by variable.
pub(super) fn agreed(collection: &Collection) -> HashMap<FullName, Agreed> {
    let mut found: HashMap<FullName, Agreed> = HashMap::new();
    for (member, described) in collection.members.iter().enumerate() {
        for (name, variable) in described.member.dataset.variables() {
            if described.said.contains(&name) {
                continue;
            }
            let agreed = found
                .entry(name)
                .or_insert_with(|| Agreed { variable: variable.clone(), conversions: HashMap::new() });
            agreed.conversions.insert(member, None);
        }
    }
    found
}

impl Agreed {
    /// One element of fill: `_FillValue` or `missing_value`, or netCDF's default, which `attributes` get then.
    pub(super) fn fill(&self, attributes: &mut Attributes) -> Bytes {
        let data_type = &self.variable.data_type;
        for name in ["_FillValue", "missing_value"] {
            if let Some(Attribute { data_type: of, len: 1, values: Block::Fixed(bytes), .. }) =
                attributes.get(name)
                && of == data_type
            {
                return bytes.clone();
            }
        }
        let Some(fill) = default_fill(data_type) else { return Bytes::new() };
        if data_type.is_numeric() {
            attributes.set(Attribute::numbers("_FillValue", data_type.clone(), fill.clone()));
        }
        fill
    }
}

/// NetCDF's default fill values; zeros of other types of a fixed size, and nothing for those without one.
fn default_fill(data_type: &DataType) -> Option<Bytes> {
    let bytes = |b: &[u8]| Some(Bytes::copy_from_slice(b));
    match data_type {
        DataType::Int8 => bytes(&(-127_i8).to_ne_bytes()),
        DataType::UInt8 => bytes(&[255]),
        DataType::Int16 => bytes(&(-32_767_i16).to_ne_bytes()),
        DataType::UInt16 => bytes(&65_535_u16.to_ne_bytes()),
        DataType::Int32 => bytes(&(-2_147_483_647_i32).to_ne_bytes()),
        DataType::UInt32 => bytes(&4_294_967_295_u32.to_ne_bytes()),
        DataType::Int64 => bytes(&(-9_223_372_036_854_775_806_i64).to_ne_bytes()),
        DataType::UInt64 => bytes(&18_446_744_073_709_551_614_u64.to_ne_bytes()),
        DataType::Float32 => bytes(&9.969_21e36_f32.to_ne_bytes()),
        DataType::Float64 => bytes(&9.969_209_968_386_869e36_f64.to_ne_bytes()),
        other => Some(vec![0; usize::try_from(other.fixed_size()?).ok()?].into()),
    }
}
