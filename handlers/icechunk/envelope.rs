//! The envelope of every metadata file: magic, writer, version of the specification, kind, compression.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use crate::chunked::codecs::{Codec, Zstd};

/// Every metadata file begins with it.
const MAGIC: &[u8] = "ICE🧊CHUNK".as_bytes();

/// Magic, 24 bytes of the writer's name, and one byte each of version, kind and compression.
const HEADER_LEN: usize = 12 + 24 + 3;

/// What the file is said to be; the number is the one in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `snapshots/ID`
    Snapshot = 1,
    /// `manifests/ID`
    Manifest = 2,
    /// `repo`
    Repository = 6,
}

/// The `FlatBuffers` bytes of a file, decompressed.
///
/// # Errors
/// `Corrupt` when it is no such file; `Unsupported` for a version or compression of later days.
pub(super) fn open(file: &Bytes, kind: Kind) -> Result<Bytes> {
    let (header, _) =
        file.split_at_checked(HEADER_LEN).ok_or_else(|| Error::corrupt("ends in its header"))?;
    let [version, found, compression] = match header.strip_prefix(MAGIC).and_then(<[u8]>::last_chunk) {
        Some(last) => *last,
        None => return Err(Error::corrupt("not a file of an Icechunk repository")),
    };
    if !matches!(version, 1 | 2) {
        return Err(Error::unsupported(format!("Icechunk specification version {version}")));
    }
    if found != kind as u8 {
        return Err(Error::corrupt(format!("a file of kind {found} where {} is due", kind as u8)));
    }
    let body = file.slice(HEADER_LEN..);
    match compression {
        0 => Ok(body),
        1 => Zstd.decode(body, None),
        other => Err(Error::unsupported(format!("Icechunk metadata compression {other}"))),
    }
}
