//! What the engine's arrays tell of their storage.

use std::{ops::Range, sync::Arc};

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

    fn read_part<'a>(&'a self, chunk: &'a [u64], part: Range<u64>) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let found = self.array.index.locate(&[chunk.to_vec()]).await?.pop().flatten();
            if let Some(ChunkLocation::Stored { object, offset, len, .. }) = found {
                let outside = || Error::corrupt("a chunk is shorter than it was");
                let end = Some(part.end).filter(|end| *end <= len).and_then(|end| offset.checked_add(end));
                let start = offset.checked_add(part.start).ok_or_else(outside)?;
                return object.read(start..end.ok_or_else(outside)?).await.map(Some);
            }
            let Some((bytes, _)) = self.read(chunk).await? else { return Ok(None) };
            cut(&bytes, &part).map(Some)
        })
    }
}

fn cut(bytes: &Bytes, part: &Range<u64>) -> Result<Bytes> {
    let range = usize::try_from(part.start).ok().zip(usize::try_from(part.end).ok());
    match range.filter(|(start, end)| start <= end && *end <= bytes.len()) {
        Some((start, end)) => Ok(bytes.slice(start..end)),
        None => Err(Error::corrupt("a chunk is shorter than it was")),
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
