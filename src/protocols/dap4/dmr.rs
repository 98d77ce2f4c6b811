//! The DMR: a dataset's description as XML (protocol notes 2).
//!
//! Writes what it is given, in the one form that every known reader accepts (2.9): default namespace,
//! every attribute typed, one `Value` per value, references by full name. The order of the children is
//! the specification's: dimensions, enumerations, variables, attributes, groups.

use std::borrow::Cow;

use cdm::{Attribute, Attributes, DataType, Dataset, Dimension, EnumType, FullName, Group, Value, Variable};

use super::{data, dialect::Client, xml::Document};

/// The DMR of `dataset`, whose URL is `base`, as `client` reads it best.
pub(super) fn dmr(dataset: &Dataset, base: &str, client: Client) -> String {
    written(dataset, base, &[], Writer { out: Document::new(), client, places: None }).0
}

/// Bytes that a variable usually takes, and what is around them all.
const USUAL: usize = 512;

/// Where a variable's element is about to end.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Byte position in the document.
    pub(super) at: usize,
    /// Elements around what may be put there.
    pub(super) depth: usize,
    /// The variable.
    pub(super) name: FullName,
}

/// As [`dmr`] for any client, with further attributes of the document, and where each variable ends.
pub(super) fn with_places(dataset: &Dataset, base: &str, extra: &[(&str, &str)]) -> (String, Vec<Place>) {
    let writer = Writer { out: Document::new(), client: Client::default(), places: Some(Vec::new()) };
    written(dataset, base, extra, writer)
}

fn written(
    dataset: &Dataset,
    base: &str,
    extra: &[(&str, &str)],
    mut writer: Writer,
) -> (String, Vec<Place>) {
    // Namespace first, in double quotes: pydap removes it by pattern.
    let mut attributes = vec![
        ("xmlns", "http://xml.opendap.org/ns/DAP/4.0#"),
        ("name", dataset.name()),
        ("dapVersion", "4.0"),
        ("dmrVersion", "1.0"),
        ("xml:base", base),
    ];
    attributes.extend_from_slice(extra);
    writer.out.reserve((dataset.variable_count() + 1).saturating_mul(USUAL));
    writer.out.open("Dataset", &attributes);
    writer.body(dataset.root());
    (writer.out.finish(), writer.places.unwrap_or_default())
}

/// A full name as a reference: escapes only where a name has characters that separate (2.3).
fn reference(name: &FullName) -> Cow<'_, str> {
    if !name.is_root() && !name.as_str().bytes().fold(false, |found, b| found | matches!(b, b'.' | b'\\')) {
        return name.as_str().into();
    }
    let mut text = String::new();
    for component in name.components() {
        text.push('/');
        for c in component.chars() {
            if matches!(c, '.' | '\\' | '/') {
                text.push('\\');
            }
            text.push(c);
        }
    }
    text.into()
}

struct Writer {
    out: Document,
    client: Client,
    /// Where variables end, if somebody wants to know.
    places: Option<Vec<Place>>,
}

impl Writer {
    fn body(&mut self, group: &Group) {
        for dimension in &group.dimensions {
            self.dimension(dimension);
        }
        for kind in group.enums() {
            self.enumeration(kind);
        }
        for variable in &group.variables {
            self.variable(&variable.name, variable, Some(group));
        }
        if group.name.is_root() {
            // Readers take the byte order from it, and pydap its way of decoding groups (notes 9).
            self.attribute("_DAP4_Little_Endian", "UInt8", [Cow::Borrowed(data::LITTLE_ENDIAN)]);
        }
        self.attributes(&group.attributes, None);
        for child in &group.groups {
            self.out.open("Group", &[("name", child.name.short())]);
            self.body(child);
            self.out.close();
        }
    }

    fn dimension(&mut self, dimension: &Dimension) {
        let Some(name) = &dimension.name else { return };
        let size = dimension.size.to_string();
        let mut attributes = vec![("name", name.short()), ("size", &size)];
        if dimension.unlimited {
            attributes.push(("_edu.ucar.isunlimited", "1"));
        }
        self.out.empty("Dimension", &attributes);
    }

    fn enumeration(&mut self, kind: &EnumType) {
        self.out.open("Enumeration", &[("name", kind.name.short()), ("basetype", kind.base.name())]);
        for (name, value) in &kind.members {
            self.out.empty("EnumConst", &[("name", name), ("value", &value.to_string())]);
        }
        self.out.close();
    }

    /// A variable of the group `of`, or a member, shown as `name`.
    fn variable(&mut self, name: &str, variable: &Variable, of: Option<&Group>) {
        let tag = variable.data_type.name();
        let more: Option<(&str, Cow<'_, str>)> = match &variable.data_type {
            DataType::Enum(kind) => Some(("enum", reference(&kind.name))),
            DataType::Opaque(opaque) => {
                opaque.size.map(|size| ("_edu.ucar.opaque.size", size.to_string().into()))
            }
            DataType::Sequence(record) if record.is_vlen => Some(("_edu.ucar.isvlen", "1".into())),
            _ => None,
        };
        let named = [("name", name)];
        let both = more.as_ref().map(|(key, value)| [("name", name), (*key, value.as_ref())]);
        let attributes = both.as_ref().map_or(named.as_slice(), |both| both.as_slice());
        let record = variable.data_type.record();
        let is_bare = record.is_none_or(|r| r.fields.is_empty())
            && variable.dimensions.is_empty()
            && variable.attributes.is_empty()
            && variable.maps.is_empty()
            && (of.is_none() || self.places.is_none());
        if is_bare {
            self.out.empty(tag, attributes);
            return;
        }
        self.out.open(tag, attributes);
        if let Some(record) = record {
            // The one member of a variable-length type has the variable's own name (2.6).
            let shared = record.is_vlen && record.fields.len() == 1;
            for field in &record.fields {
                self.variable(if shared { name } else { &field.name }, field, None);
            }
        }
        for dimension in &variable.dimensions {
            match &dimension.name {
                Some(name) => self.out.empty("Dim", &[("name", &reference(name))]),
                None => self.out.empty("Dim", &[("size", &dimension.size.to_string())]),
            }
        }
        self.attributes(&variable.attributes, Some(&variable.data_type));
        for map in &variable.maps {
            self.out.empty("Map", &[("name", &reference(map))]);
        }
        if let (Some(places), Some(group)) = (&mut self.places, of) {
            let (at, depth) = self.out.position();
            places.push(Place { at, depth, name: group.name.join(&variable.name) });
        }
        self.out.close();
    }

    /// The attributes of a group, or of a variable of type `of`.
    fn attributes(&mut self, attributes: &Attributes, of: Option<&DataType>) {
        for attribute in attributes {
            if &*attribute.name == "_DAP4_Little_Endian" && of.is_none() {
                continue; // ours is authoritative
            }
            self.described(attribute, of);
        }
        if self.client.netcdf_c && of == Some(&DataType::Float32) && attributes.get("missing_value").is_none()
        {
            let fill = attributes.get("_FillValue").and_then(float32);
            if let Some(fill) = fill.filter(|f| !survives_netcdf_c(*f)) {
                self.attribute("missing_value", "Float64", [float64_text(fill.into()).into()]);
            }
        }
    }

    fn described(&mut self, attribute: &Attribute, of: Option<&DataType>) {
        let name = &*attribute.name;
        if attribute.data_type == DataType::Char {
            let text = attribute.as_text().unwrap_or_default();
            self.attribute(name, "String", [text.trim_end_matches('\0').into()]);
            return;
        }
        let widened = self.client.netcdf_c
            && attribute.data_type == DataType::Float32
            && !(name == "_FillValue" && of == Some(&DataType::Float32));
        let texts = cdm::values(&attribute.data_type, &attribute.values).map(|value| match value {
            Value::Float32(f) if widened => float64_text(f.into()).into(),
            Value::Text(text) => text,
            other => text_of(&other).into_owned().into(),
        });
        let kind = match &attribute.data_type {
            DataType::Float32 if widened => "Float64",
            t if t.is_numeric() => t.name(),
            _ => "String",
        };
        self.attribute(name, kind, texts);
    }

    /// One attribute with its values. No text at all is one empty text; a list of no numbers has no
    /// value, since readers take an empty one for a malformed number.
    fn attribute<'v>(&mut self, name: &str, kind: &str, values: impl IntoIterator<Item = Cow<'v, str>>) {
        let mut values = values.into_iter().fuse();
        let first = values.next();
        let second = first.as_ref().and_then(|_| values.next());
        // netCDF-C spoils these characters in `Value`, not in `value=` (2.9).
        if let (Some(only), None) = (&first, &second)
            && self.client.netcdf_c
            && kind == "String"
            && only.contains(['&', '<', '>', '"', '\'', '\\'])
        {
            self.out.empty("Attribute", &[("name", name), ("type", kind), ("value", only)]);
            return;
        }
        if first.is_none() && kind != "String" {
            self.out.empty("Attribute", &[("name", name), ("type", kind)]);
            return;
        }
        self.out.open("Attribute", &[("name", name), ("type", kind)]);
        // No text at all is one empty text.
        self.out.leaf("Value", &[], first.as_deref().unwrap_or_default());
        for value in second.into_iter().chain(values) {
            self.out.leaf("Value", &[], &value);
        }
        self.out.close();
    }
}

/// A value as an attribute shows it.
pub(super) fn text_of<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::Int(i) => i.to_string().into(),
        Value::UInt(u) => u.to_string().into(),
        Value::Float32(f) => float32_text(*f).into(),
        Value::Float64(f) => float64_text(*f).into(),
        Value::Char(c) => char::from(*c).to_string().into(),
        Value::Text(text) => Cow::Borrowed(text),
        Value::Bytes(bytes) => hexadecimal(bytes).into(),
        Value::Enum(_, Some(name)) => Cow::Borrowed(name),
        Value::Enum(number, None) => number.to_string().into(),
        Value::Record(members) | Value::List(members) => {
            let inner: Vec<_> = members.iter().map(text_of).collect();
            format!("{{{}}}", inner.join(", ")).into()
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The shortest decimal that reads back equal; exponents where plain digits would be long.
fn float64_text(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

/// As [`float64_text`], shortest for a Float32.
fn float32_text(value: f32) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e9).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

/// The first value of a Float32 attribute.
fn float32(attribute: &Attribute) -> Option<f32> {
    match cdm::values(&attribute.data_type, &attribute.values).next() {
        Some(Value::Float32(f)) => Some(f),
        _ => None,
    }
}

/// Whether netCDF-C reads a Float32 attribute of this value right.
///
/// It converts a double to a float in place, twice: the second time the double's low half has been
/// overwritten by the float (protocol notes 2.11).
fn survives_netcdf_c(value: f32) -> bool {
    let overwritten = (f64::from(value).to_bits() & 0xffff_ffff_0000_0000) | u64::from(value.to_bits());
    #[expect(clippy::cast_possible_truncation, reason = "rounding to a float is what the client does")]
    let read = f64::from_bits(overwritten) as f32;
    read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact() {
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (1e20, "1e20"),
            (-1e-7, "-1e-7"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (0.1, "0.1"),
        ] {
            assert_eq!(float64_text(value), text);
        }
        assert_eq!(float32_text(1e20), "1e20");
        assert_eq!(float32_text(9.96921e36), "9.96921e36");
        assert_eq!(float64_text(f64::from(0.1_f32)), "0.10000000149011612");
    }

    #[test]
    fn the_fault_of_netcdf_c_is_known() {
        assert!(survives_netcdf_c(0.0));
        assert!(!survives_netcdf_c(1.0));
        assert!(!survives_netcdf_c(-9999.0));
        assert!(!survives_netcdf_c(1e20));
    }

    #[test]
    fn references_escape_only_separators() {
        assert_eq!(reference(&FullName::new("/a b/c.d\\e")), "/a b/c\\.d\\\\e");
    }
}
