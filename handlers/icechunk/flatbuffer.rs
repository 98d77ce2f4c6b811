//! `FlatBuffers`, read field by field: tables, vectors, strings, inline structs.
//!
//! Owns the encoding alone: every offset and count is checked against the bytes there are, nothing is
//! copied, nothing recurses. Offsets may point at the same bytes many times over: who walks vectors of
//! vectors bounds the walk. What the fields mean is the business of those who name them by their position
//! in the schema.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};

/// A table: its fields by position in the schema (a union takes two).
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    /// Where the table begins.
    at: usize,
    /// Bytes of its inline part.
    size: usize,
    /// Offsets of the fields within it, two bytes each; 0 or missing: the default.
    slots: &'a [u8],
}

/// A vector of elements of one size, all of which are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<'a> {
    bytes: &'a [u8],
    /// Where the first element is.
    at: usize,
    len: usize,
    element: usize,
}

impl<'a> Table<'a> {
    /// The root table of a whole buffer.
    ///
    /// # Errors
    /// `Corrupt`, as everything here, for what leads out of the bytes.
    pub(super) fn root(bytes: &'a [u8]) -> Result<Self> {
        Self::new(bytes, follow(bytes, 0)?)
    }

    fn new(bytes: &'a [u8], at: usize) -> Result<Self> {
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let vtable = i64::try_from(at).ok().and_then(|at| at.checked_sub(back));
        let vtable = vtable.and_then(|v| usize::try_from(v).ok()).ok_or_else(outside)?;
        let len = usize::from(u16::from_le_bytes(array(bytes, vtable)?));
        let size = usize::from(u16::from_le_bytes(array(bytes, vtable.saturating_add(2))?));
        let slots = bytes.get(vtable.saturating_add(4)..vtable.saturating_add(len));
        let slots = slots.ok_or_else(outside)?;
        if size < 4 || at.checked_add(size).is_none_or(|end| end > bytes.len()) {
            return Err(outside());
        }
        Ok(Self { bytes, at, size, slots })
    }

    /// Bytes of its inline part.
    pub(super) fn inline_len(&self) -> usize {
        self.size
    }

    /// Where a field of `width` bytes is; `None` when it has its default.
    fn field(&self, slot: usize, width: usize) -> Result<Option<usize>> {
        let offset = slot.checked_mul(2).and_then(|i| self.slots.get(i..)?.first_chunk());
        let offset = offset.map_or(0, |raw| usize::from(u16::from_le_bytes(*raw)));
        if offset == 0 {
            return Ok(None);
        }
        if offset < 4 || offset + width > self.size {
            return Err(outside());
        }
        Ok(Some(self.at + offset))
    }

    fn scalar<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>> {
        self.field(slot, N)?.map(|at| array(self.bytes, at)).transpose()
    }

    /// An inline struct of `N` bytes; `None` when it is not there.
    pub(super) fn bytes_of<const N: usize>(&self, slot: usize) -> Result<Option<[u8; N]>> {
        self.scalar(slot)
    }

    /// An inline struct that must be there.
    pub(super) fn require_bytes_of<const N: usize>(&self, slot: usize) -> Result<[u8; N]> {
        self.scalar(slot)?.ok_or_else(missing)
    }

    pub(super) fn u8(&self, slot: usize, default: u8) -> Result<u8> {
        Ok(self.scalar(slot)?.map_or(default, u8::from_le_bytes))
    }

    pub(super) fn u32(&self, slot: usize) -> Result<u32> {
        Ok(self.scalar(slot)?.map_or(0, u32::from_le_bytes))
    }

    pub(super) fn u64(&self, slot: usize) -> Result<u64> {
        Ok(self.scalar(slot)?.map_or(0, u64::from_le_bytes))
    }

    /// What an offset field leads to.
    fn target(&self, slot: usize) -> Result<Option<usize>> {
        self.field(slot, 4)?.map(|at| follow(self.bytes, at)).transpose()
    }

    pub(super) fn table(&self, slot: usize) -> Result<Option<Self>> {
        self.target(slot)?.map(|at| Self::new(self.bytes, at)).transpose()
    }

    /// A vector of structs or scalars of `element` bytes.
    pub(super) fn vector(&self, slot: usize, element: usize) -> Result<Option<Vector<'a>>> {
        self.target(slot)?.map(|at| Vector::new(self.bytes, at, element)).transpose()
    }

    /// A vector of offsets to tables or strings; a missing one is empty.
    pub(super) fn offsets(&self, slot: usize) -> Result<Vector<'a>> {
        let empty = Vector { bytes: self.bytes, at: 0, len: 0, element: 4 };
        Ok(self.vector(slot, 4)?.unwrap_or(empty))
    }

    /// A vector of bytes.
    pub(super) fn blob(&self, slot: usize) -> Result<Option<&'a [u8]>> {
        Ok(self.vector(slot, 1)?.map(|v| v.whole()))
    }

    pub(super) fn text(&self, slot: usize) -> Result<Option<&'a str>> {
        let text = self.blob(slot)?.map(std::str::from_utf8).transpose();
        text.map_err(|e| Error::corrupt("a name is not UTF-8").with_source(e))
    }

    pub(super) fn require_text(&self, slot: usize) -> Result<&'a str> {
        self.text(slot)?.ok_or_else(missing)
    }
}

impl<'a> Vector<'a> {
    fn new(bytes: &'a [u8], at: usize, element: usize) -> Result<Self> {
        let len =
            usize::try_from(u32::from_le_bytes(array(bytes, at)?)).map_err(|e| outside().with_source(e))?;
        let at = at.saturating_add(4);
        let end = len.checked_mul(element).and_then(|size| at.checked_add(size));
        if end.is_none_or(|end| end > bytes.len()) {
            return Err(Error::corrupt(format!("a list of {len} items in a file of {} bytes", bytes.len())));
        }
        Ok(Self { bytes, at, len, element })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn whole(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.at + self.len * self.element).unwrap_or_default()
    }

    /// Where element `i` begins.
    fn place(&self, i: usize) -> Result<usize> {
        if i < self.len { Ok(self.at + i * self.element) } else { Err(outside()) }
    }

    /// The table that element `i` leads to.
    pub(super) fn table(&self, i: usize) -> Result<Table<'a>> {
        Table::new(self.bytes, follow(self.bytes, self.place(i)?)?)
    }

    /// The elements as they are: structs and scalars.
    pub(super) fn elements(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.whole().chunks_exact(self.element.max(1))
    }
}

/// Where the offset at `at` leads: forwards, always.
fn follow(bytes: &[u8], at: usize) -> Result<usize> {
    let offset = u32::from_le_bytes(array(bytes, at)?);
    let target = usize::try_from(offset).ok().and_then(|offset| at.checked_add(offset));
    target.filter(|target| *target < bytes.len() && offset != 0).ok_or_else(outside)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(outside)
}

fn outside() -> Error {
    Error::corrupt("an offset leads out of the file")
}

fn missing() -> Error {
    Error::corrupt("a field is missing that must be there")
}

/// What must be there.
pub(super) fn require<T>(found: Option<T>) -> Result<T> {
    found.ok_or_else(missing)
}
