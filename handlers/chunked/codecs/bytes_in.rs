//! Reading foreign bytes and making room for decoded ones: what every codec needs and none should redo.

#![warn(clippy::indexing_slicing)]

use std::io::Read;

use cdm::{Error, ErrorKind, Result};

/// No codec decodes to more than this unless its caller named a length.
pub(crate) const MAX_UNNAMED_LEN: usize = 256 << 20;

/// The largest output a codec may make: the length the caller named, else what `input_len` bytes can
/// expand to at `expansion` times, within [`MAX_UNNAMED_LEN`].
pub(super) fn output_limit(decoded_len: Option<usize>, input_len: usize, expansion: usize) -> usize {
    decoded_len.unwrap_or_else(|| input_len.saturating_mul(expansion).clamp(64, MAX_UNNAMED_LEN))
}

/// `len` zero bytes, or `Overloaded` when there is no memory.
pub(crate) fn zeroed(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|e| {
        Error::new(ErrorKind::Overloaded, format!("no memory for {len} bytes")).with_source(e)
    })?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// The one message for a length that is not the one demanded.
pub(super) fn wrong_len(found: impl std::fmt::Display, expected: usize) -> Error {
    Error::corrupt(format!("{found} bytes where {expected} are due"))
}

/// Checks a length that the encoded bytes claim against the one the caller named.
pub(super) fn claimed_len(claim: u64, decoded_len: Option<usize>) -> Result<usize> {
    match (usize::try_from(claim), decoded_len) {
        (Ok(claim), Some(len)) if claim == len => Ok(len),
        (_, Some(len)) => Err(wrong_len(claim, len)),
        (Ok(claim), None) if claim <= MAX_UNNAMED_LEN => Ok(claim),
        _ => Err(Error::corrupt(format!("{claim} bytes are claimed; the limit is {MAX_UNNAMED_LEN}"))),
    }
}

/// Everything `reader` yields: exactly `decoded_len` bytes when named, else at most `limit`. Memory grows
/// with what was really read.
pub(super) fn read_bounded(
    mut reader: impl Read,
    decoded_len: Option<usize>,
    limit: usize,
) -> Result<Vec<u8>> {
    let broken = |e: std::io::Error| Error::corrupt("the compressed stream is damaged").with_source(e);
    if let Some(len) = decoded_len {
        let mut out = zeroed(len)?;
        reader.read_exact(&mut out).map_err(broken)?;
        let mut more = [0];
        if reader.read(&mut more).map_err(broken)? != 0 {
            return Err(wrong_len("more", len));
        }
        return Ok(out);
    }
    let mut out = Vec::new();
    let probe = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(probe).read_to_end(&mut out).map_err(broken)?;
    if out.len() > limit {
        return Err(Error::corrupt(format!("decodes to more than {limit} bytes")));
    }
    Ok(out)
}

/// A position in foreign bytes; running out is `Corrupt`.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(|| {
            Error::corrupt(format!("ends {} bytes early", len.saturating_sub(self.0.len())))
        })?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(|| Error::corrupt("ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16_be(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u32_le(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64_be(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i32_le(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }
}

/// A length read from foreign bytes as an index; wider than the address space is `Corrupt`.
pub(super) fn index(value: impl TryInto<usize>) -> Result<usize> {
    value.try_into().ok().ok_or_else(|| Error::corrupt("a length does not fit"))
}

/// Appends to a buffer of fixed length, from front to back, copying from what was written: the output side
/// of every LZ77 format.
#[derive(Debug)]
pub(super) struct Window<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> usize {
        self.at
    }

    fn room(&mut self, len: usize) -> Result<usize> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.out.len());
        end.ok_or_else(|| Error::corrupt(format!("decodes to more than {} bytes", self.out.len())))
    }

    /// Literal bytes.
    pub(super) fn push(&mut self, literal: &[u8]) -> Result<()> {
        let end = self.room(literal.len())?;
        if let Some(target) = self.out.get_mut(self.at..end) {
            target.copy_from_slice(literal);
        }
        self.at = end;
        Ok(())
    }

    /// `len` bytes from `distance` bytes back; may overlap what it writes, as LZ77 matches do.
    pub(super) fn copy_back(&mut self, distance: usize, len: usize) -> Result<()> {
        let end = self.room(len)?;
        let from = self.at.checked_sub(distance).filter(|_| distance > 0);
        let from = from.ok_or_else(|| Error::corrupt("a match reaches back before the start"))?;
        // Each round copies all that repeats so far, so a run of one byte doubles instead of crawling.
        while self.at < end {
            let run = (end - self.at).min(self.at - from);
            self.out.copy_within(from..from + run, self.at);
            self.at += run;
        }
        Ok(())
    }
}
