//! What a dataset consists of, for its page: variables page by page, dimensions, attributes, all of it bounded so
//! that the page stays small. JSON and the descriptions of the protocols have everything.

use std::collections::HashSet;

use cdm::{Attributes, DataType, Dataset, FullName, Group, Value, Variable};

/// Variables on one page.
const VARIABLES: usize = 100;
/// Bytes of attributes on one page.
const BUDGET: usize = 40_000;
/// Longer texts are cut.
const LONGEST_TEXT: usize = 600;
/// Dimensions that are shown of one group, and groups.
const MOST_DIMENSIONS: usize = 100;
const MOST_GROUPS: usize = 100;
/// What an attribute costs besides its text.
const MARKUP: usize = 40;

/// The part of a dataset that one page shows.
pub(super) struct Structure {
    pub(super) groups: Vec<Section>,
    /// From 1.
    pub(super) page: usize,
    pub(super) pages: usize,
    /// Chosen variables that other pages show.
    pub(super) chosen_elsewhere: Vec<String>,
    /// Something was left out.
    pub(super) is_cut: bool,
}

/// A group with the variables that are shown of it.
pub(super) struct Section {
    pub(super) name: String,
    pub(super) dimensions: Vec<String>,
    pub(super) variables: Vec<Row>,
    pub(super) attributes: Vec<(String, String)>,
}

/// A variable.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) full_name: String,
    pub(super) name: String,
    pub(super) shape: String,
    pub(super) type_name: String,
    /// `long_name` and `units`.
    pub(super) meaning: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) is_chosen: bool,
}

impl Structure {
    /// Page `page` of `dataset`; a page behind the last is the last.
    pub(super) fn of(dataset: &Dataset, chosen: &[FullName], page: usize) -> Self {
        let count = dataset.variables().count();
        let pages = count.div_ceil(VARIABLES).max(1);
        let page = page.clamp(1, pages);
        let shown = (page - 1) * VARIABLES..page * VARIABLES;
        let chosen: HashSet<&FullName> = chosen.iter().collect();
        let mut here = Self { groups: Vec::new(), page, pages, chosen_elsewhere: Vec::new(), is_cut: false };
        let mut budget = BUDGET;
        let mut number = 0;
        for group in dataset.root().walk() {
            let mut rows = Vec::new();
            for variable in &group.variables {
                let name = group.name.join(&variable.name);
                let is_chosen = chosen.contains(&name);
                if shown.contains(&number) {
                    rows.push(here.row(number, &name, variable, is_chosen, &mut budget));
                } else if is_chosen {
                    here.chosen_elsewhere.push(name.to_string());
                }
                number += 1;
            }
            let is_bare = group.variables.is_empty() && page == 1;
            if rows.is_empty() && !is_bare {
                continue;
            }
            if here.groups.len() == MOST_GROUPS {
                here.is_cut = true;
                continue;
            }
            let section = here.section(group, rows, &mut budget);
            here.groups.push(section);
        }
        here.is_cut |= pages > 1;
        here
    }

    fn section(&mut self, group: &Group, variables: Vec<Row>, budget: &mut usize) -> Section {
        self.is_cut |= group.dimensions.len() > MOST_DIMENSIONS;
        let dimensions = group.dimensions.iter().take(MOST_DIMENSIONS).map(|d| {
            let name = d.name.as_ref().map_or("", |n| n.short());
            format!("{name} = {}{}", d.size, if d.unlimited { " (unlimited)" } else { "" })
        });
        Section {
            name: group.name.to_string(),
            dimensions: dimensions.collect(),
            variables,
            attributes: self.attributes(&group.attributes, budget),
        }
    }

    fn row(
        &mut self,
        number: usize,
        name: &FullName,
        variable: &Variable,
        is_chosen: bool,
        budget: &mut usize,
    ) -> Row {
        let text =
            |key: &str| variable.attributes.text(key).map(|t| cut(t.trim(), 100).0).filter(|t| !t.is_empty());
        let meaning = match (text("long_name").or_else(|| text("standard_name")), text("units")) {
            (Some(name), Some(units)) => format!("{name} ({units})"),
            (Some(name), None) => name,
            (None, Some(units)) => units,
            (None, None) => String::new(),
        };
        Row {
            id: format!("v{number}"),
            full_name: name.to_string(),
            name: name.short().to_owned(),
            shape: shape(variable),
            type_name: type_name(&variable.data_type, 0),
            meaning,
            attributes: self.attributes(&variable.attributes, budget),
            is_chosen,
        }
    }

    fn attributes(&mut self, attributes: &Attributes, budget: &mut usize) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        for attribute in attributes {
            let text = attribute.as_text().map_or_else(
                || {
                    let values = cdm::values(&attribute.data_type, &attribute.values);
                    let texts: Vec<String> = values.take(60).map(|v| text_of(&v)).collect();
                    texts.join(", ")
                },
                std::borrow::Cow::into_owned,
            );
            let (text, was_cut) = cut(text.trim_end_matches('\0'), LONGEST_TEXT);
            let cost = attribute.name.len() + text.len() + MARKUP;
            if cost > *budget {
                self.is_cut = true;
                return shown;
            }
            self.is_cut |= was_cut;
            *budget -= cost;
            shown.push((attribute.name.to_string(), text));
        }
        shown
    }
}

/// At most `most` characters of `text`, and whether there were more.
fn cut(text: &str, most: usize) -> (String, bool) {
    match text.char_indices().nth(most) {
        Some((at, _)) => (format!("{}\u{2026}", text.get(..at).unwrap_or(text)), true),
        None => (text.to_owned(), false),
    }
}

fn shape(variable: &Variable) -> String {
    let axes: Vec<String> = variable
        .dimensions
        .iter()
        .map(|d| d.name.as_ref().map_or(d.size.to_string(), |n| format!("{} = {}", n.short(), d.size)))
        .collect();
    axes.join(", ")
}

fn type_name(data_type: &DataType, depth: usize) -> String {
    const DEEPEST: usize = 4;
    match data_type {
        DataType::Enum(kind) => format!("Enum {}", kind.name),
        DataType::Structure(record) | DataType::Sequence(record) if depth < DEEPEST => {
            let fields: Vec<String> = record
                .fields
                .iter()
                .take(40)
                .map(|f| format!("{} {}", type_name(&f.data_type, depth + 1), f.name))
                .collect();
            format!("{} {{ {} }}", data_type.name(), fields.join("; "))
        }
        other => other.name().to_owned(),
    }
}

/// A value as text.
fn text_of(value: &Value<'_>) -> String {
    match value {
        Value::Int(i) => i.to_string(),
        Value::UInt(u) => u.to_string(),
        Value::Float32(f) => f.to_string(),
        Value::Float64(f) => f.to_string(),
        Value::Char(c) => char::from(*c).to_string(),
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => bytes.iter().fold(String::new(), |digits, b| digits + &format!("{b:02x}")),
        Value::Enum(_, Some(name)) => (*name).to_owned(),
        Value::Enum(number, None) => number.to_string(),
        Value::Record(members) | Value::List(members) => {
            let inner: Vec<_> = members.iter().map(text_of).collect();
            format!("{{{}}}", inner.join(", "))
        }
    }
}
