//! Everything that follows from the configuration, in one value that is exchanged as a whole.
//!
//! A request takes the current [`Live`] once, at its beginning, and keeps it to its end: no answer is made
//! of two configurations. What a change needs a restart for is not in here, but beside it in `Shared`.

use std::sync::{Arc, atomic::AtomicBool};

use handlers::{
    chunked::{Counts, Engine},
    storage::StoreCalls,
};

use super::{answers::Answers, lanes::Lanes, tls::Tls};
use crate::{
    access::{Access, Caller},
    catalog::{Catalog, DatasetName, Summaries, View},
    config::Config,
    protocols::zarr::Workspace,
};

/// What a server is made of: a configuration, and what follows from it.
#[derive(Debug)]
pub struct Setup {
    /// The settings.
    pub config: Config,
    /// What is served.
    pub catalog: Catalog,
    /// Who may read what.
    pub access: Access,
    /// The server speaks TLS.
    pub tls: Option<Tls>,
}

impl Setup {
    /// With everything for everyone.
    pub fn open(config: Config, catalog: Catalog) -> Self {
        Self { config, catalog, access: Access::default(), tls: None }
    }
}

/// What a configuration amounts to.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) config: Config,
    /// Not to be had but as somebody sees it.
    catalog: Catalog,
    /// Who may read what.
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
    /// Places of data answers: metadata and health never wait behind data.
    pub(super) data: Arc<Lanes>,
    /// Memory for chunks of the Zarr view.
    pub(super) workspace: Workspace,
    /// Answers given before.
    pub(super) answers: Answers,
    /// It has been said that passwords come unencrypted.
    pub(super) has_warned: AtomicBool,
}

impl Live {
    /// With what is in `before` where the same limits hold, so that what is handed out is still counted.
    pub(super) fn new(setup: Setup, before: Option<&Self>) -> Self {
        let Setup { config, catalog, access, tls } = setup;
        let catalog = match before {
            Some(before) => catalog.keeping(&before.catalog),
            None => catalog,
        };
        let limits = &config.limits;
        let data = match before {
            Some(b) if b.config.limits.data_responses == limits.data_responses => Arc::clone(&b.data),
            _ => Arc::new(Lanes::new(limits.data_responses)),
        };
        let workspace = match before {
            Some(b) if b.config.limits.memory == limits.memory => b.workspace.clone(),
            _ => Workspace::new(limits.memory),
        };
        Self {
            config,
            catalog,
            access,
            tls,
            data,
            workspace,
            answers: Answers::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// The data as `caller` sees them.
    pub(super) fn seen_by(&self, caller: Caller) -> View<'_> {
        // Without a rule everything is everyone's, but for who has a link to a part.
        if self.access.rules().is_empty() && !matches!(caller, Caller::Linked(_)) {
            return View::all(&self.catalog);
        }
        View::of(&self.catalog, self.access.rules(), caller)
    }

    /// What reads data, within the limits that hold for all of it.
    pub(super) fn reader(&self) -> Arc<Engine> {
        self.catalog.reader()
    }

    /// Whether a dataset may be made of others, so that these have to be looked at first.
    pub(super) fn may_be_made(&self, name: &DatasetName) -> bool {
        self.catalog.may_be_made(name)
    }

    /// What the chunk engine has done and holds.
    pub(super) fn engine(&self) -> Counts {
        self.catalog.engine()
    }

    /// As [`Catalog::store_calls`].
    pub(super) fn store_calls(&self) -> Vec<StoreCalls> {
        self.catalog.store_calls()
    }

    /// As [`Catalog::stop_reading`].
    pub(super) fn stop_reading(&self) {
        self.catalog.stop_reading();
    }

    /// Whether every place can be looked at.
    pub(super) async fn is_ready(&self) -> bool {
        self.catalog.is_ready().await
    }

    /// What is known of datasets.
    pub(super) fn summaries(&self) -> &Arc<Summaries> {
        self.catalog.summaries()
    }

    /// As [`Catalog::summarise`].
    pub(super) async fn summarise(&self, name: &DatasetName) {
        self.catalog.summarise(name).await;
    }

    /// Data answers that are being sent.
    pub(super) fn data_answers(&self) -> usize {
        self.data.taken()
    }
}
