//! TIFF's structure: the header, the chain of image file directories, and the values of their tags.
//!
//! Values are read as numbers or text here; what they mean is `image`'s and the other modules' business.

#![warn(clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use cdm::{Error, Result};

use super::{input::Input, tags};

/// Directories of one file that are looked at.
const MOST_DIRECTORIES: usize = 512;

/// Entries of one directory that are looked at.
const MOST_ENTRIES: u64 = 4096;

/// A value larger than this is not read.
const LARGEST_VALUE: u64 = 16 << 20;

/// The file's byte order and the width of its offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) big_endian: bool,
    /// `BigTIFF`: offsets and counts of 8 bytes.
    pub(crate) big: bool,
}

impl Form {
    /// From a file's first bytes.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let (big_endian, number) = match head {
            [b'I', b'I', low, high, ..] => (false, u16::from_le_bytes([*low, *high])),
            [b'M', b'M', high, low, ..] => (true, u16::from_be_bytes([*high, *low])),
            _ => return None,
        };
        match number {
            42 => Some(Self { big_endian, big: false }),
            43 => Some(Self { big_endian, big: true }),
            _ => None,
        }
    }

    /// An unsigned number of 1, 2, 4 or 8 bytes.
    pub(crate) fn uint(self, bytes: &[u8]) -> u64 {
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}

/// A tag's value: so many of a type, in the file or read.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) kind: u16,
    pub(crate) count: u64,
    pub(crate) place: Place,
}

/// Where a tag's value is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// It is here.
    Here(Bytes),
    /// In the file, at this offset; not read.
    At(u64),
}

/// Bytes of one value of a field type; `None` for a type that TIFF does not have.
pub(crate) fn size_of(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

/// One image file directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) form: Form,
    values: BTreeMap<u16, Value>,
}

impl Directory {
    pub(crate) fn value(&self, tag: u16) -> Option<&Value> {
        self.values.get(&tag)
    }

    fn here(&self, tag: u16) -> Option<(&Value, &Bytes)> {
        let value = self.values.get(&tag)?;
        match &value.place {
            Place::Here(bytes) => Some((value, bytes)),
            Place::At(_) => None,
        }
    }

    /// Unsigned integers.
    pub(crate) fn uints(&self, tag: u16) -> Option<Vec<u64>> {
        let (value, bytes) = self.here(tag)?;
        if !matches!(value.kind, 1 | 3 | 4 | 13 | 16 | 18) {
            return None;
        }
        let size = usize::try_from(size_of(value.kind)?).ok()?;
        Some(bytes.chunks_exact(size).map(|b| self.form.uint(b)).collect())
    }

    /// The first of them.
    pub(crate) fn uint(&self, tag: u16) -> Option<u64> {
        self.uints(tag)?.first().copied()
    }

    /// Floating-point numbers.
    pub(crate) fn floats(&self, tag: u16) -> Option<Vec<f64>> {
        let (value, bytes) = self.here(tag)?;
        match value.kind {
            12 => Some(bytes.chunks_exact(8).map(|b| f64::from_bits(self.form.uint(b))).collect()),
            11 => {
                let bits = |b| u32::try_from(self.form.uint(b)).unwrap_or(0);
                Some(bytes.chunks_exact(4).map(|b| f32::from_bits(bits(b)).into()).collect())
            }
            _ => None,
        }
    }

    /// Text up to its first NUL; invalid UTF-8 is replaced.
    pub(crate) fn text(&self, tag: u16) -> Option<String> {
        let (value, bytes) = self.here(tag)?;
        if !matches!(value.kind, 1 | 2 | 7) {
            return None;
        }
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end)?).trim_end().to_owned())
    }

    /// Bytes as they are.
    pub(crate) fn raw(&self, tag: u16) -> Option<Bytes> {
        self.here(tag).map(|(_, bytes)| bytes.clone())
    }
}

/// Every directory of the file's chain; those tags' values that `lazy` names stay where they are unless
/// they were fetched with something else.
///
/// # Errors
/// `Corrupt` when the structure is broken; what reading says.
pub(crate) async fn read_all(input: &mut Input, lazy: &[u16]) -> Result<Vec<Directory>> {
    let head = input.bytes(0, 8).await?;
    let form = Form::of(&head).ok_or_else(|| Error::corrupt("not a TIFF header"))?;
    let mut next = if form.big {
        let head = input.bytes(0, 16).await?;
        if head.get(4..8).map(|b| (form.uint(b.get(..2)?), form.uint(b.get(2..)?)).into())
            != Some(Some((8, 0)))
        {
            return Err(Error::corrupt("a BigTIFF header with offsets that are not of 8 bytes"));
        }
        form.uint(head.get(8..16).unwrap_or_default())
    } else {
        form.uint(head.get(4..8).unwrap_or_default())
    };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while next != 0 {
        if !seen.insert(next) {
            return Err(Error::corrupt("the chain of directories is a loop"));
        }
        if found.len() >= MOST_DIRECTORIES {
            return Err(Error::unsupported(format!("more than {MOST_DIRECTORIES} images in a file")));
        }
        let (directory, after) = read(input, form, next, lazy).await?;
        found.push(directory);
        next = after;
    }
    if found.is_empty() {
        return Err(Error::corrupt("there is no image in the file"));
    }
    Ok(found)
}

/// The directory at `at`, and where the next one is (0: there is none).
async fn read(input: &mut Input, form: Form, at: u64, lazy: &[u16]) -> Result<(Directory, u64)> {
    let beyond = || Error::corrupt("a directory lies beyond any file");
    let (count_len, entry_len, offset_len) = if form.big { (8, 20, 8) } else { (2, 12, 4) };
    let count = form.uint(&input.bytes(at, count_len).await?);
    if count == 0 || count > MOST_ENTRIES {
        return Err(Error::corrupt(format!("a directory of {count} entries")));
    }
    let entries = at.checked_add(count_len).ok_or_else(beyond)?;
    let bytes = input.bytes(entries, count * entry_len).await?;
    let after = entries.checked_add(count * entry_len).ok_or_else(beyond)?;
    // Some writers leave the last directory's link out at the end of the file.
    let next = match input.bytes(after, offset_len).await {
        Ok(bytes) => form.uint(&bytes),
        Err(e) if after.saturating_add(offset_len) > input.object().size => {
            tracing::debug!(error = %e, "no link after the last directory");
            0
        }
        Err(e) => return Err(e),
    };
    let mut values = BTreeMap::new();
    let entry_len = usize::try_from(entry_len).unwrap_or(20);
    for entry in bytes.chunks_exact(entry_len) {
        let (head, inline) = entry.split_at_checked(if form.big { 12 } else { 8 }).unwrap_or_default();
        let part = |range: std::ops::Range<usize>| form.uint(head.get(range).unwrap_or_default());
        let (Ok(tag), Ok(kind)) = (u16::try_from(part(0..2)), u16::try_from(part(2..4))) else { continue };
        let count = part(4..head.len());
        let Some(size) = size_of(kind) else { continue };
        let len = count.checked_mul(size).ok_or_else(|| Error::corrupt(format!("tag {tag} is too long")))?;
        let place = if len <= offset_len {
            let inline = inline.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            Place::Here(bytes.slice_ref(inline))
        } else {
            let offset = form.uint(inline);
            if lazy.contains(&tag) {
                input.at_hand(offset, len).map_or(Place::At(offset), Place::Here)
            } else if !tags::KNOWN.contains(&tag) {
                // What nobody asks for need not be read.
                continue;
            } else if len > LARGEST_VALUE {
                return Err(Error::unsupported(format!("tag {tag} of {len} bytes")));
            } else {
                Place::Here(input.bytes(offset, len).await?)
            }
        };
        values.entry(tag).or_insert(Value { kind, count, place });
    }
    Ok((Directory { form, values }, next))
}
