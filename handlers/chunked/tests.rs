//! The engine against a naive reader, with failing storage, stalled consumers and cancelled streams.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Block, Error, ErrorKind, FullName, Result, Selection, Slice};
use futures::{FutureExt, StreamExt, TryStreamExt};
use proptest::prelude::*;

use super::{
    codecs::{Codec, Pipeline},
    plan::tests::{cases, naive},
    *,
};
use crate::storage::{
    MemoryObject,
    faults::{Fault, Faulty},
};

mod picked;
mod storms;

/// Every byte inverted behind a header of three; counts how often it decodes.
#[derive(Debug, Default)]
struct Inverted {
    decoded: AtomicU64,
}

impl Codec for Inverted {
    fn name(&self) -> &'static str {
        "inverted"
    }
    fn decode(&self, input: Bytes, _: Option<usize>) -> Result<Bytes> {
        self.decoded.fetch_add(1, Ordering::SeqCst);
        let body = input.strip_prefix(b"inv").ok_or_else(|| Error::corrupt("no header"))?;
        Ok(body.iter().map(|b| !b).collect())
    }
}

#[derive(Debug)]
struct Table(HashMap<Vec<u64>, ChunkLocation>);

#[async_trait]
impl ChunkIndex for Table {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        Ok(chunks.iter().map(|c| self.0.get(c).cloned()).collect())
    }
    fn is_ready(&self) -> bool {
        true
    }
}

/// The stored bytes of the element at `index`: its row-major number, never that of the fill.
fn value(shape: &[u64], index: &[u64], size: usize) -> Vec<u8> {
    let number = index.iter().zip(shape).fold(0, |n, (i, s)| n * s + i) + 1;
    number.to_le_bytes().iter().copied().cycle().take(size).collect()
}

struct Made {
    array: Arc<ChunkedArray>,
    codec: Arc<Inverted>,
    faulty: Arc<Faulty>,
    missing: Vec<Vec<u64>>,
}

/// An array of numbered elements; every `hole`-th chunk was never written.
fn made(shape: &[u64], chunk_shape: &[u64], size: usize, encoded: bool, hole: usize, fault: Fault) -> Made {
    let grid: Vec<u64> = shape.iter().zip(chunk_shape).map(|(s, c)| s.div_ceil(*c)).collect();
    let (mut file, mut places, mut missing) = (vec![9_u8; 7], HashMap::new(), Vec::new());
    for (n, chunk) in naive(&Selection::all(&grid)).into_iter().enumerate() {
        if hole > 0 && n % hole == hole - 1 {
            missing.push(chunk);
            continue;
        }
        let mut bytes = Vec::new();
        for inside in naive(&Selection::all(chunk_shape)) {
            let index: Vec<u64> =
                inside.iter().zip(&chunk).zip(chunk_shape).map(|((i, c), s)| c * s + i).collect();
            let outside = index.iter().zip(shape).any(|(i, s)| i >= s);
            bytes.extend(if outside { vec![0xEE; size] } else { value(shape, &index, size) });
        }
        if encoded {
            bytes = b"inv".iter().copied().chain(bytes.into_iter().map(|b| !b)).collect();
        }
        places.insert(chunk, (file.len() as u64, bytes.len() as u64));
        file.extend(bytes);
        file.extend([7; 3]);
    }
    let (object, faulty) = Faulty::wrap(MemoryObject::object("made", file), fault);
    let (version, object) = (Arc::clone(&object.version.identity), Arc::new(object));
    let stored = |(offset, len)| {
        let object = Arc::clone(&object);
        ChunkLocation::Stored { object, offset, len, filter_mask: 0 }
    };
    let table = places.into_iter().map(|(chunk, place)| (chunk, stored(place))).collect();
    let codec = Arc::new(Inverted::default());
    let stages: Vec<Arc<dyn Codec>> = if encoded { vec![Arc::clone(&codec) as _] } else { vec![] };
    let array = ChunkedArray {
        name: FullName::new("/v"),
        version,
        shape: shape.to_vec(),
        chunk_shape: chunk_shape.to_vec(),
        stored_size: size,
        fill: vec![0xAB; size].into(),
        pipeline: Pipeline::new(stages),
        index: Arc::new(Table(table)),
        elements: Arc::new(Numbers::Native),
    };
    Made { array: Arc::new(array), codec, faulty, missing }
}

fn engine(band_bytes: u64, cache_bytes: u64, budget_bytes: u64) -> Arc<Engine> {
    Arc::new(Engine::new(EngineOptions {
        cache_bytes,
        budget_bytes,
        band_bytes,
        bands_in_flight: 2,
        decoders: 2,
        stall: Duration::from_secs(30),
        patience: Duration::from_millis(200),
    }))
}

fn bytes(block: Block) -> Bytes {
    match block {
        Block::Fixed(bytes) => bytes,
        Block::Varying { .. } => panic!("numbers are fixed"),
    }
}

async fn read(engine: &Arc<Engine>, array: &Arc<ChunkedArray>, selection: &Selection) -> Result<Vec<u8>> {
    let blocks = engine.read(array, selection).map_ok(bytes);
    blocks
        .try_fold(Vec::new(), |mut all, b| async move {
            all.extend(b);
            Ok(all)
        })
        .await
}

fn expected(made: &Made, selection: &Selection) -> Vec<u8> {
    let array = &made.array;
    let of = |index: Vec<u64>| {
        let chunk: Vec<u64> = index.iter().zip(&array.chunk_shape).map(|(i, c)| i / c).collect();
        if made.missing.contains(&chunk) {
            array.fill.to_vec()
        } else {
            value(&array.shape, &index, array.stored_size)
        }
    };
    naive(selection).into_iter().flat_map(of).collect()
}

proptest! {
    #[test]
    fn equals_a_naive_reader(
        (shape, chunk_shape, axes) in cases(),
        size in prop::sample::select(vec![1_usize, 2, 3, 4, 8, 12]),
        encoded: bool, far: bool, hole in 0_usize..4, band in 1_u64..300, cache in 0_u64..300,
    ) {
        let fault = if far { Fault::Delay(Duration::ZERO) } else { Fault::None };
        let made = made(&shape, &chunk_shape, size, encoded, hole, fault);
        let selection = Selection::new(axes, &shape).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let engine = engine(band, cache, 1 << 20);
        let found = runtime.block_on(read(&engine, &made.array, &selection)).unwrap();
        prop_assert_eq!(found, expected(&made, &selection));
        prop_assert_eq!(engine.budget_in_use(), 0);
        prop_assert!(engine.cached_bytes() <= cache.max(made.array.chunk_byte_len().unwrap()));
    }
}

#[tokio::test]
async fn each_chunk_is_decoded_once_when_rows_of_chunks_fit() {
    let made = made(&[64, 40], &[8, 10], 4, true, 0, Fault::None);
    let engine = engine(8 * 40 * 4, 0, 1 << 20);
    read(&engine, &made.array, &Selection::all(&[64, 40])).await.unwrap();
    assert_eq!(made.codec.decoded.load(Ordering::SeqCst), 32);
    assert_eq!(engine.cached_bytes(), 0, "streaming does not go through the cache");
}

/// Two rows of chunks of 5 MiB each: more than any band aims for, less than a stream's share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_chunks_is_decoded_once_and_given_out_in_pieces_behind_a_sign_of_life() {
    let shape = [16, 300, 512];
    let made = made(&shape, &[8, 60, 512], 4, true, 4, Fault::None);
    let engine = Arc::new(Engine::default());
    let all = Selection::all(&shape);
    let blocks: Vec<Block> = engine.read(&made.array, &all).try_collect().await.unwrap();
    assert!(bytes(blocks[0].clone()).is_empty(), "said before the row is complete");
    assert!(blocks.iter().all(|block| block.byte_len() <= 2 << 20));
    let found: Vec<u8> = blocks.into_iter().flat_map(bytes).collect();
    assert!(found == expected(&made, &all));
    assert_eq!(made.codec.decoded.load(Ordering::SeqCst), 10 - made.missing.len() as u64);
    assert_eq!(engine.budget_in_use(), 0);
}

/// The same when there is no memory for a row: bands cut through chunks, and each stream goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_chunks_larger_than_the_budget_are_cut() {
    let shape = [16, 100, 512];
    let made = made(&shape, &[8, 20, 512], 4, true, 0, Fault::None);
    let engine = Arc::new(Engine::new(EngineOptions { budget_bytes: 2 << 20, ..EngineOptions::default() }));
    let all = Selection::all(&shape);
    let (one, two) = futures::join!(read(&engine, &made.array, &all), read(&engine, &made.array, &all));
    let expected = expected(&made, &all);
    assert!(one.unwrap() == expected && two.unwrap() == expected);
    assert_eq!(engine.budget_in_use(), 0);
}

#[tokio::test]
async fn each_chunk_is_decoded_once_when_bands_cut_it_and_the_cache_holds_a_row() {
    let made = made(&[64, 40], &[8, 10], 4, true, 0, Fault::None);
    let engine = engine(2 * 40 * 4, 2 * 8 * 40 * 4, 4 << 10);
    let all = Selection::all(&[64, 40]);
    assert_eq!(read(&engine, &made.array, &all).await.unwrap(), expected(&made, &all));
    assert_eq!(made.codec.decoded.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn little_reads_leave_large_ones_their_bands() {
    // A row of chunks takes a third of the budget, and nothing is kept: a band that is cut decodes its chunks again.
    let made = made(&[64, 40], &[8, 10], 4, true, 0, Fault::None);
    let engine = engine(2 * 40 * 4, 0, 4 << 10);
    let element = Selection::new(vec![vec![Slice::all(1)]; 2], &[64, 40]).unwrap();
    let little: Vec<_> = (0..3).map(|_| engine.read(&made.array, &element)).collect();
    let all = Selection::all(&[64, 40]);
    assert_eq!(read(&engine, &made.array, &all).await.unwrap(), expected(&made, &all));
    assert_eq!(made.codec.decoded.load(Ordering::SeqCst), 32);
    drop(little);
}

#[tokio::test]
async fn a_cache_smaller_than_a_row_of_chunks_still_saves_decoding() {
    // Rows of four chunks; four bands need each, and the cache holds two and a half chunks.
    let made = made(&[64, 40], &[8, 10], 4, true, 0, Fault::None);
    let engine = engine(40 * 4, 2 * 8 * 10 * 4 + 200, 1 << 10);
    let all = Selection::all(&[64, 40]);
    assert_eq!(read(&engine, &made.array, &all).await.unwrap(), expected(&made, &all));
    let decoded = made.codec.decoded.load(Ordering::SeqCst);
    assert!(decoded < 8 * 4 * 4, "{decoded} decodes");
    assert!(decoded >= 32);
}

#[tokio::test]
async fn concurrent_small_requests_decode_a_chunk_once() {
    let made = made(&[64, 40], &[64, 40], 4, true, 0, Fault::Delay(Duration::from_millis(20)));
    let engine = engine(1 << 20, 1 << 20, 1 << 20);
    let one = |i| Selection::new(vec![vec![Slice::new(i, 1, 1).unwrap()], vec![Slice::all(40)]], &[64, 40]);
    let reads = (0..16).map(|i| {
        let (engine, array) = (Arc::clone(&engine), Arc::clone(&made.array));
        async move { read(&engine, &array, &one(i).unwrap()).await }
    });
    let found = futures::future::try_join_all(reads).await.unwrap();
    for (i, found) in found.into_iter().enumerate() {
        assert_eq!(found, expected(&made, &one(i as u64).unwrap()));
    }
    assert_eq!(made.codec.decoded.load(Ordering::SeqCst), 1);
    assert_eq!(made.faulty.reads(), 1);
}

#[tokio::test]
async fn a_part_of_contiguous_data_is_read_without_the_rest() {
    let shape = [100, 1000];
    let made = made(&shape, &shape, 8, false, 0, Fault::None);
    let engine = engine(1 << 20, 0, 1 << 20);
    let row =
        Selection::new(vec![vec![Slice::new(50, 1, 1).unwrap()], vec![Slice::all(1000)]], &shape).unwrap();
    assert_eq!(read(&engine, &made.array, &row).await.unwrap(), expected(&made, &row));
    assert_eq!((made.faulty.reads(), made.faulty.bytes_read()), (1, 8000));
}

#[tokio::test]
async fn what_is_small_and_not_encoded_is_read_whole_once() {
    let part = |first| Selection::new(vec![vec![Slice::new(first, 1, 10).unwrap()]], &[8192]).unwrap();
    // A coordinate of 64 KiB, one of a little more, and small chunks of a larger array.
    for (size, chunk, reads, bytes_read) in [(8, 8192, 1, 65536), (9, 8192, 3, 270), (8, 1024, 1, 8192)] {
        let made = made(&[8192], &[chunk], size, false, 0, Fault::None);
        let engine = engine(1 << 20, 1 << 20, 1 << 20);
        for first in [20, 33, 31] {
            let found = read(&engine, &made.array, &part(first)).await.unwrap();
            assert_eq!(found, expected(&made, &part(first)), "{size} {chunk}");
        }
        assert_eq!((made.faulty.reads(), made.faulty.bytes_read()), (reads, bytes_read), "{size} {chunk}");
        assert_eq!(engine.counts().chunks_decoded, 0, "nothing is encoded");
        if reads == 1 {
            let again = read(&engine, &made.array, &part(25)).now_or_never();
            assert_eq!(again.expect("nothing is waited for").unwrap(), expected(&made, &part(25)));
        }
    }
}

#[tokio::test]
async fn sparse_columns_of_a_large_array_are_read_piece_by_piece() {
    // 100 rows of 128 KiB; one element of each.
    let shape = [100, 16384];
    let made = made(&shape, &shape, 8, false, 0, Fault::None);
    let engine = engine(1 << 20, 0, 1 << 20);
    let column =
        Selection::new(vec![vec![Slice::all(100)], vec![Slice::new(77, 1, 1).unwrap()]], &shape).unwrap();
    assert_eq!(read(&engine, &made.array, &column).await.unwrap(), expected(&made, &column));
    assert_eq!((made.faulty.reads(), made.faulty.bytes_read()), (100, 800));
}

#[tokio::test]
async fn nothing_happens_before_the_first_poll_and_dropping_cancels() {
    let made = made(&[400, 10], &[1, 10], 4, true, 0, Fault::Delay(Duration::from_millis(5)));
    let engine = engine(40, 0, 1 << 20);
    let mut stream = engine.read(&made.array, &Selection::all(&[400, 10]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((made.faulty.reads(), engine.budget_in_use()), (0, 0));
    stream.next().await.unwrap().unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let after = made.faulty.reads();
    assert!(after <= 4, "{after} reads for one block");
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!((made.faulty.reads(), engine.budget_in_use()), (after, 0));
}

#[tokio::test]
async fn failures_reach_the_reader_once_and_end_the_stream() {
    for (fault, kind) in [
        (Fault::FailAfter(3), ErrorKind::Storage),
        (Fault::ChangeAfter(3), ErrorKind::Changed),
        (Fault::TruncateAt(200), ErrorKind::Corrupt),
    ] {
        for encoded in [false, true] {
            let made = made(&[40, 10], &[1, 10], 4, encoded, 0, fault);
            let engine = engine(40, 0, 1 << 20);
            let mut stream = engine.read(&made.array, &Selection::all(&[40, 10]));
            let mut whole = 0;
            let error = loop {
                match stream.next().await.expect("an error before the end") {
                    Ok(_) => whole += 1,
                    Err(e) => break e,
                }
            };
            assert_eq!((error.kind(), stream.next().await.is_none()), (kind, true));
            assert!(whole < 40);
            drop(stream);
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(engine.budget_in_use(), 0);
        }
    }
}

#[tokio::test]
async fn a_chunk_beyond_the_object_is_corrupt() {
    for (offset, len) in [(0, 160), (u64::MAX - 3, 160), (0, 100)] {
        for encoded in [false, true] {
            let mut array =
                Arc::into_inner(made(&[4, 10], &[4, 10], 4, encoded, 0, Fault::None).array).unwrap();
            let object = Arc::new(MemoryObject::object("short", vec![0; 120]));
            let location = ChunkLocation::Stored { object, offset, len, filter_mask: 0 };
            array.index = Arc::new(OneChunk(Some(location)));
            let error = read(&engine(1000, 0, 1 << 20), &Arc::new(array), &Selection::all(&[4, 10])).await;
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}

#[tokio::test]
async fn inline_and_scalar_arrays() {
    let mut array = Arc::into_inner(made(&[], &[], 4, false, 0, Fault::None).array).unwrap();
    array.index = Arc::new(OneChunk(Some(ChunkLocation::Inline(Bytes::from_static(&[1, 2, 3, 4])))));
    let found = read(&engine(1000, 0, 1 << 20), &Arc::new(array), &Selection::all(&[])).await.unwrap();
    assert_eq!(found, [1, 2, 3, 4]);
}

#[tokio::test]
async fn stalled_readers_keep_memory_bounded_and_the_next_is_told_to_come_back() {
    const KIB: usize = 1024;
    let made = made(&[64, 1024], &[1, 1024], 16, false, 0, Fault::None);
    let engine = engine(16 << 10, 0, 256 << 10);
    let all = Selection::all(&[64, 1024]);
    let (mut stalled, mut refused, mut held) = (Vec::new(), None, 0);
    for _ in 0..100 {
        let mut stream = engine.read(&made.array, &all);
        match stream.next().await.unwrap() {
            Ok(block) => {
                held += block.byte_len();
                stalled.push((stream, block));
            }
            Err(e) => {
                refused = Some(e.kind());
                break;
            }
        }
        assert!(engine.budget_in_use() <= 256 << 10);
        assert!(held <= 256 * KIB);
    }
    assert_eq!(refused, Some(ErrorKind::Overloaded));
    assert!(stalled.len() >= 4);
    // One that goes on makes room; everything arrives in the end.
    drop(stalled);
    assert_eq!(read(&engine, &made.array, &all).await.unwrap(), expected(&made, &all));
    assert_eq!(engine.budget_in_use(), 0);
}

#[tokio::test]
async fn a_band_larger_than_the_whole_budget_is_read_alone() {
    let made = made(&[64, 64], &[64, 64], 4, true, 0, Fault::None);
    let engine = engine(1 << 20, 0, 4 << 10);
    let all = Selection::all(&[64, 64]);
    let (one, two) = futures::join!(read(&engine, &made.array, &all), read(&engine, &made.array, &all));
    assert_eq!((one.unwrap(), two.unwrap()), (expected(&made, &all), expected(&made, &all)));
}

#[tokio::test]
async fn a_selection_for_another_shape_is_an_error_item() {
    let made = made(&[4], &[4], 4, false, 0, Fault::None);
    let mut stream = engine(100, 0, 1 << 20).read(&made.array, &Selection::all(&[5]));
    assert!(stream.next().now_or_never().flatten().unwrap().is_err());
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_of_random_parts_get_the_right_bytes_from_a_small_budget() {
    let shape = [60, 50, 40];
    for encoded in [false, true] {
        let made = Arc::new(made(&shape, &[7, 20, 16], 4, encoded, 5, Fault::None));
        let engine = Arc::new(Engine::new(EngineOptions {
            cache_bytes: 50_000,
            budget_bytes: 300_000,
            band_bytes: 20_000,
            decoders: 2,
            ..EngineOptions::default()
        }));
        let readers = (0..24_u64).map(|seed| {
            let (engine, made) = (Arc::clone(&engine), Arc::clone(&made));
            tokio::spawn(async move {
                let mut random = cdm::testing::Random(seed);
                for _ in 0..6 {
                    let selection = random.selection(&shape);
                    let found = read(&engine, &made.array, &selection).await.unwrap();
                    assert!(found == expected(&made, &selection), "seed {seed}");
                }
            })
        });
        futures::future::try_join_all(readers).await.unwrap();
        assert_eq!(engine.budget_in_use(), 0);
    }
}
