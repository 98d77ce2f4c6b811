//! Which byte ranges are fetched together: a pure function of the ranges.

use std::ops::Range;

/// Bytes between two ranges that are cheaper to read than to skip.
pub(crate) const GAP: u64 = 64 << 10;

/// No fetch is made larger than this by joining ranges; a single range may be.
pub(crate) const LARGEST: u64 = 8 << 20;

/// One contiguous read that serves several wanted ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetch {
    /// What is read.
    pub(crate) range: Range<u64>,
    /// Positions, in the list given, of the ranges it serves.
    pub(crate) serves: Vec<usize>,
}

/// Joins ranges that overlap or lie within `gap` of each other, up to `largest` bytes; fetches come in
/// ascending order and serve every range exactly once.
pub(crate) fn coalesce(ranges: &[Range<u64>], gap: u64, largest: u64) -> Vec<Fetch> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&i| (ranges[i].start, ranges[i].end));
    let mut fetches: Vec<Fetch> = Vec::new();
    for i in order {
        let wanted = &ranges[i];
        if let Some(last) = fetches.last_mut() {
            let end = last.range.end.max(wanted.end);
            let contained = wanted.end <= last.range.end;
            let near = wanted.start <= last.range.end.saturating_add(gap);
            if contained || (near && end - last.range.start <= largest) {
                last.range.end = end;
                last.serves.push(i);
                continue;
            }
        }
        fetches.push(Fetch { range: wanted.clone(), serves: vec![i] });
    }
    fetches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_ranges_join_and_far_ones_do_not() {
        let fetches = coalesce(&[100..110, 0..10, 15..20, 12..18], 5, 1000);
        assert_eq!(
            fetches,
            [Fetch { range: 0..20, serves: vec![1, 3, 2] }, Fetch { range: 100..110, serves: vec![0] }]
        );
    }

    #[test]
    fn joining_stops_at_the_largest_fetch() {
        let fetches = coalesce(&[0..60, 60..120, 120..180], 10, 120);
        assert_eq!(fetches.len(), 2);
        assert_eq!(fetches[0].range, 0..120);
    }

    proptest! {
        #[test]
        fn every_range_is_served_once_inside_its_fetch(
            starts in prop::collection::vec((0_u64..5000, 1_u64..300), 0..60), gap in 0_u64..200
        ) {
            let ranges: Vec<_> = starts.iter().map(|&(s, n)| s..s + n).collect();
            let mut served = vec![0; ranges.len()];
            for fetch in coalesce(&ranges, gap, 1000) {
                prop_assert!(fetch.serves.len() == 1 || fetch.range.end - fetch.range.start <= 1000);
                for i in fetch.serves {
                    served[i] += 1;
                    prop_assert!(fetch.range.start <= ranges[i].start && ranges[i].end <= fetch.range.end);
                }
            }
            prop_assert!(served.iter().all(|&n| n == 1));
        }
    }
}
