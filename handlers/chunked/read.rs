//! Reading one band: locate, fetch, decode on threads that may block, scatter into one buffer.
//!
//! Owns the choice of what is fetched together, what is cached and what is passed on without a copy.
//! Which bands there are is [`super::plan`]'s business; memory permits are [`super::engine`]'s.

use std::{
    collections::HashMap,
    mem,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cdm::{Block, Error, ErrorKind, Result, ResultExt};
use futures::{StreamExt, TryStreamExt};

use super::{
    ChunkLocation, ChunkedArray,
    cache::ChunkKey,
    engine::Engine,
    origin::{Origin, fetch},
    plan::{Band, Run},
    strided::{Extent, scatter},
};
use crate::storage::{Object, blocking};

/// A decoded chunk is never larger.
const LARGEST_CHUNK: u64 = 256 << 20;

/// Chunks are fetched and decoded in jobs of about this many bytes, so that decoders share a band.
const JOB: u64 = 1 << 20;

/// Unencoded bytes fetched at once for one band when they are not the band itself.
const BATCH: u64 = 8 << 20;

/// Pieces fetched at once for one band.
const BATCH_PIECES: usize = 1024;

/// Reading this many bytes is never worth avoiding by another request.
const CHEAP: u64 = 64 << 10;

/// A chunk that a band needs, where it is, and the parts of the band that come from it.
#[derive(Debug)]
struct Needed {
    chunk: Vec<u64>,
    location: Option<ChunkLocation>,
    parts: Vec<Vec<Run>>,
}

/// Part of an unencoded chunk.
#[derive(Debug)]
struct Piece {
    part: Vec<Run>,
    object: Arc<Object>,
    /// Where the chunk is in the object.
    chunk: Range<u64>,
}

/// A chunk that is fetched whole and decoded.
#[derive(Debug)]
struct Encoded {
    chunk: Vec<u64>,
    origin: Origin,
    filter_mask: u32,
    parts: Vec<Vec<Run>>,
    /// It goes through the cache.
    keep: bool,
}

/// One band being read.
#[derive(Debug, Clone)]
pub(crate) struct BandRead {
    engine: Arc<Engine>,
    array: Arc<ChunkedArray>,
    shape: Arc<[u64]>,
    /// Bytes of the band as stored.
    len: usize,
    /// The band, being filled.
    target: Arc<Mutex<Vec<u8>>>,
    /// The whole selection is small: its chunks are worth keeping for the next request.
    small: bool,
}

/// Reads `band` of `array`. `small`: the whole selection is.
pub(crate) async fn read_band(
    engine: Arc<Engine>,
    array: Arc<ChunkedArray>,
    band: Band,
    small: bool,
) -> Result<Block> {
    let len = band.element_count().checked_mul(array.stored_size as u64).and_then(|n| n.try_into().ok());
    let read = BandRead {
        shape: band.shape.as_slice().into(),
        len: len.ok_or_else(|| Error::too_large("a band is too large"))?,
        target: Arc::default(),
        engine,
        array,
        small,
    };
    let needed = read.locate(&band).await?;
    let raw = read.raw(needed).await?;
    let elements = Arc::clone(&read.array.elements);
    let name = read.array.name.clone();
    blocking(move || elements.decode(raw).within(|| name)).await
}

impl BandRead {
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
    async fn raw(&self, needed: Vec<Needed>) -> Result<Bytes> {
        if let [one] = needed.as_slice()
            && let [part] = one.parts.as_slice()
            && let Some(raw) = self.without_copy(one, part).await?
        {
            return Ok(raw);
        }
        let fill = needed.iter().any(|n| matches!(n.location, None | Some(ChunkLocation::Keyed { .. })));
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = self.blank(fill)?;
        let (mut encoded, mut pieces) = (Vec::new(), Vec::new());
        let mut keepers = self.keepers();
        for Needed { chunk, location, parts } in needed {
            match location {
                None => {}
                Some(ChunkLocation::Inline(bytes)) => {
                    parts.iter().try_for_each(|p| self.scatter(p, (&bytes, 0)))?;
                }
                Some(ChunkLocation::Stored { object, offset, len, .. }) if self.array.pipeline.is_empty() => {
                    let range = self.stored(&chunk, offset, len)?;
                    let piece = |part| Piece { part, object: Arc::clone(&object), chunk: range.clone() };
                    pieces.extend(parts.into_iter().map(piece));
                }
                Some(location) => {
                    let keep = keepers > 0 && self.is_worth_keeping(&parts);
                    keepers -= usize::from(keep);
                    let (origin, filter_mask) = self.origin(&chunk, location)?;
                    encoded.push(Encoded { chunk, origin, filter_mask, parts, keep });
                }
            }
        }
        self.read_pieces(pieces).await?;
        self.read_encoded(encoded).await?;
        Ok(mem::take(&mut *self.target.lock().unwrap_or_else(PoisonError::into_inner)).into())
    }

    /// The band when it is one run of bytes of one chunk.
    async fn without_copy(&self, needed: &Needed, part: &[Run]) -> Result<Option<Bytes>> {
        let extent = self.extent(part);
        if !extent.is_contiguous() || extent.wanted != self.len as u64 {
            return Ok(None);
        }
        let slice = |bytes: Bytes| {
            let (start, end) = (usize::try_from(extent.start).ok()?, usize::try_from(extent.end).ok()?);
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        };
        let found = match &needed.location {
            None => return self.blank(true).map(|b| Some(b.into())),
            Some(ChunkLocation::Inline(bytes)) => slice(bytes.clone()),
            Some(ChunkLocation::Stored { object, offset, len, .. }) if self.array.pipeline.is_empty() => {
                let range = self.stored(&needed.chunk, *offset, *len)?;
                let range = piece_range(&extent, &range).within(|| self.place(&needed.chunk))?;
                return object.read(range).await.within(|| self.place(&needed.chunk)).map(Some);
            }
            Some(location) => {
                let (origin, filter_mask) = self.origin(&needed.chunk, location.clone())?;
                let encoded = Encoded {
                    chunk: needed.chunk.clone(),
                    origin,
                    filter_mask,
                    parts: vec![part.to_vec()],
                    keep: self.is_worth_keeping(&needed.parts),
                };
                let chunk = self.decoded(&encoded).await?;
                // A small piece would keep a large chunk in memory: it is copied instead.
                if extent.wanted < chunk.len() as u64 / 4 {
                    slice(chunk).map(|piece| Bytes::copy_from_slice(&piece))
                } else {
                    slice(chunk)
                }
            }
        };
        found
            .map(Some)
            .ok_or_else(|| Error::corrupt("shorter than its shape").within(self.place(&needed.chunk)))
    }

    /// Fetches and scatters parts of unencoded chunks: near ones with one read, sparse ones piece by piece.
    async fn read_pieces(&self, mut waiting: Vec<Piece>) -> Result<()> {
        waiting.reverse();
        while !waiting.is_empty() {
            let (mut batch, mut origins, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
            while bytes < BATCH
                && batch.len() < BATCH_PIECES
                && let Some(Piece { part, object, chunk }) = waiting.pop()
            {
                let extent = self.extent(&part);
                let cover = extent.end - extent.start;
                let worth_it = cover <= CHEAP || (cover <= BATCH && cover / 4 <= extent.wanted);
                if !worth_it
                    && !extent.is_contiguous()
                    && let Some((first, second)) = halves(&part)
                {
                    let half = |part| Piece { part, object: Arc::clone(&object), chunk: chunk.clone() };
                    waiting.extend([half(second), half(first)]);
                    continue;
                }
                let range = piece_range(&extent, &chunk).within(|| &self.array.name)?;
                origins.push(Origin::Range(object, range));
                bytes = bytes.saturating_add(cover);
                batch.push((part, extent.start));
            }
            let found = fetch(&origins.iter().collect::<Vec<_>>(), 0).await.within(|| &self.array.name)?;
            let this = self.clone();
            blocking(move || {
                for ((part, start), bytes) in batch.iter().zip(&found) {
                    if let Some(bytes) = bytes {
                        this.scatter(part, (bytes, *start))?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Fetches, decodes and scatters encoded chunks, several at a time.
    async fn read_encoded(&self, chunks: Vec<Encoded>) -> Result<()> {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for chunk in chunks {
            if chunk.keep || self.peek(&chunk).is_some() {
                alone.push(vec![chunk]);
            } else {
                together.push(chunk);
            }
        }
        together.sort_by_key(|c| c.origin.position());
        let chunk_len = self.chunk_len()?;
        let mut jobs = alone;
        let (mut job, mut stored, mut decoded) = (Vec::new(), 0, 0);
        for chunk in together {
            stored += chunk.origin.byte_len().unwrap_or(chunk_len);
            decoded += chunk_len;
            job.push(chunk);
            if stored >= JOB || decoded >= JOB {
                jobs.push(mem::take(&mut job));
                (stored, decoded) = (0, 0);
            }
        }
        jobs.extend((!job.is_empty()).then_some(job));
        let parallel = self.engine.options().decoders.max(1) * 2;
        let jobs = jobs.into_iter().map(|job| self.clone().job(job)).collect::<Vec<_>>();
        futures::stream::iter(jobs).buffer_unordered(parallel).try_collect::<()>().await
    }

    async fn job(self, job: Vec<Encoded>) -> Result<()> {
        if let [one] = job.as_slice()
            && (one.keep || self.peek(one).is_some())
        {
            let bytes = self.decoded(one).await?;
            return blocking(move || job_parts(&job).try_for_each(|p| self.scatter(p, (&bytes, 0)))).await;
        }
        let origins: Vec<_> = job.iter().map(|c| &c.origin).collect();
        let stored = fetch(&origins, self.largest_stored()?).await.within(|| &self.array.name)?;
        let decoder = self.engine.decoder().await?;
        blocking(move || {
            let _decoder = decoder;
            for (chunk, stored) in job.iter().zip(stored) {
                // The band is of fill values already.
                let Some(stored) = stored else { continue };
                let bytes = self.decode(&chunk.chunk, stored, chunk.filter_mask)?;
                chunk.parts.iter().try_for_each(|p| self.scatter(p, (&bytes, 0)))?;
            }
            Ok(())
        })
        .await
    }

    /// One chunk, whole and decoded, from the cache or through it where that is worth it.
    async fn decoded(&self, encoded: &Encoded) -> Result<Bytes> {
        if let Some(bytes) = self.peek(encoded) {
            return Ok(bytes);
        }
        let whole = || async {
            let stored = fetch(&[&encoded.origin], self.largest_stored()?).await;
            let stored = stored.within(|| self.place(&encoded.chunk))?.pop().flatten();
            let Some(stored) = stored else { return self.filled() };
            let decoder = self.engine.decoder().await?;
            let (this, chunk, mask) = (self.clone(), encoded.chunk.clone(), encoded.filter_mask);
            blocking(move || {
                let _decoder = decoder;
                this.decode(&chunk, stored, mask)
            })
            .await
        };
        if encoded.keep {
            let lifetime = encoded.origin.lifetime();
            self.engine.cache().chunk(self.key(encoded), self.chunk_len()?, lifetime, whole).await
        } else {
            whole().await
        }
    }

    /// Whether another band or another request is likely to want the chunk: this one takes only some of
    /// it, or the whole selection is small.
    fn is_worth_keeping(&self, parts: &[Vec<Run>]) -> bool {
        self.small
            || !parts.iter().any(|part| {
                part.iter().zip(&self.array.shape).zip(&self.array.chunk_shape).all(
                    |((run, &size), &chunk)| {
                        let inside = chunk.min(size - (run.chunk * chunk).min(size));
                        run.start == 0 && run.count == inside && (run.step == 1 || inside == 1)
                    },
                )
            })
    }

    /// How many chunks of one band may go through the cache: the same first ones for every band of a row
    /// of chunks that is larger than the cache, lest each band evicts what the next one needs.
    fn keepers(&self) -> usize {
        let room = self.engine.options().cache_bytes / 4 * 3;
        let chunks = room / self.array.chunk_byte_len().unwrap_or(u64::MAX).max(1);
        usize::try_from(chunks).unwrap_or(usize::MAX).max(1)
    }

    fn peek(&self, encoded: &Encoded) -> Option<Bytes> {
        self.engine.cache().peek(&self.key(encoded))
    }

    fn key(&self, encoded: &Encoded) -> ChunkKey {
        ChunkKey {
            version: Arc::clone(&self.array.version),
            object: encoded.origin.object(),
            variable: self.array.name.clone(),
            chunk: encoded.chunk.clone(),
        }
    }

    fn decode(&self, chunk: &[u64], stored: Bytes, filter_mask: u32) -> Result<Bytes> {
        let len = usize::try_from(self.chunk_len()?)
            .map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
        self.array.pipeline.decode(stored, len, filter_mask).within(|| self.place(chunk))
    }

    fn scatter(&self, part: &[Run], source: (&[u8], u64)) -> Result<()> {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        scatter(part, &self.array.chunk_shape, source, &self.shape, &mut target, self.array.stored_size)
            .within(|| &self.array.name)
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

    /// Where an encoded chunk's bytes come from, and which stages it skipped.
    fn origin(&self, chunk: &[u64], location: ChunkLocation) -> Result<(Origin, u32)> {
        Ok(match location {
            ChunkLocation::Stored { object, offset, len, filter_mask } => {
                (Origin::Range(object, self.stored(chunk, offset, len)?), filter_mask)
            }
            ChunkLocation::Keyed { store, path } => (Origin::Key(store, path), 0),
            ChunkLocation::Encoded(bytes) => (Origin::Here(bytes), 0),
            // Never encoded: every stage was skipped.
            ChunkLocation::Inline(bytes) => (Origin::Here(bytes), u32::MAX),
        })
    }

    /// Bytes a stored chunk may have: no codec expands what it cannot compress by more than a little.
    fn largest_stored(&self) -> Result<u64> {
        Ok(self.chunk_len()?.saturating_mul(2).saturating_add(CHEAP))
    }

    /// A chunk that was never written.
    fn filled(&self) -> Result<Bytes> {
        let len = usize::try_from(self.chunk_len()?)
            .map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
        self.of_fill(len).map(Bytes::from)
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

    /// A buffer for the band, of fill values where that matters.
    fn blank(&self, fill: bool) -> Result<Vec<u8>> {
        if fill { self.of_fill(self.len) } else { Ok(vec![0; self.len]) }
    }

    /// So many bytes of fill values.
    fn of_fill(&self, len: usize) -> Result<Vec<u8>> {
        let value = &self.array.fill;
        if value.iter().all(|&b| b == 0) {
            return Ok(vec![0; len]);
        }
        if value.len() != self.array.stored_size {
            return Err(Error::internal("a fill value of another size than the elements"));
        }
        Ok(value.repeat(len / self.array.stored_size))
    }

    fn place(&self, chunk: &[u64]) -> String {
        let position: Vec<String> = chunk.iter().map(u64::to_string).collect();
        format!("chunk {} of {}", position.join(","), self.array.name)
    }
}

fn job_parts(job: &[Encoded]) -> impl Iterator<Item = &Vec<Run>> {
    job.iter().flat_map(|c| &c.parts)
}

/// Where in the object an extent of an unencoded chunk is.
fn piece_range(extent: &Extent, chunk: &Range<u64>) -> Result<Range<u64>> {
    let len = chunk.end - chunk.start;
    if extent.end > len {
        return Err(Error::corrupt(format!("needs {} bytes but {len} are stored", extent.end)));
    }
    Ok(chunk.start + extent.start..chunk.start + extent.end)
}

/// The part cut in two along its outermost axis of more than one index.
fn halves(part: &[Run]) -> Option<(Vec<Run>, Vec<Run>)> {
    let axis = part.iter().position(|r| r.count > 1)?;
    let (mut first, mut second) = (part.to_vec(), part.to_vec());
    let half = part[axis].count / 2;
    first[axis].count = half;
    second[axis].count -= half;
    second[axis].start += half * part[axis].step;
    second[axis].out += half;
    Some((first, second))
}
