//! A dataset's description as JSON: the same facts as the CDL header, for programs.

use cdm::{Attribute, Attributes, DataType, Dataset, Dimension, Group, Value, Variable, values};
use serde_json::{Map, Value as Json, json};

/// The description of `dataset`.
pub fn document(dataset: &Dataset) -> Json {
    let mut root = group(dataset.root());
    if let Some(fields) = root.as_object_mut() {
        fields.insert("name".into(), dataset.name().into());
    }
    root
}

fn group(group: &Group) -> Json {
    json!({
        "name": group.name.as_str(),
        "dimensions": group.dimensions.iter().map(dimension).collect::<Vec<_>>(),
        "variables": group.variables.iter().map(variable).collect::<Vec<_>>(),
        "attributes": attributes(&group.attributes),
        "groups": group.groups.iter().map(self::group).collect::<Vec<_>>(),
    })
}

fn dimension(dimension: &Dimension) -> Json {
    json!({
        "name": dimension.name.as_ref().map(cdm::FullName::as_str),
        "size": dimension.size,
        "unlimited": dimension.unlimited,
    })
}

fn variable(variable: &Variable) -> Json {
    let mut fields = json!({
        "name": &*variable.name,
        "type": variable.data_type.name(),
        "dimensions": variable.dimensions.iter().map(dimension).collect::<Vec<_>>(),
        "attributes": attributes(&variable.attributes),
    });
    if let (Some(record), Some(map)) = (variable.data_type.record(), fields.as_object_mut()) {
        map.insert("members".into(), record.fields.iter().map(self::variable).collect());
    }
    fields
}

fn attributes(attributes: &Attributes) -> Json {
    let all: Map<String, Json> = attributes.iter().map(|a| (a.name.to_string(), attribute(a))).collect();
    Json::Object(all)
}

fn attribute(attribute: &Attribute) -> Json {
    if attribute.data_type == DataType::Char {
        return attribute.as_text().unwrap_or_default().into();
    }
    let mut all: Vec<Json> = values(&attribute.data_type, &attribute.values).map(|v| value(&v)).collect();
    if all.len() == 1 { all.remove(0) } else { Json::Array(all) }
}

/// One value; numbers that JSON cannot say (NaN, infinities) are strings.
pub fn value(value: &Value<'_>) -> Json {
    let float = |f: f64| if f.is_finite() { json!(f) } else { json!(f.to_string()) };
    match value {
        Value::Int(i) => json!(i),
        Value::UInt(u) => json!(u),
        // Through the shortest decimal form, so that 0.1_f32 is 0.1 and not 0.10000000149.
        Value::Float32(f) => f.to_string().parse().map_or_else(|_| json!(f.to_string()), float),
        Value::Float64(f) => float(*f),
        Value::Char(c) => json!(char::from(*c).to_string()),
        Value::Text(t) => json!(t),
        Value::Bytes(b) => json!(b.iter().fold(String::new(), |digits, b| digits + &format!("{b:02x}"))),
        Value::Enum(n, member) => member.map_or_else(|| json!(n.to_string()), |m| json!(m)),
        Value::Record(all) | Value::List(all) => all.iter().map(self::value).collect(),
    }
}
