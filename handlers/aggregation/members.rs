//! The members of an aggregation as they are now: which there are, and what is known of each, from the index
//! where it is known already.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cdm::{Dataset, Error, ErrorKind, Result, Source};
use futures::{StreamExt, stream};

use super::{
    Member, Note, NoteKind,
    describe::Compared,
    has_edits,
    index::{Entry, Index},
    locate,
    member_file::{FileOpener, Looked, MemberFile, Opened},
    scan::{self, Looking, Looks, Scanned, Seen},
};
use crate::{
    Registry,
    ncml::document::{Aggregation, Join, Netcdf},
    storage::{Place, Store},
};

/// Members looked at at a time, near and far away.
const AT_ONCE: usize = 8;
const AT_ONCE_FAR: usize = 32;

/// Up to so many members keep their whole descriptions; of more, those of equal structure share one.
const FEW: usize = 500;

/// Members that were not what was described of them: they are looked at anew.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<HashSet<Arc<str>>>);

impl Suspects {
    pub(super) fn add(&self, key: &Arc<str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(key));
    }

    fn take(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How far a look at many members has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) done: AtomicUsize,
    pub(super) all: AtomicUsize,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) index: Index,
    pub(super) seen: Seen,
    /// Members that cannot be used, by key: the version and why.
    broken: HashMap<Arc<str>, (Arc<str>, String)>,
}

impl Memory {
    pub(super) fn of(index: Index) -> Self {
        Self { index, ..Self::default() }
    }
}

/// The members as they are now.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) members: Vec<Member>,
    pub(super) notes: Vec<Note>,
    /// The folders whose content matters, with their stores.
    pub(super) folders: Vec<(Arc<dyn Store>, String)>,
    /// When to look again, if something is left out that will come.
    pub(super) again: Option<Duration>,
    /// Members that were looked at, because the index did not know them.
    pub(super) looked_at: usize,
}

/// A look at all members.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) aggregation: &'a Aggregation,
    pub(super) place: &'a Place,
    pub(super) registry: &'a Registry,
    pub(super) quiet: Duration,
    pub(super) progress: &'a Progress,
    pub(super) suspects: &'a Arc<Suspects>,
}

/// Something that may become a member.
#[derive(Debug)]
struct Candidate {
    file: MemberFile,
    kind: Kind,
    /// The version that listing told.
    listed: Option<Arc<str>>,
    /// What the index calls it.
    key: Arc<str>,
    coord_value: Option<Arc<str>>,
    section: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A dataset in storage.
    Stored,
    /// Another definition, which changes when nothing shows.
    Defined,
}

impl Survey<'_> {
    /// Takes it.
    ///
    /// # Errors
    /// `NotFound` when there are no members; `Corrupt` when none can be used; what storage says when it does
    /// not answer.
    pub(super) async fn take(&self, memory: &mut Memory) -> Result<Census> {
        for key in self.suspects.take() {
            memory.index.forget(&key);
        }
        memory.seen.begin();
        let (mut candidates, scanned) = self.candidates(&mut memory.seen).await?;
        memory.seen.end();
        let mut keys = HashSet::new();
        candidates.retain(|c| keys.insert(Arc::clone(&c.key)));
        memory.index.keep(&keys);
        memory.broken.retain(|key, _| keys.contains(key));
        let mut census = Census {
            notes: scanned.notes,
            folders: scanned.folders,
            again: scanned.again,
            ..Census::default()
        };
        self.look(&candidates, memory, &mut census).await?;
        self.collect(candidates, memory, &mut census).await?;
        self.refuse_nothing(&census)?;
        Ok(census)
    }

    /// An aggregation of nothing is an error that says what was looked for.
    fn refuse_nothing(&self, census: &Census) -> Result<()> {
        if !census.members.is_empty() {
            return Ok(());
        }
        let broken: Vec<&Note> = census.notes.iter().filter(|n| n.kind == NoteKind::LeftOut).collect();
        if let Some(Note { member: Some(member), message, .. }) = broken.first() {
            let count = broken.len();
            return Err(Error::corrupt(format!(
                "none of its {count} members can be used; the first: {member}: {message}"
            )));
        }
        if !census.notes.is_empty() {
            let message = "all its members are still being written; ask again in a moment";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        let scans = self.aggregation.scans.iter().map(|scan| {
            let of = [&scan.glob, &scan.suffix, &scan.pattern].into_iter().flatten().next();
            let folder = if scan.location.is_empty() { "the root" } else { &scan.location };
            of.map_or_else(|| folder.to_owned(), |of| format!("{of} in {folder}"))
        });
        let looked_for = scans.collect::<Vec<_>>().join(", ");
        let looked_for = if looked_for.is_empty() { "none is listed".to_owned() } else { looked_for };
        Err(Error::not_found(format!("the aggregation has no members (looked for: {looked_for})")))
    }

    async fn candidates(&self, seen: &mut Seen) -> Result<(Vec<Candidate>, Scanned)> {
        let mut scanned = Scanned::default();
        let mut listed = Vec::new();
        for member in &self.aggregation.members {
            listed.push(self.listed(member).await);
        }
        let mut candidates = Vec::new();
        // Each costs a look, which far away is a request.
        let looks = listed.into_iter().map(|candidate| async {
            let is_stored = matches!(&candidate, Ok(candidate) if candidate.kind == Kind::Stored);
            let status = match &candidate {
                Ok(candidate) if is_stored => Some(self.status(&candidate.file.place).await),
                Ok(_) | Err(_) => None,
            };
            (candidate, status)
        });
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffered(AT_ONCE);
        while let Some((candidate, status)) = looks.next().await {
            let mut candidate = candidate?;
            match status {
                None => candidates.push(candidate),
                Some(Ok(Some((size, version)))) => {
                    let place = &candidate.file.place;
                    scanned.folders.push((Arc::clone(&place.store), parent(&place.path).to_owned()));
                    let identity = Some(Arc::clone(&version.identity));
                    let looks = Looks { size, modified: version.modified, version: identity };
                    let unrest = size > 0 && version.modified.is_some();
                    let unrest =
                        unrest.then(|| seen.unrest(&place.store, &place.path, looks, self.quiet)).flatten();
                    if let Some(wait) = unrest {
                        scanned.again = Some(scanned.again.map_or(wait, |known| known.min(wait)));
                        let note =
                            note(&candidate.file.name, NoteKind::Unstable, "it is still being written");
                        scanned.notes.push(note);
                        continue;
                    }
                    candidate.listed = Some(version.identity);
                    candidates.push(candidate);
                }
                Some(Ok(None)) => {
                    let place = &candidate.file.place;
                    scanned.folders.push((Arc::clone(&place.store), parent(&place.path).to_owned()));
                    let note = note(&candidate.file.name, NoteKind::LeftOut, "there is no such dataset");
                    scanned.notes.push(note);
                }
                Some(Err(e)) => return Err(e.within(&candidate.file.name)),
            }
        }
        drop(looks);
        let mut looking = Looking { place: self.place, registry: self.registry, seen, quiet: self.quiet };
        for scan in &self.aggregation.scans {
            scan::scan(scan, &mut looking, &mut scanned).await?;
        }
        for found in std::mem::take(&mut scanned.found) {
            let kind = kind_of(&found.place.path);
            let key = self.key(&found.place, None);
            let file = MemberFile { place: found.place, name: found.name, edits: None };
            let coord_value = found.coord_value;
            let mut version = found.version;
            if version.is_none() && kind == Kind::Stored {
                // A store whose listings tell no versions.
                version = self.status(&file.place).await?.map(|(_, version)| version.identity);
            }
            candidates.push(Candidate { file, kind, listed: version, key, coord_value, section: None });
        }
        Ok((candidates, scanned))
    }

    /// The candidate that a `netcdf` child is.
    async fn listed(&self, member: &Netcdf) -> Result<Candidate> {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let edits = (has_edits(member) || member.aggregation.is_some()).then(|| Arc::new(member.clone()));
        let (place, kind, name): (Place, Kind, Arc<str>) =
            if let (Some(location), None) = (&member.location, &member.aggregation) {
                let place = locate::dataset(location, self.place, self.registry).await;
                let place = place.map_err(|e| e.within(format!("line {}: {location}", member.line)))?;
                (place.clone(), kind_of(&place.path), location.as_str().into())
            } else {
                let name = format!("the dataset of line {}", member.line);
                (self.place.clone(), Kind::Defined, name.into())
            };
        let key = self.key(&place, edits.as_deref());
        let file = MemberFile { place, name, edits };
        let (coord_value, section) = (text(&member.coord_value), text(&member.section));
        Ok(Candidate { file, kind, listed: None, key, coord_value, section })
    }

    /// What the index calls a member: the same in every process.
    fn key(&self, place: &Place, edits: Option<&Netcdf>) -> Arc<str> {
        let mut key = place.path.to_string();
        if !Arc::ptr_eq(&place.store, &self.place.store) {
            key = format!("{} {key}", place.store.label().unwrap_or_default());
        }
        if let Some(edits) = edits {
            let digest = xxhash_rust::xxh3::xxh3_64(format!("{edits:?}").as_bytes());
            key = format!("{key} {digest:x}");
        }
        key.into()
    }

    /// Size and version of what is at `place`, object or folder.
    async fn status(&self, place: &Place) -> Result<Option<(u64, cdm::Version)>> {
        if let Some(status) = place.store.stat(&place.path).await? {
            return Ok(Some((status.size, status.version)));
        }
        let mark = self.registry.mark_of(place).await?;
        // A folder has no size, and no rest to wait for.
        Ok(mark.map(|(_, status)| (0, status.version)))
    }

    /// Looks at the members that the index does not know, several at a time.
    async fn look(&self, candidates: &[Candidate], memory: &mut Memory, census: &mut Census) -> Result<()> {
        let Memory { index, broken, .. } = memory;
        let compared = Compared::of(self.aggregation);
        let is_unknown = |c: &&Candidate| {
            let listed = c.listed.as_deref().unwrap_or_default();
            let is_broken = broken.get(&c.key).is_some_and(|(version, _)| **version == *listed);
            c.kind == Kind::Stored
                && !is_broken
                && index.get(&c.key, listed).is_none_or(|_| listed.is_empty())
        };
        let unknown: Vec<&Candidate> = candidates.iter().filter(is_unknown).collect();
        self.progress.all.store(unknown.len(), Ordering::Relaxed);
        self.progress.done.store(0, Ordering::Relaxed);
        census.looked_at = unknown.len();
        let at_once = if self.place.store.is_remote() { AT_ONCE_FAR } else { AT_ONCE };
        let looks = unknown.into_iter().map(|candidate| {
            let compared = &compared;
            async move {
                let looked = candidate.file.look(self.registry, compared).await;
                self.progress.done.fetch_add(1, Ordering::Relaxed);
                (candidate, looked)
            }
        });
        let mut looks = stream::iter(looks.collect::<Vec<_>>()).buffer_unordered(at_once);
        while let Some((candidate, looked)) = looks.next().await {
            let is_far = candidate.file.place.store.is_remote();
            let listed = candidate.listed.clone().unwrap_or_default();
            let moved = |looked: &Looked| !is_far && *looked.opened != *listed && is_object(&looked.opened);
            match looked {
                Ok(looked) if moved(&looked) && !listed.is_empty() => self.wait(candidate, census),
                Ok(looked) => {
                    let entry = entry(listed, looked, index)?;
                    index.insert(Arc::clone(&candidate.key), entry);
                }
                Err(e) if matches!(e.kind(), ErrorKind::Changed | ErrorKind::NotFound) => {
                    self.wait(candidate, census);
                }
                Err(e) if is_passing(e.kind(), is_far) => return Err(e.within(&candidate.file.name)),
                // It may be read the next time.
                Err(e) if e.kind() == ErrorKind::Storage => {
                    census.notes.push(note(&candidate.file.name, NoteKind::LeftOut, e.message()));
                }
                Err(e) => {
                    tracing::warn!(
                        dataset = %self.place.name, member = %candidate.file.name, error = %e,
                        "a member cannot be used and is left out"
                    );
                    broken.insert(Arc::clone(&candidate.key), (listed, e.message().to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Leaves a member out that moved under our eyes, until it rests.
    fn wait(&self, candidate: &Candidate, census: &mut Census) {
        let wait = self.quiet.max(Duration::from_millis(100));
        census.again = Some(census.again.map_or(wait, |known| known.min(wait)));
        census.notes.push(note(&candidate.file.name, NoteKind::Unstable, "it is still being written"));
    }

    /// The members, in order, and notes of those that are broken.
    async fn collect(
        &self,
        candidates: Vec<Candidate>,
        memory: &mut Memory,
        census: &mut Census,
    ) -> Result<()> {
        let all_whole = candidates.len() <= FEW
            || !self.aggregation.promote.is_empty()
            || matches!(self.aggregation.join, Join::Forecast(_));
        let mut shared: HashMap<usize, Arc<Dataset>> = HashMap::new();
        for candidate in candidates {
            let Candidate { file, kind, listed, key, coord_value, section } = candidate;
            if kind == Kind::Defined {
                match self.defined(&file).await {
                    Ok(member) => census.members.push(Member { coord_value, section, ..member }),
                    Err(e) if is_passing(e.kind(), true) => return Err(e.within(&file.name)),
                    Err(e) => census.notes.push(note(&file.name, NoteKind::LeftOut, e.message())),
                }
                continue;
            }
            let listed = listed.unwrap_or_default();
            if let Some((version, why)) = memory.broken.get(&key)
                && *version == listed
            {
                census.notes.push(note(&file.name, NoteKind::LeftOut, why));
                continue;
            }
            let Some(entry) = memory.index.get(&key, &listed) else { continue };
            let dataset = match shared.get(&(Arc::as_ptr(&entry.structure) as usize)) {
                Some(dataset) if !all_whole => Arc::clone(dataset),
                _ => {
                    let dataset = Arc::new(entry.dataset()?);
                    shared.insert(Arc::as_ptr(&entry.structure) as usize, Arc::clone(&dataset));
                    dataset
                }
            };
            let opener = FileOpener {
                version: Arc::clone(&entry.opened),
                structure: Arc::clone(&entry.structure),
                registry: self.registry.without_hold(),
                suspects: Arc::clone(self.suspects),
                key,
                file: file.clone(),
            };
            census.members.push(Member {
                name: file.name,
                version: Arc::clone(&entry.opened),
                dataset,
                known: Arc::clone(&entry.known),
                coord_value,
                section,
                opener: Arc::new(opener),
            });
        }
        Ok(())
    }

    /// A member that is another definition, as it is now.
    async fn defined(&self, file: &MemberFile) -> Result<Member> {
        let (version, source) = match &file.edits {
            Some(definition) if definition.location.is_none() => {
                let source = crate::ncml::open(definition, &file.place, None, self.registry).await?;
                (identity(&*source), source)
            }
            _ => file.open(self.registry).await?,
        };
        let known = super::describe::values_of(&*source, &Compared::of(self.aggregation)).await?;
        let dataset = Dataset::new("", source.dataset().root().clone())?;
        Ok(Member {
            name: Arc::clone(&file.name),
            version,
            dataset: Arc::new(dataset),
            known: Arc::new(known),
            coord_value: None,
            section: None,
            opener: Arc::new(Opened(source)),
        })
    }
}

fn identity(source: &dyn Source) -> Arc<str> {
    source.version().map_or_else(|| "".into(), |version| Arc::clone(&version.identity))
}

fn entry(listed: Arc<str>, looked: Looked, index: &mut Index) -> Result<Entry> {
    let Looked { source, opened, structure, known } = looked;
    let pool = index.pool();
    Ok(Entry {
        listed,
        opened,
        modified: source.version().and_then(|version| version.modified),
        structure: pool.structure(structure)?,
        attributes: pool.attributes(&source.dataset().root().attributes)?,
        known: pool.known(known),
    })
}

/// Whether a version is that of a local object alone, which looking at its folder tells too.
fn is_object(identity: &str) -> bool {
    identity.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'-' | b'.'))
}

/// Errors that say nothing of the member: it may be as good as before.
fn is_passing(kind: ErrorKind, is_far: bool) -> bool {
    matches!(kind, ErrorKind::TimedOut | ErrorKind::Overloaded) || kind == ErrorKind::Storage && is_far
}

fn kind_of(path: &str) -> Kind {
    if path.to_ascii_lowercase().ends_with(".ncml") { Kind::Defined } else { Kind::Stored }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn note(member: &Arc<str>, kind: NoteKind, message: impl Into<String>) -> Note {
    Note { member: Some(Arc::clone(member)), kind, message: message.into() }
}
