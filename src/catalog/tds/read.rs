//! Reads the catalogs of a content folder: which there are, what they serve, and how they are shown again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
};

use cdm::{Error, Result};
use handlers::{
    storage::{EntryKind, LocalRoot, Part, Store, Symlinks, is_store_url},
    xml::{self, Element},
};

use super::{At, Content, Document, Problem, elements::Node, walk::Walk};
use crate::catalog::DatasetName;

/// Bytes of a catalog, and catalogs in all.
const LARGEST: u64 = 16 << 20;
const MOST_DOCUMENTS: usize = 10_000;

/// The content folder `folder`: the one with `catalog.xml` in it, or the one above. Symlinks lead out of it where `links`
/// says.
///
/// # Errors
/// `NotFound` when there is no such folder or no catalog in it. What is wrong with a catalog is among the
/// problems, and the others are read.
pub async fn read(folder: &Path, links: &Symlinks) -> Result<Content> {
    let mut base = folder.to_owned();
    let mut store = LocalRoot::open(&base)?.following(links.clone());
    if store.stat("catalog.xml").await.is_err() {
        base = folder.join("thredds");
        let missing = |_| Error::not_found(format!("there is no catalog.xml in {}", folder.display()));
        store = LocalRoot::open(&base).map_err(missing)?.following(links.clone());
        store.stat("catalog.xml").await.map_err(missing)?;
    }
    let public = LocalRoot::open(&base.join("public")).is_ok();
    let mut reader = Reader {
        store,
        found: Content::default(),
        waiting: VecDeque::new(),
        seen: HashSet::new(),
        places: Places { base, public },
        services: HashMap::new(),
    };
    reader.found.files.push(reader.places.base.join("threddsConfig.xml"));
    reader.ask_for("catalog.xml".to_owned(), None);
    reader.settings().await?;
    while let Some((path, from)) = reader.waiting.pop_front() {
        reader.document(&path, from.as_ref()).await;
    }
    Ok(reader.found)
}

/// How `location`s lead to places.
#[derive(Debug)]
pub(super) struct Places {
    base: PathBuf,
    /// There is a folder `public`, which `content/` stands for.
    public: bool,
}

pub(super) struct Reader {
    store: LocalRoot,
    pub(super) found: Content,
    waiting: VecDeque<(String, Option<At>)>,
    seen: HashSet<String>,
    pub(super) places: Places,
    /// Services of the first catalog, which the others may name too.
    pub(super) services: HashMap<String, super::walk::Service>,
}

impl Reader {
    /// Reads the catalog at `path` too, once.
    pub(super) fn ask_for(&mut self, path: String, from: Option<At>) {
        if self.seen.len() < MOST_DOCUMENTS && self.seen.insert(path.clone()) {
            self.found.files.push(self.places.base.join(&path));
            self.waiting.push_back((path, from));
        }
    }

    /// `threddsConfig.xml`, of which the further catalogs matter here.
    async fn settings(&mut self) -> Result<()> {
        const FILE: &str = "threddsConfig.xml";
        let at = At { file: FILE.into(), line: 1 };
        let Some(text) = self.text(FILE).await? else { return Ok(()) };
        match xml::parse(&text) {
            Ok(root) => {
                for element in root.all("catalogRoot") {
                    let at = At { file: FILE.into(), line: element.line };
                    self.ask_for(element.text.trim().to_owned(), Some(at));
                }
            }
            Err(fault) => {
                let what = fault.error.message().to_owned();
                let consequence = "the catalogs that it names (catalogRoot) are not served";
                self.problem(&At { line: fault.line, ..at }, what, consequence, "mend the XML");
            }
        }
        Ok(())
    }

    async fn text(&self, path: &str) -> Result<Option<String>> {
        let found = self.store.open(path, Part::Whole { at_most: LARGEST }).await?;
        Ok(found.map(|(_, bytes)| xml::text(&bytes).into_owned()))
    }

    async fn document(&mut self, path: &str, from: Option<&At>) {
        let at = from.cloned().unwrap_or(At { file: path.into(), line: 1 });
        let text = match self.text(path).await {
            Ok(Some(text)) => text,
            Ok(None) => {
                let what = format!("there is no catalog {path}");
                return self.problem(
                    &at,
                    what,
                    "its datasets are not served",
                    "correct the reference or add the file",
                );
            }
            Err(e) => {
                let what = format!("the catalog {path} cannot be read: {}", e.message());
                return self.problem(
                    &at,
                    what,
                    "its datasets are not served",
                    "see that it may be read and lies in the content folder",
                );
            }
        };
        let root = match xml::parse(&text) {
            Ok(root) => root,
            Err(fault) => {
                let at = At { file: path.into(), line: fault.line };
                let what = fault.error.message().to_owned();
                return self.problem(
                    &at,
                    what,
                    "this catalog's datasets are not served; those of the others are",
                    "mend the XML",
                );
            }
        };
        if root.name != "catalog" {
            let at = At { file: path.into(), line: root.line };
            let what = format!("<{}> where <catalog> is expected", root.name);
            return self.problem(&at, what, "its datasets are not served", "refer to a THREDDS catalog");
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut walk = Walk::new(self, path, folder);
        let mut content = walk.catalog(&root);
        self.scanned(path, &root, &mut content).await;
        let title = root.attribute("name").unwrap_or(path).to_owned();
        self.found.documents.insert(path.to_owned(), Document { title, content });
    }

    /// `catalogScan`: the catalogs of a folder.
    async fn scanned(&mut self, path: &str, root: &Element<'_>, content: &mut Vec<Node>) {
        for element in root.all("catalogScan") {
            let at = At { file: path.into(), line: element.line };
            let location = element.attribute("location").unwrap_or_default().trim_matches('/').to_owned();
            let entries = match self.store.list(&location).await {
                Ok(entries) => entries,
                Err(e) => {
                    let what = format!("the folder of catalogs {location} cannot be read: {}", e.message());
                    self.problem(&at, what, "its catalogs are not served", "correct the location");
                    continue;
                }
            };
            for entry in entries {
                let is_catalog =
                    Path::new(&*entry.name).extension().is_some_and(|e| e.eq_ignore_ascii_case("xml"));
                if is_catalog && matches!(entry.kind, EntryKind::File { .. }) {
                    let below = format!("{location}/{}", entry.name);
                    content.push(reference(&below, &entry.name));
                    self.ask_for(below, Some(at.clone()));
                }
            }
        }
    }

    pub(super) fn problem(&mut self, at: &At, what: String, consequence: &str, fix: &str) {
        self.tell(at, true, what, consequence, fix);
    }

    pub(super) fn tell(&mut self, at: &At, is_error: bool, what: String, consequence: &str, fix: &str) {
        self.found.problems.push(Problem {
            place: format!("{}:{}", at.file, at.line),
            is_error,
            what,
            consequence: consequence.to_owned(),
            fix: fix.to_owned(),
        });
    }
}

/// A `catalogRef` to the catalog at `path` in the content folder, or to a generated one.
pub(super) fn reference(path: &str, title: &str) -> Node {
    let href = format!("/thredds/catalog/{}", crate::catalog::encode_path(path));
    Node::new("catalogRef").with("xlink:href", href).with("xlink:title", title).with("name", "")
}

impl Places {
    /// The place that `location` names.
    ///
    /// # Errors
    /// What is not understood, with what to write instead.
    pub(super) fn resolve(&self, location: &str) -> std::result::Result<PathBuf, (String, &'static str)> {
        let location = location.trim();
        let location = location.strip_prefix("file:").unwrap_or(location);
        let root = self.base.parent().unwrap_or(&self.base).to_string_lossy().into_owned();
        let location = location.replace("${tds.content.root.path}", &root);
        if location.is_empty() {
            return Err(("without a location".to_owned(), "add location=\"/path/of/the/data\""));
        }
        if location.contains("${") {
            return Err((
                format!("the location {location} has an alias that is not known"),
                "write the path in full",
            ));
        }
        if let Some(rest) = location.strip_prefix("content/") {
            let folder = if self.public { self.base.join("public") } else { self.base.clone() };
            return Ok(folder.join(rest));
        }
        if is_store_url(&location) {
            return Ok(PathBuf::from(location));
        }
        if location.contains("://") || location.starts_with("cdms3:") {
            let fix = "name a folder, or a URL such as s3://bucket/prefix";
            return Err((format!("the location {location} is of a kind that is not known"), fix));
        }
        Ok(self.base.join(location))
    }
}

/// `path` as a dataset's name.
pub(super) fn dataset_name(path: &str) -> Result<DatasetName> {
    let name = DatasetName::new(path.trim().trim_matches('/'))?;
    if name.is_top() { Err(Error::bad_request("an empty path")) } else { Ok(name) }
}

/// `href` beside a document in `folder`: the path in the content folder; `None` when it leads out of it.
pub(super) fn beside(folder: &str, href: &str) -> Option<String> {
    let mut components: Vec<&str> = folder.split('/').filter(|c| !c.is_empty()).collect();
    for component in href.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

/// Shared text of a file's name.
pub(super) fn file(path: &str) -> Arc<str> {
    path.into()
}
