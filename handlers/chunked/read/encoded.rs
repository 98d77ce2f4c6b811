//! Encoded chunks: fetched whole, decoded on threads that may block, from the cache or through it where that is
//! worth it.

use std::{mem, ops::Range, sync::Arc};

use bytes::Bytes;
use cdm::{Block, Encoding, Error, Result, ResultExt};
use futures::{StreamExt, TryStreamExt};

use super::BandRead;
use crate::{
    buffers::Buffer,
    chunked::{
        ChunkLocation,
        cache::ChunkKey,
        decoded::{Decoded, Order},
        origin::{Origin, fetch, fetch_now},
        plan::Run,
        target::{Target, repeat},
    },
    storage::blocking,
};

/// Chunks are fetched and decoded in jobs of about this many bytes, so that decoders share a band.
const JOB: u64 = 1 << 20;

/// Of a shuffled chunk, what is wanted is put together element by element when it is less than this part of it:
/// the whole is undone many times as fast.
const SPARSE: u64 = 8;

/// A chunk that is fetched whole and decoded.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) chunk: Vec<u64>,
    pub(super) origin: Origin,
    pub(super) filter_mask: u32,
    pub(super) parts: Vec<Vec<Run>>,
    pub(super) keep: Keep,
}

/// What of a decoded chunk is kept for those who come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Whole,
    /// About so many bytes around what is wanted.
    Around(u64),
}

impl BandRead {
    /// Fetches, decodes and scatters encoded chunks, several at a time.
    pub(super) async fn read_encoded(&self, chunks: Vec<Encoded>, target: &Arc<Target>) -> Result<()> {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for chunk in chunks {
            if chunk.keep == Keep::Whole || self.is_kept(&chunk) {
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
            // The first that somebody waits for is a job of its own.
            if stored >= JOB || decoded >= JOB || self.begun.is_some() && jobs.is_empty() {
                jobs.push(mem::take(&mut job));
                (stored, decoded) = (0, 0);
            }
        }
        jobs.extend((!job.is_empty()).then_some(job));
        let parallel = self.engine.options().decoders.max(1) * 2;
        let alone = jobs.len() == 1;
        let mut jobs = jobs.into_iter().map(|job| self.clone().job(job, Arc::clone(target), alone));
        if self.begun.is_some()
            && let Some(first) = jobs.next()
        {
            first.await?;
        }
        // Made before they are polled: the stream needs no closure that borrows.
        let jobs = jobs.collect::<Vec<_>>();
        futures::stream::iter(jobs).buffer_unordered(parallel).try_collect::<()>().await
    }

    /// Decodes some chunks into `target`; `alone`: nobody else does.
    async fn job(self, job: Vec<Encoded>, target: Arc<Target>, alone: bool) -> Result<()> {
        if let [one] = job.as_slice()
            && (one.keep == Keep::Whole || self.is_kept(one))
        {
            let decoded = self.decoded(one).await?;
            blocking(move || job_parts(&job).try_for_each(|p| self.scatter(&target, p, &decoded))).await
        } else {
            let stored = self.fetched(&job).await?;
            let decoder = self.engine.decoder().await;
            blocking(move || {
                let _decoder = decoder;
                let stored = stored.map_or_else(|| self.fetched_now(&job), Ok)?;
                for (chunk, stored) in job.iter().zip(stored) {
                    // The band is of fill values already.
                    let Some(stored) = stored else { continue };
                    self.place_in(&target, chunk, stored, alone)?;
                }
                Ok(())
            })
            .await
        }
    }

    /// Decodes a chunk to where it belongs in `target`.
    fn place_in(&self, target: &Target, chunk: &Encoded, stored: Bytes, alone: bool) -> Result<()> {
        self.engine.tally().decoded();
        if alone
            && let [part] = chunk.parts.as_slice()
            && self.extent(part).is_contiguous()
            && self.extent(part).wanted == self.chunk_len()?
        {
            let decode = |out: &mut [u8]| {
                self.array
                    .pipeline
                    .decode_into(stored.clone(), out, chunk.filter_mask)
                    .within(|| self.place(&chunk.chunk))
            };
            if let Some(done) = target.in_place(part, decode) {
                return done;
            }
        }
        let wanted = chunk.parts.iter().map(|part| self.extent(part).wanted).sum::<u64>();
        let decoded = if wanted < self.chunk_len()? / SPARSE {
            self.decode(&chunk.chunk, stored, chunk.filter_mask)?
        } else {
            self.decode_whole(&chunk.chunk, stored, chunk.filter_mask)?
        };
        // Before it is copied: the first copies are slow, into memory that nobody has used yet.
        if let Some(begun) = &self.begun {
            begun.notify_one();
        }
        chunk.parts.iter().try_for_each(|p| self.scatter(target, p, &decoded))
    }

    /// The band that is one whole chunk.
    pub(super) async fn whole(&self, chunk: Encoded) -> Result<Block> {
        let job = [chunk];
        let stored = self.fetched(&job).await?;
        let decoder = self.engine.decoder().await;
        let this = self.clone();
        blocking(move || {
            let _decoder = decoder;
            let stored = stored.map_or_else(|| this.fetched_now(&job), Ok)?.pop().flatten();
            let [chunk] = job;
            let mut buffer = Buffer::new(this.len)?;
            match stored {
                Some(stored) => {
                    this.engine.tally().decoded();
                    this.array.pipeline.decode_into(stored, &mut buffer, chunk.filter_mask)
                }
                None => repeat(&this.array.fill, &mut buffer),
            }
            .within(|| this.place(&chunk.chunk))?;
            this.converted(buffer)
        })
        .await
    }

    /// The stored bytes of chunks; `None` when they are near, and best read where they are decoded.
    async fn fetched(&self, chunks: &[Encoded]) -> Result<Option<Vec<Option<Bytes>>>> {
        let origins: Vec<_> = chunks.iter().map(|c| &c.origin).collect();
        if origins.iter().all(|origin| origin.is_near()) {
            return Ok(None);
        }
        fetch(&origins, self.largest_stored()?).await.within(|| &self.array.name).map(Some)
    }

    /// The stored bytes of chunks that are near; blocks.
    fn fetched_now(&self, chunks: &[Encoded]) -> Result<Vec<Option<Bytes>>> {
        let origins: Vec<_> = chunks.iter().map(|c| &c.origin).collect();
        fetch_now(&origins).within(|| &self.array.name)
    }

    /// What is wanted of a chunk, decoded: from the cache, or through it as far as that is worth it.
    pub(super) async fn decoded(&self, encoded: &Encoded) -> Result<Decoded> {
        let (cache, key) =
            (self.engine.cache(), self.key(&encoded.chunk, encoded.origin.object().as_deref()));
        let (wanted, lifetime) = (self.wanted(&encoded.parts), encoded.origin.lifetime());
        if let Some(kept) = cache.get(key, &wanted) {
            self.engine.tally().hit();
            return Ok(kept);
        }
        let decode = || async {
            let job = [encoded.clone()];
            let stored = self.fetched(&job).await?;
            let decoder = self.engine.decoder().await;
            let this = self.clone();
            let whole = blocking(move || {
                let _decoder = decoder;
                let stored = stored.map_or_else(|| this.fetched_now(&job), Ok)?.pop().flatten();
                let [Encoded { chunk, origin, filter_mask, .. }] = job;
                let Some(stored) = stored else { return this.fill() };
                // A part of an object that is not encoded was only read.
                if !this.array.pipeline.is_empty() || origin.object().is_none() {
                    this.engine.tally().decoded();
                }
                this.decode(&chunk, stored, filter_mask)
            })
            .await?;
            if encoded.keep == Keep::Whole {
                cache.keep(key, whole.clone(), lifetime);
            }
            Ok(whole)
        };
        let decoded = cache.chunk(key, &wanted, decode).await?;
        let (len, element) = (self.chunk_len()?, self.array.stored_size);
        if let Keep::Around(block) = encoded.keep
            && decoded.covers(&(0..len))
            && let Some(run) = around(&wanted, block, len, element as u64)
        {
            cache.keep(key, decoded.section(&run, element).within(|| self.place(&encoded.chunk))?, lifetime);
        }
        Ok(decoded)
    }

    /// Whether another band or another request is likely to want the chunk: this one takes only some of
    /// it (everything at its stride is all), or the whole selection is not large (clients that step through an array together ask for the same).
    pub(super) fn is_worth_keeping(&self, parts: &[Vec<Run>]) -> bool {
        self.small
            || self.little
            || !parts.iter().any(|part| {
                part.iter().zip(&self.array.shape).zip(&self.array.chunk_shape).all(
                    |((run, &size), &chunk)| {
                        let inside = chunk.min(size - (run.chunk * chunk).min(size));
                        run.start < run.step && run.start + run.count.saturating_mul(run.step) >= inside
                    },
                )
            })
    }

    /// How many chunks of one band may go through the cache: the same first ones for every band of a row
    /// of chunks that is larger than the cache, lest each band evicts what the next one needs.
    pub(super) fn keepers(&self) -> usize {
        let room = self.engine.options().cache_bytes / 4 * 3;
        let chunks = room / self.array.chunk_byte_len().unwrap_or(u64::MAX).max(1);
        usize::try_from(chunks).unwrap_or(usize::MAX).max(1)
    }

    pub(super) fn is_kept(&self, encoded: &Encoded) -> bool {
        let key = self.key(&encoded.chunk, encoded.origin.object().as_deref());
        self.engine.cache().get(key, &self.wanted(&encoded.parts)).is_some()
    }

    /// What a chunk, part of this version of an object, is kept under.
    pub(super) fn key(&self, chunk: &[u64], object: Option<&str>) -> ChunkKey {
        ChunkKey::new(&self.array.version, object, &self.array.name, chunk)
    }

    /// The bytes of a chunk from the first wanted to the last.
    pub(super) fn wanted(&self, parts: &[Vec<Run>]) -> Range<u64> {
        let extents = parts.iter().map(|part| self.extent(part));
        let all = extents.map(|e| e.start..e.end).reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        all.unwrap_or(0..0)
    }

    /// A chunk decoded, but for the shuffle of its elements: that is undone where they are copied.
    fn decode(&self, chunk: &[u64], stored: Bytes, filter_mask: u32) -> Result<Decoded> {
        match self.array.pipeline.encodings().first() {
            Some(Encoding::Shuffle { element_size })
                if *element_size == self.array.stored_size && filter_mask & 1 == 0 =>
            {
                self.decode_as(Order::Shuffled, chunk, stored, filter_mask | 1)
            }
            _ => self.decode_whole(chunk, stored, filter_mask),
        }
    }

    /// A chunk decoded, of which much is wanted.
    fn decode_whole(&self, chunk: &[u64], stored: Bytes, filter_mask: u32) -> Result<Decoded> {
        self.decode_as(Order::Elements, chunk, stored, filter_mask)
    }

    fn decode_as(&self, order: Order, chunk: &[u64], stored: Bytes, skipped: u32) -> Result<Decoded> {
        let len = usize::try_from(self.chunk_len()?)
            .map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
        let bytes = self.array.pipeline.decode(stored, len, skipped).within(|| self.place(chunk))?;
        Ok(Decoded::whole(bytes, order))
    }

    /// Where an encoded chunk's bytes come from, and which stages it skipped.
    pub(super) fn origin(&self, chunk: &[u64], location: ChunkLocation) -> Result<(Origin, u32)> {
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

    /// A chunk that was never written.
    fn fill(&self) -> Result<Decoded> {
        let len = usize::try_from(self.chunk_len()?)
            .map_err(|e| Error::too_large("a chunk is too large").with_source(e))?;
        let mut buffer = Buffer::new(len)?;
        repeat(&self.array.fill, &mut buffer)?;
        Ok(Decoded::whole(buffer.freeze(), Order::Elements))
    }
}

/// The whole blocks around what is wanted, at most two of them; `None` when that is more than one.
fn around(wanted: &Range<u64>, block: u64, chunk_len: u64, element: u64) -> Option<Range<u64>> {
    let block = block - block.checked_rem(element)?;
    if block == 0 || wanted.end - wanted.start > block {
        return None;
    }
    Some(wanted.start / block * block..wanted.end.div_ceil(block).saturating_mul(block).min(chunk_len))
}

fn job_parts(job: &[Encoded]) -> impl Iterator<Item = &Vec<Run>> {
    job.iter().flat_map(|c| &c.parts)
}
