//! The flags about object stores, which all commands share.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::{Config, Inputs, Overrides};

#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// File of settings (config/example.toml has them all)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not sign requests to object stores: for public data
    #[arg(long)]
    anonymous: bool,
    /// Where the object store's service is, if it is not the provider's own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region of the object store
    #[arg(long)]
    region: Option<String>,
}

impl StoreArguments {
    /// The settings in force with these flags and `more`.
    pub(super) fn load(&self, more: Overrides) -> Result<Config, Failure> {
        self.inputs(more).read().whole().map_err(|e| Failure::Usage(e.to_string()))
    }

    /// Where the settings with these flags and `more` are read from.
    pub(super) fn inputs(&self, more: Overrides) -> Inputs {
        let mut flags = more;
        flags.extend(self.anonymous.then(|| ("remote.anonymous", "true".to_owned())));
        flags.extend(self.endpoint.iter().map(|url| ("remote.endpoint", url.clone())));
        flags.extend(self.region.iter().map(|region| ("remote.region", region.clone())));
        Inputs { file: self.config.clone(), flags, places: Vec::new() }
    }
}
