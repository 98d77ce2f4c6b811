//! Chunks of files: where they are, and how they are decoded into buffers that are used again.

use std::{fs, fs::File, os::unix::fs::FileExt, path::Path};

use libdeflater::Decompressor;
use serde::Deserialize;
use zstd::zstd_safe::{DCtx, get_error_name};

use crate::Result;

/// A list of chunks that are coded alike, and the open files that they are in.
#[derive(Debug)]
pub(crate) struct List {
    codec: Codec,
    /// Bytes of an element whose bytes were shuffled; 0: they were not.
    shuffle: usize,
    files: Vec<File>,
    /// In the order in which they are sent.
    pub(crate) chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Codec {
    None,
    Deflate,
    Zstd,
}

/// Which file, the first byte, stored length, decoded length.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Chunk(usize, u64, usize, pub(crate) usize);

/// How a list is written.
#[derive(Debug, Deserialize)]
struct Written {
    codec: Codec,
    shuffle: usize,
    files: Vec<String>,
    chunks: Vec<Chunk>,
}

impl List {
    /// The list in the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let Written { codec, shuffle, files, chunks } = serde_json::from_slice(&fs::read(path)?)?;
        if !matches!(shuffle, 0 | 4) {
            return Err("elements of four bytes, or no shuffle".into());
        }
        if chunks.is_empty() {
            return Err("no chunks".into());
        }
        let files = files.iter().map(File::open).collect::<std::result::Result<_, _>>()?;
        Ok(Self { codec, shuffle, files, chunks })
    }

    /// Bytes of all chunks, decoded.
    pub(crate) fn decoded_len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.3 as u64).sum()
    }

    /// Reads the stored bytes of a chunk into `stored`.
    pub(crate) fn fetch(&self, chunk: Chunk, stored: &mut Vec<u8>) -> Result<()> {
        stored.resize(chunk.2, 0);
        let file = self.files.get(chunk.0).ok_or("a chunk of a file that is not listed")?;
        Ok(file.read_exact_at(stored, chunk.1)?)
    }
}

/// What one thread decodes with.
pub(crate) struct Decoder {
    inflate: Decompressor,
    zstd: DCtx<'static>,
    shuffled: Vec<u8>,
}

impl Decoder {
    /// A decoder with its tables and no room yet.
    pub(crate) fn new() -> Self {
        Self { inflate: Decompressor::new(), zstd: DCtx::create(), shuffled: Vec::new() }
    }

    /// Decodes the stored bytes of `chunk` into `out`.
    pub(crate) fn decode(
        &mut self,
        list: &List,
        chunk: Chunk,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.resize(chunk.3, 0);
        if list.shuffle == 0 {
            return self.decompress(list.codec, stored, out);
        }
        let mut shuffled = std::mem::take(&mut self.shuffled);
        shuffled.resize(chunk.3, 0);
        self.decompress(list.codec, stored, &mut shuffled)?;
        unshuffle(&shuffled, out);
        self.shuffled = shuffled;
        Ok(())
    }

    fn decompress(&mut self, codec: Codec, stored: &[u8], out: &mut [u8]) -> Result<()> {
        let len = match codec {
            Codec::None if stored.len() == out.len() => {
                out.copy_from_slice(stored);
                stored.len()
            }
            Codec::None => stored.len(),
            Codec::Deflate => self.inflate.zlib_decompress(stored, out)?,
            Codec::Zstd => self.zstd.decompress(out, stored).map_err(get_error_name)?,
        };
        if len == out.len() {
            Ok(())
        } else {
            Err(format!("a chunk of {len} bytes, not {}", out.len()).into())
        }
    }
}

/// Puts elements of four bytes together again from their four planes, in the widest vectors that the processor has.
fn unshuffle(planes: &[u8], out: &mut [u8]) {
    let count = planes.len() / 4;
    let (a, rest) = planes.split_at(count);
    let (b, rest) = rest.split_at(count);
    let (c, d) = rest.split_at(count);
    pulp::Arch::new().dispatch(|| {
        for ((((element, a), b), c), d) in out.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *element = [*a, *b, *c, *d];
        }
    });
}
