//! Where chunks are: keys of the chunk grid, and chunks within shards.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use cdm::{Error, Result, ResultExt};
use futures::{StreamExt, TryStreamExt};

use super::{ChunkKeys, coding::ShardLevel, shard::Shards};
use crate::{
    chunked::{ChunkIndex, ChunkLocation},
    storage::{Part, join},
};

/// Unencoded chunks larger than this are not fetched whole for a part of them.
const LARGE: u64 = 4 << 20;

/// Objects opened at once.
const IN_FLIGHT: usize = 8;

/// How positions in the chunk grid are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyStyle {
    /// `c` comes first.
    pub(super) prefixed: bool,
    /// Between numbers.
    pub(super) separator: char,
}

impl KeyStyle {
    /// The key of a chunk, relative to the array.
    pub(super) fn key(&self, chunk: &[u64]) -> String {
        let mut key = String::with_capacity(2 + chunk.len() * 4);
        if self.prefixed {
            key.push('c');
        } else if chunk.is_empty() {
            key.push('0');
        }
        for (i, n) in chunk.iter().enumerate() {
            if i > 0 || self.prefixed {
                key.push(self.separator);
            }
            // Writing to a String cannot fail.
            let _ = write!(key, "{n}");
        }
        key
    }
}

/// The chunks of one array.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) keys: Arc<dyn ChunkKeys>,
    /// The array's path in the store.
    pub(super) path: String,
    pub(super) style: KeyStyle,
    /// Bytes of a chunk when chunks are not encoded.
    pub(super) plain_len: Option<u64>,
    pub(super) shards: Option<Shards>,
}

#[async_trait]
impl ChunkIndex for Chunks {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let Some(shards) = &self.shards else { return self.objects(chunks).await };
        // Which shards the chunks are in, each once.
        let mut wanted: Vec<Vec<u64>> = Vec::new();
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut places = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let shard = shards.shard_of(chunk);
            let i = *seen.entry(shard).or_insert_with_key(|shard| {
                wanted.push(shard.clone());
                wanted.len() - 1
            });
            places.push((i, chunk.clone()));
        }
        let objects = self.located(&wanted).await?;
        shards.locate(&wanted, objects, &places, self.keys.recheck()).await
    }

    fn is_ready(&self) -> bool {
        self.shards.is_none() && self.plain_len.is_none_or(|len| len <= LARGE) && self.keys.is_ready()
    }
}

impl Chunks {
    async fn located(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let keys: Vec<String> = chunks.iter().map(|c| join(&self.path, &self.style.key(c))).collect();
        let found = self.keys.locate(&keys).await?;
        if found.len() != chunks.len() {
            return Err(Error::internal("another number of keys was located than asked"));
        }
        Ok(found)
    }

    /// As [`Chunks::located`]; large unencoded chunks as parts of their objects, so that no more of them is
    /// read than is wanted.
    async fn objects(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let mut found = self.located(chunks).await?;
        let Some(len) = self.plain_len.filter(|len| *len > LARGE) else { return Ok(found) };
        // Only opening tells whether it was ever written.
        let opened: Vec<_> = found.drain(..).map(|location| part_of(location, len)).collect();
        futures::stream::iter(opened).buffered(IN_FLIGHT).try_collect().await
    }
}

/// The chunk at `location` as a part of its object.
async fn part_of(location: Option<ChunkLocation>, len: u64) -> Result<Option<ChunkLocation>> {
    let Some(ChunkLocation::Keyed { store, path }) = &location else { return Ok(location) };
    let opened = store.open(path, Part::Head(1)).await.within(|| path.to_string())?;
    let Some((object, _)) = opened else { return Ok(None) };
    if object.size != len {
        let message = format!("{path} holds {} bytes where {len} are due", object.size);
        return Err(Error::corrupt(message));
    }
    Ok(Some(ChunkLocation::Stored { object: Arc::new(object), offset: 0, len, filter_mask: 0 }))
}

/// The levels of shards of an array; `None` when it has none.
pub(super) fn shards(levels: Vec<ShardLevel>, chunk_shape: &[u64]) -> Option<Shards> {
    (!levels.is_empty()).then(|| Shards::new(levels, chunk_shape.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_style() {
        let style = |prefixed, separator| KeyStyle { prefixed, separator };
        assert_eq!(style(true, '/').key(&[1, 20]), "c/1/20");
        assert_eq!(style(true, '.').key(&[1, 20]), "c.1.20");
        assert_eq!(style(false, '.').key(&[1, 20]), "1.20");
        assert_eq!(style(false, '/').key(&[1]), "1");
        assert_eq!(style(true, '/').key(&[]), "c");
        assert_eq!(style(false, '.').key(&[]), "0");
    }
}
