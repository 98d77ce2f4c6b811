//! An object that is opened when it is first read, in the request that reads it.

#![warn(clippy::indexing_slicing)]

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Result, Version};

use super::{Object, Part, ReadRanges, Store};

/// Bytes before a range that are read along with it rather than in another request.
const NEAR: u64 = 64 << 10;

/// What is known of an object before it is opened.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// It has that many bytes at least.
    AtLeast(u64),
    /// It is this version, of that many bytes; another one is `Changed`.
    Version(u64, Arc<str>),
}

impl Known {
    fn size(&self) -> u64 {
        match self {
            Self::AtLeast(size) | Self::Version(size, _) => *size,
        }
    }
}

/// An object that is taken to be there.
#[derive(Debug)]
pub(crate) struct LazyObject {
    store: Arc<dyn Store>,
    path: Arc<str>,
    known: Known,
    opened: OnceLock<Object>,
}

impl LazyObject {
    /// The object at `path`. Nothing is asked of the store. `identity` is its version's, as far as anybody
    /// asks before it is read.
    pub(crate) fn object(
        store: &Arc<dyn Store>,
        path: Arc<str>,
        name: Arc<str>,
        identity: Arc<str>,
        known: Known,
    ) -> Object {
        Object {
            name,
            size: known.size(),
            version: Version { identity, modified: None },
            url: store.url(&path).map(Into::into),
            reader: Arc::new(Self { store: Arc::clone(store), path, known, opened: OnceLock::new() }),
        }
    }

    async fn open(&self, part: Part) -> Result<Bytes> {
        let found = self.store.open(&self.path, part).await?;
        // Whoever asks has reason to believe that it was written.
        let (object, bytes) = found.ok_or_else(|| match &self.known {
            Known::Version(..) => self.changed(),
            Known::AtLeast(_) => Error::corrupt(format!("{}: the object of a chunk is not there", self.path)),
        })?;
        let due = match &self.known {
            Known::AtLeast(due) => *due <= object.size,
            Known::Version(_, identity) if object.version.identity != *identity => return Err(self.changed()),
            Known::Version(due, _) => *due == object.size,
        };
        if !due {
            return Err(Error::corrupt(format!(
                "{}: the object of a chunk holds {} bytes where {} are due",
                self.path,
                object.size,
                self.known.size()
            )));
        }
        // Whoever was first: it is the same object.
        let _ = self.opened.set(object);
        Ok(bytes)
    }

    fn changed(&self) -> Error {
        Error::new(ErrorKind::Changed, format!("{} has changed while it was read", self.path))
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
        if range.end == self.known.size() {
            let bytes = self.open(Part::Tail(range.end - range.start)).await?;
            let is_end = self.opened.get().is_some_and(|object| object.size == self.known.size());
            return Ok((is_end && bytes.len() == len).then_some(bytes));
        }
        Ok(None)
    }
}

#[async_trait]
impl ReadRanges for LazyObject {
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

    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|e| Error::internal("a blocking read without a runtime").with_source(e))?;
        runtime.block_on(self.read(ranges))
    }
}
