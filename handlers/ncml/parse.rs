//! Reads NcML 2.2 within the limits of [`crate::xml`]. What is not known is an error with its line; what
//! netCDF-Java knows and has no effect here is accepted with a remark.

#![warn(clippy::indexing_slicing)]

use cdm::{DataType, Error, ErrorKind, Result};

use super::{
    document::{
        AttributeEdit, DimensionEdit, EnumTypedef, GroupEdit, Logical, Netcdf, Remove, RemoveKind, TypeName,
        Values, VariableEdit,
    },
    words,
};
use crate::xml::{self, Element};

/// Bytes of a document.
pub const LARGEST: u64 = 16 << 20;

/// The namespace of NcML 2.2.
pub const NAMESPACE: &str = "http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2";

/// A document that was read.
#[derive(Debug)]
pub struct Parsed {
    /// What it says.
    pub netcdf: Netcdf,
    /// What it says without effect.
    pub remarks: Vec<Remark>,
}

/// Something that has no effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Line in the document.
    pub line: usize,
    /// One sentence.
    pub message: String,
}

/// Reads the document `text`, which errors call `name`.
///
/// # Errors
/// `Corrupt` for what is no NcML, as `name:line: what`; `Unsupported` for document types, entities and what is
/// not supported; `TooLarge` beyond the limits.
pub fn parse(text: &[u8], name: &str) -> Result<Parsed> {
    if text.len() as u64 > LARGEST {
        let message = format!("{name}: an NcML document of {} bytes; at most {LARGEST} are read", text.len());
        return Err(Error::too_large(message));
    }
    let text = xml::text(text);
    let root =
        xml::parse(&text).map_err(|fault| fault.error.within(format_args!("{name}:{}", fault.line)))?;
    from_element(&root, name)
}

/// As [`parse`], for a `netcdf` element inside of another document.
///
/// # Errors
/// As [`parse`].
pub fn from_element(element: &Element<'_>, name: &str) -> Result<Parsed> {
    let mut parser = Parser { document: name, remarks: Vec::new() };
    if element.name != "netcdf" {
        let message = format!("<{}> where <netcdf> is expected", element.name);
        return Err(parser.wrong(element, message));
    }
    if let Some((_, other)) = element
        .attributes()
        .find(|(attribute, value)| *attribute == "xmlns" && !value.is_empty() && *value != NAMESPACE)
    {
        return Err(
            parser.wrong(element, format!("the namespace '{other}' is not that of NcML 2.2, {NAMESPACE}"))
        );
    }
    let netcdf = parser.netcdf(element, Within::Nothing)?;
    Ok(Parsed { netcdf, remarks: parser.remarks })
}

/// What a `netcdf` element stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// It is the document's own.
    Nothing,
    /// It is a member.
    Aggregation,
}

/// The elements of a group's content.
const CONTENT: [&str; 6] = ["enumTypedef", "dimension", "attribute", "variable", "group", "remove"];

/// Reading one document.
#[derive(Debug)]
pub(super) struct Parser<'d> {
    document: &'d str,
    remarks: Vec<Remark>,
}

impl Parser<'_> {
    pub(super) fn netcdf(&mut self, element: &Element<'_>, within: Within) -> Result<Netcdf> {
        let known = ["location", "coordValue", "ncoords", "section"];
        let harmless = [
            "id",
            "title",
            "enhance",
            "addRecords",
            "iosp",
            "iospParam",
            "bufferSize",
            "buffersize",
            "fmrcDefinition",
        ];
        self.attributes(element, &known, &harmless)?;
        let mut netcdf = Netcdf {
            line: element.line,
            location: element
                .attribute("location")
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .map(str::to_owned),
            coord_value: element.attribute("coordValue").map(str::to_owned),
            ncoords: self.number(element, "ncoords")?,
            section: element.attribute("section").map(str::to_owned),
            edits: GroupEdit { line: element.line, ..GroupEdit::default() },
            ..Netcdf::default()
        };
        if within == Within::Nothing {
            for name in ["coordValue", "ncoords", "section"] {
                if element.attribute(name).is_some() {
                    self.remark(element, format!("'{name}' has no effect outside of an aggregation"));
                }
            }
        }
        self.no_text(element);
        for child in &element.children {
            match child.name {
                "explicit" | "readMetadata" => {
                    self.attributes(child, &[], &[])?;
                    netcdf.is_explicit = child.name == "explicit";
                }
                "aggregation" if netcdf.aggregation.is_some() => {
                    return Err(
                        self.wrong(child, "a second <aggregation>; nest them, or make a union of two")
                    );
                }
                "aggregation" => netcdf.aggregation = Some(self.aggregation(child)?),
                _ => self.content(
                    child,
                    &mut netcdf.edits,
                    element.name,
                    &["explicit", "readMetadata", "aggregation"],
                )?,
            }
        }
        if netcdf.location.is_some() && netcdf.aggregation.is_some() {
            self.remark(element, "'location' has no effect beside an <aggregation>");
            netcdf.location = None;
        }
        Ok(netcdf)
    }

    /// One element of a group's content.
    fn content(
        &mut self,
        element: &Element<'_>,
        group: &mut GroupEdit,
        parent: &str,
        others: &[&'static str],
    ) -> Result<()> {
        match element.name {
            "enumTypedef" => group.types.push(self.enum_typedef(element)?),
            "dimension" => group.dimensions.push(self.dimension(element)?),
            "attribute" => group.attributes.push(self.attribute(element)?),
            "variable" => group.variables.push(self.variable(element)?),
            "group" => group.groups.push(self.group(element)?),
            "remove" => group.removes.push(self.remove(element)?),
            _ => {
                let known: Vec<&str> = CONTENT.iter().chain(others).copied().collect();
                return Err(self.unknown_element(element, parent, &known));
            }
        }
        Ok(())
    }

    fn group(&mut self, element: &Element<'_>) -> Result<GroupEdit> {
        self.attributes(element, &["name", "orgName"], &[])?;
        let mut group = GroupEdit {
            line: element.line,
            name: self.name(element)?,
            org_name: self.org_name(element)?,
            ..GroupEdit::default()
        };
        self.no_text(element);
        for child in &element.children {
            self.content(child, &mut group, element.name, &[])?;
        }
        Ok(group)
    }

    fn enum_typedef(&mut self, element: &Element<'_>) -> Result<EnumTypedef> {
        self.attributes(element, &["name", "type"], &[])?;
        let base = match element.attribute("type").unwrap_or("enum1") {
            "enum1" => DataType::Int8,
            "enum2" => DataType::Int16,
            "enum4" => DataType::Int32,
            other => {
                return Err(self.wrong(
                    element,
                    format!("the type '{other}' of an <enumTypedef>: it is enum1, enum2 or enum4"),
                ));
            }
        };
        let mut members = Vec::new();
        for child in &element.children {
            if child.name != "enum" {
                return Err(self.unknown_element(child, element.name, &["enum"]));
            }
            self.attributes(child, &["key"], &[])?;
            let key = self.require(child, "key")?;
            let key = key.trim().parse::<i128>();
            let key =
                key.map_err(|e| self.wrong(child, "the key of an <enum> is no integer").with_source(e))?;
            members.push((key, child.text.trim().to_owned()));
        }
        Ok(EnumTypedef { line: element.line, name: self.name(element)?, base, members })
    }

    fn dimension(&mut self, element: &Element<'_>) -> Result<DimensionEdit> {
        let known = ["name", "orgName", "length", "isUnlimited", "isVariableLength"];
        self.attributes(element, &known, &["isShared"])?;
        self.no_content(element)?;
        Ok(DimensionEdit {
            line: element.line,
            name: self.name(element)?,
            org_name: self.org_name(element)?,
            length: self.number(element, "length")?,
            is_unlimited: self.truth(element, "isUnlimited")?,
            is_variable_length: self.truth(element, "isVariableLength")?.unwrap_or(false),
        })
    }

    fn attribute(&mut self, element: &Element<'_>) -> Result<AttributeEdit> {
        let known = ["name", "orgName", "type", "isUnsigned", "value", "separator"];
        self.attributes(element, &known, &[])?;
        if let Some(child) = element.children.first() {
            let message = "an <attribute> holds text only; containers of attributes are not supported";
            return Err(self.wrong(child, message));
        }
        let mut data_type = None;
        if let Some(word) = element.attribute("type") {
            let found = words::data_type(word).filter(|t| !matches!(t, DataType::Opaque(_)));
            data_type = Some(found.ok_or_else(|| self.unknown_type(element, word))?);
        }
        if self.truth(element, "isUnsigned")? == Some(true) {
            data_type = data_type.map(words::unsigned);
        }
        let text = Some(element.text.trim()).filter(|text| !text.is_empty());
        Ok(AttributeEdit {
            line: element.line,
            name: self.any_name(element, "name")?,
            org_name: element.attribute("orgName").filter(|n| !n.is_empty()).map(str::to_owned),
            data_type,
            value: element.attribute("value").or(text).map(str::to_owned),
            separator: self.separator(element)?,
        })
    }

    fn variable(&mut self, element: &Element<'_>) -> Result<VariableEdit> {
        self.attributes(element, &["name", "orgName", "type", "typedef", "shape"], &[])?;
        let mut data_type = None;
        if let Some(word) = element.attribute("type") {
            data_type = Some(match (word, element.attribute("typedef")) {
                ("Structure", _) => TypeName::Structure,
                ("Sequence", _) => TypeName::Sequence,
                ("enum1" | "enum2" | "enum4", Some(typedef)) => TypeName::Enum(typedef.to_owned()),
                ("enum1" | "enum2" | "enum4", None) => {
                    return Err(self.wrong(
                        element,
                        format!("type '{word}' without 'typedef', the name of an <enumTypedef>"),
                    ));
                }
                _ => TypeName::Plain(words::data_type(word).ok_or_else(|| self.unknown_type(element, word))?),
            });
        }
        let mut variable = VariableEdit {
            line: element.line,
            name: self.name(element)?,
            org_name: self.org_name(element)?,
            data_type,
            shape: element.attribute("shape").map(words::names),
            attributes: Vec::new(),
            variables: Vec::new(),
            values: None,
            logical: Vec::new(),
            removes: Vec::new(),
        };
        self.no_text(element);
        for child in &element.children {
            match child.name {
                "attribute" => variable.attributes.push(self.attribute(child)?),
                "variable" => variable.variables.push(self.variable(child)?),
                "values" if variable.values.is_some() => return Err(self.wrong(child, "a second <values>")),
                "values" => variable.values = Some(self.values(child)?),
                "remove" => {
                    let remove = self.remove(child)?;
                    if remove.kind != RemoveKind::Attribute {
                        let message = "inside of a <variable> only attributes are removed: members of a \
                                       structure stay, and what is in a group is removed beside its variables";
                        return Err(self.wrong(child, message));
                    }
                    variable.removes.push(remove);
                }
                "logicalSection" | "logicalSlice" | "logicalView" | "logicalReduce" => {
                    variable.logical.push(self.logical(child)?);
                }
                _ => {
                    let known = [
                        "attribute",
                        "values",
                        "variable",
                        "remove",
                        "logicalSection",
                        "logicalSlice",
                        "logicalView",
                        "logicalReduce",
                    ];
                    return Err(self.unknown_element(child, element.name, &known));
                }
            }
        }
        Ok(variable)
    }

    fn values(&mut self, element: &Element<'_>) -> Result<Values> {
        self.attributes(element, &["start", "increment", "separator", "fromAttribute"], &["npts"])?;
        if let Some(child) = element.children.first() {
            return Err(self.unknown_element(child, element.name, &[]));
        }
        if let Some(from) = element.attribute("fromAttribute") {
            return Ok(Values::FromAttribute(from.trim().to_owned()));
        }
        let float = |name: &str| {
            let text = element.attribute(name);
            text.map(|t| t.trim().parse::<f64>())
                .transpose()
                .map_err(|e| self.wrong(element, format!("'{name}' of <values> is no number")).with_source(e))
        };
        Ok(match (float("start")?, float("increment")?) {
            (Some(start), Some(increment)) => Values::Ramp { start, increment },
            (None, None) => Values::List { text: element.text.clone(), separator: self.separator(element)? },
            _ => return Err(self.wrong(element, "<values> with one of 'start' and 'increment'; give both")),
        })
    }

    fn logical(&mut self, element: &Element<'_>) -> Result<Logical> {
        self.no_content(element)?;
        Ok(match element.name {
            "logicalSection" => {
                self.attributes(element, &["section"], &[])?;
                Logical::Section(self.require(element, "section")?.to_owned())
            }
            "logicalSlice" => {
                self.attributes(element, &["dimName", "index"], &[])?;
                let index = self.number(element, "index")?;
                Logical::Slice {
                    dimension: self.require(element, "dimName")?.to_owned(),
                    index: index.ok_or_else(|| self.wrong(element, "<logicalSlice> without 'index'"))?,
                }
            }
            name => {
                self.attributes(element, &["dimNames"], &[])?;
                let names = words::names(self.require(element, "dimNames")?);
                if name == "logicalView" { Logical::View(names) } else { Logical::Reduce(names) }
            }
        })
    }

    fn remove(&mut self, element: &Element<'_>) -> Result<Remove> {
        self.attributes(element, &["name", "type"], &[])?;
        self.no_content(element)?;
        let kind = match self.require(element, "type")? {
            "attribute" => RemoveKind::Attribute,
            "dimension" => RemoveKind::Dimension,
            "variable" => RemoveKind::Variable,
            "group" => RemoveKind::Group,
            other => {
                let message = format!(
                    "the type '{other}' of a <remove>: it is attribute, dimension, variable or group"
                );
                return Err(self.wrong(element, message));
            }
        };
        Ok(Remove { line: element.line, kind, name: self.any_name(element, "name")? })
    }

    fn separator(&self, element: &Element<'_>) -> Result<Option<String>> {
        match element.attribute("separator") {
            Some("") => Err(self.wrong(element, "an empty 'separator'; leave it out to separate at blanks")),
            other => Ok(other.map(str::to_owned)),
        }
    }

    /// The `name` of what is in a group.
    fn name(&self, element: &Element<'_>) -> Result<String> {
        let name = self.any_name(element, "name")?;
        self.no_path(element, &name)?;
        Ok(name)
    }

    fn org_name(&self, element: &Element<'_>) -> Result<Option<String>> {
        let name = element.attribute("orgName").filter(|name| !name.is_empty());
        name.map(|name| self.no_path(element, name).map(|()| name.to_owned())).transpose()
    }

    fn no_path(&self, element: &Element<'_>, name: &str) -> Result<()> {
        if name.contains('/') || matches!(name, "." | "..") {
            let message = format!("the name '{name}': what is inside a group is written inside <group>");
            return Err(self.wrong(element, message));
        }
        Ok(())
    }

    pub(super) fn any_name(&self, element: &Element<'_>, attribute: &str) -> Result<String> {
        let name = self.require(element, attribute)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(self.wrong(element, format!("<{}> whose {attribute} cannot be one", element.name)));
        }
        Ok(name.to_owned())
    }

    pub(super) fn require<'e>(&self, element: &'e Element<'_>, attribute: &str) -> Result<&'e str> {
        let found = element.attribute(attribute);
        found.ok_or_else(|| self.wrong(element, format!("<{}> without '{attribute}'", element.name)))
    }

    pub(super) fn number(&self, element: &Element<'_>, attribute: &str) -> Result<Option<u64>> {
        let Some(text) = element.attribute(attribute) else { return Ok(None) };
        let number = text.trim().parse::<u64>().map_err(|e| {
            let message = format!("'{attribute}' is '{text}', which is no number of at least 0");
            self.wrong(element, message).with_source(e)
        });
        number.map(Some)
    }

    pub(super) fn truth(&self, element: &Element<'_>, attribute: &str) -> Result<Option<bool>> {
        let Some(text) = element.attribute(attribute) else { return Ok(None) };
        let found = words::truth(text);
        let wrong = || self.wrong(element, format!("'{attribute}' is '{text}'; it is true or false"));
        found.map(Some).ok_or_else(wrong)
    }

    /// Checks the names of an element's attributes; those of namespaces are not ours.
    pub(super) fn attributes(
        &mut self,
        element: &Element<'_>,
        known: &[&str],
        harmless: &[&str],
    ) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in element.attributes() {
            if name == "xmlns" || name.contains(':') {
                continue;
            }
            if seen.contains(&name) {
                return Err(self.wrong(element, format!("'{name}' twice in one <{}>", element.name)));
            }
            if harmless.contains(&name) {
                self.remark(element, format!("'{name}' of <{}> has no effect", element.name));
            } else if !known.contains(&name) {
                let message = format!("<{}> has no attribute '{name}'{}", element.name, hint(name, known));
                return Err(self.wrong(element, message));
            }
            seen.push(name);
        }
        Ok(())
    }

    /// Remarks on text where none belongs.
    pub(super) fn no_text(&mut self, element: &Element<'_>) {
        if !element.text.trim().is_empty() {
            self.remark(element, format!("text directly inside <{}> has no effect", element.name));
        }
    }

    pub(super) fn no_content(&mut self, element: &Element<'_>) -> Result<()> {
        self.no_text(element);
        match element.children.first() {
            Some(child) => Err(self.unknown_element(child, element.name, &[])),
            None => Ok(()),
        }
    }

    pub(super) fn unknown_element(&self, element: &Element<'_>, parent: &str, known: &[&str]) -> Error {
        let message = format!("<{parent}> has no element <{}>{}", element.name, hint(element.name, known));
        self.wrong(element, message)
    }

    fn unknown_type(&self, element: &Element<'_>, word: &str) -> Error {
        self.wrong(element, format!("there is no type '{word}'{}", hint(word, &words::TYPES)))
    }

    pub(super) fn remark(&mut self, element: &Element<'_>, message: impl Into<String>) {
        /// Remarks that are kept: they are for people.
        const MOST: usize = 100;
        if self.remarks.len() < MOST {
            self.remarks.push(Remark { line: element.line, message: message.into() });
        }
    }

    pub(super) fn wrong(&self, element: &Element<'_>, message: impl Into<String>) -> Error {
        self.error(ErrorKind::Corrupt, element, message)
    }

    pub(super) fn error(&self, kind: ErrorKind, element: &Element<'_>, message: impl Into<String>) -> Error {
        Error::new(kind, message).within(format_args!("{}:{}", self.document, element.line))
    }
}

/// What was probably meant, or what there is.
fn hint(word: &str, known: &[&str]) -> String {
    match (words::closest(word, known), known) {
        (Some(meant), _) => format!("; did you mean '{meant}'?"),
        (None, []) => String::new(),
        (None, known) => format!("; it may have: {}", known.join(", ")),
    }
}
