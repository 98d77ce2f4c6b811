//! An object that misbehaves on purpose, for tests: fails, delays, ends early, changes; and counts.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Result};

use super::{Object, ReadRanges};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: reads are only counted.
    None,
    /// Every read after so many fails with `Storage`.
    FailAfter(u64),
    /// Every read waits first.
    Delay(Duration),
    /// Bytes from here on are not there, though the object's size says so: `Corrupt`.
    TruncateAt(u64),
    /// Every read after so many finds another version: `Changed`.
    ChangeAfter(u64),
}

/// Wraps an object's reader.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn ReadRanges>,
    fault: Fault,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Faulty {
    /// `object` with `fault`, and the wrapper, to ask what was read.
    pub fn wrap(object: Object, fault: Fault) -> (Object, Arc<Self>) {
        let faulty = Arc::new(Self {
            inner: Arc::clone(&object.reader),
            fault,
            reads: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        (Object { reader: Arc::clone(&faulty) as Arc<dyn ReadRanges>, ..object }, faulty)
    }

    /// Ranges asked for so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Bytes asked for so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    fn admit(&self, range: &Range<u64>) -> Result<()> {
        let before = self.reads.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(range.end - range.start, Ordering::SeqCst);
        match self.fault {
            Fault::FailAfter(n) if before >= n => {
                Err(Error::storage("the storage failed", "a fault made for a test"))
            }
            Fault::ChangeAfter(n) if before >= n => {
                Err(Error::new(ErrorKind::Changed, "the object changed while it was being read"))
            }
            Fault::TruncateAt(end) if range.end > end => Err(Error::corrupt("the file is truncated")),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ReadRanges for Faulty {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Fault::Delay(time) = self.fault {
            tokio::time::sleep(time).await;
        }
        ranges.iter().try_for_each(|r| self.admit(r))?;
        self.inner.read(ranges).await
    }

    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Fault::Delay(time) = self.fault {
            std::thread::sleep(time);
        }
        ranges.iter().try_for_each(|r| self.admit(r))?;
        self.inner.read_blocking(ranges)
    }

    /// What takes time is far away.
    fn is_near(&self) -> bool {
        self.inner.is_near() && !matches!(self.fault, Fault::Delay(_))
    }
}
