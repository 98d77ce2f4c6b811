//! The Dataset Attribute Structure as text (protocol section 5.3), with what netcdf-c needs to know about
//! strings and the unlimited dimension. Types of attributes were decided in [`super::attributes`].

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

use cdm::{Attribute, Attributes, DataType, Dimension, FullName, Selection, Source, Value, Variable, values};
use futures::StreamExt;

use super::{dds, names, resolve::Answer, view::View};

/// netcdf-c cuts strings at this length unless it is told more.
const LENGTH_CLIENTS_ASSUME: usize = 64;
/// To find longer strings, variables of at most this many elements are read ...
const SCANNED_ELEMENTS: u64 = 65_536;
/// ... up to this many bytes each ...
const SCANNED_BYTES: usize = 1 << 20;
/// ... and this many of them.
const SCANNED_VARIABLES: usize = 64;

/// The DAS for the variables of `answer`; ends with a line feed.
pub(super) async fn text(view: &Arc<View>, answer: &Answer) -> String {
    let mut shown: HashSet<&str> = HashSet::new();
    for item in &answer.items {
        // A Grid's maps take their attributes from the containers of the variables of that name.
        shown.insert(item.name());
        shown.extend(item.leaves().map(|leaf| &*leaf.declared.name));
    }
    let dataset = view.dataset();
    let lengths = longest_strings(view, &shown).await;
    let mut out = String::from("Attributes {\n");
    for variable in dataset.root().variables.iter().filter(|v| shown.contains(&*v.name)) {
        open(&mut out, 1, &variable.name);
        let name = FullName::root().join(&variable.name);
        let stored = view.text_length(&name);
        let len = stored.map(|t| t.len).or_else(|| lengths.get(&name).map(|n| *n as u64));
        if let Some(len) = len.filter(|len| *len > 0) {
            line(&mut out, 2, format_args!("Int32 DODS.strlen {len};"));
        }
        if let Some(dimension) = stored.and_then(|t| t.dimension.as_ref()) {
            line(&mut out, 2, format_args!("String DODS.dimName {};", quoted(dimension)));
        }
        attributes(&mut out, 2, variable);
        close(&mut out, 1);
    }
    if !dataset.root().attributes.is_empty() {
        open(&mut out, 1, "NC_GLOBAL");
        list(&mut out, 2, &dataset.root().attributes);
        close(&mut out, 1);
    }
    if let Some(dimension) = unlimited(&dataset.root().variables) {
        open(&mut out, 1, "DODS_EXTRA");
        line(&mut out, 2, format_args!("String Unlimited_Dimension {};", quoted(dimension)));
        close(&mut out, 1);
    }
    close(&mut out, 0);
    out
}

/// The dimension that netcdf-c may make unlimited: the first one that is, provided every variable has it
/// outermost (netcdf-c builds a classic dataset) and there is no Sequence (it would panic).
fn unlimited(variables: &[Variable]) -> Option<&str> {
    if variables.iter().any(|v| matches!(v.data_type, DataType::Sequence(_))) {
        return None;
    }
    let is = |d: &&Dimension| d.unlimited && d.name.is_some();
    let name = variables.iter().flat_map(|v| &v.dimensions).find(is)?.name.as_ref()?;
    let outermost = |v: &Variable| v.dimensions.iter().skip(1).all(|d| d.name.as_ref() != Some(name));
    variables.iter().all(outermost).then(|| &name.as_str()[1..])
}

/// The longest string of each small string variable that has one longer than clients assume. Failing to
/// read is no reason to refuse the DAS.
async fn longest_strings(view: &Arc<View>, shown: &HashSet<&str>) -> HashMap<FullName, usize> {
    let mut found = HashMap::new();
    let variables = view.dataset().root().variables.iter();
    let candidates = variables
        .filter(|v| shown.contains(&*v.name) && matches!(v.data_type, DataType::String | DataType::Url))
        .map(|v| (FullName::root().join(&v.name), v))
        .filter(|(name, v)| view.text_length(name).is_none() && v.element_count() <= SCANNED_ELEMENTS);
    for (name, variable) in candidates.take(SCANNED_VARIABLES) {
        let mut blocks = view.read(&name, &Selection::all(&variable.shape()));
        let (mut longest, mut read) = (0, 0);
        while let Some(Ok(block)) = blocks.next().await {
            read += block.byte_len();
            if read > SCANNED_BYTES {
                break;
            }
            longest = block.elements().map(<[u8]>::len).fold(longest, usize::max);
        }
        if longest > LENGTH_CLIENTS_ASSUME && read <= SCANNED_BYTES {
            found.insert(name, longest);
        }
    }
    found
}

/// A variable's attributes, then containers for its members.
fn attributes(out: &mut String, depth: usize, variable: &Variable) {
    list(out, depth, &variable.attributes);
    for field in variable.data_type.record().iter().flat_map(|r| &r.fields) {
        open(out, depth, &field.name);
        attributes(out, depth + 1, field);
        close(out, depth);
    }
}

fn list(out: &mut String, depth: usize, attributes: &Attributes) {
    for attribute in attributes {
        if let Some(text) = value_list(attribute) {
            let word = dds::type_name(&attribute.data_type);
            line(out, depth, format_args!("{word} {} {text};", names::encode_attribute(&attribute.name)));
        }
    }
}

/// `1, 2` or `"a", "b"`; `None` when there is nothing to list.
fn value_list(attribute: &Attribute) -> Option<String> {
    if attribute.data_type == DataType::Char {
        return Some(quoted(&attribute.as_text()?));
    }
    let texts: Vec<String> =
        values(&attribute.data_type, &attribute.values).filter_map(|v| word(&v)).collect();
    match (texts.is_empty(), &attribute.data_type) {
        (true, DataType::String | DataType::Url) => Some("\"\"".to_owned()),
        (true, _) => None,
        _ => Some(texts.join(", ")),
    }
}

/// One value as DAP2 text; `None` for what is neither number nor text.
pub(super) fn word(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        // Debug is the shortest text that reads back as the same number, with an exponent where apt.
        Value::Float32(x) => format!("{x:?}"),
        Value::Float64(x) => format!("{x:?}"),
        Value::Char(c) => quoted(&char::from(*c).to_string()),
        Value::Text(text) => quoted(text),
        Value::Enum(n, _) => n.to_string(),
        Value::Bytes(_) | Value::Record(_) | Value::List(_) => return None,
    })
}

/// Text in double quotes: `\` and `"` escaped, line feeds and tabs raw (pydap does not unescape), other
/// control characters as oc reads them.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let text = text.trim_end_matches('\0');
    for (at, c) in text.char_indices() {
        match c {
            // pydap takes a quote after any backslash for an escaped one and would read on.
            '\\' if at + 1 == text.len() => out.push_str("\\x5c"),
            '"' | '\\' => out.extend(['\\', c]),
            '\n' | '\t' => out.push(c),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn open(out: &mut String, depth: usize, name: &str) {
    line(out, depth, format_args!("{name} {{"));
}

fn close(out: &mut String, depth: usize) {
    line(out, depth, format_args!("}}"));
}

fn line(out: &mut String, depth: usize, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:indent$}{text}", "", indent = depth * 4);
}
