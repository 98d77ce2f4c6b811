//! Puts what parts have of a band where it belongs in the output.

use bytes::Bytes;
use cdm::{Block, Error, Result};

use super::{
    parts::{Along, Part},
    pieces::{Gathered, Run},
};

/// Output being put together, all fill at first.
#[derive(Debug)]
pub(super) enum Canvas {
    /// Elements of `size` bytes.
    Fixed { bytes: Vec<u8>, size: usize },
    /// Elements of differing size.
    Varying(Vec<Bytes>),
}

impl Canvas {
    /// `count` elements of `fill`; `size` is that of one element when it is fixed.
    pub(super) fn new(count: u64, size: Option<u64>, fill: Option<&Bytes>) -> Result<Self> {
        let too_large = || Error::too_large("too much at once; ask for less");
        let count = usize::try_from(count).ok().ok_or_else(too_large)?;
        let Some(size) = size else {
            return Ok(Self::Varying(vec![fill.cloned().unwrap_or_default(); count]));
        };
        let size = usize::try_from(size).ok().ok_or_else(too_large)?;
        let len = count.checked_mul(size).ok_or_else(too_large)?;
        let bytes = match fill {
            Some(fill) if fill.len() == size && fill.iter().any(|&b| b != 0) => fill.repeat(count),
            _ => vec![0; len],
        };
        Ok(Self::Fixed { bytes, size })
    }

    /// The finished output.
    pub(super) fn into_block(self) -> Block {
        match self {
            Self::Fixed { bytes, .. } => Block::Fixed(bytes.into()),
            Self::Varying(elements) => Block::varying(elements),
        }
    }

    /// Puts `values`, what `part` has of a band of `shape`, where they belong.
    pub(super) fn paste(
        &mut self,
        shape: &[u64],
        part: &Part,
        gathered: &Gathered,
        values: &Block,
    ) -> Result<()> {
        let rows = Rows::new(shape, part, gathered)?;
        let short = || Error::internal("a part gave fewer values than were asked for");
        match (self, values) {
            (Self::Fixed { bytes: target, size }, Block::Fixed(source)) => {
                rows.each(&mut |from, to, count| {
                    let (from, to, len) = (from * *size, to * *size, count * *size);
                    let source = source.get(from..from + len).ok_or_else(short)?;
                    target.get_mut(to..to + len).ok_or_else(short)?.copy_from_slice(source);
                    Ok(())
                })
            }
            (Self::Varying(target), Block::Varying { ends, bytes }) => {
                let element = |i: usize| -> Option<Bytes> {
                    let start = if i == 0 { 0 } else { usize::try_from(*ends.get(i - 1)?).ok()? };
                    let end = usize::try_from(*ends.get(i)?).ok()?;
                    (start <= end && end <= bytes.len()).then(|| bytes.slice(start..end))
                };
                rows.each(&mut |from, to, count| {
                    for i in 0..count {
                        *target.get_mut(to + i).ok_or_else(short)? = element(from + i).ok_or_else(short)?;
                    }
                    Ok(())
                })
            }
            _ => Err(Error::internal("a part gave values of another kind")),
        }
    }
}

/// The contiguous rows of a part and of the band, in elements.
struct Rows<'a> {
    axes: Vec<AxisRuns<'a>>,
}

struct AxisRuns<'a> {
    runs: &'a [Run],
    /// Elements from one position to the next in the part; 0 where it is repeated.
    from: usize,
    /// The same in the band.
    to: usize,
}

impl<'a> Rows<'a> {
    fn new(shape: &[u64], part: &Part, gathered: &'a Gathered) -> Result<Self> {
        let mut axes = Vec::with_capacity(shape.len());
        let (mut from, mut to) = (1_usize, 1_usize);
        for ((runs, span), &size) in gathered.runs.iter().zip(part.axes.iter()).zip(shape).rev() {
            let repeated = span.along == Along::Repeated;
            axes.push(AxisRuns { runs, from: if repeated { 0 } else { from }, to });
            if !repeated {
                from =
                    from.checked_mul(elements(runs.iter().map(|r| r.count).sum())?).ok_or_else(overflow)?;
            }
            to = to.checked_mul(elements(size)?).ok_or_else(overflow)?;
        }
        axes.reverse();
        Ok(Self { axes })
    }

    /// Calls `copy` with where a row begins in the part, where in the band, and its length.
    fn each(&self, copy: &mut dyn FnMut(usize, usize, usize) -> Result<()>) -> Result<()> {
        go(&self.axes, 0, 0, copy)
    }
}

/// The rows along the first axis of `axes` from there on.
fn go(
    axes: &[AxisRuns<'_>],
    from: usize,
    to: usize,
    copy: &mut dyn FnMut(usize, usize, usize) -> Result<()>,
) -> Result<()> {
    let Some((outer, inner)) = axes.split_first() else { return copy(from, to, 1) };
    // Steps of the same length in both: the part has all that is inside of this axis, so a run is one row.
    let is_contiguous = outer.from == outer.to;
    let mut position = 0;
    for run in outer.runs {
        let (first, count) = (elements(run.to)?, elements(run.count)?);
        if is_contiguous {
            copy(from + position * outer.from, to + first * outer.to, count * outer.to)?;
        } else {
            for i in 0..count {
                go(inner, from + (position + i) * outer.from, to + (first + i) * outer.to, copy)?;
            }
        }
        position += count;
    }
    Ok(())
}

fn elements(count: u64) -> Result<usize> {
    usize::try_from(count).map_err(|e| Error::too_large("too much at once; ask for less").with_source(e))
}

fn overflow() -> Error {
    Error::too_large("too much at once; ask for less")
}
