//! The Dataset Descriptor Structure: declarations as text (protocol section 5.2). It prints what
//! [`super::resolve`] decided and decides nothing itself.

use std::fmt::Write as _;

use cdm::{DataType, Variable};

use super::{
    names,
    resolve::{Answer, Item},
};

/// The DDS of an answer; ends with a line feed.
pub(super) fn text(dataset: &str, answer: &Answer) -> String {
    let mut out = String::from("Dataset {\n");
    for item in &answer.items {
        match item {
            Item::Plain(leaf) => declare(&mut out, 1, &leaf.declared),
            Item::Grid { array, maps } => {
                out.push_str("    Grid {\n      Array:\n");
                declare(&mut out, 2, &array.declared);
                out.push_str("      Maps:\n");
                for map in maps {
                    declare(&mut out, 2, &map.declared);
                }
                line(&mut out, 1, format_args!("}} {};", array.declared.name));
            }
            Item::Parts { name, leaves } => {
                out.push_str("    Structure {\n");
                for leaf in leaves {
                    declare(&mut out, 2, &leaf.declared);
                }
                line(&mut out, 1, format_args!("}} {name};"));
            }
        }
    }
    line(&mut out, 0, format_args!("}} {};", names::encode_dataset(dataset)));
    out
}

/// DAP2's word for a type of the view.
pub(super) fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::UInt8 | DataType::Int8 => "Byte",
        DataType::Char | DataType::String => "String",
        DataType::Url => "Url",
        other => other.name(),
    }
}

fn line(out: &mut String, depth: usize, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:indent$}{text}", "", indent = depth * 4);
}

/// The view bounds how deep records nest, so this may recurse.
fn declare(out: &mut String, depth: usize, variable: &Variable) {
    let word = type_name(&variable.data_type);
    let mut dimensions = String::new();
    for dimension in &variable.dimensions {
        let _ = match &dimension.name {
            Some(name) => write!(dimensions, "[{} = {}]", &name.as_str()[1..], dimension.size),
            None => write!(dimensions, "[{}]", dimension.size),
        };
    }
    if let Some(record) = variable.data_type.record() {
        line(out, depth, format_args!("{word} {{"));
        for field in &record.fields {
            declare(out, depth + 1, field);
        }
        line(out, depth, format_args!("}} {}{dimensions};", variable.name));
    } else {
        line(out, depth, format_args!("{word} {}{dimensions};", variable.name));
    }
}
