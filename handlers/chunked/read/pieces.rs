//! Parts of unencoded chunks: near ones with one read, sparse ones piece by piece.

use std::{ops::Range, sync::Arc};

use cdm::{Error, Result, ResultExt};

use super::{BandRead, CHEAP};
use crate::{
    chunked::{
        decoded::Decoded,
        origin::{Origin, fetch},
        plan::Run,
        strided::Extent,
        target::Target,
    },
    storage::{Object, blocking},
};

/// Unencoded bytes fetched at once for one band when they are not the band itself.
const BATCH: u64 = 8 << 20;

/// Pieces fetched at once for one band.
const BATCH_PIECES: usize = 1024;

/// Part of an unencoded chunk.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) part: Vec<Run>,
    pub(super) object: Arc<Object>,
    /// Where the chunk is in the object.
    pub(super) chunk: Range<u64>,
}

impl BandRead {
    /// Fetches and scatters parts of unencoded chunks: near ones with one read, sparse ones piece by piece.
    pub(super) async fn read_pieces(&self, mut waiting: Vec<Piece>, target: &Arc<Target>) -> Result<()> {
        waiting.reverse();
        while !waiting.is_empty() {
            let (mut batch, mut origins, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
            while bytes < BATCH
                && batch.len() < BATCH_PIECES
                && let Some(Piece { part, object, chunk }) = waiting.pop()
            {
                let extent = self.extent(&part);
                let cover = extent.end - extent.start;
                if !is_one_read(&extent)
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
            let (this, target) = (self.clone(), Arc::clone(target));
            blocking(move || {
                for ((part, start), bytes) in batch.iter().zip(&found) {
                    if let Some(bytes) = bytes {
                        this.scatter(&target, part, &Decoded::run(bytes.clone(), *start))?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

/// Where in the object an extent of an unencoded chunk is.
pub(super) fn piece_range(extent: &Extent, chunk: &Range<u64>) -> Result<Range<u64>> {
    let len = chunk.end - chunk.start;
    if extent.end > len {
        return Err(Error::corrupt(format!("needs {} bytes but {len} are stored", extent.end)));
    }
    Ok(chunk.start + extent.start..chunk.start + extent.end)
}

/// Whether what lies between the bytes that are wanted is read with them.
pub(in crate::chunked) fn is_one_read(extent: &Extent) -> bool {
    let cover = extent.end - extent.start;
    cover <= CHEAP || (cover <= BATCH && cover / 4 <= extent.wanted) || extent.is_contiguous()
}

/// The part cut in two along its outermost axis of more than one index.
pub(in crate::chunked) fn halves(part: &[Run]) -> Option<(Vec<Run>, Vec<Run>)> {
    let axis = part.iter().position(|r| r.count > 1)?;
    let (mut first, mut second) = (part.to_vec(), part.to_vec());
    let half = part[axis].count / 2;
    first[axis].count = half;
    second[axis].count -= half;
    second[axis].start += half * part[axis].step;
    second[axis].out += half;
    Some((first, second))
}
