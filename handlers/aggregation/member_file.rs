//! Members that lie in storage: looked at once for the index, opened when a read touches them.

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{Dataset, Error, ErrorKind, Group, Result, Source};

use super::{
    Known, KnownValues, Open,
    describe::{self, Compared},
    edited, locate,
    members::Suspects,
};
use crate::{Registry, ncml::document::Netcdf, storage::Place};

/// Where a member is and what is edited in it.
#[derive(Debug, Clone)]
pub(super) struct MemberFile {
    pub(super) place: Place,
    /// For people.
    pub(super) name: Arc<str>,
    /// The edits over it.
    pub(super) edits: Option<Arc<Netcdf>>,
}

/// What looking at a member found.
#[derive(Debug)]
pub(super) struct Looked {
    /// The open dataset.
    pub(super) source: Arc<dyn Source>,
    /// Its version.
    pub(super) opened: Arc<str>,
    /// Its description without the root group's attributes.
    pub(super) structure: Group,
    pub(super) known: KnownValues,
}

impl MemberFile {
    /// Opens it as it is now, and says its version.
    pub(super) async fn open(&self, registry: &Registry) -> Result<(Arc<str>, Arc<dyn Source>)> {
        let missing = || Error::not_found("there is no such dataset");
        let found = registry.find(&self.place).await?.ok_or_else(missing)?;
        let of_object = found.object.as_ref().map(|object| Arc::clone(&object.version.identity));
        let source = found.open(&self.place, registry).await?;
        let version = match (source.version(), of_object) {
            (Some(version), _) => Arc::clone(&version.identity),
            (None, Some(identity)) => identity,
            (None, None) => match registry.mark_of(&self.place).await? {
                Some((_, status)) => status.version.identity,
                None => return Err(missing()),
            },
        };
        let source = match &self.edits {
            Some(edits) => edited(source, edits)?,
            None => source,
        };
        Ok((version, source))
    }

    /// Looks at it: what the index keeps.
    pub(super) async fn look(&self, registry: &Registry, compared: &Compared) -> Result<Looked> {
        let (opened, source) = self.open(registry).await?;
        let known = describe::values_of(&*source, compared).await?;
        // What shares the memory of the file's head would keep all of it.
        let known = known.into_iter().map(|(name, known)| (name, compact(known))).collect();
        Ok(Looked { structure: describe::structure_of(&source), opened, source, known })
    }
}

fn compact(known: Known) -> Known {
    use bytes::Bytes;
    use cdm::Block;
    match known {
        Known::Values(Block::Fixed(bytes)) => Known::Values(Block::Fixed(Bytes::copy_from_slice(&bytes))),
        other => other,
    }
}

/// Opens a member of a snapshot in the version that was described.
#[derive(Debug)]
pub(super) struct FileOpener {
    pub(super) file: MemberFile,
    /// The version that is described ...
    pub(super) version: Arc<str>,
    /// ... and its description, for what has no version of its own that tells everything.
    pub(super) structure: Arc<Dataset>,
    pub(super) registry: Registry,
    /// Told of a member that is not what it was.
    pub(super) suspects: Arc<Suspects>,
    /// What the index calls it.
    pub(super) key: Arc<str>,
}

#[async_trait]
impl Open for FileOpener {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        let collections = self.registry.collections()?;
        let key = (&self.key, locate::store_id(&self.file.place.store));
        let opened = collections.open_member(key, &self.version, self.open_now()).await;
        opened.map_err(|e| {
            if e.kind() == ErrorKind::Changed {
                self.suspects.add(&self.key);
            }
            e.within(&self.file.name)
        })
    }
}

impl FileOpener {
    async fn open_now(&self) -> Result<Arc<dyn Source>> {
        let changed = || Error::new(ErrorKind::Changed, "it was replaced while it was read; ask again");
        let (version, source) = match self.file.open(&self.registry).await {
            Ok(opened) => opened,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(changed().with_source(e)),
            Err(e) => return Err(e),
        };
        if version != self.version || !is_same(source.dataset().root(), self.structure.root()) {
            return Err(changed());
        }
        Ok(source)
    }
}

/// Whether two groups hold the same, the attributes of the groups themselves left out.
fn is_same(one: &Group, other: &Group) -> bool {
    one.dimensions == other.dimensions
        && one.types == other.types
        && one.variables == other.variables
        && one.groups == other.groups
}

/// A member that is open already: an aggregation in an aggregation.
#[derive(Debug)]
pub(super) struct Opened(pub(super) Arc<dyn Source>);

#[async_trait]
impl Open for Opened {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::clone(&self.0))
    }
}
