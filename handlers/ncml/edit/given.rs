//! Values that a definition gives: a list, a ramp, or none, which is fill.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::Bytes;
use cdm::{
    Attribute, Block, BlockStream, DataType, Error, Result, Selection, Variable, records::for_each_index,
};

use super::{
    bands::bands,
    numbers::{self, Number},
};
use crate::ncml::words;

/// Elements of a block.
const BLOCK: u64 = 64 << 10;

/// The values of a variable that are not read from anywhere.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// All of them.
    Whole(Block),
    /// `start + i * increment` for the `i`-th in row-major order.
    Ramp { start: f64, increment: f64 },
    /// The same element, as an element of a block, for each.
    Same(Bytes),
}

impl Given {
    /// The text of `<values>` as the elements of `variable`.
    ///
    /// # Errors
    /// `Corrupt` when a value is none of the type, or there are not as many as the shape demands.
    pub(super) fn list(variable: &Variable, text: &str, separator: Option<&str>) -> Result<Self> {
        let wanted = variable.element_count();
        let count = |found: u64| {
            let message = format!("{found} values where the shape {:?} demands {wanted}", variable.shape());
            if found == wanted { Ok(()) } else { Err(Error::corrupt(message)) }
        };
        Ok(Self::Whole(match &variable.data_type {
            DataType::Char => Block::Fixed(characters(variable, text, separator)?.into()),
            DataType::String | DataType::Url => {
                let words = words(text, separator, wanted);
                count(words.len() as u64)?;
                Block::varying(words)
            }
            number if numbers::stored(number).is_numeric() => {
                let words = words(text, separator, wanted);
                count(words.len() as u64)?;
                Block::Fixed(numbers::parse_all(words.into_iter(), number)?.into())
            }
            other => return Err(Error::unsupported(format!("<values> of type {}", words::type_word(other)))),
        }))
    }

    /// A ramp over the elements of `variable`.
    ///
    /// # Errors
    /// `Corrupt` when its values are none of the type.
    pub(super) fn ramp(variable: &Variable, start: f64, increment: f64) -> Result<Self> {
        let last = start + increment * variable.element_count().saturating_sub(1) as f64;
        let whole = |n: f64| n.fract() == 0.0 && n.abs() < 9.0e15;
        let data_type = numbers::stored(&variable.data_type);
        let exact = !data_type.is_integer() || whole(start) && whole(increment) && whole(last);
        let mut out = Vec::new();
        let fits = exact
            && data_type.is_numeric()
            && [start, last]
                .iter()
                .all(|n| numbers::append(Number::Float(*n), data_type, &mut out).is_some());
        if !fits {
            let word = words::type_word(data_type);
            return Err(Error::corrupt(format!(
                "values from {start} to {last} by {increment} are not all {word}"
            )));
        }
        Ok(Self::Ramp { start, increment })
    }

    /// The values of an attribute, which must be as many as the shape demands.
    ///
    /// # Errors
    /// `Corrupt` when they are not; `Unsupported` when they do not fit the type.
    pub(super) fn attribute(variable: &Variable, attribute: &Attribute) -> Result<Self> {
        let texts = |t: &DataType| matches!(t, DataType::String | DataType::Url);
        // One text for one string.
        if let (true, DataType::Char, Some(text)) =
            (texts(&variable.data_type), &attribute.data_type, attribute.as_text())
            && variable.element_count() == 1
        {
            return Ok(Self::Whole(Block::varying([text.as_bytes()])));
        }
        if attribute.len != variable.element_count() {
            return Err(Error::corrupt(format!(
                "the attribute {} has {} values where the shape {:?} demands {}",
                attribute.name,
                attribute.len,
                variable.shape(),
                variable.element_count()
            )));
        }
        if texts(&variable.data_type) != texts(&attribute.data_type) {
            let (from, to) = (words::type_word(&attribute.data_type), words::type_word(&variable.data_type));
            return Err(Error::unsupported(format!("values of type {to} from an attribute of type {from}")));
        }
        let values = attribute.values.clone();
        numbers::convert_block(values, &attribute.data_type, &variable.data_type).map(Self::Whole)
    }

    /// Fill: the variable's `_FillValue`, or netCDF's own for its type.
    pub(super) fn fill(variable: &Variable) -> Self {
        let own =
            variable.attributes.get("_FillValue").filter(|a| a.data_type == variable.data_type && a.len == 1);
        let mut out = Vec::new();
        match own.map(|a| &a.values) {
            Some(Block::Fixed(bytes) | Block::Varying { bytes, .. }) => out.extend_from_slice(bytes),
            None => default_fill(&variable.data_type, true, &mut out),
        }
        Self::Same(out.into())
    }

    /// Reads `selection` of `variable`, whose values these are.
    pub(super) fn read(&self, data_type: &DataType, selection: &Selection) -> BlockStream {
        let (given, data_type) = (self.clone(), Arc::new(data_type.clone()));
        let blocks = bands(selection.clone(), BLOCK)
            .map(move |band| band.and_then(|band| given.block(&data_type, &band)));
        let mut over = false;
        let blocks = blocks.take_while(move |block| !std::mem::replace(&mut over, block.is_err()));
        Box::pin(futures::stream::iter(blocks))
    }

    fn block(&self, data_type: &DataType, selection: &Selection) -> Result<Block> {
        let size = data_type.fixed_size().and_then(|n| usize::try_from(n).ok());
        let at = |index: u64, size: usize| {
            let start = usize::try_from(index).ok()?.checked_mul(size)?;
            Some(start..start.checked_add(size)?)
        };
        let missing = || Error::internal("a value that was not given");
        let mut out = Vec::new();
        let mut ends = Vec::new();
        match self {
            Self::Whole(Block::Fixed(bytes)) => {
                let size = size.ok_or_else(missing)?;
                for_each_index(selection, |i| {
                    let one = at(i, size).and_then(|range| bytes.get(range)).ok_or_else(missing)?;
                    out.extend_from_slice(one);
                    Ok(())
                })?;
            }
            Self::Whole(Block::Varying { ends: all, bytes }) => for_each_index(selection, |i| {
                let i = usize::try_from(i).unwrap_or(usize::MAX);
                let start = i.checked_sub(1).map_or(Some(0), |before| all.get(before).copied());
                let range = start.zip(all.get(i).copied()).ok_or_else(missing)?;
                let range =
                    usize::try_from(range.0).ok().zip(usize::try_from(range.1).ok()).ok_or_else(missing)?;
                out.extend_from_slice(bytes.get(range.0..range.1).ok_or_else(missing)?);
                ends.push(out.len() as u64);
                Ok(())
            })?,
            Self::Ramp { start, increment } => for_each_index(selection, |i| {
                let number = Number::Float(start + increment * i as f64);
                numbers::append(number, data_type, &mut out).ok_or_else(missing)
            })?,
            Self::Same(one) => {
                for _ in 0..selection.element_count() {
                    out.extend_from_slice(one);
                    ends.push(out.len() as u64);
                }
            }
        }
        let bytes = Bytes::from(out);
        Ok(if size.is_some() { Block::Fixed(bytes) } else { Block::Varying { ends, bytes } })
    }
}

/// The values in `text`: at blanks, or at `separator`, where blanks count except around the whole when they
/// have a line end, which is layout.
fn words<'t>(text: &'t str, separator: Option<&str>, wanted: u64) -> Vec<&'t str> {
    let Some(separator) = separator else { return text.split_whitespace().collect() };
    let text = without_layout(text);
    if wanted == 0 && text.trim().is_empty() { Vec::new() } else { text.split(separator).collect() }
}

fn without_layout(text: &str) -> &str {
    let begin = text.len() - text.trim_start().len();
    let head = text.get(..begin).unwrap_or_default();
    let text = if head.contains('\n') { text.trim_start() } else { text };
    let tail = text.get(text.trim_end().len()..).unwrap_or_default();
    if tail.contains('\n') { text.trim_end() } else { text }
}

/// The characters in `text`; with a separator, one text for each row of the last dimension. What is shorter is
/// filled with NUL, as netCDF does it.
fn characters(variable: &Variable, text: &str, separator: Option<&str>) -> Result<Vec<u8>> {
    let wanted = variable.element_count();
    let row = variable.dimensions.last().map_or(1, |d| d.size);
    let texts: Vec<&str> = match separator {
        None if text.len() as u64 == wanted => vec![text],
        None => vec![without_layout(text)],
        Some(separator) => words(text, Some(separator), wanted).into_iter().collect(),
    };
    let row = if separator.is_none() && variable.dimensions.len() <= 1 { wanted } else { row };
    let mut out = Vec::new();
    if let ([only], true) = (texts.as_slice(), separator.is_none()) {
        out.extend_from_slice(only.as_bytes());
        if variable.dimensions.len() <= 1 && (out.len() as u64) < wanted {
            out.resize(usize::try_from(wanted).unwrap_or(usize::MAX).min(16 << 20), 0);
        }
    } else {
        for text in &texts {
            let len = usize::try_from(row).unwrap_or(usize::MAX).min(16 << 20);
            if text.len() > len || out.len() > 16 << 20 {
                return Err(Error::corrupt(format!(
                    "the text '{text}' is longer than the {row} characters of its row"
                )));
            }
            out.extend_from_slice(text.as_bytes());
            out.resize(out.len() - text.len() + len, 0);
        }
    }
    if out.len() as u64 != wanted {
        let message =
            format!("{} characters where the shape {:?} demands {wanted}", out.len(), variable.shape());
        return Err(Error::corrupt(message));
    }
    Ok(out)
}

/// Appends netCDF's fill of a type; of the elements of a record when it is one.
fn default_fill(data_type: &DataType, outermost: bool, out: &mut Vec<u8>) {
    const FLOAT: f32 = 9.969_21e36;
    match data_type {
        DataType::Int8 => out.extend_from_slice(&(-127_i8).to_ne_bytes()),
        DataType::Int16 => out.extend_from_slice(&(-32767_i16).to_ne_bytes()),
        DataType::Int32 => out.extend_from_slice(&(-2_147_483_647_i32).to_ne_bytes()),
        DataType::Int64 => out.extend_from_slice(&(-9_223_372_036_854_775_806_i64).to_ne_bytes()),
        DataType::UInt8 => out.push(255),
        DataType::UInt16 => out.extend_from_slice(&u16::MAX.to_ne_bytes()),
        DataType::UInt32 => out.extend_from_slice(&u32::MAX.to_ne_bytes()),
        DataType::UInt64 => out.extend_from_slice(&(u64::MAX - 1).to_ne_bytes()),
        DataType::Float32 => out.extend_from_slice(&FLOAT.to_ne_bytes()),
        DataType::Float64 => out.extend_from_slice(&f64::from(FLOAT).to_ne_bytes()),
        DataType::Char => out.push(0),
        DataType::Enum(kind) => default_fill(&kind.base, outermost, out),
        // Empty: nothing in a block, a length of 0 inside of a record.
        DataType::String | DataType::Url | DataType::Opaque(_) if outermost => {}
        DataType::String | DataType::Url | DataType::Opaque(_) | DataType::Sequence(_) => {
            out.extend_from_slice(&0_u64.to_ne_bytes());
        }
        DataType::Structure(record) => {
            for field in &record.fields {
                for _ in 0..field.element_count().min(1 << 20) {
                    default_fill(&field.data_type, false, out);
                }
            }
        }
    }
}
