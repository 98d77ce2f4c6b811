//! JPEG tiles and strips (compression 7): abbreviated streams whose tables are stored once for the image.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{
    super::{
        Codec,
        bytes_in::{wrong_len, zeroed},
    },
    contained, demanded, rows_of,
};

/// Passes of a progressive image that are decoded; more are an attack.
const SCANS: usize = 64;

const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];

/// Baseline or progressive JPEG of 8 bits.
#[derive(Debug)]
pub struct Jpeg {
    tables: Bytes,
    columns: usize,
    samples: usize,
    ycbcr: bool,
}

impl Jpeg {
    /// Images of `columns` pixels a row with `samples` samples each. `ycbcr`: their colours are converted to
    /// RGB. `tables`: what the image's `JPEGTables` tag holds, or nothing.
    pub fn new(tables: Bytes, columns: usize, samples: usize, ycbcr: bool) -> Self {
        Self { tables, columns, samples, ycbcr }
    }

    /// The stream with its tables.
    fn whole(&self, input: &Bytes) -> Bytes {
        let tables = self.tables.strip_prefix(&START).unwrap_or_default();
        let tables = tables.strip_suffix(&END).unwrap_or(tables);
        match input.strip_prefix(&START) {
            Some(image) if !tables.is_empty() => [&START[..], tables, image].concat().into(),
            _ => input.clone(),
        }
    }
}

fn damaged(cause: zune_jpeg::errors::DecodeErrors) -> Error {
    use zune_jpeg::errors::DecodeErrors::Unsupported;
    match cause {
        Unsupported(what) => Error::unsupported(format!("an image of a kind that is not read: {what:?}")),
        other => Error::corrupt("the image is damaged").with_source(other.to_string()),
    }
}

impl Codec for Jpeg {
    fn name(&self) -> &'static str {
        "JPEG"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        let len = demanded(decoded_len)?;
        let rows = rows_of(len, self.columns.saturating_mul(self.samples))?;
        let stream = self.whole(&input);
        contained(|| {
            let options = DecoderOptions::default()
                .set_max_width(self.columns)
                .set_max_height(usize::from(u16::MAX))
                .jpeg_set_max_scans(SCANS)
                .set_strict_mode(true);
            let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&stream[..]), options);
            decoder.decode_headers().map_err(damaged)?;
            let info = decoder.info().ok_or_else(|| Error::internal("a decoder without headers"))?;
            let (width, height) = (usize::from(info.width), usize::from(info.height));
            if width != self.columns || usize::from(info.components) != self.samples || height < rows {
                let found = format!("{width} by {height} pixels of {} samples", info.components);
                return Err(Error::corrupt(format!(
                    "an image of {found} where {} by {rows} are due",
                    self.columns
                )));
            }
            let stored = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
            let wanted = if self.ycbcr && stored == ColorSpace::YCbCr { ColorSpace::RGB } else { stored };
            decoder.set_options(options.jpeg_set_out_colorspace(wanted));
            let found = decoder.output_buffer_size().unwrap_or(0);
            // Rows below the image may be stored too, but never more than a block of them.
            if found < len || found > len.saturating_mul(2).saturating_add(16 * self.columns * self.samples) {
                return Err(wrong_len(found, len));
            }
            let mut out = zeroed(found)?;
            decoder.decode_into(&mut out).map_err(damaged)?;
            out.truncate(len);
            Ok(out.into())
        })
    }
}
