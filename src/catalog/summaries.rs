//! What is known of datasets without opening them: summaries by dataset and version, in memory and in a file.
//!
//! A listing takes what is here and asks for what is not; a request that opens a dataset asks too. [`Summaries::next`]
//! gives one dataset after the other to whoever has the time to summarise it. Nothing is scanned: what nobody
//! lists or opens is never asked for. Datasets made of others are asked for when they are opened, not listed; those in
//! object stores have no summary, as it would cost requests.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use cdm::{Source, Version, coordinates::summary::Summary};
use handlers::storage::KeptFiles;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{DatasetName, Entry, Listing, Status, defined, is_data_folder};

/// Datasets that are remembered, and that wait: more are not asked for.
const MOST: usize = 100_000;

/// What the file begins with; the digits are the version of what follows.
const MAGIC: &[u8; 20] = b"thalweg summaries 1\n";

/// Summaries of datasets.
#[derive(Debug, Default)]
pub struct Summaries {
    state: Mutex<State>,
    wake: Notify,
    files: Option<(KeptFiles, String)>,
    /// Changes so far of what listings are given.
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// By folder, then by name in it.
    folders: HashMap<Arc<str>, HashMap<Arc<str>, Row>>,
    count: usize,
    waiting: VecDeque<DatasetName>,
    queued: HashSet<DatasetName>,
    /// Something was learnt that is not in the file.
    is_new: bool,
}

/// A dataset in one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    /// Identity by [`Status`].
    identity: Arc<str>,
    /// Identity of the Source, when that has one.
    source: Option<Arc<str>>,
    /// What a listing shows of this version.
    size: Option<u64>,
    modified: Option<SystemTime>,
    /// `None`: it cannot be read.
    summary: Option<Arc<Summary>>,
}

impl Summaries {
    /// With what the file for `places` in `files` says, to which [`Summaries::save`] adds. What is damaged, foreign or of another
    /// version counts as nothing. Blocks.
    pub fn kept(files: KeptFiles, places: &str) -> Self {
        let file = format!("summaries-{:016x}", xxhash_rust::xxh3::xxh3_64(places.as_bytes()));
        let folders = files.read(&file).ok().and_then(|bytes| read(&bytes)).unwrap_or_default();
        let count = folders.values().map(HashMap::len).sum();
        let state = State { folders, count, ..State::default() };
        Self { state: Mutex::new(state), files: Some((files, file)), ..Self::default() }
    }

    /// Writes what was learnt since the last time; blocks. A disk that is full costs a restart some work again.
    pub fn save(&self) {
        let Some((files, file)) = &self.files else { return };
        let bytes = {
            let mut state = self.state();
            if !std::mem::take(&mut state.is_new) {
                return;
            }
            written(&state.folders)
        };
        let outcome = bytes.map_err(std::io::Error::other).and_then(|bytes| files.replace(file, &bytes));
        if let Err(e) = outcome {
            tracing::warn!(folder = %files.folder().display(), error = %e, "summaries are not kept (index.folder)");
        }
    }

    /// Another number whenever a listing that has not changed would be given something else.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The next dataset to [summarise](super::Catalog::summarise); waits for one.
    pub async fn next(&self) -> DatasetName {
        loop {
            // Made before the look, so that what comes in between is not missed.
            let woken = self.wake.notified();
            if let Some(name) = self.take() {
                return name;
            }
            woken.await;
        }
    }

    /// As [`Summaries::next`], if there is one.
    pub fn take(&self) -> Option<DatasetName> {
        let mut state = self.state();
        let name = state.waiting.pop_front()?;
        state.queued.remove(&name);
        Some(name)
    }

    /// Gives a listing's datasets their summaries, and asks for those that are not known as they are now.
    pub(crate) fn attach(&self, listing: &mut Listing) {
        let mut state = self.state();
        let folder = listing.folder.as_str();
        if let Some(known) = state.folders.get_mut(folder) {
            // What has gone is forgotten.
            let before = known.len();
            let is_there = |name: &str| listing.datasets.binary_search_by(|e| (*e.name).cmp(name)).is_ok();
            known.retain(|name, _| is_there(name));
            let gone = before - known.len();
            state.count -= gone;
            state.is_new |= gone > 0;
        }
        drop(state);
        self.attach_to_part(listing);
    }

    /// As [`Summaries::attach`], to a listing that does not have all there is.
    pub(crate) fn attach_to_part(&self, listing: &mut Listing) {
        let mut state = self.state();
        let folder = listing.folder.as_str();
        let mut wanted = Vec::new();
        let known = state.folders.get(folder);
        for entry in &mut listing.datasets {
            let row = known.and_then(|known| known.get(&entry.name));
            match row.filter(|row| row.size == entry.size && row.modified == entry.modified) {
                Some(row) => entry.summary.clone_from(&row.summary),
                None if is_stored(entry) => {
                    wanted.push(listing.folder.join(&entry.name));
                }
                None => {}
            }
        }
        for name in wanted {
            state.want(name);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// A request opened a dataset: its summary costs little now.
    pub(super) fn opened(&self, name: &DatasetName, source: &Arc<dyn Source>) {
        let mut state = self.state();
        let row = state.row(name);
        let identity = source.version().map(|version| &version.identity);
        let is_known = row.is_some_and(|row| row.source.as_ref() == identity || row.summary.is_none());
        // Old versions of a dataset have names of their own.
        if is_known || name.file_name().contains('@') {
            return;
        }
        if let Some((folder, file)) = split(name)
            && let Some(row) = state.folders.get_mut(folder).and_then(|known| known.get_mut(file))
        {
            // Of another version: no longer settled.
            row.identity = "".into();
        }
        state.want(name.clone());
        drop(state);
        self.wake.notify_one();
    }

    /// Whether this version is known already, or known to be unreadable.
    pub(super) fn is_settled(&self, name: &DatasetName, status: &Status) -> bool {
        let state = self.state();
        state.row(name).is_some_and(|row| {
            row.identity == status.version.identity
                && row.size == status.size
                && row.modified == status.version.modified
        })
    }

    /// Remembers a summary; `None`: there can be none.
    pub(super) fn learn(
        &self,
        name: &DatasetName,
        status: &Status,
        version: Option<&Version>,
        summary: Option<Summary>,
    ) {
        let Some((folder, file)) = split(name) else { return };
        let row = Row {
            identity: Arc::clone(&status.version.identity),
            source: version.map(|v| Arc::clone(&v.identity)),
            size: status.size,
            modified: status.version.modified,
            summary: summary.map(Arc::new),
        };
        let mut state = self.state();
        let is_known = state.row(name).is_some();
        if !is_known && state.count >= MOST {
            return;
        }
        state.folders.entry(folder.into()).or_default().insert(file.into(), row);
        state.count += usize::from(!is_known);
        state.is_new = true;
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// A dataset that is no more.
    pub(super) fn forget(&self, name: &DatasetName) {
        let Some((folder, file)) = split(name) else { return };
        let mut state = self.state();
        if state.folders.get_mut(folder).and_then(|known| known.remove(file)).is_some() {
            state.count -= 1;
            state.is_new = true;
            self.changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A panic while it was held left nothing half done: every change is one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn row(&self, name: &DatasetName) -> Option<&Row> {
        let (folder, file) = split(name)?;
        self.folders.get(folder)?.get(file)
    }

    fn want(&mut self, name: DatasetName) {
        if self.waiting.len() < MOST && self.queued.insert(name.clone()) {
            self.waiting.push_back(name);
        }
    }
}

/// Whether a dataset is a file or a folder of data: what is made of others, in the configuration or in a document,
/// may take long to open, and is asked for by who wants it.
fn is_stored(entry: &Entry) -> bool {
    (entry.size.is_some() && !defined::is_document(&entry.name))
        || is_data_folder(&entry.name)
        || (entry.size.is_none() && entry.modified.is_some())
}

/// The folder's name and the name in it.
fn split(name: &DatasetName) -> Option<(&str, &str)> {
    if name.is_top() {
        return None;
    }
    Some(name.as_str().rsplit_once('/').unwrap_or(("", name.as_str())))
}

type Folders = HashMap<Arc<str>, HashMap<Arc<str>, Row>>;

fn written(folders: &Folders) -> Result<Vec<u8>, postcard::Error> {
    let contents = postcard::to_stdvec(folders)?;
    let check = xxhash_rust::xxh3::xxh3_64(&contents).to_le_bytes();
    Ok([&MAGIC[..], &check, &contents].concat())
}

fn read(bytes: &[u8]) -> Option<Folders> {
    let (check, contents) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    let is_whole = xxhash_rust::xxh3::xxh3_64(contents).to_le_bytes() == *check;
    postcard::from_bytes(contents).ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests;
