//! A DMR's meaning, from its XML alone (notes 2.2, 2.3): what is declared where, and an outline to
//! compare.

use std::collections::HashMap;

use crate::xml::{self, Element};

/// Tags of declarations of one value.
pub(crate) const ATOMIC: [&str; 15] = [
    "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float32", "Float64", "Char",
    "String", "URL", "Opaque", "Enum",
];

/// A full name, component by component, not escaped.
pub(crate) type Name = Vec<String>;

/// A parsed DMR with its declarations by full name.
pub(crate) struct Dmr {
    pub(crate) root: Element,
    pub(crate) dimensions: HashMap<Name, u64>,
    /// The base type of every enumeration.
    pub(crate) enumerations: HashMap<Name, String>,
}

pub(crate) fn is_variable(element: &Element) -> bool {
    ATOMIC.contains(&element.tag.as_str()) || ["Structure", "Sequence"].contains(&element.tag.as_str())
}

/// A reference as a full name: `\c` is the character `c` (notes 2.3).
#[track_caller]
pub(crate) fn reference(text: &str) -> Name {
    let mut parts = vec![String::new()];
    let mut characters = text.strip_prefix('/').expect("a full name begins with /").chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => parts.last_mut().unwrap().push(characters.next().expect("a character after \\")),
            '/' => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    parts
}

impl Dmr {
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let root = xml::parse(text);
        assert_eq!(root.tag, "Dataset");
        let mut dmr = Self { root: root.clone(), dimensions: HashMap::new(), enumerations: HashMap::new() };
        dmr.declare(&root, &[]);
        dmr
    }

    fn declare(&mut self, group: &Element, path: &[String]) {
        let below = |child: &Element| [path, &[child.name().to_owned()]].concat();
        for child in &group.children {
            match child.tag.as_str() {
                "Dimension" => {
                    let size = child.attribute("size").unwrap().parse().unwrap();
                    assert_eq!(self.dimensions.insert(below(child), size), None, "declared twice: {child:?}");
                }
                "Enumeration" => {
                    self.enumerations.insert(below(child), child.attribute("basetype").unwrap().to_owned());
                }
                "Group" => self.declare(child, &below(child)),
                _ => {}
            }
        }
    }

    /// The size of a `Dim`, and its name when it is shared.
    #[track_caller]
    pub(crate) fn dim(&self, dim: &Element) -> (Option<Name>, u64) {
        match (dim.attribute("name"), dim.attribute("size")) {
            (Some(name), None) => {
                let name = reference(name);
                let size = *self.dimensions.get(&name).unwrap_or_else(|| panic!("undeclared: {name:?}"));
                (Some(name), size)
            }
            (None, Some(size)) => (None, size.parse().unwrap()),
            _ => panic!("a Dim has a name or a size: {dim:?}"),
        }
    }

    /// The dataset on one line: `row=2; a(row=2,3)<lat>; Point{x y}; group: {...}`.
    pub(crate) fn outline(&self) -> String {
        self.group(&self.root)
    }

    fn group(&self, group: &Element) -> String {
        let mut parts: Vec<String> = Vec::new();
        for child in &group.children {
            match child.tag.as_str() {
                "Dimension" => parts.push(format!("{}={}", child.name(), child.attribute("size").unwrap())),
                "Enumeration" => parts.push(format!("enum {}", child.name())),
                "Group" => parts.push(format!("{}: {{{}}}", child.name(), self.group(child))),
                "Attribute" => {}
                _ => parts.push(self.variable(child)),
            }
        }
        parts.join("; ")
    }

    fn variable(&self, variable: &Element) -> String {
        assert!(is_variable(variable), "{variable:?}");
        let mut text = variable.name().to_owned();
        if !ATOMIC.contains(&variable.tag.as_str()) {
            let fields: Vec<String> =
                variable.children.iter().filter(|c| is_variable(c)).map(|c| self.variable(c)).collect();
            text += &format!("{{{}}}", fields.join(" "));
        }
        let axes: Vec<String> = variable
            .all("Dim")
            .map(|d| match self.dim(d) {
                (Some(name), size) => format!("{}={size}", name.last().unwrap()),
                (None, size) => size.to_string(),
            })
            .collect();
        if !axes.is_empty() {
            text += &format!("({})", axes.join(","));
        }
        for map in variable.all("Map") {
            text += &format!("<{}>", reference(map.name()).last().unwrap());
        }
        text
    }
}
