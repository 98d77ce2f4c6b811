//! Attributes as netCDF-C presents them: its hidden ones left out, texts and lists of strings told
//! apart, everything else as typed values.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Attribute, Attributes, Block, DataType, Error, ErrorKind, Result};

use super::{
    elements::{Decoder, Heaps, array_of, trimmed},
    format::{Dataspace, Datatype, RawAttribute},
    types::{Place, Types},
};

/// What netCDF-C keeps for itself (its list of reserved names), whatever object it is on.
fn is_hidden(name: &str) -> bool {
    matches!(
        name,
        "CLASS"
            | "DIMENSION_LIST"
            | "NAME"
            | "REFERENCE_LIST"
            | "_ARRAY_DIMENSIONS"
            | "_Codecs"
            | "_Format"
            | "_IsNetcdf4"
            | "_NCProperties"
            | "_Netcdf4Coordinates"
            | "_Netcdf4Dimid"
            | "_SuperblockVersion"
            | "_nc3_strict"
            | "_nczarr_array"
            | "_nczarr_attr"
            | "_nczarr_group"
            | "_nczarr_superblock"
    )
}

/// The attributes of one object; those that have no counterpart in the model are left out, with a
/// warning in the log, as netCDF-C leaves them out.
///
/// # Errors
/// Failing or changed storage only.
pub(super) fn attributes(
    raw: Vec<RawAttribute>,
    types: &mut Types<'_>,
    place: Place<'_>,
    heaps: &Heaps,
) -> Result<Attributes> {
    let mut all = Vec::with_capacity(raw.len());
    for one in raw.into_iter().filter(|a| !is_hidden(&a.name)) {
        let name = Arc::clone(&one.name);
        match attribute(one, types, place, heaps) {
            Ok(attribute) => all.push(attribute),
            Err(e) if matches!(e.kind(), ErrorKind::Storage | ErrorKind::TimedOut | ErrorKind::Changed) => {
                return Err(e);
            }
            Err(e) => {
                tracing::warn!(group = %place.group, of = place.hint, attribute = &*name, error = %e, "an attribute is left out");
            }
        }
    }
    Ok(all.into_iter().collect())
}

fn attribute(raw: RawAttribute, types: &mut Types<'_>, place: Place<'_>, heaps: &Heaps) -> Result<Attribute> {
    let name = raw.name;
    let (per_element, element) = array_of(&raw.datatype);
    if let Datatype::String { padding, .. } = &raw.datatype {
        // One fixed-length text is NC_CHAR, several are NC_STRING.
        return Ok(match raw.dataspace {
            Dataspace::Scalar => char_text(name, raw.data),
            Dataspace::Null => char_text(name, Bytes::new()),
            Dataspace::Simple { .. } => {
                let size = usize::try_from(raw.datatype.size()).unwrap_or(usize::MAX);
                let texts = raw.data.chunks_exact(size.max(1));
                let texts: Vec<_> = texts.map(|t| String::from_utf8_lossy(trimmed(t, *padding))).collect();
                Attribute::strings(name, &texts)
            }
        });
    }
    if matches!(element, Datatype::Reference { .. }) || is_list_of_references(element) {
        return Err(Error::unsupported("references are not shown as attributes"));
    }
    let hint = if matches!(element, Datatype::FixedPoint { .. } | Datatype::Float(_)) {
        // Numbers need no name for their type.
        String::new()
    } else if place.hint.is_empty() {
        name.to_string()
    } else {
        format!("{}_{name}", place.hint)
    };
    let place = Place { group: place.group, hint: &hint };
    let (data_type, _) = types.of(&raw.datatype, raw.committed, place)?;
    let len = raw.dataspace.element_count().saturating_mul(per_element);
    let decoder = Decoder::new(element)?;
    let values = if len == 0 { empty(&data_type) } else { decoder.decode(raw.data, Some(heaps))? };
    if values.element_count(data_type.fixed_size()) != len {
        return Err(Error::corrupt("an attribute has fewer values than its shape says"));
    }
    Ok(Attribute { name, data_type, len, values })
}

/// A text without the NULs that pad it; netCDF's readers drop them too.
fn char_text(name: Arc<str>, stored: Bytes) -> Attribute {
    let len = stored.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let text = if len == stored.len() {
        stored
    } else {
        stored.get(..len).map_or_else(Bytes::new, Bytes::copy_from_slice)
    };
    Attribute { name, data_type: DataType::Char, len: len as u64, values: Block::Fixed(text) }
}

fn empty(data_type: &DataType) -> Block {
    match data_type.fixed_size() {
        Some(_) => Block::Fixed(Bytes::new()),
        None => Block::Varying { ends: Vec::new(), bytes: Bytes::new() },
    }
}

fn is_list_of_references(datatype: &Datatype) -> bool {
    matches!(datatype, Datatype::VarLen { base, .. } if matches!(**base, Datatype::Reference { .. }))
}
