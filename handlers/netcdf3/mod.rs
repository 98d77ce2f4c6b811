//! netCDF-3.

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Error, Result, Source};

use crate::{Format, Registry, storage::Object};

/// The netCDF-3 format.
#[derive(Debug)]
pub struct NetCdf3;

#[async_trait]
impl Format for NetCdf3 {
    fn name(&self) -> &'static str {
        "netCDF-3"
    }

    fn recognizes(&self, _object: &Object, _head: &[u8]) -> bool {
        false
    }

    async fn open(&self, _object: Object, _registry: &Registry) -> Result<Arc<dyn Source>> {
        Err(Error::unsupported("netCDF-3"))
    }
}
