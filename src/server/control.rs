//! A hand on a running server: its configuration is exchanged without stopping it.

use std::sync::Arc;

use super::{Live, Setup, Shared};

/// See [`super::Server::control`].
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) shared: Arc<Shared>,
}

impl Control {
    /// Requests from now on see `setup`; those under way finish on what they began with. What
    /// is open or waited for, and the same under both, is taken over.
    pub fn replace(&self, setup: Setup) {
        let before = self.shared.live.load();
        self.shared.live.store(Arc::new(Live::new(setup, Some(&before))));
        self.shared.metrics.reloaded(true);
    }

    /// A new configuration was not put in force: for the metrics.
    pub fn reload_failed(&self) {
        self.shared.metrics.reloaded(false);
    }
}
