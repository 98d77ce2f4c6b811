//! How chunks are coded: names and settings of codecs in the metadata, as stages of the engine.
//!
//! What is stored is a shard or a chunk; a shard's own coding is followed into it, so that the result
//! describes the innermost chunks, and how to find them ([`ShardLevel`]).

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use cdm::{DataType, Error, Result, ResultExt};

use super::{json::Json, types::Kind};
use crate::chunked::codecs::{
    AsType, Blosc, Bzip2, Checksum, Codec, Deflate, Delta, FixedScaleOffset, Fletcher32, Gzip, NumberClass,
    NumberFormat, PackBits, Pipeline, Shuffle, SizedLz4, Sum, Transpose, Xz, Zstd,
};

/// Codecs of one array; more are refused.
const MOST_CODECS: usize = 32;

/// Shards within shards.
const DEEPEST: usize = 4;

/// How the innermost chunks are coded and found.
#[derive(Debug)]
pub(super) struct Coding {
    /// Stages in encoding order.
    pub(super) pipeline: Pipeline,
    /// How stored elements lie, byte order as coded.
    pub(super) kind: Kind,
    /// Elements of an innermost chunk per axis of the array.
    pub(super) chunk_shape: Vec<u64>,
    /// Shards, outermost first.
    pub(super) shards: Vec<ShardLevel>,
    /// For elements of any length: which axis of the array each axis of the chunk is.
    pub(super) order: Vec<usize>,
}

/// A level of shards.
#[derive(Debug)]
pub(super) struct ShardLevel {
    /// Elements of a shard per axis of the array.
    pub(super) shape: Vec<u64>,
    /// Axis `i` of the shard's grid of chunks is axis `order[i]` of the array.
    pub(super) order: Vec<usize>,
    /// Chunks in a shard per axis of the array.
    pub(super) counts: Vec<u64>,
    /// The index stands at the beginning.
    pub(super) index_first: bool,
    /// How the index is coded.
    pub(super) index_pipeline: Pipeline,
    /// Bytes of the index as stored.
    pub(super) index_len: u64,
    /// The index's numbers have the most significant byte first.
    pub(super) index_big_endian: bool,
}

fn unsupported(codec: &str) -> Error {
    Error::unsupported(format!("the codec {codec}"))
}

/// What coding version 2 metadata describe.
pub(super) fn v2(document: &Json, kind: Kind, chunk_shape: &[u64]) -> Result<Coding> {
    let mut build = Build::new(kind, chunk_shape);
    match document.member("order").and_then(Json::text) {
        Some("F") => build.transpose(&(0..chunk_shape.len()).rev().collect::<Vec<_>>())?,
        Some("C") | None => {}
        Some(other) => return Err(Error::corrupt(format!("the order {other:?}"))),
    }
    let filters = document.member("filters").and_then(Json::list).unwrap_or_default();
    let compressor = document.member("compressor").filter(|c| **c != Json::Null);
    if filters.len() > MOST_CODECS {
        return Err(Error::unsupported("that many filters"));
    }
    for codec in filters.iter().chain(compressor) {
        let name = codec.member("id").and_then(Json::text);
        let name = name.ok_or_else(|| Error::corrupt("a filter without a name"))?;
        build.numcodecs(name, codec).within(|| name.to_owned())?;
    }
    build.finish()
}

/// What coding version 3 metadata describe.
pub(super) fn v3(codecs: &[Json], kind: Kind, chunk_shape: &[u64]) -> Result<Coding> {
    let mut build = Build::new(kind, chunk_shape);
    build.serialized = false;
    build.v3(codecs, 0)?;
    build.finish()
}

struct Build {
    kind: Kind,
    stages: Vec<Arc<dyn Codec>>,
    /// Of the chunk, per axis of the array.
    chunk_shape: Vec<u64>,
    /// Axis `i` of what is coded next is axis `order[i]` of the array.
    order: Vec<usize>,
    shards: Vec<ShardLevel>,
    /// Numbers as the coming stages see them, as long as they are numbers.
    format: Option<NumberFormat>,
    /// The framing of elements of any length was named.
    framed: bool,
    /// Past the codec that makes bytes of an array.
    serialized: bool,
}

impl Build {
    fn new(kind: Kind, chunk_shape: &[u64]) -> Self {
        let format = number_format(&kind);
        let order = (0..chunk_shape.len()).collect();
        let shape = chunk_shape.to_vec();
        Self {
            kind,
            stages: Vec::new(),
            chunk_shape: shape,
            order,
            shards: Vec::new(),
            format,
            framed: false,
            serialized: true,
        }
    }

    fn finish(self) -> Result<Coding> {
        if self.kind.size().is_none() && !self.framed {
            return Err(Error::unsupported("objects that no codec describes"));
        }
        if !self.serialized {
            return Err(Error::corrupt("no codec makes bytes of the array"));
        }
        Ok(Coding {
            pipeline: Pipeline::new(self.stages),
            kind: self.kind,
            chunk_shape: self.chunk_shape,
            shards: self.shards,
            order: self.order,
        })
    }

    /// Axis `i` of the result is axis `by[i]` of what there is.
    fn transpose(&mut self, by: &[usize]) -> Result<()> {
        let shape: Option<Vec<u64>> =
            self.order.iter().map(|axis| self.chunk_shape.get(*axis).copied()).collect();
        let shape = shape.ok_or_else(|| Error::internal("an order of other axes"))?;
        // Checks that it is a permutation, also where nothing has to be moved.
        let size = self.element_size();
        let codec = Transpose::new(&shape, by, size.unwrap_or(1))?;
        if size.is_some() && shape.iter().filter(|n| **n > 1).count() > 1 {
            self.stages.push(Arc::new(codec));
        }
        self.order = by.iter().filter_map(|i| self.order.get(*i).copied()).collect();
        Ok(())
    }

    /// Bytes of an element at this point; `None` when they differ.
    fn element_size(&self) -> Option<usize> {
        let own = self.kind.size()?;
        Some(match (self.format, number_format(&self.kind)) {
            (Some(now), Some(_)) => now.size,
            _ => own,
        })
    }

    fn v3(&mut self, codecs: &[Json], depth: usize) -> Result<()> {
        if codecs.len() > MOST_CODECS || depth > DEEPEST {
            return Err(Error::unsupported("that many codecs"));
        }
        for (i, codec) in codecs.iter().enumerate() {
            let name = codec.text().or_else(|| codec.member("name")?.text());
            let name = name.ok_or_else(|| Error::corrupt("a codec without a name"))?;
            let none = Json::Object(Vec::new());
            let settings = codec.member("configuration").unwrap_or(&none);
            if name == "sharding_indexed" {
                if self.serialized {
                    return Err(Error::corrupt("a shard of bytes"));
                }
                if i + 1 < codecs.len() {
                    return Err(Error::unsupported("codecs around shards"));
                }
                return self.shard(settings, depth).within(|| name.to_owned());
            }
            if takes_bytes(name).is_some_and(|bytes| bytes != self.serialized) {
                let message = format!("the codec {name} stands on the wrong side of the array's bytes");
                return Err(Error::corrupt(message));
            }
            self.v3_codec(name, settings).within(|| name.to_owned())?;
        }
        Ok(())
    }

    fn v3_codec(&mut self, name: &str, settings: &Json) -> Result<()> {
        match name {
            "transpose" => {
                let rank = self.order.len();
                let by: Vec<usize> = match settings.member("order") {
                    Some(Json::Text(order)) if order == "C" => return Ok(()),
                    Some(Json::Text(order)) if order == "F" => (0..rank).rev().collect(),
                    Some(Json::List(axes)) => {
                        let axes: Option<Vec<usize>> =
                            axes.iter().map(|a| usize::try_from(a.size()?).ok()).collect();
                        axes.ok_or_else(|| Error::corrupt("an order that is no permutation"))?
                    }
                    _ => return Err(Error::corrupt("no order")),
                };
                return self.transpose(&by);
            }
            "bytes" | "endian" => {
                if let Some(endian) = settings.member("endian").and_then(Json::text) {
                    let big = match endian {
                        "big" => true,
                        "little" => false,
                        other => return Err(Error::corrupt(format!("the order of bytes {other:?}"))),
                    };
                    self.bytes_order(big)?;
                }
                self.serialized = true;
            }
            "vlen-utf8" | "vlen-bytes" => {
                self.frame()?;
                self.serialized = true;
            }
            "gzip" => self.stages.push(Arc::new(Gzip)),
            "zlib" => self.stages.push(Arc::new(Deflate)),
            "zstd" => self.stages.push(Arc::new(Zstd)),
            "blosc" => self.stages.push(Arc::new(Blosc)),
            "bz2" => self.stages.push(Arc::new(Bzip2)),
            "crc32c" => self.stages.push(Arc::new(Checksum { sum: Sum::Crc32c, first: false })),
            other => match other.strip_prefix("numcodecs.") {
                Some(name) => return self.numcodecs(name, settings),
                None => return Err(unsupported(other)),
            },
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<()> {
        match self.kind {
            Kind::AnyText | Kind::AnyBytes if !self.framed => {
                self.framed = true;
                Ok(())
            }
            _ => Err(Error::corrupt("a codec of strings for other values")),
        }
    }

    /// Numbers become bytes in this order.
    fn bytes_order(&mut self, big: bool) -> Result<()> {
        let native = cfg!(target_endian = "big");
        let untouched = self.format == number_format(&self.kind);
        if untouched {
            self.kind = self.kind.clone().with_order(big);
            self.format = number_format(&self.kind);
        } else if let Some(format) = self.format
            && big != native
        {
            let stored = NumberFormat { big_endian: big, ..format };
            self.stages.push(Arc::new(AsType::new(stored, format)?));
            self.format = Some(stored);
        }
        Ok(())
    }

    fn shard(&mut self, settings: &Json, depth: usize) -> Result<()> {
        let rank = self.chunk_shape.len();
        if self.format != number_format(&self.kind) {
            return Err(Error::unsupported("filters around shards"));
        }
        let inner = sizes(settings.member("chunk_shape"), rank)?;
        // In the array's order of axes.
        let mut chunk_shape = vec![1; rank];
        for (axis, size) in self.order.iter().zip(&inner) {
            if let Some(slot) = chunk_shape.get_mut(*axis) {
                *slot = *size;
            }
        }
        let mut counts = Vec::with_capacity(rank);
        for (shard, chunk) in self.chunk_shape.iter().zip(&chunk_shape) {
            let count = shard.checked_div(*chunk).filter(|n| n * chunk == *shard);
            counts.push(count.ok_or_else(|| Error::corrupt("chunks that do not divide the shard"))?);
        }
        let chunks = counts.iter().try_fold(1_u64, |n, &c| n.checked_mul(c));
        let chunks = chunks.filter(|n| *n <= 1 << 22);
        let chunks = chunks.ok_or_else(|| Error::unsupported("shards of that many chunks"))?;
        let index_first = match settings.member("index_location").and_then(Json::text) {
            Some("start") => true,
            Some("end") | None => false,
            Some(other) => return Err(Error::corrupt(format!("an index at the {other:?}"))),
        };
        let (index_pipeline, index_len, index_big_endian) = index_coding(settings, chunks)?;
        self.shards.push(ShardLevel {
            shape: std::mem::replace(&mut self.chunk_shape, chunk_shape),
            order: self.order.clone(),
            counts,
            index_first,
            index_pipeline,
            index_len,
            index_big_endian,
        });
        // What was moved of whole shards is moved of chunks alike.
        let order = std::mem::replace(&mut self.order, (0..rank).collect());
        self.stages.clear();
        if order.iter().enumerate().any(|(i, axis)| i != *axis) {
            self.transpose(&order)?;
        }
        self.framed = false;
        let codecs = settings.member("codecs").and_then(Json::list);
        self.v3(codecs.ok_or_else(|| Error::corrupt("no codecs"))?, depth + 1)
    }

    /// A codec of numcodecs: all of version 2, and those of version 3 by that name.
    fn numcodecs(&mut self, name: &str, settings: &Json) -> Result<()> {
        let first =
            |default: &str| settings.member("location").and_then(Json::text).unwrap_or(default) == "start";
        let codec: Arc<dyn Codec> = match name {
            "zlib" => Arc::new(Deflate),
            "gzip" => Arc::new(Gzip),
            "zstd" => Arc::new(Zstd),
            "blosc" => Arc::new(Blosc),
            "lz4" => Arc::new(SizedLz4),
            "bz2" => Arc::new(Bzip2),
            "lzma" => match settings.member("format").and_then(Json::size) {
                None | Some(1) => Arc::new(Xz),
                Some(_) => return Err(Error::unsupported("LZMA in another format than XZ")),
            },
            "shuffle" => {
                let size = settings.member("elementsize").map_or(Some(4), Json::size);
                let size = size.and_then(|n| usize::try_from(n).ok());
                Arc::new(Shuffle::new(size.ok_or_else(|| Error::corrupt("no element size"))?))
            }
            "fletcher32" => Arc::new(Fletcher32),
            "crc32" => Arc::new(Checksum { sum: Sum::Crc32, first: first("start") }),
            "adler32" => Arc::new(Checksum { sum: Sum::Adler32, first: first("start") }),
            "crc32c" => Arc::new(Checksum { sum: Sum::Crc32c, first: first("end") }),
            // They lose precision when encoding; decoding leaves values as they are.
            "bitround" => return Ok(()),
            "quantize" => {
                let stored = stored_format(settings, "astype")?;
                return self.converted(stored, |from, to| Ok(Arc::new(AsType::new(from, to)?)));
            }
            "vlen-utf8" | "vlen-bytes" => {
                if name == "vlen-bytes" {
                    self.kind = Kind::AnyBytes;
                }
                return self.frame();
            }
            "delta" => {
                let stored = stored_format(settings, "astype")?;
                return self.converted(stored, |from, to| Ok(Arc::new(Delta::new(from, to)?)));
            }
            "fixedscaleoffset" => {
                let float = |name| settings.member(name).and_then(Json::float);
                let (scale, offset) = float("scale").zip(float("offset")).ok_or_else(|| unsupported(name))?;
                let stored = stored_format(settings, "astype")?;
                return self.converted(stored, |from, to| {
                    Ok(Arc::new(FixedScaleOffset::new(from, to, scale, offset)?))
                });
            }
            "astype" => {
                let stored = stored_format(settings, "encode_dtype")?;
                return self.converted(stored, |from, to| Ok(Arc::new(AsType::new(from, to)?)));
            }
            "packbits" if self.kind == Kind::Bool => {
                self.format = None;
                Arc::new(PackBits)
            }
            other => return Err(unsupported(other)),
        };
        self.stages.push(codec);
        Ok(())
    }

    /// A filter that stores numbers as `stored` (as they are when it names nothing).
    fn converted(
        &mut self,
        stored: Option<NumberFormat>,
        codec: impl FnOnce(NumberFormat, NumberFormat) -> Result<Arc<dyn Codec>>,
    ) -> Result<()> {
        let decoded =
            self.format.ok_or_else(|| Error::unsupported("a filter of numbers for other values"))?;
        let stored = stored.unwrap_or(decoded);
        self.stages.push(codec(stored, decoded)?);
        self.format = Some(stored);
        Ok(())
    }
}

/// Whether a codec of version 3 is one of bytes, not of arrays; `None` for a codec that is not known.
fn takes_bytes(name: &str) -> Option<bool> {
    match name.strip_prefix("numcodecs.").unwrap_or(name) {
        "gzip" | "zlib" | "zstd" | "blosc" | "bz2" | "lz4" | "lzma" | "shuffle" | "fletcher32" | "crc32"
        | "crc32c" | "adler32" => Some(true),
        "bytes" | "endian" | "transpose" | "vlen-utf8" | "vlen-bytes" | "bitround" | "quantize" | "delta"
        | "fixedscaleoffset" | "astype" | "packbits" => Some(false),
        _ => None,
    }
}

/// The numbers that `kind` is.
fn number_format(kind: &Kind) -> Option<NumberFormat> {
    use DataType::{Float32, Float64, UInt8, UInt16, UInt32, UInt64};
    let (class, size, big_endian) = match kind {
        Kind::Number { model, size, big } => {
            let class = match model {
                Float32 | Float64 => NumberClass::Float,
                UInt8 | UInt16 | UInt32 | UInt64 => NumberClass::Unsigned,
                _ => NumberClass::Signed,
            };
            (class, *size, *big)
        }
        Kind::Time(time) => (NumberClass::Signed, 8, time.big),
        _ => return None,
    };
    Some(NumberFormat { class, size, big_endian })
}

/// The type a filter says its output has (`astype`, else `dtype`).
fn stored_format(settings: &Json, name: &str) -> Result<Option<NumberFormat>> {
    let Some(named) = settings.member(name).or_else(|| settings.member("dtype")) else { return Ok(None) };
    let kind = super::types::v2(named, false)?;
    number_format(&kind).map(Some).ok_or_else(|| Error::unsupported(format!("a filter of {named}")))
}

/// How a shard's index is coded, its stored length, and whether its numbers are big-endian.
fn index_coding(settings: &Json, chunks: u64) -> Result<(Pipeline, u64, bool)> {
    let codecs = settings.member("index_codecs").and_then(Json::list);
    let codecs = codecs.ok_or_else(|| Error::corrupt("no codecs for the index"))?;
    let mut stages: Vec<Arc<dyn Codec>> = Vec::new();
    let mut big = false;
    for codec in codecs.iter().take(MOST_CODECS) {
        match codec.text().or_else(|| codec.member("name")?.text()) {
            Some("bytes" | "endian") => {
                let endian = codec.member("configuration").and_then(|c| c.member("endian"));
                big = endian.and_then(Json::text) == Some("big");
            }
            Some("crc32c") => stages.push(Arc::new(Checksum { sum: Sum::Crc32c, first: false })),
            _ => return Err(Error::unsupported("an index coded in another way than bytes and crc32c")),
        }
    }
    let len = chunks * 16 + 4 * stages.len() as u64;
    Ok((Pipeline::new(stages), len, big))
}

/// A list of `rank` sizes, none 0.
pub(super) fn sizes(json: Option<&Json>, rank: usize) -> Result<Vec<u64>> {
    let sizes = json.and_then(Json::list).map(|l| l.iter().map(Json::size).collect::<Option<Vec<_>>>());
    let sizes = sizes.flatten().filter(|s| s.len() == rank && !s.contains(&0));
    sizes.ok_or_else(|| Error::corrupt("an impossible chunk shape"))
}
