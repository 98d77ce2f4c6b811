//! Selections that want little: value by value, out of chunks that are shuffled, kept, kept in part, never
//! written, skipped a filter or are cut off at the edge; and what they cost when they are asked for again.

use futures::future::join_all;

use super::*;
use crate::chunked::codecs::Shuffle;

/// An array of big-endian numbers, byte-shuffled and inverted; every third chunk was never shuffled, every fifth
/// not inverted either, every `hole`th never written.
struct Shuffled {
    array: Arc<ChunkedArray>,
    codec: Arc<Inverted>,
    faulty: Arc<Faulty>,
    missing: Vec<Vec<u64>>,
}

fn shuffled(shape: &[u64], chunk_shape: &[u64], size: usize, hole: usize, fault: Fault) -> Shuffled {
    let plain = made(shape, chunk_shape, size, false, hole, Fault::None);
    let grid: Vec<u64> = shape.iter().zip(chunk_shape).map(|(s, c)| s.div_ceil(*c)).collect();
    let (mut file, mut places) = (vec![9_u8; 5], HashMap::new());
    for (n, chunk) in naive(&Selection::all(&grid)).into_iter().enumerate() {
        if plain.missing.contains(&chunk) {
            continue;
        }
        let mut bytes = Vec::new();
        for inside in naive(&Selection::all(chunk_shape)) {
            let index: Vec<u64> =
                inside.iter().zip(&chunk).zip(chunk_shape).map(|((i, c), s)| c * s + i).collect();
            let mut element = value(shape, &index, size);
            element.reverse();
            bytes.extend(element);
        }
        let mut filter_mask = 0;
        if n % 3 == 2 {
            filter_mask |= 1;
        } else {
            let count = bytes.len() / size;
            let shuffled = (0..bytes.len()).map(|i| bytes[i % count * size + i / count]).collect();
            bytes = shuffled;
        }
        if n % 5 == 4 {
            filter_mask |= 2;
        } else {
            bytes = b"inv".iter().copied().chain(bytes.into_iter().map(|b| !b)).collect();
        }
        places.insert(chunk, (file.len() as u64, bytes.len() as u64, filter_mask));
        file.extend(bytes);
    }
    let (object, faulty) = Faulty::wrap(MemoryObject::object("shuffled", file), fault);
    let (version, object) = (Arc::clone(&object.version.identity), Arc::new(object));
    let stored = |(offset, len, filter_mask)| {
        let object = Arc::clone(&object);
        ChunkLocation::Stored { object, offset, len, filter_mask }
    };
    let table = places.into_iter().map(|(chunk, place)| (chunk, stored(place))).collect();
    let codec = Arc::new(Inverted::default());
    let mut array = Arc::into_inner(plain.array).unwrap();
    array.version = version;
    array.pipeline = Pipeline::new(vec![Arc::new(Shuffle::new(size)), Arc::clone(&codec) as _]);
    array.index = Arc::new(Table(table));
    array.elements = Arc::new(Numbers::Swapped(size));
    Shuffled { array: Arc::new(array), codec, faulty, missing: plain.missing }
}

impl Shuffled {
    fn expected(&self, selection: &Selection) -> Vec<u8> {
        let array = &self.array;
        let of = |index: Vec<u64>| {
            let chunk: Vec<u64> = index.iter().zip(&array.chunk_shape).map(|(i, c)| i / c).collect();
            if self.missing.contains(&chunk) {
                array.fill.to_vec()
            } else {
                value(&array.shape, &index, array.stored_size)
            }
        };
        naive(selection).into_iter().flat_map(of).collect()
    }

    fn decoded(&self) -> u64 {
        self.codec.decoded.load(Ordering::SeqCst)
    }
}

/// One index of every axis but the first, of which all.
fn series(shape: &[u64], at: &[u64]) -> Selection {
    let point = at.iter().map(|&i| vec![Slice::new(i, 1, 1).unwrap()]);
    Selection::new(std::iter::once(vec![Slice::all(shape[0])]).chain(point).collect(), shape).unwrap()
}

proptest! {
    #[test]
    fn again_and_again_the_same_as_a_naive_reader(
        (shape, chunk_shape, axes) in cases(),
        size in prop::sample::select(vec![2_usize, 3, 4, 8, 12]),
        hole in 0_usize..4, cache in 0_u64..2000, band in 40_u64..4000,
    ) {
        let made = shuffled(&shape, &chunk_shape, size, hole, Fault::None);
        let selection = Selection::new(axes, &shape).unwrap();
        let engine = engine(band, cache, 1 << 20);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..3 {
            let found = runtime.block_on(read(&engine, &made.array, &selection)).unwrap();
            prop_assert_eq!(found, made.expected(&selection));
            prop_assert_eq!(engine.budget_in_use(), 0);
        }
        let mut random = cdm::testing::Random(cache);
        for _ in 0..4 {
            let selection = random.selection(&shape);
            let found = runtime.block_on(read(&engine, &made.array, &selection)).unwrap();
            prop_assert_eq!(found, made.expected(&selection));
            prop_assert!(engine.cached_bytes() <= cache.max(made.array.chunk_byte_len().unwrap()));
        }
    }
}

#[tokio::test]
async fn what_is_kept_is_read_by_the_first_poll() {
    let shape = [20, 30, 40];
    let made = shuffled(&shape, &[4, 10, 40], 4, 0, Fault::None);
    let engine = engine(1 << 20, 1 << 20, 1 << 20);
    let near = |i| {
        let axes = vec![
            vec![Slice::new(1, 1, 1).unwrap()],
            vec![Slice::new(i, 2, 3).unwrap()],
            vec![Slice::all(40)],
        ];
        Selection::new(axes, &shape).unwrap()
    };
    assert_eq!(read(&engine, &made.array, &near(10)).await.unwrap(), made.expected(&near(10)));
    let (decoded, reads) = (made.decoded(), made.faulty.reads());
    assert_eq!((decoded, reads), (1, 1));
    for i in [10, 11, 13] {
        let found = read(&engine, &made.array, &near(i)).now_or_never().expect("no other task is waited for");
        assert_eq!(found.unwrap(), made.expected(&near(i)));
    }
    assert_eq!((made.decoded(), made.faulty.reads()), (decoded, reads));
    // Not even memory: everything is taken by somebody who is slow.
    let _taken = engine.hold_memory(1 << 30).await.unwrap();
    assert!(
        read(&engine, &made.array, &near(12)).now_or_never().is_none(),
        "the budget is obeyed all the same"
    );
}

#[tokio::test]
async fn a_series_over_more_chunks_than_can_be_kept_keeps_what_lies_around_it() {
    let shape = [50, 40, 30];
    let made = shuffled(&shape, &[1, 40, 30], 4, 0, Fault::None);
    // Of 50 chunks of 4,800 bytes each there is room for 10.
    let engine = engine(1 << 20, 48_000, 1 << 20);
    let at = |y, x| series(&shape, &[y, x]);
    assert_eq!(read(&engine, &made.array, &at(20, 15)).await.unwrap(), made.expected(&at(20, 15)));
    let decoded = made.decoded();
    assert!(engine.cached_bytes() <= 36_000, "{}", engine.cached_bytes());
    for (y, x) in [(20, 15), (20, 16), (20, 14)] {
        let found = read(&engine, &made.array, &at(y, x)).now_or_never().expect("it is kept");
        assert_eq!(found.unwrap(), made.expected(&at(y, x)));
    }
    assert_eq!(made.decoded(), decoded);
    // Elsewhere is another matter, and takes its place.
    assert_eq!(read(&engine, &made.array, &at(0, 0)).await.unwrap(), made.expected(&at(0, 0)));
    assert_eq!(made.decoded(), 2 * decoded);
    assert!(engine.cached_bytes() <= 36_000, "{}", engine.cached_bytes());
}

#[tokio::test]
async fn steps_through_large_chunks_decode_each_a_few_times_however_little_can_be_kept() {
    // As the time steps of a map in cubes: 12 chunks of 20 steps, of which 4 fit.
    let shape = [20, 30, 40];
    let made = shuffled(&shape, &[20, 10, 10], 4, 0, Fault::None);
    let engine = engine(1 << 20, 4 * 8000, 1 << 20);
    for t in 0..20 {
        let axes = vec![vec![Slice::new(t, 1, 1).unwrap()], vec![Slice::all(30)], vec![Slice::all(40)]];
        let step = Selection::new(axes, &shape).unwrap();
        assert_eq!(read(&engine, &made.array, &step).await.unwrap(), made.expected(&step), "{t}");
        assert!(engine.cached_bytes() <= 4 * 8000);
    }
    let decoded = made.decoded();
    assert!(decoded <= 12 * 10, "{decoded} instead of 12 * 20");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_decodes_each_chunk_once_even_when_those_who_came_first_leave() {
    let shape = [8, 40, 30];
    let made = Arc::new(shuffled(&shape, &[1, 40, 30], 4, 0, Fault::Delay(Duration::from_millis(30))));
    let engine = engine(1 << 20, 1 << 20, 4 << 20);
    let one = move |i: u64| series(&shape, &[i, i % 30]);
    let task = |i: u64| {
        let (engine, made) = (Arc::clone(&engine), Arc::clone(&made));
        tokio::spawn(async move {
            assert_eq!(read(&engine, &made.array, &one(i)).await.unwrap(), made.expected(&one(i)));
        })
    };
    let first: Vec<_> = (0..3).map(task).collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let others: Vec<_> = (3..40).map(task).collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for task in first {
        task.abort();
    }
    for done in join_all(others).await {
        done.unwrap();
    }
    // What was under way for those who left was done once more, nothing else.
    let begun = 8 + 2;
    assert!(made.faulty.reads() <= begun, "{}", made.faulty.reads());
    assert_eq!(engine.budget_in_use(), 0);
    let reads = made.faulty.reads();
    for done in join_all((0..40).map(task)).await {
        done.unwrap();
    }
    assert_eq!(made.faulty.reads(), reads);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_step_through_whole_chunks_together_decode_each_once() {
    let shape = [24, 40, 30];
    let made = shuffled(&shape, &[1, 40, 30], 4, 0, Fault::None);
    // A step is a chunk, and neither small nor large; the cache reaches back as far as anyone falls behind.
    let engine = engine(4800, 24 * 4800 * 2, 1 << 20);
    let client = || async {
        for t in 0..24 {
            let axes = vec![vec![Slice::new(t, 1, 1).unwrap()], vec![Slice::all(40)], vec![Slice::all(30)]];
            let step = Selection::new(axes, &shape).unwrap();
            assert_eq!(read(&engine, &made.array, &step).await.unwrap(), made.expected(&step));
        }
    };
    join_all((0..8).map(|_| client())).await;
    assert_eq!((made.faulty.reads(), engine.counts().chunks_decoded), (24, 24));
    assert!(engine.cached_bytes() <= 24 * 4800);
}

#[tokio::test]
async fn failures_are_told_and_nothing_of_them_is_kept() {
    for (fault, kind) in
        [(Fault::FailAfter(2), ErrorKind::Storage), (Fault::ChangeAfter(2), ErrorKind::Changed)]
    {
        let shape = [6, 10, 10];
        let made = shuffled(&shape, &[1, 10, 10], 4, 0, fault);
        let engine = engine(1 << 20, 1 << 20, 1 << 20);
        let error = read(&engine, &made.array, &series(&shape, &[3, 3])).await.unwrap_err();
        assert_eq!((error.kind(), engine.budget_in_use()), (kind, 0));
        assert!(engine.cached_bytes() <= 2 * 400);
        let error = read(&engine, &made.array, &series(&shape, &[3, 4])).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}
