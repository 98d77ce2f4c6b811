//! Variables shorter than their unlimited dimension: netCDF reads fill values for what is missing.
//!
//! What is stored comes from the chunk engine as ever; the rest is put between in output order.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, Result, Selection, Slice};
use futures::{StreamExt, TryStreamExt, stream};

use crate::chunked::{ChunkedArray, Engine};

/// Bytes of one block of missing elements.
const BLOCK_LEN: u64 = 1 << 20;

/// What a variable lacks.
#[derive(Debug)]
pub(super) struct Padding {
    /// One missing element.
    pub(super) missing: Block,
    /// Bytes of one element, if fixed.
    pub(super) fixed_size: Option<u64>,
}

/// Reads `selection` of a shape that reaches beyond the array's.
///
/// # Errors
/// `Internal` when the selection's rank is not the array's.
pub(super) fn read(
    engine: &Arc<Engine>,
    array: &Arc<ChunkedArray>,
    padding: &Arc<Padding>,
    selection: &Selection,
) -> Result<BlockStream> {
    let (inside, runs) = split(selection, &array.shape)?;
    let inner = engine.read(array, &inside);
    if runs.iter().flatten().all(|run| run.stored) {
        return Ok(inner);
    }
    Ok(interleave(inner, Segments::new(runs), Arc::clone(padding)))
}

/// Consecutive positions of an axis that are all stored, or all not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    len: u64,
    stored: bool,
}

/// The part of `selection` that is stored, and how each axis divides.
fn split(selection: &Selection, stored: &[u64]) -> Result<(Selection, Vec<Vec<Run>>)> {
    let mut axes = Vec::new();
    let mut runs = Vec::new();
    for (slices, &size) in selection.axes().iter().zip(stored) {
        let (mut kept, mut divided) = (Vec::new(), Vec::new());
        for slice in slices {
            let most = size.checked_sub(slice.start + 1).map_or(0, |n| n / slice.step.get() + 1);
            let count = slice.count.min(most);
            if count > 0 {
                kept.push(Slice { count, ..*slice });
                divided.push(Run { len: count, stored: true });
            }
            if slice.count > count {
                divided.push(Run { len: slice.count - count, stored: false });
            }
        }
        axes.push(kept);
        runs.push(divided);
    }
    let inside = Selection::new(axes, stored).map_err(|e| Error::internal(e.message()))?;
    Ok((inside, runs))
}

/// The runs of a whole selection in row-major order.
#[derive(Debug)]
struct Segments {
    runs: Vec<Vec<Run>>,
    /// Elements below one position of each axis.
    below: Vec<u64>,
    /// Per open axis: which run, and how many of its positions are done.
    open: Vec<(usize, u64)>,
}

impl Segments {
    fn new(runs: Vec<Vec<Run>>) -> Self {
        let mut below = vec![1_u64; runs.len()];
        for axis in (1..runs.len()).rev() {
            let count: u64 = runs[axis].iter().map(|r| r.len).sum();
            below[axis - 1] = below[axis].saturating_mul(count);
        }
        Self { runs, below, open: vec![(0, 0)] }
    }
}

impl Iterator for Segments {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        loop {
            let axis = self.open.len().checked_sub(1)?;
            let (at, done) = self.open.last_mut()?;
            match self.runs[axis].get(*at) {
                None => {
                    self.open.pop();
                    if let Some((_, done)) = self.open.last_mut() {
                        *done += 1;
                    }
                }
                Some(run) if *done >= run.len => (*at, *done) = (*at + 1, 0),
                Some(run) if !run.stored || axis + 1 == self.runs.len() => {
                    let len = (run.len - *done).saturating_mul(self.below[axis]);
                    (*at, *done) = (*at + 1, 0);
                    return Some(Run { len, stored: run.stored });
                }
                Some(_) => self.open.push((0, 0)),
            }
        }
    }
}

struct State {
    inner: BlockStream,
    segments: Segments,
    left: Run,
    /// A block of the array, and its elements already given out.
    block: Option<(Block, u64)>,
    padding: Arc<Padding>,
}

fn interleave(inner: BlockStream, segments: Segments, padding: Arc<Padding>) -> BlockStream {
    let left = Run { len: 0, stored: false };
    stream::try_unfold(State { inner, segments, left, block: None, padding }, next).boxed()
}

async fn next(mut state: State) -> Result<Option<(Block, State)>> {
    while state.left.len == 0 {
        match state.segments.next() {
            Some(run) => state.left = run,
            None => return Ok(None),
        }
    }
    let fixed = state.padding.fixed_size;
    if !state.left.stored {
        let one = (state.padding.missing.byte_len() as u64 + 8).max(1);
        let count = (BLOCK_LEN / one).clamp(1, state.left.len);
        state.left.len -= count;
        let block = repeated(&state.padding.missing, count);
        return Ok(Some((block, state)));
    }
    let (block, done) = loop {
        let (block, done) = match state.block.take() {
            Some(held) => held,
            None => match state.inner.try_next().await? {
                Some(block) => (block, 0),
                None => return Err(Error::internal("the stored part of a variable ended early")),
            },
        };
        if done < block.element_count(fixed) {
            break (block, done);
        }
    };
    let held = block.element_count(fixed);
    let count = (held - done).min(state.left.len);
    let part = part(&block, done, count, fixed)?;
    state.left.len -= count;
    state.block = Some((block, done + count));
    Ok(Some((part, state)))
}

fn repeated(one: &Block, count: u64) -> Block {
    let times = usize::try_from(count).unwrap_or(1);
    match one {
        Block::Fixed(bytes) => Block::Fixed(bytes.repeat(times).into()),
        Block::Varying { bytes, .. } => Block::varying(std::iter::repeat_n(bytes, times)),
    }
}

/// `count` elements of `block` from `start` on.
fn part(block: &Block, start: u64, count: u64, fixed_size: Option<u64>) -> Result<Block> {
    let outside = || Error::internal("a part of a block outside it");
    let index = |n: u64| usize::try_from(n).map_err(|e| outside().with_source(e));
    let cut = |bytes: &Bytes, from: u64, to: u64| {
        let (from, to) = (index(from)?, index(to)?);
        if from <= to && to <= bytes.len() { Ok(bytes.slice(from..to)) } else { Err(outside()) }
    };
    match block {
        Block::Fixed(bytes) => {
            let size = fixed_size.unwrap_or(1);
            Ok(Block::Fixed(cut(bytes, start * size, (start + count) * size)?))
        }
        Block::Varying { ends, bytes } => {
            let chosen = ends.get(index(start)?..index(start + count)?).ok_or_else(outside)?;
            let from = start.checked_sub(1).and_then(|i| ends.get(usize::try_from(i).ok()?)).copied();
            let from = from.unwrap_or(0);
            let to = chosen.last().copied().unwrap_or(from);
            let ends = chosen.iter().map(|e| e - from).collect();
            Ok(Block::Varying { ends, bytes: cut(bytes, from, to)? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element by element, as the definition says.
    fn check(shape: &[u64], stored: &[u64], axes: Vec<Vec<Slice>>, varying: bool) {
        let selection = Selection::new(axes, shape).unwrap();
        let (inside, runs) = split(&selection, stored).unwrap();
        let positions = |s: &Selection| -> Vec<Vec<u64>> {
            (0..s.axes().len()).fold(vec![vec![]], |all, axis| {
                all.iter()
                    .flat_map(|p: &Vec<u64>| {
                        s.indices(axis).map(move |i| [p.as_slice(), &[i]].concat()).collect::<Vec<_>>()
                    })
                    .collect()
            })
        };
        let element = |p: &Vec<u64>| {
            if p.iter().zip(stored).all(|(i, n)| i < n) {
                p.iter().map(|i| u8::try_from(*i).unwrap()).collect()
            } else {
                vec![0xff; if varying { 1 } else { p.len() }]
            }
        };
        let expected: Vec<Vec<u8>> = positions(&selection).iter().map(element).collect();
        let stored_elements: Vec<Vec<u8>> = positions(&inside).iter().map(element).collect();
        let block = |all: &[Vec<u8>]| {
            if varying { Block::varying(all) } else { Block::Fixed(all.concat().into()) }
        };
        let blocks: Vec<Result<Block>> = stored_elements.chunks(3).map(|c| Ok(block(c))).collect();
        let rank = shape.len();
        let fixed_size = (!varying).then_some(rank as u64);
        let missing = block(&[vec![0xff; if varying { 1 } else { rank }]]);
        let padding = Arc::new(Padding { missing, fixed_size });
        let stream = interleave(stream::iter(blocks).boxed(), Segments::new(runs), padding);
        let got: Vec<Block> = futures::executor::block_on(stream.try_collect()).unwrap();
        let flat = |b: &Block| match b {
            Block::Fixed(bytes) => bytes.chunks(rank).map(<[u8]>::to_vec).collect::<Vec<_>>(),
            Block::Varying { .. } => b.elements().map(<[u8]>::to_vec).collect(),
        };
        assert_eq!(got.iter().flat_map(flat).collect::<Vec<_>>(), expected, "{selection:?} of {stored:?}");
    }

    #[test]
    fn missing_elements_are_put_in_place() {
        let slice = |a, b, c| Slice::new(a, b, c).unwrap();
        for varying in [false, true] {
            check(&[5], &[3], vec![vec![Slice::all(5)]], varying);
            check(&[5], &[0], vec![vec![Slice::all(5)]], varying);
            check(&[4, 5], &[2, 5], vec![vec![Slice::all(4)], vec![slice(0, 2, 3)]], varying);
            check(&[4, 5], &[4, 3], vec![vec![slice(3, 1, 1), slice(0, 2, 2)], vec![Slice::all(5)]], varying);
            check(
                &[4, 5, 3],
                &[3, 2, 1],
                vec![vec![Slice::all(4)], vec![slice(4, 1, 1), slice(0, 1, 5)], vec![Slice::all(3)]],
                varying,
            );
            check(&[4, 5], &[2, 3], vec![vec![], vec![Slice::all(5)]], varying);
        }
    }
}
