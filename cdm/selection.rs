//! Which elements: per axis an ordered list of slices, always inside the shape it was checked against.

use std::num::NonZeroU64;

use crate::{Error, Result};

/// `count` indices from `start`, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    /// First index.
    pub start: u64,
    /// Distance between indices.
    pub step: NonZeroU64,
    /// Number of indices; 0 selects nothing.
    pub count: u64,
}

impl Slice {
    /// # Errors
    /// `BadRequest` when the step is 0 or the last index exceeds 2^63.
    pub fn new(start: u64, step: u64, count: u64) -> Result<Self> {
        let step = NonZeroU64::new(step).ok_or_else(|| Error::bad_request("a step of 0"))?;
        let last = count.saturating_sub(1).checked_mul(step.get()).and_then(|n| n.checked_add(start));
        if last.is_none_or(|l| l >= 1 << 63) {
            return Err(Error::bad_request("an index is larger than 2^63"));
        }
        Ok(Self { start, step, count })
    }

    /// Every index of an axis.
    pub fn all(size: u64) -> Self {
        Self { start: 0, step: NonZeroU64::MIN, count: size }
    }

    /// The last index; `None` when it selects nothing.
    pub fn last(&self) -> Option<u64> {
        (self.count > 0).then(|| self.start + (self.count - 1) * self.step.get())
    }

    /// The indices in order.
    pub fn indices(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |i| self.start + i * self.step.get())
    }
}

/// One ordered list of slices per axis, inside the shape it was checked against.
///
/// Slices of one axis are concatenated in order; they may overlap or repeat. Rank never changes: a
/// single index keeps an axis of size 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selection {
    axes: Vec<Vec<Slice>>,
    /// The shape it was made for.
    of: Vec<u64>,
}

impl Selection {
    /// Checks `axes` against `shape`.
    ///
    /// # Errors
    /// `BadRequest` when the rank differs, an index lies outside, or there are more than 2^63 elements.
    pub fn new(axes: Vec<Vec<Slice>>, shape: &[u64]) -> Result<Self> {
        if axes.len() != shape.len() {
            return Err(Error::bad_request(format!("{} slices for {} dimensions", axes.len(), shape.len())));
        }
        let mut total: u64 = 1;
        for (axis, (slices, &size)) in axes.iter().zip(shape).enumerate() {
            let mut count = 0_u64;
            for slice in slices {
                if slice.last().is_some_and(|last| last >= size) {
                    return Err(Error::bad_request(format!(
                        "axis {axis} has {size} elements (0 to {}); index {} is outside",
                        size.saturating_sub(1),
                        slice.last().unwrap_or(0)
                    )));
                }
                count = count.saturating_add(slice.count);
            }
            total = total.saturating_mul(count);
        }
        if total >= 1 << 63 && total != 0 {
            return Err(Error::too_large("more than 2^63 elements selected"));
        }
        Ok(Self { axes, of: shape.to_vec() })
    }

    /// Everything.
    pub fn all(shape: &[u64]) -> Self {
        Self { axes: shape.iter().map(|&n| vec![Slice::all(n)]).collect(), of: shape.to_vec() }
    }

    /// The slices of each axis.
    pub fn axes(&self) -> &[Vec<Slice>] {
        &self.axes
    }

    /// The shape this was checked against.
    pub fn of_shape(&self) -> &[u64] {
        &self.of
    }

    /// The shape of what it selects.
    pub fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|slices| slices.iter().map(|s| s.count).sum()).collect()
    }

    /// Number of selected elements (below 2^63 by construction); 1 for a scalar.
    pub fn element_count(&self) -> u64 {
        self.shape().iter().fold(1, |n, &s| n.saturating_mul(s))
    }

    /// True when it selects every element in order.
    pub fn is_all(&self) -> bool {
        self.axes.iter().zip(&self.of).enumerate().all(|(i, _)| self.axis_is_all(i))
    }

    /// True when axis `axis` is selected whole and in order.
    pub fn axis_is_all(&self, axis: usize) -> bool {
        let size = self.of[axis];
        match self.axes[axis].as_slice() {
            [s] => s.start == 0 && s.count == size && (s.step.get() == 1 || size <= 1),
            _ => size == 0,
        }
    }

    /// The selected indices of one axis, in order.
    pub fn indices(&self, axis: usize) -> impl Iterator<Item = u64> {
        self.axes[axis].iter().flat_map(|s| s.indices())
    }

    /// The selection that equals applying `self`, then `inner` to its result.
    ///
    /// # Errors
    /// `Internal` when `inner` was made for another shape than `self.shape()`.
    pub fn then(&self, inner: &Self) -> Result<Self> {
        if inner.of != self.shape() {
            return Err(Error::internal(format!(
                "selection for shape {:?} applied to {:?}",
                inner.of,
                self.shape()
            )));
        }
        let axes = self
            .axes
            .iter()
            .zip(&inner.axes)
            .map(|(outer, inner)| inner.iter().flat_map(|s| compose(outer, *s)).collect())
            .collect();
        Ok(Self { axes, of: self.of.clone() })
    }
}

/// The slices of `outer`'s underlying axis that `inner` (positions in the concatenation of `outer`) names.
fn compose(outer: &[Slice], inner: Slice) -> Vec<Slice> {
    let step = inner.step.get();
    let mut found = Vec::new();
    let mut piece_start = 0; // position of the piece's first element in the concatenation
    let mut next = inner.start; // next wanted position
    let mut left = inner.count;
    for piece in outer {
        let piece_end = piece_start + piece.count;
        if left > 0 && next < piece_end {
            let here = ((piece_end - 1 - next) / step + 1).min(left);
            let start = piece.start + (next - piece_start) * piece.step.get();
            // A step that overflows belongs to a single element: any step serves.
            let step = NonZeroU64::new(piece.step.get().saturating_mul(step)).unwrap_or(NonZeroU64::MIN);
            found.push(Slice { start, step: if here == 1 { NonZeroU64::MIN } else { step }, count: here });
            next += here * inner.step.get();
            left -= here;
        }
        piece_start = piece_end;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Random;

    fn flat(selection: &Selection) -> Vec<Vec<u64>> {
        (0..selection.axes().len()).map(|a| selection.indices(a).collect()).collect()
    }

    proptest! {
        #[test]
        fn then_is_selecting_twice(seed: u64, shape in proptest::collection::vec(0_u64..12, 0..4)) {
            let mut random = Random(seed);
            let outer = random.selection(&shape);
            let inner = random.selection(&outer.shape());
            let composed = outer.then(&inner).unwrap();
            let naive: Vec<Vec<u64>> = (0..shape.len())
                .map(|axis| {
                    let of: Vec<u64> = outer.indices(axis).collect();
                    inner.indices(axis).map(|i| of[usize::try_from(i).unwrap()]).collect()
                })
                .collect();
            prop_assert_eq!(flat(&composed), naive);
            prop_assert_eq!(composed.shape(), inner.shape());
            prop_assert!(Selection::new(composed.axes().to_vec(), &shape).is_ok());
        }

        #[test]
        fn all_is_neutral(seed: u64, shape in proptest::collection::vec(0_u64..9, 0..4)) {
            let some = Random(seed).selection(&shape);
            prop_assert_eq!(flat(&Selection::all(&shape).then(&some).unwrap()), flat(&some));
            prop_assert_eq!(flat(&some.then(&Selection::all(&some.shape())).unwrap()), flat(&some));
            prop_assert!(Selection::all(&shape).is_all());
        }
    }

    #[test]
    fn what_lies_outside_is_refused() {
        let refused = |start, step, count, size| {
            Slice::new(start, step, count).and_then(|s| Selection::new(vec![vec![s]], &[size])).is_err()
        };
        assert!(refused(0, 1, 11, 10));
        assert!(refused(9, 1, 2, 10));
        assert!(refused(0, 0, 1, 10));
        assert!(refused(u64::MAX, 1, 1, 10));
        assert!(refused(0, u64::MAX, 3, 10));
        assert!(!refused(9, 1, 1, 10));
        assert!(!refused(0, 3, 4, 10));
        assert!(Selection::new(vec![vec![Slice::all(u64::MAX >> 1)]; 2], &[u64::MAX >> 1; 2]).is_err());
    }

    #[test]
    fn a_selection_for_another_shape_does_not_compose() {
        let outer = Selection::all(&[4, 5]);
        assert!(outer.then(&Selection::all(&[4])).is_err());
    }
}
