//! The join coordinate: its values in every member, from the member or from the definition, in one unit.

use std::{collections::HashMap, sync::Arc};

use cdm::{Block, DataType, FullName, Result, Variable, coordinates::time::TimeUnits};

use super::{
    Member, Note, NoteKind,
    axis::{Axis, Position},
    conversion::Conversion,
    join::{Along, cut, is_own_coordinate},
    kinds::Kinds,
    merged::Merged,
    parts::Plan,
    written::{Written, as_values_of, words},
};
use crate::ncml::document::Aggregation;

/// The values of the join coordinate.
#[derive(Debug, Default)]
pub(super) struct Coordinate {
    /// The coordinate variable of the result, if there is one.
    pub(super) variable: Option<(FullName, Variable)>,
    /// The values of each member that is left, when they are numbers.
    pub(super) positions: Option<Vec<(usize, Vec<Position>)>>,
    /// The values of each member that is left, in the type of the result.
    blocks: HashMap<usize, Block>,
    /// Members that cannot be used, and why.
    pub(super) left_out: Vec<(usize, String)>,
    /// What else a user should know.
    pub(super) note: Option<Note>,
    units: Option<TimeUnits>,
}

/// The name of the coordinate variable that members have.
pub(super) fn find(kinds: &Kinds, along: &Along) -> Option<FullName> {
    along.dimensions.iter().find_map(|dimension| {
        let has = |d: &Arc<cdm::Dataset>| {
            d.variable(dimension).is_some_and(|v| is_own_coordinate(dimension, v, along))
        };
        kinds.datasets.iter().any(has).then(|| dimension.clone())
    })
}

impl Coordinate {
    /// What all members have to have in common: the calendar, in words, by kind.
    pub(super) fn calendars(name: Option<&FullName>, kinds: &Kinds) -> Vec<String> {
        let of = |dataset: &cdm::Dataset| {
            let variable = dataset.variable(name?)?;
            let units = variable.attributes.text("units")?;
            let calendar = variable.attributes.text("calendar").unwrap_or_default();
            let units = TimeUnits::parse(&units, &calendar).ok()?;
            let name = match units.calendar().name() {
                // Dates of our time are the same in both; other ones are found out when units are compared.
                "proleptic_gregorian" => "standard",
                other => other,
            };
            Some(format!("has the calendar {name}"))
        };
        kinds.datasets.iter().map(|d| of(d).unwrap_or_else(|| "has no time".to_owned())).collect()
    }

    /// Of the members that agree, which have so many indices each.
    pub(super) fn of(
        aggregation: &Aggregation,
        along: &Along,
        name: Option<FullName>,
        members: &[Member],
        kinds: &Kinds,
        merged: &Merged,
        counts: &[(usize, u64)],
    ) -> Self {
        let given = Given::of(aggregation, along, members);
        let agreed = name.and_then(|name| {
            let (name, agreed) = merged.variables.iter().find(|(n, _)| *n == name)?;
            Some((name, agreed))
        });
        let Some((name, agreed)) = agreed else { return Self::written(along, &given, members, counts) };
        let mut found = Self { variable: Some((name.clone(), agreed.variable.clone())), ..Self::default() };
        let data_type = agreed.variable.data_type.clone();
        found.units = units_of(&agreed.variable);
        for &(member, count) in counts {
            let own = kinds.datasets[kinds.of[member]].variable(name);
            let text = given.text(member, members);
            let values = match (text, own) {
                (Some(text), Some(variable)) => as_values_of(&words(text), variable)
                    .ok_or_else(|| format!("\"{text}\" is no value of {name} ({})", data_type.name())),
                (Some(text), None) => {
                    let values = as_values_of(&words(text), &agreed.variable);
                    values.ok_or_else(|| format!("\"{text}\" is no value of {name} ({})", data_type.name()))
                }
                (None, Some(_)) => members[member]
                    .values(name)
                    .cloned()
                    .ok_or_else(|| format!("the values of {name} are not known")),
                (None, None) => Err(format!("it has no variable {name}")),
            };
            let conversion = agreed.conversions.get(&kinds.of[member]).filter(|_| own.is_some());
            let values = values.and_then(|block| converted(block, conversion.map(Arc::as_ref)));
            found.take(member, count, values, &data_type, text);
        }
        found.number(&data_type);
        if found.units.is_none() && found.blocks.len() > 1 && found.is_the_same_everywhere() {
            found.order_by_another(name, along, members, kinds, merged);
        }
        found
    }

    fn is_the_same_everywhere(&self) -> bool {
        let mut blocks = self.blocks.values();
        let first = blocks.next();
        blocks.all(|block| Some(block) == first)
    }

    /// The coordinate has the same values in all members, and no units: some models write the time into another
    /// variable along the dimension. Members are ordered by that, or as they are named if there is none.
    fn order_by_another(
        &mut self,
        name: &FullName,
        along: &Along,
        members: &[Member],
        kinds: &Kinds,
        merged: &Merged,
    ) {
        let mut order = "in the order in which they are named".to_owned();
        self.positions = None;
        for (other, agreed) in &merged.variables {
            let is_along =
                agreed.variable.dimensions.len() == 1 && along.axis_of(&agreed.variable) == Some(0);
            let Some(units) = units_of(&agreed.variable).filter(|_| is_along && other != name) else {
                continue;
            };
            let data_type = &agreed.variable.data_type;
            let lists: Option<Vec<(usize, Vec<Position>)>> = merged
                .kept
                .iter()
                .filter(|member| self.blocks.contains_key(*member))
                .map(|&member| {
                    let conversion = agreed.conversions.get(&kinds.of[member]).map(Arc::as_ref);
                    let block = converted(members[member].values(other)?.clone(), conversion).ok()?;
                    let same = block.element_count(data_type.fixed_size())
                        == self.blocks[&member].element_count(self.fixed_size());
                    same.then(|| (member, positions(data_type, &block)))
                })
                .collect();
            if let Some(lists) = lists {
                order = format!("in the order of {other}");
                self.positions = Some(lists);
                self.units = Some(units);
                break;
            }
        }
        self.note = Some(Note {
            member: None,
            kind: NoteKind::Ordered,
            message: format!("{name} has the same values in all members; they are joined {order}"),
        });
    }

    fn fixed_size(&self) -> Option<u64> {
        self.variable.as_ref().and_then(|(_, variable)| variable.data_type.fixed_size())
    }

    /// Members have no coordinate: what the definition gives them.
    fn written(along: &Along, given: &Given, members: &[Member], counts: &[(usize, u64)]) -> Self {
        let texts: Vec<(usize, Option<String>)> = counts
            .iter()
            .map(|(member, _)| {
                let text = given.text(*member, members).map(str::to_owned);
                // A new dimension has names at least.
                (*member, text.or_else(|| along.is_new.then(|| members[*member].name.to_string())))
            })
            .collect();
        let is_given = |member: usize| given.text(member, members).is_some();
        if !along.is_new && !counts.iter().any(|(member, _)| is_given(*member)) {
            return Self::default();
        }
        // Names when none is given; if some are, the others cannot be placed.
        let some = counts.iter().any(|(member, _)| is_given(*member));
        let mut found = Self::default();
        let mut used = Vec::new();
        for (member, text) in &texts {
            match text {
                Some(text) if !some || is_given(*member) => used.push((*member, text.as_str())),
                _ => found.left_out.push((*member, "it is given no value of the join coordinate".to_owned())),
            }
        }
        let split = |text: &'_ str| -> Vec<String> {
            // Names may have blanks in them.
            if some { words(text).into_iter().map(str::to_owned).collect() } else { vec![text.to_owned()] }
        };
        let all: Vec<(usize, Vec<String>)> = used.into_iter().map(|(m, text)| (m, split(text))).collect();
        let kind = if some {
            Written::of(&all.iter().flat_map(|(_, words)| words.iter().map(String::as_str)))
        } else {
            Written::Names
        };
        let name = &along.dimensions[0];
        let variable = kind.variable(name);
        let data_type = variable.data_type.clone();
        found.units = units_of(&variable);
        found.variable = Some((name.clone(), variable));
        let counts: HashMap<usize, u64> = counts.iter().copied().collect();
        for (member, words) in &all {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let block = kind.block(&words).ok_or_else(|| "its coordinate value cannot be read".to_owned());
            let count = counts.get(member).copied().unwrap_or_default();
            found.take(*member, count, block, &data_type, Some(&words.join(" ")));
        }
        found.number(&data_type);
        found
    }

    /// Takes a member's values, or says why it is left out.
    fn take(
        &mut self,
        member: usize,
        count: u64,
        values: Result<Block, String>,
        data_type: &DataType,
        text: Option<&str>,
    ) {
        match values {
            Ok(block) if block.element_count(data_type.fixed_size()) == count => {
                self.blocks.insert(member, block);
            }
            Ok(block) => {
                let found = block.element_count(data_type.fixed_size());
                let what = text.map_or_else(String::new, |t| format!(" (\"{t}\")"));
                let reason =
                    format!("it is given {found} values of the join coordinate{what} for {count} indices");
                self.left_out.push((member, reason));
            }
            Err(reason) => self.left_out.push((member, reason)),
        }
    }

    /// The values as numbers, if they are.
    fn number(&mut self, data_type: &DataType) {
        if !data_type.is_numeric() {
            return;
        }
        let mut lists: Vec<(usize, Vec<Position>)> =
            self.blocks.iter().map(|(member, block)| (*member, positions(data_type, block))).collect();
        lists.sort_by_key(|(member, _)| *member);
        self.positions = Some(lists);
    }

    /// A value for people: a date if it is one.
    pub(super) fn shown(&self, value: f64) -> String {
        let date = self.units.as_ref().and_then(|units| units.date(value));
        date.map_or_else(|| value.to_string(), |date| date.to_string())
    }

    /// The values of the result.
    pub(super) fn plan(&self, axis: &Axis, _values: &[Position], variable: &Variable) -> Result<Plan> {
        let missing = || cdm::Error::internal("the join coordinate has no value for a member");
        let size = variable.data_type.fixed_size();
        let pieces = axis.stretches.iter().map(|stretch| {
            let block = self.blocks.get(&stretch.member)?;
            cut(block, size, stretch.from, stretch.count)
        });
        let pieces: Vec<Block> = pieces.collect::<Option<_>>().ok_or_else(missing)?;
        Ok(Plan::Values(concatenated(&pieces, size.is_some())))
    }
}

fn positions(data_type: &DataType, block: &Block) -> Vec<Position> {
    let is_integer = data_type.is_integer();
    let position = |value: cdm::Value<'_>| match value.as_integer() {
        Some(integer) if is_integer => Position::Integer(integer),
        _ => Position::Real(value.as_f64().unwrap_or(f64::NAN)),
    };
    cdm::values(data_type, block).map(position).collect()
}

/// Blocks one after the other.
pub(super) fn concatenated(blocks: &[Block], is_fixed: bool) -> Block {
    if !is_fixed {
        return Block::varying(blocks.iter().flat_map(Block::elements));
    }
    let mut all = Vec::with_capacity(blocks.iter().map(Block::byte_len).sum());
    for block in blocks {
        if let Block::Fixed(bytes) = block {
            all.extend_from_slice(bytes);
        }
    }
    Block::Fixed(all.into())
}

fn units_of(variable: &Variable) -> Option<TimeUnits> {
    let units = variable.attributes.text("units")?;
    TimeUnits::parse(&units, &variable.attributes.text("calendar").unwrap_or_default()).ok()
}

fn converted(block: Block, conversion: Option<&Conversion>) -> Result<Block, String> {
    match conversion {
        Some(conversion) => conversion.apply(block).map_err(|e| e.message().to_owned()),
        None => Ok(block),
    }
}

/// What the definition gives members: their own texts, or a global attribute that is promoted to the coordinate.
struct Given {
    promoted: HashMap<usize, String>,
}

impl Given {
    fn of(aggregation: &Aggregation, along: &Along, members: &[Member]) -> Self {
        let dimension = along.dimensions[0].short();
        let promote = aggregation.promote.iter().find(|p| p.name == dimension);
        let text = |member: &Member| {
            let attribute = member.dataset.root().attributes.get(&promote?.attribute)?;
            if let Some(text) = attribute.as_text() {
                return Some(text.into_owned());
            }
            let values = cdm::values(&attribute.data_type, &attribute.values);
            let words: Option<Vec<String>> = values
                .map(|value| match value.as_integer() {
                    Some(integer) => Some(integer.to_string()),
                    None => value.as_f64().map(|real| real.to_string()),
                })
                .collect();
            Some(words?.join(" "))
        };
        let promoted = members.iter().enumerate().filter_map(|(i, m)| Some((i, text(m)?))).collect();
        Self { promoted }
    }

    fn text<'a>(&'a self, member: usize, members: &'a [Member]) -> Option<&'a str> {
        let own = members[member].coord_value.as_deref();
        own.or_else(|| self.promoted.get(&member).map(String::as_str))
    }
}
