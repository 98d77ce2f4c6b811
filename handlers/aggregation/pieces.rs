//! Cuts a selection of a mosaic into pieces that are read one after the other: runs that one part has all of
//! are passed on as they come, small and interleaved parts are gathered into bands. Pure; no I/O.

use std::{ops::Range, sync::Arc};

use cdm::{Result, Selection, Slice};

use super::parts::{Along, Mosaic};

/// How large pieces are, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// What is gathered at once.
    pub(super) band: u64,
    /// A run of fewer bytes is gathered together with what follows it.
    pub(super) small: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { band: 2 << 20, small: 512 << 10 }
    }
}

/// Elements whose size is not fixed are taken to have so many bytes.
pub(super) const VARYING: u64 = 64;

/// Part of the output: consecutive elements in row-major order.
#[derive(Debug)]
pub(super) enum Piece {
    /// One part has all of it, in order.
    Whole(Gathered),
    /// No part has anything of it.
    Fill {
        /// Number of elements.
        count: u64,
    },
    /// Several parts have some of it, the rest is fill.
    Band {
        /// Sizes of the band's axes.
        shape: Vec<u64>,
        /// What there is of it.
        parts: Vec<Gathered>,
    },
}

/// What one part has of a window.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    /// The part's position in [`Mosaic::parts`].
    pub(super) part: usize,
    /// Per axis of the result: where runs of it go.
    pub(super) runs: Vec<Vec<Run>>,
    /// What is read of the member's variable.
    pub(super) selection: Selection,
}

/// Consecutive positions of the output along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first, from the window's beginning.
    pub(super) to: u64,
    /// How many.
    pub(super) count: u64,
}

/// Goes through a selection piece by piece.
#[derive(Debug)]
pub(super) struct Cutter {
    mosaic: Arc<Mosaic>,
    selection: Selection,
    /// Of the output.
    shape: Vec<u64>,
    /// The next output position; `None` at the end.
    at: Option<Vec<u64>>,
    element: u64,
    sizes: Sizes,
    /// What is gathered at once now.
    band: u64,
}

impl Cutter {
    /// `element_size` is that of the result.
    pub(super) fn new(
        mosaic: Arc<Mosaic>,
        selection: Selection,
        element_size: Option<u64>,
        sizes: Sizes,
    ) -> Self {
        let shape = selection.shape();
        let at = (!shape.contains(&0)).then(|| vec![0; shape.len()]);
        Self {
            mosaic,
            selection,
            shape,
            at,
            element: element_size.unwrap_or(VARYING).max(1),
            sizes,
            band: sizes.band,
        }
    }

    /// Gathers no more than so many bytes at once from now on, nor more than it was made for.
    pub(super) fn limit(&mut self, band: u64) {
        self.band = self.sizes.band.min(band).max(1);
    }

    /// The next piece; `None` at the end. `shape_of` tells the shape of a part's variable in its member.
    pub(super) fn next(&mut self, shape_of: &dyn Fn(usize) -> Result<Vec<u64>>) -> Option<Result<Piece>> {
        let at = self.at.take()?;
        let (axis, run, piece) = match self.cut(&at, shape_of) {
            Ok(cut) => cut,
            Err(error) => return Some(Err(error)),
        };
        self.at = axis.and_then(|axis| self.after(at, axis, run));
        Some(Ok(piece))
    }

    /// The axis and number of steps along it of the next piece (no axis: the piece is all there is).
    fn cut(
        &self,
        at: &[u64],
        shape_of: &dyn Fn(usize) -> Result<Vec<u64>>,
    ) -> Result<(Option<usize>, u64, Piece)> {
        // Only axes inside of which nothing has been given out yet can be cut.
        let outermost = at.iter().rposition(|&p| p > 0).unwrap_or(0);
        let rank = at.len();
        for axis in outermost..rank {
            let left = self.shape[axis] - at[axis];
            let step = self.shape[axis + 1..].iter().fold(self.element, |n, &s| n.saturating_mul(s));
            let parts = self.gather(&self.window(at, Some(axis), 1), shape_of)?;
            let run = match parts.as_slice() {
                [] => Some(self.until_a_part(at, axis)),
                [only] if self.is_all(only, axis) => Some(self.until_its_end(at, axis, only.part)),
                _ => None,
            };
            if let Some(run) = run
                && (run == left || run.saturating_mul(step) >= self.sizes.small)
            {
                return Ok((Some(axis), run, self.piece(at, Some(axis), run, shape_of)?));
            }
            if step <= self.band || axis + 1 == rank {
                let run = (self.band / step).clamp(1, left);
                return Ok((Some(axis), run, self.piece(at, Some(axis), run, shape_of)?));
            }
        }
        Ok((None, 0, self.piece(at, None, 0, shape_of)?))
    }

    /// The position after `run` steps along `axis`.
    fn after(&self, mut at: Vec<u64>, axis: usize, run: u64) -> Option<Vec<u64>> {
        at[axis] += run;
        for a in (0..=axis).rev() {
            if at[a] < self.shape[a] {
                return Some(at);
            }
            at[a] = 0;
            if let Some(outer) = a.checked_sub(1) {
                at[outer] += 1;
            }
        }
        None
    }

    fn piece(
        &self,
        at: &[u64],
        axis: Option<usize>,
        run: u64,
        shape_of: &dyn Fn(usize) -> Result<Vec<u64>>,
    ) -> Result<Piece> {
        let window = self.window(at, axis, run);
        let shape: Vec<u64> = window.iter().map(|slices| slices.iter().map(|s| s.count).sum()).collect();
        let count = shape.iter().product();
        let mut parts = self.gather(&window, shape_of)?;
        Ok(match parts.as_slice() {
            [] => Piece::Fill { count },
            [only] if only.selection.element_count() == count => match parts.pop() {
                Some(only) => Piece::Whole(only),
                None => Piece::Fill { count },
            },
            _ => Piece::Band { shape, parts },
        })
    }

    /// Per axis the slices of the selection from `at`: single positions outside `axis`, `run` of them along it,
    /// all inside it.
    fn window(&self, at: &[u64], axis: Option<usize>, run: u64) -> Vec<Vec<Slice>> {
        let along = axis.unwrap_or(0);
        (0..at.len())
            .map(|a| {
                let range = match a.cmp(&along) {
                    std::cmp::Ordering::Less => at[a]..at[a] + 1,
                    std::cmp::Ordering::Equal => at[a]..at[a] + run,
                    std::cmp::Ordering::Greater => 0..self.shape[a],
                };
                clip(&self.selection.axes()[a], &range)
            })
            .collect()
    }

    /// What each part has of a window.
    fn gather(
        &self,
        window: &[Vec<Slice>],
        shape_of: &dyn Fn(usize) -> Result<Vec<u64>>,
    ) -> Result<Vec<Gathered>> {
        let near = match self.mosaic.axis() {
            Some(axis) => extent(&window[axis]),
            None => 0..u64::MAX,
        };
        let mut found = Vec::new();
        'parts: for (position, part) in self.mosaic.near(&near) {
            let mut runs = Vec::with_capacity(window.len());
            let mut axes = Vec::with_capacity(window.len());
            for (slices, span) in window.iter().zip(part.axes.iter()) {
                let (to, from) = intersect(slices, &span.range());
                if to.is_empty() {
                    continue 'parts;
                }
                if let Along::From(start) = span.along {
                    let shifted = from.into_iter().map(|s| Slice { start: s.start - span.at + start, ..s });
                    axes.push(shifted.collect());
                }
                runs.push(to);
            }
            let selection = Selection::new(axes, &shape_of(position)?)?;
            found.push(Gathered { part: position, runs, selection });
        }
        Ok(found)
    }

    /// Whether a part has all of a window of one step along `axis`, without repeating anything.
    fn is_all(&self, part: &Gathered, axis: usize) -> bool {
        let count = self.shape[axis + 1..].iter().fold(1_u64, |n, &s| n.saturating_mul(s));
        part.selection.element_count() == count
    }

    /// Steps along `axis` in which a part goes on having everything.
    fn until_its_end(&self, at: &[u64], axis: usize, part: usize) -> u64 {
        let Some(span) = self.mosaic.parts().get(part).and_then(|p| p.axes.get(axis)) else { return 1 };
        if span.along == Along::Repeated {
            return 1;
        }
        let mut steps = 0;
        for slice in clip(&self.selection.axes()[axis], &(at[axis]..self.shape[axis])) {
            let inside = clip_to(slice, &span.range()).filter(|(skipped, _)| *skipped == 0);
            let Some((_, inside)) = inside else { break };
            steps += inside.count;
            if inside.count < slice.count {
                break;
            }
        }
        steps.max(1)
    }

    /// Steps along `axis` before any part begins that has something of what is outside and inside of it.
    fn until_a_part(&self, at: &[u64], axis: usize) -> u64 {
        let rest = self.window(at, Some(axis), self.shape[axis] - at[axis]);
        let near = self.mosaic.axis().map_or(0..u64::MAX, |a| extent(&rest[a]));
        let mut first = self.shape[axis] - at[axis];
        for (_, part) in self.mosaic.near(&near) {
            let touches = rest.iter().zip(part.axes.iter()).enumerate().map(|(a, (slices, span))| {
                let (runs, _) = intersect(slices, &span.range());
                (a, runs.first().copied())
            });
            let mut begins = Some(first);
            for (a, run) in touches {
                begins = match run {
                    None => None,
                    Some(run) if a == axis => begins.map(|_| run.to),
                    Some(_) => begins,
                };
                if begins.is_none() {
                    break;
                }
            }
            first = first.min(begins.unwrap_or(first));
        }
        first.max(1)
    }
}

/// The slices of positions `range` of a concatenation of slices.
fn clip(slices: &[Slice], range: &Range<u64>) -> Vec<Slice> {
    let mut found = Vec::new();
    let mut begin = 0;
    for slice in slices {
        let end = begin + slice.count;
        let (from, to) = (range.start.max(begin), range.end.min(end));
        if from < to {
            found.push(Slice {
                start: slice.start + (from - begin) * slice.step.get(),
                step: slice.step,
                count: to - from,
            });
        }
        begin = end;
        if begin >= range.end {
            break;
        }
    }
    found
}

/// The part of a slice whose indices are in `range`, with how many before it are not.
fn clip_to(slice: Slice, range: &Range<u64>) -> Option<(u64, Slice)> {
    let step = slice.step.get();
    let steps_to = |index: u64| index.saturating_sub(slice.start).div_ceil(step).min(slice.count);
    let (from, to) = (steps_to(range.start), steps_to(range.end));
    (from < to)
        .then(|| (from, Slice { start: slice.start + from * step, step: slice.step, count: to - from }))
}

/// Which positions of the concatenated slices have an index in `range`, and those indices.
fn intersect(slices: &[Slice], range: &Range<u64>) -> (Vec<Run>, Vec<Slice>) {
    let (mut runs, mut inside) = (Vec::new(), Vec::new());
    let mut begin = 0;
    for slice in slices {
        if let Some((skipped, part)) = clip_to(*slice, range) {
            runs.push(Run { to: begin + skipped, count: part.count });
            inside.push(part);
        }
        begin += slice.count;
    }
    (runs, inside)
}

/// From the smallest to the largest index.
fn extent(slices: &[Slice]) -> Range<u64> {
    let start = slices.iter().map(|s| s.start).min().unwrap_or(0);
    let end = slices.iter().filter_map(Slice::last).max().map_or(start, |last| last + 1);
    start..end
}
