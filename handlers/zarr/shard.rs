//! Chunks within shards: a shard's index says where in it each chunk is.
//!
//! An index is one ranged read (with the opening of the object where the store can), kept within bounds of
//! memory and for as long as the storage may be trusted; the chunks become ranges that the engine reads
//! together.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cdm::{Error, Result, ResultExt, Version};
use futures::{StreamExt, TryStreamExt};

use super::coding::ShardLevel;
use crate::{
    chunked::ChunkLocation,
    storage::{
        Object, Part, Store,
        lazy::{Known, LazyObject},
    },
};

/// Bytes of the indexes that are kept of one array.
const KEPT: usize = 8 << 20;

/// Indexes read at once.
const IN_FLIGHT: usize = 8;

/// The index of a chunk that is not there.
const ABSENT: u64 = u64::MAX;

/// Every shard of one array.
#[derive(Debug)]
pub(super) struct Shards {
    levels: Vec<ShardLevel>,
    /// Elements of an innermost chunk.
    chunk_shape: Vec<u64>,
    kept: Mutex<Kept>,
}

/// Indexes by shard, and the position within outer shards.
#[derive(Debug, Default)]
struct Kept {
    indexes: HashMap<Vec<u64>, (KeptBody, Bytes, Option<Instant>)>,
    bytes: usize,
}

/// A shard whose index is known.
#[derive(Debug)]
enum KeptBody {
    Open(Body),
    /// An object of local storage, which is opened again when it is read: each open one is a file.
    Closed(Source, Version, u64),
}

impl KeptBody {
    fn body(&self) -> Body {
        match self {
            Self::Open(body) => body.clone(),
            Self::Closed(source, version, size) => {
                let Source { store, path } = source;
                let known = Known::Version(*size, Arc::clone(&version.identity));
                let (path, name, identity) =
                    (Arc::clone(path), Arc::clone(path), Arc::clone(&version.identity));
                let object = LazyObject::object(store, path, name, identity, known);
                Body::Range(Arc::new(object), 0, *size)
            }
        }
    }
}

/// Where an object is.
#[derive(Debug, Clone)]
struct Source {
    store: Arc<dyn Store>,
    path: Arc<str>,
}

/// The bytes that a shard is.
#[derive(Debug, Clone)]
enum Body {
    Range(Arc<Object>, u64, u64),
    Here(Bytes),
    /// The shard was never written.
    Absent,
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Range(_, _, len) => *len,
            Self::Here(bytes) => bytes.len() as u64,
            Self::Absent => 0,
        }
    }

    /// A part of it as a chunk's location.
    fn part(&self, offset: u64, len: u64) -> Result<Self> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len());
        let end = end.ok_or_else(|| {
            Error::corrupt(format!("bytes {offset} on of a shard that holds {}", self.len()))
        })?;
        Ok(match self {
            Self::Range(object, start, _) => {
                Self::Range(Arc::clone(object), start.saturating_add(offset), len)
            }
            Self::Here(bytes) => {
                let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
                Self::Here(bytes.slice(index(offset)..index(end)))
            }
            Self::Absent => Self::Absent,
        })
    }

    async fn read(&self, offset: u64, len: u64) -> Result<Bytes> {
        match self.part(offset, len)? {
            Self::Range(object, start, len) => object.read(start..start.saturating_add(len)).await,
            Self::Here(bytes) => Ok(bytes),
            Self::Absent => Ok(Bytes::new()),
        }
    }

    fn location(self) -> Option<ChunkLocation> {
        match self {
            Self::Range(object, offset, len) => {
                Some(ChunkLocation::Stored { object, offset, len, filter_mask: 0 })
            }
            Self::Here(bytes) => Some(ChunkLocation::Encoded(bytes)),
            Self::Absent => None,
        }
    }
}

impl Shards {
    pub(super) fn new(levels: Vec<ShardLevel>, chunk_shape: Vec<u64>) -> Self {
        Self { levels, chunk_shape, kept: Mutex::default() }
    }

    /// The position of the outermost shard that holds a chunk.
    pub(super) fn shard_of(&self, chunk: &[u64]) -> Vec<u64> {
        let Some(level) = self.levels.first() else { return chunk.to_vec() };
        let axes = chunk.iter().zip(&self.chunk_shape).zip(&level.shape);
        axes.map(|((&at, &size), &shard)| at.saturating_mul(size).checked_div(shard).unwrap_or(0)).collect()
    }

    /// Where chunks are: each of `places` is a position in `shards` and in the grid of chunks; `objects` are
    /// the shards' own locations.
    pub(super) async fn locate(
        &self,
        shards: &[Vec<u64>],
        objects: Vec<Option<ChunkLocation>>,
        places: &[(usize, Vec<u64>)],
        recheck: Option<Duration>,
    ) -> Result<Vec<Option<ChunkLocation>>> {
        let Some(outermost) = self.levels.first() else { return Ok(vec![None; places.len()]) };
        let reads = shards.iter().zip(objects).map(|(shard, object)| async move {
            let index = self.index(shard.clone(), outermost, Origin::Object(object), recheck).await;
            index.within(|| format!("shard {shard:?}"))
        });
        let reads: Vec<_> = reads.collect();
        let indexes: Vec<(Body, Bytes)> =
            futures::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        let mut found = Vec::with_capacity(places.len());
        for (i, chunk) in places {
            let (mut body, mut index) =
                indexes.get(*i).cloned().ok_or_else(|| Error::internal("a shard that was not asked for"))?;
            let mut path = shards.get(*i).cloned().unwrap_or_default();
            for (depth, level) in self.levels.iter().enumerate() {
                let inner = self.levels.get(depth + 1).map_or(&self.chunk_shape, |next| &next.shape);
                let slot = self.slot(level, inner, chunk);
                let within = entry(&index, slot, level.index_big_endian)?;
                body = match within {
                    None => Body::Absent,
                    Some((offset, len)) => body.part(offset, len).within(|| format!("chunk {chunk:?}"))?,
                };
                if matches!(body, Body::Absent) {
                    break;
                }
                if let Some(next) = self.levels.get(depth + 1) {
                    path.push(slot);
                    (body, index) = self.index(path.clone(), next, Origin::Part(body), recheck).await?;
                }
            }
            found.push(body.location());
        }
        Ok(found)
    }

    /// The position in a shard's index of what holds a chunk.
    fn slot(&self, level: &ShardLevel, inner: &[u64], chunk: &[u64]) -> u64 {
        let within = |axis: usize| -> Option<(u64, u64)> {
            let at = chunk.get(axis)?.saturating_mul(*self.chunk_shape.get(axis)?);
            let count = *level.counts.get(axis)?;
            Some((at.checked_rem(*level.shape.get(axis)?)?.checked_div(*inner.get(axis)?)?, count))
        };
        level.order.iter().filter_map(|axis| within(*axis)).fold(0, |slot, (at, count)| slot * count + at)
    }

    /// A shard and its index, decoded.
    async fn index(
        &self,
        path: Vec<u64>,
        level: &ShardLevel,
        origin: Origin,
        recheck: Option<Duration>,
    ) -> Result<(Body, Bytes)> {
        if let Some(found) = self.kept(&path) {
            return Ok(found);
        }
        let source = origin.source();
        let (body, stored) = origin.read(level).await?;
        let index = if matches!(body, Body::Absent) {
            Bytes::new()
        } else {
            let plain = level.counts.iter().product::<u64>().saturating_mul(16);
            let len = usize::try_from(plain)
                .map_err(|e| Error::unsupported("an index of that length").with_source(e))?;
            level.index_pipeline.decode(stored, len, 0).within(|| "its index")?
        };
        // An absent shard may be written at any time: it is asked for again.
        if !matches!(body, Body::Absent) {
            self.keep(path, closed(&body, source), &index, recheck);
        }
        Ok((body, index))
    }

    fn kept(&self, path: &[u64]) -> Option<(Body, Bytes)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (body, index, until) = kept.indexes.get(path)?;
        until.is_none_or(|then| then > Instant::now()).then(|| (body.body(), index.clone()))
    }

    fn keep(&self, path: Vec<u64>, body: KeptBody, index: &Bytes, recheck: Option<Duration>) {
        let until = recheck.and_then(|time| Instant::now().checked_add(time));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let held =
            |body: &KeptBody| if let KeptBody::Open(Body::Here(bytes)) = body { bytes.len() } else { 0 };
        let cost = index.len() + held(&body) + 256;
        if kept.bytes + cost > KEPT {
            // Simple, and right on average: a scan needs each index once.
            *kept = Kept::default();
        }
        kept.bytes += cost;
        kept.indexes.insert(path, (body, index.clone(), until));
    }
}

/// Where a shard is.
enum Origin {
    Object(Option<ChunkLocation>),
    Part(Body),
}

/// What is kept of a shard that `body` is.
fn closed(body: &Body, source: Option<Source>) -> KeptBody {
    match (body, source) {
        (Body::Range(object, 0, size), Some(source)) => {
            KeptBody::Closed(source, object.version.clone(), *size)
        }
        _ => KeptBody::Open(body.clone()),
    }
}

impl Origin {
    /// Where the shard can be opened again, when it is a file.
    fn source(&self) -> Option<Source> {
        match self {
            Self::Object(Some(ChunkLocation::Keyed { store, path })) if !store.is_remote() => {
                Some(Source { store: Arc::clone(store), path: Arc::clone(path) })
            }
            _ => None,
        }
    }

    /// The shard and its index as stored.
    async fn read(self, level: &ShardLevel) -> Result<(Body, Bytes)> {
        let len = level.index_len;
        let body = match self {
            Self::Object(None) => Body::Absent,
            Self::Object(Some(ChunkLocation::Keyed { store, path })) => {
                let part = if level.index_first { Part::Head(len) } else { Part::Tail(len) };
                let Some((object, stored)) = store.open(&path, part).await? else {
                    return Ok((Body::Absent, Bytes::new()));
                };
                if stored.len() as u64 != len {
                    return Err(Error::corrupt(format!(
                        "it holds {} bytes where its index alone has {len}",
                        object.size
                    )));
                }
                let size = object.size;
                return Ok((Body::Range(Arc::new(object), 0, size), stored));
            }
            Self::Object(Some(ChunkLocation::Stored { object, offset, len, .. })) => {
                Body::Range(object, offset, len)
            }
            Self::Object(Some(ChunkLocation::Encoded(bytes) | ChunkLocation::Inline(bytes))) => {
                Body::Here(bytes)
            }
            Self::Part(body) => body,
        };
        if matches!(body, Body::Absent) {
            return Ok((body, Bytes::new()));
        }
        let at = if level.index_first { Some(0) } else { body.len().checked_sub(len) };
        let at = at.ok_or_else(|| Error::corrupt("it is shorter than its index"))?;
        let stored = body.read(at, len).await?;
        Ok((body, stored))
    }
}

/// Where in its shard the chunk of a slot is; `None` when it was never written.
fn entry(index: &[u8], slot: u64, big: bool) -> Result<Option<(u64, u64)>> {
    // The index of an absent shard.
    if index.is_empty() {
        return Ok(None);
    }
    let at = usize::try_from(slot).ok().and_then(|slot| slot.checked_mul(16));
    let pair = at.and_then(|at| index.get(at..)).and_then(|rest| rest.first_chunk::<16>());
    let pair = pair.ok_or_else(|| Error::corrupt("its index is too short"))?;
    let number = |bytes: &[u8]| -> u64 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        if big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    };
    let (offset, len) = pair.split_at(8);
    let found = (number(offset), number(len));
    Ok((found != (ABSENT, ABSENT)).then_some(found))
}
