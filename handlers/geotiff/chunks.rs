//! Where an image's tiles and strips lie, and how they are coded: its array for the chunk engine.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Block, Error, FullName, Result};
use half::f16;
use tokio::sync::Mutex;

use super::{
    directory::{Form, Place, size_of},
    image::{Image, Kind, Sample},
    tags,
};
use crate::{
    chunked::{
        ChunkIndex, ChunkLocation, ChunkedArray, Elements, Numbers,
        codecs::{
            Codec, Deflate, Pipeline, Zstd,
            tiff::{
                CutRows, Floating, Horizontal, Interleave, Jpeg, Lerc, LercElement, Lzw, PackBits,
                PackedSamples, ReverseBits, WebP, Xz,
            },
        },
    },
    storage::Object,
};

/// Uncompressed chunks larger than this are read as smaller ones.
const COMFORTABLE: u64 = 1 << 20;

/// Entries of the tables of chunks are fetched so many bytes at a time.
const PAGE: u64 = 32 << 10;

/// Pages of the tables that are kept.
const MOST_PAGES: usize = 128;

/// The arrays of an image: one, of shape `[samples, height, width]`; without the first axis when there is
/// one sample. `fill` is one stored element.
///
/// # Errors
/// `Unsupported` for what is not read here; `Corrupt` when tags contradict each other.
pub(crate) fn array(
    image: &Image,
    object: &Arc<Object>,
    name: FullName,
    fill: impl Fn(bool) -> Bytes,
) -> Result<ChunkedArray> {
    image.sample.check()?;
    let rows = rows_of_chunk(image);
    let coding = Coding::new(image, rows)?;
    let index = Index::new(image, object, &coding, rows)?;
    let mut shape = vec![image.height, image.width];
    let mut chunk_shape = vec![rows, image.chunk_width];
    if image.samples > 1 {
        shape.insert(0, image.samples);
        chunk_shape.insert(0, image.together());
    }
    let number = size(image.sample.number())?;
    let numbers =
        if coding.big_endian { Numbers::big_endian(number) } else { Numbers::little_endian(number) };
    let elements: Arc<dyn Elements> = match (image.sample.kind, image.sample.bits) {
        (Kind::Float, 16) => Arc::new(HalfFloats(numbers)),
        (Kind::ComplexFloat | Kind::ComplexInt, _) => Arc::new(Pairs(numbers)),
        _ => Arc::new(numbers),
    };
    Ok(ChunkedArray {
        name,
        version: Arc::clone(&object.version.identity),
        shape,
        chunk_shape,
        stored_size: size(image.sample.size())?,
        fill: fill(coding.big_endian),
        pipeline: Pipeline::new(coding.stages),
        index: Arc::new(index),
        elements,
    })
}

fn size(n: u64) -> Result<usize> {
    usize::try_from(n).map_err(|e| Error::corrupt("a length that does not fit").with_source(e))
}

fn product(factors: &[u64]) -> Result<u64> {
    let all = factors.iter().try_fold(1_u64, |n, f| n.checked_mul(*f));
    all.ok_or_else(|| Error::corrupt("a chunk larger than any file"))
}

/// Half floats become Float32.
#[derive(Debug)]
struct HalfFloats(Numbers);

impl Elements for HalfFloats {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        let raw = self.0.apply(raw);
        let (halves, _) = raw.as_chunks::<2>();
        let floats = halves.iter().flat_map(|h| f16::from_ne_bytes(*h).to_f32().to_ne_bytes());
        Ok(Block::Fixed(floats.collect()))
    }
}

/// Both parts of complex numbers.
#[derive(Debug)]
struct Pairs(Numbers);

impl Elements for Pairs {
    fn decode(&self, raw: Bytes) -> Result<Block> {
        Ok(Block::Fixed(self.0.apply(raw)))
    }
}

/// How the chunks of an image are coded.
#[derive(Debug)]
struct Coding {
    stages: Vec<Arc<dyn Codec>>,
    /// The stage that only a short last strip goes through.
    cut: Option<usize>,
    /// Of decoded numbers.
    big_endian: bool,
    /// Stored without compression.
    plain: bool,
}

impl Coding {
    /// Of chunks of `rows` rows.
    fn new(image: &Image, rows: u64) -> Result<Self> {
        let directory = &image.directory;
        let (together, bytes) = (image.together(), image.sample.size());
        let mut big_endian = directory.form.big_endian && !image.sample.is_packed();
        let mut stages: Vec<Arc<dyn Codec>> = Vec::new();
        if together > 1 {
            stages.push(Arc::new(Interleave::new(size(together)?, size(bytes)?)));
        }
        let compression = image.compression();
        let plain = compression == 1;
        let mut cut = None;
        let short = image.height % rows;
        let row = product(&[image.chunk_width, together, bytes])?;
        // Of chunks that are stored as they are, only what is there is read.
        if !image.tiled && short > 0 && !is_direct(image) {
            cut = Some(stages.len());
            stages.push(Arc::new(CutRows::new(size(product(&[row, short])?)?)));
        }
        let per_row = size(product(&[image.chunk_width, together])?)?;
        if image.sample.is_packed() {
            let bits = u32::try_from(image.sample.bits).unwrap_or(0);
            stages.push(Arc::new(PackedSamples::new(bits, per_row)?));
        }
        let predictor = directory.uint(tags::PREDICTOR).unwrap_or(1);
        if predictor != 1 && matches!(compression, 5 | 8 | 32946 | 34925 | 50000) {
            if image.sample.is_packed() {
                return Err(Error::unsupported("a predictor of samples that are not whole bytes"));
            }
            let (row, stride, bytes) = (size(row)?, size(together)?, size(bytes)?);
            match (predictor, image.sample.kind) {
                (2, _) => stages.push(Arc::new(Horizontal::new(row, stride, bytes, big_endian)?)),
                (3, Kind::Float) => {
                    stages.push(Arc::new(Floating::new(row, stride, bytes)?));
                    big_endian = false;
                }
                (n, kind) => return Err(Error::unsupported(format!("predictor {n} of {kind:?} samples"))),
            }
        }
        if image.photometric == 6 && compression != 7 {
            let subsampling = directory.uints(tags::YCBCR_SUBSAMPLING).unwrap_or_else(|| vec![2, 2]);
            if subsampling.iter().any(|n| *n != 1) {
                return Err(Error::unsupported("colours at a lower resolution, outside of JPEG"));
            }
        }
        let columns = size(image.chunk_width)?;
        let samples = size(together)?;
        match compression {
            1 => {}
            5 => stages.push(Arc::new(Lzw)),
            7 => {
                if (image.sample.kind, image.sample.bits) != (Kind::Unsigned, 8) {
                    let bits = image.sample.bits;
                    return Err(Error::unsupported(format!("JPEG of {bits} bit samples")));
                }
                let tables = directory.raw(tags::JPEG_TABLES).unwrap_or_default();
                let tables = Bytes::copy_from_slice(&tables);
                stages.push(Arc::new(Jpeg::new(tables, columns, samples, image.photometric == 6)));
            }
            8 | 32946 => stages.push(Arc::new(Deflate)),
            32773 => stages.push(Arc::new(PackBits)),
            34887 => {
                // libtiff swaps the numbers of big-endian files before it gives them to LERC, so what LERC
                // decodes is in the file's byte order still.
                stages.push(Arc::new(Lerc::new(columns, samples, lerc_element(image.sample)?)));
                match directory.uints(tags::LERC_PARAMETERS).and_then(|p| p.get(1).copied()).unwrap_or(0) {
                    0 => {}
                    1 => stages.push(Arc::new(Deflate)),
                    2 => stages.push(Arc::new(Zstd)),
                    other => return Err(Error::unsupported(format!("LERC with compression {other}"))),
                }
            }
            34925 => stages.push(Arc::new(Xz)),
            50000 => stages.push(Arc::new(Zstd)),
            50001 => {
                if (image.sample.kind, image.sample.bits) != (Kind::Unsigned, 8) {
                    return Err(Error::unsupported("WebP of samples that are not bytes"));
                }
                stages.push(Arc::new(WebP::new(columns, samples)?));
            }
            other => {
                return Err(Error::unsupported(format!("compression {other} ({})", compression_name(other))));
            }
        }
        if directory.uint(tags::FILL_ORDER) == Some(2) && !matches!(compression, 7 | 50001 | 34887) {
            stages.push(Arc::new(ReverseBits));
        }
        Ok(Self { stages, cut, big_endian, plain })
    }
}

/// The engine's chunks are the stored bytes.
fn is_direct(image: &Image) -> bool {
    image.compression() == 1 && image.together() == 1 && !image.sample.is_packed()
}

/// Every chunk is stored with all of its rows, also at the edge.
pub(crate) fn are_whole(image: &Image) -> bool {
    image.tiled || image.height.is_multiple_of(rows_of_chunk(image))
}

/// Rows of the engine's chunks: those of the tiles or strips, but of plain ones that need rearranging so few
/// that nobody has to read megabytes for a pixel.
fn rows_of_chunk(image: &Image) -> u64 {
    let row = image.chunk_width.saturating_mul(image.together()).saturating_mul(image.sample.size());
    let whole = row.saturating_mul(image.chunk_height);
    if image.compression() != 1 || is_direct(image) || whole <= COMFORTABLE {
        image.chunk_height
    } else if image.chunk_height >= image.height && !image.tiled {
        (COMFORTABLE / row.max(1)).clamp(1, image.height)
    } else {
        1
    }
}

fn lerc_element(sample: Sample) -> Result<LercElement> {
    Ok(match (sample.kind, sample.bits) {
        (Kind::Signed, 8) => LercElement::Int8,
        (Kind::Unsigned, 8) => LercElement::UInt8,
        (Kind::Signed, 16) => LercElement::Int16,
        (Kind::Unsigned, 16) => LercElement::UInt16,
        (Kind::Signed, 32) => LercElement::Int32,
        (Kind::Unsigned, 32) => LercElement::UInt32,
        (Kind::Float, 32) => LercElement::Float32,
        (Kind::Float, 64) => LercElement::Float64,
        (kind, bits) => return Err(Error::unsupported(format!("LERC of {bits} bit samples ({kind:?})"))),
    })
}

/// What compressions that are not read are called.
fn compression_name(number: u64) -> &'static str {
    match number {
        2 => "CCITT RLE",
        3 => "CCITT fax 3",
        4 => "CCITT fax 4",
        6 => "JPEG as before 1995",
        32766 => "NeXT",
        32809 => "ThunderScan",
        34712 | 33003 | 33005 => "JPEG 2000",
        34676 | 34677 => "SGI LogLuv",
        50002 | 52546 => "JPEG XL",
        _ => "unknown",
    }
}

/// A table with one number per chunk.
#[derive(Debug, Clone)]
struct Table {
    place: Place,
    /// Bytes of one entry.
    width: u64,
    count: u64,
}

impl Table {
    fn new(image: &Image, tag: u16) -> Option<Self> {
        let value = image.directory.value(tag)?;
        let width = size_of(value.kind).filter(|_| matches!(value.kind, 3 | 4 | 13 | 16 | 18))?;
        let place = match &value.place {
            // A copy, lest a few entries keep all that was read with them.
            Place::Here(bytes) => Place::Here(Bytes::copy_from_slice(bytes)),
            at @ Place::At(_) => at.clone(),
        };
        Some(Self { place, width, count: value.count })
    }

    /// The page of the table that entry `i` is on.
    fn page(&self, i: u64) -> Option<u64> {
        matches!(self.place, Place::At(_)).then(|| i * self.width / PAGE)
    }

    /// Where a page is in the file.
    fn range(&self, page: u64) -> Range<u64> {
        let Place::At(offset) = self.place else { return 0..0 };
        let end = self.count.saturating_mul(self.width);
        let start = page.saturating_mul(PAGE).min(end);
        offset.saturating_add(start)..offset.saturating_add(start.saturating_add(PAGE).min(end))
    }

    fn entry(&self, form: Form, i: u64, pages: &HashMap<(bool, u64), Bytes>, which: bool) -> Option<u64> {
        let at = i.checked_mul(self.width)?;
        let (bytes, at) = match &self.place {
            Place::Here(bytes) => (bytes, at),
            // A page holds whole entries: their width divides its size.
            Place::At(_) => (pages.get(&(which, at / PAGE))?, at % PAGE),
        };
        let from = usize::try_from(at).ok()?;
        let to = from.checked_add(usize::try_from(self.width).ok()?)?;
        bytes.get(from..to).map(|entry| form.uint(entry))
    }
}

/// Finds chunks in the tables of offsets and lengths, which are read as far as needed.
#[derive(Debug)]
struct Index {
    object: Arc<Object>,
    form: Form,
    offsets: Table,
    lens: Option<Table>,
    /// Tiles or strips across, down, and of how many planes.
    across: u64,
    down: u64,
    planes: u64,
    /// Rows of a tile or strip, and of the engine's chunk, which may be less.
    stored_rows: u64,
    rows: u64,
    height: u64,
    /// Bytes of a stored row of plain chunks.
    plain_row: Option<u64>,
    tiled: bool,
    cut: Option<usize>,
    pages: Mutex<HashMap<(bool, u64), Bytes>>,
}

impl Index {
    fn new(image: &Image, object: &Arc<Object>, coding: &Coding, rows: u64) -> Result<Self> {
        let (offsets, lens) = if image.directory.value(tags::TILE_OFFSETS).is_some() {
            (tags::TILE_OFFSETS, tags::TILE_BYTE_COUNTS)
        } else {
            (tags::STRIP_OFFSETS, tags::STRIP_BYTE_COUNTS)
        };
        let offsets = Table::new(image, offsets);
        let offsets = offsets.ok_or_else(|| Error::corrupt("an image that does not say where it is"))?;
        let lens = Table::new(image, lens);
        if lens.is_none() && !coding.plain {
            return Err(Error::corrupt("an image that does not say how long its parts are"));
        }
        let bits = product(&[image.chunk_width, image.together(), image.sample.bits])?;
        Ok(Self {
            object: Arc::clone(object),
            form: image.directory.form,
            offsets,
            lens,
            across: image.width.div_ceil(image.chunk_width),
            down: image.height.div_ceil(image.chunk_height),
            planes: if image.planar { image.samples } else { 1 },
            stored_rows: image.chunk_height,
            rows,
            height: image.height,
            plain_row: coding.plain.then_some(bits.div_ceil(8)),
            tiled: image.tiled,
            cut: coding.cut,
            pages: Mutex::default(),
        })
    }

    /// The number of the tile or strip that the engine's chunk is in, and the first of its rows there.
    fn place(&self, chunk: &[u64]) -> Result<(u64, u64)> {
        let (plane, y, x) = match *chunk {
            [y, x] => (0, y, x),
            // The bands of interleaved chunks are all in the first.
            [plane, y, x] => (plane, y, x),
            _ => return Err(Error::internal("a chunk of another rank than an image")),
        };
        let row = y.saturating_mul(self.rows);
        let (down, within) = (row / self.stored_rows, row % self.stored_rows);
        if plane >= self.planes || down >= self.down || x >= self.across {
            return Err(Error::internal("a chunk outside of the image"));
        }
        let number = product(&[plane, self.down, self.across])?
            .checked_add(product(&[down, self.across])?)
            .and_then(|n| n.checked_add(x));
        number.map(|n| (n, within)).ok_or_else(|| Error::corrupt("more chunks than can be"))
    }

    /// Reads the pages of the tables that the entries `numbers` are on.
    async fn fetch(&self, numbers: &[(u64, u64)]) -> Result<HashMap<(bool, u64), Bytes>> {
        let mut pages = self.pages.lock().await;
        let mut missing: Vec<((bool, u64), Range<u64>)> = Vec::new();
        for &(number, _) in numbers {
            let tables = [(false, Some(&self.offsets)), (true, self.lens.as_ref())];
            for (which, table) in tables {
                let Some(table) = table.filter(|t| number < t.count) else { continue };
                let Some(page) = table.page(number) else { continue };
                if !pages.contains_key(&(which, page))
                    && !missing.iter().any(|(key, _)| *key == (which, page))
                {
                    missing.push(((which, page), table.range(page)));
                }
            }
        }
        if !missing.is_empty() {
            if pages.len() + missing.len() > MOST_PAGES {
                pages.clear();
            }
            missing.sort_by_key(|(_, range)| range.start);
            let ranges: Vec<_> = missing.iter().map(|(_, range)| range.clone()).collect();
            let found = self.object.read_ranges(&ranges).await?;
            let mut all = pages.clone();
            for ((key, _), bytes) in missing.into_iter().zip(found) {
                all.insert(key, bytes);
            }
            if all.len() <= MOST_PAGES {
                (*pages).clone_from(&all);
            }
            return Ok(all);
        }
        Ok(pages.clone())
    }

    fn location(
        &self,
        (number, within): (u64, u64),
        chunk: &[u64],
        pages: &HashMap<(bool, u64), Bytes>,
    ) -> Result<Option<ChunkLocation>> {
        let absent = || Error::corrupt(format!("the image does not say where its part {number} is"));
        let offset = self.offsets.entry(self.form, number, pages, false).ok_or_else(absent)?;
        let len = match &self.lens {
            Some(table) => Some(table.entry(self.form, number, pages, true).ok_or_else(absent)?),
            None => None,
        };
        if offset == 0 || len == Some(0) {
            return Ok(None);
        }
        let y = chunk.iter().rev().nth(1).copied().unwrap_or(0);
        let first_row = y.saturating_mul(self.rows);
        let rows = if self.tiled { self.rows } else { self.rows.min(self.height.saturating_sub(first_row)) };
        let (offset, len) = match (self.plain_row, len) {
            (Some(row), stored) => {
                let skipped = product(&[row, within])?;
                let due = product(&[row, rows])?;
                let end = skipped.saturating_add(due);
                if stored.is_some_and(|stored| stored < end) {
                    let stored = stored.unwrap_or(0);
                    return Err(Error::corrupt(format!(
                        "part {number} of the image holds {stored} bytes where {end} are due"
                    )));
                }
                (offset.checked_add(skipped), due)
            }
            (None, len) => (Some(offset), len.unwrap_or(0)),
        };
        let offset = offset.ok_or_else(|| Error::corrupt("a part of the image lies beyond any file"))?;
        let whole = rows == self.rows;
        let filter_mask = match self.cut {
            Some(stage) if whole => 1_u32 << stage,
            _ => 0,
        };
        Ok(Some(ChunkLocation::Stored { object: Arc::clone(&self.object), offset, len, filter_mask }))
    }
}

#[async_trait]
impl ChunkIndex for Index {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let numbers: Vec<_> = chunks.iter().map(|c| self.place(c)).collect::<Result<_>>()?;
        let pages = self.fetch(&numbers).await?;
        numbers.iter().zip(chunks).map(|(&number, chunk)| self.location(number, chunk, &pages)).collect()
    }
}
