//! The files that a `scan` finds: listed, never opened. A file that is still being written is left out.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cdm::{Error, ErrorKind, Result};
use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use super::{DateMark, Note, NoteKind, locate};
use crate::{
    Registry,
    ncml::document::Scan,
    storage::{Entry, EntryKind, Place, Store, is_same_file, join},
};

/// Folders below folders: a link that leads back up must end somewhere.
const DEEPEST: usize = 32;

/// Files and folders that one scan looks at.
const MOST: usize = 1_000_000;

/// Folders that are one dataset each, by how their names end.
const DATA_FOLDERS: [&str; 4] = [".zarr", ".icechunk", ".parq", ".parquet"];

/// A file, or a folder that is one dataset.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it is.
    pub(super) place: Place,
    /// For people: its path as the definition's folder has it.
    pub(super) name: Arc<str>,
    /// Its version, where looking at its folder told it.
    pub(super) version: Option<Arc<str>>,
    /// The date in its name.
    pub(super) coord_value: Option<Arc<str>>,
}

/// What of a file tells that it moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
    /// Its version, which tells a file that was written again from one that took its place.
    pub(super) version: Option<Arc<str>>,
}

impl Looks {
    fn is_as(&self, other: &Self) -> bool {
        self.size == other.size && self.modified == other.modified
    }

    /// Whether another file, whole since it was renamed, took the place of `before`.
    fn replaces(&self, before: &Self) -> bool {
        let both = self.version.as_ref().zip(before.version.as_ref());
        both.is_some_and(|(now, before)| !is_same_file(now, before))
    }
}

/// What scans found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// By path.
    pub(super) found: Vec<Found>,
    /// What is left out.
    pub(super) notes: Vec<Note>,
    /// The folders that were looked into, with the store that they are in.
    pub(super) folders: Vec<(Arc<dyn Store>, String)>,
    /// When a file that is left out now may be taken, if nothing happens to it.
    pub(super) again: Option<Duration>,
}

impl Scanned {
    /// Looks again after `wait`, or earlier.
    fn again_after(&mut self, wait: Duration) {
        self.again = Some(self.again.map_or(wait, |known| known.min(wait)));
    }
}

/// Files as they were seen before: what tells that one moved.
#[derive(Debug, Default)]
pub(super) struct Seen {
    files: HashMap<(usize, String), Sight>,
    generation: u64,
}

#[derive(Debug)]
struct Sight {
    looks: Looks,
    /// Since when it looks so, and when it was last looked at.
    since: Instant,
    last: Instant,
    /// It looked otherwise a moment before.
    moved: bool,
    generation: u64,
}

impl Seen {
    /// Begins a look at everything.
    pub(super) fn begin(&mut self) {
        self.generation += 1;
    }

    /// Forgets what was not seen in this look.
    pub(super) fn end(&mut self) {
        let generation = self.generation;
        self.files.retain(|_, sight| sight.generation == generation);
    }

    /// How long a file must still stay as it is; `None` when it is stable: neither its size nor its time moved
    /// within `quiet`.
    pub(super) fn unrest(
        &mut self,
        store: &Arc<dyn Store>,
        path: &str,
        looks: Looks,
        quiet: Duration,
    ) -> Option<Duration> {
        // Objects of a store appear whole, in one step.
        if store.is_remote() || quiet.is_zero() {
            return None;
        }
        let (now, generation) = (Instant::now(), self.generation);
        let sight = self.files.entry((locate::store_id(store), path.to_owned()));
        let modified = looks.modified;
        let new = |looks, moved| Sight { looks, since: now, last: now, moved, generation };
        let sight = sight.or_insert_with(|| new(looks.clone(), false));
        if !sight.looks.is_as(&looks) {
            let moved = now.duration_since(sight.last) < quiet && !looks.replaces(&sight.looks);
            *sight = new(looks, moved);
        }
        (sight.last, sight.generation) = (now, generation);
        let unmoved = now.duration_since(sight.since);
        match modified.map(|modified| SystemTime::now().duration_since(modified)) {
            Some(Ok(age)) if age < quiet => Some(quiet.saturating_sub(age)),
            // Clocks differ: what it looked like before tells.
            Some(Err(_)) if unmoved < quiet => Some(quiet.saturating_sub(unmoved)),
            _ if sight.moved && unmoved < quiet => Some(quiet.saturating_sub(unmoved)),
            _ => None,
        }
    }
}

/// What of a folder's entries a scan takes.
struct Filter<'a> {
    scan: &'a Scan,
    pattern: Option<Regex>,
    glob: Option<GlobMatcher>,
    mark: Option<DateMark>,
}

impl<'a> Filter<'a> {
    fn new(scan: &'a Scan) -> Result<Self> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| {
            Error::bad_request(format!("line {}: {what}: {e}", scan.line))
        };
        let whole = |pattern: &String| {
            let built = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build();
            built.map_err(|e| wrong("regExp", &e))
        };
        let glob = |glob: &String| {
            let built = GlobBuilder::new(glob).literal_separator(true).build();
            built.map(|g| g.compile_matcher()).map_err(|e| wrong("glob", &e))
        };
        Ok(Self {
            scan,
            pattern: scan.pattern.as_ref().map(whole).transpose()?,
            glob: scan.glob.as_ref().map(glob).transpose()?,
            mark: scan.date_format_mark.as_deref().map(DateMark::new),
        })
    }

    /// Whether a file is taken: `below` is its path below the scanned folder, `path` in the store.
    fn takes(&self, below: &str, path: &str) -> bool {
        let is_any = self.scan.suffix.is_none() && self.pattern.is_none() && self.glob.is_none();
        // Definitions beside the data are not data, unless they are asked for.
        let is_definition = below.len() >= 5 && below.to_ascii_lowercase().ends_with(".ncml");
        !(is_any && is_definition)
            && self.scan.suffix.as_ref().is_none_or(|suffix| below.ends_with(suffix.as_str()))
            // Existing documents are written for the whole path.
            && self.pattern.as_ref().is_none_or(|p| p.is_match(below) || p.is_match(&format!("/{path}")))
            && self.glob.as_ref().is_none_or(|g| g.is_match(below))
    }

    /// Where a glob says that nothing lies deeper, or has to.
    fn goes_below(&self, below: &str) -> bool {
        match self.scan.glob.as_deref() {
            Some(glob) if glob.split('/').any(|part| part.contains("**")) || glob.contains('{') => true,
            Some(glob) => glob.matches('/').count() > below.matches('/').count(),
            None => self.scan.subfolders,
        }
    }
}

/// What is common to the scans of one aggregation.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    /// The definition's place.
    pub(super) place: &'a Place,
    pub(super) registry: &'a Registry,
    pub(super) seen: &'a mut Seen,
    /// A file that moved within this time is left out.
    pub(super) quiet: Duration,
}

/// Adds what `scan` finds to `scanned`, in the order of paths.
///
/// # Errors
/// `NotFound` when the folder is not there; `TooLarge` when it holds too much; what the store says.
pub(super) async fn scan(scan: &Scan, looking: &mut Looking<'_>, scanned: &mut Scanned) -> Result<()> {
    let filter = Filter::new(scan)?;
    let (store, top) = locate::folder(&scan.location, looking.place, looking.registry).await?;
    let first = scanned.found.len();
    let mut looked_at = 0;
    let mut waiting = vec![(String::new(), 0)];
    while let Some((below, depth)) = waiting.pop() {
        let path = join(&top, &below);
        let entries = match store.survey(&path).await {
            Ok(entries) => entries,
            // A folder below may have gone since it was listed.
            Err(e) if e.kind() == ErrorKind::NotFound && depth > 0 => continue,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let message = format!("there is no folder {} to scan", scan.location);
                return Err(Error::not_found(message).with_source(e));
            }
            Err(e) => return Err(e),
        };
        looked_at += entries.len();
        if looked_at > MOST {
            let message = format!("more than {MOST} files and folders in {}; scan fewer", scan.location);
            return Err(Error::too_large(message));
        }
        if !below.is_empty()
            && let Some(version) = marked(&path, &entries, &store, looking.registry).await?
        {
            if filter.takes(&below, &path) {
                scanned.found.push(found(&path, &store, Some(version), &filter, looking.place));
            }
            // What makes it another version lies in it.
            scanned.folders.push((Arc::clone(&store), path));
            continue;
        }
        scanned.folders.push((Arc::clone(&store), path));
        for (entry, version) in entries {
            if entry.name.starts_with('.') {
                continue;
            }
            let inside = join(&below, &entry.name);
            match entry.kind {
                EntryKind::Directory => {
                    let by_name = DATA_FOLDERS.iter().any(|end| entry.name.ends_with(end));
                    if depth < DEEPEST && (by_name || filter.goes_below(&inside)) {
                        waiting.push((inside, depth + 1));
                    }
                }
                EntryKind::File { size, modified } => {
                    let looks = Looks { size, modified, version };
                    file((&inside, &top, &store), looks, &filter, looking, scanned);
                }
            }
        }
    }
    if let Some(new) = scanned.found.get_mut(first..) {
        new.sort_by(|a, b| a.place.path.cmp(&b.place.path));
    }
    Ok(())
}

/// Takes a file, or says why not.
fn file(
    (below, top, store): (&str, &str, &Arc<dyn Store>),
    looks: Looks,
    filter: &Filter<'_>,
    looking: &mut Looking<'_>,
    scanned: &mut Scanned,
) {
    let path = join(top, below);
    let is_own = path == *looking.place.path && Arc::ptr_eq(store, &looking.place.store);
    if is_own || !filter.takes(below, &path) {
        return;
    }
    let found = found(&path, store, looks.version.clone(), filter, looking.place);
    if let Some(limit) = filter.scan.older_than {
        let age = looks.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let age = age.unwrap_or_default();
        if age < limit {
            scanned.again_after(limit.saturating_sub(age));
            return;
        }
    }
    if let Some(wait) = looking.seen.unrest(store, &path, looks, looking.quiet) {
        scanned.again_after(wait);
        let message = "it is still being written".to_owned();
        scanned.notes.push(Note { member: Some(found.name), kind: NoteKind::Unstable, message });
        return;
    }
    if filter.mark.is_some() && found.coord_value.is_none() {
        let mark = filter.scan.date_format_mark.as_deref().unwrap_or_default();
        let message = format!("its name has no date where '{mark}' says");
        scanned.notes.push(Note { member: Some(found.name), kind: NoteKind::LeftOut, message });
        return;
    }
    scanned.found.push(found);
}

fn found(
    path: &str,
    store: &Arc<dyn Store>,
    version: Option<Arc<str>>,
    filter: &Filter<'_>,
    place: &Place,
) -> Found {
    let name = locate::shown(path, place);
    let coord_value = filter.mark.as_ref().and_then(|mark| mark.date(path)).map(Into::into);
    let place = Place { store: Arc::clone(store), path: path.into(), name: path.into() };
    Found { place, name, version, coord_value }
}

/// The version of the object that makes a folder, which holds `entries`, one dataset.
async fn marked(
    path: &str,
    entries: &[(Entry, Option<Arc<str>>)],
    store: &Arc<dyn Store>,
    registry: &Registry,
) -> Result<Option<Arc<str>>> {
    for mark in registry.folder_marks() {
        let first = mark.split('/').next().unwrap_or(mark);
        let Some((_, version)) = entries.iter().find(|(entry, _)| *entry.name == *first) else { continue };
        match version {
            Some(version) if first == mark => return Ok(Some(Arc::clone(version))),
            _ => {}
        }
        if let Some(status) = store.stat(&join(path, mark)).await? {
            return Ok(Some(status.version.identity));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
