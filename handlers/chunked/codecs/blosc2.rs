//! Blosc2 frames (HDF5 filter 32026): chunks behind a `MessagePack` header and an index, one after another or
//! as the blocks of an n-dimensional array (B2ND).
//!
//! Format: `README_CFRAME_FORMAT.rst` and `README_B2ND_METALAYER.rst` of C-Blosc2. The chunks themselves are
//! [`super::blosc`]'s.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Error, Result};

use super::{
    Codec,
    blosc::Chunk,
    blosc_filters::Scratch,
    bytes_in::{Cursor, claimed_len, index, zeroed},
};

/// A Blosc2 contiguous frame, or a bare chunk.
#[derive(Debug)]
pub struct Blosc2;

impl Codec for Blosc2 {
    fn name(&self) -> &'static str {
        "blosc2"
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        if input.get(2..10) == Some(b"b2frame\0") {
            Frame::parse(&input)?.decode(decoded_len).map(Bytes::from)
        } else {
            Chunk::parse(&input)?.decode(decoded_len)
        }
    }
}

/// A frame with more chunks is refused.
const MAX_CHUNKS: usize = 1 << 16;

#[derive(Debug)]
struct Frame<'a> {
    /// From the end of the header on: chunks, then their index.
    chunks: &'a [u8],
    len: u64,
    index_at: usize,
    typesize: usize,
    chunk_len: usize,
    grid: Option<Grid>,
}

/// How the array and its blocks lie: chunk and array are the same in HDF5.
#[derive(Debug)]
struct Grid {
    shape: Vec<usize>,
    block: Vec<usize>,
}

/// Consumes one `MessagePack` marker.
fn marker(cursor: &mut Cursor<'_>, expected: u8) -> Result<()> {
    match cursor.u8()? {
        found if found == expected => Ok(()),
        found => Err(Error::corrupt(format!("marker {found:#04x} in the frame header, not {expected:#04x}"))),
    }
}

impl<'a> Frame<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut header = Cursor(bytes);
        header.take(10)?;
        marker(&mut header, 0xd2)?;
        let header_len = index(header.u32_be()?)?;
        marker(&mut header, 0xcf)?;
        let frame_len = index(header.u64_be()?)?;
        let bytes = Cursor(bytes).take(frame_len)?;
        let chunks = bytes.get(header_len..).ok_or_else(|| Error::corrupt("the frame header is too long"))?;
        marker(&mut header, 0xa4)?;
        let flags = header.u32_be()?;
        // Byte 1 is the kind of frame, 0 for a contiguous one.
        if flags >> 16 & 0xf != 0 {
            return Err(Error::unsupported("sparse Blosc2 frames"));
        }
        marker(&mut header, 0xd3)?;
        let len = header.u64_be()?;
        marker(&mut header, 0xd3)?;
        let index_at = index(header.u64_be()?)?;
        marker(&mut header, 0xd2)?;
        let typesize = index(header.u32_be()?)?;
        marker(&mut header, 0xd2)?;
        header.take(4)?; // the block length, which each chunk states itself
        marker(&mut header, 0xd2)?;
        let chunk_len = index(header.u32_be()?)?;
        // Two thread counts, whether there are trailing layers, and the filters of chunks to come.
        header.take(3 + 3 + 1 + 2 + 16)?;
        let grid = Grid::find(bytes, header)?;
        Ok(Self { chunks, len, index_at, typesize, chunk_len, grid })
    }

    fn decode(&self, decoded_len: Option<usize>) -> Result<Vec<u8>> {
        if let Some(grid) = &self.grid {
            return self.decode_grid(grid, decoded_len);
        }
        let mut left = claimed_len(self.len, decoded_len)?;
        if left > 0 && self.chunk_len == 0 {
            return Err(Error::unsupported("Blosc2 frames of chunks of varying length"));
        }
        let offsets = self.offsets(left.div_ceil(self.chunk_len.max(1)))?;
        let mut out = Vec::new();
        for offset in offsets {
            let len = self.chunk_len.min(left);
            let chunk = self.chunk(offset, len)?;
            out.extend_from_slice(&chunk.decode(Some(len))?);
            left -= len;
        }
        Ok(out)
    }

    /// Where each of `count` chunks is; the index is itself a chunk.
    fn offsets(&self, count: usize) -> Result<Vec<u64>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        // HDF5 writes one chunk; without a limit a frame could ask for 8 bytes of index for each of data.
        if count > MAX_CHUNKS {
            return Err(Error::corrupt(format!("a frame of {count} chunks")));
        }
        let stored = self.chunks.get(self.index_at..).ok_or_else(|| Error::corrupt("no chunk index"))?;
        let offsets = Chunk::parse(stored)?.decode(Some(count.saturating_mul(8)))?;
        Ok(offsets.as_chunks().0.iter().map(|offset| u64::from_le_bytes(*offset)).collect())
    }

    /// The chunk at `offset`, which may say what the chunk is made of instead.
    fn chunk(&self, offset: u64, len: usize) -> Result<Chunk<'a>> {
        if offset >> 63 == 1 {
            let kind = u8::try_from(offset >> 56 & 0x7f).unwrap_or(0);
            return Chunk::special(kind, len, self.typesize);
        }
        let stored = usize::try_from(offset).ok().and_then(|at| self.chunks.get(at..));
        Chunk::parse(stored.ok_or_else(|| Error::corrupt("a chunk lies outside its frame"))?)
    }

    fn decode_grid(&self, grid: &Grid, decoded_len: Option<usize>) -> Result<Vec<u8>> {
        let too_large = || Error::corrupt("the array is too large");
        let product = |sizes: &[usize]| {
            sizes.iter().try_fold(self.typesize, |n, size| n.checked_mul(*size)).ok_or_else(too_large)
        };
        let len = product(&grid.shape)?;
        let len = claimed_len(u64::try_from(len).unwrap_or(u64::MAX), decoded_len)?;
        let block_len = product(&grid.block)?;
        let mut out = zeroed(len)?;
        if len == 0 {
            return Ok(out);
        }
        let padded: Vec<usize> = grid
            .shape
            .iter()
            .zip(&grid.block)
            .map(|(n, block)| n.div_ceil(*block).saturating_mul(*block))
            .collect();
        let offset = self.offsets(1)?.first().copied().unwrap_or(u64::MAX);
        let padded_len = product(&padded)?;
        let chunk = self.chunk(offset, padded_len)?;
        // A chunk of one value may state another block length, which then does not matter.
        if chunk.len != padded_len || (chunk.block_len != block_len && !chunk.is_uniform()) {
            return Err(Error::corrupt("the chunk does not have the array's shape"));
        }
        let chunk = chunk.with_block_len(block_len);
        // Blocks are no larger than the array, so this is what the caller allows already.
        let (mut block, mut first) = (zeroed(block_len)?, None);
        let mut scratch = Scratch::default();
        for i in 0..chunk.blocks() {
            chunk.decode_block(i, first.as_deref(), &mut block, &mut scratch)?;
            grid.place(i, &block, self.typesize, &mut out);
            if i == 0 && chunk.refers_to_first() {
                first = Some(block.clone());
            }
        }
        Ok(out)
    }
}

impl Grid {
    /// The layer `b2nd` among the header's layers, which `cursor` is at.
    fn find(frame: &[u8], mut cursor: Cursor<'_>) -> Result<Option<Self>> {
        marker(&mut cursor, 0x93)?;
        marker(&mut cursor, 0xcd)?;
        cursor.u16_be()?;
        marker(&mut cursor, 0xde)?;
        for _ in 0..cursor.u16_be()? {
            let name_len =
                cursor.u8()?.checked_sub(0xa0).ok_or_else(|| Error::corrupt("a layer has no name"))?;
            let name = cursor.take(name_len.into())?;
            marker(&mut cursor, 0xd2)?;
            let at = index(cursor.u32_be()?)?;
            if name == b"b2nd" || name == b"caterva" {
                let mut content =
                    Cursor(frame.get(at..).ok_or_else(|| Error::corrupt("a layer lies outside its frame"))?);
                marker(&mut content, 0xc6)?;
                content.u32_be()?;
                return Self::parse(content).map(Some);
            }
        }
        Ok(None)
    }

    fn parse(mut layer: Cursor<'_>) -> Result<Self> {
        layer.u8()?; // the number of fields, which grew with versions
        layer.u8()?; // the version
        let rank = layer.u8()?;
        if rank == 0 || rank > 15 {
            return Err(Error::unsupported(format!("Blosc2 arrays of {rank} dimensions")));
        }
        let sizes = |layer: &mut Cursor<'_>, wide: bool| -> Result<Vec<usize>> {
            marker(layer, 0x90 + rank)?;
            let size = |_| {
                marker(layer, if wide { 0xd3 } else { 0xd2 })?;
                if wide { index(layer.u64_be()?) } else { index(layer.u32_be()?) }
            };
            (0..rank).map(size).collect()
        };
        let shape = sizes(&mut layer, true)?;
        let chunk = sizes(&mut layer, false)?;
        let block = sizes(&mut layer, false)?;
        if shape != chunk {
            return Err(Error::unsupported("Blosc2 arrays of several chunks"));
        }
        if block.iter().zip(&shape).any(|(block, n)| *block == 0 || block > n) {
            return Err(Error::corrupt("a block is larger than its array"));
        }
        Ok(Self { shape, block })
    }

    /// Copies block `number` to where it belongs, without what reaches over the array's edges.
    fn place(&self, number: usize, block: &[u8], typesize: usize, out: &mut [u8]) {
        let (mut number, mut origin) = (number, vec![0; self.shape.len()]);
        for ((origin, n), size) in origin.iter_mut().zip(&self.shape).zip(&self.block).rev() {
            let count = n.div_ceil(*size);
            *origin = number % count * size;
            number /= count;
        }
        let row = self.block.last().copied().unwrap_or(1);
        for (i, values) in block.chunks_exact((row * typesize).max(1)).enumerate() {
            let (mut i, mut at, mut stride, mut inside) = (i * row, 0, 1, true);
            for ((origin, n), size) in origin.iter().zip(&self.shape).zip(&self.block).rev() {
                let place = origin + i % size;
                inside &= place < *n;
                at += place * stride;
                stride *= n;
                i /= size;
            }
            if inside {
                let left = self.shape.last().zip(origin.last()).map_or(0, |(n, origin)| n - origin);
                let len = row.min(left) * typesize;
                let target = out.get_mut(at * typesize..).and_then(|out| out.get_mut(..len));
                if let (Some(target), Some(values)) = (target, values.get(..len)) {
                    target.copy_from_slice(values);
                }
            }
        }
    }
}
