//! Edits of attributes: added, replaced, renamed, retyped, removed.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Attribute, Attributes, Block, DataType, Error, Result};

use super::numbers;
use crate::ncml::{
    document::{AttributeEdit, Remove, RemoveKind},
    words,
};

/// `original` after `removes` and `edits`; `declared_only` leaves only what `edits` name. Errors come with the
/// line that they belong to.
pub(super) fn edit(
    original: &Attributes,
    edits: &[AttributeEdit],
    removes: &[Remove],
    declared_only: bool,
) -> Result<Attributes, (usize, Error)> {
    let is_gone = |name: &str| removes.iter().any(|r| r.kind == RemoveKind::Attribute && r.name == name);
    let mut all: Vec<Attribute> = Vec::new();
    if !declared_only {
        all.extend(original.iter().filter(|a| !is_gone(&a.name)).cloned());
    }
    for edit in edits {
        let old_name = edit.org_name.as_deref().unwrap_or(&edit.name);
        let old = original.get(old_name);
        if edit.org_name.is_some() && old.is_none() && edit.value.is_none() {
            let message = format!("there is no attribute '{old_name}' to be called '{}'", edit.name);
            return Err((edit.line, Error::corrupt(message)));
        }
        let made =
            made(edit, old).map_err(|e| (edit.line, e.within(format_args!("attribute {}", edit.name))))?;
        // In the place of what it was, or of what has its name.
        let place = all.iter().position(|a| *a.name == *old_name);
        all.retain(|a| *a.name != *edit.name || *a.name == *old_name);
        match place.and_then(|_| all.iter_mut().find(|a| *a.name == *old_name)) {
            Some(old) => *old = made,
            None => all.push(made),
        }
    }
    Ok(all.into_iter().collect())
}

fn made(edit: &AttributeEdit, old: Option<&Attribute>) -> Result<Attribute> {
    let name = edit.name.as_str();
    match (&edit.value, old) {
        (Some(value), _) => typed(name, edit.data_type.as_ref(), value, edit.separator.as_deref()),
        (None, Some(old)) => retyped(name, old, edit.data_type.as_ref().unwrap_or(&old.data_type)),
        (None, None) => typed(name, edit.data_type.as_ref(), "", None),
    }
}

fn typed(
    name: &str,
    data_type: Option<&DataType>,
    value: &str,
    separator: Option<&str>,
) -> Result<Attribute> {
    Ok(match (data_type, separator) {
        (None | Some(DataType::Char), None) => Attribute::text(name, value),
        (None | Some(DataType::String), Some(separator)) => {
            Attribute::strings(name, &value.split(separator).collect::<Vec<_>>())
        }
        (Some(DataType::String), None) => Attribute::strings(name, &[value]),
        (Some(DataType::Char), Some(separator)) => {
            Attribute::text(name, &value.split(separator).collect::<String>())
        }
        (Some(number), None) => {
            let bytes = numbers::parse_all(value.split_whitespace(), number)?;
            Attribute::numbers(name, number.clone(), bytes.into())
        }
        (Some(number), Some(separator)) => {
            let words = value.split(separator).filter(|_| !value.trim().is_empty());
            Attribute::numbers(name, number.clone(), numbers::parse_all(words, number)?.into())
        }
    })
}

/// `old` under another name, its values as `data_type`.
pub(super) fn retyped(name: &str, old: &Attribute, data_type: &DataType) -> Result<Attribute> {
    let (values, len) = match (&old.values, data_type) {
        _ if old.data_type == *data_type => (old.values.clone(), old.len),
        (Block::Fixed(text), DataType::String) if old.data_type == DataType::Char => {
            (Block::varying([text]), 1)
        }
        (Block::Varying { .. }, DataType::Char) if old.as_text().is_some() => {
            let text = old.as_text().unwrap_or_default();
            (Block::Fixed(Bytes::copy_from_slice(text.as_bytes())), text.len() as u64)
        }
        (values, _) if old.data_type.is_numeric() && data_type.is_numeric() => {
            (numbers::convert_block(values.clone(), &old.data_type, data_type)?, old.len)
        }
        // Numbers that are written as text.
        (_, number) if number.is_numeric() && old.as_text().is_some() => {
            let text = old.as_text().unwrap_or_default();
            let attribute = typed(name, Some(number), &text, None)?;
            (attribute.values, attribute.len)
        }
        _ => {
            let (from, to) = (words::type_word(&old.data_type), words::type_word(data_type));
            return Err(Error::unsupported(format!("values of type {from} cannot be made {to}")));
        }
    };
    Ok(Attribute { name: name.into(), data_type: data_type.clone(), len, values })
}

/// Attributes whose values are of their variable's type.
const OF_THE_TYPE: [&str; 7] =
    ["_FillValue", "missing_value", "valid_min", "valid_max", "valid_range", "flag_values", "flag_masks"];

/// Those of `attributes` that hold values of their variable, which was of type `from` (read as `read_as`) and
/// is now of type `to`, as values of that.
///
/// # Errors
/// `Unsupported` when one does not fit.
pub(super) fn follow(
    attributes: &Attributes,
    from: &DataType,
    read_as: &DataType,
    to: &DataType,
) -> Result<Attributes> {
    let one = |attribute: &Attribute| {
        if !OF_THE_TYPE.contains(&&*attribute.name) || attribute.data_type != *numbers::stored(from) {
            return Ok(attribute.clone());
        }
        let old = Attribute { data_type: read_as.clone(), ..attribute.clone() };
        retyped(&attribute.name, &old, numbers::stored(to))
            .map_err(|e| e.within(format_args!("attribute {}", attribute.name)))
    };
    attributes.iter().map(one).collect()
}
