//! Arrays whose elements differ in length: text and bytes, a count and lengths before each (numcodecs'
//! `vlen-utf8` and `vlen-bytes`).
//!
//! The same plan, cache, decoders and byte budget as for elements of one size. A band is filled chunk by
//! chunk: what is wanted of a chunk is copied, and the chunk let go; bands are as many elements as fit
//! according to what the last ones held. A band takes its share of the byte budget before anything is
//! fetched, for what it and one decoded chunk need as far as that is known.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, Result, ResultExt, Selection};
use futures::StreamExt;

use super::{
    ChunkIndex, ChunkLocation,
    cache::ChunkKey,
    codecs::{Pipeline, bytes_in::MAX_UNNAMED_LEN},
    decoded::Decoded,
    engine::Engine,
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
    /// Bytes of the largest chunk so far, decoded.
    largest: u64,
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
        if let Some(rehearsal) = self.rehearsal.get() {
            return rehearsal.read_varying(array, selection);
        }
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
        Ok(Self { engine, array, plan, aim: FIRST_BAND, largest: 0 })
    }

    async fn next(&mut self) -> Result<Option<Block>> {
        let limit = BandLimit { aim: self.aim, aligned: self.aim * 2 };
        let Some(band) = self.plan.next_band(limit) else { return Ok(None) };
        let budget = self.engine.options().band_bytes.min(self.engine.options().budget_bytes / 4);
        // A chunk is decoded whole, with a list of where its elements are.
        let elements = self.array.chunk_shape.iter().fold(1_u64, |n, &c| n.saturating_mul(c));
        let list = elements.saturating_mul(4);
        let chunk = self.largest.max(list).saturating_add(list).min(self.engine.options().budget_bytes / 2);
        let permit = self.engine.hold_memory(budget.saturating_mul(2).saturating_add(chunk)).await?;
        let name = self.array.name.clone();
        let block = self.band(&band).await.within(|| name)?;
        let count = band.element_count().max(1);
        let each = (block.byte_len() as u64 / count).saturating_add(16);
        self.aim = (budget / each).clamp(64, LARGEST_BAND);
        let held = (block.byte_len() as u64).saturating_add(count.saturating_mul(8));
        Ok(Some(block.holding(self.engine.hold_only(permit, held))))
    }

    async fn band(&mut self, band: &Band) -> Result<Block> {
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
            let kept = |chunk: &[u64], origin| self.engine.cache().get(self.key(chunk, origin), &(0..0));
            let here: Vec<Option<Bytes>> = origins
                .iter()
                .map(|(chunk, origin, _)| kept(chunk, origin).map(Decoded::into_bytes))
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
                let turn = self.engine.decoder().await;
                if known {
                    self.engine.tally().hit();
                } else {
                    self.engine.tally().decoded();
                }
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
                self.largest = self.largest.max(len);
                if !known && len <= self.engine.options().cache_bytes / 4 {
                    let (key, chunk) = (self.key(&chunk, &origin), Decoded::run(bytes, 0));
                    self.engine.cache().keep(key, chunk, origin.lifetime());
                }
            }
        }
        Ok(gathered.block())
    }

    fn key(&self, chunk: &[u64], origin: &Origin) -> ChunkKey {
        ChunkKey::new(&self.array.version, origin.object().as_deref(), &self.array.name, chunk)
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
            let (Some(&start), Some(place)) = (element, place) else {
                return Err(Error::internal("an element outside of its chunk"));
            };
            let bytes = text_at(chunk, start).unwrap_or_default();
            *place = (self.heap.len(), self.heap.len() + bytes.len());
            if self.heap.len().saturating_add(bytes.len()) > MAX_UNNAMED_LEN {
                return Err(Error::too_large("a few thousand values of it are more than 256 MiB"));
            }
            self.heap.extend_from_slice(bytes);
            for (i, run) in at.iter_mut().zip(part).rev() {
                *i += 1;
                if *i < run.count {
                    break;
                }
                *i = 0;
            }
        }
        Ok(())
    }

    fn block(self) -> Block {
        Block::varying(self.places.iter().map(|(start, end)| self.heap.get(*start..*end).unwrap_or_default()))
    }
}

/// Where the length of each of `count` elements stands in a framed list: how many there are in four
/// little-endian bytes, then each one's length and bytes. Each takes as much memory as its length does in
/// the list.
fn framed(chunk: &[u8], count: u64) -> Result<Vec<u32>> {
    let found = number(chunk, 0).ok_or_else(|| Error::corrupt("too short for a list"))?;
    if u64::from(found) != count {
        return Err(Error::corrupt(format!("a list of {found} values where {count} are due")));
    }
    let early = || Error::corrupt("a list that ends early");
    // Each element takes four bytes at least.
    let most = u32::try_from(chunk.len() / 4).map_err(|e| early().with_source(e))?;
    if found > most {
        return Err(early());
    }
    let mut elements = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
    let mut at = 4_usize;
    for _ in 0..found {
        let text = text_at(chunk, u32::try_from(at).map_err(|e| early().with_source(e))?);
        let text = text.ok_or_else(early)?;
        elements.push(u32::try_from(at).map_err(|e| early().with_source(e))?);
        at += 4 + text.len();
    }
    Ok(elements)
}

fn number(chunk: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*chunk.get(at..)?.first_chunk()?))
}

/// The element whose length stands at `at`.
fn text_at(chunk: &[u8], at: u32) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    let len = usize::try_from(number(chunk, at)?).ok()?;
    let start = at.checked_add(4)?;
    chunk.get(start..start.checked_add(len)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cdm::ErrorKind;

    use super::*;
    use crate::chunked::{EngineOptions, OneChunk};

    /// One chunk of so many empty texts.
    fn empty_texts(count: u32) -> Arc<VaryingArray> {
        let mut chunk = count.to_le_bytes().to_vec();
        chunk.resize(4 + 4 * usize::try_from(count).unwrap(), 0);
        Arc::new(VaryingArray {
            name: cdm::FullName::new("/text"),
            version: "v".into(),
            shape: vec![count.into()],
            chunk_shape: vec![count.into()],
            order: vec![0],
            fill: Bytes::new(),
            pipeline: Pipeline::new(Vec::new()),
            index: Arc::new(OneChunk(Some(ChunkLocation::Encoded(chunk.into())))),
        })
    }

    #[tokio::test]
    async fn a_large_chunk_is_held_against_the_budget_while_it_is_decoded() {
        let engine = Arc::new(Engine::new(EngineOptions {
            budget_bytes: 16 << 20,
            band_bytes: 256 << 10,
            cache_bytes: 0,
            patience: Duration::from_millis(50),
            ..EngineOptions::default()
        }));
        let first = async |count: u32| {
            let selection = Selection::all(&[count.into()]);
            let mut blocks = engine.read_varying(&empty_texts(count), &selection);
            blocks.next().await.unwrap()
        };
        let block = first(1 << 20).await.unwrap();
        // What only decoding needed is free again.
        let others = engine.hold_memory(14 << 20).await.unwrap();
        drop(block);
        assert!(first(1 << 10).await.is_ok());
        assert_eq!(first(1 << 20).await.unwrap_err().kind(), ErrorKind::Overloaded);
        drop(others);
        assert!(first(1 << 20).await.is_ok());
        assert!(engine.hold_memory(16 << 20).await.is_ok());
    }

    #[test]
    fn the_places_of_elements_take_four_bytes_each() {
        let mut chunk = 3_u32.to_le_bytes().to_vec();
        for text in ["", "ab", "c"] {
            chunk.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            chunk.extend(text.as_bytes());
        }
        let places: Vec<u32> = framed(&chunk, 3).unwrap();
        let texts: Vec<&[u8]> = places.iter().map(|at| text_at(&chunk, *at).unwrap()).collect();
        assert_eq!(texts, [&b""[..], b"ab", b"c"]);
        assert!(framed(&chunk, 4).is_err());
        assert!(framed(&chunk[..chunk.len() - 1], 3).is_err());
        assert!(framed(&u32::MAX.to_le_bytes(), u32::MAX.into()).is_err());
    }
}
