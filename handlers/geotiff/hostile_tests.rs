//! Files made by hand: what is broken, absurd or not read here, and how many requests a sound one takes.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Block, ErrorKind, FullName, Result, Selection, Slice, Source, testing::collect};

use crate::{
    Registry,
    chunked::Engine,
    storage::{MemoryObject, Object, ReadRanges},
};

const SHORT: u16 = 3;
const LONG: u16 = 4;

/// A classic little-endian file: `data` at byte 8, then one directory, whose link is `next`.
fn file(entries: &[(u16, u16, u32, u32)], data: &[u8], next: Option<u32>) -> Vec<u8> {
    let at = u32::try_from(8 + data.len()).unwrap();
    let mut entries = entries.to_vec();
    entries.sort_unstable();
    let mut bytes = [&b"II*\0"[..], &at.to_le_bytes(), data].concat();
    bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(next.unwrap_or(0).to_le_bytes());
    bytes
}

/// Entries of a sound image of 4 by 3 bytes, with `changes` to them.
fn entries(changes: &[(u16, u16, u32, u32)]) -> Vec<(u16, u16, u32, u32)> {
    let mut all = vec![
        (256, SHORT, 1, 4),
        (257, SHORT, 1, 3),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, 1),
        (273, LONG, 1, 8),
        (277, SHORT, 1, 1),
        (278, SHORT, 1, 3),
        (279, LONG, 1, 12),
    ];
    for change in changes {
        all.retain(|e| e.0 != change.0);
        all.push(*change);
    }
    all
}

const PIXELS: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

async fn open(bytes: Vec<u8>) -> Result<Arc<dyn Source>> {
    Registry::new(Arc::new(Engine::default())).open(MemoryObject::object("made.tif", bytes)).await
}

async fn first(source: &Arc<dyn Source>, name: &str, count: u64) -> Result<Block> {
    let name = FullName::new(name);
    let shape = source.dataset().require(&name)?.shape();
    let mut axes: Vec<Vec<Slice>> = shape.iter().map(|_| vec![Slice::new(0, 1, 1).unwrap()]).collect();
    if let Some(last) = axes.last_mut() {
        *last = vec![Slice::new(0, 1, count).unwrap()];
    }
    collect(source.read(&name, &Selection::new(axes, &shape)?), true).await
}

#[tokio::test]
async fn a_file_by_hand_is_read() {
    let source = open(file(&entries(&[]), &PIXELS, None)).await.unwrap();
    let found = first(&source, "/band_1", 4).await.unwrap();
    assert_eq!(found, Block::Fixed(Bytes::from_static(&[1, 2, 3, 4])));
}

#[tokio::test]
async fn broken_structure_is_corrupt() {
    for (what, bytes) in [
        ("a loop", file(&entries(&[]), &PIXELS, Some(20))),
        ("a directory beyond the file", file(&entries(&[]), &PIXELS, Some(9999))),
        ("no directory", b"II*\0\0\0\0\0".to_vec()),
        ("no width", file(&entries(&[(256, SHORT, 1, 0)]), &PIXELS, None)),
        ("strips of no rows", file(&entries(&[(278, SHORT, 1, 0)]), &PIXELS, None)),
        ("tiles of no width", file(&entries(&[(322, SHORT, 1, 0), (323, SHORT, 1, 16)]), &PIXELS, None)),
        ("samples of no bits", file(&entries(&[(258, SHORT, 1, 0)]), &PIXELS, None)),
        ("values beyond the file", file(&entries(&[(258, SHORT, 9, 9999)]), &PIXELS, None)),
        ("a BigTIFF of short offsets", b"II+\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
    ] {
        let error = open(bytes).await.err().unwrap_or_else(|| panic!("{what} opens"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
    let error = open(file(&entries(&[(258, SHORT, u32::MAX, 8)]), &PIXELS, None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_keeps_its_place() {
    use ErrorKind::{Corrupt, Unsupported};
    let tiles = [(322, LONG, 1, 1 << 16), (323, LONG, 1, 1 << 16), (324, LONG, 1, 8), (325, LONG, 1, 12)];
    let huge = [&tiles[..], &[(259, SHORT, 1, 8)]].concat();
    for (what, changes, kind) in [
        ("JPEG 2000", &[(259, SHORT, 1, 34712)][..], Unsupported),
        ("fax", &[(259, SHORT, 1, 4)], Unsupported),
        ("24 bits", &[(258, SHORT, 1, 24)], Unsupported),
        ("a predictor that is none", &[(259, SHORT, 1, 5), (317, SHORT, 1, 9)], Unsupported),
        ("differences of bits", &[(259, SHORT, 1, 5), (317, SHORT, 1, 2), (258, SHORT, 1, 4)], Unsupported),
        ("WebP of one band", &[(259, SHORT, 1, 50001)], Unsupported),
        ("a tile larger than memory", &huge, Unsupported),
        ("too few bytes", &[(279, LONG, 1, 11)], Corrupt),
        ("bytes beyond the file", &[(273, LONG, 1, 1 << 30)], Corrupt),
        ("no deflate", &[(259, SHORT, 1, 8)], Corrupt),
        ("no JPEG", &[(259, SHORT, 1, 7)], Corrupt),
        ("no LERC", &[(259, SHORT, 1, 34887)], Corrupt),
        ("no xz", &[(259, SHORT, 1, 34925)], Corrupt),
        ("more strips than offsets", &[(278, SHORT, 1, 1), (257, SHORT, 1, 90), (273, LONG, 1, 8)], Corrupt),
    ] {
        let source = open(file(&entries(changes), &PIXELS, None)).await;
        let source = source.unwrap_or_else(|e| panic!("{what}: {e}"));
        let shape = source.dataset().require(&FullName::new("/band_1")).unwrap().shape();
        let all = collect(source.read(&FullName::new("/band_1"), &Selection::all(&shape)), true).await;
        let error = all.err().unwrap_or_else(|| panic!("{what} is read"));
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
}

/// An image of 2^64 cells in 200 bytes: opened, and read where it is asked for.
#[tokio::test]
async fn absurd_sizes_cost_nothing() {
    let changes = [
        (256, LONG, 1, u32::MAX),
        (257, LONG, 1, u32::MAX),
        (259, SHORT, 1, 8),
        (322, LONG, 1, 256),
        (323, LONG, 1, 256),
        (324, LONG, 1, 0),
        (325, LONG, 1, 0),
    ];
    let source = open(file(&entries(&changes), &PIXELS, None)).await.unwrap();
    assert_eq!(first(&source, "/band_1", 3).await.unwrap(), Block::Fixed(Bytes::from_static(&[0; 3])));
    let many = file(&entries(&[(277, SHORT, 1, 65535), (284, SHORT, 1, 2)]), &PIXELS, None);
    let source = open(many).await.unwrap();
    assert_eq!(source.dataset().variables().count(), 2, "one variable and its band numbers");
}

/// Counts reads.
#[derive(Debug)]
struct Counted(Arc<dyn ReadRanges>, AtomicUsize);

#[async_trait]
impl ReadRanges for Counted {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(ranges).await
    }

    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_blocking(ranges)
    }
}

/// One read to find out what it is, one for all metadata with the tables of tiles, one for two tiles.
#[tokio::test]
async fn a_cog_takes_two_reads_to_open() {
    let bytes = include_bytes!("fixtures/cog.tif");
    let object = MemoryObject::object("cog.tif", bytes.to_vec());
    let counted = Arc::new(Counted(Arc::clone(&object.reader), AtomicUsize::new(0)));
    let reader: Arc<dyn ReadRanges> = Arc::clone(&counted) as Arc<dyn ReadRanges>;
    let source = Registry::new(Arc::new(Engine::default())).open(Object { reader, ..object }).await.unwrap();
    assert_eq!(counted.1.load(Ordering::Relaxed), 2);
    first(&source, "/data", 100).await.unwrap();
    assert!(counted.1.load(Ordering::Relaxed) <= 4);
}
