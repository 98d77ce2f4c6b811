//! The dataset's page for people: what is in it, and how to read it from common tools.
//!
//! Plain HTML without scripts; askama escapes everything that is put in.

use askama::Template;
use cdm::{Attributes, DataType, Dataset, Error, Group, Result, Variable};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::dmr::text_of;
use crate::catalog::encode_path;

/// More variables or attributes than this are left to the DMR.
const MOST_SHOWN: usize = 2000;
/// Longer attribute texts are cut.
const LONGEST_TEXT: usize = 2000;

#[derive(Template)]
#[template(path = "dap4_dataset.html")]
struct Page<'a> {
    name: &'a str,
    top: &'a str,
    base: String,
    /// URL of the dataset as a Zarr store.
    zarr: String,
    example: Option<String>,
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

/// The page of `dataset`, whose URL is `base` on the server `origin`; `top` leads from the page to the
/// server's top.
///
/// # Errors
/// `Internal` when the template fails, which it has no reason to.
pub(super) fn page(dataset: &Dataset, base: &str, origin: &str, top: &str) -> Result<String> {
    let mut left = MOST_SHOWN;
    let mut groups = Vec::new();
    for group in dataset.root().walk() {
        if left == 0 {
            break;
        }
        groups.push(section(group, base, &mut left));
    }
    let page = Page {
        name: dataset.name(),
        top,
        base: quotable(base),
        zarr: quotable(&format!("{origin}/zarr/{}/", encode_path(dataset.name()))),
        example: smaller_request(dataset, base, 4096),
        groups,
        complete: left > 0,
    };
    page.render().map_err(|e| Error::internal("the dataset page failed").with_source(e))
}

fn section(group: &Group, base: &str, left: &mut usize) -> Section {
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
        let constraint = path_in_url(group.name.join(&variable.name).as_str());
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
                    let texts: Vec<String> = values.take(100).map(|v| text_of(&v).into_owned()).collect();
                    texts.join(", ")
                },
                std::borrow::Cow::into_owned,
            );
            (a.name.to_string(), text.chars().take(LONGEST_TEXT).collect())
        })
        .collect()
}

/// A URL that asks for a part, of at most `limit` bytes, of the largest variable.
pub(super) fn smaller_request(dataset: &Dataset, base: &str, limit: u64) -> Option<String> {
    let size = |v: &Variable| v.data_type.fixed_size().unwrap_or(64).saturating_mul(v.element_count());
    let (name, variable) = dataset.variables().max_by_key(|(_, v)| size(v))?;
    let mut room = (limit / variable.data_type.fixed_size().unwrap_or(64).max(1)).max(1);
    let mut slices = Vec::new();
    for dimension in variable.dimensions.iter().rev() {
        let take = dimension.size.min(room);
        slices.push(match take {
            0 => "[]".to_owned(),
            take if take == dimension.size => "[]".to_owned(),
            take => format!("[0:{}]", take - 1),
        });
        room = (room / take.max(1)).max(1);
    }
    let brackets: String = slices.iter().rev().map(|s| s.replace('[', "%5B").replace(']', "%5D")).collect();
    Some(format!("{base}.dap?dap4.ce={}{brackets}", path_in_url(name.as_str())))
}

/// A full name as a constraint inside a URL: special characters of the grammar escaped, then encoded.
fn path_in_url(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'_').remove(b'-');
    let mut escaped = String::new();
    for c in name.chars() {
        if c != '/' && (super::constraint::SPECIAL.contains(c)) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    utf8_percent_encode(&escaped, KEPT).to_string()
}

/// A URL that stays one word between double quotes in a shell and in Python.
fn quotable(url: &str) -> String {
    const UNSAFE: &AsciiSet =
        &percent_encoding::CONTROLS.add(b'"').add(b'$').add(b'`').add(b'\\').add(b' ').add(b'!');
    utf8_percent_encode(url, UNSAFE).to_string()
}
