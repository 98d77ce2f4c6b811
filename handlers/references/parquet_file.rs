//! One Parquet file of references: the columns `path`, `offset`, `size` and `raw`.
//!
//! The `parquet` crate decodes; before it sees a file, [`check`] walks the file's structures and refuses
//! counts and sizes that the file's own bytes do not justify, which the crate would allocate for.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use cdm::{Error, Result};
use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    file::{
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
    },
};

use super::parquet_check::check;

/// Rows of one file.
pub(super) const MOST_ROWS: u64 = 1 << 20;

/// Rows decoded at a time.
const STEP: usize = 8192;

/// The references in one file.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Stored>,
    paths: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
enum Stored {
    Missing,
    Inline(Bytes),
    Target { path: u32, range: Option<(u64, u64)> },
}

/// One reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row<'a> {
    /// The chunk was never written.
    Missing,
    /// Its bytes.
    Inline(&'a Bytes),
    /// A path or URL, and offset and length there unless it is all of it.
    Target { path: &'a Arc<str>, range: Option<(u64, u64)> },
}

impl Rows {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The reference at `position`; what is beyond the last is missing.
    pub(crate) fn get(&self, position: u64) -> Row<'_> {
        let row = usize::try_from(position).ok().and_then(|i| self.rows.get(i));
        match row {
            None | Some(Stored::Missing) => Row::Missing,
            Some(Stored::Inline(bytes)) => Row::Inline(bytes),
            Some(Stored::Target { path, range }) => {
                let path = usize::try_from(*path).ok().and_then(|i| self.paths.get(i));
                path.map_or(Row::Missing, |path| Row::Target { path, range: *range })
            }
        }
    }
}

/// The references in the whole `file`. Called on a thread that may block.
///
/// # Errors
/// `Corrupt` when it is not a Parquet file with these columns; `TooLarge` when it has too many rows.
pub(crate) fn read(file: Bytes) -> Result<Rows> {
    check(&file)?;
    // Checked as it is, no input is known to make the decoder panic; should one, it is the input's fault.
    catch_unwind(AssertUnwindSafe(|| columns(file))).unwrap_or_else(|_| Err(damaged("a decoder failed")))
}

fn columns(file: Bytes) -> Result<Rows> {
    let reader = SerializedFileReader::new(file).map_err(unreadable)?;
    let metadata = reader.metadata();
    let count = u64::try_from(metadata.file_metadata().num_rows()).map_err(unreadable)?;
    if count > MOST_ROWS {
        return Err(Error::too_large(format!("a file of more than {MOST_ROWS} references")));
    }
    let mut found = Rows::default();
    let mut known = HashMap::new();
    for i in 0..metadata.num_row_groups() {
        let group = reader.get_row_group(i).map_err(unreadable)?;
        let count = u64::try_from(group.metadata().num_rows()).map_err(unreadable)?;
        let count = usize::try_from(count.min(MOST_ROWS)).map_err(unreadable)?;
        found.append(&*group, count, &mut known)?;
        if found.rows.len() as u64 > MOST_ROWS {
            return Err(Error::too_large(format!("a file of more than {MOST_ROWS} references")));
        }
    }
    Ok(found)
}

impl Rows {
    fn append(
        &mut self,
        group: &dyn RowGroupReader,
        count: usize,
        known: &mut HashMap<Bytes, u32>,
    ) -> Result<()> {
        let schema = group.metadata().schema_descr();
        let column = |name: &str| -> Result<Option<ColumnReader>> {
            let found = (0..group.num_columns()).find(|i| schema.column(*i).name() == name);
            found.map(|i| group.get_column_reader(i)).transpose().map_err(unreadable)
        };
        let paths = texts(column("path")?, count)?;
        let offsets = numbers(column("offset")?, count)?;
        let sizes = numbers(column("size")?, count)?;
        let raw = texts(column("raw")?, count)?;
        if paths.is_none() && raw.is_none() {
            return Err(damaged("it has neither of the columns path and raw"));
        }
        let (mut paths, mut raw) = (paths.into_iter().flatten(), raw.into_iter().flatten());
        let (mut offsets, mut sizes) = (offsets.into_iter().flatten(), sizes.into_iter().flatten());
        for _ in 0..count {
            let (path, raw) = (paths.next().flatten(), raw.next().flatten());
            let (offset, size) = (offsets.next().flatten().unwrap_or(0), sizes.next().flatten().unwrap_or(0));
            // Inline bytes win, as in fsspec.
            self.rows.push(match (raw, path) {
                (Some(raw), _) => Stored::Inline(raw),
                (None, Some(path)) if !path.is_empty() => {
                    let next = u32::try_from(known.len()).map_err(unreadable)?;
                    let at = *known.entry(path.clone()).or_insert(next);
                    if at == next {
                        let text = std::str::from_utf8(&path).map_err(unreadable)?;
                        self.paths.push(text.into());
                    }
                    let range = match (offset, size) {
                        (0, 0) => None,
                        (offset, size) => {
                            let both = u64::try_from(offset).ok().zip(u64::try_from(size).ok());
                            Some(both.ok_or_else(|| damaged("it has a negative offset or size"))?)
                        }
                    };
                    Stored::Target { path: at, range }
                }
                (None, _) => Stored::Missing,
            });
        }
        Ok(())
    }
}

/// The values of a column of texts or bytes; `None` when there is no such column.
fn texts(column: Option<ColumnReader>, count: usize) -> Result<Option<Vec<Option<Bytes>>>> {
    match column {
        None => Ok(None),
        Some(ColumnReader::ByteArrayColumnReader(reader)) => {
            // What is kept must not keep the page it was in.
            let mut last: Option<(Bytes, Bytes)> = None;
            let own = |value: parquet::data_type::ByteArray| {
                let value: Bytes = value.data().to_vec().into();
                match &last {
                    Some((same, kept)) if *same == value => kept.clone(),
                    _ => {
                        last = Some((value.clone(), value.clone()));
                        value
                    }
                }
            };
            values::<ByteArrayType, _>(reader, count, own).map(Some)
        }
        // What pandas and pyarrow make of a column without a single value.
        Some(ColumnReader::DoubleColumnReader(reader)) => {
            let all = values::<DoubleType, _>(reader, count, |x| x)?;
            nothing(all.iter().flatten().all(|x| x.is_nan()), count)
        }
        Some(ColumnReader::Int32ColumnReader(reader)) => {
            let all = values::<Int32Type, _>(reader, count, |n| n)?;
            nothing(all.iter().all(Option::is_none), count)
        }
        Some(_) => Err(not_texts()),
    }
}

fn nothing(is_so: bool, count: usize) -> Result<Option<Vec<Option<Bytes>>>> {
    if is_so { Ok(Some(vec![None; count])) } else { Err(not_texts()) }
}

fn not_texts() -> Error {
    damaged("the column path or raw does not hold texts")
}

fn numbers(column: Option<ColumnReader>, count: usize) -> Result<Option<Vec<Option<i64>>>> {
    match column {
        None => Ok(None),
        Some(ColumnReader::Int64ColumnReader(reader)) => {
            values::<Int64Type, _>(reader, count, |n| n).map(Some)
        }
        Some(ColumnReader::Int32ColumnReader(reader)) => {
            values::<Int32Type, _>(reader, count, i64::from).map(Some)
        }
        Some(_) => Err(damaged("the column offset or size does not hold integers")),
    }
}

/// `count` values, `None` for nulls.
fn values<T: DataType, V>(
    mut reader: ColumnReaderImpl<T>,
    count: usize,
    mut own: impl FnMut(T::T) -> V,
) -> Result<Vec<Option<V>>> {
    let mut all = Vec::new();
    let (mut levels, mut some) = (Vec::new(), Vec::new());
    while all.len() < count {
        levels.clear();
        some.clear();
        let wanted = STEP.min(count - all.len());
        let (records, valid, _) =
            reader.read_records(wanted, Some(&mut levels), None, &mut some).map_err(unreadable)?;
        if records == 0 {
            return Err(damaged("a column has fewer values than there are rows"));
        }
        if records > wanted || valid != some.len() {
            return Err(damaged("a column's values are not as many as they should be"));
        }
        let mut some = some.drain(..);
        if levels.is_empty() && valid == records {
            all.extend(some.map(|value| Some(own(value))));
            continue;
        }
        if levels.len() != records {
            return Err(damaged("a column repeats values"));
        }
        for level in &levels {
            let value = if *level > 0 { some.next() } else { None };
            if *level > 0 && value.is_none() {
                return Err(damaged("a column's values are not as many as they should be"));
            }
            all.push(value.map(&mut own));
        }
    }
    Ok(all)
}

pub(super) fn damaged(why: &str) -> Error {
    Error::corrupt(format!("not a Parquet file of references: {why}"))
}

fn unreadable(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    damaged("its structure or values cannot be decoded").with_source(e)
}
