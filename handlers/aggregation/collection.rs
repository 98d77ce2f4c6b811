//! One aggregation over time: a definition, and snapshots of what it describes, each made when something was
//! found to have changed.
//!
//! A snapshot never changes, so an answer that began with one ends with it. Looks at the members are made one
//! at a time, and whoever asks meanwhile is given the newest snapshot that is there.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use cdm::{Error, ErrorKind, Result, Source};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::Notify;

use super::{
    Note, Snapshot,
    collections::{self, Collections, Key},
    edited,
    index::Index,
    index_file,
    members::{Census, Memory, Progress, Survey, Suspects},
    watched::Watched,
};
use crate::{
    Registry,
    ncml::document::{Aggregation, Netcdf},
    storage::{Place, blocking},
};

/// How long one who asks waits for a look that may find something newer than there is.
const PATIENCE: Duration = Duration::from_secs(2);

/// After an error, the next look is not made sooner.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Watched folders are looked at all the same, so rarely: what is written by another of its names is not told.
const SAFETY: Duration = Duration::from_secs(60);

/// The index is not written more often.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// A look under way.
type Look = Shared<BoxFuture<'static, Result<Arc<Snapshot>, Arc<Error>>>>;

/// One aggregation.
#[derive(Debug)]
pub struct Collection {
    key: Key,
    definition: Netcdf,
    place: Place,
    /// Without a hold on the table that this is in.
    registry: Registry,
    progress: Progress,
    suspects: Arc<Suspects>,
    looked_at: AtomicUsize,
    pub(super) changed: Arc<Notify>,
    pub(super) watched: Watched,
    state: Mutex<State>,
    /// Held during a look.
    memory: tokio::sync::Mutex<Kept>,
}

#[derive(Debug)]
struct State {
    /// What the last look found, and when it was made.
    newest: Option<(Result<Arc<Snapshot>>, Instant)>,
    /// Snapshots by age, oldest first, with when the next was made.
    older: VecDeque<(Arc<Snapshot>, Instant)>,
    under_way: Option<Look>,
    /// When somebody asked last.
    asked: Instant,
    /// What the last look said of the next.
    again: Option<Duration>,
    /// The last complaint in the log.
    complaint: String,
}

/// What looks remember.
#[derive(Debug, Default)]
struct Kept {
    /// `None` before the first look.
    memory: Option<Memory>,
    written: Option<Instant>,
    /// The members that were combined last, and what came of it.
    combined: Option<Combination>,
}

/// Members that were combined.
#[derive(Debug)]
struct Combination {
    /// A digest of which they were.
    of: String,
    source: Arc<dyn Source>,
    notes: Arc<[Note]>,
}

impl Collection {
    pub(super) fn new(key: Key, definition: Netcdf, place: Place, registry: &Registry) -> Arc<Self> {
        let state = State {
            newest: None,
            older: VecDeque::new(),
            under_way: None,
            asked: Instant::now(),
            again: None,
            complaint: String::new(),
        };
        Arc::new(Self {
            key,
            definition,
            place,
            registry: registry.without_hold(),
            progress: Progress::default(),
            suspects: Arc::default(),
            looked_at: AtomicUsize::new(0),
            changed: Arc::default(),
            watched: Watched::default(),
            state: Mutex::new(state),
            memory: tokio::sync::Mutex::default(),
        })
    }

    /// The newest snapshot.
    ///
    /// # Errors
    /// `NotFound` or `Corrupt` when there is no member that can be used; `TimedOut` when the first look takes
    /// long (it goes on); what combining says.
    pub async fn current(self: &Arc<Self>) -> Result<Arc<Snapshot>> {
        let newest = {
            let mut state = self.state();
            state.asked = Instant::now();
            state
                .newest
                .as_ref()
                .map(|(found, at)| (found.as_ref().map(Arc::clone).map_err(Error::shared), *at))
        };
        let Some((found, at)) = newest else { return self.first().await };
        let age = at.elapsed();
        match found {
            Err(e) if age < AFTER_ERROR => Err(e),
            Err(_) => self.first().await,
            Ok(snapshot) if self.watched.is_on() => {
                if age > SAFETY {
                    drop(self.look()?);
                }
                Ok(snapshot)
            }
            Ok(snapshot) if age < self.recheck()? => Ok(snapshot),
            Ok(snapshot) => match tokio::time::timeout(PATIENCE, self.look()?).await {
                Ok(Ok(newer)) => Ok(newer),
                Ok(Err(e)) if is_definite(&e) => Err(e.shared()),
                // It goes on; what there is, is whole.
                Ok(Err(_)) | Err(_) => Ok(snapshot),
            },
        }
    }

    /// The snapshot after a look that begins now.
    ///
    /// # Errors
    /// As [`Collection::current`].
    pub async fn refreshed(self: &Arc<Self>) -> Result<Arc<Snapshot>> {
        let under_way = self.state().under_way.clone();
        if let Some(earlier) = under_way {
            // It may have looked before what is asked about happened.
            let _ = earlier.await;
        }
        self.first().await
    }

    /// The snapshot of this version, while it is kept.
    pub fn version(&self, version: &str) -> Option<Arc<Snapshot>> {
        let kept_for = self.options().ok()?.snapshots_for;
        let state = self.state();
        let newest = state.newest.as_ref().and_then(|(found, _)| found.as_ref().ok());
        let older = state.older.iter().filter(|(_, replaced)| replaced.elapsed() < kept_for).map(|(s, _)| s);
        newest.into_iter().chain(older).find(|s| *s.version == *version).cloned()
    }

    /// The newest snapshot, if there is one: without looking.
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.state().newest.as_ref().and_then(|(found, _)| found.as_ref().ok()).cloned()
    }

    /// How many members all looks so far had to open, because the index did not know them.
    pub fn looked_at(&self) -> usize {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// How long ago somebody asked.
    pub(super) fn unasked(&self) -> Duration {
        self.state().asked.elapsed()
    }

    /// When the last look said that the next should be.
    pub(super) fn again(&self) -> Option<Duration> {
        self.state().again
    }

    /// What a look must not wait for.
    pub(super) fn quiet(&self) -> Duration {
        self.options().map_or(Duration::from_secs(1), |options| options.quiet)
    }

    /// Waits for a look as long as a first one may take.
    async fn first(self: &Arc<Self>) -> Result<Arc<Snapshot>> {
        let limit = self.options()?.first_look;
        if let Ok(found) = tokio::time::timeout(limit, self.look()?).await {
            return found.map_err(|e| e.shared());
        }
        let (done, all) = (&self.progress.done, &self.progress.all);
        let message = format!(
            "the members of {} are looked at for the first time, {} of {} so far; it goes on: ask again in a minute",
            self.place.name,
            done.load(Ordering::Relaxed),
            all.load(Ordering::Relaxed)
        );
        Err(Error::new(ErrorKind::TimedOut, message))
    }

    /// The look under way, or a new one. It goes on whoever waits for it.
    pub(super) fn look(self: &Arc<Self>) -> Result<Look> {
        let mut state = self.state();
        if let Some(look) = &state.under_way {
            return Ok(look.clone());
        }
        // What this leads to is led to by what led here.
        let chain: Arc<[Key]> = collections::chain().iter().cloned().chain([self.key.clone()]).collect();
        let registry = self.registry.with_hold()?;
        let this = Arc::clone(self);
        let task = tokio::spawn(collections::led_by(chain, async move {
            let over = Over(&this);
            let found = this.look_now(&registry).await;
            let found = this.settle(found);
            drop(over);
            found
        }));
        let failed = |e| Err(Error::internal("a look at the members failed").with_source(e));
        let look = async move { task.await.unwrap_or_else(failed).map_err(Arc::new) }.boxed().shared();
        state.under_way = Some(look.clone());
        Ok(look)
    }

    /// Makes what a look found the newest.
    fn settle(self: &Arc<Self>, found: Result<(Arc<Snapshot>, Option<Duration>)>) -> Result<Arc<Snapshot>> {
        let now = Instant::now();
        let options = self.options()?.clone();
        let mut state = self.state();
        let known = state.newest.as_ref().and_then(|(found, _)| found.as_ref().ok()).cloned();
        match found {
            Ok((snapshot, again)) => {
                state.again = again;
                state.complaint.clear();
                if let Some(old) = known.filter(|old| old.version != snapshot.version) {
                    state.older.push_back((old, now));
                    tracing::info!(
                        dataset = %self.place.name, version = %snapshot.version,
                        members = snapshot.members.len(), "an aggregation changed"
                    );
                }
                let excess = (state.older.len() + 1).saturating_sub(options.snapshots.max(1));
                state.older.drain(..excess);
                state.older.retain(|(_, replaced)| replaced.elapsed() < options.snapshots_for);
                state.newest = Some((Ok(Arc::clone(&snapshot)), now));
                Ok(snapshot)
            }
            Err(e) => {
                state.again = Some(AFTER_ERROR);
                if state.complaint != e.message() {
                    e.message().clone_into(&mut state.complaint);
                    tracing::warn!(dataset = %self.place.name, error = %e, "an aggregation cannot be looked at");
                }
                match known {
                    // Storage that does not answer says nothing of the members.
                    Some(old) if !is_definite(&e) => state.newest = Some((Ok(old), now)),
                    _ => state.newest = Some((Err(e.shared()), now)),
                }
                Err(e)
            }
        }
    }

    async fn look_now(self: &Arc<Self>, registry: &Registry) -> Result<(Arc<Snapshot>, Option<Duration>)> {
        let Some(aggregation) = &self.definition.aggregation else {
            return Err(Error::internal(format!("{} has no aggregation", self.place.name)));
        };
        let mut kept = self.memory.lock().await;
        let is_first = kept.memory.is_none();
        let mut memory = match kept.memory.take() {
            Some(memory) => memory,
            None => Memory::of(self.read_index().await),
        };
        let mut census = self.take(aggregation, registry, &mut memory).await;
        if is_first && let Some(wait) = wait_for(&census, self.quiet()) {
            // Data that were just put there are wanted whole; once is enough where a writer goes on.
            tokio::time::sleep(wait).await;
            census = self.take(aggregation, registry, &mut memory).await;
        }
        let census = census.inspect(|census| {
            self.looked_at.fetch_add(census.looked_at, Ordering::Relaxed);
        });
        self.write_index(&mut kept.written, &mut memory).await;
        kept.memory = Some(memory);
        let census = census?;
        let again = census.again;
        self.watched.on(self, &census.folders).await;
        Ok((self.snapshot(aggregation, census, &mut kept.combined).await?, again))
    }

    async fn take(
        &self,
        aggregation: &Aggregation,
        registry: &Registry,
        memory: &mut Memory,
    ) -> Result<Census> {
        let survey = Survey {
            aggregation,
            place: &self.place,
            registry,
            quiet: self.options()?.quiet,
            progress: &self.progress,
            suspects: &self.suspects,
        };
        survey.take(memory).await
    }

    /// The snapshot of these members: the last one's dataset when they are the same.
    async fn snapshot(
        &self,
        aggregation: &Aggregation,
        census: Census,
        combined: &mut Option<Combination>,
    ) -> Result<Arc<Snapshot>> {
        let Census { members, mut notes, .. } = census;
        let names: Arc<[Arc<str>]> = members.iter().map(|m| Arc::clone(&m.name)).collect();
        let mut what = String::new();
        for member in &members {
            let given = [member.coord_value.as_deref(), member.section.as_deref()];
            let given = given.map(Option::unwrap_or_default);
            for part in [&*member.name, &*member.version].into_iter().chain(given) {
                what.push_str(part);
                what.push('\0');
            }
        }
        let what = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(what.as_bytes()));
        let (source, said) = match combined {
            Some(last) if last.of == what => (Arc::clone(&last.source), Arc::clone(&last.notes)),
            _ => {
                let (name, aggregation) = (Arc::clone(&self.place.name), aggregation.clone());
                let done = blocking(move || super::combined(&name, &aggregation, members)).await?;
                let source = edited(done.source, &self.definition)?;
                let said: Arc<[Note]> = done.notes.into();
                let (source_, notes) = (Arc::clone(&source), Arc::clone(&said));
                *combined = Some(Combination { of: what.clone(), source: source_, notes });
                (source, said)
            }
        };
        notes.extend(said.iter().cloned());
        notes.sort_by(|a, b| (a.kind, &a.member).cmp(&(b.kind, &b.member)));
        let newest = self.newest();
        if let Some(same) = newest.filter(|s| Arc::ptr_eq(&s.source, &source) && *s.notes == *notes) {
            return Ok(same);
        }
        let identity = source.version().map_or(what, |version| version.identity.to_string());
        let version = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(identity.as_bytes()));
        Ok(Arc::new(Snapshot {
            version: version.get(..12).unwrap_or(&version).into(),
            source,
            notes: notes.into(),
            members: names,
            made: SystemTime::now(),
        }))
    }

    /// What an earlier process knew of the members.
    async fn read_index(&self) -> Index {
        let Some(files) = self.options().ok().and_then(|options| options.index) else {
            return Index::default();
        };
        let (name, basis) = (self.file_name(), self.basis());
        let found = blocking(move || {
            Ok(files.read(&name).ok().and_then(|file| index_file::read(&file, &basis)).unwrap_or_default())
        });
        found.await.unwrap_or_default()
    }

    /// Keeps what is known of the members, unless that was done just now.
    async fn write_index(&self, written: &mut Option<Instant>, memory: &mut Memory) {
        let Some(files) = self.options().ok().and_then(|options| options.index) else { return };
        let is_due = written.is_none_or(|at| at.elapsed() >= WRITE_EVERY);
        if !memory.index.is_changed || !is_due {
            return;
        }
        let (name, basis) = (self.file_name(), self.basis());
        let outcome = match index_file::written(&memory.index, &basis) {
            Ok(bytes) => {
                blocking(move || files.replace(&name, &bytes).map_err(|e| Error::storage("", e))).await
            }
            Err(e) => Err(e),
        };
        // Without the file everything is as it was, but for the next start.
        if let Err(e) = outcome {
            let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            tracing::warn!(dataset = %self.place.name, error = %cause, "the index of members cannot be kept");
        }
        *written = Some(Instant::now());
        memory.index.is_changed = false;
    }

    /// The index file's name: the same in every process, whatever is edited.
    fn file_name(&self) -> String {
        let store = self.place.store.label().unwrap_or_default();
        let what = format!("{store}\0{}\0{}\0{}", self.place.path, self.place.name, self.basis());
        format!("{:032x}.index", xxhash_rust::xxh3::xxh3_128(what.as_bytes()))
    }

    /// What entries of the index are good for: where members are and which values are known.
    fn basis(&self) -> String {
        let Some(aggregation) = &self.definition.aggregation else { return String::new() };
        let first = aggregation.members.first().and_then(|m| m.location.as_deref()).unwrap_or_default();
        let compared = super::describe::Compared::of(aggregation);
        let scans: Vec<&str> = aggregation.scans.iter().map(|scan| &*scan.location).collect();
        format!("{compared:?} {scans:?} {first}")
    }

    fn recheck(&self) -> Result<Duration> {
        let options = self.options()?;
        let asked = self.definition.aggregation.as_ref().and_then(|a| a.recheck);
        let default = if self.place.store.is_remote() { options.recheck_remote } else { options.recheck };
        Ok(asked.unwrap_or(default))
    }

    fn options(&self) -> Result<super::CollectionOptions> {
        Ok(self.registry.collections()?.options().clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a look is over, however it ends.
struct Over<'a>(&'a Collection);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.state().under_way = None;
    }
}

/// How long until all files that are left out may rest, where that is soon.
fn wait_for(census: &Result<Census>, quiet: Duration) -> Option<Duration> {
    match census {
        Ok(census) => census.again.filter(|wait| *wait <= quiet).map(|_| quiet),
        Err(e) => (e.kind() == ErrorKind::Overloaded && !quiet.is_zero()).then_some(quiet),
    }
}

/// Errors that are true of the members, not of the way to them.
fn is_definite(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::TimedOut | ErrorKind::Overloaded | ErrorKind::Storage | ErrorKind::Changed
    )
}

/// As [`super::open`].
pub(super) async fn open(definition: &Netcdf, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
    let collections: Arc<Collections> = registry.collections()?;
    let collection = collections.of(definition, place, registry).await?;
    Ok(Arc::clone(&collection.current().await?.source))
}
