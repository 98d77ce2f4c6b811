//! What DMR++ says of a variable's storage, as an array of the chunk engine.

#![warn(clippy::indexing_slicing)]

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cdm::{DataType, Error, FullName, Result, ResultExt, Variable};

use super::{
    attributes::number,
    elements::{FixedText, Listed, Record},
    layout::{Layout, Padding, Piece, Values},
};
use crate::{
    chunked::{
        ChunkIndex, ChunkLocation, ChunkedArray, Elements, Numbers, OneChunk,
        codecs::{Codec, Deflate, Fletcher32, Pipeline, Shuffle, Zstd},
    },
    references::targets::Targets,
};

/// Strings of one variable that the document itself holds.
const MOST_STRINGS: u64 = 1 << 22;
/// Bytes of a chunk in several pieces, which are joined in memory.
const LARGEST_JOINED: u64 = 64 << 20;
/// Bytes of values in the document, decoded.
const LARGEST_HERE: u64 = 256 << 20;

/// The array of `variable`.
///
/// # Errors
/// `Unsupported` for what cannot be read; `Corrupt` for what cannot be.
pub(super) fn array(
    name: FullName,
    variable: &Variable,
    layout: Layout,
    version: &Arc<str>,
    files: &Arc<Files>,
) -> Result<ChunkedArray> {
    let shape = variable.shape();
    let whole: Vec<u64> = shape.iter().map(|n| (*n).max(1)).collect();
    let Layout { chunk_shape, filters, big_endian, fill, offsets, text, values } = layout;
    let (stored_size, elements): (usize, Arc<dyn Elements>) = match (&variable.data_type, &values) {
        (DataType::String | DataType::Url, Values::Strings(_)) => (4, Arc::new(Listed(Vec::new()))),
        (DataType::String | DataType::Url, values) => {
            let (len, padding) = match (text, values) {
                (Some(text), _) => text,
                (None, values) => (only_text(variable, values)?, Padding::Null),
            };
            (len, Arc::new(FixedText { len, padding }))
        }
        (DataType::Structure(record), _) => {
            let record = Record::new(&record.fields, &offsets, big_endian)?;
            (record.size, Arc::new(record))
        }
        (DataType::Opaque(_) | DataType::Sequence(_), _) => {
            return Err(Error::unsupported("values of variable length in DMR++ are not supported"));
        }
        (data_type, _) => {
            let size = data_type.fixed_size().and_then(|n| usize::try_from(n).ok());
            let size = size.ok_or_else(|| Error::internal("a number of no size"))?;
            let numbers = if big_endian { Numbers::big_endian(size) } else { Numbers::little_endian(size) };
            (size, Arc::new(numbers))
        }
    };
    let bytes = whole.iter().try_fold(stored_size as u64, |n, len| n.checked_mul(*len));
    let bytes = bytes.ok_or_else(|| Error::corrupt("the variable is larger than any file"))?;
    let mut made = ChunkedArray {
        name,
        version: Arc::clone(version),
        shape,
        chunk_shape: whole,
        stored_size,
        fill: fill_value(&variable.data_type, fill.as_deref(), stored_size, big_endian, &offsets),
        pipeline: Pipeline::default(),
        index: Arc::new(OneChunk(None)),
        elements,
    };
    let empty = made.shape.contains(&0);
    match values {
        Values::Unknown if !empty => {
            return Err(Error::unsupported("the DMR++ file does not say where the values are"));
        }
        Values::Unknown => {}
        Values::Here(here) => {
            if here.len() as u64 != bytes && !empty {
                return Err(Error::corrupt(format!("{} bytes of values where {bytes} are due", here.len())));
            }
            made.index = Arc::new(OneChunk(Some(ChunkLocation::Inline(here))));
        }
        Values::Deflated(here) => {
            if bytes > LARGEST_HERE {
                return Err(Error::too_large("too many values in the DMR++ file itself"));
            }
            // A single value is not deflated.
            if bytes == stored_size as u64 && here.len() == stored_size {
                made.index = Arc::new(OneChunk(Some(ChunkLocation::Inline(here))));
            } else {
                made.pipeline = Pipeline::new(vec![Arc::new(Deflate)]);
                made.index = Arc::new(OneChunk(Some(ChunkLocation::Encoded(here))));
            }
        }
        Values::Strings(strings) => {
            let (here, texts) = listed(strings, bytes / 4)?;
            made.index = Arc::new(OneChunk(Some(ChunkLocation::Inline(here))));
            made.elements = Arc::new(Listed(texts));
        }
        Values::Chunks(chunks) => {
            made.pipeline = pipeline(&filters, stored_size)?;
            let plain = made.pipeline.is_empty();
            if let Some(chunk_shape) = chunk_shape {
                if chunk_shape.len() != made.shape.len() {
                    return Err(Error::corrupt("chunks of another number of axes than the variable"));
                }
                made.chunk_shape = chunk_shape;
            }
            let chunk_len =
                made.chunk_byte_len().ok_or_else(|| Error::corrupt("a chunk larger than any file"))?;
            let chunks = Chunks::new(chunks, &made, plain.then_some(chunk_len), files)?;
            made.index = Arc::new(chunks);
        }
    }
    Ok(made)
}

/// The length of a string stored as it is, which nothing but its bytes tells.
fn only_text(variable: &Variable, values: &Values) -> Result<usize> {
    let len = match values {
        Values::Here(bytes) => bytes.len() as u64,
        Values::Chunks(chunks) => {
            chunks.values().flatten().map(|piece| piece.len).fold(0, u64::saturating_add)
        }
        _ => 0,
    };
    if variable.element_count() != 1 {
        let unknown = matches!(values, Values::Unknown);
        let why = if unknown {
            "the DMR++ file does not say where the values are"
        } else {
            "strings of variable length in DMR++ are not supported"
        };
        return Err(Error::unsupported(why));
    }
    let len = usize::try_from(len).ok().filter(|n| *n <= 1 << 24);
    Ok(len.ok_or_else(|| Error::too_large("a string is too long"))?.max(1))
}

/// Numbers of the strings, each as often as it comes, and the strings.
fn listed(strings: Vec<(String, u64)>, count: u64) -> Result<(Bytes, Vec<String>)> {
    let told = strings.iter().try_fold(0_u64, |n, (_, times)| n.checked_add(*times));
    if told != Some(count) {
        return Err(Error::corrupt(format!("another number of strings than the {count} that are due")));
    }
    if count > MOST_STRINGS {
        return Err(Error::too_large(format!("more than {MOST_STRINGS} strings in the DMR++ file itself")));
    }
    let mut numbers = BytesMut::new();
    let mut texts = Vec::with_capacity(strings.len());
    for (number, (text, times)) in (0_u32..).zip(strings) {
        for _ in 0..times {
            numbers.extend_from_slice(&number.to_ne_bytes());
        }
        texts.push(text);
    }
    Ok((numbers.freeze(), texts))
}

/// One stored element of the value in `text`; zeros when there is none or it cannot be told.
fn fill_value(
    data_type: &DataType,
    text: Option<&str>,
    size: usize,
    big_endian: bool,
    offsets: &[usize],
) -> Bytes {
    let swapped = big_endian != cfg!(target_endian = "big");
    let mut bytes = vec![0; size];
    let texts = text.unwrap_or_default();
    match data_type {
        DataType::Structure(record) => {
            let mut at = 0;
            for (i, (field, text)) in record.fields.iter().zip(texts.split_whitespace()).enumerate() {
                let count = usize::try_from(field.element_count()).unwrap_or(0).min(size);
                if let Some(one) = number(&field.data_type, text, swapped) {
                    let all = one.repeat(count);
                    if let Some(space) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..all.len())) {
                        space.copy_from_slice(&all);
                    }
                    at += all.len();
                }
                at = offsets.get(i).copied().unwrap_or(at);
            }
        }
        DataType::String | DataType::Url => {
            bytes.iter_mut().zip(texts.bytes()).for_each(|(space, byte)| *space = byte);
        }
        numeric => {
            if let Some(number) = number(numeric, texts, swapped).filter(|n| n.len() == size) {
                bytes = number;
            }
        }
    }
    bytes.into()
}

fn pipeline(filters: &[String], element_size: usize) -> Result<Pipeline> {
    let codec = |filter: &String| -> Result<Arc<dyn Codec>> {
        Ok(match filter.as_str() {
            "deflate" => Arc::new(Deflate),
            "shuffle" => Arc::new(Shuffle::new(element_size)),
            "fletcher32" => Arc::new(Fletcher32),
            "zstd" => Arc::new(Zstd),
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(Error::unsupported(format!(
                    "filter {other} in DMR++ is not supported; deflate, shuffle, fletcher32 and zstd are"
                )));
            }
        })
    };
    filters.iter().map(codec).collect::<Result<_>>().map(Pipeline::new)
}

/// The files that the document refers to.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) targets: Targets,
    /// What chunks refer to that name no file of their own.
    pub(super) main: String,
    pub(super) others: Vec<String>,
}

impl Files {
    async fn locate(&self, piece: &Piece) -> Result<ChunkLocation> {
        let other = piece.href.and_then(|n| self.others.get(usize::try_from(n).ok()?));
        let file = other.map_or(self.main.as_str(), String::as_str);
        self.targets.locate(file, Some((piece.offset, piece.len)), piece.filter_mask).await
    }
}

/// Chunks by their number in C order.
#[derive(Debug)]
struct Chunks {
    grid: Vec<u64>,
    pieces: HashMap<u64, Vec<Piece>>,
    /// Bytes of every chunk, when they are stored as they are.
    plain_len: Option<u64>,
    files: Arc<Files>,
}

impl Chunks {
    fn new(
        listed: HashMap<Vec<u64>, Vec<Piece>>,
        array: &ChunkedArray,
        plain_len: Option<u64>,
        files: &Arc<Files>,
    ) -> Result<Self> {
        let grid: Vec<u64> =
            array.shape.iter().zip(&array.chunk_shape).map(|(n, c)| n.div_ceil(*c)).collect();
        let mut chunks = HashMap::with_capacity(listed.len());
        let empty = array.shape.contains(&0);
        for (position, pieces) in listed {
            let outside = || Error::corrupt(format!("a chunk at {position:?}, where none can be"));
            let at = match (position.is_empty(), grid.len()) {
                (true, rank) => vec![0; rank],
                (false, rank) if rank == position.len() => position
                    .iter()
                    .zip(&array.chunk_shape)
                    .map(|(at, len)| (at % len == 0).then_some(at / len))
                    .collect::<Option<_>>()
                    .ok_or_else(outside)?,
                _ => return Err(outside()),
            };
            if empty {
                continue;
            }
            let number = number_of(&at, &grid).ok_or_else(outside)?;
            let len = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.len));
            if pieces.len() > 1 && len.is_none_or(|len| len > LARGEST_JOINED) {
                return Err(Error::too_large("a chunk in several pieces is too large"));
            }
            // A chunk that skipped all filters is as long; so is one without any.
            if plain_len.is_some() && len != plain_len {
                return Err(Error::corrupt(format!(
                    "a chunk of {} bytes where {} are due",
                    len.unwrap_or(u64::MAX),
                    plain_len.unwrap_or(0)
                )));
            }
            if chunks.insert(number, pieces).is_some() {
                return Err(Error::corrupt("two chunks at one place"));
            }
        }
        Ok(Self { grid, pieces: chunks, plain_len, files: Arc::clone(files) })
    }
}

/// The number of the chunk at `at` in C order; `None` outside of the grid.
fn number_of(at: &[u64], grid: &[u64]) -> Option<u64> {
    let mut number = 0_u64;
    for (i, len) in at.iter().zip(grid) {
        if i >= len {
            return None;
        }
        number = number.checked_mul(*len)?.checked_add(*i)?;
    }
    (at.len() == grid.len()).then_some(number)
}

#[async_trait]
impl ChunkIndex for Chunks {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let mut found = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let pieces = number_of(chunk, &self.grid).and_then(|number| self.pieces.get(&number));
            let shown = || format!("chunk {chunk:?}");
            found.push(match pieces.map(Vec::as_slice) {
                None | Some([]) => None,
                Some([only]) => Some(self.files.locate(only).await.within(shown)?),
                Some(several) => {
                    let mut joined = BytesMut::new();
                    for piece in several {
                        if let ChunkLocation::Stored { object, offset, len, .. } =
                            self.files.locate(piece).await.within(shown)?
                        {
                            joined.extend_from_slice(&object.read(offset..offset + len).await.within(shown)?);
                        }
                    }
                    let joined = joined.freeze();
                    let plain = self.plain_len.is_some();
                    Some(if plain { ChunkLocation::Inline(joined) } else { ChunkLocation::Encoded(joined) })
                }
            });
        }
        Ok(found)
    }
}
