//! One array: its metadata as a variable, and where its values come from.

#![warn(clippy::indexing_slicing)]

use std::{cell::Cell, sync::Arc};

use cdm::{Attribute, Attributes, DataType, Error, FullName, Result};

use super::{
    ChunkKeys,
    attributes::{attributes, from_stored, of_kind},
    chunks::{Chunks, KeyStyle, shards},
    coding::{self, Coding, sizes},
    elements::{NOT_A_TIME, StoredElements},
    fill,
    hierarchy::{Node, Version},
    json::Json,
    types::{self, Kind},
};
use crate::{
    chunked::{ChunkedArray, VaryingArray},
    storage::{Place, join},
};

/// Axes an array may have.
const MOST_AXES: usize = 64;

/// Bytes of the fill values of all arrays of a hierarchy.
pub(super) const MOST_FILLS: u64 = 64 << 20;

/// Where a variable's values come from.
#[derive(Debug)]
pub(super) enum Values {
    /// Elements of one size.
    Fixed(Arc<ChunkedArray>),
    /// Elements of any length.
    Varying(Arc<VaryingArray>),
}

/// What an array is, apart from the names of its dimensions.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) data_type: DataType,
    pub(super) shape: Vec<u64>,
    pub(super) attributes: Attributes,
    /// The values, or why they cannot be read.
    pub(super) values: Result<Values>,
}

/// What all arrays of a hierarchy share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) place: &'a Place,
    pub(super) keys: &'a Arc<dyn ChunkKeys>,
    /// Identity of what was opened.
    pub(super) identity: Arc<str>,
    /// Bytes that the arrays' fill values may still take: a few letters can name a large one.
    pub(super) fills_left: Cell<u64>,
}

/// The array that `node` describes.
///
/// # Errors
/// `Unsupported` for a data type that the model has no type for; `Corrupt` when there is not even a shape.
/// What is wrong with anything else is left to [`Draft::values`].
pub(super) fn draft(node: &Node, name: &FullName, shared: &Shared<'_>) -> Result<Draft> {
    let document = &node.document;
    let type_of = |member| document.member(member).ok_or_else(|| Error::corrupt("no data type"));
    let kind = match node.format {
        Version::V2 => {
            let is_netcdf = super::dimensions::netcdf(node, "array").is_some();
            let kind = types::v2(type_of("dtype")?, is_netcdf)?;
            // Which objects they are is said by a filter.
            let filters = document.member("filters").and_then(Json::list).unwrap_or_default();
            let bytes = filters.iter().any(|f| f.member("id").and_then(Json::text) == Some("vlen-bytes"));
            if bytes && kind == Kind::AnyText { Kind::AnyBytes } else { kind }
        }
        Version::V3 => types::v3(type_of("data_type")?)?,
    };
    let shape = document.member("shape").and_then(Json::list);
    let shape = shape.and_then(|s| s.iter().map(Json::size).collect::<Option<Vec<u64>>>());
    let shape = shape.ok_or_else(|| Error::corrupt("no shape"))?;
    if shape.len() > MOST_AXES {
        return Err(Error::unsupported(format!("more than {MOST_AXES} axes")));
    }
    let bytes = shape.iter().try_fold(kind.size().unwrap_or(16) as u64, |n, &s| n.checked_mul(s));
    if bytes.is_none_or(|n| i64::try_from(n).is_err()) {
        return Err(Error::corrupt("more than 2^63 bytes"));
    }
    let size = kind.size().unwrap_or(0) as u64;
    let left = shared.fills_left.get().checked_sub(size);
    let left = left.ok_or_else(|| Error::unsupported("that many arrays of elements that large"))?;
    shared.fills_left.set(left);
    let fill = fill::element(&kind, document.member("fill_value").unwrap_or(&Json::Null));
    let shown = fill.as_ref().ok().cloned().flatten();
    Ok(Draft {
        data_type: kind.data_type(),
        attributes: all_attributes(node, &kind, shown),
        values: fill.and_then(|fill| values(node, name, kind, &shape, fill, shared)),
        shape,
    })
}

/// `_FillValue` comes first, as in netCDF. Version 2's fill value is one, as xarray takes it to be; version
/// 3 always has a fill value, which says nothing about missing data, so there only the attribute counts.
fn all_attributes(node: &Node, kind: &Kind, fill: Option<Vec<u8>>) -> Attributes {
    const NAME: &str = "_FillValue";
    let mut all = Attributes::default();
    let own = node.attributes.member(NAME).and_then(|value| of_kind(NAME, kind, value));
    let stored = fill.filter(|_| node.format == Version::V2).and_then(|fill| from_stored(NAME, kind, fill));
    if let Kind::Time(time) = kind {
        if let Some(units) = time.units() {
            all.set(not_a_time());
            all.set(Attribute::text("units", &units));
            if time.since_epoch {
                all.set(Attribute::text("calendar", "proleptic_gregorian"));
            }
        }
    } else if *kind == Kind::Bool {
        // A truth value cannot be missing, and to xarray this says that the numbers are truth values.
        all.set(Attribute::text("dtype", "bool"));
    } else if let Some(fill) = stored.or(own) {
        all.set(fill);
    }
    let others = attributes(&node.attributes, Some(kind));
    let others: Vec<Attribute> = others.iter().filter(|a| all.get(&a.name).is_none()).cloned().collect();
    all.iter().cloned().chain(others).collect()
}

fn not_a_time() -> Attribute {
    let bytes = bytes::Bytes::copy_from_slice(&NOT_A_TIME.to_ne_bytes());
    Attribute::numbers("_FillValue", DataType::Int64, bytes)
}

fn values(
    node: &Node,
    name: &FullName,
    kind: Kind,
    shape: &[u64],
    fill: Option<Vec<u8>>,
    shared: &Shared<'_>,
) -> Result<Values> {
    let declared = kind.clone();
    let (coding, style) = match node.format {
        Version::V2 => {
            // An axis of size 0 may have chunks of size 0.
            let chunks = node.document.member("chunks").and_then(Json::list);
            let chunks = chunks.ok_or_else(|| Error::corrupt("no chunk shape"))?;
            let chunks: Vec<Json> = chunks
                .iter()
                .zip(shape)
                .map(
                    |(chunk, size)| {
                        if *size == 0 && chunk.size() == Some(0) { Json::Int(1) } else { chunk.clone() }
                    },
                )
                .chain(chunks.iter().skip(shape.len()).cloned())
                .collect();
            let chunk_shape = sizes(Some(&Json::List(chunks)), shape.len())?;
            let separator = node.document.member("dimension_separator");
            (coding::v2(&node.document, kind, &chunk_shape)?, style(separator, false, '.')?)
        }
        Version::V3 => v3_coding(&node.document, kind, shape)?,
    };
    // The metadata's type says nothing of the order of bytes in version 3; a codec does.
    let fill = match fill {
        Some(fill) => fill::reordered(fill, &declared, &coding.kind),
        None => fill::default(&coding.kind),
    };
    let Coding { pipeline, kind, chunk_shape, shards: levels, order } = coding;
    let stored_size = kind.size();
    let elements = chunk_shape.iter().try_fold(stored_size.unwrap_or(16) as u64, |n, &c| n.checked_mul(c));
    let chunk_len = elements.ok_or_else(|| Error::corrupt("an impossible chunk shape"))?;
    let index = Arc::new(Chunks {
        keys: Arc::clone(shared.keys),
        path: join(&shared.place.path, &node.path),
        style,
        plain_len: (pipeline.is_empty() && levels.is_empty() && stored_size.is_some()).then_some(chunk_len),
        shards: shards(levels, &chunk_shape),
    });
    let (name, version) = (name.clone(), Arc::clone(&shared.identity));
    let (shape, fill) = (shape.to_vec(), fill.into());
    Ok(match stored_size {
        None => Values::Varying(Arc::new(VaryingArray {
            name,
            version,
            shape,
            chunk_shape,
            order,
            fill,
            pipeline,
            index,
        })),
        Some(stored_size) => Values::Fixed(Arc::new(ChunkedArray {
            name,
            version,
            shape,
            chunk_shape,
            stored_size,
            fill,
            pipeline,
            index,
            elements: Arc::new(StoredElements(kind)),
        })),
    })
}

fn v3_coding(document: &Json, kind: Kind, shape: &[u64]) -> Result<(Coding, KeyStyle)> {
    let named = |member: &str| {
        let value = document.member(member)?;
        Some((value.text().or_else(|| value.member("name")?.text())?, value.member("configuration")))
    };
    if let Some(transformers) = document.member("storage_transformers").and_then(Json::list)
        && !transformers.is_empty()
    {
        return Err(Error::unsupported("storage transformers"));
    }
    let known = [
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "fill_value",
        "codecs",
        "attributes",
        "dimension_names",
        "storage_transformers",
        "consolidated_metadata",
    ];
    for (member, value) in document.members() {
        let optional = value.member("must_understand") == Some(&Json::Bool(false));
        if !known.contains(&member.as_str()) && !optional && !matches!(value, Json::Null) {
            return Err(Error::unsupported(format!("the metadata {member:?}")));
        }
    }
    let grid = named("chunk_grid").ok_or_else(|| Error::corrupt("no chunk grid"))?;
    let ("regular", Some(settings)) = grid else {
        return Err(Error::unsupported(format!("the chunk grid {:?}: chunks must be of one shape", grid.0)));
    };
    let chunk_shape = sizes(settings.member("chunk_shape"), shape.len())?;
    let separator = |settings: Option<&Json>| settings.and_then(|s| s.member("separator")).cloned();
    let style = match named("chunk_key_encoding") {
        Some(("default", settings)) => style(separator(settings).as_ref(), true, '/')?,
        Some(("v2", settings)) => style(separator(settings).as_ref(), false, '.')?,
        Some((other, _)) => return Err(Error::unsupported(format!("chunk keys encoded as {other:?}"))),
        None => return Err(Error::corrupt("no encoding of chunk keys")),
    };
    let codecs = document.member("codecs").and_then(Json::list);
    let codecs = codecs.ok_or_else(|| Error::corrupt("no codecs"))?;
    Ok((coding::v3(codecs, kind, &chunk_shape)?, style))
}

fn style(separator: Option<&Json>, prefixed: bool, default: char) -> Result<KeyStyle> {
    let separator = match separator {
        None | Some(Json::Null) => default,
        Some(Json::Text(text)) if text == "/" => '/',
        Some(Json::Text(text)) if text == "." => '.',
        Some(other) => return Err(Error::corrupt(format!("the separator {other}"))),
    };
    Ok(KeyStyle { prefixed, separator })
}
