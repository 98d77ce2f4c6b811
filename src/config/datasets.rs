//! The `[[dataset]]` tables: datasets made of others, and how such datasets are kept.

use std::{path::PathBuf, time::Duration};

use handlers::{
    aggregation::CollectionOptions,
    ncml::document::{Aggregation, AttributeEdit, ForecastView, Join, Netcdf, Scan},
    storage::KeptFiles,
};

use super::value::Value;
use crate::catalog::{Configured, DatasetName, Definition};

/// The keys of a `[[dataset]]` table.
const KEYS: [&str; 15] = [
    "name",
    "title",
    "glob",
    "list",
    "scan",
    "suffix",
    "subfolders",
    "older_than",
    "date_format_mark",
    "join",
    "type",
    "dimension",
    "view",
    "variables",
    "recheck",
];

/// One key more, which goes with few others.
const DOCUMENT: &str = "ncml";

/// The words for how members become one.
const TYPES: [&str; 5] = ["union", "joinExisting", "joinNew", "tiled", "forecast"];

/// How datasets made of others are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionSettings {
    /// Where what is known of members is kept: empty for the user's cache folder, `none` for memory alone.
    pub index_folder: String,
    /// A local file that moved within this time is left out.
    pub quiet: Duration,
    /// How long a look at local folders counts where the system does not tell of changes.
    pub recheck: Duration,
    /// How long a look at an object store counts.
    pub recheck_remote: Duration,
    /// Snapshots that are kept under their versions ...
    pub snapshots: usize,
    /// ... for so long after the next was made.
    pub snapshots_for: Duration,
    /// How long the first look at all members may take.
    pub first_look: Duration,
    /// Members held open.
    pub open_members: u64,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        let CollectionOptions {
            index: _,
            quiet,
            recheck,
            recheck_remote,
            snapshots,
            snapshots_for,
            first_look,
            open_members,
        } = CollectionOptions::default();
        Self {
            index_folder: String::new(),
            quiet,
            recheck,
            recheck_remote,
            snapshots,
            snapshots_for,
            first_look,
            open_members,
        }
    }
}

impl CollectionSettings {
    /// Where files of the program's own are kept, if they are.
    pub fn files(&self) -> Option<KeptFiles> {
        let folder = match self.index_folder.as_str() {
            "none" => None,
            "" => cache_folder(),
            folder => Some(PathBuf::from(folder)),
        };
        folder.map(KeptFiles::new)
    }

    /// As `handlers` takes them.
    pub fn options(&self) -> CollectionOptions {
        CollectionOptions {
            index: self.files(),
            quiet: self.quiet,
            recheck: self.recheck,
            recheck_remote: self.recheck_remote,
            snapshots: self.snapshots,
            snapshots_for: self.snapshots_for,
            first_look: self.first_look,
            open_members: self.open_members,
        }
    }
}

/// Where a user's programs keep what they can make anew (the XDG base directories).
fn cache_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(base.join("thalweg"))
}

impl Value {
    pub(super) fn datasets(&self) -> Result<Vec<Configured>, String> {
        const EXPECTED: &str = "expected [[dataset]] tables";
        let Self::List(tables) = self else { return Err(EXPECTED.to_owned()) };
        let mut datasets: Vec<Configured> = Vec::with_capacity(tables.len());
        for table in tables {
            let Self::Table(entries) = table else { return Err(EXPECTED.to_owned()) };
            let dataset = dataset(entries)?;
            if let Some(other) = datasets.iter().find(|other| other.name == dataset.name) {
                let (one, two) = (made_of(&other.definition), made_of(&dataset.definition));
                return Err(format!("name: both {one} and {two} are called '{}'", dataset.name));
            }
            datasets.push(dataset);
        }
        Ok(datasets)
    }
}

/// A few words for what a dataset is made of.
fn made_of(definition: &Definition) -> String {
    match definition {
        Definition::Document(path) => format!("the document {path}"),
        Definition::Made(netcdf) => {
            let aggregation = netcdf.aggregation.as_ref();
            let scan = aggregation.and_then(|a| a.scans.first());
            let first = aggregation.and_then(|a| a.members.first()).and_then(|m| m.location.as_deref());
            match scan {
                Some(scan) => match &scan.glob {
                    Some(glob) => {
                        format!("the files {}{glob}", prefix(&scan.location))
                    }
                    None => format!("the folder {}", scan.location),
                },
                None => format!("the list that begins with {}", first.unwrap_or_default()),
            }
        }
    }
}

fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) }
}

/// What a table says, before it is known whether it says enough.
#[derive(Debug, Default)]
struct Said {
    name: Option<DatasetName>,
    title: Option<String>,
    glob: Option<String>,
    list: Vec<String>,
    scan: Option<String>,
    ncml: Option<String>,
    suffix: Option<String>,
    subfolders: Option<bool>,
    older_than: Option<Duration>,
    date_format_mark: Option<String>,
    join: Option<String>,
    kind: Option<String>,
    dimension: Option<String>,
    view: Option<ForecastView>,
    variables: Vec<String>,
    recheck: Option<Duration>,
}

fn dataset(entries: &[(String, Value)]) -> Result<Configured, String> {
    let mut said = Said::default();
    for (key, value) in entries {
        said.hear(key, value).map_err(|message| format!("{key}: {message}"))?;
    }
    let name = said.name.clone().ok_or("name is missing: what it is called, such as \"sst\"")?;
    let definition = said.definition()?;
    Ok(Configured { name, definition })
}

impl Said {
    fn hear(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "name" => {
                let text = value.text()?;
                let name = DatasetName::new(text.trim_matches('/'));
                let name = name.map_err(|e| format!("'{text}' cannot be in a URL: {}", e.message()))?;
                if name.is_top() {
                    return Err("expected a name such as \"sst\"".to_owned());
                }
                self.name = Some(name);
            }
            "title" => self.title = value.text_if_set()?,
            "glob" => self.glob = Some(value.text()?),
            "list" => self.list = value.texts()?,
            "scan" => self.scan = Some(value.text()?),
            DOCUMENT => self.ncml = Some(value.text()?),
            "suffix" => self.suffix = value.text_if_set()?,
            "subfolders" => self.subfolders = Some(value.flag()?),
            "older_than" => self.older_than = Some(value.duration()?),
            "date_format_mark" => self.date_format_mark = value.text_if_set()?,
            "join" => self.join = value.text_if_set()?,
            "type" => self.kind = Some(value.text()?),
            "dimension" => self.dimension = value.text_if_set()?,
            "view" => self.view = Some(view(&value.text()?)?),
            "variables" => self.variables = value.texts()?,
            "recheck" => self.recheck = Some(value.duration()?),
            _ => {
                let known = KEYS.iter().chain([&DOCUMENT]);
                let near = known.min_by_key(|known| strsim::damerau_levenshtein(known, key));
                return Err(format!("there is no such key (did you mean '{}'?)", near.unwrap_or(&"name")));
            }
        }
        Ok(())
    }

    fn definition(self) -> Result<Definition, String> {
        let given = [self.glob.is_some(), !self.list.is_empty(), self.scan.is_some(), self.ncml.is_some()];
        if given.into_iter().filter(|g| *g).count() != 1 {
            return Err("one of glob, list, scan and ncml says what it is made of".to_owned());
        }
        if let Some(document) = self.ncml {
            let others = [self.join.is_some(), self.kind.is_some(), self.dimension.is_some()];
            if others.contains(&true) {
                return Err(
                    "ncml: the document says how members become one; leave join, type and dimension \
                            out"
                    .to_owned(),
                );
            }
            return Ok(Definition::Document(document));
        }
        let join = self.how()?;
        let dimension = self.dimension.or(self.join);
        if dimension.is_none() && matches!(join, Join::Existing | Join::New | Join::Tiled) {
            return Err(
                "dimension is missing: the one that members are joined along, such as \"time\"".to_owned()
            );
        }
        let scan = |location: String, glob: Option<String>, subfolders: bool| Scan {
            line: 0,
            location,
            suffix: self.suffix.clone(),
            pattern: None,
            glob,
            subfolders,
            older_than: self.older_than,
            date_format_mark: self.date_format_mark.clone(),
        };
        let scans = match (self.glob, self.scan) {
            (Some(glob), _) => {
                let (folder, rest) = literal(&glob);
                vec![scan(folder, Some(rest), true)]
            }
            (_, Some(folder)) => vec![scan(folder, None, self.subfolders.unwrap_or(true))],
            _ => Vec::new(),
        };
        let member = |location: String| Netcdf { location: Some(location), ..Netcdf::default() };
        let mut netcdf = Netcdf {
            aggregation: Some(Aggregation {
                line: 0,
                join,
                dimension,
                recheck: self.recheck,
                time_units_change: true,
                variables: self.variables,
                promote: Vec::new(),
                cache: Vec::new(),
                scans,
                members: self.list.into_iter().map(member).collect(),
            }),
            ..Netcdf::default()
        };
        netcdf.edits.attributes.extend(self.title.map(|title| AttributeEdit {
            line: 0,
            name: "title".to_owned(),
            org_name: None,
            data_type: None,
            value: Some(title),
            separator: None,
        }));
        Ok(Definition::Made(Box::new(netcdf)))
    }

    /// How members become one.
    fn how(&self) -> Result<Join, String> {
        let Some(kind) = &self.kind else {
            if self.view.is_some() {
                return Ok(Join::Forecast(self.view.clone().unwrap_or(ForecastView::Best)));
            }
            return match &self.join {
                Some(_) => Ok(Join::Existing),
                None => {
                    Err("join is missing: the dimension that members are joined along, such as \"time\" \
                             (or type = \"union\")"
                        .to_owned())
                }
            };
        };
        match kind.as_str() {
            "union" => Ok(Join::Union),
            "joinExisting" => Ok(Join::Existing),
            "joinNew" => Ok(Join::New),
            "tiled" => Ok(Join::Tiled),
            "forecast" => Ok(Join::Forecast(self.view.clone().unwrap_or(ForecastView::Best))),
            other => {
                let near = TYPES.iter().min_by_key(|known| strsim::damerau_levenshtein(known, other));
                let list = TYPES.join(", ");
                let near = near.unwrap_or(&"union");
                Err(format!("type: '{other}' is none of {list} (did you mean '{near}'?)"))
            }
        }
    }
}

/// What is shown of forecast runs, as in the configuration.
fn view(text: &str) -> Result<ForecastView, String> {
    let (word, of) = text.split_once(' ').map_or((text, None), |(word, of)| (word, Some(of.trim())));
    match (word, of) {
        ("best", None) => Ok(ForecastView::Best),
        ("two-time", None) => Ok(ForecastView::TwoTime),
        ("run", of) => Ok(ForecastView::Run(of.map(Into::into))),
        ("offset", Some(hours)) => Ok(ForecastView::Offset(hours.into())),
        ("valid", Some(time)) => Ok(ForecastView::ConstantForecast(time.into())),
        _ => Err(format!(
            "'{text}' is none of \"best\", \"two-time\", \"run\" (the newest), \"run 2025-03-31T00:00:00Z\", \
             \"offset 6\" (hours) and \"valid 2025-03-31T12:00:00Z\""
        )),
    }
}

/// The folders of a glob that stand for themselves, and the rest.
fn literal(glob: &str) -> (String, String) {
    let is_plain = |part: &str| !part.contains(['*', '?', '[', '{', '\\']);
    let (mut folder, mut rest) = ("", glob);
    for (at, _) in glob.match_indices('/') {
        let (before, after) = (glob.get(..at).unwrap_or_default(), glob.get(at + 1..).unwrap_or_default());
        if !is_plain(before) {
            break;
        }
        (folder, rest) = (before, after);
    }
    let folder = if folder.is_empty() && glob.starts_with('/') { "/" } else { folder };
    (folder.to_owned(), rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn one(text: &str) -> Configured {
        let config = parse("t.toml", &format!("[[dataset]]\nname = \"a/sst\"\n{text}")).unwrap();
        config.datasets.into_iter().next().unwrap()
    }

    fn aggregation(text: &str) -> Aggregation {
        let Definition::Made(netcdf) = one(text).definition else { panic!("a document") };
        netcdf.aggregation.unwrap()
    }

    #[test]
    fn datasets_are_tables() {
        let joined = aggregation("glob = \"sst/20*/x_*.nc\"\njoin = \"time\"\nrecheck = \"5 min\"");
        assert_eq!((&joined.join, joined.dimension.as_deref()), (&Join::Existing, Some("time")));
        assert_eq!(
            (&*joined.scans[0].location, joined.scans[0].glob.as_deref()),
            ("sst", Some("20*/x_*.nc"))
        );
        assert_eq!(joined.recheck, Some(Duration::from_secs(300)));
        let new = aggregation(
            "scan = \"/data/x\"\ntype = \"joinNew\"\ndimension = \"run\"\nvariables = [\"t\"]\n\
             suffix = \".nc\"\nsubfolders = false\ndate_format_mark = \"#x_#yyyyMMdd\"",
        );
        assert_eq!(
            (&new.join, new.dimension.as_deref(), &*new.variables),
            (&Join::New, Some("run"), &["t".into()][..])
        );
        assert_eq!((&*new.scans[0].location, new.scans[0].subfolders), ("/data/x", false));
        let union = aggregation("list = [\"a.nc\", \"b.nc\"]\ntype = \"union\"");
        assert_eq!((union.join, union.members.len()), (Join::Union, 2));
        let best = aggregation("scan = \"gfs\"\ntype = \"forecast\"");
        assert_eq!(best.join, Join::Forecast(ForecastView::Best));
        let run = aggregation("scan = \"gfs\"\nview = \"run 2025-03-31\"");
        assert_eq!(run.join, Join::Forecast(ForecastView::Run(Some("2025-03-31".into()))));
        assert_eq!(one("ncml = \"x.ncml\"").definition, Definition::Document("x.ncml".to_owned()));
        let Definition::Made(titled) = one("glob = \"*\"\njoin = \"t\"\ntitle = \"Sea\"").definition else {
            panic!("a document")
        };
        assert_eq!(titled.edits.attributes[0].value.as_deref(), Some("Sea"));
    }

    #[test]
    fn globs_are_taken_apart() {
        let check = |glob: &str, folder: &str, rest: &str| {
            assert_eq!(literal(glob), (folder.to_owned(), rest.to_owned()), "{glob}");
        };
        check("*.nc", "", "*.nc");
        check("a/b/c.nc", "a/b", "c.nc");
        check("a/**/c.nc", "a", "**/c.nc");
        check("/data/x*/y", "/data", "x*/y");
        check("/*.nc", "/", "*.nc");
        check("s3://bucket/p/*.nc", "s3://bucket/p", "*.nc");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let check = |text: &str, expect: &str| {
            let text = format!("[[dataset]]\n{text}");
            let error = parse("t.toml", &text).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("glob = \"*.nc\"\njoin = \"time\"", "name is missing");
        check("name = \"x\"\njoin = \"time\"", "one of glob, list, scan and ncml");
        check(
            "name = \"x\"\nglob = \"*.nc\"\njoim = \"t\"",
            "t.toml:4: dataset: joim: there is no such key (did you mean 'join'?)",
        );
        check("name = \"x\"\nglob = \"*.nc\"", "join is missing");
        check("name = \"x\"\nglob = \"*.nc\"\ntype = \"joinNew\"", "dimension is missing");
        check("name = \"x\"\nglob = \"*.nc\"\ntype = \"joinExistin\"", "did you mean 'joinExisting'?");
        check("name = \"../x\"\nglob = \"*.nc\"", "cannot be in a URL");
        check("name = \"x\"\nncml = \"a\"\njoin = \"t\"", "the document says how");
        check("name = \"x\"\nglob = \"*.nc\"\nview = \"worst\"", "'worst' is none of");
        check(
            "name = \"x\"\nglob = \"a/*.nc\"\njoin = \"t\"\n[[dataset]]\nname = \"x/\"\nscan = \"b\"\njoin = \"t\"",
            "both the files a/*.nc and the folder b are called 'x'",
        );
        for key in KEYS.iter().chain([&DOCUMENT]) {
            let heard = Said::default().hear(key, &Value::Other("a float"));
            assert!(!heard.unwrap_err().contains("no such key"), "{key}");
        }
    }
}
