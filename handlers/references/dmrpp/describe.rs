//! What DMR++ describes: groups, dimensions, types and variables, as the model has them.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, sync::Arc};

use cdm::{
    DataType, Dimension, EnumType, Error, FullName, Group, OpaqueType, RecordType, Result, ResultExt,
    TypeDefinition, Variable,
};

use super::attributes::{attributes, number_type};
use crate::xml::Element;

/// Axes of a variable.
const MOST_AXES: usize = 64;

/// A described dataset.
#[derive(Debug)]
pub(super) struct Described<'a> {
    /// The root group.
    pub(super) root: Group,
    /// The element of each variable.
    pub(super) variables: Vec<(FullName, &'a Element<'a>)>,
}

/// What the document `root` describes.
///
/// # Errors
/// `Corrupt` when it contradicts itself, or is not a dataset.
pub(super) fn describe<'a>(root: &'a Element<'a>) -> Result<Described<'a>> {
    if root.name != "Dataset" {
        return Err(Error::corrupt(format!("a document of <{}>, not of <Dataset>", root.name)));
    }
    let mut seen = Seen::default();
    let name = FullName::root();
    seen.declare(root, &name)?;
    let mut variables = Vec::new();
    let root = group(root, &name, &seen, &mut variables)?;
    Ok(Described { root, variables })
}

/// Dimensions and enumerations of all groups: they may be used before they are declared.
#[derive(Debug, Default)]
struct Seen {
    dimensions: HashMap<FullName, u64>,
    enums: HashMap<FullName, Arc<EnumType>>,
}

impl Seen {
    fn declare(&mut self, element: &Element<'_>, group: &FullName) -> Result<()> {
        for dimension in element.all("Dimension") {
            let name = group.join(dimension.require("name")?);
            let size = size(dimension.require("size")?).within(|| &name)?;
            if self.dimensions.insert(name.clone(), size).is_some() {
                return Err(Error::corrupt(format!("two dimensions are called {name}")));
            }
        }
        for declared in element.all("Enumeration") {
            let name = group.join(declared.require("name")?);
            let base = number_type(declared.require("basetype")?).filter(DataType::is_integer);
            let base =
                base.ok_or_else(|| Error::corrupt(format!("the enumeration {name} is not of integers")))?;
            let mut members = Vec::new();
            for constant in declared.all("EnumConst") {
                let value = constant.require("value")?.trim().parse::<i128>();
                let value =
                    value.map_err(|e| Error::corrupt("an enumeration of no numbers").with_source(e))?;
                members.push((constant.require("name")?.into(), value));
            }
            self.enums.insert(name.clone(), Arc::new(EnumType { name, base, members }));
        }
        for child in element.all("Group") {
            self.declare(child, &group.join(child.require("name")?))?;
        }
        Ok(())
    }
}

fn size(text: &str) -> Result<u64> {
    text.trim().parse().map_err(|e| Error::corrupt("a dimension whose size is no number").with_source(e))
}

fn group<'a>(
    element: &'a Element<'a>,
    name: &FullName,
    seen: &Seen,
    variables: &mut Vec<(FullName, &'a Element<'a>)>,
) -> Result<Group> {
    let mut made = Group::new(name.clone());
    made.attributes = attributes(element);
    for child in &element.children {
        match child.name {
            "Dimension" => {
                let full = name.join(child.require("name")?);
                let size = seen.dimensions.get(&full).copied().unwrap_or(0);
                made.dimensions.push(Dimension::shared(full, size));
            }
            "Enumeration" => {
                let short = child.require("name")?;
                if let Some(kind) = seen.enums.get(&name.join(short)) {
                    let definition =
                        TypeDefinition { name: short.into(), data_type: DataType::Enum(Arc::clone(kind)) };
                    made.types.push(definition);
                }
            }
            "Group" => {
                let short = child.require("name")?;
                if short.is_empty() || short.contains('/') || made.group(short).is_some() {
                    return Err(Error::corrupt(format!("a group cannot be called '{short}' in {name}")));
                }
                made.groups.push(group(child, &name.join(short), seen, variables)?);
            }
            _ if is_variable(child.name) => {
                let short = child.require("name")?;
                if short.is_empty() || short.contains('/') {
                    return Err(Error::corrupt(format!("a variable cannot be called '{short}'")));
                }
                let full = name.join(short);
                made.variables.push(variable(child, name, seen).within(|| &full)?);
                variables.push((full, child));
            }
            _ => {}
        }
    }
    Ok(made)
}

fn is_variable(name: &str) -> bool {
    number_type(name).is_some()
        || matches!(
            name,
            "Char" | "String" | "Str" | "URL" | "Url" | "Opaque" | "Enum" | "Structure" | "Sequence"
        )
}

fn variable(element: &Element<'_>, group: &FullName, seen: &Seen) -> Result<Variable> {
    let mut dimensions = Vec::new();
    for dim in element.all("Dim") {
        dimensions.push(match (dim.attribute("name"), dim.attribute("size")) {
            (Some(name), _) => {
                let full = nearest(group, name, &seen.dimensions);
                let full = full.ok_or_else(|| Error::corrupt(format!("there is no dimension {name}")))?;
                Dimension::shared(full.0, *full.1)
            }
            (None, Some(text)) => Dimension::anonymous(size(text)?),
            (None, None) => return Err(Error::corrupt("an axis without name and size")),
        });
        if dimensions.len() > MOST_AXES {
            return Err(Error::too_large(format!("more than {MOST_AXES} axes")));
        }
    }
    let name = element.require("name")?;
    let data_type = data_type(element, group, seen)?;
    Ok(Variable { attributes: attributes(element), ..Variable::new(name, data_type, dimensions) })
}

fn data_type(element: &Element<'_>, group: &FullName, seen: &Seen) -> Result<DataType> {
    if let Some(number) = number_type(element.name) {
        return Ok(number);
    }
    Ok(match element.name {
        "Char" => DataType::Char,
        "URL" | "Url" => DataType::Url,
        "Opaque" => DataType::Opaque(Arc::new(OpaqueType::default())),
        "Enum" => {
            let name = element.require("enum")?;
            let found = nearest(group, name, &seen.enums);
            let found = found.ok_or_else(|| Error::corrupt(format!("there is no enumeration {name}")))?;
            DataType::Enum(Arc::clone(found.1))
        }
        "Structure" | "Sequence" => {
            let members = element.children.iter().filter(|child| is_variable(child.name));
            let fields = members
                .map(|member| {
                    let mut field = variable(member, group, seen)?;
                    // Members have axes of their own.
                    for dimension in &mut field.dimensions {
                        *dimension = Dimension::anonymous(dimension.size);
                    }
                    Ok(field)
                })
                .collect::<Result<Vec<_>>>()?;
            let record = Arc::new(RecordType { name: None, fields, is_vlen: false });
            if element.name == "Structure" { DataType::Structure(record) } else { DataType::Sequence(record) }
        }
        _ => DataType::String,
    })
}

/// What `name` stands for in `group`: an absolute name, or one of the group or the nearest around it. Names
/// may have characters escaped with a backslash.
fn nearest<'s, T>(
    group: &FullName,
    name: &str,
    known: &'s HashMap<FullName, T>,
) -> Option<(FullName, &'s T)> {
    let plain: String = name.chars().filter(|c| *c != '\\').collect();
    for name in [name, &plain] {
        if name.starts_with('/') {
            if let Some((full, found)) = known.get_key_value(name) {
                return Some((full.clone(), found));
            }
            continue;
        }
        let mut at = group.clone();
        loop {
            if let Some((full, found)) = known.get_key_value(&at.join(name)) {
                return Some((full.clone(), found));
            }
            if at.is_root() {
                break;
            }
            at = at.parent();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let root = crate::xml::parse(text).unwrap();
        let shown = match describe(&root) {
            Ok(described) => {
                let all = described.root.walk().flat_map(|g| &g.variables).map(|v| {
                    let axes: Vec<String> = v
                        .dimensions
                        .iter()
                        .map(|d| {
                            d.name.as_ref().map_or_else(String::new, ToString::to_string)
                                + &format!("={}", d.size)
                        })
                        .collect();
                    format!("{} {}({})", v.data_type.name(), v.name, axes.join(","))
                });
                all.collect::<Vec<_>>().join(" ")
            }
            Err(e) => e.to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn groups_dimensions_and_types() {
        check(
            r#"<Dataset name="d"><Dimension name="x" size="3"/><Int8 name="x"><Dim name="/x"/></Int8>
               <Group name="g"><Float32 name="v"><Dim name="y.z"/><Dim name="x"/><Dim size="2"/></Float32>
               <Dimension name="y.z" size="4"/><Enumeration name="e" basetype="Byte"><EnumConst name="a" value="1"/></Enumeration>
               <Enum name="k" enum="/g/e"/><Structure name="s"><Int16 name="a"/><Byte name="b"><Dim name="/x"/></Byte></Structure>
               <Char name="c"><Dim name="/g/y\.z"/></Char></Group></Dataset>"#,
            "Int8 x(/x=3) Float32 v(/g/y.z=4,/x=3,=2) Enum k() Structure s() Char c(/g/y.z=4)",
        );
    }

    #[test]
    fn contradictions() {
        check("<Data/>", "a document of <Data>, not of <Dataset>");
        check("<Dataset><Int8/></Dataset>", "<Int8> without name");
        check(r#"<Dataset><Int8 name="v"><Dim name="x"/></Int8></Dataset>"#, "/v: there is no dimension x");
        check(r#"<Dataset><Int8 name="v"><Dim/></Int8></Dataset>"#, "/v: an axis without name and size");
        check(r#"<Dataset><Int8 name="a/b"/></Dataset>"#, "a variable cannot be called 'a/b'");
        check(
            r#"<Dataset><Dimension name="x" size="-1"/></Dataset>"#,
            "/x: a dimension whose size is no number",
        );
        check(r#"<Dataset><Enum name="v" enum="e"/></Dataset>"#, "/v: there is no enumeration e");
        check(
            r#"<Dataset><Group name="g"/><Group name="g"/></Dataset>"#,
            "a group cannot be called 'g' in /",
        );
    }
}
