//! Large buffers that are used again.
//!
//! A fresh buffer of a megabyte costs the kernel a page fault, and the clearing of a page, for each of its
//! pages: about as long as copying it. Streams need the same sizes over and over, so what they let go of is
//! kept for the next one, up to a fixed number of bytes for the whole process, until nobody needs it for a while.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use cdm::Result;

use crate::chunked::codecs::bytes_in::zeroed;

/// Smaller ones come from the allocator, which has them at hand.
const SMALLEST: usize = 32 << 10;

/// Larger ones are rare, and go back to the system.
const LARGEST: usize = 4 << 20;

/// Bytes kept at most: a row of large chunks, and those that are being decoded.
const MOST: usize = 64 << 20;

static IDLE: Mutex<Idle> = Mutex::new(Idle { buffers: Vec::new(), bytes: 0, untouched: 0 });

/// Lets go of the buffers that nobody has needed since this was called before.
pub fn release_unused() {
    // Dropped outside of the lock.
    drop(idle(Idle::release));
}

/// What nobody uses now, the last used one last: the likeliest to be in a processor's cache.
#[derive(Debug)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    /// How many of the first have not been needed since the last [release](Idle::release).
    untouched: usize,
}

impl Idle {
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| buffer.len() >= len && buffer.len() / 4 * 3 <= len;
        let found = self.buffers.iter().rposition(fits)?;
        let buffer = self.buffers.remove(found);
        self.bytes -= buffer.len();
        self.untouched = self.untouched.min(found);
        Some(buffer)
    }

    /// Keeps a buffer, and lets go of those that have waited longest; what is dropped is returned.
    fn keep(&mut self, buffer: Vec<u8>) -> Vec<Vec<u8>> {
        self.bytes += buffer.len();
        self.buffers.push(buffer);
        let mut excess = 0;
        while self.bytes > MOST {
            self.bytes -= self.buffers.get(excess).map_or(self.bytes, Vec::len);
            excess += 1;
        }
        self.untouched = self.untouched.saturating_sub(excess);
        self.buffers.drain(..excess).collect()
    }

    fn release(&mut self) -> Vec<Vec<u8>> {
        let unused: Vec<_> = self.buffers.drain(..self.untouched).collect();
        self.bytes -= unused.iter().map(Vec::len).sum::<usize>();
        self.untouched = self.buffers.len();
        unused
    }
}

/// Bytes to be written over: what they hold at first is anything.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// May be longer than what is wanted.
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` bytes, all of which the caller writes.
    ///
    /// # Errors
    /// `Overloaded` when there is no memory.
    pub(crate) fn new(len: usize) -> Result<Self> {
        let bytes = match len {
            // The system clears the pages of a fresh one when they are written, not before.
            SMALLEST..=LARGEST => idle(|idle| idle.take(len)).unwrap_or_else(|| vec![0; len]),
            _ => zeroed(len)?,
        };
        Ok(Self { bytes, len })
    }

    /// The bytes, to be shared.
    pub(crate) fn freeze(self) -> Bytes {
        if self.bytes.len() < SMALLEST {
            // As they are: `Bytes` has no use for an owner of so little.
            let mut this = self;
            let mut bytes = std::mem::take(&mut this.bytes);
            bytes.truncate(this.len);
            return bytes.into();
        }
        Bytes::from_owner(self)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if (SMALLEST..=LARGEST).contains(&self.bytes.len()) {
            let bytes = std::mem::take(&mut self.bytes);
            // Dropped outside of the lock.
            drop(idle(|idle| idle.keep(bytes)));
        }
    }
}

fn idle<T>(work: impl FnOnce(&mut Idle) -> T) -> T {
    work(&mut IDLE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_bounded_and_gives_what_fits() {
        let mut idle = Idle { buffers: Vec::new(), bytes: 0, untouched: 0 };
        for _ in 0..70 {
            idle.keep(vec![1; 1 << 20]);
        }
        assert_eq!(idle.bytes, MOST);
        assert_eq!(idle.buffers.len() << 20, MOST);
        assert!(idle.take(2 << 20).is_none(), "too small");
        assert!(idle.take(100 << 10).is_none(), "a waste");
        assert_eq!(idle.take((1 << 20) - 7).unwrap().len(), 1 << 20);
        assert_eq!(idle.bytes, MOST - (1 << 20));
    }

    #[test]
    fn what_nobody_needs_is_let_go_of() {
        let mut idle = Idle { buffers: Vec::new(), bytes: 0, untouched: 0 };
        for len in [100_000, 1 << 20, 200_000] {
            idle.keep(vec![1; len]);
        }
        assert!(idle.release().is_empty(), "they have just come");
        let used = idle.take(1 << 20).unwrap();
        idle.keep(used);
        let lens = |buffers: &[Vec<u8>]| buffers.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lens(&idle.release()), [100_000], "what came before one that was used");
        assert_eq!(idle.bytes, 200_000 + (1 << 20));
        assert_eq!(lens(&idle.release()), [200_000, 1 << 20]);
        assert_eq!((idle.bytes, idle.untouched), (0, 0));
    }

    #[test]
    fn a_buffer_is_as_long_as_asked_and_lives_on_in_bytes() {
        for len in [0, 1, 1000, SMALLEST, SMALLEST + 5, LARGEST, LARGEST + 1] {
            let mut buffer = Buffer::new(len).unwrap();
            assert_eq!(buffer.len(), len);
            buffer.fill(7);
            let bytes = buffer.freeze();
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|b| *b == 7));
        }
    }
}
