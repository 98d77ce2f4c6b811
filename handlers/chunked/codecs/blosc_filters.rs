//! What Blosc does to a block's bytes before it compresses them: shuffles and differences. Their order and
//! the compressed streams are [`super::blosc`]'s.

#![warn(clippy::indexing_slicing)]

use cdm::{Error, Result};

use super::{bitshuffle::unshuffle_bits, shuffle::unshuffle};
use crate::buffers::Buffer;

/// One filter of a pipeline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter {
    Shuffle(usize),
    Bitshuffle {
        element_size: usize,
        /// Version 1 leaves blocks alone that are not a multiple of 8 elements; 2 only the elements over.
        all_or_nothing: bool,
    },
    Delta,
}

/// Memory that blocks share.
#[derive(Debug, Default)]
pub(super) struct Scratch(Option<Buffer>);

impl Scratch {
    /// `len` bytes that hold anything.
    pub(super) fn of(&mut self, len: usize) -> Result<&mut [u8]> {
        if self.0.as_ref().is_none_or(|buffer| buffer.len() < len) {
            self.0 = Some(Buffer::new(len)?);
        }
        self.0.as_mut().and_then(|buffer| buffer.get_mut(..len)).ok_or_else(|| Error::internal("no buffer"))
    }

    fn copy_of(&mut self, bytes: &[u8]) -> Result<&[u8]> {
        let copy = self.of(bytes.len())?;
        copy.copy_from_slice(bytes);
        Ok(copy)
    }
}

/// Slot `code` of version 2's pipeline; `None` for those that decoding need not undo.
pub(super) fn filter(code: u8, meta: u8, typesize: usize) -> Result<Option<Filter>> {
    match code {
        // Truncated precision is lost for good.
        0 | 4 => Ok(None),
        1 if meta != 0 => Err(Error::unsupported("a Blosc shuffle with parameters")),
        1 => Ok(Some(Filter::Shuffle(typesize))),
        2 => Ok(Some(Filter::Bitshuffle { element_size: typesize, all_or_nothing: false })),
        3 => Ok(Some(Filter::Delta)),
        n => Err(Error::unsupported(format!("Blosc filter {n}"))),
    }
}

impl Filter {
    /// Undoes the filter in `block`; `first` is block 0, unless `block` is it.
    pub(super) fn undo(
        self,
        typesize: usize,
        first: Option<&[u8]>,
        block: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<()> {
        match self {
            Self::Shuffle(1) => {}
            Self::Shuffle(size) => {
                let shuffled = scratch.copy_of(block)?;
                unshuffle(size, shuffled, block);
            }
            Self::Bitshuffle { element_size, all_or_nothing } => {
                let count = block.len() / element_size;
                if all_or_nothing && !count.is_multiple_of(8) {
                    return Ok(());
                }
                let whole = count / 8 * 8 * element_size;
                let block = block.get_mut(..whole).unwrap_or_default();
                let shuffled = scratch.copy_of(block)?;
                unshuffle_bits(element_size, shuffled, block);
            }
            Self::Delta => match first {
                Some(first) => block.iter_mut().zip(first).for_each(|(byte, reference)| *byte ^= reference),
                None => undo_first_delta(typesize, block),
            },
        }
        Ok(())
    }
}

/// In the first block each element is stored as its difference from the one before.
fn undo_first_delta(typesize: usize, block: &mut [u8]) {
    // Sizes without a machine word are treated as bytes, or as words that divide them.
    let step = match typesize {
        1 | 2 | 4 | 8 => typesize,
        n if n % 8 == 0 => 8,
        _ => 1,
    };
    let mut before = [0; 8];
    for element in block.chunks_exact_mut(step) {
        for (byte, before) in element.iter_mut().zip(&mut before) {
            *byte ^= *before;
            *before = *byte;
        }
    }
}
