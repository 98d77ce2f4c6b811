//! The objects of a file as a tree: groups with the datasets, named types and attributes in them.
//!
//! HDF5's links form a graph. Here each group appears once, where a hard link leads to it first in
//! netCDF-C's order (links of a group before those of its child groups); a dataset appears under every
//! name it has, soft links included, as in netCDF-C. Left out, with a warning in the log: links to
//! other files, links that lead nowhere, soft links to groups, and names no path can express.

use std::sync::Arc;

use cdm::{Error, FullName, Result};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::format::{DatasetInfo, Datatype, File, LinkTarget, NodeKind, RawAttribute};

/// Groups may nest this deep.
const MAX_DEPTH: usize = 256;
/// Soft links followed to resolve one path.
const MAX_SOFT_LINKS: usize = 32;
/// Components of one soft link's path.
const MAX_COMPONENTS: usize = 1024;

/// A dataset under one of its names.
#[derive(Debug, Clone)]
pub(super) struct DatasetDraft {
    pub(super) name: Arc<str>,
    pub(super) address: u64,
    pub(super) info: Arc<DatasetInfo>,
    pub(super) attributes: Arc<Vec<RawAttribute>>,
}

impl DatasetDraft {
    /// The attribute called `name`.
    pub(super) fn attribute(&self, name: &str) -> Option<&RawAttribute> {
        self.attributes.iter().find(|a| *a.name == *name)
    }
}

/// A committed datatype.
#[derive(Debug, Clone)]
pub(super) struct NamedType {
    pub(super) name: Arc<str>,
    pub(super) address: u64,
    pub(super) datatype: Datatype,
}

/// A group; its children come after it in [`Tree::groups`].
#[derive(Debug)]
pub(super) struct GroupDraft {
    pub(super) address: u64,
    pub(super) name: FullName,
    pub(super) parent: Option<usize>,
    pub(super) children: Vec<usize>,
    pub(super) attributes: Vec<RawAttribute>,
    pub(super) datasets: Vec<DatasetDraft>,
    pub(super) types: Vec<NamedType>,
    /// Names of all its links.
    pub(super) members: Vec<Arc<str>>,
    depth: usize,
}

/// All groups, and where they and the datasets are found by address.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) groups: Vec<GroupDraft>,
    /// Group indices in the order in which netCDF-C reads them: a group before its children.
    pub(super) order: Vec<usize>,
    /// The first path to each object.
    pub(super) paths: HashMap<u64, FullName>,
}

type Members = Arc<HashMap<Arc<str>, LinkTarget>>;

struct Walk<'a> {
    file: &'a File,
    groups: Vec<GroupDraft>,
    /// The objects met so far, by address.
    met: HashMap<u64, Met>,
    members: HashMap<u64, Members>,
}

/// An object that a link led to.
struct Met {
    /// The first path to it.
    path: FullName,
    what: What,
}

enum What {
    Group,
    NamedType,
    Dataset {
        info: Arc<DatasetInfo>,
        attributes: Arc<Vec<RawAttribute>>,
        /// A hard link led to it.
        is_hard: bool,
    },
}

impl Tree {
    /// Reads every object that links lead to.
    pub(super) fn read(file: &File) -> Result<Self> {
        let mut walk = Walk { file, groups: Vec::new(), met: HashMap::new(), members: HashMap::new() };
        walk.add_group(file.root(), FullName::root(), None)?;
        let mut order = Vec::new();
        let mut waiting = vec![0];
        while let Some(at) = waiting.pop() {
            walk.read_group(at)?;
            order.push(at);
            waiting.extend(walk.groups[at].children.iter().rev());
        }
        let paths = walk.met.into_iter().map(|(address, met)| (address, met.path)).collect();
        Ok(Self { groups: walk.groups, order, paths })
    }
}

impl Walk<'_> {
    fn add_group(&mut self, address: u64, name: FullName, parent: Option<usize>) -> Result<()> {
        let depth = parent.map_or(0, |p| self.groups[p].depth + 1);
        if depth > MAX_DEPTH {
            return Err(Error::unsupported(format!("groups nest deeper than {MAX_DEPTH}")));
        }
        let index = self.groups.len();
        self.met.insert(address, Met { path: name.clone(), what: What::Group });
        self.groups.push(GroupDraft {
            address,
            name,
            parent,
            children: Vec::new(),
            attributes: Vec::new(),
            datasets: Vec::new(),
            types: Vec::new(),
            members: Vec::new(),
            depth,
        });
        if let Some(parent) = parent {
            self.groups[parent].children.push(index);
        }
        Ok(())
    }

    fn read_group(&mut self, at: usize) -> Result<()> {
        let (address, group) = (self.groups[at].address, self.groups[at].name.clone());
        self.groups[at].attributes = self.file.attributes(address)?;
        let links = self.file.links(address)?;
        let mut names = HashSet::with_capacity(links.len());
        self.met.reserve(links.len());
        for link in links {
            let name = link.name;
            if name.is_empty() || name.contains('/') || !names.insert(Arc::clone(&name)) {
                tracing::warn!(%group, name = &*name, "a link is left out: its name cannot be part of a path");
                continue;
            }
            let soft = matches!(link.target, LinkTarget::Soft(_));
            let Some(target) = self.resolve(address, &link.target)? else {
                tracing::warn!(%group, name = &*name, target = ?link.target, "a link is left out: it leads nowhere, or out of the file");
                continue;
            };
            self.groups[at].members.push(Arc::clone(&name));
            self.add(at, name, target, soft)?;
        }
        Ok(())
    }

    fn add(&mut self, at: usize, name: Arc<str>, address: u64, soft: bool) -> Result<()> {
        let full = self.groups[at].name.join(&name);
        let (info, attributes) = match self.met.get_mut(&address) {
            Some(Met { what: What::Group, .. }) => return Ok(()),
            Some(Met { what: What::Dataset { info, attributes, is_hard }, path }) => {
                // A hard link's path is the object's, whatever soft link was met before it.
                if !soft && !std::mem::replace(is_hard, true) {
                    *path = full;
                }
                (Arc::clone(info), Arc::clone(attributes))
            }
            Some(Met { what: What::NamedType, .. }) | None => {
                let node = self.file.object(address).map_err(|e| e.within(&full))?;
                match node.kind {
                    NodeKind::Group if soft => return Ok(()),
                    NodeKind::Group => return self.add_group(address, full, Some(at)),
                    NodeKind::NamedType(datatype) => {
                        self.met.entry(address).or_insert(Met { path: full, what: What::NamedType });
                        self.groups[at].types.push(NamedType { name, address, datatype });
                        return Ok(());
                    }
                    NodeKind::Dataset(info) => {
                        let attributes = self.file.attributes(address).map_err(|e| e.within(&full))?;
                        let (info, attributes) = (Arc::from(info), Arc::new(attributes));
                        let shared = (Arc::clone(&info), Arc::clone(&attributes));
                        let what = What::Dataset { info, attributes, is_hard: !soft };
                        self.met.insert(address, Met { path: full, what });
                        shared
                    }
                }
            }
        };
        self.groups[at].datasets.push(DatasetDraft { name, address, info, attributes });
        Ok(())
    }

    fn members_of(&mut self, group: u64) -> Result<Members> {
        if let Some(known) = self.members.get(&group) {
            return Ok(Arc::clone(known));
        }
        let links = self.file.links(group)?;
        let members: Members = Arc::new(links.into_iter().map(|l| (l.name, l.target)).collect());
        self.members.insert(group, Arc::clone(&members));
        Ok(members)
    }

    /// The object a link in the group at `group` leads to; `None` = nowhere in this file.
    fn resolve(&mut self, group: u64, target: &LinkTarget) -> Result<Option<u64>> {
        let mut followed = 0;
        let mut at = group;
        // What is still to be walked, last first.
        let mut path: Vec<String> = match target {
            LinkTarget::Hard(address) => return Ok(Some(*address)),
            LinkTarget::Soft(text) => self.start(&mut at, text),
            LinkTarget::External { .. } | LinkTarget::UserDefined(_) => return Ok(None),
        };
        while let Some(part) = path.pop() {
            match self.members_of(at)?.get(&*part) {
                Some(LinkTarget::Hard(address)) => at = *address,
                Some(LinkTarget::Soft(text)) => {
                    followed += 1;
                    let more = self.start(&mut at, text);
                    path.extend(more);
                }
                _ => return Ok(None),
            }
            if followed > MAX_SOFT_LINKS || path.len() > MAX_COMPONENTS {
                return Ok(None);
            }
        }
        Ok(Some(at))
    }

    /// The components of `path`, last first; an absolute one starts at the root.
    fn start(&self, at: &mut u64, path: &str) -> Vec<String> {
        if path.starts_with('/') {
            *at = self.file.root();
        }
        let parts = path.split('/').filter(|p| !p.is_empty() && *p != ".").take(MAX_COMPONENTS + 1);
        let mut parts: Vec<String> = parts.map(str::to_owned).collect();
        parts.reverse();
        parts
    }
}
