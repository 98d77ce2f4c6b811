//! Settings that are read again while the server runs: on SIGHUP, when their file changes, or when asked.
//!
//! All is read, checked and opened first; then the server gets it as a whole. What is broken changes
//! nothing: the former settings keep serving (promise R30).

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::Signal,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    super::assemble::{Assembled, Kept, Refused, assemble},
    control::{Asked, Outcome},
    log::Level,
    notify::Notify,
    tell_content,
};
use crate::{
    config::{Inputs, Loaded, Stamp},
    server::{Control, Setup},
};

/// How often the file is looked at. A change counts when the next look finds the same: until then it may be
/// half written.
const LOOK: Duration = Duration::from_millis(300);

/// Reads settings again and puts them in force.
pub(super) struct Reloader {
    pub(super) inputs: Inputs,
    /// How the file of settings looked before it was read, and those that it leads to.
    pub(super) seen: (Stamp, Stamp),
    pub(super) descriptors: u64,
    pub(super) control: Control,
    pub(super) level: Level,
    /// What is in force.
    pub(super) loaded: Loaded,
    pub(super) kept: Kept,
    /// Who is told that a reload is under way.
    pub(super) notify: Arc<Notify>,
}

impl Reloader {
    /// Reloads whenever there is reason to, for ever.
    pub(super) async fn run(mut self, mut hangup: Signal, mut asked: mpsc::Receiver<Asked>) {
        let started = self.loaded.clone();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settling = None;
        loop {
            let waiting = tokio::select! {
                Some(()) = hangup.recv() => None,
                Some(tell) = asked.recv() => Some(tell),
                _ = looks.tick() => {
                    let now = (stamp(&self.inputs), Stamp::of(self.kept.files()));
                    if now == self.seen {
                        settling = None;
                        continue;
                    }
                    if settling.as_ref() != Some(&now) {
                        settling = Some(now);
                        continue;
                    }
                    None
                }
            };
            // Taken before the file is read: a change meanwhile shows at the next look.
            self.seen = (stamp(&self.inputs), Stamp::of(self.kept.files()));
            let files = self.kept.files().count();
            settling = None;
            self.notify.reloading();
            let outcome = self.reload(&started).await;
            self.notify.ready();
            if self.kept.files().count() != files {
                self.seen.1 = Stamp::of(self.kept.files());
            }
            if let Some(tell) = waiting {
                // Whoever asked may have gone.
                let _ = tell.send(outcome);
            }
        }
    }

    async fn reload(&mut self, started: &Loaded) -> Outcome {
        let begin = Instant::now();
        let (inputs, kept, descriptors) = (self.inputs.clone(), self.kept.clone(), self.descriptors);
        // A disk that does not answer must not hold up the server.
        let work = move || assemble(&inputs, descriptors, Some(&kept))?.with_something();
        let assembled = tokio::task::spawn_blocking(work).await.map_err(|e| self.refused([e.to_string()]))?;
        let Assembled { loaded, catalog, access, tls, kept } = match assembled {
            Ok(assembled) => assembled,
            Err(Refused { problems, .. }) => {
                return Err(self.refused(problems.iter().map(ToString::to_string)));
            }
        };
        self.level.set(&loaded.config.log.level);
        tell_content(&catalog);
        self.control.replace(Setup { config: loaded.config.clone(), catalog, access, tls });
        let waiting = loaded.waiting_for_restart(started);
        let mut text =
            format!("reloaded in {} ms, {}", begin.elapsed().as_millis(), loaded.changes(&self.loaded));
        tracing::info!("{text}");
        for line in waiting {
            tracing::warn!("{line}");
            text = format!("{text}\n{line}");
        }
        (self.loaded, self.kept) = (loaded, kept);
        Ok(text)
    }

    /// The reload came to nothing: says so everywhere.
    fn refused(&self, problems: impl IntoIterator<Item = String>) -> String {
        self.control.reload_failed();
        let lines: Vec<String> = problems.into_iter().collect();
        for line in &lines {
            tracing::error!("{line} - still serving with the previous settings");
        }
        format!("{}\nstill serving with the previous settings", lines.join("\n"))
    }
}

/// How the file of settings looks now.
pub(super) fn stamp(inputs: &Inputs) -> Stamp {
    Stamp::of(inputs.file.iter().map(PathBuf::as_path))
}
