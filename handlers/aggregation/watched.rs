//! Following folders whose content an aggregation is made of, as long as somebody asks for it.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use super::{collection::Collection, locate};
use crate::storage::Store;

/// An aggregation that nobody asks for during this time is not watched any more.
const IDLE: Duration = Duration::from_secs(300);

/// How often that is looked at.
const TURN: Duration = Duration::from_secs(60);

/// After a change, a moment more than the quiet time: clocks and file times are not exact.
const MOMENT: Duration = Duration::from_millis(20);

/// The watch of one aggregation.
#[derive(Default)]
pub(super) struct Watched(Mutex<Option<Watch>>);

struct Watch {
    folders: BTreeSet<String>,
    /// Whether [`follow`] goes on.
    is_followed: bool,
    /// Ends the watch when it is dropped; `None` where changes are not told.
    held: Option<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.is_on()).finish()
    }
}

impl Watched {
    /// Whether changes are told.
    pub(super) fn is_on(&self) -> bool {
        self.lock().as_ref().is_some_and(|w| w.held.is_some())
    }

    /// Watches `folders` for `collection`, where they can be watched.
    pub(super) async fn on(&self, collection: &Arc<Collection>, folders: &[(Arc<dyn Store>, String)]) {
        let Some((store, _)) = folders.first() else { return };
        let wanted: BTreeSet<String> = folders.iter().map(|(_, folder)| folder.clone()).collect();
        let before = self.lock().as_ref().filter(|watch| watch.folders == wanted).map(|w| w.held.is_some());
        if before == Some(false) {
            return;
        }
        let in_one = folders.iter().all(|(other, _)| locate::store_id(other) == locate::store_id(store));
        // A link may have come since.
        let is_told = in_one && is_told(store, &wanted).await;
        if before == Some(true) && is_told {
            return;
        }
        let mut watch = self.lock();
        let list: Vec<String> = wanted.iter().cloned().collect();
        let held = if is_told { store.watch(&list, &collection.changed) } else { None };
        let is_on = held.is_some();
        let is_followed = watch.as_ref().is_some_and(|watch| watch.is_followed);
        *watch = Some(Watch { folders: wanted, is_followed: is_followed || is_on, held });
        drop(watch);
        if is_on {
            // What happened between the look and now was not told.
            collection.changed.notify_one();
        }
        if is_on && !is_followed {
            tokio::spawn(follow(Arc::downgrade(collection)));
        }
    }

    fn off(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether all that happens in `folders` is told to who watches them.
async fn is_told(store: &Arc<dyn Store>, folders: &BTreeSet<String>) -> bool {
    for folder in folders {
        if store.has_links(folder).await.unwrap_or(true) {
            return false;
        }
    }
    true
}

/// Looks again after each change, and when a file that was left out may be ready; ends with the collection, or
/// when nobody asks for it.
async fn follow(collection: Weak<Collection>) {
    let mut again = None;
    loop {
        let Some(this) = collection.upgrade() else { return };
        let changed = Arc::clone(&this.changed);
        let quiet = this.quiet() + MOMENT;
        drop(this);
        let told =
            tokio::time::timeout(again.map_or(TURN, |wait: Duration| wait + MOMENT), changed.notified())
                .await;
        if told.is_ok() {
            tokio::time::sleep(quiet).await;
        }
        let Some(this) = collection.upgrade() else { return };
        if this.unasked() > IDLE {
            this.watched.off();
            return;
        }
        if told.is_err() && again.is_none() {
            continue;
        }
        // A store that is gone ends the watch with it.
        let Ok(look) = this.look() else {
            this.watched.off();
            return;
        };
        // Its error is in the log, and in what is asked for next.
        let _ = look.await;
        again = this.again();
    }
}
