//! Stored objects and ranged reads of them.
//!
//! An [`Object`] is one version of one stored thing. Reads never mix versions: when the thing changes
//! underneath, they fail with [`cdm::ErrorKind::Changed`].

mod blocking;
mod bulk;
mod coalesce;
#[cfg(feature = "testing")]
pub mod faults;
mod kept;
pub(crate) mod lazy;
pub mod local;
mod memory;
mod meter;
mod near;
mod process;
mod remote;
mod store;
mod symlinks;
mod watch;
mod zip;

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result, Version};

pub(crate) use blocking::{Going, at_once, blocking, may_block_here};
pub use bulk::Party;
pub(crate) use bulk::{Turn, decoding, in_bulk, is_bulk};
pub use kept::KeptFiles;
pub(crate) use local::is_same_file;
pub use local::{Entry, EntryKind, LocalRoot};
pub use memory::MemoryObject;
pub use meter::Meter;
pub(crate) use meter::{carried, count};
pub use process::{open_files, resident_bytes};
pub(crate) use remote::percent_decoded;
pub use remote::{RemoteOptions, RemoteStore, Secret, StoreOptions, is_store_url, remote_root, shown_url};
pub(crate) use store::larger;
pub use store::{FileStatus, Part, Place, Store, StoreCalls, join};
pub use symlinks::Symlinks;
pub use zip::ZipStore;

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

    /// As [`ReadRanges::read`], from a thread that may block.
    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>>;

    /// Whether reading is a copy from memory, or from a file that usually is in memory: it is done where the
    /// bytes are used, on a thread that may block.
    fn is_near(&self) -> bool {
        false
    }

    /// The bytes from `start` on, as many as `out` has; from a thread that may block.
    fn read_into(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let end =
            start.checked_add(out.len() as u64).ok_or_else(|| Error::corrupt("lies beyond any file"))?;
        match self.read_blocking(std::slice::from_ref(&(start..end)))?.as_slice() {
            [bytes] if bytes.len() == out.len() => out.copy_from_slice(bytes),
            _ => return Err(Error::internal("a read gave another number of bytes than asked")),
        }
        Ok(())
    }
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
    /// Where others reach it without us, if they can: `s3://bucket/key`.
    pub url: Option<Arc<str>>,
}

impl Object {
    /// One range; a range outside the object is `Corrupt` (a file that names more than it holds).
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.check(&range)?;
        let mut all = counted(self.reader.read(&[range]).await?);
        all.pop().ok_or_else(|| Error::internal("a read gave nothing"))
    }

    /// Several ranges, as [`ReadRanges::read`]; empty ones are allowed.
    pub async fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().try_for_each(|r| self.check(r))?;
        self.reader.read(ranges).await.map(counted)
    }

    /// One range, from a thread that may block.
    pub fn read_blocking(&self, range: Range<u64>) -> Result<Bytes> {
        let mut all = self.read_ranges_blocking(&[range])?;
        all.pop().ok_or_else(|| Error::internal("a read gave nothing"))
    }

    /// Several ranges, from a thread that may block.
    pub fn read_ranges_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().try_for_each(|r| self.check(r))?;
        self.reader.read_blocking(ranges).map(counted)
    }

    /// As many bytes from `start` on as `out` has, from a thread that may block.
    pub fn read_into(&self, start: u64, out: &mut [u8]) -> Result<()> {
        self.check(&(start..start.saturating_add(out.len() as u64)))?;
        self.reader.read_into(start, out)?;
        count(out.len());
        Ok(())
    }

    /// See [`ReadRanges::is_near`].
    pub fn is_near(&self) -> bool {
        self.reader.is_near()
    }

    fn check(&self, range: &Range<u64>) -> Result<()> {
        if range.start > range.end || range.end > self.size {
            return Err(beyond(range, self.size));
        }
        Ok(())
    }
}

/// What was read, which is counted.
fn counted(all: Vec<Bytes>) -> Vec<Bytes> {
    count(all.iter().map(Bytes::len).sum());
    all
}

/// The file names bytes that it does not hold.
fn beyond(range: &Range<u64>, size: u64) -> Error {
    Error::corrupt(format!(
        "the file names bytes {} to {} but holds {size}: it is truncated or damaged",
        range.start, range.end
    ))
}

/// The length of a range that is about to be in memory.
fn byte_len(range: &Range<u64>) -> Result<usize> {
    usize::try_from(range.end - range.start)
        .map_err(|e| Error::too_large("a read is too large").with_source(e))
}
