//! Objects whose bytes are in memory.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Result, Version};

use super::{Object, ReadRanges, beyond, byte_len};

/// Bytes in memory that are read as an object is.
#[derive(Debug, Clone)]
pub struct MemoryObject {
    bytes: Bytes,
}

impl MemoryObject {
    /// An object of `bytes`; its version is a digest of them.
    pub fn object(name: impl Into<Arc<str>>, bytes: impl Into<Bytes>) -> Object {
        let bytes = bytes.into();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Object {
            name: name.into(),
            size: bytes.len() as u64,
            version: Version {
                identity: format!("memory-{:x}-{:x}", bytes.len(), hasher.finish()).into(),
                modified: None,
            },
            reader: Arc::new(Self { bytes }),
            url: None,
        }
    }

    fn slice(&self, range: &Range<u64>) -> Result<Bytes> {
        let size = self.bytes.len() as u64;
        if range.start > range.end || range.end > size {
            return Err(beyond(range, size));
        }
        let start = byte_len(&(0..range.start))?;
        Ok(self.bytes.slice(start..start + byte_len(range)?))
    }
}

#[async_trait]
impl ReadRanges for MemoryObject {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|r| self.slice(r)).collect()
    }

    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|r| self.slice(r)).collect()
    }

    fn is_near(&self) -> bool {
        true
    }
}
