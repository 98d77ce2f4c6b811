//! What reading would take, found out without reading: which chunks of which objects, and how many bytes.
//!
//! An engine that [rehearses](Engine::rehearse) finds the chunks that a selection needs, counts them, and gives out
//! zeros. All that lies between an engine and a client (aggregations, views, encoders) works as ever, so it is the
//! whole of a request that is counted. Owns the counting; what is told of it is not its business.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, FullName, Result, ResultExt, Selection};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    ChunkIndex, ChunkLocation, ChunkedArray, Engine, VaryingArray,
    cache::ChunkKey,
    plan::{Run, runs},
    read::{halves, is_one_read, is_small},
    strided::Extent,
};

/// Bytes of a block of zeros.
const BLOCK: usize = 1 << 20;

/// Chunks that are located at a time.
const BATCH: usize = 1024;

/// Chunks that are located in all; of more, it is told that there are more.
const MOST: u64 = 1 << 20;

/// Pieces of one axis that are looked at.
const MOST_RUNS: usize = 1 << 20;

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// Chunks that hold something that is wanted, each once.
    pub chunks: u64,
    /// Those of them that have to be decoded, or are taken whole as if they had.
    pub encoded: u64,
    /// Chunks that were never written: they cost nothing.
    pub unwritten: u64,
    /// Files and other objects that chunks are in.
    pub objects: u64,
    /// Bytes that are read of them.
    pub bytes: u64,
    /// Chunks whose length is not known before they are asked for; they are not in `bytes`.
    pub unknown: u64,
    /// There is more than was looked at.
    pub is_part: bool,
}

/// See [`Engine::rehearse`].
#[derive(Debug)]
pub struct Rehearsal {
    state: Mutex<State>,
    zeros: Bytes,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self { state: Mutex::default(), zeros: vec![0; BLOCK].into() }
    }
}

#[derive(Debug, Default)]
struct State {
    counted: Rehearsed,
    seen: HashSet<ChunkKey>,
    objects: HashSet<Arc<str>>,
}

/// What arrays of either kind have in common.
struct Grid<'a> {
    name: &'a FullName,
    version: &'a str,
    chunk_shape: &'a [u64],
    index: &'a dyn ChunkIndex,
    /// The array whose chunks are not encoded: they are read in part.
    plain: Option<&'a ChunkedArray>,
}

/// A chunk's position, and what of it is wanted on each axis.
type Wanted<'a> = (Vec<u64>, Vec<&'a [Run]>);

impl Engine {
    /// From now on nothing is read: what would be is counted, and zeros are given out.
    pub fn rehearse(&self) -> Arc<Rehearsal> {
        Arc::clone(self.rehearsal.get_or_init(Arc::default))
    }
}

impl Rehearsal {
    /// What was counted so far.
    pub fn counted(&self) -> Rehearsed {
        let state = self.state();
        Rehearsed { objects: state.objects.len() as u64, ..state.counted }
    }

    /// In place of [`Engine::read`].
    pub(super) fn read(self: &Arc<Self>, array: &Arc<ChunkedArray>, selection: &Selection) -> BlockStream {
        let (this, array, selection) = (Arc::clone(self), Arc::clone(array), selection.clone());
        let blocks = async move {
            let is_plain = array.pipeline.is_empty();
            let grid = Grid {
                name: &array.name,
                version: &array.version,
                chunk_shape: &array.chunk_shape,
                index: array.index.as_ref(),
                plain: is_plain.then_some(&*array),
            };
            this.count(&grid, &selection).await.within(|| &array.name)?;
            Ok(this.blocks(array, selection.element_count()))
        };
        stream::once(blocks).try_flatten().boxed()
    }

    /// In place of [`Engine::read_varying`].
    pub(super) fn read_varying(
        self: &Arc<Self>,
        array: &Arc<VaryingArray>,
        selection: &Selection,
    ) -> BlockStream {
        const EACH: u64 = 4096;
        let (this, array, selection) = (Arc::clone(self), Arc::clone(array), selection.clone());
        let blocks = async move {
            let grid = Grid {
                name: &array.name,
                version: &array.version,
                chunk_shape: &array.chunk_shape,
                index: array.index.as_ref(),
                plain: None,
            };
            this.count(&grid, &selection).await.within(|| &array.name)?;
            let count = selection.element_count();
            let empty = move |at: u64| {
                let count = usize::try_from((count - at * EACH).min(EACH)).unwrap_or(0);
                Ok(Block::Varying { ends: vec![0; count], bytes: Bytes::new() })
            };
            Ok(stream::iter((0..count.div_ceil(EACH)).map(empty)))
        };
        stream::once(blocks).try_flatten().boxed()
    }

    /// So many elements of zeros.
    fn blocks(&self, array: Arc<ChunkedArray>, count: u64) -> BlockStream {
        let size = array.stored_size.max(1);
        let each = (BLOCK / size).max(1) as u64;
        let zeros = self.zeros.clone();
        let block = move |at: u64| {
            let elements = usize::try_from((count - at * each).min(each)).unwrap_or(0);
            let len = elements.saturating_mul(size);
            let raw = if len <= zeros.len() { zeros.slice(..len) } else { vec![0; len].into() };
            match array.elements.numbers() {
                Some(_) => Ok(Block::Fixed(raw)),
                None => array.elements.decode(raw).within(|| &array.name),
            }
        };
        stream::iter((0..count.div_ceil(each)).map(block)).boxed()
    }

    async fn count(&self, grid: &Grid<'_>, selection: &Selection) -> Result<()> {
        if selection.element_count() == 0 {
            return Ok(());
        }
        // A selection is a product of what it takes on each axis, and so are the chunks that it needs.
        let axes: Vec<Vec<(u64, Vec<Run>)>> = selection
            .axes()
            .iter()
            .zip(grid.chunk_shape)
            .map(|(slices, &chunk)| {
                let mut by_chunk: BTreeMap<u64, Vec<Run>> = BTreeMap::new();
                for run in runs(slices, chunk, MOST_RUNS) {
                    by_chunk.entry(run.chunk).or_default().push(run);
                }
                by_chunk.into_iter().collect()
            })
            .collect();
        if axes.iter().any(|axis| axis.iter().map(|(_, runs)| runs.len()).sum::<usize>() >= MOST_RUNS) {
            self.state().counted.is_part = true;
        }
        let all = axes.iter().fold(1_u64, |n, axis| n.saturating_mul(axis.len() as u64));
        let alone = all == 1;
        let mut at = 0;
        while at < all {
            if self.state().counted.chunks >= MOST {
                self.state().counted.is_part = true;
                return Ok(());
            }
            let end = all.min(at + BATCH as u64);
            let wanted: Vec<Wanted<'_>> = (at..end).map(|n| position(&axes, n)).collect();
            let chunks: Vec<Vec<u64>> = wanted.iter().map(|(chunk, _)| chunk.clone()).collect();
            let located = grid.index.locate(&chunks).await?;
            if located.len() != chunks.len() {
                return Err(Error::internal("an index located another number of chunks than asked"));
            }
            for (wanted, location) in wanted.iter().zip(located) {
                self.count_chunk(grid, wanted, location, alone).await?;
            }
            at = end;
        }
        Ok(())
    }

    async fn count_chunk(
        &self,
        grid: &Grid<'_>,
        (chunk, runs): &Wanted<'_>,
        location: Option<ChunkLocation>,
        alone: bool,
    ) -> Result<()> {
        let is_new = {
            let key = ChunkKey::new(grid.version, None, grid.name, chunk);
            self.state().seen.insert(key)
        };
        // What is not a part of an object comes whole, and through the decoder.
        let is_part = matches!(location, Some(ChunkLocation::Stored { .. }));
        let is_here = matches!(location, Some(ChunkLocation::Inline(_)));
        let mut is_kept = grid.plain.is_none() || !is_part;
        let (object, bytes) = match location {
            None => {
                self.state().counted.unwritten += u64::from(is_new);
                return Ok(());
            }
            Some(ChunkLocation::Stored { object, len, .. }) => {
                is_kept |= alone && grid.plain.is_some_and(|array| is_small(array, len));
                let bytes = match grid.plain {
                    Some(array) if !is_kept => {
                        wanted_bytes(runs, grid.chunk_shape, array.stored_size as u64).min(len)
                    }
                    _ => len,
                };
                (Some(Arc::clone(&object.version.identity)), Some(bytes))
            }
            Some(ChunkLocation::Keyed { store, path }) => {
                let found = if store.is_remote() { None } else { Some(store.stat(&path).await?) };
                if matches!(found, Some(None)) {
                    self.state().counted.unwritten += u64::from(is_new);
                    return Ok(());
                }
                let label = store.label().unwrap_or_default();
                (Some(format!("{label}/{path}").into()), found.flatten().map(|status| status.size))
            }
            Some(ChunkLocation::Encoded(_) | ChunkLocation::Inline(_)) => (None, Some(0)),
        };
        let mut state = self.state();
        state.objects.extend(object);
        // Of a large chunk that is not encoded, each read takes what it wants; another is read once, and kept.
        if is_new || !is_kept {
            state.counted.bytes = state.counted.bytes.saturating_add(bytes.unwrap_or(0));
        }
        if is_new {
            state.counted.chunks += 1;
            state.counted.encoded += u64::from(!is_here && (grid.plain.is_none() || !is_part));
            state.counted.unknown += u64::from(bytes.is_none());
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chunk number `n` of the product of `axes`, the last of which is the fastest.
fn position(axes: &[Vec<(u64, Vec<Run>)>], mut n: u64) -> Wanted<'_> {
    let mut chunk = vec![0; axes.len()];
    let mut wanted: Vec<&[Run]> = vec![&[]; axes.len()];
    for (at, axis) in axes.iter().enumerate().rev() {
        let len = (axis.len() as u64).max(1);
        if let Some((position, runs)) = usize::try_from(n % len).ok().and_then(|i| axis.get(i)) {
            (chunk[at], wanted[at]) = (*position, runs);
        }
        n /= len;
    }
    (chunk, wanted)
}

/// Bytes that are read of a chunk that is not encoded: what is wanted, and gaps that are not worth another read.
fn wanted_bytes(runs: &[&[Run]], chunk_shape: &[u64], element: u64) -> u64 {
    // As many as a plan has in one band.
    const MOST_PARTS: u64 = 8192;
    let parts = runs.iter().fold(1_u64, |n, axis| n.saturating_mul(axis.len() as u64));
    let mut total = 0_u64;
    for n in 0..parts.min(MOST_PARTS) {
        let mut rest = n;
        let part: Option<Vec<Run>> = runs
            .iter()
            .rev()
            .map(|axis| {
                let len = (axis.len() as u64).max(1);
                let run = usize::try_from(rest % len).ok().and_then(|i| axis.get(i)).copied();
                rest /= len;
                run
            })
            .collect();
        let Some(mut part) = part else { continue };
        part.reverse();
        total = total.saturating_add(bytes_of(part, chunk_shape, element));
    }
    // Parts of one chunk are alike.
    if parts > MOST_PARTS { total.saturating_mul(parts / MOST_PARTS) } else { total }
}

fn bytes_of(part: Vec<Run>, chunk_shape: &[u64], element: u64) -> u64 {
    // Halves that are not looked at any more: of what is so much, the wanted bytes are near enough.
    const MOST_HALVES: usize = 4096;
    let (mut waiting, mut total, mut looked) = (vec![part], 0_u64, 0);
    while let Some(part) = waiting.pop() {
        let extent = Extent::of(&part, chunk_shape, element);
        looked += 1;
        if looked > MOST_HALVES {
            total = total.saturating_add(extent.wanted);
        } else if is_one_read(&extent) {
            total = total.saturating_add(extent.end - extent.start);
        } else if let Some((first, second)) = halves(&part) {
            waiting.extend([second, first]);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use cdm::Slice;

    use super::*;

    fn slice(start: u64, step: u64, count: u64) -> Slice {
        Slice { start, step: NonZeroU64::new(step).unwrap(), count }
    }

    fn plain(chunk_shape: &[u64], slices: &[Slice]) -> u64 {
        let all: Vec<Vec<Run>> =
            slices.iter().zip(chunk_shape).map(|(s, &c)| runs(std::slice::from_ref(s), c, 100)).collect();
        wanted_bytes(&all.iter().map(Vec::as_slice).collect::<Vec<_>>(), chunk_shape, 4)
    }

    #[test]
    fn bytes_of_what_is_not_encoded() {
        // Everything, a row, every other element of a small chunk (gaps are read), single elements far apart.
        assert_eq!(plain(&[10, 10], &[slice(0, 1, 10), slice(0, 1, 10)]), 400);
        assert_eq!(plain(&[10, 10], &[slice(3, 1, 1), slice(0, 1, 10)]), 40);
        assert_eq!(plain(&[100], &[slice(0, 2, 50)]), 396);
        assert_eq!(plain(&[10, 1_000_000], &[slice(0, 1, 10), slice(5, 1, 1)]), 40);
    }

    #[test]
    fn positions_are_a_product() {
        let run = |chunk| Run { chunk, start: 0, step: 1, count: 1, out: 0 };
        let axes = vec![vec![(4, vec![run(4)])], vec![(0, vec![run(0)]), (7, vec![run(7)])]];
        let chunks: Vec<Vec<u64>> = (0..2).map(|n| position(&axes, n).0).collect();
        assert_eq!(chunks, [[4, 0], [4, 7]]);
        assert_eq!(position(&[], 0).0, Vec::<u64>::new());
    }
}
