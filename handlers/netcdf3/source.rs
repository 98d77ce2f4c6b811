//! A netCDF-3 file as a `cdm::Source`.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{
    Attribute, BlockStream, Dataset, Dimension, Error, FullName, Group, Result, Selection, Source,
    StoredChunks, Variable, Version, source::failed,
};

use super::{header::Header, layout::Layout};
use crate::{
    chunked::{ChunkIndex, ChunkLocation, ChunkedArray, Engine, Numbers, OneChunk, codecs::Pipeline},
    coordinate_maps::assign_maps,
    storage::Object,
};

/// The attribute that says what is wrong with a file of which the rest is served.
pub(super) const WARNING: &str = "thalweg_warning";

/// An open netCDF-3 file.
#[derive(Debug)]
pub(crate) struct NetCdf3Source {
    dataset: Dataset,
    version: Version,
    arrays: HashMap<FullName, Arc<ChunkedArray>>,
    engine: Arc<Engine>,
}

impl NetCdf3Source {
    /// # Errors
    /// `Corrupt` when the header contradicts itself or the object's size.
    pub(crate) fn new(object: Object, header: &Header, engine: Arc<Engine>) -> Result<Self> {
        let layout = Layout::new(header, object.size)?;
        let root_name = FullName::root();
        let mut root = Group::new(root_name.clone());
        root.attributes = header.attributes.clone();
        if let Some(shortfall) = layout.shortfall(header) {
            tracing::warn!(file = %object.name, "{shortfall}");
            root.attributes.set(Attribute::text(WARNING, &shortfall));
        }
        root.dimensions = header
            .dimensions
            .iter()
            .enumerate()
            .map(|(i, d)| {
                let unlimited = layout.record_dimension == Some(i);
                let size = if unlimited { layout.record_count } else { d.len };
                Dimension { name: Some(root_name.join(&d.name)), size, unlimited }
            })
            .collect();
        let mut arrays = HashMap::new();
        let file = Arc::new(object.clone());
        for (entry, place) in header.variables.iter().zip(&layout.variables) {
            let dimensions = entry.dimensions.iter().filter_map(|&id| {
                let id = usize::try_from(id).ok()?;
                root.dimensions.get(id).cloned()
            });
            let variable = Variable {
                attributes: entry.attributes.clone(),
                ..Variable::new(Arc::clone(&entry.name), entry.data_type.clone(), dimensions.collect())
            };
            let (chunk_shape, index) = chunks(&file, entry.begin, place, &layout);
            let size = usize::try_from(place.element).unwrap_or(1);
            let name = root_name.join(&entry.name);
            let array = ChunkedArray {
                name: name.clone(),
                version: Arc::clone(&object.version.identity),
                shape: place.shape.clone(),
                chunk_shape,
                stored_size: size,
                // Every value is stored; nothing is ever filled.
                fill: Bytes::from(vec![0; size]),
                pipeline: Pipeline::default(),
                index,
                elements: Arc::new(Numbers::big_endian(size)),
            };
            arrays.insert(name, Arc::new(array));
            root.variables.push(variable);
        }
        assign_maps(&mut root);
        let dataset = Dataset::new(Arc::clone(&object.name), root)?;
        Ok(Self { dataset, version: object.version, arrays, engine })
    }
}

/// The chunks of a variable: one, or one per record where records are interleaved.
fn chunks(
    object: &Arc<Object>,
    begin: u64,
    place: &super::layout::Place,
    layout: &Layout,
) -> (Vec<u64>, Arc<dyn ChunkIndex>) {
    let object = Arc::clone(object);
    let mut chunk_shape: Vec<u64> = place.shape.iter().map(|&n| n.max(1)).collect();
    if place.is_record && layout.record_len != place.len {
        if let Some(first) = chunk_shape.first_mut() {
            *first = 1;
        }
        return (chunk_shape, Arc::new(Records { object, begin, len: place.len, step: layout.record_len }));
    }
    // Checked against the file's length when the layout was made.
    let len = if place.is_record { place.len.saturating_mul(layout.record_count) } else { place.len };
    (
        chunk_shape,
        Arc::new(OneChunk(Some(ChunkLocation::Stored { object, offset: begin, len, filter_mask: 0 }))),
    )
}

/// One chunk per record.
#[derive(Debug)]
struct Records {
    object: Arc<Object>,
    begin: u64,
    len: u64,
    step: u64,
}

#[async_trait]
impl ChunkIndex for Records {
    async fn locate(&self, chunks: &[Vec<u64>]) -> Result<Vec<Option<ChunkLocation>>> {
        let locate = |chunk: &Vec<u64>| {
            let record = chunk.first().copied().unwrap_or(0);
            let offset = record.checked_mul(self.step).and_then(|n| n.checked_add(self.begin));
            let offset = offset.ok_or_else(|| Error::corrupt("a record lies beyond any file"))?;
            let object = Arc::clone(&self.object);
            Ok(Some(ChunkLocation::Stored { object, offset, len: self.len, filter_mask: 0 }))
        };
        chunks.iter().map(locate).collect()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

impl Source for NetCdf3Source {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        if let Some(array) = self.arrays.get(variable) {
            return self.engine.read(array, selection);
        }
        failed(Error::not_found(format!("there is no variable {variable}")))
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        self.arrays.get(variable)?.stored()
    }
}
