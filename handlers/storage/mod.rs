//! Stored objects and ranged reads of them.
//!
//! An [`Object`] is one version of one stored thing. Reads never mix versions: when the thing changes
//! underneath, they fail with [`cdm::ErrorKind::Changed`].

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};

/// Byte ranges of one version of one object.
#[async_trait]
pub trait ReadRanges: fmt::Debug + Send + Sync + 'static {
    /// Reads non-empty ranges inside the object; one result per range, in order, each of exactly the
    /// range's length. Near ranges may be fetched together.
    ///
    /// # Errors
    /// `Changed` when the object is no longer the version it was; `Storage` when reading fails;
    /// `Corrupt` when a range is outside the object.
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// As [`ReadRanges::read`] for one range, from a thread that may block.
    fn read_blocking(&self, range: Range<u64>) -> Result<Bytes>;
}

/// One version of one stored object.
#[derive(Debug, Clone)]
pub struct Object {
    /// The dataset name the catalog gives it: a relative path with `/`.
    pub name: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Identity of this version.
    pub version: Version,
    /// Its bytes.
    pub reader: Arc<dyn ReadRanges>,
}

impl Object {
    /// One range; a range outside the object is `Corrupt` (a file that names more than it holds).
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.check(&range)?;
        let mut all = self.reader.read(&[range]).await?;
        all.pop().ok_or_else(|| Error::internal("a read gave nothing"))
    }

    /// One range, from a thread that may block.
    pub fn read_blocking(&self, range: Range<u64>) -> Result<Bytes> {
        self.check(&range)?;
        self.reader.read_blocking(range)
    }

    fn check(&self, range: &Range<u64>) -> Result<()> {
        if range.start > range.end || range.end > self.size {
            return Err(Error::corrupt(format!(
                "the file names bytes {} to {} but holds {}: it is truncated or damaged",
                range.start, range.end, self.size
            )));
        }
        Ok(())
    }
}
