//! Blosc chunks, versions 1 and 2 (HDF5 filter 32001, Zarr `blosc`): a header, the start of each block, and
//! blocks of one or more compressed streams under a pipeline of filters.
//!
//! Format: `README_CHUNK_FORMAT.rst` of C-Blosc and C-Blosc2. Frames of several chunks are
//! [`super::blosc2`]'s.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Encoding, Error, Result};

use super::{
    Codec,
    blosc_filters::{Filter, Scratch, filter},
    blosclz,
    bytes_in::{Cursor, claimed_len, index, wrong_len},
    deflate, filled, lz4,
    shuffle::unshuffle,
    zstd,
};

/// One Blosc chunk.
#[derive(Debug)]
pub struct Blosc;

impl Codec for Blosc {
    fn name(&self) -> &'static str {
        "blosc"
    }

    fn encoding(&self) -> Encoding {
        Encoding::Blosc
    }

    fn decode(&self, input: Bytes, decoded_len: Option<usize>) -> Result<Bytes> {
        Chunk::parse(&input)?.decode(decoded_len)
    }

    fn decode_into(&self, input: Bytes, out: &mut [u8]) -> Result<()> {
        Chunk::parse(&input)?.decode_into(out)
    }
}

/// A chunk with its header read and checked.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    /// The whole chunk; block starts count from here.
    bytes: &'a [u8],
    pub(super) len: usize,
    pub(super) block_len: usize,
    typesize: usize,
    body: Body<'a>,
    compressor: u8,
    /// Each block is one stream for each byte of an element.
    split: bool,
    /// In encoding order.
    filters: Vec<Filter>,
}

#[derive(Debug)]
enum Body<'a> {
    Stored(&'a [u8]),
    /// Over and over; not empty.
    Repeated(Vec<u8>),
    Blocks {
        /// A little-endian `i32` for each block.
        starts: &'a [[u8; 4]],
    },
}

impl<'a> Chunk<'a> {
    /// Reads the header of the chunk that `bytes` starts with.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut header = Cursor(bytes);
        let (version, _, flags, typesize) = (header.u8()?, header.u8()?, header.u8()?, header.u8()?);
        let (len, block_len) = (index(header.u32_le()?)?, index(header.u32_le()?)?);
        let stored_len = index(header.u32_le()?)?;
        if version == 0 || version > 5 {
            return Err(Error::unsupported(format!("version {version} of the Blosc format")));
        }
        let typesize = usize::from(typesize);
        if typesize == 0 || block_len > len || (block_len == 0 && len > 0) {
            return Err(Error::corrupt("the Blosc header makes no sense"));
        }
        let bytes = Cursor(bytes).take(stored_len)?;
        // Both shuffles at once mark the header of version 2.
        let extended = version > 2 && flags & 5 == 5;
        let mut chunk = Self {
            bytes,
            len,
            block_len,
            typesize,
            body: Body::Stored(&[]),
            compressor: flags >> 5,
            split: flags & 0x10 == 0,
            filters: Vec::new(),
        };
        let mut rest = Cursor(bytes);
        rest.take(16)?;
        let special = if extended {
            let codes = rest.take(6)?;
            rest.take(2)?;
            let meta = rest.take(6)?;
            rest.take(1)?;
            let flags2 = rest.u8()?;
            for (code, meta) in codes.iter().zip(meta) {
                chunk.filters.extend(filter(*code, *meta, typesize)?);
            }
            if flags2 & 1 != 0 {
                return Err(Error::unsupported("Blosc dictionaries"));
            }
            if flags2 & 0x8a != 0 {
                return Err(Error::unsupported("lazy or instrumented Blosc chunks"));
            }
            flags2 >> 4 & 7
        } else {
            if flags & 1 != 0 {
                chunk.filters.push(Filter::Shuffle(typesize));
            } else if flags & 4 != 0 {
                chunk
                    .filters
                    .push(Filter::Bitshuffle { element_size: typesize, all_or_nothing: version <= 2 });
            }
            // Version 1 wrote no split flag at first, and always splits only where it pays.
            chunk.split &= version > 2 || (typesize <= 16 && block_len / typesize >= 128);
            0
        };
        chunk.body = match special {
            0 if flags & 2 != 0 => Body::Stored(rest.take(len)?),
            0 => {
                let count = len.div_ceil(block_len.max(1));
                let starts = rest.take(count.saturating_mul(4))?.as_chunks().0;
                Body::Blocks { starts }
            }
            // Not initialised: zeros are as good as anything.
            1 | 4 => Body::Repeated(vec![0]),
            2 => Body::Repeated(not_a_number(typesize)?),
            3 => Body::Repeated(rest.take(typesize)?.to_vec()),
            n => return Err(Error::unsupported(format!("special Blosc chunks of kind {n}"))),
        };
        Ok(chunk)
    }

    /// The chunk of `len` bytes that a frame's index states without storing it.
    pub(super) fn special(kind: u8, len: usize, typesize: usize) -> Result<Self> {
        let value = match kind {
            1 | 4 => vec![0],
            2 => not_a_number(typesize)?,
            n => return Err(Error::unsupported(format!("special Blosc chunks of kind {n}"))),
        };
        let (body, filters) = (Body::Repeated(value), Vec::new());
        Ok(Self { bytes: &[], len, block_len: len, typesize, body, compressor: 0, split: false, filters })
    }

    /// One value over and over, however long its blocks are.
    pub(super) fn is_uniform(&self) -> bool {
        matches!(self.body, Body::Repeated(_))
    }

    /// True when blocks are differences from block 0.
    pub(super) fn refers_to_first(&self) -> bool {
        self.filters.iter().any(|filter| matches!(filter, Filter::Delta))
    }

    /// With blocks of another length, which only matters when the chunk is uniform.
    pub(super) fn with_block_len(self, block_len: usize) -> Self {
        Self { block_len, ..self }
    }

    /// The whole chunk.
    pub(super) fn decode(&self, decoded_len: Option<usize>) -> Result<Bytes> {
        let len = claimed_len(u64::try_from(self.len).unwrap_or(u64::MAX), decoded_len)?;
        filled(len, |out| self.decode_into(out))
    }

    /// The whole chunk, into as many bytes.
    pub(super) fn decode_into(&self, out: &mut [u8]) -> Result<()> {
        if out.len() != self.len {
            return Err(wrong_len(self.len, out.len()));
        }
        let mut scratch = Scratch::default();
        let (mut first, mut rest) = (None, out);
        for i in 0..self.blocks() {
            let (block, after) = rest.split_at_mut(self.block_len.min(rest.len()));
            self.decode_block(i, first.as_deref(), block, &mut scratch)?;
            first.get_or_insert(block);
            rest = after;
        }
        Ok(())
    }

    pub(super) fn blocks(&self) -> usize {
        self.len.div_ceil(self.block_len.max(1))
    }

    /// Decodes block `i` into `out`, which has its length; `first` is block 0, which differences refer to.
    pub(super) fn decode_block(
        &self,
        i: usize,
        first: Option<&[u8]>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let start = i.saturating_mul(self.block_len);
        let expected = self.len.saturating_sub(start).min(self.block_len);
        if out.len() != expected {
            return Err(wrong_len(out.len(), expected));
        }
        match &self.body {
            Body::Stored(data) => {
                let data = data.get(start..start.saturating_add(expected));
                out.copy_from_slice(data.ok_or_else(|| Error::corrupt("a block is missing"))?);
            }
            Body::Repeated(value) => {
                for part in out.chunks_mut(value.len()) {
                    part.copy_from_slice(value.get(..part.len()).unwrap_or_default());
                }
            }
            Body::Blocks { starts } => {
                let at = starts.get(i).ok_or_else(|| Error::corrupt("a block is missing"))?;
                let stored = self.bytes.get(index(i32::from_le_bytes(*at))?..);
                let stored =
                    Cursor(stored.ok_or_else(|| Error::corrupt("a block starts outside its chunk"))?);
                // The usual one takes what is decompressed from where it is to where it belongs.
                if let [Filter::Shuffle(size @ 2..)] = *self.filters {
                    let shuffled = scratch.of(out.len())?;
                    self.decode_streams(stored, shuffled)?;
                    unshuffle(size, shuffled, out);
                    return Ok(());
                }
                self.decode_streams(stored, out)?;
                for filter in self.filters.iter().rev() {
                    filter.undo(self.typesize, first, out, scratch)?;
                }
            }
        }
        Ok(())
    }

    fn decode_streams(&self, mut stored: Cursor<'_>, out: &mut [u8]) -> Result<()> {
        // A short last block is never split.
        let split = self.split && out.len() == self.block_len;
        let streams = if split { self.typesize } else { 1 };
        if !out.len().is_multiple_of(streams) {
            return Err(Error::corrupt("a block does not divide into its streams"));
        }
        for stream in out.chunks_mut((out.len() / streams).max(1)) {
            match stored.i32_le()? {
                0 => stream.fill(0),
                // A run of one byte, kept in the length.
                run @ -255..=-1 if stored.u8()? & 1 != 0 => {
                    stream.fill(u8::try_from(-run).unwrap_or(0));
                }
                len if len < 0 => return Err(Error::corrupt("a stream of unknown kind")),
                len => {
                    let data = stored.take(index(len)?)?;
                    if data.len() == stream.len() {
                        stream.copy_from_slice(data);
                    } else {
                        self.decompress(data, stream)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn decompress(&self, data: &[u8], out: &mut [u8]) -> Result<()> {
        match self.compressor {
            0 => blosclz::decompress_exact(data, out),
            1 => lz4::decompress_exact(data, out),
            2 => snappy(data, out),
            3 => deflate::inflate_exact(data, out),
            4 => zstd::decompress_exact(data, out),
            n => Err(Error::unsupported(format!("Blosc compressor {n}"))),
        }
    }
}

fn snappy(data: &[u8], out: &mut [u8]) -> Result<()> {
    let damaged = |e| Error::corrupt("the Snappy block is damaged").with_source(e);
    let claim = snap::raw::decompress_len(data).map_err(damaged)?;
    if claim != out.len() {
        return Err(wrong_len(claim, out.len()));
    }
    snap::raw::Decoder::new().decompress(data, out).map_err(damaged).map(drop)
}

fn not_a_number(typesize: usize) -> Result<Vec<u8>> {
    match typesize {
        4 => Ok(f32::NAN.to_le_bytes().to_vec()),
        8 => Ok(f64::NAN.to_le_bytes().to_vec()),
        n => Err(Error::corrupt(format!("NaN of {n} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunk: &[u8]) -> Result<Vec<u8>> {
        Blosc.decode(Bytes::copy_from_slice(chunk), None).map(|bytes| bytes.to_vec())
    }

    /// What C-Blosc 1.21 makes of 20 bytes at level 0: no filter is applied, though the flags name one.
    #[test]
    fn stored_chunks_are_taken_as_they_are() {
        let mut chunk = vec![2, 1, 0x33, 4, 20, 0, 0, 0, 20, 0, 0, 0, 36, 0, 0, 0];
        chunk.extend(0..20);
        assert_eq!(decode(&chunk).unwrap(), (0..20).collect::<Vec<u8>>());
        assert!(decode(&chunk[..35]).is_err());
    }

    /// A chunk of version 2 without blocks: `README_CHUNK_FORMAT.rst`, `blosc2_flags`, bits 4 to 6.
    fn special(kind: u8, typesize: u8, value: &[u8]) -> Result<Vec<u8>> {
        let stored_len = u8::try_from(32 + value.len()).unwrap();
        let mut chunk = vec![5, 1, 5, typesize, 16, 0, 0, 0, 16, 0, 0, 0, stored_len, 0, 0, 0];
        chunk.extend([0; 15]);
        chunk.push(kind << 4);
        chunk.extend(value);
        decode(&chunk)
    }

    #[test]
    fn special_chunks_need_no_blocks() {
        assert_eq!(special(1, 4, &[]).unwrap(), [0; 16]);
        assert_eq!(special(2, 8, &[]).unwrap(), f64::NAN.to_le_bytes().repeat(2));
        assert_eq!(special(3, 3, &[7, 8, 9]).unwrap(), [7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9, 7]);
        assert_eq!(special(4, 4, &[]).unwrap(), [0; 16]);
        assert!(special(2, 3, &[]).is_err());
        assert!(special(3, 4, &[1]).is_err());
        assert!(special(5, 4, &[]).is_err());
    }
}
