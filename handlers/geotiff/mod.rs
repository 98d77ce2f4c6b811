//! GeoTIFF, classic and `BigTIFF`, Cloud Optimized or not: images as CF variables with coordinates and a grid
//! mapping.
//!
//! `directory` reads the structure and `image` what it says of each image; `chunks` makes arrays of tiles
//! and strips for the chunk engine; `geokeys`, `crs`, `wkt` and `cf` lead from the keys to CF's grid mapping,
//! `georeference` and `coordinates` to positions; `tree` puts the dataset together. What is written to where
//! in the dataset is described in `docs/formats.md`.

mod bands;
mod cf;
mod chunks;
mod coordinates;
mod crs;
mod directory;
mod geokeys;
mod georeference;
#[cfg(test)]
mod hostile_tests;
mod image;
mod input;
mod metadata;
mod nodata;
mod tags;
#[cfg(test)]
mod tests;
mod tree;
mod wkt;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use cdm::{
    BlockStream, Dataset, Error, FullName, Result, Selection, Slice, Source, StoredChunks, Version,
    source::failed,
};

use self::{coordinates::Coordinates, directory::Form, input::Input};
use crate::{
    Format, Registry,
    chunked::{ChunkedArray, Engine},
    storage::{Object, Place, blocking},
};

/// The GeoTIFF format.
#[derive(Debug)]
pub struct GeoTiff;

#[async_trait]
impl Format for GeoTiff {
    fn name(&self) -> &'static str {
        "GeoTIFF"
    }

    fn recognizes(&self, _object: &Object, head: &[u8]) -> bool {
        Form::of(head).is_some()
    }

    async fn open(&self, object: Object, _: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        let version = object.version.clone();
        let name = Arc::clone(&object.name);
        let object = Arc::new(object);
        let mut input = Input::new(Arc::clone(&object));
        let directories = directory::read_all(&mut input, &tags::LAZY).await?;
        drop(input);
        let engine = Arc::clone(registry.engine());
        let tree = blocking(move || tree::build(directories, &object)).await?;
        let dataset = Dataset::new(name, tree.root)?;
        Ok(Arc::new(GeoTiffSource { dataset, version, values: tree.values, engine }))
    }
}

/// Where a variable's values come from.
#[derive(Debug)]
enum Values {
    /// All of an array.
    Array(Arc<ChunkedArray>),
    /// All of an array whose last strip is shorter than the others.
    Cut(Arc<ChunkedArray>),
    /// One band of an array of `[bands, height, width]`.
    Band(Arc<ChunkedArray>, u64),
    /// A formula.
    Computed(Coordinates),
    /// They cannot be read.
    Unreadable(Error),
}

/// An open GeoTIFF.
#[derive(Debug)]
struct GeoTiffSource {
    dataset: Dataset,
    version: Version,
    values: HashMap<FullName, Values>,
    engine: Arc<Engine>,
}

impl Source for GeoTiffSource {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        match self.values.get(variable) {
            Some(Values::Array(array) | Values::Cut(array)) => self.engine.read(array, selection),
            Some(Values::Band(array, band)) => match of_band(array, *band, selection) {
                Ok(selection) => self.engine.read(array, &selection),
                Err(e) => failed(e),
            },
            Some(Values::Computed(coordinates)) => coordinates.read(selection),
            Some(Values::Unreadable(error)) => failed(error.shared()),
            None => failed(Error::not_found(format!("there is no variable {variable}"))),
        }
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        match self.values.get(variable)? {
            Values::Array(array) => array.stored(),
            _ => None,
        }
    }
}

/// The selection of one band in the array of all.
fn of_band(array: &ChunkedArray, band: u64, selection: &Selection) -> Result<Selection> {
    if array.shape.get(1..) != Some(selection.of_shape()) {
        return Err(Error::internal("a selection made for another shape"));
    }
    let mut axes = vec![vec![Slice::new(band, 1, 1)?]];
    axes.extend(selection.axes().iter().cloned());
    Selection::new(axes, &array.shape)
}
