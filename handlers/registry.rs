//! The one list of formats, and opening an object with the format that recognises it.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, ErrorKind, Result, Source};

use crate::{
    aggregation::{CollectionOptions, Collections},
    chunked::Engine,
    references::AllowList,
    storage::{FileStatus, Object, Part, Place},
};

/// Bytes of an object's beginning that [`Format::recognizes`] is shown.
pub const HEAD_LEN: u64 = 4096;

/// A storage format: of single objects, of folders, or of both.
#[async_trait]
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// For people and logs: `netCDF-3`.
    fn name(&self) -> &'static str;

    /// Whether `head` (the first [`HEAD_LEN`] bytes, or all there are) and the object's name look like
    /// this format. No I/O.
    fn recognizes(&self, object: &Object, head: &[u8]) -> bool;

    /// Reads the metadata. Data is read later, by the Source. `place` is where the object is, for formats
    /// that refer to others.
    async fn open(&self, object: Object, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>>;

    /// The objects, by path in a folder, any of which makes the folder a dataset of this format.
    fn folder_marks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads the metadata of the folder that `place` is, which holds one of the marks.
    async fn open_folder(&self, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        let _ = registry;
        Err(Error::unsupported(format!("{} is a folder", place.name)))
    }
}

/// The formats in the order they are asked, and the engine they share.
#[derive(Debug, Clone)]
pub struct Registry {
    formats: Arc<[Arc<dyn Format>]>,
    engine: Arc<Engine>,
    references: Arc<AllowList>,
    collections: Held,
    /// The names of the documents that led here, outermost first.
    trail: Arc<[Arc<str>]>,
}

/// The aggregations, which hold registries themselves: those hold nothing in turn.
#[derive(Debug, Clone)]
enum Held {
    Strong(Arc<Collections>),
    Weak(Weak<Collections>),
}

/// Documents that may lead to one another.
const MOST_DEPTH: usize = 8;

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
        formats.push(Arc::new(crate::geotiff::GeoTiff));
        formats.push(Arc::new(crate::references::DmrPp));
        formats.push(Arc::new(crate::ncml::NcMl));
        formats.push(Arc::new(crate::references::KerchunkJson));
        formats.push(Arc::new(crate::zarr::Zarr));
        formats.push(Arc::new(crate::zarr::ZarrZip));
        formats.push(Arc::new(crate::icechunk::Icechunk::default()));
        Self {
            formats: formats.into(),
            engine,
            references: Arc::new(AllowList::none()),
            collections: Held::Strong(Arc::default()),
            trail: Arc::default(),
        }
    }

    /// Lets references inside datasets lead to `allowed` places too; without it they stay in their own store.
    #[must_use]
    pub fn allowing(self, allowed: AllowList) -> Self {
        Self { references: Arc::new(allowed), ..self }
    }

    /// The same, for what the document `name` leads to.
    ///
    /// # Errors
    /// `Forbidden` when it led here already, or the documents that did are too many.
    pub(crate) fn following(&self, name: &Arc<str>) -> Result<Self> {
        if self.trail.contains(name) {
            return Err(Error::new(ErrorKind::Forbidden, format!("{name} leads to itself")));
        }
        if self.trail.len() >= MOST_DEPTH {
            let message = format!("documents that lead to one another, more than {MOST_DEPTH}");
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let trail = self.trail.iter().chain([name]).cloned().collect();
        Ok(Self { trail, ..self.clone() })
    }

    /// Where references inside datasets may lead.
    pub fn references(&self) -> &Arc<AllowList> {
        &self.references
    }

    /// Whether a dataset opened with `other` could as well have been opened with this.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.formats, &other.formats)
            && Arc::ptr_eq(&self.engine, &other.engine)
            && Arc::ptr_eq(&self.references, &other.references)
    }

    /// Keeps aggregations as `options` say.
    #[must_use]
    pub fn collecting(self, options: CollectionOptions) -> Self {
        Self { collections: Held::Strong(Arc::new(Collections::new(options))), ..self }
    }

    /// The aggregations.
    ///
    /// # Errors
    /// `Changed` when the registry that they belong to is gone.
    pub fn collections(&self) -> Result<Arc<Collections>> {
        let found = match &self.collections {
            Held::Strong(collections) => Some(Arc::clone(collections)),
            Held::Weak(collections) => collections.upgrade(),
        };
        let gone = || Error::new(ErrorKind::Changed, "the configuration was replaced; ask again");
        found.ok_or_else(gone)
    }

    /// The same, which does not keep the aggregations: for what they keep themselves.
    pub(crate) fn without_hold(&self) -> Self {
        let collections = match &self.collections {
            Held::Strong(collections) => Held::Weak(Arc::downgrade(collections)),
            Held::Weak(collections) => Held::Weak(Weak::clone(collections)),
        };
        Self { collections, ..self.clone() }
    }

    /// The same, which keeps the aggregations.
    ///
    /// # Errors
    /// As [`Registry::collections`].
    pub(crate) fn with_hold(&self) -> Result<Self> {
        Ok(Self { collections: Held::Strong(self.collections()?), ..self.clone() })
    }

    /// The chunk engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The objects any of which makes a folder a dataset.
    pub fn folder_marks(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.formats.iter().flat_map(|format| format.folder_marks().iter().copied())
    }

    /// The format of an object that begins with `head` ([`HEAD_LEN`] bytes, or all there are).
    ///
    /// # Errors
    /// `Unsupported` when none recognises it.
    pub fn recognize(&self, object: &Object, head: &[u8]) -> Result<&Arc<dyn Format>> {
        let found = self.formats.iter().find(|f| f.recognizes(object, head));
        found.ok_or_else(|| Error::unsupported("not a file of any format that is read here"))
    }

    /// Opens `object`, which nothing else belongs to, with the first format that recognises it.
    ///
    /// # Errors
    /// `Unsupported` when none does; else what the format says.
    pub async fn open(&self, object: Object) -> Result<Arc<dyn Source>> {
        let len = object.size.min(HEAD_LEN);
        let head = if len == 0 { Bytes::new() } else { object.read(0..len).await? };
        let place = Place::alone(Arc::clone(&object.name));
        self.recognize(&object, &head)?.open(object, &place, self).await
    }

    /// What is at `place`, object or folder; `None` when there is nothing.
    ///
    /// # Errors
    /// What the store says; `Unsupported` when no format recognises an object.
    pub async fn find(&self, place: &Place) -> Result<Option<Found>> {
        if let Some((object, head)) = place.store.open(&place.path, Part::Head(HEAD_LEN)).await? {
            let format = Arc::clone(self.recognize(&object, &head)?);
            return Ok(Some(Found {
                format,
                object: Some(Object { name: Arc::clone(&place.name), ..object }),
            }));
        }
        let found = self.mark_of(place).await?;
        Ok(found.map(|(format, _)| Found { format, object: None }))
    }

    /// The format of the folder `place`, and the status of the object that shows it; `None` when it is not
    /// a dataset.
    ///
    /// # Errors
    /// What the store says.
    pub async fn mark_of(&self, place: &Place) -> Result<Option<(Arc<dyn Format>, FileStatus)>> {
        for format in self.formats.iter() {
            for mark in format.folder_marks() {
                if let Some(status) = place.store.stat(&place.inside(mark)).await? {
                    return Ok(Some((Arc::clone(format), status)));
                }
            }
        }
        Ok(None)
    }
}

/// Something that can be opened.
#[derive(Debug)]
pub struct Found {
    /// The format that recognised it.
    pub format: Arc<dyn Format>,
    /// The object; `None` for a folder.
    pub object: Option<Object>,
}

impl Found {
    /// Reads its metadata; `place` is where it was found.
    ///
    /// # Errors
    /// What the format says.
    pub async fn open(self, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        match self.object {
            Some(object) => self.format.open(object, place, registry).await,
            None => self.format.open_folder(place, registry).await,
        }
    }
}
