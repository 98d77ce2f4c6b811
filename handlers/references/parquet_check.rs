//! Walks the structures of a Parquet file before anything is allocated for them.
//!
//! Footer and page headers are Thrift in the compact protocol: a few rules to walk over values without
//! knowing what they mean. Counts, nesting and the sizes of pages are held to what the file can justify.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};

use super::parquet_file::{MOST_ROWS, damaged};

/// Bytes of a footer.
const LARGEST_FOOTER: usize = 1 << 20;
/// Items in one list of a footer: columns, row groups.
const MOST_ITEMS: u64 = 4096;
/// Structures within structures.
const MOST_DEPTH: usize = 16;
/// Decoded bytes of one page, and of all.
const LARGEST_PAGE: i64 = 64 << 20;
const LARGEST_DECODED: i64 = 256 << 20;

/// # Errors
/// `Corrupt` when the file is not whole, or names more than it can hold; `TooLarge` when it would decode to
/// too much.
pub(super) fn check(file: &[u8]) -> Result<()> {
    let (rest, end) = file.split_last_chunk::<8>().ok_or_else(|| damaged("it is too short"))?;
    let (len, magic) = end.split_at(4);
    if magic != b"PAR1" || !file.starts_with(b"PAR1") {
        return Err(damaged("its first and last bytes are not those of one"));
    }
    let len = len
        .try_into()
        .map_or(usize::MAX, |four| usize::try_from(u32::from_le_bytes(four)).unwrap_or(usize::MAX));
    let start = rest.len().checked_sub(len).filter(|_| len <= LARGEST_FOOTER);
    let footer =
        start.and_then(|start| rest.get(start..)).ok_or_else(|| damaged("its footer is too large"))?;
    let mut found = Found::default();
    let mut walk = Walk { rest: footer, found: &mut found, path: Vec::new(), depth: 0 };
    walk.structure()?;
    let mut decoded = 0;
    for column in &found.columns {
        column.pages(rest, &mut decoded)?;
    }
    Ok(())
}

/// What is told of one column chunk in the footer.
#[derive(Debug, Default, Clone, Copy)]
struct Column {
    data: Option<i64>,
    dictionary: Option<i64>,
    len: Option<i64>,
    values: Option<i64>,
}

impl Column {
    /// Walks its pages as a reader would.
    fn pages(&self, file: &[u8], decoded: &mut i64) -> Result<()> {
        let outside = || damaged("a column lies outside of it");
        let data = self.data.ok_or_else(outside)?;
        let start = usize::try_from(self.dictionary.unwrap_or(data)).map_err(|e| outside().with_source(e))?;
        let len = usize::try_from(self.len.unwrap_or(-1)).map_err(|e| outside().with_source(e))?;
        let mut rest = start.checked_add(len).and_then(|end| file.get(start..end)).ok_or_else(outside)?;
        let rows = i64::try_from(MOST_ROWS).unwrap_or(i64::MAX);
        if !(0..=rows).contains(&self.values.unwrap_or(0)) {
            return Err(Error::too_large(format!("a file of more than {MOST_ROWS} references")));
        }
        while !rest.is_empty() {
            let mut page = Found::default();
            let mut walk = Walk { rest, found: &mut page, path: vec![PAGE], depth: 0 };
            walk.structure()?;
            rest = walk.rest;
            let page = page.page;
            let stored = usize::try_from(page.stored.unwrap_or(-1)).map_err(|e| outside().with_source(e))?;
            let size = page.decoded.unwrap_or(-1);
            if size < 0 {
                return Err(damaged("a page of negative size"));
            }
            *decoded = decoded.saturating_add(size);
            // What compresses to less than a thousandth is no list of references; zstd of zeros comes near it.
            let justified = i64::try_from(stored).unwrap_or(i64::MAX).saturating_mul(1 << 15).max(1 << 16);
            if size > LARGEST_PAGE || size > justified || *decoded > LARGEST_DECODED {
                return Err(Error::too_large("a page of references that decodes to too much"));
            }
            // A value of a dictionary takes at least a byte; levels and indexes may take next to none.
            let most = if page.dictionary { size } else { rows };
            if !(0..=most).contains(&page.values.unwrap_or(0)) {
                return Err(damaged("a page of more values than it can hold"));
            }
            // Plain, and indexes into a dictionary (both names of them): what others hold cannot be told here.
            if !matches!(page.encoding, None | Some(0 | 2 | 8)) {
                return Err(Error::unsupported(
                    "Parquet references in an encoding other than plain and dictionary",
                ));
            }
            rest = rest.get(stored..).ok_or_else(outside)?;
        }
        Ok(())
    }
}

/// What is told of one page in its header.
#[derive(Debug, Default, Clone, Copy)]
struct Page {
    decoded: Option<i64>,
    stored: Option<i64>,
    values: Option<i64>,
    encoding: Option<i64>,
    dictionary: bool,
}

#[derive(Debug, Default)]
struct Found {
    columns: Vec<Column>,
    page: Page,
}

/// Stands for the footer's path when a page header is walked.
const PAGE: i64 = -1;

/// Walks over values; the field numbers it is within are its path.
struct Walk<'a, 'f> {
    rest: &'a [u8],
    found: &'f mut Found,
    path: Vec<i64>,
    depth: usize,
}

impl Walk<'_, '_> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| damaged("its structures end early"))?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip(&mut self, len: u64) -> Result<()> {
        let rest = usize::try_from(len).ok().and_then(|len| self.rest.get(len..));
        self.rest = rest.ok_or_else(|| damaged("its structures end early"))?;
        Ok(())
    }

    fn unsigned(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a number of too many bytes"))
    }

    fn signed(&mut self) -> Result<i64> {
        let zigzag = self.unsigned()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn structure(&mut self) -> Result<()> {
        let mut field = 0_i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            field = match header >> 4 {
                0 => self.signed()?,
                delta => field.saturating_add(i64::from(delta)),
            };
            self.path.push(field);
            self.value(header & 0x0f, true)?;
            self.path.pop();
        }
    }

    /// A value of a type; booleans of fields have no byte of their own.
    fn value(&mut self, kind: u8, of_field: bool) -> Result<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(damaged("structures too deep"));
        }
        let outcome = self.value_within(kind, of_field);
        self.depth -= 1;
        outcome
    }

    fn value_within(&mut self, kind: u8, of_field: bool) -> Result<()> {
        match kind {
            1 | 2 if of_field => Ok(()),
            1..=3 => self.skip(1),
            4..=6 => {
                let number = self.signed()?;
                self.note(number);
                Ok(())
            }
            7 => self.skip(8),
            8 => {
                let len = self.unsigned()?;
                self.skip(len)
            }
            9 | 10 => {
                let header = self.byte()?;
                let count = match header >> 4 {
                    15 => self.unsigned()?,
                    count => u64::from(count),
                };
                if count > MOST_ITEMS || count > self.rest.len() as u64 {
                    return Err(damaged("a list longer than it can be"));
                }
                (0..count).try_for_each(|_| self.item(header & 0x0f))
            }
            12 => self.structure(),
            // Maps are in no structure of Parquet.
            _ => Err(damaged("a structure of no known type")),
        }
    }

    fn item(&mut self, kind: u8) -> Result<()> {
        // Column chunks: FileMetaData.row_groups[].columns[].
        if self.path == [4, 1] {
            if self.found.columns.len() as u64 >= MOST_ITEMS {
                return Err(damaged("too many columns"));
            }
            self.found.columns.push(Column::default());
        }
        self.value(kind, false)
    }

    fn note(&mut self, number: i64) {
        let found = &mut *self.found;
        match (self.path.as_slice(), found.columns.last_mut()) {
            // ColumnMetaData: num_values, total_compressed_size, data and dictionary page offsets.
            ([4, 1, 3, 5], Some(column)) => column.values = Some(number),
            ([4, 1, 3, 7], Some(column)) => column.len = Some(number),
            ([4, 1, 3, 9], Some(column)) => column.data = Some(number),
            ([4, 1, 3, 11], Some(column)) => column.dictionary = Some(number),
            // PageHeader: the sizes, and the number of values in the header of its kind.
            ([PAGE, 2], _) => found.page.decoded = Some(number),
            ([PAGE, 3], _) => found.page.stored = Some(number),
            ([PAGE, 7, 1], _) => {
                found.page.dictionary = true;
                found.page.values = Some(number);
            }
            ([PAGE, 5 | 8, 1], _) => found.page.values = Some(number),
            ([PAGE, 5, 2] | [PAGE, 8, 4], _) => found.page.encoding = Some(number),
            _ => {}
        }
    }
}
