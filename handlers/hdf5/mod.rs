//! HDF5.

#[allow(dead_code, reason = "its user is the reader of dataset headers")]
mod filters;

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, Source};

use crate::{Format, Registry, storage::Object};

/// The HDF5 format.
#[derive(Debug)]
pub struct Hdf5;

#[async_trait]
impl Format for Hdf5 {
    fn name(&self) -> &'static str {
        "HDF5"
    }

    fn recognizes(&self, _object: &Object, _head: &[u8]) -> bool {
        false
    }

    async fn open(&self, _object: Object, _registry: &Registry) -> Result<Arc<dyn Source>> {
        Err(Error::unsupported("HDF5"))
    }
}
