//! Values in CDL: attribute lists and data sections.

use std::io::Write;

use cdm::{Attribute, DataType, Error, FullName, Result, Selection, Source, Value, Variable, values};
use futures::StreamExt;

use super::{LINE_LEN, name, number};

/// The value list of an attribute.
pub(super) fn attribute_values(attribute: &Attribute) -> String {
    if attribute.data_type == DataType::Char {
        let text = attribute.as_text().unwrap_or_default();
        return quoted(text.trim_end_matches('\0'));
    }
    let list: Vec<String> = values(&attribute.data_type, &attribute.values)
        .map(|v| {
            number::suffixed(&v, &attribute.data_type).unwrap_or_else(|| printed(&v, &attribute.data_type))
        })
        .collect();
    list.join(", ")
}

/// Writes ` name = v, v ;` with all values of `variable`, as `ncdump` lays them out, block by block.
///
/// # Errors
/// What reading gives; `Storage` when `out` cannot be written.
pub async fn write_values(
    source: &dyn Source,
    variable: &FullName,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let described = source.dataset().require(variable)?;
    let mut section = Section::new(variable, described);
    let mut blocks = source.read(variable, &Selection::all(&described.shape()));
    while let Some(block) = blocks.next().await {
        for value in values(&described.data_type, &block?) {
            section.push(&value);
        }
        flush(&mut section.text, out)?;
    }
    section.finish();
    flush(&mut section.text, out)
}

fn flush(text: &mut String, out: &mut (dyn Write + Send)) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(|e| Error::storage("the output cannot be written", e))?;
    text.clear();
    Ok(())
}

/// A data section under way.
struct Section<'a> {
    variable: &'a Variable,
    text: String,
    /// Columns used of the current line.
    column: usize,
    /// Elements of one row: the innermost axis of an array of rank 2 or more.
    row: u64,
    done: u64,
    /// Bytes of the text that a row of characters makes.
    characters: Option<Vec<u8>>,
    fill: Option<String>,
}

impl<'a> Section<'a> {
    fn new(full: &FullName, variable: &'a Variable) -> Self {
        let label = if full.parent().is_root() { name(full.short()) } else { name(full.as_str()) };
        let text = format!("\n {label} =");
        let column = text.len() - 1;
        let row = if variable.dimensions.len() > 1 {
            variable.dimensions.last().map_or(1, |d| d.size)
        } else {
            variable.element_count()
        };
        let stands_for_missing = variable.attributes.get("_FillValue").and_then(|a| {
            let first = values(&a.data_type, &a.values).next()?;
            Some(printed(&first, &a.data_type))
        });
        let characters = (variable.data_type == DataType::Char).then(Vec::new);
        Self { variable, text, column, row, done: 0, characters, fill: stands_for_missing }
    }

    fn push(&mut self, value: &Value<'_>) {
        let at_row_start = self.row > 0 && self.done.is_multiple_of(self.row);
        let rows = self.variable.dimensions.len() > 1;
        if at_row_start && rows {
            if self.done > 0 {
                self.text.push(',');
            }
            self.text.push_str("\n  ");
            self.column = 2;
        }
        self.done += 1;
        if let (Some(row), Value::Char(c)) = (&mut self.characters, value) {
            row.push(*c);
            if self.done.is_multiple_of(self.row.max(1)) {
                let text = String::from_utf8_lossy(row).trim_end_matches('\0').to_owned();
                row.clear();
                let lead = if rows { "" } else { " " };
                self.text.push_str(lead);
                self.text.push_str(&quoted(&text));
            }
            return;
        }
        let mut item = printed(value, &self.variable.data_type);
        if self.fill.as_ref() == Some(&item) {
            "_".clone_into(&mut item);
        }
        if !at_row_start {
            self.text.push(',');
            self.column += 1;
        }
        // ncdump counts the separator that follows a value; wrapped lines begin at column 4.
        if self.column + item.len() + 3 > LINE_LEN && self.column > 4 {
            self.text.push_str(" \n   ");
            self.column = 3;
        }
        if !(at_row_start && rows) {
            self.text.push(' ');
            self.column += 1;
        }
        self.column += item.len();
        self.text.push_str(&item);
    }

    fn finish(&mut self) {
        if self.done == 0 && self.characters.is_some() {
            self.text.push_str(" \"\"");
        }
        self.text.push_str(" ;\n");
    }
}

/// One value without type suffix.
fn printed(value: &Value<'_>, data_type: &DataType) -> String {
    if let Some(number) = number::plain(value) {
        return number;
    }
    let list = |items: &[Value<'_>], data_types: &mut dyn FnMut(usize) -> DataType| {
        let parts: Vec<String> = items.iter().enumerate().map(|(i, v)| printed(v, &data_types(i))).collect();
        format!("{{{}}}", parts.join(", "))
    };
    match (value, data_type) {
        (Value::Enum(_, Some(member)), _) => name(member),
        (Value::Enum(n, None), _) => n.to_string(),
        (Value::Text(text), _) => quoted(text),
        (Value::Char(c), _) => quoted(&char::from(*c).to_string()),
        (Value::Bytes(bytes), _) => {
            bytes.iter().fold(String::from("0X"), |digits, b| digits + &format!("{b:02X}"))
        }
        (Value::List(rows), DataType::Sequence(record)) if record.is_vlen => {
            let base = record
                .fields
                .first()
                .map_or(DataType::Opaque(std::sync::Arc::default()), |f| f.data_type.clone());
            let flat: Vec<Value<'_>> = rows
                .iter()
                .filter_map(|row| match row {
                    Value::Record(members) => members.first().cloned(),
                    _ => None,
                })
                .collect();
            list(&flat, &mut |_| base.clone())
        }
        (Value::List(rows), DataType::Sequence(record)) => {
            list(rows, &mut |_| DataType::Structure(std::sync::Arc::clone(record)))
        }
        (Value::List(items), element) => list(items, &mut |_| element.clone()),
        (Value::Record(members), DataType::Structure(record) | DataType::Sequence(record)) => {
            list(members, &mut |i| record.fields.get(i).map_or(DataType::Char, |f| f.data_type.clone()))
        }
        _ => String::new(),
    }
}

/// A quoted CDL string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\0' => out.push_str("\\000"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
