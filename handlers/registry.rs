//! The one list of formats, and opening an object with the format that recognises it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use cdm::{Error, Result, Source};

use crate::{chunked::Engine, storage::Object};

/// Bytes of an object's beginning that [`Format::recognizes`] is shown.
pub const HEAD_LEN: u64 = 4096;

/// A storage format.
#[async_trait]
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// For people and logs: `netCDF-3`.
    fn name(&self) -> &'static str;

    /// Whether `head` (the first [`HEAD_LEN`] bytes, or all there are) and the object's name look like
    /// this format. No I/O.
    fn recognizes(&self, object: &Object, head: &[u8]) -> bool;

    /// Reads the metadata. Data is read later, by the Source.
    async fn open(&self, object: Object, registry: &Registry) -> Result<Arc<dyn Source>>;
}

/// The formats in the order they are asked, and the engine they share.
#[derive(Debug, Clone)]
pub struct Registry {
    formats: Arc<[Arc<dyn Format>]>,
    engine: Arc<Engine>,
}

impl Registry {
    /// Every format there is.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::with_formats(engine, Vec::new())
    }

    /// Every format there is, after the `extra` ones, which are asked first: how a program adds a format
    /// of its own, and a test one that needs no file.
    pub fn with_formats(engine: Arc<Engine>, extra: Vec<Arc<dyn Format>>) -> Self {
        let mut formats = extra;
        formats.push(Arc::new(crate::netcdf3::NetCdf3));
        formats.push(Arc::new(crate::hdf5::Hdf5));
        Self { formats: formats.into(), engine }
    }

    /// The chunk engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The first format that recognises `object`.
    ///
    /// # Errors
    /// `Unsupported` when none does.
    pub async fn recognize(&self, object: &Object) -> Result<&Arc<dyn Format>> {
        let len = object.size.min(HEAD_LEN);
        let head = if len == 0 { bytes::Bytes::new() } else { object.read(0..len).await? };
        let found = self.formats.iter().find(|f| f.recognizes(object, &head));
        found.ok_or_else(|| Error::unsupported("not a netCDF or HDF5 file"))
    }

    /// Opens `object` with the first format that recognises it.
    ///
    /// # Errors
    /// `Unsupported` when none does; else what the format says.
    pub async fn open(&self, object: Object) -> Result<Arc<dyn Source>> {
        self.recognize(&object).await?.open(object, self).await
    }
}
