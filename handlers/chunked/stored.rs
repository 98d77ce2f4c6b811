//! What the engine's arrays tell of their storage.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Error, Result, StoredChunk, StoredChunks, StoredElement, StoredLayout};
use futures::future::BoxFuture;

use super::{ChunkLocation, ChunkedArray};
use crate::storage::Part;

/// A stored chunk passed on as it is may be this large.
const LARGEST: u64 = 256 << 20;

/// An array whose chunks can be passed on.
#[derive(Debug)]
struct Passed {
    array: Arc<ChunkedArray>,
    layout: StoredLayout,
}

impl ChunkedArray {
    /// How the array lies in storage; `None` when its elements are not stored as numbers of their type.
    pub fn stored(self: &Arc<Self>) -> Option<Arc<dyn StoredChunks>> {
        let layout = StoredLayout {
            shape: self.shape.clone(),
            chunk_shape: self.chunk_shape.clone(),
            element: StoredElement { size: self.stored_size, big_endian: self.elements.stored_big_endian()? },
            fill: self.fill.clone(),
            encodings: self.pipeline.encodings(),
        };
        Some(Arc::new(Passed { array: Arc::clone(self), layout }))
    }
}

impl StoredChunks for Passed {
    fn layout(&self) -> &StoredLayout {
        &self.layout
    }

    fn locate<'a>(&'a self, chunks: &'a [Vec<u64>]) -> BoxFuture<'a, Result<Vec<Option<StoredChunk>>>> {
        Box::pin(async {
            let found = self.array.index.locate(chunks).await?;
            Ok(found.into_iter().map(|location| location.map(described)).collect())
        })
    }

    fn read<'a>(&'a self, chunk: &'a [u64]) -> BoxFuture<'a, Result<Option<(Bytes, u32)>>> {
        Box::pin(async {
            let found = self.array.index.locate(&[chunk.to_vec()]).await?.pop().flatten();
            Ok(match found {
                None => None,
                Some(ChunkLocation::Stored { object, offset, len, filter_mask }) => {
                    let end = offset.checked_add(len).filter(|_| len <= LARGEST);
                    let end = end.ok_or_else(|| Error::corrupt("a chunk of an impossible length"))?;
                    Some((object.read(offset..end).await?, filter_mask))
                }
                Some(ChunkLocation::Keyed { store, path }) => {
                    let found = store.open(&path, Part::Whole { at_most: LARGEST }).await?;
                    found.map(|(_, bytes)| (bytes, 0))
                }
                Some(ChunkLocation::Encoded(bytes)) => Some((bytes, 0)),
                Some(ChunkLocation::Inline(bytes)) => Some((bytes, u32::MAX)),
            })
        })
    }
}

fn described(location: ChunkLocation) -> StoredChunk {
    match location {
        ChunkLocation::Stored { object, offset, len, filter_mask } => StoredChunk::Range {
            name: Arc::clone(&object.name),
            url: object.url.clone(),
            offset,
            len,
            skipped: filter_mask,
        },
        ChunkLocation::Keyed { store, path } => {
            let url = store.url(&path).map(Into::into);
            StoredChunk::Object { path, url }
        }
        ChunkLocation::Encoded(bytes) => StoredChunk::Here { bytes, skipped: 0 },
        ChunkLocation::Inline(bytes) => StoredChunk::Here { bytes, skipped: u32::MAX },
    }
}
