//! How a selection is cut into bands, and a band into parts of chunks: pure arithmetic.
//!
//! A *band* is a run of the output in row-major order: one index on every axis before some axis `k`, a
//! range of axis `k`, everything of the axes after it. A *run* is what one axis of a band takes from
//! one chunk as one regular slice; a *part* is one run per axis. Nothing is enumerated per element.

use std::sync::Arc;

use cdm::{Selection, Slice};

/// Parts a band may have, so that a plan of tiny chunks stays small in memory.
const MOST_PARTS: u64 = 8192;

/// What one axis of a band takes from one chunk: `count` indices, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Position of the chunk along the axis of the chunk grid.
    pub chunk: u64,
    /// First index within the chunk.
    pub start: u64,
    /// Distance between indices within the chunk.
    pub step: u64,
    /// Number of indices, at least 1.
    pub count: u64,
    /// Where the first goes: index along the band's axis.
    pub out: u64,
}

/// A run of the output.
#[derive(Debug, Clone)]
pub struct Band {
    /// Row-major position of its first element in the output.
    pub first: u64,
    /// Elements per axis.
    pub shape: Vec<u64>,
    /// The runs of each axis, ascending in `out`.
    pub axes: Vec<Arc<[Run]>>,
}

impl Band {
    /// Number of elements.
    pub fn element_count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Number of parts.
    pub fn part_count(&self) -> u64 {
        self.axes.iter().map(|runs| runs.len() as u64).product()
    }

    /// One run per axis, for every combination, in order.
    pub fn parts(&self) -> impl Iterator<Item = Vec<Run>> + '_ {
        let mut at = vec![0_usize; self.axes.len()];
        let mut left = self.part_count();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let part = self.axes.iter().zip(&at).filter_map(|(runs, &i)| runs.get(i).copied()).collect();
            for (i, runs) in at.iter_mut().zip(&self.axes).rev() {
                *i += 1;
                if *i < runs.len() {
                    break;
                }
                *i = 0;
            }
            Some(part)
        })
    }
}

/// How large bands may be, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BandLimit {
    /// Aim for this many; a band has at least one element.
    pub aim: u64,
    /// Go up to this many rather than cut through chunks, or when they have to be cut.
    pub aligned: u64,
}

/// The bands of a selection, in row-major order.
#[derive(Debug)]
pub struct Plan {
    axes: Vec<Axis>,
    /// Elements of the output per axis.
    shape: Vec<u64>,
    /// The next band's first index on each axis; `None` when there is no more.
    at: Option<Vec<u64>>,
    /// Row-major position of `at`.
    first: u64,
}

/// The slices of one axis and the chunk size along it.
#[derive(Debug)]
struct Axis {
    slices: Vec<Slice>,
    /// Output index at which each slice begins.
    begins: Vec<u64>,
    chunk: u64,
    /// Number of runs of the whole axis.
    run_count: u64,
    /// The runs of the whole axis, once needed.
    whole: Option<Arc<[Run]>>,
}

impl Plan {
    /// `chunk_shape` has the selection's rank and no 0.
    pub fn new(chunk_shape: &[u64], selection: &Selection) -> Self {
        let axes: Vec<Axis> =
            selection.axes().iter().zip(chunk_shape).map(|(s, &c)| Axis::new(s, c.max(1))).collect();
        let shape = selection.shape();
        let at = (!shape.contains(&0)).then(|| vec![0; shape.len()]);
        Self { axes, shape, at, first: 0 }
    }

    /// True when there is no further band.
    pub fn is_done(&self) -> bool {
        self.at.is_none()
    }

    /// The next band; limits may differ from call to call.
    pub fn next_band(&mut self, limit: BandLimit) -> Option<Band> {
        let at = self.at.take()?;
        let rank = self.shape.len();
        if rank == 0 {
            return Some(Band { first: 0, shape: Vec::new(), axes: Vec::new() });
        }
        // The outermost axis along which a row (everything of the axes after it) fits. A band that begins
        // in the middle of an axis stays within it.
        let mut k = rank - 1;
        let (mut row, mut row_parts) = (1_u64, 1_u64);
        let deepest = at.iter().rposition(|&i| i > 0).unwrap_or(0);
        while k > deepest {
            let axis = &self.axes[k];
            let (wider, parts) =
                (row.saturating_mul(self.shape[k]), row_parts.saturating_mul(axis.run_count));
            if wider > limit.aim || parts > MOST_PARTS {
                break;
            }
            (row, row_parts) = (wider, parts);
            k -= 1;
        }
        let runs = self.axes[k].take(
            at[k],
            self.shape[k],
            Take {
                aim: (limit.aim / row).max(1),
                aligned: (limit.aligned / row).max(1),
                runs: (MOST_PARTS / row_parts).max(1),
            },
        );
        let taken = runs.last().map_or(0, |r| r.out + r.count);
        let mut band = Band { first: self.first, shape: vec![1; rank], axes: Vec::with_capacity(rank) };
        for (i, (axis, &from)) in self.axes.iter_mut().zip(&at).enumerate() {
            band.axes.push(match i.cmp(&k) {
                std::cmp::Ordering::Less => {
                    axis.take(from, self.shape[i], Take { aim: 1, aligned: 1, runs: 1 }).into()
                }
                std::cmp::Ordering::Equal => runs.as_slice().into(),
                std::cmp::Ordering::Greater => axis.all(self.shape[i]),
            });
        }
        band.shape[k] = taken;
        band.shape[k + 1..].copy_from_slice(&self.shape[k + 1..]);
        self.first += taken * row;
        self.at = self.advance(at, k, taken);
        Some(band)
    }

    /// Takes back the last band, so that the next begins where it did.
    pub fn give_back(&mut self, band: &Band) {
        let mut at = vec![0; self.shape.len()];
        let mut left = band.first;
        for (i, &size) in at.iter_mut().zip(&self.shape).rev() {
            *i = left % size;
            left /= size;
        }
        (self.at, self.first) = (Some(at), band.first);
    }

    fn advance(&self, mut at: Vec<u64>, k: usize, taken: u64) -> Option<Vec<u64>> {
        at[k] += taken;
        for i in (0..=k).rev() {
            if at[i] < self.shape[i] {
                return Some(at);
            }
            at[i] = 0;
            if i > 0 {
                at[i - 1] += 1;
            }
        }
        None
    }
}

/// How much of an axis one band takes.
#[derive(Debug, Clone, Copy)]
struct Take {
    aim: u64,
    aligned: u64,
    runs: u64,
}

impl Axis {
    fn new(slices: &[Slice], chunk: u64) -> Self {
        let slices: Vec<Slice> = slices.iter().copied().filter(|s| s.count > 0).collect();
        let mut begins = Vec::with_capacity(slices.len());
        let (mut begin, mut run_count) = (0_u64, 0_u64);
        for s in &slices {
            begins.push(begin);
            begin += s.count;
            run_count += if s.step.get() >= chunk {
                s.count
            } else {
                s.last().unwrap_or(s.start) / chunk - s.start / chunk + 1
            };
        }
        Self { slices, begins, chunk, run_count, whole: None }
    }

    /// Every run from output index `from` on, `out` counted from there.
    fn runs(&self, from: u64) -> impl Iterator<Item = Run> + '_ {
        let first = self.begins.partition_point(|&b| b <= from).saturating_sub(1);
        let chunk = self.chunk;
        self.slices.iter().zip(&self.begins).skip(first).flat_map(move |(s, &begin)| {
            let step = s.step.get();
            let mut done = from.saturating_sub(begin);
            std::iter::from_fn(move || {
                let left = s.count.checked_sub(done).filter(|&n| n > 0)?;
                let index = s.start + done * step;
                let start = index % chunk;
                let count = ((chunk - 1 - start) / step + 1).min(left);
                let run = Run { chunk: index / chunk, start, step, count, out: begin + done - from };
                done += count;
                Some(run)
            })
        })
    }

    /// Whole runs as long as they fit; the first is cut when even it does not.
    fn take(&self, from: u64, size: u64, take: Take) -> Vec<Run> {
        let mut taken: Vec<Run> = Vec::new();
        let most = size - from;
        for run in self.runs(from) {
            let end = run.out + run.count;
            if taken.is_empty() {
                // A run that must be cut is cut evenly into as few bands as may be: each of them needs
                // the chunk.
                let count = run.count.div_ceil(run.count.div_ceil(take.aligned)).min(most);
                taken.push(Run { count, ..run });
                if count < run.count {
                    break;
                }
            } else if end <= take.aim && (taken.len() as u64) < take.runs {
                taken.push(run);
            } else {
                break;
            }
        }
        taken
    }

    fn all(&mut self, size: u64) -> Arc<[Run]> {
        if let Some(whole) = &self.whole {
            return Arc::clone(whole);
        }
        let whole: Arc<[Run]> = self.take(0, size, Take { aim: size, aligned: size, runs: u64::MAX }).into();
        self.whole = Some(Arc::clone(&whole));
        whole
    }
}

/// What one axis takes from its chunks, which have `chunk` indices: the first `most` runs.
pub(super) fn runs(slices: &[Slice], chunk: u64, most: usize) -> Vec<Run> {
    Axis::new(slices, chunk.max(1)).runs(0).take(most).collect()
}

#[cfg(test)]
pub(crate) mod tests;
