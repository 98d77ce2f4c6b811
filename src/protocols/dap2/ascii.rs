//! Values as text, in the manner of Hyrax: one line per row of the last dimension, labelled with the
//! indices of the others (`sst[0][1], 2.5, 3.0`). For people; programs use `.dods`.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use cdm::{DataType, Error, RecordType, Result, Value};
use futures::{StreamExt, stream};

use super::{
    das, dods,
    resolve::{Answer, Item, Leaf},
};
use crate::protocols::{ByteStream, Request};

/// The whole body.
///
/// # Errors
/// `TooLarge`, judged from the number of values and their usual width.
pub(super) fn body(request: &Request<'_>, dataset: &str, answer: &Answer) -> Result<ByteStream> {
    let limit = request.largest.text;
    let leaves: Vec<(String, Leaf)> = answer.items.iter().flat_map(labelled).collect();
    let total = leaves.iter().fold(0_u64, |sum, (_, leaf)| sum.saturating_add(likely_len(leaf)));
    if total > limit {
        let (_, largest) = leaves
            .iter()
            .max_by_key(|(_, leaf)| likely_len(leaf))
            .ok_or_else(|| Error::internal("an answer without variables is large"))?;
        let each = likely_len(largest) / largest.declared.element_count().max(1);
        return Err(Error::too_large(format!(
            "as text the answer would have about {total} bytes; the limit is {limit} bytes. Use .dods, or ask for less, for example {}",
            dods::smaller(request, ".ascii", largest, limit / 2 / each.max(1))
        )));
    }
    let head = format!("Dataset: {dataset}\n");
    let data = stream::iter(leaves).flat_map(|(label, leaf)| values(label, &leaf));
    Ok(dods::until_error(dods::behind(head.into(), data)))
}

/// Components of a Grid are called `grid.component`.
fn labelled(item: &Item) -> Vec<(String, Leaf)> {
    let label = |leaf: &Leaf| match item {
        Item::Plain(_) => leaf.declared.name.to_string(),
        Item::Grid { .. } | Item::Parts { .. } => format!("{}.{}", item.name(), leaf.declared.name),
    };
    item.leaves().map(|leaf| (label(leaf), leaf.clone())).collect()
}

fn likely_len(leaf: &Leaf) -> u64 {
    width(&leaf.declared.data_type).saturating_mul(leaf.declared.element_count())
}

fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::UInt8 => 5,
        DataType::Int16 | DataType::UInt16 => 8,
        DataType::Int32 | DataType::UInt32 => 12,
        DataType::Float32 => 14,
        DataType::Float64 => 20,
        DataType::Structure(record) | DataType::Sequence(record) => record
            .fields
            .iter()
            .fold(0, |sum, f| sum.saturating_add(width(&f.data_type).saturating_mul(f.element_count()))),
        _ => 32,
    }
}

fn values(label: String, leaf: &Leaf) -> ByteStream {
    let leaf = leaf.clone();
    stream::once(async move {
        let blocks = leaf.source.read(&leaf.name, &leaf.selection);
        let mut writer = Writer { label, shape: leaf.declared.shape(), position: 0 };
        let data_type = Arc::new(leaf.declared.data_type);
        let expected = leaf.declared.dimensions.iter().fold(1_u64, |n, d| n.saturating_mul(d.size));
        blocks.map(Some).chain(stream::iter([None])).map(move |block| {
            let Some(block) = block.transpose()? else {
                return writer.finish(&data_type, expected);
            };
            let mut out = String::new();
            cdm::values(&data_type, &block).for_each(|value| writer.value(&data_type, &value, &mut out));
            Ok(Bytes::from(out))
        })
    })
    .flatten()
    .boxed()
}

struct Writer {
    label: String,
    shape: Vec<u64>,
    /// Elements written.
    position: u64,
}

impl Writer {
    fn value(&mut self, data_type: &DataType, value: &Value<'_>, out: &mut String) {
        match (data_type, value) {
            (DataType::Structure(record), Value::Record(members)) => {
                let label = format!("{}{}", self.label, self.indices(self.shape.len()));
                structure(&label, record, members, out);
            }
            (DataType::Sequence(record), Value::List(rows)) => sequence(&self.label, record, rows, out),
            _ => {
                let row = self.shape.last().copied().unwrap_or(1).max(1);
                if self.position.is_multiple_of(row) {
                    out.push_str(if self.position > 0 { "\n" } else { "" });
                    out.push_str(&self.label);
                    out.push_str(&self.indices(self.shape.len().saturating_sub(1)));
                }
                // Writing to a String cannot fail.
                let _ = write!(out, ", {}", flat(value));
            }
        }
        self.position += 1;
    }

    /// `[i][j]` of the current element along the first `axes` axes.
    fn indices(&self, axes: usize) -> String {
        let mut left = self.position;
        let mut indices = Vec::with_capacity(self.shape.len());
        for size in self.shape.iter().rev() {
            indices.push(left % (*size).max(1));
            left /= (*size).max(1);
        }
        indices.iter().rev().take(axes).fold(String::new(), |text, i| text + &format!("[{i}]"))
    }

    /// Ends the last line. Records have ended theirs; an empty array shows its name.
    fn finish(&self, data_type: &DataType, expected: u64) -> Result<Bytes> {
        if self.position != expected {
            return Err(Error::internal(format!("{} has fewer elements than declared", self.label)));
        }
        Ok(match (data_type.record(), expected) {
            (Some(_), _) => Bytes::new(),
            (None, 0) => format!("{}\n", self.label).into(),
            (None, _) => Bytes::from_static(b"\n"),
        })
    }
}

fn structure(label: &str, record: &RecordType, members: &[Value<'_>], out: &mut String) {
    for (field, member) in record.fields.iter().zip(members) {
        let label = format!("{label}.{}", field.name);
        match (&field.data_type, member) {
            (DataType::Structure(record), Value::Record(members)) => structure(&label, record, members, out),
            (DataType::Sequence(record), Value::List(rows)) => sequence(&label, record, rows, out),
            _ => {
                let _ = writeln!(out, "{label}, {}", flat(member));
            }
        }
    }
}

/// A line of names, then a line for each row.
fn sequence(label: &str, record: &RecordType, rows: &[Value<'_>], out: &mut String) {
    let names: Vec<String> = record.fields.iter().map(|f| format!("{label}.{}", f.name)).collect();
    let _ = writeln!(out, "{}", names.join(", "));
    for row in rows {
        let row = flat(row);
        let bare = row.strip_prefix("{ ").and_then(|r| r.strip_suffix(" }")).unwrap_or(&row);
        let _ = writeln!(out, "{bare}");
    }
}

fn flat(value: &Value<'_>) -> String {
    match value {
        Value::Record(members) => {
            format!("{{ {} }}", members.iter().map(flat).collect::<Vec<_>>().join(", "))
        }
        Value::List(elements) => elements.iter().map(flat).collect::<Vec<_>>().join(", "),
        simple => das::word(simple).unwrap_or_default(),
    }
}
