//! Everything that the aggregations of one server share: the settings, the table of them, the open members.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use cdm::{Error, ErrorKind, Result, Source};
use moka::future::Cache;

use super::{collection::Collection, locate};
use crate::{
    Registry,
    ncml::document::Netcdf,
    storage::{KeptFiles, Place},
};

/// Definitions that lead to one another, at most (promise R15).
const DEEPEST: usize = 8;

/// Aggregations that are known at a time.
const MOST_COLLECTIONS: u64 = 10_000;

/// Open members that nobody reads for this time are closed.
const IDLE: Duration = Duration::from_secs(60);

/// How aggregations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionOptions {
    /// Where what is known of members is kept from one run to the next; `None`: it is not.
    pub index: Option<KeptFiles>,
    /// A local file that moved within this time is left out: it is still being written.
    pub quiet: Duration,
    /// How long a look at local folders counts where the system does not tell of changes.
    pub recheck: Duration,
    /// How long a look at an object store counts.
    pub recheck_remote: Duration,
    /// Snapshots that are kept under their versions ...
    pub snapshots: usize,
    /// ... for so long after the next was made.
    pub snapshots_for: Duration,
    /// How long the first look at all members may take (promise R6); it goes on after that.
    pub first_look: Duration,
    /// Members held open.
    pub open_members: u64,
}

impl Default for CollectionOptions {
    fn default() -> Self {
        Self {
            index: None,
            quiet: Duration::from_secs(1),
            recheck: Duration::from_secs(2),
            recheck_remote: Duration::from_secs(60),
            snapshots: 8,
            snapshots_for: Duration::from_secs(3600),
            first_look: Duration::from_secs(60),
            open_members: 256,
        }
    }
}

/// The aggregations of one server.
pub struct Collections {
    options: CollectionOptions,
    table: Cache<Key, Arc<Collection>>,
    members: Cache<MemberKey, Arc<dyn Source>>,
}

/// What the index calls a member, its version, and its store.
type MemberKey = (Arc<str>, Arc<str>, usize);

/// What tells aggregations apart: where the definition is, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    store: Arc<str>,
    path: Arc<str>,
    name: Arc<str>,
    definition: u128,
}

tokio::task_local! {
    /// The definitions that led to what is being opened.
    static CHAIN: Arc<[Key]>;
}

/// The definitions that led here.
pub(super) fn chain() -> Arc<[Key]> {
    CHAIN.try_with(Arc::clone).unwrap_or_else(|_| Arc::from([]))
}

/// Runs `work` as what the last of `chain` leads to.
pub(super) async fn led_by<T>(chain: Arc<[Key]>, work: impl Future<Output = T>) -> T {
    CHAIN.scope(chain, work).await
}

impl fmt::Debug for Collections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collections").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Default for Collections {
    fn default() -> Self {
        Self::new(CollectionOptions::default())
    }
}

impl Collections {
    /// None yet.
    pub fn new(options: CollectionOptions) -> Self {
        // As long as a version of it may be asked for.
        let idle = options.snapshots_for.max(Duration::from_secs(300));
        Self {
            table: Cache::builder().max_capacity(MOST_COLLECTIONS).time_to_idle(idle).build(),
            members: Cache::builder().max_capacity(options.open_members).time_to_idle(IDLE).build(),
            options,
        }
    }

    /// The settings.
    pub fn options(&self) -> &CollectionOptions {
        &self.options
    }

    /// The aggregation that `definition`, which is at `place`, describes: the same one each time.
    ///
    /// # Errors
    /// `Forbidden` when definitions lead to one another without end.
    pub async fn of(
        &self,
        definition: &Netcdf,
        place: &Place,
        registry: &Registry,
    ) -> Result<Arc<Collection>> {
        let key = Key {
            store: match place.store.label() {
                Some(label) => label.into(),
                None => locate::store_id(&place.store).to_string().into(),
            },
            path: Arc::clone(&place.path),
            name: Arc::clone(&place.name),
            definition: xxhash_rust::xxh3::xxh3_128(format!("{definition:?}").as_bytes()),
        };
        let chain = chain();
        if chain.contains(&key) {
            let message = format!("{} leads back to itself", place.name);
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        if chain.len() >= DEEPEST {
            let message = format!("more than {DEEPEST} definitions lead to one another at {}", place.name);
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let new = async { Collection::new(key.clone(), definition.clone(), place.clone(), registry) };
        Ok(self.table.get_with(key.clone(), new).await)
    }

    /// The member that the index calls `key`, in this version, opened by `open` unless it is open.
    pub(super) async fn open_member(
        &self,
        key: (&Arc<str>, usize),
        version: &Arc<str>,
        open: impl Future<Output = Result<Arc<dyn Source>>>,
    ) -> Result<Arc<dyn Source>> {
        let key = (Arc::clone(key.0), Arc::clone(version), key.1);
        self.members.try_get_with(key, open).await.map_err(|e| e.shared())
    }
}
