//! Everything that follows from the configuration, in one value that is exchanged as a whole.
//!
//! A request takes the current [`Live`] once, at its beginning, and keeps it to its end: no answer is made
//! of two configurations. What a change needs a restart for is not in here, but beside it in `Shared`.

use std::sync::Arc;

use tokio::sync::Semaphore;

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
}

impl Live {
    pub(super) fn new(config: Config, catalog: Catalog) -> Self {
        let data = Arc::new(Semaphore::new(config.limits.data_responses.min(Semaphore::MAX_PERMITS)));
        let workspace = Workspace::new(config.limits.memory);
        Self { config, catalog, data, workspace }
    }
}
