//! The nodes of a hierarchy: from consolidated metadata, or by walking the groups with one listing each.
//!
//! Knows which objects hold metadata; what they mean for values is [`super::array`]'s business.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use cdm::{Error, ErrorKind, Result, ResultExt};
use futures::{StreamExt, TryStreamExt};

use super::json::{Json, ValuesLeft};
use crate::storage::{EntryKind, Part, Place, join};

/// A document larger than this is not read.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// Bytes of all documents of one hierarchy.
const MOST_BYTES: u64 = 256 << 20;

/// Groups and arrays of one hierarchy.
const MOST_NODES: usize = 100_000;

/// Groups within groups.
const DEEPEST: usize = 64;

/// Documents read at once.
const IN_FLIGHT: usize = 16;

/// A group or an array.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Path from the root, empty for it.
    pub(super) path: String,
    /// What `zarr.json`, `.zarray` or `.zgroup` says.
    pub(super) document: Json,
    /// The attributes' object.
    pub(super) attributes: Json,
    /// Version 2 or 3.
    pub(super) format: Version,
    /// It is an array.
    pub(super) is_array: bool,
}

/// Of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `.zarray`, `.zgroup`, `.zattrs`.
    V2,
    /// `zarr.json`.
    V3,
}

/// What there is at a place.
#[derive(Debug)]
pub(super) enum Hierarchy {
    /// Nodes, parents before their children.
    Nodes(Vec<Node>),
    /// Kerchunk's metadata of references in Parquet, which are another format.
    References(Json),
}

/// The hierarchy at `place`.
pub(super) async fn read(place: &Place) -> Result<Hierarchy> {
    let mut walk = Walk { place, left: MOST_BYTES, values: Arc::default() };
    if let Some(document) = walk.document("zarr.json").await? {
        return walk.v3(document).await.map(Hierarchy::Nodes);
    }
    if let Some(document) = walk.document(".zmetadata").await? {
        if document.member("record_size").is_some() {
            return Ok(Hierarchy::References(document));
        }
        return consolidated_v2(&document).map(Hierarchy::Nodes);
    }
    let Some(root) = walk.v2_node("").await? else {
        return Err(Error::not_found(
            "there is no Zarr metadata (zarr.json, .zmetadata, .zgroup or .zarray)",
        ));
    };
    if root.is_array {
        return Ok(Hierarchy::Nodes(vec![root]));
    }
    walk.below(root).await.map(Hierarchy::Nodes)
}

struct Walk<'a> {
    place: &'a Place,
    left: u64,
    /// Of all documents.
    values: Arc<ValuesLeft>,
}

impl Walk<'_> {
    /// The document at a path from the root.
    async fn document(&mut self, path: &str) -> Result<Option<Json>> {
        let found = document(self.place, path, &self.values).await?;
        found.map(|found| self.counted(found)).transpose()
    }

    fn counted(&mut self, (json, size): (Json, u64)) -> Result<Json> {
        let left = self.left.checked_sub(size);
        self.left = left.ok_or_else(|| Error::corrupt("more metadata than any hierarchy needs"))?;
        Ok(json)
    }

    async fn v2_node(&mut self, path: &str) -> Result<Option<Node>> {
        v2_node(self.place, path, &self.values).await?.map(|(node, size)| self.node(node, size)).transpose()
    }

    fn node(&mut self, node: Node, size: u64) -> Result<Node> {
        self.counted((Json::Null, size))?;
        Ok(node)
    }

    async fn v3(&mut self, document: Json) -> Result<Vec<Node>> {
        let inline = document.member("consolidated_metadata").cloned();
        let root = v3_node("", document)?;
        if root.is_array {
            return Ok(vec![root]);
        }
        match inline.as_ref().and_then(|c| c.member("metadata")) {
            Some(metadata) => consolidated_v3(root, metadata),
            None => self.below(root).await,
        }
    }

    /// The root group and everything below it, by listings.
    async fn below(&mut self, root: Node) -> Result<Vec<Node>> {
        let mut nodes = vec![root];
        let mut at = 0;
        while let Some(group) = nodes.get(at) {
            at += 1;
            if group.is_array {
                continue;
            }
            let (path, format) = (group.path.clone(), group.format);
            if path.split('/').count() > DEEPEST {
                return Err(Error::corrupt(format!("groups are nested deeper than {DEEPEST}")));
            }
            let children = self.children(&path, format).await.within(|| format!("group /{path}"))?;
            if nodes.len() + children.len() > MOST_NODES {
                return Err(too_many());
            }
            nodes.extend(children);
        }
        Ok(nodes)
    }

    async fn children(&mut self, group: &str, format: Version) -> Result<Vec<Node>> {
        let folder = self.place.inside(group);
        let entries = self.place.store.list(&folder).await.map_err(|e| match e.kind() {
            ErrorKind::Unsupported | ErrorKind::NotFound => Error::unsupported(
                "the metadata are not consolidated, and this storage cannot list what a group holds; \
                 consolidate the metadata",
            )
            .with_source(e),
            _ => e,
        })?;
        let folders = entries.into_iter().filter(|e| matches!(e.kind, EntryKind::Directory));
        let paths: Vec<String> =
            folders.filter(|e| !e.name.starts_with('.')).map(|e| join(group, &e.name)).collect();
        if paths.len() > MOST_NODES {
            return Err(too_many());
        }
        let (place, values) = (self.place, Arc::clone(&self.values));
        let values = &values;
        let reads = paths.into_iter().map(|path| async move {
            match format {
                Version::V2 => v2_node(place, &path, values).await,
                Version::V3 => {
                    let found = document(place, &join(&path, "zarr.json"), values).await?;
                    found.map(|(json, size)| Ok((v3_node(&path, json)?, size))).transpose()
                }
            }
        });
        let reads: Vec<_> = reads.collect();
        let mut found = futures::stream::iter(reads).buffered(IN_FLIGHT);
        let mut children = Vec::new();
        while let Some(child) = found.try_next().await? {
            if let Some((node, size)) = child {
                children.push(self.node(node, size)?);
            }
        }
        Ok(children)
    }
}

fn too_many() -> Error {
    Error::corrupt(format!("the hierarchy holds more than {MOST_NODES} groups and arrays"))
}

/// A document and its size.
async fn document(place: &Place, path: &str, values: &Arc<ValuesLeft>) -> Result<Option<(Json, u64)>> {
    let part = Part::Whole { at_most: LARGEST_DOCUMENT };
    let found = place.store.open(&place.inside(path), part).await.within(|| path.to_owned())?;
    let Some((_, bytes)) = found else { return Ok(None) };
    let size = bytes.len() as u64;
    let values = Arc::clone(values);
    let parse = move || Json::parse_within(&bytes, &values);
    let json = if size > 64 << 10 { crate::storage::blocking(parse).await } else { parse() };
    Ok(Some((json.within(|| path.to_owned())?, size)))
}

/// The array or group of version 2 at `path`, and the bytes of its documents.
async fn v2_node(place: &Place, path: &str, values: &Arc<ValuesLeft>) -> Result<Option<(Node, u64)>> {
    let (array, group, attributes) = (join(path, ".zarray"), join(path, ".zgroup"), join(path, ".zattrs"));
    let first =
        futures::future::try_join(document(place, &array, values), document(place, &attributes, values));
    let (array, attributes) = first.await?;
    let (attributes, size) = attributes.unwrap_or((Json::Object(Vec::new()), 0));
    let is_array = array.is_some();
    let found = match array {
        Some(found) => Some(found),
        None => document(place, &group, values).await?,
    };
    let Some((document, own)) = found else { return Ok(None) };
    let format = Version::V2;
    Ok(Some((Node { path: path.to_owned(), document, attributes, format, is_array }, size + own)))
}

fn v3_node(path: &str, document: Json) -> Result<Node> {
    let shown = || format!("/{path}");
    match document.member("zarr_format").and_then(Json::size) {
        Some(3) => {}
        Some(n) => return Err(Error::unsupported(format!("Zarr format {n}")).within(shown())),
        None => return Err(Error::corrupt("zarr.json names no format").within(shown())),
    }
    let is_array = match document.member("node_type").and_then(Json::text) {
        Some("array") => true,
        Some("group") => false,
        _ => return Err(Error::corrupt("neither an array nor a group").within(shown())),
    };
    let attributes = document.member("attributes").cloned().unwrap_or(Json::Object(Vec::new()));
    Ok(Node { path: path.to_owned(), document, attributes, format: Version::V3, is_array })
}

fn consolidated_v3(root: Node, metadata: &Json) -> Result<Vec<Node>> {
    let mut nodes = vec![root];
    for (path, document) in metadata.members() {
        nodes.push(v3_node(checked(path)?, document.clone())?);
    }
    in_order(nodes)
}

pub(super) fn consolidated_v2(document: &Json) -> Result<Vec<Node>> {
    let metadata = document.member("metadata");
    let metadata = metadata.ok_or_else(|| Error::corrupt(".zmetadata holds no metadata"))?;
    let attributes: std::collections::HashMap<&str, &Json> = metadata
        .members()
        .iter()
        .map(|(key, value)| (split(key), value))
        .filter(|((_, name), _)| *name == ".zattrs")
        .map(|((path, _), value)| (path, value))
        .collect();
    let mut nodes = Vec::new();
    for (key, value) in metadata.members() {
        let (path, name) = split(key);
        if name == ".zarray" || name == ".zgroup" {
            let attributes = attributes.get(path).map_or(Json::Object(Vec::new()), |a| (*a).clone());
            nodes.push(Node {
                path: checked(path)?.to_owned(),
                document: value.clone(),
                attributes,
                format: Version::V2,
                is_array: name == ".zarray",
            });
        }
    }
    if !nodes.iter().any(|n| n.path.is_empty()) {
        let (document, attributes) = (Json::Object(Vec::new()), Json::Object(Vec::new()));
        let root = Node { path: String::new(), document, attributes, format: Version::V2, is_array: false };
        nodes.push(root);
    }
    in_order(nodes)
}

/// A key as a path and what is kept there: `a/b/.zarray`, `.zgroup`.
fn split(key: &str) -> (&str, &str) {
    let key = key.trim_start_matches('/');
    key.rsplit_once('/').unwrap_or(("", key))
}

/// A path that is one: no component is empty, leads elsewhere, or is hidden, as groups that are walked have
/// none that is.
fn checked(path: &str) -> Result<&str> {
    let path = path.trim_matches('/');
    let fine = path.is_empty() || path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if !fine || path.split('/').count() > DEEPEST {
        return Err(Error::corrupt(format!("the consolidated metadata name {path:?}")));
    }
    Ok(path)
}

/// Parents before children, otherwise in document order; a group that is only implied is added.
fn in_order(nodes: Vec<Node>) -> Result<Vec<Node>> {
    if nodes.len() > MOST_NODES {
        return Err(too_many());
    }
    let mut known: std::collections::HashSet<String> = nodes.iter().map(|n| n.path.clone()).collect();
    let mut all = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut path = node.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            if known.insert(parent.to_owned()) {
                all.push(Node {
                    path: parent.to_owned(),
                    document: Json::Object(Vec::new()),
                    attributes: Json::Object(Vec::new()),
                    format: node.format,
                    is_array: false,
                });
            }
            path = parent;
        }
        all.push(node);
    }
    if all.len() > MOST_NODES {
        return Err(too_many());
    }
    all.sort_by_key(|n| if n.path.is_empty() { 0 } else { n.path.split('/').count() });
    Ok(all)
}
