//! Summaries of datasets are made while the server has nothing better to do.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::Shared;

/// A dataset that takes longer is left for another time.
const LONGEST: Duration = Duration::from_secs(60);

/// How long what was learnt may wait for being written.
const UNWRITTEN: Duration = Duration::from_secs(30);

/// Summarises what is asked for, one dataset after the other, in the configuration then in force. Never ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut written = Instant::now();
    loop {
        let summaries = Arc::clone(shared.live.load().summaries());
        // Another configuration may have others.
        let name = timeout(Duration::from_secs(1), summaries.next()).await.ok();
        if let Some(name) = &name {
            let begun = Instant::now();
            let live = shared.live.load_full();
            let summarised = shared.metrics.background.around(live.summarise(name));
            if timeout(LONGEST, summarised).await.is_err() {
                tracing::debug!(dataset = %name, "no summary: reading its coordinates takes too long");
            }
            drop(live);
            // Requests come first: this takes at most half of one processor, or of one disk.
            sleep(begun.elapsed()).await;
        }
        if name.is_none() || written.elapsed() > UNWRITTEN {
            written = Instant::now();
            save(&shared).await;
        }
    }
}

/// Writes what was learnt.
pub(super) async fn save(shared: &Shared) {
    let summaries = Arc::clone(shared.live.load().summaries());
    // It only fails when it panics, which is in the log then.
    let _ = tokio::task::spawn_blocking(move || summaries.save()).await;
}
