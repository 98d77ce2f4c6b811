//! Chunk grids: how an array is cut into chunks, which elements a chunk holds, and putting those of a
//! chunk at the edge in their places. Pure arithmetic.

use cdm::{Selection, Slice};

/// Chunks that may be cut otherwise are about this large, in bytes.
const AIM: u64 = 2 << 20;
/// Chunks above this are cut, in bytes.
const LARGEST: u64 = 4 << 20;
/// Chunks below this are put together, in bytes.
const SMALLEST: u64 = 256 << 10;

/// Chunks along each axis.
pub(super) fn counts(shape: &[u64], chunk_shape: &[u64]) -> Vec<u64> {
    shape.iter().zip(chunk_shape).map(|(&n, &c)| n.div_ceil(c.max(1))).collect()
}

/// Chunks in all, saturating.
pub(super) fn count(shape: &[u64], chunk_shape: &[u64]) -> u64 {
    counts(shape, chunk_shape).iter().fold(1, |n, &c| n.saturating_mul(c))
}

/// Bytes of a whole chunk, saturating.
pub(super) fn byte_len(chunk_shape: &[u64], element: u64) -> u64 {
    chunk_shape.iter().fold(element, |n, &c| n.saturating_mul(c))
}

/// The elements that chunk `index` holds; `None` outside of the grid.
pub(super) fn region(shape: &[u64], chunk_shape: &[u64], index: &[u64]) -> Option<Selection> {
    if index.len() != shape.len() || chunk_shape.len() != shape.len() {
        return None;
    }
    let mut axes = Vec::with_capacity(shape.len());
    for ((&size, &chunk), &at) in shape.iter().zip(chunk_shape).zip(index) {
        let start = at.checked_mul(chunk).filter(|start| *start < size)?;
        axes.push(vec![Slice::new(start, 1, chunk.min(size - start)).ok()?]);
    }
    Selection::new(axes, shape).ok()
}

/// A chunk shape of a convenient size, from one that is natural: large chunks are cut along their
/// outermost axes, small ones put together along the innermost.
pub(super) fn convenient(natural: &[u64], shape: &[u64], element: u64) -> Vec<u64> {
    let mut chunk: Vec<u64> = natural.iter().zip(shape).map(|(&c, &n)| c.clamp(1, n.max(1))).collect();
    for axis in 0..chunk.len() {
        if byte_len(&chunk, element) <= LARGEST {
            break;
        }
        let inner = byte_len(chunk.get(axis + 1..).unwrap_or_default(), element);
        if let Some(count) = chunk.get_mut(axis) {
            *count = (AIM / inner.max(1)).clamp(1, *count);
        }
    }
    if byte_len(&chunk, element) >= SMALLEST {
        return chunk;
    }
    for axis in (0..chunk.len()).rev() {
        let room = AIM / byte_len(&chunk, element).max(1);
        let (Some(count), Some(&size)) = (chunk.get_mut(axis), shape.get(axis)) else { break };
        let whole = size.max(1);
        *count = count.saturating_mul(room.max(1)).min(whole);
        if *count < whole {
            break;
        }
    }
    chunk
}

/// The chunk shape for cutting one run of bytes into chunks that need no padding: a divisor of the axis
/// where it is cut. The whole when no divisor gives chunks of a convenient size.
pub(super) fn exact(whole: &[u64], element: u64) -> Vec<u64> {
    let mut chunk = whole.to_vec();
    for axis in 0..chunk.len() {
        if byte_len(&chunk, element) <= LARGEST {
            return chunk;
        }
        let inner = byte_len(chunk.get(axis + 1..).unwrap_or_default(), element);
        let most = (LARGEST / inner.max(1)).max(1);
        let size = chunk.get(axis).copied().unwrap_or(1);
        if most == 1 {
            if let Some(count) = chunk.get_mut(axis) {
                *count = 1;
            }
            continue;
        }
        let divisor = (1..=most.min(size)).rev().find(|d| size.is_multiple_of(*d)).unwrap_or(1);
        if divisor.saturating_mul(inner) < SMALLEST {
            return whole.to_vec();
        }
        if let Some(count) = chunk.get_mut(axis) {
            *count = divisor;
        }
        return chunk;
    }
    chunk
}

/// `values`, the row-major elements of `inside`, as a whole chunk of `chunk_shape`; what lies outside of
/// the array is zeros. An element is `element` bytes.
pub(super) fn padded(values: &[u8], inside: &[u64], chunk_shape: &[u64], element: usize) -> Option<Vec<u8>> {
    let to_usize = |n: u64| usize::try_from(n).ok();
    let mut whole = vec![0; to_usize(byte_len(chunk_shape, element as u64))?];
    let row = inside.last().map_or(Some(1), |&n| to_usize(n))?.checked_mul(element)?;
    if row == 0 {
        return Some(whole);
    }
    let outer = inside.len().saturating_sub(1);
    let mut at = vec![0_u64; outer];
    for run in values.chunks(row) {
        let mut position = 0_u64;
        for (i, &size) in chunk_shape.iter().enumerate() {
            position = position.checked_mul(size)?.checked_add(at.get(i).copied().unwrap_or(0))?;
        }
        let start = to_usize(position)?.checked_mul(element)?;
        whole.get_mut(start..start.checked_add(run.len())?)?.copy_from_slice(run);
        for (i, &size) in at.iter_mut().zip(inside).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(whole)
}

/// Every position of a grid of `counts`, in row-major order from the position numbered `first`.
pub(super) fn positions(counts: &[u64], first: u64) -> impl Iterator<Item = Vec<u64>> {
    let total = counts.iter().fold(1_u64, |n, &c| n.saturating_mul(c));
    let counts = counts.to_vec();
    (first..total).map(move |number| {
        let mut rest = number;
        let mut at = vec![0; counts.len()];
        for (i, &count) in at.iter_mut().zip(&counts).rev() {
            *i = rest % count.max(1);
            rest /= count.max(1);
        }
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_get_a_convenient_size() {
        // (natural, shape, element) -> chunk
        for (natural, shape, element, expected) in [
            (vec![10, 20], vec![10, 20], 8, vec![10, 20]),
            (vec![1000, 1000, 1000], vec![1000, 1000, 1000], 8, vec![1, 262, 1000]),
            (vec![365, 180, 360], vec![365, 180, 360], 4, vec![8, 180, 360]),
            // Records of one value each.
            (vec![1], vec![1_000_000], 8, vec![262_144]),
            (vec![1, 100, 100], vec![500, 100, 100], 4, vec![52, 100, 100]),
            (vec![1, 600, 600], vec![50, 600, 600], 4, vec![1, 600, 600]),
            (vec![], vec![], 8, vec![]),
            (vec![1, 5], vec![0, 5], 8, vec![1, 5]),
        ] {
            assert_eq!(convenient(&natural, &shape, element), expected, "{shape:?}");
        }
    }

    #[test]
    fn exact_chunks_divide_their_axis() {
        assert_eq!(exact(&[12, 1 << 20], 4), [1, 1 << 20]);
        assert_eq!(exact(&[1 << 24], 4), [1 << 20]);
        // A prime number of elements cannot be cut.
        assert_eq!(exact(&[15_485_863], 4), [15_485_863]);
        assert_eq!(exact(&[100, 100], 4), [100, 100]);
        assert_eq!(exact(&[], 4), [0_u64; 0]);
    }

    #[test]
    fn chunks_at_the_edge_are_padded() {
        let values = [1, 2, 3, 4, 5, 6];
        let whole = padded(&values, &[3, 2], &[4, 3], 1).unwrap();
        assert_eq!(whole, [1, 2, 0, 3, 4, 0, 5, 6, 0, 0, 0, 0]);
        assert_eq!(padded(&[7, 8], &[], &[], 2).unwrap(), [7, 8]);
    }

    #[test]
    fn regions_end_with_the_array() {
        let inside = region(&[10, 7], &[4, 7], &[2, 0]).unwrap();
        assert_eq!(inside.shape(), [2, 7]);
        assert!(region(&[10, 7], &[4, 7], &[3, 0]).is_none());
        assert!(region(&[10, 7], &[4, 7], &[0, 1]).is_none());
        assert!(region(&[10, 7], &[4, 7], &[0]).is_none());
        assert!(region(&[10], &[4], &[u64::MAX]).is_none());
        assert!(region(&[0], &[1], &[0]).is_none());
        assert_eq!(region(&[], &[], &[]).unwrap().element_count(), 1);
    }

    #[test]
    fn positions_are_in_order() {
        let all: Vec<_> = positions(&[2, 3], 4).collect();
        assert_eq!(all, [[1, 1], [1, 2]]);
        assert_eq!(positions(&[], 0).count(), 1);
        assert_eq!(positions(&[0, 3], 0).count(), 0);
    }
}
