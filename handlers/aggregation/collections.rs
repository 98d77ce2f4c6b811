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

/// Bytes that the descriptions of open members may take together.
const OPEN_BYTES: u64 = 64 << 20;

/// Bytes that the description of an open member takes for each of its variables, about.
const OF_A_VARIABLE: u64 = 6 << 10;

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
            open_members: 2048,
        }
    }
}

/// The aggregations of one server.
pub struct Collections {
    options: CollectionOptions,
    table: Cache<Key, Arc<Collection>>,
    members: Cache<MemberKey, Arc<dyn Source>>,
}

/// A cache of that many open members; of fewer, where they have many variables.
fn open_members(most: u64) -> Cache<MemberKey, Arc<dyn Source>> {
    let least = OPEN_BYTES / most.max(1);
    let weight = move |_: &MemberKey, source: &Arc<dyn Source>| {
        let variables = source.dataset().variable_count() as u64;
        u32::try_from(variables.saturating_mul(OF_A_VARIABLE).max(least)).unwrap_or(u32::MAX)
    };
    Cache::builder().max_capacity(OPEN_BYTES).weigher(weight).time_to_idle(IDLE).build()
}

/// Files and sockets that this process may have open.
pub(super) fn descriptors() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
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
            members: open_members(options.open_members.min(descriptors() / 4)),
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

#[cfg(test)]
mod tests {
    use cdm::{DataType, FullName, Group, Variable, testing::MemorySource};

    use super::*;

    async fn kept(cache: Cache<MemberKey, Arc<dyn Source>>, members: usize, variables: usize) -> u64 {
        let of_no_elements = |i: usize| {
            let dimensions = vec![cdm::Dimension::anonymous(0)];
            let variable = Variable::new(format!("v{i}"), DataType::Int32, dimensions);
            (variable, cdm::Block::Fixed(bytes::Bytes::new()))
        };
        let all = (0..variables).map(of_no_elements).collect();
        let source: Arc<dyn Source> =
            Arc::new(MemorySource::flat("member", Group::new(FullName::root()), all));
        for i in 0..members {
            cache.insert((i.to_string().into(), "".into(), 0), Arc::clone(&source)).await;
        }
        cache.run_pending_tasks().await;
        cache.entry_count()
    }

    #[tokio::test]
    async fn open_members_are_bounded_by_number_and_by_what_they_hold() {
        assert_eq!(kept(open_members(1000), 1000, 4).await, 1000);
        assert_eq!(kept(open_members(10), 30, 4).await, 10);
        let large = usize::try_from(OPEN_BYTES / OF_A_VARIABLE / 3).unwrap();
        assert_eq!(kept(open_members(1000), 10, large).await, 3);
    }
}
