//! HDF5 and netCDF-4: files as netCDF-C 4.10 presents them, read without any C library.
//!
//! [`mod@format`] reads the file format; the modules beside it make the model's dataset of it. Metadata are
//! read at open, all of them; values come through the chunk engine.
//!
//! Where netCDF-C refuses a file or leaves a variable out, this handler shows what can be shown: object
//! references are the paths of what they point to, region references the paths of their datasets,
//! booleans are UInt8, half floats Float32, bit fields unsigned integers, array types further axes, and
//! a dataset with a null dataspace has one axis of size 0. Time types are left out. Data outside the
//! file (external links, external storage, virtual datasets) are never followed.

pub mod format;

mod arrays;
mod attributes;
mod dimensions;
mod elements;
mod filters;
mod netcdf4;
mod numbers;
mod padding;
#[cfg(test)]
mod tests;
mod tree;
mod types;

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{BlockStream, Dataset, Error, FullName, Result, Selection, Source, StoredChunks, Version};
use futures::{StreamExt, stream};

use self::{
    elements::Heaps,
    format::{File, SIGNATURE},
    netcdf4::{Made, ValuesByName},
};
use crate::{
    Format, Registry,
    chunked::Engine,
    storage::{Object, Place, blocking},
};

/// The HDF5 format.
#[derive(Debug)]
pub struct Hdf5;

#[async_trait]
impl Format for Hdf5 {
    fn name(&self) -> &'static str {
        "HDF5"
    }

    fn recognizes(&self, _object: &Object, head: &[u8]) -> bool {
        // A user block of 512 bytes, or any power of two above, may come first.
        let places = std::iter::successors(Some(512_usize), |at| at.checked_mul(2));
        std::iter::once(0)
            .chain(places.take_while(|at| *at < head.len()))
            .any(|at| head.get(at..).is_some_and(|rest| rest.starts_with(&SIGNATURE)))
    }

    async fn open(&self, object: Object, _: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        let engine = Arc::clone(registry.engine());
        let source = blocking(move || {
            let file = File::open(object.clone())?;
            let object = Arc::new(object);
            let (dataset, values, heaps) = netcdf4::read(&file, &object)?;
            file.forget_blocks();
            Ok(Hdf5Source { dataset, object, heaps, values, engine })
        });
        Ok(Arc::new(source.await?))
    }
}

/// An open file.
#[derive(Debug)]
struct Hdf5Source {
    dataset: Dataset,
    object: Arc<Object>,
    heaps: Heaps,
    values: ValuesByName,
    engine: Arc<Engine>,
}

impl Hdf5Source {
    fn blocks(&self, variable: &FullName, selection: &Selection) -> Result<BlockStream> {
        let shape = self.dataset.require(variable)?.shape();
        if selection.of_shape() != shape {
            return Err(Error::internal(format!("a selection for another shape than that of {variable}")));
        }
        let Made { array, padding } = self.made(variable)?;
        match padding {
            None => Ok(self.engine.read(array, selection)),
            Some(padding) => padding::read(&self.engine, array, padding, selection),
        }
    }

    fn made(&self, variable: &FullName) -> Result<&Made> {
        let data_type = &self.dataset.require(variable)?.data_type;
        let values = self.values.get(variable).ok_or_else(|| Error::internal("a variable without values"))?;
        values.made(variable, data_type, &self.object, &self.heaps)
    }
}

impl Source for Hdf5Source {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.object.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        match self.blocks(variable, selection) {
            Ok(blocks) => blocks,
            Err(e) => stream::once(async { Err(e) }).boxed(),
        }
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        let made = self.made(variable).ok()?;
        // What padding adds is nowhere stored.
        made.padding.is_none().then_some(&made.array)?.stored()
    }
}
