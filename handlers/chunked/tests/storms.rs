//! What clients make of one array by their habits: a request for each row, step or point of it. However many
//! requests, and however many clients at once, each chunk is decoded once while the cache holds what is
//! being asked for.

use super::*;

/// Steps, rows, columns.
const SHAPE: [u64; 3] = [12, 24, 40];

fn index(at: u64) -> Vec<Slice> {
    vec![Slice::new(at, 1, 1).unwrap()]
}

/// As GDAL reads: each row of each step.
fn rows() -> Vec<Selection> {
    let row = |step, y| Selection::new(vec![index(step), index(y), vec![Slice::all(SHAPE[2])]], &SHAPE);
    (0..SHAPE[0]).flat_map(|step| (0..SHAPE[1]).map(move |y| row(step, y).unwrap())).collect()
}

/// As CDO and ncdump read: each step.
fn steps() -> Vec<Selection> {
    let all = |axis: usize| vec![Slice::all(SHAPE[axis])];
    (0..SHAPE[0]).map(|step| Selection::new(vec![index(step), all(1), all(2)], &SHAPE).unwrap()).collect()
}

/// As a loop over points reads: each element of a part of each step.
fn points() -> Vec<Selection> {
    let point = |step, y, x| Selection::new(vec![index(step), index(y), index(x)], &SHAPE).unwrap();
    let of_step = move |step| (3..9).flat_map(move |y| (5..25).map(move |x| point(step, y, x)));
    (0..SHAPE[0]).flat_map(of_step).collect()
}

/// Every request by each of `clients` that go the same way at the same time.
async fn storm(made: &Made, engine: &Arc<Engine>, requests: &[Selection], clients: usize) {
    let client = || async {
        for selection in requests {
            assert_eq!(read(engine, &made.array, selection).await.unwrap(), expected(made, selection));
        }
    };
    futures::future::join_all((0..clients).map(|_| client())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_is_decoded_once_whatever_the_habit() {
    // Maps, of which one step's is enough to keep; and boxes, of which those of one step are.
    for (chunk, at_once) in [([1, 24, 40], 1), ([6, 12, 10], 2 * 4)] {
        for (habit, requests) in [("rows", rows()), ("steps", steps()), ("points", points())] {
            for clients in [1, 4] {
                // Nothing keeps clients together: how far one falls behind, the cache must reach back.
                let kept = if clients > 1 {
                    SHAPE.iter().product()
                } else {
                    at_once * chunk.iter().product::<u64>()
                } * 4;
                let made = made(&SHAPE, &chunk, 4, true, 0, Fault::None);
                let engine = engine(1 << 20, kept * 4 / 3, 1 << 20);
                storm(&made, &engine, &requests, clients).await;
                let decoded = made.codec.decoded.load(Ordering::SeqCst);
                let wanted: std::collections::HashSet<Vec<u64>> = requests
                    .iter()
                    .flat_map(naive)
                    .map(|at| at.iter().zip(&chunk).map(|(i, c)| i / c).collect())
                    .collect();
                assert_eq!(decoded, wanted.len() as u64, "{habit} by {clients}, chunks {chunk:?}");
                let counts = engine.counts();
                assert_eq!(counts.chunks_decoded, decoded);
                assert!(counts.cached_bytes <= kept * 4 / 3);
            }
        }
    }
}

#[tokio::test]
async fn what_was_decoded_and_what_was_kept_are_counted() {
    let made = made(&SHAPE, &[1, 24, 40], 4, true, 0, Fault::None);
    let engine = engine(1 << 20, 1 << 20, 1 << 20);
    storm(&made, &engine, &rows(), 1).await;
    let counts = engine.counts();
    assert_eq!((counts.chunks_decoded, counts.cache_hits), (12, 12 * 24 - 12));
    assert_eq!((counts.cached_bytes, counts.budget_in_use), (12 * 24 * 40 * 4, 0));
}
