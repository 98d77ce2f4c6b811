//! LZF (HDF5 filter 32000, as `PyTables` and h5py write it): `LibLZF`'s format without any frame.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::Result;

use super::{
    Codec,
    bytes_in::{Cursor, Window, output_limit, wrong_len, zeroed},
};

/// The longest match, 264 bytes, takes three bytes.
const EXPANSION: usize = 88;

/// `LibLZF`.
#[derive(Debug)]
pub struct Lzf;

impl Codec for Lzf {
    fn name(&self) -> &'static str {
        "lzf"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let mut out = zeroed(output_limit(decoded_len, input.len(), EXPANSION))?;
        let written = decompress(&input, &mut out)?;
        if let Some(len) = decoded_len
            && written != len
        {
            return Err(wrong_len(written, len));
        }
        out.truncate(written);
        Ok(out.into())
    }
}

/// Decodes into the front of `out`; the number of bytes written.
fn decompress(input: &[u8], out: &mut [u8]) -> Result<usize> {
    let mut input = Cursor(input);
    let mut out = Window::new(out);
    while let Ok(control) = input.u8() {
        let control = usize::from(control);
        if control < 32 {
            out.push(input.take(control + 1)?)?;
            continue;
        }
        let mut len = control >> 5;
        if len == 7 {
            len += usize::from(input.u8()?);
        }
        let distance = ((control & 0x1f) << 8) + usize::from(input.u8()?) + 1;
        out.copy_back(distance, len + 2)?;
    }
    Ok(out.written())
}
