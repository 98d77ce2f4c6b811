//! The one dataset that a command is about: a name of the settings, a file, a folder, a URL.

use std::path::Path;

use cdm::Error;
use handlers::storage::{Symlinks, is_store_url};

use super::{Failure, registry};
use crate::{
    catalog::{Catalog, DatasetName, Served},
    config::Config,
};

/// A catalog that has the dataset called `file`, and its name there.
pub(super) fn of(file: &Path, config: &Config) -> Result<(Catalog, DatasetName), Failure> {
    match configured(file, config) {
        Some(name) => Ok((of_settings(config)?, name)),
        None => alone(file, config),
    }
}

/// The dataset of the settings that is called `name`.
fn configured(name: &Path, config: &Config) -> Option<DatasetName> {
    let named = config.datasets.iter().map(|dataset| &dataset.name);
    named.into_iter().find(|known| name.to_str() == Some(known.as_str())).cloned()
}

/// All that the settings serve.
fn of_settings(config: &Config) -> Result<Catalog, Failure> {
    let mounted = config.mounts.iter().map(|mount| mount.location.clone());
    let registry = registry(config, &config.roots.iter().cloned().chain(mounted).collect::<Vec<_>>())?;
    let links = Symlinks::open(&config.follow_symlinks)?;
    let named = |root: &Path, links: &Symlinks| Served::named(root, &registry, &config.remote, links);
    let places = config.roots.iter().map(|root| named(root, &links));
    let mounted = config
        .mounts
        .iter()
        .map(|mount| Ok(named(&mount.location, &mount.links(&links)?)?.at(mount.path.clone())));
    let places = places.chain(mounted).collect::<Result<_, Error>>()?;
    Ok(Catalog::of(places, 1, registry).with_datasets(&config.datasets))
}

/// One dataset of storage.
fn alone(file: &Path, config: &Config) -> Result<(Catalog, DatasetName), Failure> {
    let registry = registry(config, &[file.to_owned()])?;
    let url = file.to_str().filter(|text| is_store_url(text));
    let served = match url {
        Some(url) => Served::url(url, true, &config.remote)?,
        None => Served::path(file, &registry, &Symlinks::open(&config.follow_symlinks)?)?,
    };
    let catalog = Catalog::of(vec![served], 1, registry);
    let Some(name) = catalog.single() else {
        let path = file.display();
        return Err(Failure::Usage(format!("{path} is a folder of datasets; name one")));
    };
    Ok((catalog, name))
}
