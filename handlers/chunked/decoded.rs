//! A decoded chunk, or a run of its bytes, as it is kept and copied from.
//!
//! Where a chunk's outermost encoding is the shuffle of its elements, that is not undone for the chunk as a
//! whole: only the elements that are wanted of it are put together.

use std::ops::Range;

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    codecs::unshuffle_run,
    plan::Run,
    strided::{scatter, scatter_shuffled},
};

/// What is known of a decoded chunk.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    bytes: Bytes,
    /// Which byte of the chunk the first of `bytes` is.
    first: u64,
    order: Order,
}

/// How a decoded chunk's elements lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other.
    Elements,
    /// The first bytes of all, then all second bytes... A run of bytes is then nothing, only a whole chunk is.
    Shuffled,
}

impl Decoded {
    /// A whole chunk.
    pub(super) fn whole(bytes: Bytes, order: Order) -> Self {
        Self { bytes, first: 0, order }
    }

    /// What begins with byte `first` of a chunk.
    pub(super) fn run(bytes: Bytes, first: u64) -> Self {
        Self { bytes, first, order: Order::Elements }
    }

    /// Bytes in memory.
    pub(super) fn byte_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether everything in these bytes of the chunk is here.
    pub(super) fn covers(&self, range: &Range<u64>) -> bool {
        self.first <= range.start && range.end <= self.first.saturating_add(self.byte_len())
    }

    /// A copy of these bytes of the chunk, element after element, so that the rest can be let go; `element` is
    /// the byte size of one, and the range is of whole ones.
    ///
    /// # Errors
    /// `Corrupt` when they are not here.
    pub(super) fn section(&self, range: &Range<u64>, element: usize) -> Result<Self> {
        let at = |n: u64| n.checked_sub(self.first).and_then(|n| usize::try_from(n).ok());
        let (Some(start), Some(end)) = (at(range.start), at(range.end)) else { return Err(short()) };
        let bytes = match self.order {
            Order::Elements => Bytes::copy_from_slice(self.bytes.get(start..end).ok_or_else(short)?),
            Order::Shuffled => {
                let len = end.checked_sub(start).filter(|_| end <= self.bytes.len()).ok_or_else(short)?;
                let mut out = vec![0; len];
                unshuffle_run(element, &self.bytes, start / element, &mut out).ok_or_else(short)?;
                out.into()
            }
        };
        Ok(Self { bytes, first: range.start, order: Order::Elements })
    }

    /// Copies the elements that `part` names into a band, as [`scatter`] does.
    pub(super) fn scatter(
        &self,
        part: &[Run],
        chunk_shape: &[u64],
        band_shape: &[u64],
        target: &mut [u8],
        element: usize,
    ) -> Result<()> {
        match self.order {
            Order::Elements => {
                scatter(part, chunk_shape, (&self.bytes, self.first), band_shape, target, element)
            }
            Order::Shuffled => scatter_shuffled(part, chunk_shape, &self.bytes, band_shape, target, element),
        }
    }

    /// These bytes of the chunk, element after element: shared where they are most of what is here, lest a
    /// small piece keeps a large chunk in memory.
    ///
    /// # Errors
    /// `Corrupt` when they are not here.
    pub(super) fn cut(&self, range: &Range<u64>, element: usize) -> Result<Bytes> {
        let most = range.end.saturating_sub(range.start) >= self.byte_len() / 4;
        if self.order == Order::Elements && most && self.covers(range) && range.start <= range.end {
            let at = |n: u64| usize::try_from(n - self.first).map_err(|e| short().with_source(e));
            return Ok(self.bytes.slice(at(range.start)?..at(range.end)?));
        }
        self.section(range, element).map(|run| run.bytes)
    }

    /// The bytes that are here.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

fn short() -> Error {
    Error::corrupt("a chunk is shorter than its shape demands")
}
