//! Stored numbers to the machine's.

#![expect(clippy::inline_always, reason = "only what is inlined is compiled for the vectors of its caller")]

use bytes::{Bytes, BytesMut};
use cdm::{Block, Result};

use super::Elements;

/// Elements that are the model's already, or become it by swapping the bytes of each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As stored.
    Native,
    /// Each number of so many bytes reversed; 0 and 1 mean as stored.
    Swapped(usize),
}

impl Numbers {
    /// Big-endian numbers of `size` bytes.
    pub fn big_endian(size: usize) -> Self {
        if cfg!(target_endian = "big") || size < 2 { Self::Native } else { Self::Swapped(size) }
    }

    /// Little-endian numbers of `size` bytes.
    pub fn little_endian(size: usize) -> Self {
        if cfg!(target_endian = "little") || size < 2 { Self::Native } else { Self::Swapped(size) }
    }

    /// Swaps in place when nobody else holds the bytes.
    pub fn apply(self, raw: Bytes) -> Bytes {
        let Self::Swapped(size) = self else { return raw };
        let mut bytes = raw.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        Self::Swapped(size).convert(&mut bytes);
        bytes.freeze()
    }

    /// The same in place.
    pub(crate) fn convert(self, bytes: &mut [u8]) {
        // Compiled for the widest vectors that the processor has: several times as fast as for the narrowest.
        let wide = pulp::Arch::new();
        match self {
            Self::Native | Self::Swapped(0 | 1) => {}
            Self::Swapped(2) => wide.dispatch(|| swap::<2>(bytes)),
            Self::Swapped(4) => wide.dispatch(|| swap::<4>(bytes)),
            Self::Swapped(8) => wide.dispatch(|| swap::<8>(bytes)),
            Self::Swapped(n) => bytes.chunks_exact_mut(n).for_each(<[u8]>::reverse),
        }
    }
}

/// A size known to the compiler becomes vector shuffles.
#[inline(always)]
fn swap<const N: usize>(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<N>();
    for number in numbers {
        number.reverse();
    }
}

impl Elements for Numbers {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        Ok(Block::Fixed(self.apply(raw)))
    }

    fn numbers(&self) -> Option<Numbers> {
        Some(*self)
    }

    fn stored_big_endian(&self) -> Option<bool> {
        Some(matches!(self, Self::Swapped(_)) != cfg!(target_endian = "big"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_swapped_whether_shared_or_not() {
        let raw = Bytes::from(vec![1, 2, 3, 4, 5, 6, 7, 8]);
        let shared = raw.clone();
        assert_eq!(Numbers::Swapped(4).apply(raw), [4, 3, 2, 1, 8, 7, 6, 5].as_slice());
        assert_eq!(Numbers::Swapped(2).apply(shared.clone()), [2, 1, 4, 3, 6, 5, 8, 7].as_slice());
        assert_eq!(Numbers::Swapped(8).apply(shared.clone()), [8, 7, 6, 5, 4, 3, 2, 1].as_slice());
        assert_eq!(Numbers::Native.apply(shared.clone()), shared);
    }
}
