//! Reading metadata in few requests: what was fetched is kept, and each fetch takes more than was asked.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Error, Result};

use crate::storage::Object;

/// What is fetched at least: all metadata of most files that have it in front.
const WINDOW: u64 = 64 << 10;

/// Metadata larger than this altogether are not read.
const BUDGET: u64 = 96 << 20;

/// The metadata's bytes of one file.
#[derive(Debug)]
pub(crate) struct Input {
    object: Arc<Object>,
    /// Where fetched bytes begin, and the bytes.
    fetched: Vec<(u64, Bytes)>,
    spent: u64,
}

impl Input {
    pub(crate) fn new(object: Arc<Object>) -> Self {
        Self { object, fetched: Vec::new(), spent: 0 }
    }

    pub(crate) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// `len` bytes at `at`.
    ///
    /// # Errors
    /// `Corrupt` when the file does not hold them; `Unsupported` when too much was read already.
    pub(crate) async fn bytes(&mut self, at: u64, len: u64) -> Result<Bytes> {
        if let Some(found) = self.at_hand(at, len) {
            return Ok(found);
        }
        let end = at.checked_add(len).filter(|end| *end <= self.object.size).ok_or_else(|| {
            let size = self.object.size;
            Error::corrupt(format!(
                "the file names {len} bytes at {at} but holds {size}: it is truncated or damaged"
            ))
        })?;
        let end = end.max(at.saturating_add(WINDOW)).min(self.object.size);
        self.spent = self.spent.saturating_add(end - at);
        if self.spent > BUDGET {
            return Err(Error::unsupported(format!("more than {} MiB of metadata", BUDGET >> 20)));
        }
        let bytes = self.object.read(at..end).await?;
        self.fetched.push((at, bytes));
        self.at_hand(at, len).ok_or_else(|| Error::internal("a read gave less than asked"))
    }

    /// The bytes, if they were fetched already.
    pub(crate) fn at_hand(&self, at: u64, len: u64) -> Option<Bytes> {
        self.fetched.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            let to = from.checked_add(usize::try_from(len).ok()?)?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }
}
