//! The metadata documents of both versions of Zarr: groups, arrays, and everything below a group at once.

use cdm::{DataType, Dataset, FullName, Group, Source, Variable};
use serde_json::{Map, Value as Json, json};

use super::{
    codecs,
    plan::{DimensionNames, Plan, Version},
    values,
};

/// The attribute of a group that names the variables Zarr cannot have, with the reasons.
const LEFT_OUT: &str = "variables_left_out";

/// A node of the hierarchy.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Group(&'a Group),
    Array(&'a Variable, Plan, Vec<String>),
}

/// The arrays of `group` in order, by short name, and what there is to say of the others.
pub(super) fn arrays<'a>(source: &dyn Source, group: &'a Group) -> (Vec<(FullName, Node<'a>)>, Vec<String>) {
    let mut names = DimensionNames::of(group);
    let (mut arrays, mut left_out) = (Vec::new(), Vec::new());
    for variable in &group.variables {
        let full = group.name.join(&variable.name);
        match Plan::new(source, &full, variable) {
            Ok(plan) => arrays.push((full, Node::Array(variable, plan, names.name(variable)))),
            Err(why) => left_out.push(format!("{}: {why}", variable.name)),
        }
    }
    (arrays, left_out)
}

/// The node that is called `name`.
pub(super) fn node<'a>(source: &dyn Source, dataset: &'a Dataset, name: &FullName) -> Option<Node<'a>> {
    if let Some(variable) = dataset.variable(name) {
        let group = dataset.group(&name.parent())?;
        let plan = Plan::new(source, name, variable).ok()?;
        let mut names = DimensionNames::of(group);
        let own =
            group.variables.iter().map(|v| (v, names.name(v))).find(|(v, _)| v.name == variable.name)?.1;
        return Some(Node::Array(variable, plan, own));
    }
    dataset.group(name).map(Node::Group)
}

impl Node<'_> {
    /// Attributes as JSON.
    fn attributes(&self, source: &dyn Source, version: Version) -> Map<String, Json> {
        match self {
            Self::Group(group) => {
                let mut all = values::attributes(&group.attributes);
                let (_, left_out) = arrays(source, group);
                if !left_out.is_empty() {
                    all.insert(LEFT_OUT.to_owned(), json!(left_out));
                }
                all
            }
            Self::Array(variable, plan, dimensions) => {
                let mut all = values::attributes(&variable.attributes);
                flags(&variable.data_type, &mut all);
                match version {
                    Version::V2 => {
                        all.insert("_ARRAY_DIMENSIONS".to_owned(), json!(dimensions));
                    }
                    Version::V3 => {
                        let fill = plan.mask.as_ref().and_then(|m| values::xarray_fill(m, &plan.data_type));
                        all.extend(fill.map(|fill| ("_FillValue".to_owned(), fill)));
                    }
                }
                all
            }
        }
    }

    /// `.zattrs`
    pub(super) fn v2_attributes(&self, source: &dyn Source) -> Json {
        Json::Object(self.attributes(source, Version::V2))
    }

    /// `.zgroup` or `.zarray`
    pub(super) fn v2(&self) -> Json {
        match self {
            Self::Group(_) => json!({"zarr_format": 2}),
            Self::Array(_, plan, _) => v2_array(plan),
        }
    }

    /// `zarr.json`, without what is below.
    pub(super) fn v3(&self, source: &dyn Source) -> Json {
        let attributes = Json::Object(self.attributes(source, Version::V3));
        match self {
            Self::Group(_) => json!({"zarr_format": 3, "node_type": "group", "attributes": attributes}),
            Self::Array(_, plan, dimensions) => {
                let fill = plan.fill(Version::V3).unwrap_or_default();
                json!({
                    "zarr_format": 3,
                    "node_type": "array",
                    "shape": plan.shape,
                    "data_type": v3_type(&plan.data_type),
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": plan.chunk_shape}},
                    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                    "fill_value": values::zarr_fill(&fill, &plan.data_type),
                    "codecs": v3_codecs(plan),
                    "attributes": attributes,
                    "dimension_names": dimensions,
                    "storage_transformers": [],
                })
            }
        }
    }
}

/// `.zarray` of an array that is planned so.
pub(super) fn v2_array(plan: &Plan) -> Json {
    let mut filters: Vec<Json> = plan.encodings.iter().filter_map(codecs::in_v2).collect();
    if plan.data_type == DataType::String {
        filters.push(json!({"id": "vlen-utf8"}));
    }
    json!({
        "zarr_format": 2,
        "shape": plan.shape,
        "chunks": plan.chunk_shape,
        "dtype": v2_type(plan),
        "compressor": null,
        "filters": if filters.is_empty() { Json::Null } else { Json::Array(filters) },
        "fill_value": plan.fill(Version::V2).map_or(Json::Null, |f| values::zarr_fill(&f, &plan.data_type)),
        "order": "C",
        "dimension_separator": ".",
    })
}

fn v2_type(plan: &Plan) -> String {
    let kind = match &plan.data_type {
        DataType::String => return "|O".to_owned(),
        DataType::Char => 'S',
        DataType::Float32 | DataType::Float64 => 'f',
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => 'u',
        _ => 'i',
    };
    let order = match (plan.element_size(), plan.big_endian) {
        (1, _) => '|',
        (_, true) => '>',
        (_, false) => '<',
    };
    format!("{order}{kind}{}", plan.element_size())
}

fn v3_type(data_type: &DataType) -> Json {
    match data_type {
        DataType::Char => json!({"name": "null_terminated_bytes", "configuration": {"length_bytes": 1}}),
        other => json!(other.name().to_ascii_lowercase()),
    }
}

fn v3_codecs(plan: &Plan) -> Vec<Json> {
    if plan.data_type == DataType::String {
        return vec![json!({"name": "vlen-utf8"})];
    }
    let first = if plan.element_size() > 1 {
        json!({"name": "bytes", "configuration": {"endian": if plan.big_endian { "big" } else { "little" }}})
    } else {
        json!({"name": "bytes"})
    };
    let more = plan.encodings.iter().filter_map(|e| codecs::in_v3(e, plan.element_size()));
    std::iter::once(first).chain(more).collect()
}

/// An enumeration's names by CF's attributes, where the variable has not its own.
fn flags(data_type: &DataType, attributes: &mut Map<String, Json>) {
    let DataType::Enum(kind) = data_type else { return };
    if attributes.contains_key("flag_values") || attributes.contains_key("flag_meanings") {
        return;
    }
    let word = |name: &str| name.split_whitespace().collect::<Vec<_>>().join("_");
    let meanings: Vec<String> = kind.members.iter().map(|(name, _)| word(name)).collect();
    let values: Vec<Json> = kind
        .members
        .iter()
        .map(|(_, v)| {
            i64::try_from(*v).map_or_else(|_| json!(u64::try_from(*v).unwrap_or_default()), |v| json!(v))
        })
        .collect();
    attributes.insert("flag_values".to_owned(), Json::Array(values));
    attributes.insert("flag_meanings".to_owned(), json!(meanings.join(" ")));
}

/// Everything below `group`, by path from there; the group itself is `""`.
fn below<'a>(source: &dyn Source, group: &'a Group) -> Vec<(String, Node<'a>)> {
    let mut all = Vec::new();
    for inner in group.walk() {
        all.push((path_from(&group.name, &inner.name), Node::Group(inner)));
        let (arrays, _) = arrays(source, inner);
        all.extend(arrays.into_iter().map(|(name, node)| (path_from(&group.name, &name), node)));
    }
    all
}

fn path_from(group: &FullName, name: &FullName) -> String {
    let rest = name.as_str().strip_prefix(group.as_str()).unwrap_or(name.as_str());
    rest.trim_start_matches('/').to_owned()
}

/// `.zmetadata`
pub(super) fn v2_consolidated(source: &dyn Source, group: &Group) -> Json {
    let mut metadata = Map::new();
    for (path, node) in below(source, group) {
        let folder = if path.is_empty() { path } else { format!("{path}/") };
        let own = if matches!(node, Node::Group(_)) { ".zgroup" } else { ".zarray" };
        metadata.insert(format!("{folder}{own}"), node.v2());
        metadata.insert(format!("{folder}.zattrs"), node.v2_attributes(source));
    }
    json!({"zarr_consolidated_format": 1, "metadata": metadata})
}

/// `zarr.json` of a group, with everything below.
pub(super) fn v3_consolidated(source: &dyn Source, group: &Group) -> Json {
    let mut metadata = Map::new();
    for (path, node) in below(source, group) {
        if !path.is_empty() {
            metadata.insert(path, node.v3(source));
        }
    }
    let mut own = Node::Group(group).v3(source);
    if let Some(fields) = own.as_object_mut() {
        let inline = json!({"kind": "inline", "must_understand": false, "metadata": metadata});
        fields.insert("consolidated_metadata".to_owned(), inline);
    }
    own
}
