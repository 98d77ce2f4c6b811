//! Ranged reads of one version of one object.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use cdm::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectMeta};

use super::{
    super::{
        ReadRanges, beyond, byte_len,
        coalesce::{Fetch, LARGEST, coalesce},
    },
    Shared,
    calls::Failure,
    failure::Reason,
};

/// A request costs about as much as this many bytes.
const GAP: u64 = 1 << 20;

/// Requests of one read that are under way at once.
const IN_FLIGHT: usize = 8;

/// Bytes that are read where metadata is read for the first time, and the most when it goes on there.
const FIRST_AHEAD: u64 = 256 << 10;
const MOST_AHEAD: u64 = 4 << 20;

/// One version of an object in a store.
#[derive(Debug)]
pub(super) struct RemoteObject {
    pub(super) shared: Arc<Shared>,
    /// The path beneath the root.
    pub(super) path: Arc<str>,
    pub(super) meta: ObjectMeta,
    /// Names its pieces among [`Shared::extents`].
    pub(super) id: u64,
}

/// An entity tag that stands for exactly these bytes.
pub(super) fn strong(tag: Option<&String>) -> Option<&String> {
    tag.filter(|tag| !tag.starts_with("W/"))
}

/// Whether two answers are about the same version, by the best validator there is.
pub(super) fn same_version(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.size == b.size
        && match (&a.e_tag, &b.e_tag) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.last_modified == b.last_modified,
            _ => false,
        }
}

impl RemoteObject {
    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let found = self.request(range).await;
        found.map_err(|failure| match failure.reason {
            // It was there, or was longer: another version is there now, or none.
            Reason::Missing | Reason::Changed | Reason::Refused(super::failure::Refusal::Range) => {
                self.shared.forget(&self.path);
                Reason::Changed.error(&self.shared.calls.store).with_source(failure.error)
            }
            _ => failure.error,
        })
    }

    async fn request(&self, range: Range<u64>) -> Result<Bytes, Failure> {
        let (wanted, range) = (range.end - range.start, &range);
        let bytes = self
            .shared
            .calls
            .make(|coming| async move {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(range.clone())),
                    if_match: strong(self.meta.e_tag.as_ref()).cloned(),
                    ..GetOptions::default()
                };
                let answer = self.shared.store.get_opts(&self.meta.location, options).await?;
                if !same_version(&answer.meta, &self.meta) {
                    return Ok(None);
                }
                coming.begins(wanted);
                answer.bytes().await.map(Some)
            })
            .await?;
        match bytes {
            Some(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Some(_) => Err(Failure {
                reason: Reason::Failing,
                error: Reason::Failing.error(&self.shared.calls.store),
            }),
            None => {
                let error = Reason::Changed.error(&self.shared.calls.store);
                Err(Failure { reason: Reason::Changed, error })
            }
        }
    }

    /// What is read, when `range` is not here: it, and what is likely to be wanted next.
    fn ahead(&self, range: &Range<u64>) -> Range<u64> {
        let extents = &self.shared.extents;
        let behind = extents.before(self.id, range.start);
        let goes_on = behind.filter(|piece| range.start - piece.end < MOST_AHEAD / 4);
        let len = goes_on.map_or(FIRST_AHEAD, |piece| ((piece.end - piece.start) * 4).min(MOST_AHEAD));
        let end = range.start.saturating_add(len).max(range.end).min(self.meta.size);
        range.start..end
    }
}

#[async_trait]
impl ReadRanges for RemoteObject {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut found = vec![Bytes::new(); ranges.len()];
        let mut missing = Vec::new();
        for (i, range) in ranges.iter().enumerate() {
            if range.end > self.meta.size {
                return Err(beyond(range, self.meta.size));
            }
            if range.is_empty() {
                continue;
            }
            match self.shared.extents.find(self.id, range) {
                Some(bytes) => found[i] = bytes,
                None => missing.push(i),
            }
        }
        let wanted: Vec<Range<u64>> = missing.iter().map(|&i| ranges[i].clone()).collect();
        let answers: Vec<(Fetch, Bytes)> = futures::stream::iter(coalesce(&wanted, GAP, LARGEST))
            .map(|fetch| async move {
                let bytes = self.fetch(fetch.range.clone()).await?;
                Ok::<_, Error>((fetch, bytes))
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await?;
        for (fetch, bytes) in answers {
            for served in fetch.serves {
                let range = &wanted[served];
                let at = byte_len(&(fetch.range.start..range.start))?;
                found[missing[served]] = bytes.slice(at..at + byte_len(range)?);
            }
        }
        Ok(found)
    }

    /// For metadata, which lies near other metadata: reads ahead.
    fn read_blocking(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = |range: &Range<u64>| {
            if range.end > self.meta.size {
                return Err(beyond(range, self.meta.size));
            }
            if let Some(bytes) = self.shared.extents.find(self.id, range) {
                return Ok(bytes);
            }
            let ahead = self.ahead(range);
            let bytes = self.shared.runtime.block_on(self.fetch(ahead.clone()))?;
            self.shared.extents.keep(self.id, ahead.start, &bytes);
            Ok(bytes.slice(..byte_len(range)?))
        };
        ranges.iter().map(read).collect()
    }
}
