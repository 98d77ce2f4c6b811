//! Settings to what they amount to: formats, open places, a catalog. Starting, reloading and checking a
//! configuration all come through here, so that what passes a check starts, and what starts reloads.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use handlers::{
    Registry,
    storage::{Symlinks, is_store_url},
};

use super::{Failure, registry};
use crate::{
    access::{Access, Wrong},
    catalog::{
        Catalog, Served,
        tds::{self, Content},
    },
    config::{self, Config, ConfigError, Inputs, Loaded, Origin},
    server::Tls,
};

/// The most datasets that are held open, whatever is set.
const MOST_OPEN: u64 = 4096;

/// Descriptors that are neither files of data nor connections: listeners, timers, what is looked at for a moment.
const OTHERS: u64 = 64;

/// Settings that hold, and what they amount to.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) loaded: Loaded,
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
    pub(super) kept: Kept,
}

/// What the next configuration takes over where its settings are the same: a reload makes nothing cold.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    config: Config,
    registry: Registry,
    /// Object stores by URL, with what is known of their objects. Folders are opened again: another may be
    /// there now, and open datasets of the same one are known by its inode.
    stores: HashMap<PathBuf, Served>,
    /// Files besides that of the settings that were read.
    files: Vec<PathBuf>,
}

impl Kept {
    /// Files besides that of the settings that say what is served.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }
}

/// Why settings cannot be used: all of it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) problems: Vec<ConfigError>,
    /// They were understood; what they name cannot be used.
    pub(super) is_understood: bool,
}

impl Assembled {
    /// Itself, when there is something in it to serve.
    ///
    /// # Errors
    /// What to do about it.
    pub(super) fn with_something(self) -> Result<Self, Refused> {
        let config = &self.loaded.config;
        if !config.roots.is_empty() || !config.mounts.is_empty() || config.thredds_content.is_some() {
            return Ok(self);
        }
        let message =
            "name a folder to serve: thalweg serve PATH, or roots = [\"PATH\"] in the file of settings";
        let problem = ConfigError { origin: Origin::Argument, message: message.to_owned() };
        Err(Refused { problems: vec![problem], is_understood: false })
    }
}

impl Refused {
    fn one_line(&self) -> String {
        self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        if refused.is_understood { Self::Failed(refused.one_line()) } else { Self::Usage(refused.one_line()) }
    }
}

/// Reads `inputs` and opens what they name; `descriptors` is how many files this process may hold open. Must
/// be called within a tokio runtime, and may wait for disks.
///
/// # Errors
/// Every problem, with its place.
pub(super) fn assemble(
    inputs: &Inputs,
    descriptors: u64,
    before: Option<&Kept>,
) -> Result<Assembled, Refused> {
    let mut loaded = inputs.read();
    if let Err(e) = loaded.config.log.level.parse::<tracing_subscriber::EnvFilter>() {
        loaded.problems.push(loaded.problem("log.level", None, e));
    }
    if !loaded.problems.is_empty() {
        return Err(Refused { problems: loaded.problems, is_understood: false });
    }
    share_out(descriptors, &mut loaded.config);
    let config = &loaded.config;
    let mut problems = Vec::new();
    let (access, tls) = match guards(config) {
        Ok(guards) => guards,
        Err((key, message)) => {
            let problem = loaded.problem(key, None, message);
            return Err(Refused { problems: vec![problem], is_understood: true });
        }
    };
    let registry = match before {
        Some(before) if is_same_engine(config, &before.config) => before.registry.clone(),
        _ => match registry(config, &locations(config)) {
            Ok(registry) => registry,
            Err(Failure::Usage(message) | Failure::Failed(message)) => {
                let problem = loaded.problem("references.allow", None, message);
                return Err(Refused { problems: vec![problem], is_understood: false });
            }
            Err(Failure::Reported) => return Err(Refused { problems, is_understood: false }),
        },
    };
    let links = links_of(&loaded, &mut problems);
    let known = before.filter(|b| b.config.remote == config.remote).map(|b| &b.stores);
    let mut stores = HashMap::new();
    let mut places = Vec::new();
    let from_roots = config.roots.iter().enumerate().map(|(i, root)| ("roots", i, root, None));
    let mounted = config.mounts.iter().enumerate();
    let mounted = mounted.map(|(i, mount)| ("root", i, &mount.location, Some(mount)));
    for (key, index, location, mount) in from_roots.chain(mounted) {
        let opened = match known.and_then(|known| known.get(location)) {
            Some(store) => Ok(store.clone()),
            None => mount
                .map_or_else(|| Ok(links.clone()), |mount| mount.links(&links))
                .map_err(|e| e.within("follow_symlinks"))
                .and_then(|links| Served::named(location, &registry, &config.remote, &links)),
        };
        match opened {
            Ok(place) => {
                if location.to_str().is_some_and(is_store_url) {
                    stores.insert(location.clone(), place.clone());
                }
                places.push(match mount {
                    Some(mount) => place.at(mount.path.clone()),
                    None => place,
                });
            }
            Err(e) => problems.push(loaded.problem(key, Some(index), e)),
        }
    }
    let mut content = Content::default();
    if let Some(folder) = &config.thredds_content {
        match futures::executor::block_on(tds::read(folder, &links)) {
            Ok(found) => content = found,
            Err(e) => problems.push(loaded.problem("thredds.content", None, e)),
        }
        places.extend(content.places(&registry, &config.remote, &links));
    }
    if !problems.is_empty() {
        return Err(Refused { problems, is_understood: true });
    }
    let files = content.files.iter().chain(files_of_guards(config)).cloned().collect();
    let mut catalog =
        Catalog::of(places, config.limits.open_datasets, registry.clone()).with_content(content);
    for (index, dataset) in config.datasets.iter().enumerate() {
        let name = dataset.name.clone();
        if let Err(e) = catalog.define(dataset.clone()) {
            problems.push(loaded.problem("dataset", Some(index), e));
        } else if futures::executor::block_on(catalog.is_taken(&name)) {
            let message =
                format!("both this and something in the served places are called '{name}': rename one");
            problems.push(loaded.problem("dataset", Some(index), message));
        }
    }
    if !problems.is_empty() {
        return Err(Refused { problems, is_understood: true });
    }
    let kept = Kept { config: config.clone(), registry, stores, files };
    Ok(Assembled { loaded, catalog, access, tls, kept })
}

/// The folders that links may lead into from every place; each that cannot be opened is a problem.
fn links_of(loaded: &Loaded, problems: &mut Vec<ConfigError>) -> Symlinks {
    const KEY: &str = "follow_symlinks";
    let folders = &loaded.config.follow_symlinks;
    Symlinks::open(folders).unwrap_or_else(|_| {
        for (index, folder) in folders.iter().enumerate() {
            let wrong = Symlinks::open(std::slice::from_ref(folder)).err();
            problems.extend(wrong.map(|e| loaded.problem(KEY, Some(index), e)));
        }
        Symlinks::default()
    })
}

/// Who may read what, and TLS.
fn guards(config: &Config) -> Result<(Access, Option<Tls>), Wrong> {
    let access = Access::new(&config.access, &config::material(config)?)?;
    let files = config::certificates(config)?;
    Ok((access, files.map(|[chain, key]| Tls::new(&chain, &key)).transpose()?))
}

/// The files that they are read from.
fn files_of_guards(config: &Config) -> impl Iterator<Item = &PathBuf> {
    config.access.signing_key_files.iter().chain(&config.tls.certificate).chain(&config.tls.key)
}

/// Shares out what this process may hold open among files of datasets, members of aggregations, and connections: as
/// many connections as anybody makes leave descriptors for the files they ask for (promise R13).
fn share_out(descriptors: u64, config: &mut Config) {
    let limits = &mut config.limits;
    limits.open_datasets = limits.open_datasets.min(descriptors / 2).clamp(1, MOST_OPEN);
    let members = config.collections.open_members.min(descriptors / 4);
    let left = descriptors.saturating_sub(limits.open_datasets + members + OTHERS).max(descriptors / 8);
    limits.connections = limits.connections.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1);
    // Of few connections one client must not have all.
    limits.connections_per_address = limits.connections_per_address.min(limits.connections / 2).max(1);
}

fn locations(config: &Config) -> Vec<PathBuf> {
    config.roots.iter().chain(config.mounts.iter().map(|m| &m.location)).cloned().collect()
}

/// Whether the chunk engine, its caches and what references may lead to are the same under both.
fn is_same_engine(one: &Config, other: &Config) -> bool {
    let is_far = |config: &Config| locations(config).iter().any(|l| l.to_str().is_some_and(is_store_url));
    one.limits.memory == other.limits.memory
        && one.collections == other.collections
        && one.limits.chunk_cache == other.limits.chunk_cache
        && one.references_allow == other.references_allow
        && one.remote == other.remote
        && is_far(one) == is_far(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        for (descriptors, connections) in
            [(1_000_000, 10_000), (20_000, 10_000), (1024, 192), (256, 32), (10, 1)]
        {
            let mut config = Config::default();
            share_out(descriptors, &mut config);
            assert_eq!(config.limits.connections, connections, "of {descriptors}");
            assert!(config.limits.open_datasets <= descriptors / 2);
        }
    }
}
