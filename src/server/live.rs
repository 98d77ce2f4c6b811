//! Everything that follows from the configuration, in one value that is exchanged as a whole.
//!
//! A request takes the current [`Live`] once, at its beginning, and keeps it to its end: no answer is made
//! of two configurations. What a change needs a restart for is not in here, but beside it in `Shared`.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::answers::Answers;
use crate::{catalog::Catalog, config::Config, protocols::zarr::Workspace};

/// What a configuration amounts to.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) config: Config,
    pub(super) catalog: Catalog,
    /// Permits of data answers: metadata and health never wait behind data.
    pub(super) data: Arc<Semaphore>,
    /// Memory for chunks of the Zarr view.
    pub(super) workspace: Workspace,
    /// Answers given before.
    pub(super) answers: Answers,
}

impl Live {
    /// With what is in `before` where the same limits hold, so that what is handed out is still counted.
    pub(super) fn new(config: Config, catalog: Catalog, before: Option<&Self>) -> Self {
        let limits = &config.limits;
        let data = match before {
            Some(b) if b.config.limits.data_responses == limits.data_responses => Arc::clone(&b.data),
            _ => Arc::new(Semaphore::new(limits.data_responses.min(Semaphore::MAX_PERMITS))),
        };
        let workspace = match before {
            Some(b) if b.config.limits.memory == limits.memory => b.workspace.clone(),
            _ => Workspace::new(limits.memory),
        };
        Self { config, catalog, data, workspace, answers: Answers::default() }
    }

    /// Data answers that are being sent.
    pub(super) fn data_answers(&self) -> usize {
        let most = self.config.limits.data_responses.min(Semaphore::MAX_PERMITS);
        most.saturating_sub(self.data.available_permits())
    }
}
