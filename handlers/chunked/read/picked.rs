//! Selections that want little: put together where they are asked for, out of chunks that are kept.
//!
//! A few values cost what decoding their chunks costs, once; what lies beside them then costs a look-up. Where a
//! selection needs more chunks than can be kept (a series at a point may need one for every time), what is kept of
//! each is the run of bytes around what was wanted.

use cdm::{Block, Result, ResultExt};
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::{
    BandRead, Needed,
    encoded::{Encoded, Keep},
    is_small,
};
use crate::{
    buffers::Buffer,
    chunked::{
        ChunkLocation,
        decoded::Decoded,
        plan::{Band, Run},
        target::repeat,
    },
};

/// Bytes that are copied without giving way to other tasks.
const AT_ONCE: usize = 512 << 10;

/// Parts of chunks that are looked up without giving way to other tasks.
const PARTS_AT_ONCE: u64 = 1024;

/// Where a chunk's elements are.
enum Found {
    /// Nowhere: it was never written.
    Fill,
    Here(Decoded),
}

impl BandRead {
    /// Whether the band is to be picked out of its chunks: they are worth keeping. Of those that are not encoded
    /// that is only a small one, alone: many are best read as the pieces that are wanted.
    pub(super) fn is_picked(&self, needed: &[Needed]) -> bool {
        needed.iter().all(|one| match &one.location {
            None | Some(ChunkLocation::Inline(_)) => true,
            Some(ChunkLocation::Stored { len, .. }) if self.array.pipeline.is_empty() => {
                needed.len() == 1 && is_small(&self.array, *len)
            }
            Some(_) => self.is_worth_keeping(&one.parts),
        })
    }

    /// The band, if it can be had without waiting for anything.
    pub(crate) fn at_hand(&self, band: &Band) -> Result<Option<Block>> {
        let Some(numbers) = self.array.elements.numbers() else { return Ok(None) };
        if self.len > AT_ONCE || band.part_count() > PARTS_AT_ONCE || !self.array.index.is_ready() {
            return Ok(None);
        }
        let Some(needed) = self.locate(band).now_or_never() else { return Ok(None) };
        let needed = needed?;
        let mut found = Vec::with_capacity(needed.len());
        for chunk in &needed {
            match self.kept(chunk) {
                Some(kept) => found.push(kept),
                None => return Ok(None),
            }
        }
        let mut out = self.blank(found.iter().any(|chunk| matches!(chunk, Found::Fill)))?;
        for (chunk, found) in needed.iter().zip(&found) {
            self.copy(found, &chunk.parts, &mut out)?;
            if !matches!(chunk.location, None | Some(ChunkLocation::Inline(_))) {
                self.engine.tally().hit();
            }
        }
        numbers.convert(&mut out);
        Ok(Some(Block::Fixed(out.freeze())))
    }

    /// The band out of chunks that are kept, as far as there is room, once they are decoded.
    pub(super) async fn picked(&self, needed: Vec<Needed>) -> Result<Block> {
        let keep = self.keep(needed.len());
        let absent = |needed: &Needed| matches!(needed.location, None | Some(ChunkLocation::Keyed { .. }));
        let mut out = self.blank(needed.iter().any(absent))?;
        let parallel = self.engine.options().decoders.max(1);
        // Made before they are polled: the stream needs no closure that borrows.
        let chunks: Vec<_> = needed.into_iter().map(|chunk| self.found(chunk, keep)).collect();
        let mut chunks = futures::stream::iter(chunks).buffer_unordered(parallel);
        let mut copied = 0;
        while let Some((parts, found)) = chunks.try_next().await? {
            self.copy(&found, &parts, &mut out)?;
            copied += parts.iter().map(|part| self.extent(part).wanted).sum::<u64>();
            if copied >= AT_ONCE as u64 {
                copied = 0;
                tokio::task::yield_now().await;
            }
        }
        drop(chunks);
        let Some(numbers) = self.array.elements.numbers() else { return self.block(out.freeze()).await };
        numbers.convert(&mut out);
        Ok(Block::Fixed(out.freeze()))
    }

    /// What is known of the chunk, if that is all that is wanted of it.
    fn kept(&self, needed: &Needed) -> Option<Found> {
        let object = match &needed.location {
            None => return Some(Found::Fill),
            Some(ChunkLocation::Inline(bytes)) => return Some(Found::Here(Decoded::run(bytes.clone(), 0))),
            Some(ChunkLocation::Stored { len, .. })
                if self.array.pipeline.is_empty() && !is_small(&self.array, *len) =>
            {
                return None;
            }
            Some(ChunkLocation::Stored { object, .. }) => Some(object.version.identity.as_ref()),
            Some(ChunkLocation::Keyed { .. } | ChunkLocation::Encoded(_)) => None,
        };
        let key = self.key(&needed.chunk, object);
        self.engine.cache().get(key, &self.wanted(&needed.parts)).map(Found::Here)
    }

    /// The parts of a chunk and its bytes, from the cache or through it.
    async fn found(&self, needed: Needed, keep: Keep) -> Result<(Vec<Vec<Run>>, Found)> {
        let Needed { chunk, location, parts } = needed;
        let location = match location {
            None => return Ok((parts, Found::Fill)),
            Some(ChunkLocation::Inline(bytes)) => return Ok((parts, Found::Here(Decoded::run(bytes, 0)))),
            Some(location) => location,
        };
        let (origin, filter_mask) = self.origin(&chunk, location)?;
        let encoded = Encoded { chunk, origin, filter_mask, parts, keep };
        let decoded = self.decoded(&encoded).await?;
        Ok((encoded.parts, Found::Here(decoded)))
    }

    fn copy(&self, found: &Found, parts: &[Vec<Run>], out: &mut [u8]) -> Result<()> {
        let Found::Here(decoded) = found else { return Ok(()) };
        let (chunk_shape, element) = (&self.array.chunk_shape, self.array.stored_size);
        parts
            .iter()
            .try_for_each(|part| decoded.scatter(part, chunk_shape, &self.shape, out, element))
            .within(|| &self.array.name)
    }

    /// What to keep of each of so many chunks.
    fn keep(&self, chunks: usize) -> Keep {
        let room = self.engine.options().cache_bytes / 4 * 3;
        let chunks = (chunks as u64).max(1);
        match self.array.chunk_byte_len().and_then(|len| len.checked_mul(chunks)) {
            Some(all) if all <= room => Keep::Whole,
            _ => Keep::Around(room / 2 / chunks),
        }
    }

    /// Room for the band, of fill values where not all of it will be written.
    fn blank(&self, fill: bool) -> Result<Buffer> {
        let mut out = Buffer::new(self.len)?;
        if fill {
            repeat(&self.array.fill, &mut out)?;
        }
        Ok(out)
    }
}
