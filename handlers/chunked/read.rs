//! Reading one band: locate, fetch, decode on threads that may block, scatter into one buffer.
//!
//! Owns the choice of what is fetched together, what is cached and what is passed on without a copy.
//! Which bands there are is [`super::plan`]'s business; memory permits are [`super::engine`]'s.

mod encoded;
mod picked;
mod pieces;

use std::{collections::HashMap, ops::Range, sync::Arc};

use bytes::Bytes;
use cdm::{Block, Error, ErrorKind, Result, ResultExt};
use tokio::sync::Notify;

pub(super) use self::pieces::{halves, is_one_read};
use self::{
    encoded::{Encoded, Keep},
    pieces::{Piece, piece_range},
};
use super::{
    ChunkLocation, ChunkedArray, Numbers,
    decoded::Decoded,
    engine::Engine,
    plan::{Band, Run},
    strided::Extent,
    target::{Target, repeat},
};
use crate::{buffers::Buffer, storage::blocking};

/// A decoded chunk is never larger.
const LARGEST_CHUNK: u64 = 256 << 20;

/// Reading this many bytes is never worth avoiding by another request.
const CHEAP: u64 = 64 << 10;

/// Whether a chunk of so many stored bytes that is not encoded is read whole and kept, when it is all that is wanted from.
/// Coordinates are asked for with each part of what they belong to.
pub(super) fn is_small(array: &ChunkedArray, stored: u64) -> bool {
    stored <= CHEAP && array.chunk_byte_len() == Some(stored)
}

/// A chunk that a band needs, where it is, and the parts of the band that come from it.
#[derive(Debug)]
struct Needed {
    chunk: Vec<u64>,
    location: Option<ChunkLocation>,
    parts: Vec<Vec<Run>>,
}

/// One band being read.
#[derive(Debug, Clone)]
pub(crate) struct BandRead {
    engine: Arc<Engine>,
    array: Arc<ChunkedArray>,
    shape: Arc<[u64]>,
    /// Bytes of the band as stored.
    len: usize,
    /// The whole selection is small: its chunks are worth keeping for the next request.
    small: bool,
    /// The band is the whole selection, which is not large.
    little: bool,
    /// Told when the first of its chunks has been decoded, where somebody waits for that.
    begun: Option<Arc<Notify>>,
}

impl BandRead {
    /// One band of `array`. `small`: the whole selection is; `little`: the band is the whole selection, which is
    /// not large. Tells `begun` when the first of many chunks has been decoded, which then has the processors for itself.
    pub(crate) fn new(
        engine: Arc<Engine>,
        array: Arc<ChunkedArray>,
        band: &Band,
        (small, little): (bool, bool),
        begun: Option<Arc<Notify>>,
    ) -> Result<Self> {
        let len = band.element_count().checked_mul(array.stored_size as u64).and_then(|n| n.try_into().ok());
        let len = len.ok_or_else(|| Error::too_large("a band is too large"))?;
        Ok(Self { shape: band.shape.as_slice().into(), len, engine, array, small, little, begun })
    }

    /// Reads it.
    pub(crate) async fn blocks_of(&self, band: &Band) -> Result<Vec<Block>> {
        let needed = self.locate(band).await?;
        if self.little && self.is_picked(&needed) {
            return self.picked(needed).await.map(|block| vec![block]);
        }
        if let [one] = needed.as_slice()
            && let [part] = one.parts.as_slice()
            && let Some(block) = self.of_one_run(one, part).await?
        {
            return Ok(vec![block]);
        }
        let pieces = self.pieces(needed).await?;
        self.blocks(pieces).await
    }

    /// The chunks of the band, each once, with their parts.
    async fn locate(&self, band: &Band) -> Result<Vec<Needed>> {
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut parts: Vec<Vec<Vec<Run>>> = Vec::new();
        let mut chunks: Vec<Vec<u64>> = Vec::new();
        for part in band.parts() {
            let chunk: Vec<u64> = part.iter().map(|r| r.chunk).collect();
            let i = *seen.entry(chunk).or_insert_with_key(|chunk| {
                chunks.push(chunk.clone());
                parts.push(Vec::new());
                chunks.len() - 1
            });
            parts[i].push(part);
        }
        let locations = self.array.index.locate(&chunks).await.within(|| &self.array.name)?;
        if locations.len() != chunks.len() {
            return Err(Error::internal("an index located another number of chunks than asked"));
        }
        let needed = chunks.into_iter().zip(locations).zip(parts);
        Ok(needed.map(|((chunk, location), parts)| Needed { chunk, location, parts }).collect())
    }

    /// The band's stored elements, decoded.
    async fn pieces(&self, needed: Vec<Needed>) -> Result<Vec<Buffer>> {
        let fill = needed.iter().any(|n| matches!(n.location, None | Some(ChunkLocation::Keyed { .. })));
        let fill = fill.then_some(&self.array.fill);
        let target = Arc::new(Target::new(&self.shape, self.array.stored_size, fill)?);
        let (mut encoded, mut pieces) = (Vec::new(), Vec::new());
        let mut keepers = self.keepers();
        for Needed { chunk, location, parts } in needed {
            match location {
                None => {}
                Some(ChunkLocation::Inline(bytes)) => {
                    let chunk = Decoded::run(bytes, 0);
                    parts.iter().try_for_each(|p| self.scatter(&target, p, &chunk))?;
                }
                Some(ChunkLocation::Stored { object, offset, len, .. }) if self.array.pipeline.is_empty() => {
                    let range = self.stored(&chunk, offset, len)?;
                    let piece = |part| Piece { part, object: Arc::clone(&object), chunk: range.clone() };
                    pieces.extend(parts.into_iter().map(piece));
                }
                Some(location) => {
                    let keep = keepers > 0 && self.is_worth_keeping(&parts);
                    keepers -= usize::from(keep);
                    let keep = if keep { Keep::Whole } else { Keep::Nothing };
                    let (origin, filter_mask) = self.origin(&chunk, location)?;
                    encoded.push(Encoded { chunk, origin, filter_mask, parts, keep });
                }
            }
        }
        self.read_pieces(pieces, &target).await?;
        self.read_encoded(encoded, &target).await?;
        let target =
            Arc::into_inner(target).ok_or_else(|| Error::internal("a band is still being filled"))?;
        Ok(target.into_pieces())
    }

    /// The band when it is one run of bytes of one chunk: nothing is put together.
    async fn of_one_run(&self, needed: &Needed, part: &[Run]) -> Result<Option<Block>> {
        let extent = self.extent(part);
        if !extent.is_contiguous() || extent.wanted != self.len as u64 {
            return Ok(None);
        }
        let slice = |bytes: Bytes| {
            let (start, end) = (usize::try_from(extent.start).ok()?, usize::try_from(extent.end).ok()?);
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        };
        let found = match &needed.location {
            None => {
                let mut fill = Buffer::new(self.len)?;
                repeat(&self.array.fill, &mut fill)?;
                Some(fill.freeze())
            }
            Some(ChunkLocation::Inline(bytes)) => slice(bytes.clone()),
            Some(ChunkLocation::Stored { object, offset, len, .. }) if self.array.pipeline.is_empty() => {
                let range = self.stored(&needed.chunk, *offset, *len)?;
                let range = piece_range(&extent, &range).within(|| self.place(&needed.chunk))?;
                if object.is_near() {
                    let object = Arc::clone(object);
                    let fill = move |out: &mut [u8]| object.read_into(range.start, out);
                    return self.filled(&needed.chunk, fill).await.map(Some);
                }
                Some(object.read(range).await.within(|| self.place(&needed.chunk))?)
            }
            Some(location) => {
                let (origin, filter_mask) = self.origin(&needed.chunk, location.clone())?;
                let encoded = Encoded {
                    chunk: needed.chunk.clone(),
                    origin,
                    filter_mask,
                    parts: vec![part.to_vec()],
                    keep: if self.is_worth_keeping(&needed.parts) { Keep::Whole } else { Keep::Nothing },
                };
                let whole = encoded.keep == Keep::Nothing && self.chunk_len()? == self.len as u64;
                if whole && !self.is_kept(&encoded) {
                    return self.whole(encoded).await.map(Some);
                }
                let run =
                    self.decoded(&encoded).await?.cut(&(extent.start..extent.end), self.array.stored_size);
                Some(run.within(|| self.place(&needed.chunk))?)
            }
        };
        let found = found
            .ok_or_else(|| Error::corrupt("shorter than its shape").within(self.place(&needed.chunk)))?;
        self.block(found).await.map(Some)
    }

    /// The band's block, whose stored bytes `fill` writes, on a thread that may block.
    async fn filled(
        &self,
        chunk: &[u64],
        fill: impl FnOnce(&mut [u8]) -> Result<()> + Send + 'static,
    ) -> Result<Block> {
        let (this, chunk) = (self.clone(), chunk.to_vec());
        blocking(move || {
            let mut buffer = Buffer::new(this.len)?;
            fill(&mut buffer).within(|| this.place(&chunk))?;
            this.converted(buffer)
        })
        .await
    }

    /// Pieces of the band as blocks.
    async fn blocks(&self, pieces: Vec<Buffer>) -> Result<Vec<Block>> {
        if self.array.elements.numbers() == Some(Numbers::Native) {
            return pieces.into_iter().map(|piece| self.converted(piece)).collect();
        }
        let this = self.clone();
        blocking(move || pieces.into_iter().map(|piece| this.converted(piece)).collect()).await
    }

    /// Stored elements, which may be part of a chunk that others hold, as a block.
    async fn block(&self, raw: Bytes) -> Result<Block> {
        match self.array.elements.numbers() {
            Some(numbers) if numbers == Numbers::Native || raw.len() as u64 <= CHEAP => {
                Ok(Block::Fixed(numbers.apply(raw)))
            }
            _ => {
                let (elements, name) = (Arc::clone(&self.array.elements), self.array.name.clone());
                blocking(move || elements.decode(raw).within(|| name)).await
            }
        }
    }

    /// Stored elements as a block; takes time.
    fn converted(&self, mut raw: Buffer) -> Result<Block> {
        match self.array.elements.numbers() {
            Some(numbers) => {
                numbers.convert(&mut raw);
                Ok(Block::Fixed(raw.freeze()))
            }
            None => self.array.elements.decode(raw.freeze()).within(|| &self.array.name),
        }
    }

    fn scatter(&self, target: &Target, part: &[Run], source: &Decoded) -> Result<()> {
        target.scatter(part, &self.array.chunk_shape, source).within(|| &self.array.name)
    }

    fn extent(&self, part: &[Run]) -> Extent {
        Extent::of(part, &self.array.chunk_shape, self.array.stored_size as u64)
    }

    /// Where a chunk's stored bytes are, if its length is plausible.
    fn stored(&self, chunk: &[u64], offset: u64, len: u64) -> Result<Range<u64>> {
        let end = offset.checked_add(len);
        let end = end.ok_or_else(|| Error::corrupt("lies beyond any file").within(self.place(chunk)))?;
        if !self.array.pipeline.is_empty() && len > self.largest_stored()? {
            let message = format!("is stored in {len} bytes, more than it can need");
            return Err(Error::corrupt(message).within(self.place(chunk)));
        }
        Ok(offset..end)
    }

    /// Bytes a stored chunk may have: no codec expands what it cannot compress by more than a little.
    fn largest_stored(&self) -> Result<u64> {
        Ok(self.chunk_len()?.saturating_mul(2).saturating_add(CHEAP))
    }

    /// Bytes of one decoded chunk of an encoded array.
    fn chunk_len(&self) -> Result<u64> {
        match self.array.chunk_byte_len() {
            Some(len) if len <= LARGEST_CHUNK => Ok(len),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{}: chunks larger than {} MiB are not read", self.array.name, LARGEST_CHUNK >> 20),
            )),
        }
    }

    fn place(&self, chunk: &[u64]) -> String {
        let position: Vec<String> = chunk.iter().map(u64::to_string).collect();
        format!("chunk {} of {}", position.join(","), self.array.name)
    }
}
