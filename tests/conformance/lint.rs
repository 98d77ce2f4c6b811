//! Section 2: every DMR that this server gives out, walked: the grammar of 2.2 in its order, nothing
//! that 2.9 forbids, references that can be followed in one pass.

use std::collections::{HashMap, HashSet};

use crate::{
    answers,
    dmr::{ATOMIC, Dmr, Name, is_variable, reference},
    world::{ask, files, good, in_memory},
    xml::{self, Element},
};

/// Who asks: netCDF-C is written to in its own dialect (2.9, 2.11).
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Any,
    NetcdfC,
}

struct Lint<'a> {
    dmr: &'a Dmr,
    reader: Reader,
    /// Dimensions, enumerations and variables (with their dimensions) declared so far.
    dimensions: HashSet<Name>,
    enumerations: HashSet<Name>,
    variables: HashMap<Name, Vec<Name>>,
    used: HashSet<Name>,
}

/// Checks a DMR; the shared dimensions and enumerations that it uses.
#[track_caller]
fn lint(text: &str, reader: Reader) -> (Dmr, HashSet<Name>) {
    let dmr = Dmr::parse(text);
    let root = &dmr.root;
    // 2.1. pydap removes the namespace by pattern: first, and in double quotes.
    assert_eq!(root.attributes[0], ("xmlns".to_owned(), "http://xml.opendap.org/ns/DAP/4.0#".to_owned()));
    assert!(text.contains("<Dataset xmlns=\"http://xml.opendap.org/ns/DAP/4.0#\""));
    assert_eq!((root.attribute("dapVersion"), root.attribute("dmrVersion")), (Some("4.0"), Some("1.0")));
    assert!(
        !root.name().is_empty() && root.attribute("xml:base").is_some_and(|b| b.starts_with("http://h/"))
    );
    // 2.10, once; it makes pydap read groups rightly (9).
    let little: Vec<&Element> = root.all("Attribute").filter(|a| a.name() == "_DAP4_Little_Endian").collect();
    assert_eq!(little.len(), 1);
    assert_eq!((little[0].attribute("type"), little[0].children[0].text.as_str()), (Some("UInt8"), "1"));
    let mut lint = Lint {
        dmr: &dmr,
        reader,
        dimensions: HashSet::new(),
        enumerations: HashSet::new(),
        variables: HashMap::new(),
        used: HashSet::new(),
    };
    lint.group(root, &[]);
    let used = lint.used;
    (dmr, used)
}

/// The children come in the order of `ranks`, and are of no other kind.
#[track_caller]
fn in_order(element: &Element, rank: impl Fn(&Element) -> Option<u8>) {
    let ranks: Vec<u8> = element
        .children
        .iter()
        .map(|c| rank(c).unwrap_or_else(|| panic!("a {} inside a {}", c.tag, element.tag)))
        .collect();
    assert!(
        ranks.is_sorted(),
        "order of the children of {} {:?}: {ranks:?}",
        element.tag,
        element.attributes
    );
}

#[track_caller]
fn only_attributes(element: &Element, allowed: &[&str]) {
    for (name, _) in &element.attributes {
        assert!(allowed.contains(&name.as_str()), "{name} on a {}", element.tag);
    }
}

fn unique(names: impl Iterator<Item = String>, what: &str) {
    let mut seen = HashSet::new();
    names.for_each(|n| assert!(seen.insert(n.clone()), "{what} {n} twice"));
}

impl Lint<'_> {
    fn group(&mut self, group: &Element, path: &[String]) {
        in_order(group, |c| match c.tag.as_str() {
            "Dimension" => Some(0),
            "Enumeration" => Some(1),
            "Attribute" => Some(3),
            "Group" => Some(4),
            _ => is_variable(c).then_some(2),
        });
        if group.tag == "Group" {
            only_attributes(group, &["name"]);
        }
        unique(group.children.iter().filter(|c| is_variable(c)).map(|c| c.name().to_owned()), "variable");
        unique(group.all("Attribute").map(|c| c.name().to_owned()), "attribute");
        unique(group.all("Group").map(|c| c.name().to_owned()), "group");
        for child in &group.children {
            let full: Name = [path, &[child.name().to_owned()]].concat();
            assert!(group.text.trim().is_empty());
            match child.tag.as_str() {
                "Dimension" => {
                    only_attributes(child, &["name", "size", "_edu.ucar.isunlimited"]);
                    assert!(child.children.is_empty());
                    self.dimensions.insert(full);
                }
                "Enumeration" => {
                    Self::enumeration(child);
                    self.enumerations.insert(full);
                }
                "Attribute" => self.attribute(child),
                "Group" => self.group(child, &full),
                _ => {
                    let axes = self.variable(child, path, true);
                    self.variables.insert(full, axes);
                }
            }
        }
    }

    fn enumeration(element: &Element) {
        only_attributes(element, &["name", "basetype"]);
        let base = element.attribute("basetype").unwrap();
        assert!(base.contains("Int") && ATOMIC.contains(&base), "{base}");
        assert!(!element.children.is_empty());
        for constant in &element.children {
            assert_eq!(constant.tag, "EnumConst");
            only_attributes(constant, &["name", "value"]);
            constant.attribute("value").unwrap().parse::<i128>().unwrap();
        }
    }

    /// Checks a variable or member; its shared dimensions.
    fn variable(&mut self, variable: &Element, path: &[String], is_top: bool) -> Vec<Name> {
        only_attributes(variable, &["name", "enum", "_edu.ucar.opaque.size", "_edu.ucar.isvlen"]);
        assert!(variable.text.trim().is_empty());
        let is_atomic = ATOMIC.contains(&variable.tag.as_str());
        in_order(variable, |c| match c.tag.as_str() {
            "Dim" => Some(1),
            "Attribute" => Some(2),
            "Map" => is_top.then_some(3),
            _ => (is_variable(c) && !is_atomic).then_some(0),
        });
        assert_eq!(variable.tag == "Enum", variable.attribute("enum").is_some());
        if let Some(name) = variable.attribute("enum") {
            assert!(self.enumerations.contains(&reference(name)), "{name} is declared before");
            self.used.insert(reference(name));
        }
        for field in variable.children.iter().filter(|c| is_variable(c)) {
            self.variable(field, path, false);
        }
        let mut named = Vec::new();
        for dim in variable.all("Dim") {
            only_attributes(dim, &["name", "size"]);
            if let (Some(name), _) = self.dmr.dim(dim) {
                assert!(self.dimensions.contains(&name), "{name:?} is declared before");
                assert!(path.starts_with(&name[..name.len() - 1]), "{name:?} is in scope of {path:?}");
                self.used.insert(name.clone());
                named.push(name);
            }
        }
        unique(variable.all("Attribute").map(|c| c.name().to_owned()), "attribute");
        variable.all("Attribute").for_each(|a| self.attribute(a));
        for map in variable.all("Map") {
            only_attributes(map, &["name"]);
            let target = reference(map.name());
            let axes =
                self.variables.get(&target).unwrap_or_else(|| panic!("map {target:?} is declared before"));
            assert!(
                axes.iter().all(|a| named.contains(a)),
                "2.8: the dimensions of {target:?} are the array's"
            );
            assert!(path.starts_with(&target[..target.len() - 1]), "2.8: {target:?} is in scope");
        }
        named
    }

    fn attribute(&self, attribute: &Element) {
        only_attributes(attribute, &["name", "type", "value"]);
        let kind = attribute.attribute("type").expect("2.9: a type, always");
        if kind == "Container" {
            attribute.children.iter().for_each(|c| self.attribute(c));
            return;
        }
        assert!(kind == "String" || ATOMIC[..10].contains(&kind), "2.9: type {kind} of {}", attribute.name());
        let mut texts: Vec<&str> = attribute.children.iter().map(|v| v.text.as_str()).collect();
        if let Some(value) = attribute.attribute("value") {
            assert!(self.reader == Reader::NetcdfC && texts.is_empty() && kind == "String", "2.9: value=");
            texts.push(value);
        }
        // An empty Value is no number: netCDF-C refuses the whole dataset for it.
        assert!(!texts.is_empty() || kind != "String", "2.9: no Value in {}", attribute.name());
        for value in &attribute.children {
            assert_eq!((value.tag.as_str(), value.attributes.len(), value.children.len()), ("Value", 0, 0));
        }
        for text in texts {
            match kind {
                "String" => {}
                "Float32" | "Float64" => assert!(text.parse::<f64>().is_ok(), "{text}"),
                _ => assert!(text.parse::<i128>().is_ok(), "{text}"),
            }
        }
    }
}

#[test]
fn s2_2_every_description_follows_the_grammar() {
    for name in in_memory().chain(files().iter().cloned()) {
        let url = format!("/opendap/{name}.dmr");
        let (dmr, _) = lint(good(&url).text(), Reader::Any);
        // 2.7: whole descriptions have no variable with named and unnamed axes.
        for variable in dmr.root.children.iter().filter(|c| is_variable(c)) {
            let named = variable.all("Dim").filter(|d| d.attribute("name").is_some()).count();
            assert!(named == 0 || named == variable.all("Dim").count(), "{name}: {}", variable.name());
        }
        let to_netcdf = ask("GET", &url, "User-Agent: netCDF4.9.0\r\n");
        assert!(to_netcdf.status == 200 && to_netcdf.all("vary").contains("User-Agent"));
        lint(to_netcdf.text(), Reader::NetcdfC);
    }
}

/// 4.3: dimensions and enumerations that nothing uses are gone, groups without variables too, root
/// attributes stay.
#[test]
fn s4_3_constrained_descriptions_are_minimal() {
    for (name, ce, outline) in [
        ("rich", "/before", "x=2; before(x=2)"),
        ("rich", "/g%20one/y\\.z", "g one: {y.z=2; y.z(y.z=2)}"),
        ("rich", "/x;/dangling", "x=2; x(x=2); dangling(x=2)<x>"),
        // 2.8: /x now has another axis than the array.
        ("rich", "/x[0];/dangling", "x=2; x(1); dangling(x=2)"),
        ("rich", "/time[0:1]", "time(2)"),
        ("rich", "/empty", "none=0; empty(none=0)"),
        ("rich", "/g%20one", "x=2; g one: {y.z=2; enum kind.t; y.z(y.z=2); t\\é \"<>&(y.z=2,x=2)<y.z>}"),
        ("TAA", "/vd", "d2=2; vd(d2=2)"),
        ("V1_7", "/nlat=[1];/lat;/temp", "nlat=1; nlon=50; lat(nlat=1); temp(nlon=50,nlat=1)<lat>"),
    ] {
        let answer = good(&format!("/opendap/{name}.nc.dmr?dap4.ce={ce}"));
        let (dmr, used) = lint(answer.text(), Reader::Any);
        assert_eq!(dmr.outline(), outline, "{ce}");
        for declared in dmr.dimensions.keys().chain(dmr.enumerations.keys()) {
            assert!(used.contains(declared), "{ce}: nothing uses {declared:?}");
        }
        let whole = Dmr::parse(good(&format!("/opendap/{name}.nc.dmr")).text());
        assert_eq!(dmr.root.all("Attribute").count(), whole.root.all("Attribute").count(), "{ce}");
    }
}

/// The values of a root attribute, wherever they stand.
fn values(root: &Element, name: &str) -> (String, Vec<String>) {
    let attribute = root.all("Attribute").find(|a| a.name() == name).unwrap_or_else(|| panic!("no {name}"));
    let kind = attribute.attribute("type").unwrap().to_owned();
    let children = attribute.children.iter().map(|v| v.text.clone());
    (kind, attribute.attribute("value").map(str::to_owned).into_iter().chain(children).collect())
}

#[test]
fn s2_9_attribute_values_arrive_exact() {
    let check = |root: &Element, name: &str, kind: &str, expected: &[&str]| {
        assert_eq!(
            values(root, name),
            (kind.to_owned(), expected.iter().map(|s| (*s).to_owned()).collect()),
            "{name}"
        );
    };
    for agent in ["x", "netCDF4.9.0", "netCDF4.10.1"] {
        let answer = ask("GET", "/opendap/rich.nc.dmr.xml", &format!("User-Agent: {agent}\r\n"));
        let root = xml::parse(answer.text());
        check(&root, "text", "String", &[answers::ODD_TEXT]);
        check(&root, "empty", "String", &[""]);
        check(&root, "several", "String", &["", "<b>", "c"]);
        check(&root, "no strings", "String", &[""]);
        check(&root, "no numbers", "Int16", &[]);
        check(&root, "bytes", "UInt8", &["200", "0"]);
        check(&root, "limits", "Float64", &["NaN", "inf", "-0.1"]);
        // 2.11: netCDF-C spoils Float32 attributes and reads Float64 ones right.
        let (kind, third) = values(&root, "third");
        assert_eq!(kind == "Float64", agent.starts_with("netCDF"), "{agent}");
        let exact = 1.0_f32 / 3.0;
        if kind == "Float64" {
            assert_eq!(third[0].parse::<f64>().unwrap(), f64::from(exact), "{agent}");
        } else {
            assert_eq!(third[0].parse::<f32>().unwrap(), exact, "{agent}");
        }
        assert_eq!(root.name(), "a & <b>.nc");
        // 2.9: exact text reaches netCDF-C only by the XML attribute.
        let text = root.all("Attribute").find(|a| a.name() == "text").unwrap();
        assert_eq!(text.attribute("value").is_some(), agent.starts_with("netCDF"));
    }
}

#[test]
fn s2_6_and_2_7_extra_xml_attributes() {
    let dmr = Dmr::parse(good("/opendap/rich.nc.dmr").text());
    let time = dmr.root.all("Dimension").find(|d| d.name() == "time").unwrap();
    assert_eq!(time.attribute("_edu.ucar.isunlimited"), Some("1"));
    let ragged = dmr.root.all("Sequence").next().unwrap();
    assert_eq!(ragged.attribute("_edu.ucar.isvlen"), Some("1"));
    let fields: Vec<&str> = ragged.children.iter().filter(|c| is_variable(c)).map(Element::name).collect();
    assert_eq!(fields, ["ragged"], "2.6: one field of the same name");
    let atomic = Dmr::parse(good("/opendap/atomic.nc.dmr").text());
    assert_eq!(atomic.root.all("Opaque").next().unwrap().attribute("_edu.ucar.opaque.size"), Some("8"));
}
