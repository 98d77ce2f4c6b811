//! A selection in pieces that are consecutive in row-major order and not too large.

use cdm::{Result, Selection, Slice};

/// The pieces of `selection`, of at most `most` elements each, in order.
pub(super) fn bands(selection: Selection, most: u64) -> impl Iterator<Item = Result<Selection>> + Send {
    let shape = selection.shape();
    let most = most.max(1);
    // Axes before `split` are taken one index at a time, `split` in runs, those after it whole.
    let mut inner = 1_u64;
    let mut split = shape.len();
    while let Some(before) = split.checked_sub(1) {
        let with = inner.saturating_mul(shape[before]);
        if with > most {
            break;
        }
        inner = with;
        split = before;
    }
    let runs = match split.checked_sub(1) {
        Some(axis) => shape[axis].div_ceil((most / inner.max(1)).max(1)),
        None => 1,
    };
    let run = split.checked_sub(1).map_or(1, |_| (most / inner.max(1)).max(1));
    let outer = shape.iter().take(split.saturating_sub(1)).fold(1_u64, |n, &s| n.saturating_mul(s));
    let total = if selection.element_count() == 0 { 0 } else { outer.saturating_mul(runs) };
    (0..total).map(move |number| {
        let mut axes: Vec<Vec<Slice>> = shape.iter().map(|&n| vec![Slice::all(n)]).collect();
        if let Some(axis) = split.checked_sub(1) {
            let start = number % runs * run;
            axes[axis] = vec![Slice::new(start, 1, run.min(shape[axis] - start))?];
            let mut rest = number / runs;
            for axis in (0..axis).rev() {
                axes[axis] = vec![Slice::new(rest % shape[axis], 1, 1)?];
                rest /= shape[axis];
            }
        }
        selection.then(&Selection::new(axes, &shape)?)
    })
}

#[cfg(test)]
mod tests {
    use cdm::{records::for_each_index, testing::Random};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_follow_each_other(seed: u64, shape in proptest::collection::vec(0_u64..7, 0..4), most in 1_u64..40) {
            let selection = Random(seed).selection(&shape);
            let flat = |s: &Selection| {
                let mut all = Vec::new();
                for_each_index(s, |i| { all.push(i); Ok(()) }).unwrap();
                all
            };
            let mut joined = Vec::new();
            for band in bands(selection.clone(), most) {
                let band = band.unwrap();
                prop_assert!(band.element_count() <= most && band.element_count() > 0);
                joined.extend(flat(&band));
            }
            prop_assert_eq!(joined, flat(&selection));
        }
    }
}
