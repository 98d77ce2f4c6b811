//! The grid of a dataset's chunks, and the two ways they are numbered: ours by the present extent, and
//! that of array indexes by the extent the dataset may grow to.

use super::super::Dataspace;

#[derive(Debug, Clone)]
pub(super) struct Grid {
    dims: Vec<u64>,
    chunk_shape: Vec<u64>,
    /// Chunks along each axis now.
    counts: Vec<u64>,
    /// Chunks along each axis at most; `None` = no limit.
    max_counts: Vec<Option<u64>>,
    /// Axes in the order in which array indexes count: slowest first.
    order: Vec<usize>,
    /// For each axis of `order`: array elements per step.
    strides: Vec<u64>,
}

impl Grid {
    /// `unlimited_first`: the array counts the unlimited axis slowest, whichever it is.
    /// `None` when the shapes do not go together.
    pub(super) fn new(dataspace: &Dataspace, chunk_shape: &[u64], unlimited_first: bool) -> Option<Self> {
        let Dataspace::Simple { dims, .. } = dataspace else { return None };
        let max_dims = dataspace.limits();
        if dims.len() != chunk_shape.len() || chunk_shape.contains(&0) {
            return None;
        }
        let counts: Vec<u64> = dims.iter().zip(chunk_shape).map(|(d, c)| d.div_ceil(*c)).collect();
        let max_counts: Vec<Option<u64>> =
            max_dims.iter().zip(chunk_shape).map(|(d, c)| d.map(|d| d.div_ceil(*c))).collect();
        let mut order: Vec<usize> = (0..dims.len()).collect();
        if unlimited_first && let Some(at) = max_counts.iter().position(Option::is_none) {
            order.remove(at);
            order.insert(0, at);
        }
        let mut strides = Vec::with_capacity(order.len());
        let mut stride = 1_u64;
        for &axis in order.iter().rev() {
            strides.push(stride);
            // Only the slowest axis may be without limit, and its count is not needed. An overflow means
            // that no element beyond it can exist.
            stride = max_counts.get(axis).copied().flatten().map_or(u64::MAX, |n| stride.saturating_mul(n));
        }
        strides.reverse();
        Some(Self {
            dims: dims.clone(),
            chunk_shape: chunk_shape.to_vec(),
            counts,
            max_counts,
            order,
            strides,
        })
    }

    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Chunks of the present extent. (There are no more chunks than elements, whose number fits.)
    pub(super) fn chunk_count(&self) -> u64 {
        self.counts.iter().fold(1, |n, c| n.saturating_mul(*c))
    }

    /// Our number of a chunk; `None` outside the present extent.
    pub(super) fn number(&self, position: &[u64]) -> Option<u64> {
        if position.len() != self.counts.len() {
            return None;
        }
        let mut number = 0_u64;
        for (at, count) in position.iter().zip(&self.counts) {
            if at >= count {
                return None;
            }
            number = number.checked_mul(*count)?.checked_add(*at)?;
        }
        Some(number)
    }

    /// The chunk reaches over the dataset's edge.
    pub(super) fn is_edge(&self, position: &[u64]) -> bool {
        position
            .iter()
            .zip(&self.chunk_shape)
            .zip(&self.dims)
            .any(|((at, chunk), dim)| at.saturating_add(1).saturating_mul(*chunk) > *dim)
    }

    /// Elements that an array index may have; `None` = no limit.
    pub(super) fn array_count(&self) -> Option<u64> {
        self.max_counts.iter().try_fold(1_u64, |n, c| n.checked_mul((*c)?))
    }

    /// The array element of a chunk.
    pub(super) fn array_index(&self, position: &[u64]) -> Option<u64> {
        let mut index = 0_u64;
        for (&axis, &stride) in self.order.iter().zip(&self.strides) {
            index = index.checked_add(position.get(axis)?.checked_mul(stride)?)?;
        }
        Some(index)
    }

    /// The chunk of an array element; `None` beyond what the dataset may grow to.
    pub(super) fn position_of(&self, index: u64) -> Option<Vec<u64>> {
        let mut position = vec![0; self.dims.len()];
        let mut rest = index;
        for (&axis, &stride) in self.order.iter().zip(&self.strides) {
            let at = rest.checked_div(stride)?;
            rest = rest.checked_rem(stride)?;
            if self.max_counts.get(axis)?.is_some_and(|max| at >= max) {
                return None;
            }
            *position.get_mut(axis)? = at;
        }
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_numbering_puts_the_unlimited_axis_first() {
        let space = Dataspace::Simple { dims: vec![4, 7, 9], max_dims: vec![Some(4), None, Some(12)] };
        let grid = Grid::new(&space, &[2, 2, 4], true).unwrap();
        // Axis 1 is slowest, then axes 0 (2 chunks at most) and 2 (3 chunks at most).
        assert_eq!(grid.array_index(&[1, 2, 2]), Some(2 * 6 + 3 + 2));
        assert_eq!(grid.position_of(17), Some(vec![1, 2, 2]));
        assert_eq!(grid.number(&[1, 2, 2]), Some((4 + 2) * 3 + 2));
        assert_eq!(grid.number(&[1, 4, 0]), None);
        assert!(grid.is_edge(&[0, 3, 0]));
        assert!(!grid.is_edge(&[1, 2, 1]));
    }
}
