//! Datasets as the chunk engine's arrays: shape, chunks, fill, filters, and where chunks lie.
//!
//! A chunk index is read when a variable is first read, once.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Block, DataType, Error, ErrorKind, FullName, Result, ResultExt};
use tokio::sync::OnceCell;

use super::{
    elements::{Decoder, Heaps, StoredElements, array_of, unsupported},
    filters::{self, FilterSpec},
    format::{ChunkTable, DatasetInfo, Dataspace, File, Filter, Layout},
    types::array_sizes,
};
use crate::{
    chunked::{ChunkIndex, ChunkLocation, ChunkedArray, codecs::Pipeline},
    storage::{Object, blocking},
};

/// The array of a dataset; an array datatype adds axes.
///
/// # Errors
/// `Unsupported` for an unknown filter or type; `Forbidden` for data kept in other files.
pub(super) fn array(
    name: FullName,
    object: &Arc<Object>,
    info: &Arc<DatasetInfo>,
    heaps: &Heaps,
) -> Result<ChunkedArray> {
    let (per_element, element) = array_of(&info.datatype);
    let inner = array_sizes(&info.datatype);
    let decoder = Decoder::new(element)?;
    let stored_size = decoder.stored_size();
    let outer = info.dataspace.dims();
    let shape: Vec<u64> = match info.dataspace {
        Dataspace::Null => vec![0],
        _ => outer.iter().chain(&inner).copied().collect(),
    };
    let mut pipeline = Pipeline::default();
    let mut chunk_shape: Vec<u64> = shape.iter().map(|n| (*n).max(1)).collect();
    if info.external_storage {
        return Err(elsewhere("external storage"));
    }
    match &info.layout {
        Layout::Virtual => return Err(elsewhere("a virtual dataset")),
        Layout::Chunked(chunked) => {
            chunk_shape = chunked.chunk_shape.iter().chain(&inner).copied().collect();
            pipeline = decoding(&info.filters)?;
        }
        Layout::Compact(_) | Layout::Contiguous { .. } => {}
    }
    if chunk_shape.len() != shape.len() {
        return Err(Error::corrupt("chunks of another rank than the dataset"));
    }
    let elements = info.dataspace.element_count();
    let bytes = elements.checked_mul(per_element).and_then(|n| n.checked_mul(stored_size as u64));
    let index = DatasetChunks {
        file: heaps.file.clone(),
        object: Arc::clone(object),
        rank: outer.len(),
        bytes: bytes.ok_or_else(|| Error::corrupt("a dataset of more than 2^64 bytes"))?,
        info: Arc::clone(info),
        table: OnceCell::new(),
    };
    // Of an array datatype's fill value the first element stands for all.
    let fill = info.fill.value.as_ref().and_then(|v| v.get(..stored_size).map(|_| v.slice(..stored_size)));
    Ok(ChunkedArray {
        name,
        version: Arc::clone(&object.version.identity),
        shape,
        chunk_shape,
        stored_size,
        fill: fill.unwrap_or_else(|| vec![0; stored_size].into()),
        pipeline,
        index: Arc::new(index),
        elements: Arc::new(StoredElements { decoder, heaps: heaps.clone() }),
    })
}

fn elsewhere(what: &str) -> Error {
    Error::new(ErrorKind::Forbidden, format!("the data are in other files ({what}), which are not opened"))
}

/// Finds the chunks of one dataset.
#[derive(Debug)]
struct DatasetChunks {
    file: File,
    object: Arc<Object>,
    info: Arc<DatasetInfo>,
    /// Axes of the dataspace; further ones are the datatype's, never divided.
    rank: usize,
    /// Bytes of all elements.
    bytes: u64,
    table: OnceCell<Arc<ChunkTable>>,
}

impl DatasetChunks {
    async fn table(&self) -> Result<&Arc<ChunkTable>> {
        self.table
            .get_or_try_init(|| async {
                let (file, info) = (self.file.clone(), Arc::clone(&self.info));
                let table = blocking(move || file.chunk_table(&info)).await;
                table.map(Arc::new).within(|| "chunk index")
            })
            .await
    }
}

#[async_trait]
impl ChunkIndex for DatasetChunks {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let whole = |one: Option<ChunkLocation>| Ok(vec![one; chunks.len()]);
        match &self.info.layout {
            Layout::Compact(data) if data.is_empty() => whole(None),
            Layout::Compact(data) => {
                let len = usize::try_from(self.bytes).unwrap_or(usize::MAX);
                if data.len() < len {
                    return Err(Error::corrupt("compact data shorter than the dataset"));
                }
                whole(Some(ChunkLocation::Inline(data.slice(..len))))
            }
            Layout::Contiguous { offset: None, .. } => whole(None),
            Layout::Contiguous { offset: Some(offset), size } => {
                if *size < self.bytes {
                    return Err(Error::corrupt("contiguous data shorter than the dataset"));
                }
                let object = Arc::clone(&self.object);
                whole(Some(ChunkLocation::Stored {
                    object,
                    offset: *offset,
                    len: self.bytes,
                    filter_mask: 0,
                }))
            }
            Layout::Chunked(_) => {
                let table = self.table().await?;
                let find = |chunk: &Vec<u64>| {
                    let stored = table.locate(chunk.get(..self.rank)?)?;
                    let (offset, len, filter_mask) = (stored.offset, stored.len, stored.filter_mask);
                    let object = Arc::clone(&self.object);
                    Some(ChunkLocation::Stored { object, offset, len, filter_mask })
                };
                Ok(chunks.iter().map(find).collect())
            }
            Layout::Virtual => Err(unsupported("a virtual dataset")),
        }
    }

    fn is_ready(&self) -> bool {
        !matches!(self.info.layout, Layout::Chunked(_)) || self.table.initialized()
    }
}

/// What a variable shorter than its unlimited dimension lacks: one element of its fill value, or of
/// netCDF's default for its type.
pub(super) fn missing_element(
    array: &ChunkedArray,
    info: &DatasetInfo,
    data_type: &DataType,
) -> Result<Block> {
    let default: &[u8] = match data_type {
        _ if info.fill.value.is_some() => return array.elements.decode(array.fill.clone()),
        DataType::Int8 => &(-127_i8).to_ne_bytes(),
        DataType::Int16 => &(-32767_i16).to_ne_bytes(),
        DataType::Int32 => &(-2_147_483_647_i32).to_ne_bytes(),
        DataType::Int64 => &(-9_223_372_036_854_775_806_i64).to_ne_bytes(),
        DataType::UInt8 => &u8::MAX.to_ne_bytes(),
        DataType::UInt16 => &u16::MAX.to_ne_bytes(),
        DataType::UInt32 => &u32::MAX.to_ne_bytes(),
        DataType::UInt64 => &(u64::MAX - 1).to_ne_bytes(),
        DataType::Float32 => &9.969_21e36_f32.to_ne_bytes(),
        DataType::Float64 => &9.969_209_968_386_869e36_f64.to_ne_bytes(),
        _ => return array.elements.decode(array.fill.clone()),
    };
    Ok(Block::Fixed(Bytes::copy_from_slice(default)))
}

/// The decoding stages of a dataset's filters.
fn decoding(filters: &[Filter]) -> Result<Pipeline> {
    let specs: Vec<FilterSpec> = filters
        .iter()
        .map(|f| FilterSpec {
            id: f.id,
            optional: f.optional,
            name: f.name.clone(),
            client_data: f.client_data.clone(),
        })
        .collect();
    filters::pipeline(&specs)
}
