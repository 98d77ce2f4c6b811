//! The memory that bands of all streams share: the less there is left, the smaller the next band is. Nobody waits
//! for it, since what fills a band waits for the memory of the chunk engine.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bands do not shrink below this, in bytes.
const SMALLEST: u64 = 64 << 10;

/// A band takes this part of what is left at most.
const PART: u64 = 8;

/// What all bands of this process share.
pub(super) static ROOM: Room = Room::new(32 << 20);

/// Memory that is counted.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    taken: AtomicU64,
}

impl Room {
    const fn new(bytes: u64) -> Self {
        Self { bytes, taken: AtomicU64::new(0) }
    }

    /// Bytes that the next band may have.
    pub(super) fn for_next(&self) -> u64 {
        (self.bytes.saturating_sub(self.taken.load(Ordering::Relaxed)) / PART).max(SMALLEST)
    }

    /// Counts so many bytes as taken.
    pub(super) fn take(&'static self, bytes: u64) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share { room: self, bytes }
    }
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: &'static Room,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use cdm::Block;

    use super::*;

    #[test]
    fn bands_get_smaller_as_others_are_held_and_larger_when_they_go() {
        static TEST: Room = Room::new(1 << 20);
        let mut blocks = Vec::new();
        let mut sizes = Vec::new();
        for _ in 0..40 {
            let size = TEST.for_next();
            sizes.push(size);
            let bytes = vec![7; usize::try_from(size).unwrap()];
            blocks.push(Block::Fixed(bytes.into()).holding(TEST.take(size)));
        }
        assert_eq!((sizes[0], sizes[39]), (128 << 10, SMALLEST));
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        let Some(Block::Fixed(last)) = blocks.pop() else { panic!("no block") };
        drop(blocks);
        // A part of a band is as good as all of it.
        let piece = last.slice(5..6);
        drop(last);
        assert_eq!(TEST.taken.load(Ordering::Relaxed), SMALLEST);
        assert_eq!(piece, [7_u8][..]);
        drop(piece);
        assert_eq!(TEST.for_next(), 128 << 10);
    }
}
