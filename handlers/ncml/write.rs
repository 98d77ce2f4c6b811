//! A dataset described in NcML 2.2, as netCDF-Java reads it.

#![warn(clippy::indexing_slicing)]

use std::{collections::BTreeMap, fmt::Write};

use cdm::{Attribute, Block, DataType, Dataset, Dimension, FullName, Group, Value, Variable, values};

use super::{parse::NAMESPACE, words};

/// `dataset`, which is at `location`, in NcML, with the `values` that are given of its variables.
pub fn write(dataset: &Dataset, location: &str, values: &BTreeMap<FullName, Block>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut writer = Writer { out: &mut out, values };
    writer.open(0, "netcdf", &[("xmlns", NAMESPACE), ("location", location)]);
    writer.group(dataset.root(), 1);
    writer.close(0, "netcdf");
    out
}

/// The coordinate variables of `dataset`: those of one dimension that has their name.
pub fn coordinates(dataset: &Dataset) -> impl Iterator<Item = (FullName, &Variable)> {
    dataset.variables().filter(|(name, variable)| match variable.dimensions.as_slice() {
        [only] => only.name.as_ref() == Some(name),
        _ => false,
    })
}

struct Writer<'w> {
    out: &'w mut String,
    values: &'w BTreeMap<FullName, Block>,
}

impl Writer<'_> {
    fn start(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)], end: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, self.out);
            self.out.push('"');
        }
        self.out.push_str(end);
    }

    fn open(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.start(depth, name, attributes, ">\n");
    }

    fn empty(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.start(depth, name, attributes, "/>\n");
    }

    fn close(&mut self, depth: usize, name: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    fn group(&mut self, group: &Group, depth: usize) {
        for kind in group.enums() {
            let data_type = DataType::Enum(kind.clone());
            let attributes = [("name", kind.name.short()), ("type", words::type_word(&data_type))];
            self.open(depth, "enumTypedef", &attributes);
            for (name, key) in &kind.members {
                self.start(depth + 1, "enum", &[("key", &key.to_string())], ">");
                escape(name, self.out);
                self.out.push_str("</enum>\n");
            }
            self.close(depth, "enumTypedef");
        }
        for dimension in &group.dimensions {
            let Some(name) = &dimension.name else { continue };
            let length = dimension.size.to_string();
            let mut attributes = vec![("name", name.short()), ("length", length.as_str())];
            if dimension.unlimited {
                attributes.push(("isUnlimited", "true"));
            }
            self.empty(depth, "dimension", &attributes);
        }
        for attribute in &group.attributes {
            self.attribute(attribute, depth);
        }
        for variable in &group.variables {
            self.variable(variable, Some(&group.name.join(&variable.name)), depth);
        }
        for child in &group.groups {
            self.open(depth, "group", &[("name", child.name.short())]);
            self.group(child, depth + 1);
            self.close(depth, "group");
        }
    }

    fn attribute(&mut self, attribute: &Attribute, depth: usize) {
        let name = &*attribute.name;
        let word = match &attribute.data_type {
            DataType::Enum(kind) => words::type_word(&kind.base),
            other => words::type_word(other),
        };
        if let (DataType::Char, Some(text)) = (&attribute.data_type, attribute.as_text()) {
            return self.empty(depth, "attribute", &[("name", name), ("value", &text)]);
        }
        match &attribute.values {
            Block::Varying { .. } if matches!(attribute.data_type, DataType::String | DataType::Url) => {
                let texts: Vec<_> = attribute.values.elements().map(String::from_utf8_lossy).collect();
                let separator = separator(&texts);
                let mut attributes = vec![("name", name), ("type", word)];
                let value = texts.join(&separator);
                attributes.push(("value", &value));
                if texts.len() != 1 {
                    attributes.push(("separator", &separator));
                }
                self.empty(depth, "attribute", &attributes);
            }
            Block::Fixed(_) if attribute.data_type.record().is_none() => {
                let value = numbers(&attribute.data_type, &attribute.values);
                self.empty(depth, "attribute", &[("name", name), ("type", word), ("value", &value)]);
            }
            _ => {
                // NcML has no words for it.
                let name: String = name.chars().filter(|c| *c != '-' && *c != '<' && *c != '>').collect();
                self.out.extend(std::iter::repeat_n("  ", depth));
                self.out.push_str("<!-- attribute ");
                escape(&name, self.out);
                let _ = writeln!(self.out, " of type {word} -->");
            }
        }
    }

    fn variable(&mut self, variable: &Variable, full: Option<&FullName>, depth: usize) {
        let shape: Vec<String> = variable.dimensions.iter().map(axis).collect();
        let shape = shape.join(" ");
        let mut attributes = vec![("name", &*variable.name), ("shape", shape.as_str())];
        attributes.push(("type", words::type_word(&variable.data_type)));
        if let DataType::Enum(kind) = &variable.data_type {
            attributes.push(("typedef", kind.name.short()));
        }
        let fields = variable.data_type.record().map_or(&[][..], |record| &record.fields);
        let block = full.and_then(|full| self.values.get(full));
        if fields.is_empty() && variable.attributes.is_empty() && block.is_none() {
            return self.empty(depth, "variable", &attributes);
        }
        self.open(depth, "variable", &attributes);
        for attribute in &variable.attributes {
            self.attribute(attribute, depth + 1);
        }
        for field in fields {
            self.variable(field, None, depth + 1);
        }
        if let Some(block) = block {
            self.values_of(variable, block, depth + 1);
        }
        self.close(depth, "variable");
    }

    fn values_of(&mut self, variable: &Variable, block: &Block, depth: usize) {
        let texts: Vec<String> = match (&variable.data_type, block) {
            (DataType::String | DataType::Url, _) => {
                block.elements().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
            }
            (DataType::Char, Block::Fixed(bytes)) => {
                let row = variable.dimensions.last().map_or(1, |d| d.size);
                let row = usize::try_from(row).unwrap_or(usize::MAX).max(1);
                let text = |row: &[u8]| {
                    let end = row.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                    String::from_utf8_lossy(row.get(..end).unwrap_or_default()).into_owned()
                };
                bytes.chunks(row).map(text).collect()
            }
            (data_type, Block::Fixed(_)) if data_type.record().is_none() => {
                self.start(depth, "values", &[], ">");
                self.out.push_str(&numbers(data_type, block));
                self.out.push_str("</values>\n");
                return;
            }
            _ => return,
        };
        let separator = separator(&texts);
        self.start(depth, "values", &[("separator", &separator)], ">");
        escape(&texts.join(&separator), self.out);
        self.out.push_str("</values>\n");
    }
}

/// How `shape` names a dimension; a blank inside of a name is marked.
fn axis(dimension: &Dimension) -> String {
    match &dimension.name {
        None => dimension.size.to_string(),
        Some(name) => {
            let mut word = String::new();
            for c in name.short().chars() {
                if c.is_whitespace() || c == '\\' {
                    word.push('\\');
                }
                word.push(c);
            }
            word
        }
    }
}

/// Something that is in none of `texts`.
fn separator<S: AsRef<str>>(texts: &[S]) -> String {
    let candidates = ["|", "~", ";", "^", "#"].into_iter().map(str::to_owned);
    let longer = (1..).map(|n| format!("|{n}|"));
    let free = |candidate: &String| !texts.iter().any(|text| text.as_ref().contains(candidate.as_str()));
    candidates.chain(longer).find(free).unwrap_or_default()
}

/// Numbers with blanks between them; each as short as it can be told from its neighbours.
fn numbers(data_type: &DataType, block: &Block) -> String {
    let mut out = String::new();
    for value in values(data_type, block) {
        if !out.is_empty() {
            out.push(' ');
        }
        match value {
            Value::Float32(n) => float(n.into(), &n.to_string(), &format!("{n:e}"), &mut out),
            Value::Float64(n) => float(n, &n.to_string(), &format!("{n:e}"), &mut out),
            other => {
                let _ = write!(out, "{}", other.as_integer().unwrap_or_default());
            }
        }
    }
    out
}

fn float(n: f64, plain: &str, exponent: &str, out: &mut String) {
    if n.is_nan() {
        out.push_str("NaN");
    } else if n.is_infinite() {
        out.push_str(if n > 0.0 { "Infinity" } else { "-Infinity" });
    } else if plain.len() <= exponent.len() + 4 {
        out.push_str(plain);
        // What reads it as a number of unknown type should see that it is a float.
        if !plain.contains('.') {
            out.push_str(".0");
        }
    } else {
        out.push_str(exponent);
    }
}

/// Text inside of an attribute or an element; what XML cannot have becomes U+FFFD.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}
