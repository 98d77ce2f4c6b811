//! Copying a regular selection out of a row-major array into another: the innermost loops.

use cdm::{Error, Result};

use super::{
    codecs::{unshuffle_every, unshuffle_run},
    plan::Run,
};

/// A regular walk over one axis: how often, and how far apart in bytes on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    count: usize,
    from: usize,
    to: usize,
}

/// Copies the elements that `part` names out of a chunk into a band.
///
/// `source` holds the chunk's bytes from byte `skipped` on. `element` is the byte size of an element.
///
/// # Errors
/// `Corrupt` when `source` does not hold what is asked for.
pub(crate) fn scatter(
    part: &[Run],
    chunk_shape: &[u64],
    (source, skipped): (&[u8], u64),
    band_shape: &[u64],
    target: &mut [u8],
    element: usize,
) -> Result<()> {
    let extent = Extent::of(part, chunk_shape, element as u64);
    let from = extent.start.checked_sub(skipped).and_then(|n| usize::try_from(n).ok()).ok_or_else(short)?;
    if (source.len() as u64).saturating_add(skipped) < extent.end {
        return Err(short());
    }
    walk(part, chunk_shape, from, band_shape, element, |step, from, to| {
        line(step, source.get(from..).ok_or_else(short)?, target.get_mut(to..).ok_or_else(short)?, element)
    })
}

/// As [`scatter`], out of a whole chunk whose elements are shuffled: the first bytes of all of them, then all
/// second bytes... Only what is wanted is put together.
pub(crate) fn scatter_shuffled(
    part: &[Run],
    chunk_shape: &[u64],
    planes: &[u8],
    band_shape: &[u64],
    target: &mut [u8],
    element: usize,
) -> Result<()> {
    let extent = Extent::of(part, chunk_shape, element as u64);
    if (planes.len() as u64) < extent.end {
        return Err(short());
    }
    let from = size(extent.start)?;
    walk(part, chunk_shape, from, band_shape, element, |step, from, to| {
        let (first, every) = (from / element, step.from / element);
        let len = (step.count - 1) * step.to + element;
        let out = target.get_mut(to..).and_then(|t| t.get_mut(..len)).ok_or_else(short)?;
        if every == 1 && step.to == element {
            unshuffle_run(element, planes, first, out)
        } else {
            unshuffle_every(element, planes, (first, every), out, step.to)
        }
        .ok_or_else(short)
    })
}

/// Calls `line` for every innermost line of a part, with where it begins in the source, the first one at
/// `from`, and in the target.
fn walk(
    part: &[Run],
    chunk_shape: &[u64],
    from: usize,
    band_shape: &[u64],
    element: usize,
    mut line: impl FnMut(Step, usize, usize) -> Result<()>,
) -> Result<()> {
    let to = part.iter().zip(strides(band_shape, element as u64)).map(|(r, s)| r.out * s).sum::<u64>();
    // Axes of one index vanish; an axis that continues its inner neighbour on both sides joins it.
    let mut steps: Vec<Step> = vec![Step { count: 1, from: element, to: element }];
    let from_strides = strides(chunk_shape, element as u64);
    let to_strides = strides(band_shape, element as u64);
    for ((run, a), b) in part.iter().zip(from_strides).zip(to_strides).rev() {
        if run.count == 1 {
            continue;
        }
        let step = Step { count: size(run.count)?, from: size(run.step.saturating_mul(a))?, to: size(b)? };
        match steps.last_mut() {
            Some(inner) if inner.count == 1 && steps_len_one(inner, element) => *inner = step,
            Some(inner) if step.from == inner.from * inner.count && step.to == inner.to * inner.count => {
                inner.count *= step.count;
            }
            _ => steps.push(step),
        }
    }
    let (inner, outer) = (steps[0], &mut steps[1..]);
    outer.reverse();
    let mut at = vec![0_usize; outer.len()];
    let (mut from, mut to) = (from, size(to)?);
    loop {
        line(inner, from, to)?;
        let mut axis = outer.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return Ok(()) };
            axis = next;
            let step = outer[axis];
            at[axis] += 1;
            from += step.from;
            to += step.to;
            if at[axis] < step.count {
                break;
            }
            at[axis] = 0;
            from -= step.from * step.count;
            to -= step.to * step.count;
        }
    }
}

/// The placeholder that a walk begins with.
fn steps_len_one(step: &Step, element: usize) -> bool {
    step.from == element && step.to == element
}

/// One innermost line.
fn line(step: Step, source: &[u8], target: &mut [u8], element: usize) -> Result<()> {
    if step.from == element && step.to == element {
        let len = step.count * element;
        target.get_mut(..len).ok_or_else(short)?.copy_from_slice(source.get(..len).ok_or_else(short)?);
        return Ok(());
    }
    let last = (step.count - 1) * step.from + element;
    let last_to = (step.count - 1) * step.to + element;
    let source = source.get(..last).ok_or_else(short)?;
    let target = target.get_mut(..last_to).ok_or_else(short)?;
    match element {
        1 => lines::<1>(step, source, target),
        2 => lines::<2>(step, source, target),
        4 => lines::<4>(step, source, target),
        8 => lines::<8>(step, source, target),
        _ => {
            for (a, b) in source.chunks(step.from).zip(target.chunks_mut(step.to)) {
                b[..element].copy_from_slice(&a[..element]);
            }
        }
    }
    Ok(())
}

/// As the general case, with the element's size known to the compiler.
fn lines<const N: usize>(step: Step, source: &[u8], target: &mut [u8]) {
    for (a, b) in source.chunks(step.from).zip(target.chunks_mut(step.to)) {
        if let (Some(a), Some(b)) = (a.first_chunk::<N>(), b.first_chunk_mut::<N>()) {
            *b = *a;
        }
    }
}

/// Where in a chunk's bytes a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// First byte.
    pub(crate) start: u64,
    /// One past the last byte.
    pub(crate) end: u64,
    /// Bytes wanted in between; all of them when they follow each other without gap.
    pub(crate) wanted: u64,
}

impl Extent {
    /// The extent of `part` in a row-major chunk. Saturates.
    pub(crate) fn of(part: &[Run], chunk_shape: &[u64], element: u64) -> Self {
        let (mut start, mut last, mut wanted) = (0_u64, 0_u64, element);
        for (run, stride) in part.iter().zip(strides(chunk_shape, element)) {
            start = start.saturating_add(run.start.saturating_mul(stride));
            let end = run.start.saturating_add((run.count - 1).saturating_mul(run.step));
            last = last.saturating_add(end.saturating_mul(stride));
            wanted = wanted.saturating_mul(run.count);
        }
        Self { start, end: last.saturating_add(element), wanted }
    }

    /// True when nothing lies between the bytes wanted. Runs ascend, so the order is then the chunk's.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.end - self.start == self.wanted
    }
}

/// Byte distance between neighbours on each axis of a row-major array. Saturates.
fn strides(shape: &[u64], element: u64) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator {
    let mut all = vec![element; shape.len()];
    for i in (1..shape.len()).rev() {
        all[i - 1] = all[i].saturating_mul(shape[i]);
    }
    all.into_iter()
}

fn size(n: u64) -> Result<usize> {
    usize::try_from(n).map_err(|e| Error::too_large("an array is too large").with_source(e))
}

fn short() -> Error {
    Error::corrupt("a chunk is shorter than its shape demands")
}
