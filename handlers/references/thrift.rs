//! Thrift's compact protocol, as Parquet's footers and page headers are written in: a walk over values that
//! tells each with the numbers of the fields it is within. Nothing is built, so nothing is allocated for what
//! the bytes merely claim.

#![warn(clippy::indexing_slicing)]

use cdm::Result;

use super::parquet_file::damaged;

/// Items of one list: columns, row groups.
const MOST_ITEMS: u64 = 4096;
/// Structures and lists within each other.
const MOST_DEPTH: usize = 16;

/// What the walk comes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event<'a> {
    /// An item of a list begins.
    Item,
    /// An integer.
    Number(i64),
    /// A boolean field.
    Flag(bool),
    /// Bytes or text.
    Bytes(&'a [u8]),
}

/// Walks over the structure that `bytes` begin with, and gives what follows it. `tell` gets each value with
/// its path: the numbers of the fields it is within, from the outermost; lists add nothing to it.
///
/// # Errors
/// `Corrupt` when the bytes are no such structure; what `tell` says.
pub(super) fn walk<'a>(
    bytes: &'a [u8],
    tell: &mut dyn FnMut(&[i64], Event<'a>) -> Result<()>,
) -> Result<&'a [u8]> {
    let mut walk = Walk { rest: bytes, path: Vec::new(), depth: 0, tell };
    walk.structure()?;
    Ok(walk.rest)
}

struct Walk<'a, 't> {
    rest: &'a [u8],
    path: Vec<i64>,
    depth: usize,
    tell: &'t mut dyn FnMut(&[i64], Event<'a>) -> Result<()>,
}

impl<'a> Walk<'a, '_> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(short)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let parts = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = parts.ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self) -> Result<u64> {
        let (number, rest) = unsigned(self.rest)?;
        self.rest = rest;
        Ok(number)
    }

    fn signed(&mut self) -> Result<i64> {
        let zigzag = self.unsigned()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn structure(&mut self) -> Result<()> {
        let mut field = 0_i64;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            field = match header >> 4 {
                0 => self.signed()?,
                delta => field.saturating_add(i64::from(delta)),
            };
            self.path.push(field);
            match header & 0x0f {
                // Fields hold their booleans in their type.
                kind @ (1 | 2) => (self.tell)(&self.path, Event::Flag(kind == 1))?,
                kind => self.value(kind)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8) -> Result<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(damaged("structures too deep"));
        }
        match kind {
            1..=3 => drop(self.byte()?),
            4..=6 => {
                let number = self.signed()?;
                (self.tell)(&self.path, Event::Number(number))?;
            }
            7 => drop(self.take(8)?),
            8 => {
                let len = self.unsigned()?;
                let bytes = self.take(len)?;
                (self.tell)(&self.path, Event::Bytes(bytes))?;
            }
            9 | 10 => {
                let header = self.byte()?;
                let count = match header >> 4 {
                    15 => self.unsigned()?,
                    count => u64::from(count),
                };
                if count > MOST_ITEMS || count > self.rest.len() as u64 {
                    return Err(damaged("a list longer than it can be"));
                }
                for _ in 0..count {
                    (self.tell)(&self.path, Event::Item)?;
                    self.value(header & 0x0f)?;
                }
            }
            12 => self.structure()?,
            // Maps are in no structure of Parquet.
            _ => return Err(damaged("a structure of no known type")),
        }
        self.depth -= 1;
        Ok(())
    }
}

/// A number in seven bits per byte, least significant first, and what follows it.
///
/// # Errors
/// `Corrupt` when the bytes end within it, or it has more than 64 bits.
pub(super) fn unsigned(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let (mut number, mut rest) = (0_u64, bytes);
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or_else(short)?;
        rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((number, rest));
        }
    }
    Err(damaged("a number of too many bytes"))
}

fn short() -> cdm::Error {
    damaged("its structures end early")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Result<String> {
        let mut all = String::new();
        let rest = walk(bytes, &mut |path, event| {
            all.extend([format!("{path:?} {event:?}; ")]);
            Ok(())
        })?;
        Ok(all + &format!("{} left", rest.len()))
    }

    #[test]
    fn values_with_their_paths() {
        // 1: i32 -1; 2: true; 5: list of two binaries; 6: { 1: i64 300 }.
        let bytes = [0x15, 0x01, 0x11, 0x39, 0x28, 1, b'a', 0, 0x1c, 0x16, 0xd8, 0x04, 0, 0, 9];
        assert_eq!(
            told(&bytes).unwrap(),
            "[1] Number(-1); [2] Flag(true); [5] Item; [5] Bytes([97]); [5] Item; [5] Bytes([]); [6, 1] Number(300); 1 left"
        );
    }

    #[test]
    fn claims_are_held_to_the_bytes() {
        // A list of two thousand million structures; lists in lists; structures in structures; too short.
        for wrong in [
            &[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07][..],
            &[0x19; 10_000],
            &[0x1c; 10_000],
            &[0x15],
            &[0x18, 0x7f],
            &[0x1b, 0],
            &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[],
        ] {
            assert_eq!(told(wrong).unwrap_err().kind(), cdm::ErrorKind::Corrupt, "{:?}", wrong.get(..8));
        }
    }
}
