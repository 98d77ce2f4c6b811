//! Being told of changes in local folders.

use std::{any::Any, path::PathBuf, sync::Arc};

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// Folders of one watch; a system gives each user few thousand.
const MOST_FOLDERS: usize = 1000;

/// Tells `changed` of what happens in `folders` until the result is dropped; `None` when the system does not
/// tell (a network file system, too many watches).
pub(super) fn watch(
    folders: impl ExactSizeIterator<Item = PathBuf>,
    changed: &Arc<Notify>,
) -> Option<Box<dyn Any + Send + Sync>> {
    if folders.len() > MOST_FOLDERS {
        return None;
    }
    let told = Arc::clone(changed);
    let tell = move |event: notify::Result<Event>| {
        // That something went wrong is a reason to look, too.
        if event.is_ok_and(|event| !is_change(event.kind)) {
            return;
        }
        told.notify_one();
    };
    let mut watcher = RecommendedWatcher::new(tell, Config::default()).ok()?;
    for folder in folders {
        if let Err(e) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::info!(folder = %folder.display(), error = %e, "changes are not told and will be looked for");
            return None;
        }
    }
    Some(Box::new(watcher))
}

/// Reading a file, which this process does itself, changes nothing.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
