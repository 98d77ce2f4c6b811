//! Bands against the definition of a selection, and their shapes in chosen cases.

use cdm::{Selection, Slice};
use proptest::prelude::*;

use super::*;

/// A shape, a chunk shape and slices inside the shape: strided, repeated, unordered.
pub(crate) fn cases() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, Vec<Vec<Slice>>)> {
    let axis = (1_u64..12, 1_u64..6).prop_flat_map(|(size, chunk)| {
        let slice = (0..size, 1_u64..5, 0_u64..12).prop_map(move |(start, step, count)| {
            let most = (size - 1 - start) / step + 1;
            Slice::new(start, step, count.min(most)).unwrap()
        });
        let slices = prop_oneof![Just(vec![Slice::all(size)]), prop::collection::vec(slice, 1..4)];
        (Just(size), Just(chunk), slices)
    });
    prop::collection::vec(axis, 0..4).prop_map(|axes| {
        let mut case = (Vec::new(), Vec::new(), Vec::new());
        for (size, chunk, slices) in axes {
            case.0.push(size);
            case.1.push(chunk);
            case.2.push(slices);
        }
        case
    })
}

/// The indices of every selected element, by the definition.
pub(crate) fn naive(selection: &Selection) -> Vec<Vec<u64>> {
    (0..selection.axes().len()).fold(vec![Vec::new()], |all, axis| {
        all.iter()
            .flat_map(|head| selection.indices(axis).map(move |i| [head.as_slice(), &[i]].concat()))
            .collect()
    })
}

proptest! {
    #[test]
    fn bands_hold_every_element_once_in_order(
        (shape, chunk_shape, axes) in cases(), aims in prop::collection::vec((1_u64..40, 1_u64..3), 1..6)
    ) {
        let selection = Selection::new(axes, &shape).unwrap();
        let mut plan = Plan::new(&chunk_shape, &selection);
        let mut found: Vec<Option<Vec<u64>>> = vec![None; usize::try_from(selection.element_count()).unwrap()];
        let (mut next, mut turn) = (0_u64, aims.iter().cycle());
        loop {
            let &(aim, more) = turn.next().unwrap();
            let limit = BandLimit { aim, aligned: aim * more };
            if let Some(other) = plan.next_band(BandLimit { aim: aim + 7, aligned: aim + 9 }) {
                plan.give_back(&other);
            }
            let Some(band) = plan.next_band(limit) else { break };
            prop_assert_eq!(band.first, next);
            prop_assert!(band.element_count() > 0 && band.element_count() <= aim * more);
            next += band.element_count();
            for part in band.parts() {
                let runs: Vec<Vec<(u64, u64)>> = part.iter().zip(&chunk_shape).map(|(r, c)| {
                    (0..r.count).map(|i| {
                        assert!(r.start + i * r.step < *c, "beyond the chunk");
                        (r.out + i, r.chunk * c + r.start + i * r.step)
                    }).collect()
                }).collect();
                let all = runs.iter().fold(vec![Vec::new()], |all: Vec<Vec<(u64, u64)>>, axis| {
                    all.iter().flat_map(|h| axis.iter().map(move |&p| [h.as_slice(), &[p]].concat())).collect()
                });
                for element in all {
                    let at = element.iter().zip(&band.shape).fold(0, |at, ((o, _), n)| at * n + o);
                    let slot = &mut found[usize::try_from(band.first + at).unwrap()];
                    prop_assert!(slot.is_none(), "written twice");
                    *slot = Some(element.iter().map(|(_, i)| *i).collect());
                }
            }
        }
        let found: Vec<Vec<u64>> = found.into_iter().map(|f| f.expect("written")).collect();
        prop_assert_eq!(found, naive(&selection));
    }
}

fn shapes(shape: &[u64], chunk: &[u64], aim: u64, aligned: u64) -> Vec<Vec<u64>> {
    let mut plan = Plan::new(chunk, &Selection::all(shape));
    std::iter::from_fn(|| plan.next_band(BandLimit { aim, aligned }).map(|b| b.shape)).collect()
}

#[test]
fn bands_keep_rows_of_chunks_whole_where_they_fit() {
    assert_eq!(shapes(&[10, 10], &[4, 5], 50, 50), [[4, 10], [4, 10], [2, 10]]);
    // A row of chunks beyond the aim but within the stretch.
    assert_eq!(shapes(&[10, 10], &[4, 5], 20, 40), [[4, 10], [4, 10], [2, 10]]);
    // One that fits neither is cut evenly.
    assert_eq!(shapes(&[4, 10], &[4, 5], 20, 39), [[2, 10], [2, 10]]);
    assert_eq!(shapes(&[5, 10], &[5, 5], 20, 40), [[3, 10], [2, 10]]);
    // A single output row larger than the limit is cut along its own axis.
    assert_eq!(shapes(&[2, 10], &[1, 4], 5, 5), [[1, 4], [1, 4], [1, 2], [1, 4], [1, 4], [1, 2]]);
}

#[test]
fn a_huge_selection_of_tiny_chunks_is_planned_in_small_steps() {
    let mut plan = Plan::new(&[1, 1], &Selection::all(&[1 << 30, 1 << 20]));
    let band = plan.next_band(BandLimit { aim: 1 << 22, aligned: 1 << 22 }).unwrap();
    assert!(band.part_count() <= MOST_PARTS);
}
