//! The object of a native chunk, opened when it is first read, in the request that reads it.

#![warn(clippy::indexing_slicing)]

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};

use super::object_id::ObjectId;
use crate::storage::{Object, Part, Place, ReadRanges, Store};

/// Bytes before a range that are read along with it rather than in another request.
const NEAR: u64 = 64 << 10;

/// `chunks/ID`, which is taken to be there.
#[derive(Debug)]
pub(super) struct ChunkObject {
    store: Arc<dyn Store>,
    path: String,
    /// Bytes that it should have.
    size: u64,
    opened: OnceLock<Object>,
}

impl ChunkObject {
    /// The object of the chunk `id` in the repository at `place`, which should have `size` bytes. Nothing
    /// is asked of the store.
    pub(super) fn object(place: &Place, id: ObjectId, size: u64) -> Object {
        let relative = format!("chunks/{id}");
        let path = place.inside(&relative);
        Object {
            name: crate::storage::join(&place.name, &relative).into(),
            size,
            // Chunks are never written twice.
            version: Version { identity: id.to_string().into(), modified: None },
            url: place.store.url(&path).map(Into::into),
            reader: Arc::new(Self { store: Arc::clone(&place.store), path, size, opened: OnceLock::new() }),
        }
    }

    async fn open(&self, part: Part) -> Result<Bytes> {
        let found = self.store.open(&self.path, part).await?;
        // Never written is not the same: then no manifest would name it.
        let (object, bytes) = found.ok_or_else(|| Error::corrupt("the object of a chunk is not there"))?;
        if object.size < self.size {
            return Err(Error::corrupt(format!(
                "the object of a chunk holds {} bytes where {} are due",
                object.size, self.size
            )));
        }
        // Whoever was first: it is the same object.
        let _ = self.opened.set(object);
        Ok(bytes)
    }

    /// One range of an object that is not open yet.
    async fn first(&self, range: &Range<u64>) -> Result<Option<Bytes>> {
        let len = usize::try_from(range.end - range.start)
            .map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
        if range.start <= NEAR {
            let bytes = self.open(Part::Head(range.end)).await?;
            let start = usize::try_from(range.start).unwrap_or(usize::MAX);
            return Ok(start
                .checked_add(len)
                .and_then(|end| bytes.get(start..end))
                .map(|part| bytes.slice_ref(part)));
        }
        if range.end == self.size {
            let bytes = self.open(Part::Tail(range.end - range.start)).await?;
            let is_end = self.opened.get().is_some_and(|object| object.size == self.size);
            return Ok((is_end && bytes.len() == len).then_some(bytes));
        }
        Ok(None)
    }
}

#[async_trait]
impl ReadRanges for ChunkObject {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.opened.get().is_none()
            && let [range] = ranges
            && let Some(bytes) = self.first(range).await?
        {
            return Ok(vec![bytes]);
        }
        if self.opened.get().is_none() {
            self.open(Part::Head(0)).await?;
        }
        let object = self.opened.get().ok_or_else(|| Error::internal("an open object is not open"))?;
        object.read_ranges(ranges).await
    }

    fn read_blocking(&self, range: Range<u64>) -> Result<Bytes> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| Error::internal("a blocking read without a runtime").with_source(e))?;
        let found = runtime.block_on(self.read(&[range]))?.pop();
        found.ok_or_else(|| Error::internal("a read gave nothing"))
    }
}
