//! What is known of objects without asking again, for a short time: their status, or that there is none.
//!
//! Who wants the same object at the same time waits for one request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cdm::{Error, Result};
use object_store::ObjectMeta;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

/// Objects that are remembered; many more are looked at again.
const MOST: usize = 10_000;

/// The version of an object that was there last.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) meta: ObjectMeta,
    /// Names its pieces among [`super::Shared::extents`].
    pub(super) id: u64,
}

/// What was found.
pub(super) type Found = Option<Arc<Known>>;

/// The outcome of the last look at one object.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When, and what; `None`: never, or it is in doubt.
    last: Option<(Instant, Found)>,
    /// When it failed, and how: for those who waited for it.
    failed: Option<(Instant, Error)>,
}

/// The last looks at all objects.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<HashMap<Arc<str>, Arc<AsyncMutex<Look>>>>);

impl Looks {
    /// What is at `path`, as found within the last `recheck` or else by `look`, which is told what was
    /// there before.
    pub(super) async fn at<F>(
        &self,
        path: &str,
        recheck: Duration,
        look: impl FnOnce(Found) -> F,
    ) -> Result<Found>
    where
        F: Future<Output = Result<Found>>,
    {
        let came = Instant::now();
        let cell = self.cell(path);
        let mut last = cell.lock().await;
        let mut before = None;
        if let Some((when, found)) = &last.last {
            if when.elapsed() < recheck || *when >= came {
                return Ok(found.clone());
            }
            before.clone_from(found);
        }
        if let Some((when, error)) = &last.failed
            && *when >= came
        {
            return Err(error.shared());
        }
        // Its time is that of the question: what is there may change before the answer is here.
        let asked = Instant::now();
        match look(before).await {
            Ok(found) => {
                *last = Look { last: Some((asked, found.clone())), failed: None };
                Ok(found)
            }
            Err(e) => {
                last.failed = Some((Instant::now(), e.shared()));
                Err(e)
            }
        }
    }

    /// What is at `path`, if that was found within the last `recheck`.
    pub(super) fn peek(&self, path: &str, recheck: Duration) -> Option<Found> {
        let cell = Arc::clone(self.all().get(path)?);
        let last = cell.try_lock().ok()?;
        let (when, found) = last.last.as_ref()?;
        (when.elapsed() < recheck).then(|| found.clone())
    }

    /// The next look at `path` asks the store.
    pub(super) fn forget(&self, path: &str) {
        self.all().remove(path);
    }

    fn cell(&self, path: &str) -> Arc<AsyncMutex<Look>> {
        let mut all = self.all();
        if let Some(cell) = all.get(path) {
            return Arc::clone(cell);
        }
        if all.len() >= MOST {
            all.clear();
        }
        Arc::clone(all.entry(path.into()).or_default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<AsyncMutex<Look>>>> {
        // Single insertions and removals only: never half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
