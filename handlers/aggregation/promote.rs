//! `promoteGlobalAttribute`: a variable along the join dimension, of what a global attribute says in each member.

use cdm::{Attribute, Block, DataType, Dimension, FullName, Result, Variable};

use super::{
    Member, Note, NoteKind,
    axis::Axis,
    conversion::{Arithmetic, Conversion},
    coordinate::concatenated,
    fill::default_fill,
    join::{Along, cut},
    parts::Plan,
    variables::unified,
};
use crate::ncml::document::Promote;

/// The new variable. A number stays one when it is one in all members, everything else becomes text.
pub(super) fn promoted(
    promote: &Promote,
    members: &[Member],
    axis: &Axis,
    along: &Along,
    notes: &mut Vec<Note>,
) -> Result<(FullName, Variable, Plan)> {
    let full = FullName::new(&promote.name);
    let attribute = |member: usize| members[member].dataset.root().attributes.get(&promote.attribute);
    let mut data_type: Option<DataType> = None;
    let mut lacking = 0_u64;
    for stretch in &axis.stretches {
        let Some(value) = attribute(stretch.member) else {
            lacking += 1;
            continue;
        };
        data_type = Some(match data_type {
            None if value.data_type.is_numeric() => value.data_type.clone(),
            Some(known) if value.data_type.is_numeric() => {
                unified(&known, &value.data_type).unwrap_or(DataType::String)
            }
            _ => DataType::String,
        });
    }
    let data_type = data_type.unwrap_or(DataType::String);
    let missing = default_fill(&data_type).unwrap_or_default();
    let size = data_type.fixed_size();
    let mut pieces = Vec::new();
    for stretch in &axis.stretches {
        let values = match attribute(stretch.member) {
            Some(found) => in_type(found, &data_type)?,
            None => None,
        };
        match values {
            // One value for each index, or one for all.
            Some(block) if block.element_count(size) >= stretch.from + stretch.count && stretch.count > 1 => {
                pieces.extend(cut(&block, size, stretch.from, stretch.count));
            }
            Some(block) => {
                let one = cut(&block, size, 0, 1).unwrap_or_else(|| one_of(&missing, size));
                (0..stretch.count).for_each(|_| pieces.push(one.clone()));
            }
            None => (0..stretch.count).for_each(|_| pieces.push(one_of(&missing, size))),
        }
    }
    if lacking > 0 {
        notes.push(Note {
            member: None,
            kind: NoteKind::Converted,
            message: format!(
                "{full}: {lacking} members have no attribute {}; it is fill there",
                promote.attribute
            ),
        });
    }
    let dimension = Dimension::shared(along.for_group(&FullName::root()).clone(), axis.len);
    let mut variable = Variable::new(full.short(), data_type.clone(), vec![dimension]);
    if lacking > 0 && size.is_some() {
        variable.attributes.set(Attribute::numbers("_FillValue", data_type, missing));
    }
    Ok((full, variable, Plan::Values(concatenated(&pieces, size.is_some()))))
}

fn one_of(fill: &bytes::Bytes, size: Option<u64>) -> Block {
    if size.is_some() { Block::Fixed(fill.clone()) } else { Block::varying([fill]) }
}

/// The attribute's values as elements of a type.
fn in_type(attribute: &Attribute, to: &DataType) -> Result<Option<Block>> {
    if to.is_numeric() {
        let conversion = Conversion::new(attribute.data_type.clone(), to.clone(), Arithmetic::Same)?;
        return conversion.apply(attribute.values.clone()).map(Some);
    }
    if let Some(text) = attribute.as_text() {
        return Ok(Some(Block::varying([text.as_bytes()])));
    }
    let texts = cdm::values(&attribute.data_type, &attribute.values).filter_map(|value| match value {
        cdm::Value::Text(text) => Some(text.into_owned()),
        number => number
            .as_integer()
            .map(|i| i.to_string())
            .or_else(|| number.as_f64().map(|real| real.to_string())),
    });
    Ok(Some(Block::varying(texts)))
}
