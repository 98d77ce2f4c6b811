//! The dataset's page for people: what is in it, and how to read it from common tools.
//!
//! Plain HTML without scripts; askama escapes everything that is put in.

use askama::Template;
use cdm::{Attributes, DataType, Dataset, Error, Group, Result, Value, Variable};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::{Site, Spelling};
use crate::catalog::encode_path;

/// More variables or attributes than this are left to the DMR.
const MOST_SHOWN: usize = 2000;
/// Longer attribute texts are cut.
const LONGEST_TEXT: usize = 2000;

#[derive(Template)]
#[template(path = "dataset.html")]
struct Page<'a> {
    name: &'a str,
    top: &'a str,
    base: String,
    /// URL of the dataset as a Zarr store.
    zarr: String,
    example: Option<&'a str>,
    groups: Vec<Section>,
    complete: bool,
}

struct Section {
    name: String,
    dimensions: Vec<String>,
    variables: Vec<Row>,
    attributes: Vec<(String, String)>,
}

struct Row {
    name: String,
    shape: String,
    type_name: String,
    /// URL of this variable's data, and of its description.
    data: String,
    description: String,
    attributes: Vec<(String, String)>,
}

/// The page of `dataset`, whose URL is `base`.
///
/// # Errors
/// `Internal` when the template fails, which it has no reason to.
pub(super) fn page(dataset: &Dataset, base: &str, site: Site<'_>, spelling: Spelling<'_>) -> Result<String> {
    let Site { top, origin, .. } = site;
    let mut left = MOST_SHOWN;
    let mut groups = Vec::new();
    for group in dataset.root().walk() {
        if left == 0 {
            break;
        }
        groups.push(section(group, base, spelling.dap4_path, &mut left));
    }
    let page = Page {
        name: dataset.name(),
        top,
        base: quotable(base),
        zarr: quotable(&format!("{origin}/zarr/{}/", encode_path(dataset.name()))),
        example: spelling.example,
        groups,
        complete: left > 0,
    };
    page.render().map_err(|e| Error::internal("the dataset page failed").with_source(e))
}

fn section(group: &Group, base: &str, dap4_path: fn(&str) -> String, left: &mut usize) -> Section {
    let dimensions = group.dimensions.iter().map(|d| {
        let name = d.name.as_ref().map_or("", |n| n.short());
        format!("{name} = {}{}", d.size, if d.unlimited { " (unlimited)" } else { "" })
    });
    let mut variables = Vec::new();
    for variable in &group.variables {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let constraint = dap4_path(group.name.join(&variable.name).as_str());
        variables.push(Row {
            name: variable.name.to_string(),
            shape: shape(variable),
            type_name: type_name(&variable.data_type, 0),
            data: format!("{base}.dap?dap4.ce={constraint}"),
            description: format!("{base}.dmr.xml?dap4.ce={constraint}"),
            attributes: attributes(&variable.attributes),
        });
    }
    Section {
        name: group.name.to_string(),
        dimensions: dimensions.take(MOST_SHOWN).collect(),
        variables,
        attributes: attributes(&group.attributes),
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

fn attributes(attributes: &Attributes) -> Vec<(String, String)> {
    attributes
        .iter()
        .take(MOST_SHOWN)
        .map(|a| {
            let text = a.as_text().map_or_else(
                || {
                    let values = cdm::values(&a.data_type, &a.values);
                    let texts: Vec<String> = values.take(100).map(|v| text_of(&v)).collect();
                    texts.join(", ")
                },
                std::borrow::Cow::into_owned,
            );
            (a.name.to_string(), text.chars().take(LONGEST_TEXT).collect())
        })
        .collect()
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

/// A URL that stays one word between double quotes in a shell and in Python.
fn quotable(url: &str) -> String {
    const UNSAFE: &AsciiSet =
        &percent_encoding::CONTROLS.add(b'"').add(b'$').add(b'`').add(b'\\').add(b' ').add(b'!');
    utf8_percent_encode(url, UNSAFE).to_string()
}
