//! `WebP` tiles and strips (compression 50001).

#![warn(clippy::indexing_slicing)]

use std::io::Cursor;

use bytes::Bytes;
use cdm::{Error, Result};
use image_webp::WebPDecoder;

use super::{
    super::{
        Codec,
        bytes_in::{wrong_len, zeroed},
    },
    contained, demanded, rows_of,
};

/// Lossy or lossless `WebP` of three or four samples.
#[derive(Debug)]
pub struct WebP {
    columns: usize,
    samples: usize,
}

impl WebP {
    /// Images of `columns` pixels a row with `samples` samples each.
    ///
    /// # Errors
    /// `Unsupported` unless there are three or four samples.
    pub fn new(columns: usize, samples: usize) -> Result<Self> {
        if !matches!(samples, 3 | 4) {
            return Err(Error::unsupported(format!("WebP of {samples} samples")));
        }
        Ok(Self { columns, samples })
    }
}

impl Codec for WebP {
    fn name(&self) -> &'static str {
        "WebP"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let len = demanded(decoded_len)?;
        let rows = rows_of(len, self.columns.saturating_mul(self.samples))?;
        contained(|| {
            let damaged = |e| Error::corrupt("the image is damaged").with_source(e);
            let mut decoder = WebPDecoder::new(Cursor::new(&input[..])).map_err(damaged)?;
            let (width, height) = decoder.dimensions();
            if usize::try_from(width).ok() != Some(self.columns)
                || usize::try_from(height).ok() != Some(rows)
                || decoder.is_animated()
            {
                let due = format!("{} by {rows} are due", self.columns);
                return Err(Error::corrupt(format!("an image of {width} by {height} pixels where {due}")));
            }
            let stored = if decoder.has_alpha() { 4 } else { 3 };
            let mut out = zeroed(self.columns.saturating_mul(rows).saturating_mul(stored))?;
            decoder.set_memory_limit(len.saturating_mul(8).saturating_add(1 << 20));
            decoder.read_image(&mut out).map_err(damaged)?;
            let out: Vec<u8> = match (stored, self.samples) {
                (3, 4) => out.chunks_exact(3).flat_map(|rgb| rgb.iter().copied().chain([255])).collect(),
                (4, 3) => out.chunks_exact(4).flat_map(|p| p.iter().copied().take(3)).collect(),
                _ => out,
            };
            if out.len() == len { Ok(out.into()) } else { Err(wrong_len(out.len(), len)) }
        })
    }
}
