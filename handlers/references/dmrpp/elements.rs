//! Stored elements that are no plain numbers: fixed-length texts, listed texts, structures.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Block, DataType, Error, Result, Variable};

use super::layout::Padding;
use crate::chunked::Elements;

/// Text in a fixed space.
#[derive(Debug)]
pub(super) struct FixedText {
    pub(super) len: usize,
    pub(super) padding: Padding,
}

impl Elements for FixedText {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        let texts = raw.chunks(self.len.max(1)).map(|space| {
            let text = space.split(|b| *b == 0).next().unwrap_or_default();
            match self.padding {
                Padding::Null => String::from_utf8_lossy(text),
                Padding::Space => String::from_utf8_lossy(text.trim_ascii_end()),
            }
        });
        Ok(varying(texts))
    }
}

/// Numbers of texts in a list: four bytes in the machine's order.
#[derive(Debug)]
pub(super) struct Listed(pub(super) Vec<String>);

impl Elements for Listed {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        let (numbers, _) = raw.as_chunks::<4>();
        let texts = numbers.iter().map(|n| {
            let i = usize::try_from(u32::from_ne_bytes(*n)).unwrap_or(usize::MAX);
            self.0.get(i).map_or("", String::as_str)
        });
        Ok(varying(texts))
    }
}

fn varying<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> Block {
    let (mut ends, mut bytes) = (Vec::new(), Vec::new());
    for text in texts {
        bytes.extend_from_slice(text.as_ref().as_bytes());
        ends.push(bytes.len() as u64);
    }
    Block::Varying { ends, bytes: bytes.into() }
}

/// A structure of numbers, with gaps between them.
#[derive(Debug)]
pub(super) struct Record {
    /// Bytes of one, gaps included.
    pub(super) size: usize,
    /// Offset, bytes of all numbers of the member, bytes of one.
    members: Vec<(usize, usize, usize)>,
    swapped: bool,
}

impl Record {
    /// `offsets` are those of the members after the first, then the size; none: there are no gaps.
    ///
    /// # Errors
    /// `Unsupported` for members that are no numbers; `Corrupt` when they do not fit.
    pub(super) fn new(fields: &[Variable], offsets: &[usize], big_endian: bool) -> Result<Self> {
        let mut members = Vec::with_capacity(fields.len());
        let mut end = 0_usize;
        for (i, field) in fields.iter().enumerate() {
            let number =
                field.data_type.is_numeric() || matches!(field.data_type, DataType::Char | DataType::Enum(_));
            let (true, Some(size), Some(all)) = (number, field.data_type.fixed_size(), field.byte_len())
            else {
                return Err(Error::unsupported(format!("the member {} is no number", field.name)));
            };
            let fits = |n: u64| usize::try_from(n).ok().filter(|n| *n <= 1 << 20);
            let too_large = || Error::too_large("a structure is too large");
            let (size, all) = fits(size).zip(fits(all)).ok_or_else(too_large)?;
            let offset = match i.checked_sub(1) {
                None => 0,
                Some(before) => *offsets.get(before).unwrap_or(&end),
            };
            if offset < end {
                return Err(Error::corrupt("members of a structure overlap"));
            }
            end = offset.checked_add(all).filter(|n| *n <= 1 << 20).ok_or_else(too_large)?;
            members.push((offset, all, size));
        }
        let size = if offsets.is_empty() { end } else { offsets.last().copied().unwrap_or(end) };
        let counted = offsets.is_empty() || offsets.len() == fields.len();
        if size < end || size == 0 || !counted {
            return Err(Error::corrupt("a structure whose members do not fit into it"));
        }
        Ok(Self { size, members, swapped: big_endian != cfg!(target_endian = "big") })
    }
}

impl Elements for Record {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        let mut bytes = Vec::with_capacity(raw.len());
        for record in raw.chunks_exact(self.size) {
            for (offset, all, size) in &self.members {
                let part = record.get(*offset..offset + all).unwrap_or_default();
                if self.swapped {
                    part.chunks(*size).for_each(|number| bytes.extend(number.iter().rev()));
                } else {
                    bytes.extend_from_slice(part);
                }
            }
        }
        Ok(Block::Fixed(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use cdm::Dimension;

    use super::*;

    #[test]
    fn structures_with_gaps() {
        let fields = [
            Variable::new("a", DataType::UInt8, Vec::new()),
            Variable::new("b", DataType::Int16, vec![Dimension::anonymous(2)]),
        ];
        let record = Record::new(&fields, &[2, 8], true).unwrap();
        let raw = Bytes::from_static(&[9, 0, 0, 1, 0, 2, 0, 0, 8, 0, 1, 0, 2, 0, 0, 0]);
        let Block::Fixed(bytes) = record.decode(raw).unwrap() else { panic!() };
        let mut expect = vec![9];
        expect.extend([1_i16, 2].iter().flat_map(|n| n.to_ne_bytes()));
        expect.push(8);
        expect.extend([256_i16, 512].iter().flat_map(|n| n.to_ne_bytes()));
        assert_eq!(bytes, expect);
        assert_eq!(Record::new(&fields, &[], false).unwrap().size, 5);
        for wrong in [&[0, 8][..], &[2, 5], &[2], &[2, 8, 9]] {
            assert_eq!(
                Record::new(&fields, wrong, false).unwrap_err().kind(),
                cdm::ErrorKind::Corrupt,
                "{wrong:?}"
            );
        }
        assert!(Record::new(&[], &[], false).is_err());
        let text = [Variable::new("t", DataType::String, Vec::new())];
        assert_eq!(Record::new(&text, &[], false).unwrap_err().kind(), cdm::ErrorKind::Unsupported);
    }
}
