//! The memory that a band is put together in: one piece, or several along its outermost axis, so that what
//! has been sent is free again while the rest waits.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cdm::{Error, Result};

use super::{decoded::Decoded, plan::Run, strided::Extent};
use crate::buffers::Buffer;

/// Bytes of a piece, as nearly as indices of the axis allow.
const PIECE: u64 = 1 << 20;

/// A band being filled, by several threads at once.
#[derive(Debug)]
pub(super) struct Target {
    element: usize,
    /// The axis that pieces are cut along, the first with more than one index.
    axis: usize,
    /// Indices of that axis in each piece but the last.
    rows: u64,
    /// Elements of the whole band per axis.
    shape: Vec<u64>,
    pieces: Vec<Mutex<Buffer>>,
}

impl Target {
    /// Room for a band of `shape`. Without `fill`, every element must be written.
    pub(super) fn new(shape: &[u64], element: usize, fill: Option<&Bytes>) -> Result<Self> {
        Self::in_pieces(PIECE, shape, element, fill)
    }

    fn in_pieces(piece: u64, shape: &[u64], element: usize, fill: Option<&Bytes>) -> Result<Self> {
        let axis = shape.iter().position(|n| *n > 1).unwrap_or(0);
        let size = shape.get(axis).copied().unwrap_or(1);
        let too_large = || Error::too_large("a band is too large");
        let row = shape.iter().skip(axis + 1).try_fold(element as u64, |n, s| n.checked_mul(*s));
        let row = row.ok_or_else(too_large)?;
        // A band of little more than a piece is one.
        let rows = if row.saturating_mul(size) <= 2 * piece { size } else { (piece / row.max(1)).max(1) };
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < size {
            let len = rows.min(size - done).checked_mul(row).and_then(|n| usize::try_from(n).ok());
            let mut room = Buffer::new(len.ok_or_else(too_large)?)?;
            if let Some(fill) = fill {
                repeat(fill, &mut room)?;
            }
            pieces.push(Mutex::new(room));
            done += rows.min(size - done);
        }
        Ok(Self { element, axis, rows, shape: shape.to_vec(), pieces })
    }

    /// Copies what `part` names out of a chunk.
    pub(super) fn scatter(&self, part: &[Run], chunk_shape: &[u64], source: &Decoded) -> Result<()> {
        for (i, piece) in self.pieces.iter().enumerate() {
            let (first, shape) = self.piece(i);
            let Some(part) = cut(part, self.axis, first, shape.get(self.axis).copied().unwrap_or(1)) else {
                continue;
            };
            let mut piece = piece.lock().unwrap_or_else(PoisonError::into_inner);
            source.scatter(&part, chunk_shape, &shape, &mut piece, self.element)?;
        }
        Ok(())
    }

    /// Lets `write` fill the bytes of `part` where they are one run of the only piece; `None` where they are
    /// not. Nobody else can write meanwhile.
    pub(super) fn in_place<T>(&self, part: &[Run], write: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
        let [only] = self.pieces.as_slice() else { return None };
        let placed: Vec<Run> = part.iter().map(|r| Run { start: r.out, step: 1, ..*r }).collect();
        let extent = Extent::of(&placed, &self.shape, self.element as u64);
        let range = usize::try_from(extent.start).ok()?..usize::try_from(extent.end).ok()?;
        if !extent.is_contiguous() {
            return None;
        }
        let mut piece = only.lock().unwrap_or_else(PoisonError::into_inner);
        piece.get_mut(range).map(write)
    }

    /// The band, in order.
    pub(super) fn into_pieces(self) -> Vec<Buffer> {
        self.pieces
            .into_iter()
            .map(|piece| piece.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Where piece `i` begins on the axis, and its shape.
    fn piece(&self, i: usize) -> (u64, Vec<u64>) {
        let mut shape = self.shape.clone();
        let first = self.rows.saturating_mul(i as u64);
        if let Some(size) = shape.get_mut(self.axis) {
            *size = size.saturating_sub(first).min(self.rows);
        }
        (first, shape)
    }
}

/// What of `part` goes to indices `first..first + size` of the output's `axis`, as seen from there.
fn cut(part: &[Run], axis: usize, first: u64, size: u64) -> Option<Vec<Run>> {
    let mut part = part.to_vec();
    // A scalar has no axis to cut.
    let Some(run) = part.get_mut(axis) else { return Some(part) };
    let skipped = first.saturating_sub(run.out);
    let begin = run.out.max(first);
    let end = (run.out + run.count).min(first + size);
    if begin >= end {
        return None;
    }
    *run = Run { start: run.start + skipped * run.step, count: end - begin, out: begin - first, ..*run };
    Some(part)
}

/// Writes `value` over and over.
pub(super) fn repeat(value: &[u8], out: &mut [u8]) -> Result<()> {
    match value {
        [] => return Err(Error::internal("a fill value without bytes")),
        value if value.iter().all(|b| *b == value[0]) => out.fill(value[0]),
        value if out.len().is_multiple_of(value.len()) => {
            out.chunks_exact_mut(value.len()).for_each(|element| element.copy_from_slice(value));
        }
        _ => return Err(Error::internal("a fill value of another size than the elements")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cdm::Selection;
    use proptest::prelude::*;

    use super::*;
    use crate::chunked::plan::{BandLimit, Plan, tests::cases};

    proptest! {
        #[test]
        fn pieces_hold_what_one_buffer_would(
            (shape, chunk_shape, axes) in cases(), piece in 1_u64..64, element in prop::sample::select(vec![1_usize, 3, 4]),
        ) {
            let selection = Selection::new(axes, &shape).unwrap();
            let mut plan = Plan::new(&chunk_shape, &selection);
            let everything = BandLimit { aim: u64::MAX, aligned: u64::MAX };
            let Some(band) = plan.next_band(everything) else { return Ok(()) };
            let fill = Bytes::from(vec![0xAB; element]);
            let whole = Target::in_pieces(1 << 20, &band.shape, element, Some(&fill)).unwrap();
            let cut = Target::in_pieces(piece, &band.shape, element, Some(&fill)).unwrap();
            let len = usize::try_from(chunk_shape.iter().product::<u64>()).unwrap() * element;
            for (n, part) in band.parts().enumerate() {
                let chunk: Vec<u8> = (0..len).map(|i| u8::try_from((i * 31 + n * 7) % 251).unwrap()).collect();
                let chunk = Decoded::run(chunk.into(), 0);
                whole.scatter(&part, &chunk_shape, &chunk).unwrap();
                cut.scatter(&part, &chunk_shape, &chunk).unwrap();
            }
            let row = cut.shape.iter().skip(cut.axis + 1).product::<u64>() * element as u64;
            let pieces = cut.into_pieces();
            prop_assert!(pieces.len() == 1 || pieces.iter().all(|p| p.len() as u64 <= piece.max(row)));
            let joined: Vec<u8> = pieces.iter().flat_map(|p| p.to_vec()).collect();
            let whole: Vec<u8> = whole.into_pieces().iter().flat_map(|p| p.to_vec()).collect();
            prop_assert_eq!(joined, whole);
        }
    }

    #[test]
    fn a_fill_value_must_fit() {
        let mut out = [0; 6];
        repeat(&[1, 2, 3], &mut out).unwrap();
        assert_eq!(out, [1, 2, 3, 1, 2, 3]);
        repeat(&[9, 9], &mut out).unwrap();
        assert_eq!(out, [9; 6]);
        assert!(repeat(&[1, 2, 3, 4], &mut out).is_err() && repeat(&[], &mut out).is_err());
    }
}
