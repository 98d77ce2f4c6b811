//! One Parquet file of references: the columns `path`, `offset`, `size` and `raw`.
//!
//! Our own reading of what is needed of Parquet, because every byte here may be hostile: flat columns, plain
//! and dictionary encoding. `thrift` walks the structures, `parquet_pages` decodes the pages.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    parquet_pages::{Cell, Column},
    thrift::{Event, walk},
};

/// Rows of one file.
pub(super) const MOST_ROWS: u64 = 1 << 19;

/// Bytes of a footer.
const LARGEST_FOOTER: usize = 1 << 20;
/// Column chunks and row groups of one file.
const MOST_COLUMNS: usize = 4096;

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

/// The references in the whole `file`, which has at most `most` of them. Called on a thread that may block.
///
/// # Errors
/// `Corrupt` when it is not a Parquet file with these columns; `Unsupported` for a compression or an encoding
/// that is not known; `TooLarge` when it holds too much.
pub(crate) fn read(file: &Bytes, most: u64) -> Result<Rows> {
    let footer = Footer::read(file)?;
    let total = footer.groups.iter().try_fold(0_u64, |sum, rows| sum.checked_add(u64::try_from(*rows).ok()?));
    let total = total.ok_or_else(|| damaged("a negative number of rows"))?;
    if total > MOST_ROWS {
        return Err(Error::too_large(format!("a file of more than {MOST_ROWS} references")));
    }
    if total > most {
        return Err(damaged("it has more rows than a file of these references can have"));
    }
    let mut found = Rows::default();
    let mut known = HashMap::new();
    for (group, rows) in footer.groups.iter().enumerate() {
        let rows = usize::try_from(*rows).map_err(|e| damaged("a negative number of rows").with_source(e))?;
        let column = |name: &str| footer.column(file, group, name, rows);
        let parts = [column("path")?, column("offset")?, column("size")?, column("raw")?];
        if parts.iter().flatten().next().is_none() {
            return Err(damaged("it has none of the columns path, offset, size and raw"));
        }
        found.append(parts, rows, &mut known)?;
    }
    Ok(found)
}

/// What the end of the file tells of the rest.
#[derive(Debug, Default)]
struct Footer {
    /// Names of columns, and whether they may lack values.
    schema: Vec<(String, bool)>,
    /// Rows of each row group.
    groups: Vec<i64>,
    columns: Vec<Column>,
}

impl Footer {
    fn read(file: &[u8]) -> Result<Self> {
        let (rest, end) = file.split_last_chunk::<8>().ok_or_else(|| damaged("it is too short"))?;
        let [a, b, c, d, magic @ ..] = end;
        if magic != b"PAR1" || !file.starts_with(b"PAR1") {
            return Err(damaged("its first and last bytes are not those of one"));
        }
        let len = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let start = rest.len().checked_sub(len).filter(|_| len <= LARGEST_FOOTER);
        let footer = start.and_then(|start| rest.get(start..));
        let mut found = Self::default();
        walk(footer.ok_or_else(|| damaged("its footer is larger than can be"))?, &mut |path, event| {
            found.note(path, event)
        })?;
        Ok(found)
    }

    /// Takes what is of use of Parquet's `FileMetaData`, by the numbers of its fields.
    fn note(&mut self, path: &[i64], event: Event<'_>) -> Result<()> {
        if self.schema.len() > MOST_COLUMNS
            || self.columns.len() > MOST_COLUMNS
            || self.groups.len() > MOST_COLUMNS
        {
            return Err(damaged("too many columns"));
        }
        match (path, event) {
            // schema: SchemaElement's repetition type and name. The root is one, too.
            ([2], Event::Item) => self.schema.push((String::new(), false)),
            ([2, 3], Event::Number(repetition)) => {
                if repetition == 2 {
                    return Err(Error::unsupported("Parquet references with lists in columns"));
                }
                if let Some((_, optional)) = self.schema.last_mut() {
                    *optional = repetition == 1;
                }
            }
            ([2, 4], Event::Bytes(name)) => {
                if let Some((last, _)) = self.schema.last_mut() {
                    *last = String::from_utf8_lossy(name).into_owned();
                }
            }
            // row_groups: columns (ColumnChunk with its ColumnMetaData), and the number of rows.
            ([4], Event::Item) => self.groups.push(0),
            ([4, 3], Event::Number(rows)) => {
                if let Some(last) = self.groups.last_mut() {
                    *last = rows;
                }
            }
            ([4, 1], Event::Item) => {
                let group = self.groups.len().saturating_sub(1);
                self.columns.push(Column { group, ..Column::default() });
            }
            ([4, 1, 3, field], event) => {
                let Some(column) = self.columns.last_mut() else { return Ok(()) };
                match (field, event) {
                    (1, Event::Number(n)) => column.kind = n,
                    (3, Event::Bytes(name)) => column.name = String::from_utf8_lossy(name).into_owned(),
                    (4, Event::Number(n)) => column.codec = n,
                    (7, Event::Number(n)) => column.len = n,
                    (9, Event::Number(n)) => column.data = n,
                    (11, Event::Number(n)) => column.dictionary = Some(n),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn column(
        &self,
        file: &Bytes,
        group: usize,
        name: &str,
        rows: usize,
    ) -> Result<Option<Vec<Option<Cell>>>> {
        let Some(column) = self.columns.iter().find(|c| c.group == group && c.name == name) else {
            return Ok(None);
        };
        let described = self.schema.iter().skip(1).find(|(n, _)| n == name);
        let (_, optional) = described.ok_or_else(|| damaged("a column that its schema lacks"))?;
        column.read(file, rows, *optional).map(Some)
    }
}

impl Rows {
    fn append(
        &mut self,
        [paths, offsets, sizes, raw]: [Option<Vec<Option<Cell>>>; 4],
        rows: usize,
        known: &mut HashMap<Bytes, u32>,
    ) -> Result<()> {
        let next = |column: &mut std::iter::Flatten<std::option::IntoIter<Vec<Option<Cell>>>>| {
            column.next().flatten()
        };
        let (mut paths, mut raw) = (paths.into_iter().flatten(), raw.into_iter().flatten());
        let (mut offsets, mut sizes) = (offsets.into_iter().flatten(), sizes.into_iter().flatten());
        for _ in 0..rows {
            let (path, raw) = (text(next(&mut paths))?, text(next(&mut raw))?);
            let (offset, size) = (number(next(&mut offsets).as_ref())?, number(next(&mut sizes).as_ref())?);
            // Inline bytes win, as in fsspec.
            let row = match (raw, path) {
                // What is kept must not keep the page it was in.
                (Some(raw), _) => Stored::Inline(Bytes::copy_from_slice(&raw)),
                (None, Some(path)) if !path.is_empty() => {
                    let path = self.path(&path, known)?;
                    Stored::Target { path, range: (offset != 0 || size != 0).then_some((offset, size)) }
                }
                (None, _) => Stored::Missing,
            };
            self.rows.push(row);
        }
        Ok(())
    }

    /// The number of a path, new or known.
    fn path(&mut self, path: &Bytes, known: &mut HashMap<Bytes, u32>) -> Result<u32> {
        if let Some(number) = known.get(path) {
            return Ok(*number);
        }
        let text = std::str::from_utf8(path).map_err(|e| damaged("a path that is no text").with_source(e))?;
        let number = u32::try_from(self.paths.len()).map_err(|e| damaged("too many paths").with_source(e))?;
        self.paths.push(text.into());
        known.insert(path.clone(), number);
        Ok(number)
    }
}

fn text(cell: Option<Cell>) -> Result<Option<Bytes>> {
    match cell {
        Some(Cell::Bytes(bytes)) => Ok(Some(bytes)),
        // What pandas makes of a column without a single value.
        Some(Cell::Float(x)) if x.is_nan() => Ok(None),
        None => Ok(None),
        Some(_) => Err(damaged("the column path or raw does not hold texts")),
    }
}

fn number(cell: Option<&Cell>) -> Result<u64> {
    match cell {
        None => Ok(0),
        Some(Cell::Number(n)) => {
            u64::try_from(*n).map_err(|e| damaged("it has a negative offset or size").with_source(e))
        }
        Some(_) => Err(damaged("the column offset or size does not hold integers")),
    }
}

pub(super) fn damaged(why: &str) -> Error {
    Error::corrupt(format!("not a Parquet file of references: {why}"))
}

#[cfg(test)]
mod tests {
    use cdm::testing::Random;

    use super::*;

    #[test]
    fn damage_is_refused_or_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("references/fixtures");
        let names = ["combined.parq/ice", "pyarrow.parquet/sst", "virtualizarr.parq/sst"];
        let rounds = std::env::var("THALWEG_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
        let (mut read_anyway, mut refused) = (0, 0);
        for (i, name) in names.iter().enumerate() {
            let original = std::fs::read(folder.join(name).join("refs.0.parq")).unwrap();
            assert!(read(&original.clone().into(), 1000).unwrap().len() > 0);
            for round in 0..rounds {
                let mut random = Random(round << 8 | i as u64);
                let mut bytes = original.clone();
                for _ in 0..=random.below(3) {
                    let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                    bytes[at] = match random.below(3) {
                        0 => bytes[at] ^ (1 << random.below(8)),
                        1 => 0xff,
                        _ => u8::try_from(random.below(256)).unwrap(),
                    };
                }
                match read(&bytes.into(), 1000) {
                    Ok(_) => read_anyway += 1,
                    Err(e) => {
                        refused += 1;
                        assert_ne!(e.kind(), cdm::ErrorKind::Internal, "{name} {round}: {e}");
                    }
                }
            }
        }
        assert!(read_anyway > 100 && refused > 100, "{read_anyway} {refused}");
    }

    #[test]
    fn no_parquet() {
        for file in [
            &b""[..],
            b"PAR1PAR1",
            b"PAR1\xff\xff\xff\xffPAR1",
            b"PAR1\x01\0\0\0PARX",
            b"PAR1\0\x01\0\0\0PAR1",
        ] {
            assert!(
                read(&Bytes::copy_from_slice(file), 9).is_err_and(|e| e.kind() == cdm::ErrorKind::Corrupt)
                    || file.len() == 13
            );
        }
    }
}
