//! `thalweg check`: every dataset below a folder is opened and tried, and each problem is told with what
//! comes of it and what mends it.
//!
//! Owns the walk, the report and the exit code; what is looked at in one dataset is [`inspect`]'s business,
//! the words for errors are [`advice`]'s.

mod advice;
mod coordinates;
mod inspect;
mod overheard;

use std::{
    collections::HashSet,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use cdm::{Error, ErrorKind};
use clap::Args;
use handlers::{
    Registry,
    aggregation::{Note, NoteKind, Snapshot},
    storage::{EntryKind, Store, Symlinks},
};
use serde::Serialize;

use self::{inspect::Extent, overheard::Overheard};
use super::{Failure, block_on, ls, registry, stores::StoreArguments};
use crate::{
    catalog::{Catalog, DatasetName, Listing, Served, is_data_file, is_data_folder, tds},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A folder, one dataset, or a URL of an object store
    path: PathBuf,
    #[command(flatten)]
    stores: StoreArguments,
    /// The path is the content folder of a THREDDS data server: say what of its catalogs is not served
    #[arg(long)]
    thredds: bool,
    /// Read every value, not only the first and the last of each variable
    #[arg(long)]
    deep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// A dataset or a variable cannot be served.
    Error,
    /// It is served, with a consequence.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Problem {
    level: Level,
    /// Name of the dataset, or of a folder that cannot be looked into.
    dataset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
    what: String,
    consequence: String,
    fix: String,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// How many datasets were looked at, readable or not.
    datasets: u64,
    /// Those that are made of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aggregations: Vec<Aggregated>,
    problems: Vec<Problem>,
}

/// A dataset that is made of others.
#[derive(Debug, Serialize)]
struct Aggregated {
    dataset: String,
    version: String,
    /// How many members it is made of ...
    members: usize,
    /// ... and how many are left out, for now or for good.
    left_out: usize,
}

/// Where problems go as they are found, so that a long check shows them at once.
#[derive(Debug)]
struct Sink {
    report: Report,
    /// They are printed as text.
    as_text: bool,
}

impl Sink {
    /// What an aggregation is made of, and what a user should know of it.
    fn aggregation(&mut self, name: &DatasetName, snapshot: &Snapshot) -> io::Result<()> {
        let is_out = |note: &&Note| matches!(note.kind, NoteKind::LeftOut | NoteKind::Unstable);
        let (members, left_out) = (snapshot.members.len(), snapshot.notes.iter().filter(is_out).count());
        if self.as_text {
            let mut out = io::stdout().lock();
            writeln!(out, "{name}: made of {members} members, {left_out} left out")?;
        }
        let (dataset, version) = (name.to_string(), snapshot.version.to_string());
        self.report.aggregations.push(Aggregated { dataset, version, members, left_out });
        for note in snapshot.notes.iter() {
            if let Some(finding) = advice::of_note(note) {
                self.tell(finding.of(name.to_string()))?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, problem: Problem) -> io::Result<()> {
        if self.as_text {
            let mut out = io::stdout().lock();
            let level = match problem.level {
                Level::Error => "error",
                Level::Warning => "warning",
            };
            write!(out, "{level}: {}", problem.dataset)?;
            if let Some(variable) = &problem.variable {
                write!(out, " {variable}")?;
            }
            writeln!(out, ": {}", problem.what)?;
            writeln!(out, "    consequence: {}", problem.consequence)?;
            writeln!(out, "    fix: {}", problem.fix)?;
            out.flush()?;
        }
        self.report.problems.push(problem);
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Whatever keeps the check itself from running is 2; 1 is for what it found.
    let config = arguments.stores.load(Vec::new())?;
    let report = block_on(check(arguments, &config)).map_err(|failure| match failure {
        Failure::Failed(message) => Failure::Usage(message),
        other => other,
    })?;
    let mut out = io::stdout().lock();
    let printed = if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        let (datasets, problems) = (report.datasets, report.problems.len());
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        let (s, t) = (plural(datasets), plural(problems as u64));
        writeln!(out, "{datasets} dataset{s}, {problems} problem{t}")
    };
    printed.and_then(|()| out.flush()).map_err(|e| Failure::Usage(e.to_string()))?;
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

async fn check(arguments: &Arguments, config: &Config) -> Result<Report, Failure> {
    let registry = registry(config, std::slice::from_ref(&arguments.path))?;
    let links = Symlinks::open(&config.follow_symlinks)?;
    let catalog = if arguments.thredds {
        let mut content = tds::read(&arguments.path, &links).await?;
        let places = content.places(&registry, &config.remote, &links);
        Catalog::of(places, 1, registry.clone()).with_content(content)
    } else {
        let served = Served::named(&arguments.path, &registry, &config.remote, &links)?;
        Catalog::of(vec![served], 1, registry.clone())
    };
    let catalog = catalog.with_datasets(&config.datasets);
    if catalog.single().is_none() {
        // A folder that cannot be listed at all was named by mistake.
        catalog.list(&DatasetName::top()).await?;
    }
    let extent = if arguments.deep { Extent::Everything } else { Extent::Ends };
    let walk = Walk {
        catalog: &catalog,
        registry: &registry,
        extent,
        budget: config.limits.memory,
        overheard: Overheard::listen(),
    };
    let mut sink = Sink { report: Report::default(), as_text: !arguments.json };
    walk.content(&mut sink).await?;
    walk.folders(&mut sink).await?;
    Ok(sink.report)
}

/// The tree being walked.
#[derive(Debug)]
struct Walk<'a> {
    catalog: &'a Catalog,
    registry: &'a Registry,
    extent: Extent,
    /// Bytes of data in memory at a time that a server has unless it is told otherwise.
    budget: u64,
    overheard: Overheard,
}

/// A folder to look into, and what those above it hold.
#[derive(Debug)]
struct Waiting {
    folder: DatasetName,
    above: Vec<Arc<Listing>>,
}

impl Walk<'_> {
    /// What the catalogs of a content folder say that is not served, and the datasets that they name where no
    /// listing shows them.
    async fn content(&self, sink: &mut Sink) -> io::Result<()> {
        for problem in self.catalog.content_problems() {
            sink.tell(advice::of_catalog(problem))?;
        }
        let mut seen = HashSet::new();
        for (name, place) in self.catalog.content().named().filter(|(name, _)| seen.insert(*name)) {
            let folder = name.parent().unwrap_or_else(DatasetName::top);
            match self.catalog.stat(name).await {
                Err(error) => sink.tell(advice::of_named(place, name, &error))?,
                Ok(_) if self.catalog.scan_of(&folder).is_some() => {}
                Ok(_) => self.dataset(name, sink).await?,
            }
        }
        Ok(())
    }

    /// Every folder, top first, and every dataset in it.
    async fn folders(&self, sink: &mut Sink) -> io::Result<()> {
        let mut waiting = vec![Waiting { folder: DatasetName::top(), above: Vec::new() }];
        while let Some(Waiting { folder, above }) = waiting.pop() {
            let listing = match self.catalog.list(&folder).await {
                Ok(listing) => Arc::new(listing),
                Err(error) => {
                    sink.tell(advice::of_folder(shown(&folder), &error))?;
                    continue;
                }
            };
            // A link to a folder above would be walked without end.
            if above.iter().any(|other| is_same(other, &listing)) {
                sink.tell(advice::of_loop(shown(&folder)))?;
                continue;
            }
            self.passed_over(&folder, &listing, sink).await?;
            for entry in &listing.datasets {
                self.dataset(&folder.join(&entry.name), sink).await?;
            }
            let mut above = above;
            above.push(Arc::clone(&listing));
            waiting.extend(
                listing
                    .folders
                    .iter()
                    .rev()
                    .map(|name| Waiting { folder: folder.join(name), above: above.clone() }),
            );
        }
        Ok(())
    }

    async fn dataset(&self, name: &DatasetName, sink: &mut Sink) -> io::Result<()> {
        sink.report.datasets += 1;
        if let Ok(Some(snapshot)) = self.catalog.snapshot(name).await {
            sink.aggregation(name, &snapshot)?;
        }
        match ls::opened(self.catalog, self.registry, name).await {
            Ok((format, source)) => {
                let mut found = inspect::dataset(format, &source, self.extent, self.budget).await;
                if let Ok(place) = self.catalog.place(name) {
                    found.extend(inspect::scattered(&place).await);
                }
                for found in found {
                    sink.tell(found.of(name.to_string()))?;
                }
            }
            Err(error) => sink.tell(advice::of_dataset(name.to_string(), &error))?,
        }
        for found in self.overheard.take() {
            sink.tell(found.of(name.to_string()))?;
        }
        Ok(())
    }

    /// What has the name of data in `folder` and is not shown.
    async fn passed_over(&self, folder: &DatasetName, listing: &Listing, sink: &mut Sink) -> io::Result<()> {
        // What a catalog filters is not shown on purpose.
        if self.catalog.single().is_some() || self.catalog.scan_of(folder).is_some() {
            return Ok(());
        }
        let Ok(place) = self.catalog.place(folder) else { return Ok(()) };
        let (names, unusable) = match names_in(&*place.store, &place.path).await {
            Ok(found) => found,
            // It was listed: a folder that only datasets of the settings are in.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return sink.tell(advice::of_folder(shown(folder), &error)),
        };
        for (name, is_file) in names {
            let is_data = if is_file { is_data_file(&name) } else { is_data_folder(&name) };
            let is_listed = listing.datasets.iter().any(|entry| *entry.name == *name);
            if is_data && !is_listed {
                sink.tell(advice::of_name(child(folder, &name.escape_debug().to_string())))?;
            }
        }
        for (name, why) in unusable {
            if is_data_file(&name) || is_data_folder(&name) {
                sink.tell(advice::of_unusable(child(folder, &name.escape_debug().to_string()), why))?;
            }
        }
        Ok(())
    }
}

/// The names in a folder of a store, with whether each is a file; and those of what is neither.
async fn names_in(
    store: &dyn Store,
    path: &str,
) -> Result<(Vec<(String, bool)>, Vec<(String, &'static str)>), Error> {
    let entries = store.list(path).await?;
    let is_file = |kind: &EntryKind| matches!(kind, EntryKind::File { .. });
    let names = entries.into_iter().map(|e| (e.name.to_string(), is_file(&e.kind))).collect();
    Ok((names, store.passed_over(path).await?))
}

/// Whether two folders hold the same, to the nanosecond.
fn is_same(one: &Listing, other: &Listing) -> bool {
    let is_empty = one.folders.is_empty() && one.datasets.is_empty();
    !is_empty && one.folders == other.folders && one.datasets == other.datasets
}

fn shown(folder: &DatasetName) -> String {
    if folder.is_top() { "./".to_owned() } else { format!("{folder}/") }
}

fn child(folder: &DatasetName, name: &str) -> String {
    if folder.is_top() { name.to_owned() } else { format!("{folder}/{name}") }
}
