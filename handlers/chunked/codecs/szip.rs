//! szip (HDF5 filter 4): the extended Rice coding of CCSDS 121.0, within the limits and with the byte
//! arrangements of the szip library. The coding itself is [`super::rice`].

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    bytes_in::{Cursor, claimed_len, wrong_len, zeroed},
    rice::{self, Rice},
    shuffle::unshuffle,
};

const NEAREST_NEIGHBOUR: u32 = 32;
const MOST_SIGNIFICANT_FIRST: u32 = 16;

/// szip.
#[derive(Debug)]
pub struct Szip {
    rice: Rice,
    pixels_per_scanline: usize,
    /// 32 and 64 bit pixels are coded as their bytes, shuffled.
    shuffled: Option<usize>,
}

impl Szip {
    /// From the library's parameters.
    ///
    /// # Errors
    /// `Corrupt` when they are outside what the library accepts.
    pub fn new(
        options: u32,
        pixels_per_block: u32,
        bits_per_pixel: u32,
        pixels_per_scanline: u32,
    ) -> Result<Self> {
        let invalid = |what: &str, n: u32| Err(Error::corrupt(format!("szip: {n} {what}")));
        let (bits, shuffled) = match bits_per_pixel {
            1..=24 => (bits_per_pixel, None),
            32 => (8, Some(4)),
            64 => (8, Some(8)),
            n => return invalid("bits per pixel", n),
        };
        if !matches!(pixels_per_block, 2..=32) || !pixels_per_block.is_multiple_of(2) {
            return invalid("pixels per block", pixels_per_block);
        }
        // The library's limit of 128 blocks in a scanline; at least one.
        if pixels_per_scanline == 0 || pixels_per_scanline > 4096 {
            return invalid("pixels per scanline", pixels_per_scanline);
        }
        let rice = Rice {
            bits,
            block: pixels_per_block,
            blocks_per_segment: pixels_per_scanline.div_ceil(pixels_per_block),
            predicted: options & NEAREST_NEIGHBOUR != 0,
            big_endian: options & MOST_SIGNIFICANT_FIRST != 0,
        };
        let pixels_per_scanline =
            usize::try_from(pixels_per_scanline).map_err(|e| Error::corrupt("szip").with_source(e))?;
        Ok(Self { rice, pixels_per_scanline, shuffled })
    }
}

impl Codec for Szip {
    fn name(&self) -> &'static str {
        "szip"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        // HDF5 puts the decoded length before what the library wrote.
        let mut stored = Cursor(&input);
        let len = claimed_len(stored.u32_le()?.into(), decoded_len)?;
        let sample_size = self.rice.sample_size();
        if !len.is_multiple_of(self.shuffled.unwrap_or(sample_size)) {
            return Err(Error::corrupt(format!("{len} bytes are no whole number of pixels")));
        }
        // The shortest code, a zero run to the end of 64 blocks, takes 9 bits for 64 blocks of 32 samples.
        if len / sample_size > input.len().saturating_mul(64 * 32) {
            return Err(wrong_len(input.len(), len));
        }
        let mut out = zeroed(len)?;
        rice::decode(&self.rice, stored.0, self.pixels_per_scanline, &mut out)?;
        if let Some(size) = self.shuffled {
            let mut pixels = zeroed(len)?;
            unshuffle(size, &out, &mut pixels);
            out = pixels;
        }
        Ok(out.into())
    }
}
