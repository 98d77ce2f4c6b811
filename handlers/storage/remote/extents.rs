//! Pieces of objects that were read and are likely to be wanted again: heads, and metadata read ahead.
//! Bounded by bytes over all objects of a store; the least recently used goes first.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

use super::super::byte_len;

/// The pieces of all objects of one store.
#[derive(Debug)]
pub(super) struct Extents {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By object and offset.
    pieces: BTreeMap<(u64, u64), Piece>,
    /// By time of last use.
    by_age: BTreeMap<u64, (u64, u64)>,
    clock: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    used: u64,
}

impl Extents {
    pub(super) fn new(capacity: u64) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// The bytes of `range` of `object`, when all of them are here.
    pub(super) fn find(&self, object: u64, range: &Range<u64>) -> Option<Bytes> {
        let mut state = self.state();
        let mut found: Option<BytesMut> = None;
        let mut at = range.start;
        loop {
            let (start, piece) = state.at(object, at)?;
            let end = start + piece.len() as u64;
            let from = byte_len(&(start..at)).ok()?;
            let to = byte_len(&(start..end.min(range.end))).ok()?;
            let part = piece.slice(from..to);
            if found.is_none() && end >= range.end {
                return Some(part);
            }
            let whole = byte_len(range).ok()?;
            found.get_or_insert_with(|| BytesMut::with_capacity(whole)).extend_from_slice(&part);
            if end >= range.end {
                return found.map(BytesMut::freeze);
            }
            at = end;
        }
    }

    /// Keeps bytes of `object` from `start` on.
    pub(super) fn keep(&self, object: u64, start: u64, bytes: &Bytes) {
        let len = bytes.len() as u64;
        if len == 0 || len > self.capacity {
            return;
        }
        let mut state = self.state();
        state.remove((object, start));
        while state.bytes + len > self.capacity {
            let Some((_, oldest)) = state.by_age.pop_first() else { break };
            state.remove(oldest);
        }
        state.clock += 1;
        let used = state.clock;
        state.by_age.insert(used, (object, start));
        state.pieces.insert((object, start), Piece { bytes: bytes.clone(), used });
        state.bytes += len;
    }

    /// The piece of `object` that ends last at or before `offset`.
    pub(super) fn before(&self, object: u64, offset: u64) -> Option<Range<u64>> {
        let state = self.state();
        let ((_, start), piece) = state.pieces.range((object, 0)..(object, offset)).next_back()?;
        let end = start + piece.bytes.len() as u64;
        (end <= offset).then_some(*start..end)
    }

    /// Forgets `object`.
    pub(super) fn forget(&self, object: u64) {
        let mut state = self.state();
        let keys: Vec<_> = state.pieces.range((object, 0)..=(object, u64::MAX)).map(|(k, _)| *k).collect();
        for key in keys {
            state.remove(key);
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.state().bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst a stale age.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The piece of `object` that holds the byte at `offset`, and where it begins.
    fn at(&mut self, object: u64, offset: u64) -> Option<(u64, Bytes)> {
        let ((_, start), piece) = self.pieces.range_mut((object, 0)..=(object, offset)).next_back()?;
        let start = *start;
        if start + piece.bytes.len() as u64 <= offset {
            return None;
        }
        self.clock += 1;
        self.by_age.remove(&piece.used);
        piece.used = self.clock;
        self.by_age.insert(self.clock, (object, start));
        Some((start, piece.bytes.clone()))
    }

    fn remove(&mut self, key: (u64, u64)) {
        if let Some(piece) = self.pieces.remove(&key) {
            self.by_age.remove(&piece.used);
            self.bytes -= piece.bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(range: Range<u8>) -> Bytes {
        range.collect::<Vec<u8>>().into()
    }

    #[test]
    fn pieces_are_found_and_joined() {
        let extents = Extents::new(100);
        extents.keep(1, 0, &piece(0..10));
        extents.keep(1, 10, &piece(10..20));
        extents.keep(2, 20, &piece(20..30));
        assert_eq!(extents.find(1, &(2..5)).unwrap(), piece(2..5));
        assert_eq!(extents.find(1, &(5..20)).unwrap(), piece(5..20));
        assert_eq!(extents.find(1, &(5..21)), None);
        assert_eq!(extents.find(2, &(19..21)), None);
        assert_eq!(extents.before(1, 25), Some(10..20));
        assert_eq!(extents.before(1, 15), None, "it is inside");
        assert_eq!(extents.before(2, 5), None);
        extents.forget(1);
        assert_eq!((extents.find(1, &(2..5)), extents.bytes()), (None, 10));
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let extents = Extents::new(30);
        for object in 0..3 {
            extents.keep(object, 0, &piece(0..10));
        }
        assert!(extents.find(0, &(0..1)).is_some());
        extents.keep(3, 0, &piece(0..10));
        assert!(extents.find(1, &(0..1)).is_none());
        assert!([0, 2, 3].iter().all(|object| extents.find(*object, &(0..1)).is_some()));
        extents.keep(4, 0, &piece(0..31));
        assert_eq!(extents.bytes(), 30, "what is larger than all is not kept");
    }
}
