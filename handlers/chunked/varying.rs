//! Arrays whose elements differ in length: text and bytes, a count and lengths before each (numcodecs'
//! `vlen-utf8` and `vlen-bytes`).
//!
//! The same plan, cache, decoders and byte budget as for elements of one size. A band is filled chunk by
//! chunk: what is wanted of a chunk is copied, and the chunk let go; bands are as many elements as fit
//! according to what the last ones held.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, Result, ResultExt, Selection};
use futures::StreamExt;

use super::{
    ChunkIndex, ChunkLocation,
    cache::ChunkKey,
    codecs::{Pipeline, bytes_in::MAX_UNNAMED_LEN},
    engine::{Engine, hold},
    origin::{Origin, fetch},
    plan::{Band, BandLimit, Plan, Run},
};
use crate::storage::blocking;

/// Elements of the first band, before anything is known of their length.
const FIRST_BAND: u64 = 4096;

/// Elements of a band at most.
const LARGEST_BAND: u64 = 64 << 10;

/// Encoded chunks fetched at once.
const BATCH: usize = 8;

/// Bytes of one encoded chunk at most.
const LARGEST_STORED: u64 = 256 << 20;

/// One array in chunks, each of which decodes to a framed list of its elements.
#[derive(Debug)]
pub struct VaryingArray {
    /// For error messages: the variable's full name.
    pub name: cdm::FullName,
    /// What decoded chunks are kept under, together with the name.
    pub version: Arc<str>,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// Elements of a chunk per axis, none 0; chunks at the edge are stored whole.
    pub chunk_shape: Vec<u64>,
    /// Axis `i` of a stored chunk is axis `order[i]` of the array.
    pub order: Vec<usize>,
    /// The element that stands for never-written ones.
    pub fill: Bytes,
    /// How the framed list is encoded.
    pub pipeline: Pipeline,
    /// Where chunks are.
    pub index: Arc<dyn ChunkIndex>,
}

/// One stream's state.
struct Reading {
    engine: Arc<Engine>,
    array: Arc<VaryingArray>,
    plan: Plan,
    aim: u64,
}

/// What a band's elements are: positions in a heap of their bytes.
#[derive(Default)]
struct Gathered {
    heap: Vec<u8>,
    places: Vec<(usize, usize)>,
}

impl Engine {
    /// As [`Engine::read`], for elements of any length.
    pub fn read_varying(self: &Arc<Self>, array: &Arc<VaryingArray>, selection: &Selection) -> BlockStream {
        let reading = Reading::new(Arc::clone(self), Arc::clone(array), selection);
        let blocks = futures::stream::unfold(Some(reading), |reading| async {
            let mut reading = match reading? {
                Ok(reading) => reading,
                Err(e) => return Some((Err(e), None)),
            };
            match reading.next().await {
                Ok(None) => None,
                Ok(Some(block)) => Some((Ok(block), Some(Ok(reading)))),
                Err(e) => Some((Err(e), None)),
            }
        });
        blocks.boxed()
    }
}

impl Reading {
    fn new(engine: Arc<Engine>, array: Arc<VaryingArray>, selection: &Selection) -> Result<Self> {
        if selection.of_shape() != array.shape {
            return Err(Error::internal(format!("{}: a selection made for another shape", array.name)));
        }
        let rank = array.shape.len();
        if array.chunk_shape.len() != rank || array.order.len() != rank || array.chunk_shape.contains(&0) {
            return Err(Error::corrupt(format!("{}: an impossible chunk shape", array.name)));
        }
        let plan = Plan::new(&array.chunk_shape, selection);
        Ok(Self { engine, array, plan, aim: FIRST_BAND })
    }

    async fn next(&mut self) -> Result<Option<Block>> {
        let limit = BandLimit { aim: self.aim, aligned: self.aim * 2 };
        let Some(band) = self.plan.next_band(limit) else { return Ok(None) };
        let budget = self.engine.options().band_bytes.min(self.engine.options().budget_bytes / 4);
        let permit = self.engine.hold_memory(budget.saturating_mul(2)).await?;
        let name = self.array.name.clone();
        let block = self.band(&band).await.within(|| name)?;
        let count = band.element_count().max(1);
        let each = (block.byte_len() as u64 / count).saturating_add(16);
        self.aim = (budget / each).clamp(64, LARGEST_BAND);
        Ok(Some(hold(block, permit)))
    }

    async fn band(&self, band: &Band) -> Result<Block> {
        let parts: Vec<Vec<Run>> = band.parts().collect();
        let chunks: Vec<Vec<u64>> = parts.iter().map(|p| p.iter().map(|r| r.chunk).collect()).collect();
        let locations = self.array.index.locate(&chunks).await?;
        if locations.len() != chunks.len() {
            return Err(Error::internal("an index located another number of chunks than asked"));
        }
        let count = usize::try_from(band.element_count());
        let count = count.map_err(|e| Error::too_large("a band is too large").with_source(e))?;
        let mut gathered = Gathered::default();
        gathered.heap.extend_from_slice(&self.array.fill);
        gathered.places.resize(count, (0, self.array.fill.len()));
        let mut waiting: Vec<_> = chunks.into_iter().zip(locations).zip(parts).collect();
        while !waiting.is_empty() {
            let batch: Vec<_> = waiting.drain(..waiting.len().min(BATCH)).collect();
            let mut origins = Vec::new();
            for ((chunk, location), part) in batch {
                if let Some(location) = location {
                    origins.push((chunk, origin(location)?, part));
                }
            }
            let here: Vec<Option<Bytes>> = origins
                .iter()
                .map(|(chunk, origin, _)| self.engine.cache().peek(&self.key(chunk, origin)))
                .collect();
            let absent: Vec<&Origin> =
                origins.iter().zip(&here).filter(|(_, h)| h.is_none()).map(|((_, o, _), _)| o).collect();
            let mut fetched = fetch(&absent, LARGEST_STORED).await?.into_iter();
            for ((chunk, origin, part), here) in origins.into_iter().zip(here) {
                let (decoded, known) = match here {
                    Some(decoded) => (Ok(decoded), true),
                    None => match fetched.next().flatten() {
                        None => continue,
                        Some(stored) => (Err(stored), false),
                    },
                };
                let turn = self.engine.decoder().await?;
                let (array, shape) = (Arc::clone(&self.array), band.shape.clone());
                let place = format!("chunk {chunk:?}");
                let (back, bytes) = blocking(move || {
                    let _turn = turn;
                    let bytes = match decoded {
                        Ok(bytes) => bytes,
                        Err(stored) => array.pipeline.decode_any(stored).within(|| &place)?,
                    };
                    gathered.take(&array, &bytes, &part, &shape).within(|| &place)?;
                    Ok((gathered, bytes))
                })
                .await?;
                gathered = back;
                let len = bytes.len() as u64;
                if !known && len <= self.engine.options().cache_bytes / 4 {
                    let keep = || async { Ok(bytes) };
                    self.engine
                        .cache()
                        .chunk(self.key(&chunk, &origin), len, origin.lifetime(), keep)
                        .await?;
                }
            }
        }
        Ok(gathered.block())
    }

    fn key(&self, chunk: &[u64], origin: &Origin) -> ChunkKey {
        ChunkKey {
            version: Arc::clone(&self.array.version),
            object: origin.object(),
            variable: self.array.name.clone(),
            chunk: chunk.to_vec(),
        }
    }
}

fn origin(location: ChunkLocation) -> Result<Origin> {
    Ok(match location {
        ChunkLocation::Stored { object, offset, len, .. } => {
            let end = offset.checked_add(len).filter(|_| len <= LARGEST_STORED);
            Origin::Range(
                object,
                offset..end.ok_or_else(|| Error::corrupt("a chunk of an impossible length"))?,
            )
        }
        ChunkLocation::Keyed { store, path } => Origin::Key(store, path),
        ChunkLocation::Encoded(bytes) | ChunkLocation::Inline(bytes) => Origin::Here(bytes),
    })
}

impl Gathered {
    /// Copies what `part` wants of a chunk.
    fn take(&mut self, array: &VaryingArray, chunk: &[u8], part: &[Run], shape: &[u64]) -> Result<()> {
        let elements = framed(chunk, array.chunk_shape.iter().product())?;
        // How far apart elements of the chunk are along each axis of the array.
        let mut strides = vec![1_u64; part.len()];
        let mut stride = 1_u64;
        for &axis in array.order.iter().rev() {
            if let Some(slot) = strides.get_mut(axis) {
                *slot = stride;
            }
            stride *= array.chunk_shape.get(axis).copied().unwrap_or(1);
        }
        let total: u64 = part.iter().map(|r| r.count).product();
        let mut at = vec![0_u64; part.len()];
        for _ in 0..total {
            let (mut from, mut to) = (0_u64, 0_u64);
            for (((run, &i), &stride), &size) in part.iter().zip(&at).zip(&strides).zip(shape) {
                from += (run.start + i * run.step) * stride;
                to = to * size + run.out + i;
            }
            let element = usize::try_from(from).ok().and_then(|i| elements.get(i));
            let place = usize::try_from(to).ok().and_then(|i| self.places.get_mut(i));
            let (Some(&(start, end)), Some(place)) = (element, place) else {
                return Err(Error::internal("an element outside of its chunk"));
            };
            let bytes = chunk.get(start..end).unwrap_or_default();
            *place = (self.heap.len(), self.heap.len() + bytes.len());
            self.heap.extend_from_slice(bytes);
            for (i, run) in at.iter_mut().zip(part).rev() {
                *i += 1;
                if *i < run.count {
                    break;
                }
                *i = 0;
            }
        }
        if self.heap.len() > MAX_UNNAMED_LEN {
            return Err(Error::too_large("a few thousand values of it are more than 256 MiB"));
        }
        Ok(())
    }

    fn block(self) -> Block {
        Block::varying(self.places.iter().map(|(start, end)| self.heap.get(*start..*end).unwrap_or_default()))
    }
}

/// Where each of `count` elements is in a framed list: how many there are in four little-endian bytes, then
/// each one's length and bytes.
fn framed(chunk: &[u8], count: u64) -> Result<Vec<(usize, usize)>> {
    let number =
        |at: usize| -> Option<u64> { Some(u32::from_le_bytes(*chunk.get(at..)?.first_chunk()?).into()) };
    let found = number(0).ok_or_else(|| Error::corrupt("too short for a list"))?;
    if found != count {
        return Err(Error::corrupt(format!("a list of {found} values where {count} are due")));
    }
    // Each element takes four bytes at least.
    let mut elements = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(chunk.len() / 4));
    let mut at = 4_usize;
    for _ in 0..count {
        let len = number(at).and_then(|n| usize::try_from(n).ok());
        let end = len.and_then(|len| at.checked_add(4)?.checked_add(len)).filter(|end| *end <= chunk.len());
        let end = end.ok_or_else(|| Error::corrupt("a list that ends early"))?;
        elements.push((at + 4, end));
        at = end;
    }
    Ok(elements)
}
