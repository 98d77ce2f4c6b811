//! `BloscLZ`, Blosc's own LZ77 format (a descendant of `FastLZ`): the algorithm without any frame.

#![warn(clippy::indexing_slicing)]

use cdm::Result;

use super::bytes_in::{Cursor, Window, wrong_len};

/// The largest distance of a short match; long ones count from here.
const SHORT_DISTANCE: usize = 8191;

/// Decodes `input` so that it fills `out` exactly.
pub(super) fn decompress_exact(input: &[u8], out: &mut [u8]) -> Result<()> {
    let expected = out.len();
    let mut input = Cursor(input);
    let mut out = Window::new(out);
    // The first control byte is always a literal run; its high bits mark the format's level.
    let mut control = usize::from(input.u8()? & 0x1f);
    loop {
        if control < 32 {
            out.push(input.take(control + 1)?)?;
        } else {
            let mut len = (control >> 5) + 2;
            if len == 9 {
                loop {
                    let more = input.u8()?;
                    len += usize::from(more);
                    if more != 255 {
                        break;
                    }
                }
            }
            let high = (control & 0x1f) << 8;
            let low = usize::from(input.u8()?);
            let distance = if low == 255 && high == 31 << 8 {
                usize::from(input.u16_be()?) + SHORT_DISTANCE
            } else {
                high + low
            };
            out.copy_back(distance + 1, len)?;
        }
        match input.u8() {
            Ok(next) => control = usize::from(next),
            Err(_) => break,
        }
    }
    if out.written() == expected { Ok(()) } else { Err(wrong_len(out.written(), expected)) }
}
