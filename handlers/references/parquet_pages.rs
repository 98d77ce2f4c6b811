//! The values in the pages of one column of a Parquet file: levels, plain values, dictionaries.
//!
//! A column here is flat: it has a value in every row, or may lack it.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result, ResultExt};

use super::{
    parquet_file::{MOST_ROWS, damaged},
    thrift::{Event, unsigned, walk},
};
use crate::chunked::codecs::{Codec, Gzip, Zstd};

/// Decoded bytes of one page, and of all pages of a column.
const LARGEST_PAGE: usize = 64 << 20;
const LARGEST_COLUMN: usize = 256 << 20;

/// What the footer tells of one column chunk.
#[derive(Debug, Default, Clone)]
pub(super) struct Column {
    /// The column's name.
    pub(super) name: String,
    /// The row group it is in, by number.
    pub(super) group: usize,
    /// Parquet's number of the physical type.
    pub(super) kind: i64,
    /// Parquet's number of the compression.
    pub(super) codec: i64,
    /// Bytes of its pages.
    pub(super) len: i64,
    /// Where its data pages begin, and its dictionary, if it has one.
    pub(super) data: i64,
    pub(super) dictionary: Option<i64>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// A byte array.
    Bytes(Bytes),
    /// An integer.
    Number(i64),
    /// A float.
    Float(f64),
}

/// What a page's header tells.
#[derive(Debug, Default)]
struct Page {
    kind: i64,
    decoded: i64,
    stored: i64,
    values: i64,
    encoding: i64,
    /// Of the levels, which only the first version of pages names.
    levels: Option<i64>,
    /// Bytes of levels, which the second version of pages tells.
    definition: i64,
    repetition: i64,
    compressed: bool,
}

impl Column {
    /// `rows` values, `None` for nulls, which only an `optional` column has.
    ///
    /// # Errors
    /// `Corrupt` when the pages do not hold them; `Unsupported` for a compression or an encoding that is not
    /// known; `TooLarge` when they decode to too much.
    pub(super) fn read(&self, file: &Bytes, rows: usize, optional: bool) -> Result<Vec<Option<Cell>>> {
        let outside = || damaged("a column lies outside of it");
        let start = self.dictionary.filter(|at| (1..self.data).contains(at)).unwrap_or(self.data);
        let start = usize::try_from(start).map_err(|e| outside().with_source(e))?;
        let len = usize::try_from(self.len).map_err(|e| outside().with_source(e))?;
        let end = start.checked_add(len).filter(|end| *end <= file.len()).ok_or_else(outside)?;
        let mut rest = file.slice(start..end);
        let mut found = Vec::new();
        let mut dictionary = Vec::new();
        let mut decoded = 0_usize;
        while found.len() < rows {
            if rest.is_empty() {
                return Err(damaged("a column has fewer values than there are rows"));
            }
            let page = Page::read(&mut rest)?;
            let stored =
                usize::try_from(page.stored).ok().filter(|n| *n <= rest.len()).ok_or_else(outside)?;
            let body = rest.split_to(stored);
            decoded = decoded.saturating_add(usize::try_from(page.decoded).unwrap_or(usize::MAX));
            if decoded > LARGEST_COLUMN {
                return Err(Error::too_large("references that decode to too much"));
            }
            match page.kind {
                0 | 3 => self.data_page(&page, &body, optional, &dictionary, rows, &mut found)?,
                2 => {
                    let body = self.decoded(&body, page.decoded)?;
                    dictionary = plain(self.kind, &body, page.count()?)?;
                }
                // Indexes are not needed.
                _ => {}
            }
        }
        Ok(found)
    }

    fn data_page(
        &self,
        page: &Page,
        body: &Bytes,
        optional: bool,
        dictionary: &[Cell],
        rows: usize,
        found: &mut Vec<Option<Cell>>,
    ) -> Result<()> {
        let count = page.count()?;
        if count > rows - found.len() {
            return Err(damaged("a column has more values than there are rows"));
        }
        let (levels, values) = if page.kind == 3 {
            let both = usize::try_from(page.definition).ok().zip(usize::try_from(page.repetition).ok());
            let ends =
                both.and_then(|(d, r)| Some((r, r.checked_add(d)?))).filter(|(_, end)| *end <= body.len());
            let (begin, end) = ends.ok_or_else(|| damaged("levels longer than their page"))?;
            let left = page.decoded.saturating_sub(i64::try_from(end).unwrap_or(i64::MAX));
            let values = body.slice(end..);
            let values = if page.compressed { self.decoded(&values, left)? } else { values };
            (body.slice(begin..end), values)
        } else {
            let body = self.decoded(body, page.decoded)?;
            if optional {
                if page.levels != Some(3) {
                    return Err(Error::unsupported(
                        "Parquet references with levels of another encoding than RLE",
                    ));
                }
                let (len, _) = body.split_first_chunk::<4>().ok_or_else(short)?;
                let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
                let end = len.checked_add(4).filter(|end| *end <= body.len()).ok_or_else(short)?;
                (body.slice(4..end), body.slice(end..))
            } else {
                (Bytes::new(), body)
            }
        };
        let levels = if optional { hybrid(&levels, 1, count)? } else { vec![1; count] };
        let some = levels.iter().filter(|level| **level == 1).count();
        let cells = match page.encoding {
            0 => plain(self.kind, &values, some)?,
            2 | 8 => {
                let (width, indexes) = values.split_first().map_or((0, &[][..]), |(w, rest)| (*w, rest));
                let cell = |i: u32| usize::try_from(i).ok().and_then(|i| dictionary.get(i)).cloned();
                let indexes = hybrid(indexes, width, some)?;
                let cells: Option<Vec<Cell>> = indexes.into_iter().map(cell).collect();
                cells.ok_or_else(|| damaged("an index beyond its dictionary"))?
            }
            _ => {
                let what = "Parquet references in an encoding other than plain and dictionary";
                return Err(Error::unsupported(what));
            }
        };
        let mut cells = cells.into_iter();
        found.extend(levels.into_iter().map(|level| if level == 1 { cells.next() } else { None }));
        Ok(())
    }

    /// The bytes of a page, of which there must be so many.
    fn decoded(&self, stored: &Bytes, len: i64) -> Result<Bytes> {
        let len = usize::try_from(len).ok().filter(|len| *len <= LARGEST_PAGE);
        let len = len.ok_or_else(|| Error::too_large("a page of references that decodes to too much"))?;
        // No codec makes more of its input; the best of them comes near it with zeros.
        if len / (1 << 15) > stored.len() {
            return Err(damaged("a page longer than it can decode to"));
        }
        let bytes = match self.codec {
            _ if len == 0 => Bytes::new(),
            0 => stored.clone(),
            1 => {
                let told = snap::raw::decompress_len(stored).ok();
                if told != Some(len) {
                    return Err(damaged("a page of another length than its header says"));
                }
                let bytes = snap::raw::Decoder::new().decompress_vec(stored);
                Bytes::from(bytes.map_err(|e| damaged("a page cannot be decoded").with_source(e))?)
            }
            2 => Gzip.decode(stored.clone(), Some(len)).within(|| "a page of references")?,
            6 => Zstd.decode(stored.clone(), Some(len)).within(|| "a page of references")?,
            n => {
                return Err(Error::unsupported(format!(
                    "Parquet references in compression {n}; none, snappy, gzip and zstd are supported"
                )));
            }
        };
        if bytes.len() == len {
            Ok(bytes)
        } else {
            Err(damaged("a page of another length than its header says"))
        }
    }
}

impl Page {
    /// The header that `rest` begins with, which is taken from it.
    fn read(rest: &mut Bytes) -> Result<Self> {
        let mut page = Self { compressed: true, ..Self::default() };
        let after = walk(rest, &mut |path, event| {
            match (path, event) {
                ([1], Event::Number(n)) => page.kind = n,
                ([2], Event::Number(n)) => page.decoded = n,
                ([3], Event::Number(n)) => page.stored = n,
                ([5 | 7 | 8, 1], Event::Number(n)) => page.values = n,
                ([5 | 7, 2] | [8, 4], Event::Number(n)) => page.encoding = n,
                ([5, 3], Event::Number(n)) => page.levels = Some(n),
                ([8, 5], Event::Number(n)) => page.definition = n,
                ([8, 6], Event::Number(n)) => page.repetition = n,
                ([8, 7], Event::Flag(flag)) => page.compressed = flag,
                _ => {}
            }
            Ok(())
        })?;
        let len = rest.len() - after.len();
        drop(rest.split_to(len));
        Ok(page)
    }

    fn count(&self) -> Result<usize> {
        let count = usize::try_from(self.values).ok().filter(|n| *n as u64 <= MOST_ROWS);
        count.ok_or_else(|| damaged("a page of an impossible number of values"))
    }
}

/// `count` plain values of a physical type.
fn plain(kind: i64, bytes: &Bytes, count: usize) -> Result<Vec<Cell>> {
    let fixed = |size: usize, cell: &dyn Fn(&[u8]) -> Option<Cell>| -> Result<Vec<Cell>> {
        let whole = count.checked_mul(size).and_then(|len| bytes.get(..len)).ok_or_else(short)?;
        whole.chunks_exact(size).map(|value| cell(value).ok_or_else(short)).collect()
    };
    match kind {
        1 => fixed(4, &|v| Some(Cell::Number(i32::from_le_bytes(v.try_into().ok()?).into()))),
        2 => fixed(8, &|v| Some(Cell::Number(i64::from_le_bytes(v.try_into().ok()?)))),
        5 => fixed(8, &|v| Some(Cell::Float(f64::from_le_bytes(v.try_into().ok()?)))),
        6 => {
            let mut cells = Vec::new();
            let mut rest = bytes.clone();
            for _ in 0..count {
                let (len, _) = rest.split_first_chunk::<4>().ok_or_else(short)?;
                let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
                let end = len.checked_add(4).filter(|end| *end <= rest.len()).ok_or_else(short)?;
                cells.push(Cell::Bytes(rest.split_to(end).slice(4..)));
            }
            Ok(cells)
        }
        _ => Err(Error::unsupported("Parquet references of an unknown type")),
    }
}

/// `count` numbers of `width` bits each: runs of one number, and numbers packed by eights.
fn hybrid(bytes: &[u8], width: u8, count: usize) -> Result<Vec<u32>> {
    if width > 32 {
        return Err(damaged("numbers of more than 32 bits"));
    }
    let mut numbers = Vec::new();
    let mut rest = bytes;
    let wide = usize::from(width).div_ceil(8);
    while numbers.len() < count {
        // Of numbers without bits nothing need be stored.
        if width == 0 && rest.is_empty() {
            numbers.resize(count, 0);
            break;
        }
        let (header, after) = unsigned(rest)?;
        let left = count - numbers.len();
        let many = usize::try_from(header >> 1).unwrap_or(usize::MAX);
        if many == 0 {
            return Err(damaged("a run of nothing"));
        }
        if header & 1 == 0 {
            let (value, after) = after.split_at_checked(wide).ok_or_else(short)?;
            let value = value.iter().rev().fold(0_u32, |n, byte| (n << 8) | u32::from(*byte));
            numbers.resize(numbers.len() + many.min(left), value);
            rest = after;
        } else {
            let len = many.saturating_mul(usize::from(width)).min(after.len());
            let (packed, after) = after.split_at_checked(len).ok_or_else(short)?;
            let held = if width == 0 { left } else { packed.len() * 8 / usize::from(width) };
            let taken = left.min(many.saturating_mul(8));
            if held < taken {
                return Err(short());
            }
            let (mut bits, mut pending, mut source) = (0_u64, 0_u32, packed.iter());
            for _ in 0..taken {
                while pending < u32::from(width) {
                    bits |= u64::from(*source.next().ok_or_else(short)?) << pending;
                    pending += 8;
                }
                let mask = (1_u64 << width) - 1;
                numbers.push(u32::try_from(bits & mask).unwrap_or(u32::MAX));
                bits >>= width;
                pending -= u32::from(width);
            }
            rest = after;
        }
    }
    Ok(numbers)
}

fn short() -> Error {
    damaged("a page ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_numbers() {
        // The specification's example: 0 to 7 in three bits each.
        assert_eq!(hybrid(&[3, 0x88, 0xc6, 0xfa], 3, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hybrid(&[8, 5, 4, 6], 3, 5).unwrap(), [5, 5, 5, 5, 6]);
        assert_eq!(hybrid(&[4, 1, 2, 3], 20, 2).unwrap(), [0x30201, 0x30201]);
        assert_eq!(hybrid(&[], 0, 3).unwrap(), [0, 0, 0]);
        assert_eq!(hybrid(&[3, 0b101], 1, 3).unwrap(), [1, 0, 1]);
        assert_eq!(
            hybrid(&[0xff, 0xff, 0xff, 0xff, 0x0e, 1], 8, 3).unwrap_err().kind(),
            cdm::ErrorKind::Corrupt
        );
        assert_eq!(hybrid(&[0xfe, 0xff, 0xff, 0xff, 0x0e, 1], 8, 3).unwrap(), [1, 1, 1]);
        for (wrong, width) in
            [(&[][..], 1), (&[0, 0], 1), (&[1], 1), (&[2], 9), (&[3, 0x88], 3), (&[2, 0], 33)]
        {
            assert_eq!(hybrid(wrong, width, 8).unwrap_err().kind(), cdm::ErrorKind::Corrupt, "{wrong:?}");
        }
    }

    #[test]
    fn plain_values() {
        let bytes = Bytes::from_static(b"\x01\0\0\0a\0\0\0\0");
        let cell = |b: &'static [u8]| Cell::Bytes(Bytes::from_static(b));
        assert_eq!(plain(6, &bytes, 2).unwrap(), [cell(b"a"), cell(b"")]);
        assert_eq!(plain(1, &bytes, 1).unwrap(), [Cell::Number(1)]);
        for (kind, count) in [(6, 3), (2, 2), (1, usize::MAX), (5, 2)] {
            assert_eq!(plain(kind, &bytes, count).unwrap_err().kind(), cdm::ErrorKind::Corrupt);
        }
        let wrong = Bytes::from_static(b"\xff\xff\xff\xffa");
        assert!(plain(6, &wrong, 1).is_err());
    }
}
