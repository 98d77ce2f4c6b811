//! Where encoded chunks come from, and fetching several of them at once.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use cdm::{Error, Result};
use futures::{StreamExt, TryStreamExt};

use crate::storage::{Object, Part, Store, count};

/// Requests of one call that are under way at once.
const IN_FLIGHT: usize = 8;

/// Where a chunk's stored bytes come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A range of an object.
    Range(Arc<Object>, Range<u64>),
    /// A whole object, which may not be there.
    Key(Arc<dyn Store>, Arc<str>),
    /// They are here.
    Here(Bytes),
}

impl Origin {
    /// See [`crate::storage::ReadRanges::is_near`].
    pub(super) fn is_near(&self) -> bool {
        match self {
            Self::Range(object, _) => object.is_near(),
            Self::Key(..) => false,
            Self::Here(_) => true,
        }
    }

    /// Neighbours in storage are neighbours in this order.
    pub(super) fn position(&self) -> (usize, u64) {
        match self {
            Self::Range(object, range) => (identity(object), range.start),
            Self::Key(..) | Self::Here(_) => (0, 0),
        }
    }

    /// Bytes, as far as they are known before fetching.
    pub(super) fn byte_len(&self) -> Option<u64> {
        match self {
            Self::Range(_, range) => Some(range.end - range.start),
            Self::Here(bytes) => Some(bytes.len() as u64),
            Self::Key(..) => None,
        }
    }

    /// Identity of the version of the object that the bytes are part of: what the chunk was decoded from,
    /// should the dataset outlive it.
    pub(super) fn object(&self) -> Option<Arc<str>> {
        match self {
            Self::Range(object, _) => Some(Arc::clone(&object.version.identity)),
            Self::Key(..) | Self::Here(_) => None,
        }
    }

    /// How long the decoded chunk may stand for what is stored; `None`: as long as the dataset is open.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        match self {
            Self::Key(store, _) => Some(store.recheck()),
            Self::Range(..) | Self::Here(_) => None,
        }
    }
}

fn identity(object: &Arc<Object>) -> usize {
    Arc::as_ptr(object).addr()
}

/// The bytes of each origin, in order: ranges of one object together, objects of their own at the same
/// time. `None` for an object that is not there; one of more than `at_most` bytes is `Corrupt`.
pub(super) async fn fetch(origins: &[&Origin], at_most: u64) -> Result<Vec<Option<Bytes>>> {
    let mut found = vec![None; origins.len()];
    let mut requests: Vec<Request> = Vec::new();
    for (i, origin) in origins.iter().enumerate() {
        match origin {
            Origin::Here(bytes) => found[i] = Some(bytes.clone()),
            Origin::Key(store, path) => requests.push(Request::Key(i, Arc::clone(store), Arc::clone(path))),
            Origin::Range(object, range) => match requests.last_mut() {
                Some(Request::Ranges(serves, last, ranges)) if Arc::ptr_eq(last, object) => {
                    serves.push(i);
                    ranges.push(range.clone());
                }
                _ => requests.push(Request::Ranges(vec![i], Arc::clone(object), vec![range.clone()])),
            },
        }
    }
    let run = requests.into_iter().map(|request| request.run(at_most)).collect::<Vec<_>>();
    let mut answers = futures::stream::iter(run).buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.try_next().await? {
        for (i, bytes) in answer {
            if let Some(slot) = found.get_mut(i) {
                *slot = bytes;
            }
        }
    }
    Ok(found)
}

/// As [`fetch`] for origins that are near; blocks.
pub(super) fn fetch_now(origins: &[&Origin]) -> Result<Vec<Option<Bytes>>> {
    let mut found = Vec::with_capacity(origins.len());
    let mut rest = origins;
    while let Some((first, others)) = rest.split_first() {
        let mut count = 1;
        match first {
            Origin::Here(bytes) => found.push(Some(bytes.clone())),
            Origin::Key(..) => return Err(Error::internal("an object of its own is not near")),
            Origin::Range(object, range) => {
                let same =
                    |origin: &&&Origin| matches!(origin, Origin::Range(o, _) if Arc::ptr_eq(o, object));
                count += others.iter().take_while(same).count();
                let more = others.iter().take(count - 1).filter_map(|origin| match origin {
                    Origin::Range(_, range) => Some(range.clone()),
                    _ => None,
                });
                let ranges: Vec<Range<u64>> = std::iter::once(range.clone()).chain(more).collect();
                found.extend(object.read_ranges_blocking(&ranges)?.into_iter().map(Some));
            }
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    if found.len() != origins.len() {
        return Err(Error::internal("a read gave another number of ranges than asked"));
    }
    Ok(found)
}

/// One call of the storage, and which origins it serves.
enum Request {
    Key(usize, Arc<dyn Store>, Arc<str>),
    Ranges(Vec<usize>, Arc<Object>, Vec<Range<u64>>),
}

impl Request {
    async fn run(self, at_most: u64) -> Result<Vec<(usize, Option<Bytes>)>> {
        match self {
            Self::Key(i, store, path) => {
                let found = store.open(&path, Part::Whole { at_most }).await?.map(|(_, bytes)| bytes);
                count(found.as_ref().map_or(0, Bytes::len));
                Ok(vec![(i, found)])
            }
            Self::Ranges(serves, object, ranges) => {
                let found = object.read_ranges(&ranges).await?;
                if found.len() != serves.len() {
                    return Err(Error::internal("a read gave another number of ranges than asked"));
                }
                Ok(serves.into_iter().zip(found.into_iter().map(Some)).collect())
            }
        }
    }
}
