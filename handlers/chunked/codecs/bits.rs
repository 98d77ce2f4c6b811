//! Bits from foreign bytes, most significant first: the order of nbit, scale-offset and szip.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};

/// A reader of bits. Running out is `Corrupt`.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, left-aligned; those below `held` are zero.
    window: u64,
    held: u32,
}

fn ended() -> Error {
    Error::corrupt("the packed bits end early")
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, window: 0, held: 0 }
    }

    /// At least 57 bits held, or all that are left.
    fn refill(&mut self) {
        if self.held <= 32
            && let Some((word, rest)) = self.rest.split_first_chunk()
        {
            self.window |= u64::from(u32::from_be_bytes(*word)) << (32 - self.held);
            self.held += 32;
            self.rest = rest;
        }
        while self.held <= 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.window |= u64::from(*byte) << (56 - self.held);
            self.held += 8;
            self.rest = rest;
        }
    }

    fn consume(&mut self, count: u32) {
        self.window = self.window.checked_shl(count).unwrap_or(0);
        self.held -= count;
    }

    /// The next `count` (at most 64) bits as a number.
    #[inline]
    pub(super) fn read(&mut self, count: u32) -> Result<u64> {
        if count == 0 {
            return Ok(0);
        }
        if count > 56 {
            let high = self.read(count - 32)?;
            return Ok((high << 32) | self.read(32)?);
        }
        if self.held < count {
            self.refill();
            if self.held < count {
                return Err(ended());
            }
        }
        let value = self.window >> (64 - count);
        self.consume(count);
        Ok(value)
    }

    /// How many 0 bits come before the next 1 bit, which is consumed too.
    #[inline]
    pub(super) fn zeros_before_one(&mut self) -> Result<u32> {
        let mut count = 0_u32;
        loop {
            if self.held == 0 {
                self.refill();
                if self.held == 0 {
                    return Err(ended());
                }
            }
            let zeros = self.window.leading_zeros();
            if zeros < self.held {
                self.consume(zeros + 1);
                return Ok(count + zeros);
            }
            count = count.checked_add(self.held).filter(|c| *c < u32::MAX - 64).ok_or_else(ended)?;
            self.consume(self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_most_significant_bits_first() {
        let mut bits = Bits::new(&[0b1010_0001, 0xff, 0x00, 0x80]);
        assert_eq!(bits.read(3).unwrap(), 0b101);
        assert_eq!(bits.zeros_before_one().unwrap(), 4);
        assert_eq!(bits.read(8).unwrap(), 0xff);
        assert_eq!(bits.zeros_before_one().unwrap(), 8);
        assert_eq!(bits.read(7).unwrap(), 0);
        assert!(bits.read(1).is_err());
        assert!(bits.zeros_before_one().is_err());
    }

    #[test]
    fn reads_wide_numbers_and_every_alignment() {
        let bytes: Vec<u8> = (0..40).map(|i: u8| i.wrapping_mul(37)).collect();
        let bit = |i: usize| u64::from(bytes[i / 8] >> (7 - i % 8) & 1);
        for width in 1..=64_usize {
            let mut bits = Bits::new(&bytes);
            for start in (0..320 - width).step_by(width) {
                let expected = (start..start + width).fold(0, |v, i| v << 1 | bit(i));
                assert_eq!(bits.read(u32::try_from(width).unwrap()).unwrap(), expected, "{width} at {start}");
            }
        }
    }
}
