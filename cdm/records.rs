//! The byte layout of records, and pure functions over it.
//!
//! Inside a record, members follow each other in declaration order without padding, arrays row-major:
//! a fixed-size value is its native-endian bytes; a String, Url or Opaque is a native-endian `u64`
//! byte count and the bytes; a Structure is its members; a Sequence is a native-endian `u64` record
//! count and the records.
//!
//! An element of a [`Block::Varying`] block of Structures is one record; of Sequences, one count with
//! its records. Nothing here does I/O or knows where records come from.

use bytes::Bytes;

use crate::{
    Block, DataType, Error, RecordType, Result, Selection, Variable,
    subset::{Contents, Part},
};

/// A position in laid-out bytes.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What lies ahead.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Internal` when there are fewer: whoever made the record broke the layout.
    pub fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(len).ok().and_then(|n| self.bytes.split_at_checked(n));
        let (taken, rest) = split.ok_or_else(|| Error::internal("a record is shorter than its type"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// A byte or record count.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn count(&mut self) -> Result<u64> {
        Ok(u64::from_ne_bytes(self.array()?))
    }

    /// Steps over one element of `data_type`.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn skip_element(&mut self, data_type: &DataType) -> Result<()> {
        if let Some(size) = data_type.fixed_size() {
            return self.take(size).map(drop);
        }
        match data_type {
            DataType::Structure(record) => record.fields.iter().try_for_each(|f| self.skip_member(f)),
            DataType::Sequence(record) => {
                let rows = self.count()?;
                // A row without members takes no bytes: nothing to step over, however many there are.
                if record.fields.is_empty() {
                    return Ok(());
                }
                (0..rows).try_for_each(|_| record.fields.iter().try_for_each(|f| self.skip_member(f)))
            }
            _ => {
                let len = self.count()?;
                self.take(len).map(drop)
            }
        }
    }

    /// Steps over all elements of a member.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub fn skip_member(&mut self, field: &Variable) -> Result<()> {
        if let Some(len) = field.byte_len() {
            return self.take(len).map(drop);
        }
        (0..field.element_count()).try_for_each(|_| self.skip_element(&field.data_type))
    }
}

/// The type that is left of `data_type` when only `contents` is kept of each element.
///
/// # Errors
/// `Internal` when a member position does not exist.
pub fn project_type(data_type: &DataType, contents: &Contents<'_>) -> Result<DataType> {
    let (record, wrap): (_, fn(_) -> _) = match data_type {
        DataType::Structure(record) => (record, DataType::Structure),
        DataType::Sequence(record) => (record, DataType::Sequence),
        other => return Ok(other.clone()),
    };
    let Some(kept) = contents.fields else { return Ok(data_type.clone()) };
    let fields = kept
        .iter()
        .map(|(position, part)| {
            let field = member(record, *position)?;
            Ok(Variable {
                data_type: project_type(&field.data_type, &part.contents())?,
                dimensions: part.dimensions.clone(),
                ..field.clone()
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let whole = fields == record.fields;
    let name = if whole { record.name.clone() } else { None };
    Ok(wrap(RecordType { name, fields, is_vlen: record.is_vlen }.into()))
}

/// What `contents` keeps of each element of `block`, whose type is `data_type`.
///
/// # Errors
/// `Internal` when the block does not have the layout of its type; `BadRequest` when a row filter
/// compares what cannot be compared.
pub fn project_block(data_type: &DataType, contents: &Contents<'_>, block: Block) -> Result<Block> {
    if contents.is_everything() {
        return Ok(block);
    }
    let mut out = Vec::with_capacity(block.byte_len());
    let mut ends = Vec::new();
    let mut one = |element: &[u8]| {
        project_element(data_type, contents, &mut Cursor::new(element), &mut out)?;
        ends.push(out.len() as u64);
        Ok(())
    };
    match (&block, data_type.fixed_size().and_then(|n| usize::try_from(n).ok())) {
        (Block::Fixed(_), Some(0)) => return Ok(block),
        (Block::Fixed(bytes), Some(size)) => bytes.chunks_exact(size).try_for_each(&mut one)?,
        (Block::Varying { .. }, None) => block.elements().try_for_each(&mut one)?,
        _ => return Err(Error::internal("a block of the wrong kind for its type")),
    }
    let bytes = Bytes::from(out);
    Ok(match project_type(data_type, contents)?.fixed_size() {
        Some(_) => Block::Fixed(bytes),
        None => Block::Varying { ends, bytes },
    })
}

fn member(record: &RecordType, position: usize) -> Result<&Variable> {
    record
        .fields
        .get(position)
        .ok_or_else(|| Error::internal("a projection names a member that is not there"))
}

fn project_element(
    data_type: &DataType,
    contents: &Contents<'_>,
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    match data_type {
        DataType::Structure(record) => project_record(record, contents.fields, cursor, out),
        DataType::Sequence(record) => {
            let rows = cursor.count()?;
            let count_at = out.len();
            out.extend_from_slice(&0_u64.to_ne_bytes());
            let mut kept = 0_u64;
            for _ in 0..rows {
                let keep = contents.rows.map_or(Ok(true), |filter| filter.accepts(record, cursor.rest()))?;
                if keep {
                    kept += 1;
                    project_record(record, contents.fields, cursor, out)?;
                } else {
                    record.fields.iter().try_for_each(|f| cursor.skip_member(f))?;
                }
            }
            if let Some(count) = out.get_mut(count_at..count_at + 8) {
                count.copy_from_slice(&kept.to_ne_bytes());
            }
            Ok(())
        }
        _ => copy(cursor, out, |c| c.skip_element(data_type)),
    }
}

fn project_record(
    record: &RecordType,
    kept: Option<&[(usize, Part)]>,
    cursor: &mut Cursor<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Some(kept) = kept else {
        return copy(cursor, out, |c| record.fields.iter().try_for_each(|f| c.skip_member(f)));
    };
    let mut kept = kept.iter().peekable();
    for (position, field) in record.fields.iter().enumerate() {
        match kept.next_if(|(wanted, _)| *wanted == position) {
            Some((_, part)) => project_member(field, part, cursor, out)?,
            None => cursor.skip_member(field)?,
        }
    }
    Ok(())
}

fn project_member(field: &Variable, part: &Part, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    let contents = part.contents();
    if part.selection.is_all() && contents.is_everything() {
        return copy(cursor, out, |c| c.skip_member(field));
    }
    // Where each element begins: known from the size, or found by stepping over them.
    let begin = cursor.clone();
    let size = field.data_type.fixed_size();
    let mut starts = Vec::new();
    if size.is_none() {
        for _ in 0..field.element_count() {
            starts.push(begin.rest().len() - cursor.rest().len());
            cursor.skip_element(&field.data_type)?;
        }
    } else {
        cursor.skip_member(field)?;
    }
    for_each_index(&part.selection, |index| {
        let start = match size {
            Some(size) => Some(index * size),
            None => usize::try_from(index).ok().and_then(|i| starts.get(i)).map(|&s| s as u64),
        };
        let start = start.ok_or_else(|| Error::internal("an index outside a member"))?;
        let mut at = begin.clone();
        at.take(start)?;
        project_element(&field.data_type, &contents, &mut at, out)
    })
}

/// Appends what `skip` steps over.
fn copy<'a>(
    cursor: &mut Cursor<'a>,
    out: &mut Vec<u8>,
    skip: impl FnOnce(&mut Cursor<'a>) -> Result<()>,
) -> Result<()> {
    let before = cursor.rest();
    skip(cursor)?;
    let used = before.len() - cursor.rest().len();
    out.extend_from_slice(before.get(..used).unwrap_or_default());
    Ok(())
}

/// Calls `each` with the row-major flat index, in the shape `selection` was made for, of every selected
/// element in order.
///
/// # Errors
/// The first of `each`.
pub fn for_each_index(selection: &Selection, mut each: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let axes: Vec<Vec<u64>> = (0..selection.axes().len()).map(|a| selection.indices(a).collect()).collect();
    if axes.iter().any(Vec::is_empty) {
        return Ok(());
    }
    let shape = selection.of_shape();
    let mut at = vec![0_usize; axes.len()];
    loop {
        let flat = at.iter().zip(&axes).zip(shape).fold(0, |n, ((&i, indices), &size)| n * size + indices[i]);
        each(flat)?;
        // The next position: the innermost axis that is not at its end steps, those inside it restart.
        let Some(step) = (0..axes.len()).rev().find(|&a| at[a] + 1 < axes[a].len()) else {
            return Ok(());
        };
        at[step] += 1;
        at[step + 1..].fill(0);
    }
}
