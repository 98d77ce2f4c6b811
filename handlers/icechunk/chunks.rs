//! Chunk keys of the hierarchy to what the manifests say of them.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use cdm::{Error, Result};
use futures::{StreamExt, TryStreamExt};

use super::{
    manifest::{Checksum, ChunkRef},
    manifests::Manifests,
    object_id::ObjectId,
    snapshot::{Node, Snapshot},
};
use crate::{
    chunked::ChunkLocation,
    references::Targets,
    storage::{
        Object, Place, join,
        lazy::{Known, LazyObject},
    },
    zarr::ChunkKeys,
};

/// Manifests that are read at the same time.
const IN_FLIGHT: usize = 4;

/// The chunks of one snapshot of a repository.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) place: Place,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) manifests: Arc<Manifests>,
    /// The repository's number there.
    pub(super) repository: u64,
    /// What virtual chunks lead to.
    pub(super) targets: Targets,
}

#[async_trait]
impl ChunkKeys for Chunks {
    async fn locate(&self, keys: &[String]) -> Result<Vec<Option<ChunkLocation>>> {
        // The chunks wanted of each array, with their places in the answer.
        let mut wanted: HashMap<&str, Vec<(usize, Vec<u32>)>> = HashMap::new();
        for (i, key) in keys.iter().enumerate() {
            let (node, chunk) = self.chunk(key)?;
            wanted.entry(node).or_default().push((i, chunk));
        }
        let mut found = vec![None; keys.len()];
        let mut objects = HashMap::new();
        for (path, chunks) in wanted {
            let Some(node) = self.snapshot.nodes.get(path) else { continue };
            for (i, reference) in self.references(node, chunks).await? {
                if let Some(slot) = found.get_mut(i) {
                    *slot = Some(self.location(reference, &mut objects).await?);
                }
            }
        }
        Ok(found)
    }
}

impl Chunks {
    /// A key as the path of an array and a position in its chunk grid: `a/b/c/0/1`, or, with the other way
    /// of naming chunks, `a/b/0.1`.
    fn chunk<'k>(&self, key: &'k str) -> Result<(&'k str, Vec<u32>)> {
        let unknown = || Error::internal(format!("{key} is not the key of a chunk"));
        let inside = match &*self.place.path {
            "" => key,
            top => key.strip_prefix(top).and_then(|rest| rest.strip_prefix('/')).ok_or_else(unknown)?,
        };
        // An array holds no other nodes: the longest path that is one is the array's.
        let mut end = inside.len();
        let (path, axes) = loop {
            let path = inside.get(..end).ok_or_else(unknown)?;
            if let Some(axes) = self.snapshot.nodes.get(path).and_then(|node| node.axes) {
                break (path, axes);
            }
            end = match path.rfind('/') {
                Some(slash) => slash,
                None if end > 0 => 0,
                None => return Err(unknown()),
            };
        };
        let rest = inside.get(path.len()..).ok_or_else(unknown)?.trim_start_matches('/');
        let numbers = rest.strip_prefix('c').unwrap_or(rest);
        let parts = numbers.split(['/', '.']).filter(|part| !part.is_empty());
        let number = |part: &str| {
            let beyond = |e: std::num::ParseIntError| {
                Error::corrupt(format!("no manifest names the chunk {rest}")).with_source(e)
            };
            part.parse::<u32>().map_err(beyond)
        };
        let mut chunk: Vec<u32> = parts.map(number).collect::<Result<_>>()?;
        if axes == 0 {
            // The one chunk of a scalar is `c`, or `0`.
            chunk.clear();
        }
        if chunk.len() != axes {
            return Err(Error::corrupt(format!(
                "/{path} has {axes} axes in the snapshot and {} in its metadata",
                chunk.len()
            )));
        }
        Ok((path, chunk))
    }

    /// What the manifests of `node` say of `chunks`; those they do not name are left out.
    async fn references(
        &self,
        node: &Node,
        mut chunks: Vec<(usize, Vec<u32>)>,
    ) -> Result<Vec<(usize, ChunkRef)>> {
        let covering = node.manifests.iter().filter(|m| chunks.iter().any(|(_, chunk)| m.covers(chunk)));
        let reads: Vec<_> = covering
            .map(|m| async move { Ok((m, self.manifests.read(self.repository, &self.place, m.id).await?)) })
            .collect();
        let mut reads = futures::stream::iter(reads).buffered(IN_FLIGHT);
        let mut found = Vec::new();
        while !chunks.is_empty()
            && let Some((covering, manifest)) = reads.try_next().await?
        {
            let (asked, mut left): (Vec<_>, Vec<_>) =
                std::mem::take(&mut chunks).into_iter().partition(|(_, chunk)| covering.covers(chunk));
            let positions: Vec<&[u32]> = asked.iter().map(|(_, chunk)| chunk.as_slice()).collect();
            let references = manifest.find(node.id, &positions)?;
            for ((i, chunk), reference) in asked.into_iter().zip(references) {
                match reference {
                    Some(reference) => found.push((i, reference)),
                    None => left.push((i, chunk)),
                }
            }
            chunks = left;
        }
        Ok(found)
    }

    /// Where a reference leads. Chunks in one object get one object.
    async fn location(
        &self,
        reference: ChunkRef,
        objects: &mut HashMap<ObjectId, Arc<Object>>,
    ) -> Result<ChunkLocation> {
        match reference {
            ChunkRef::Inline(bytes) => Ok(ChunkLocation::Encoded(bytes)),
            ChunkRef::Native { id, offset, len } => {
                let size = offset
                    .checked_add(len)
                    .ok_or_else(|| Error::corrupt("a chunk of an impossible length"))?;
                let same = objects.get(&id).filter(|object| object.size >= size);
                let object = same.map_or_else(|| Arc::new(native_object(&self.place, id, size)), Arc::clone);
                objects.insert(id, Arc::clone(&object));
                Ok(ChunkLocation::Stored { object, offset, len, filter_mask: 0 })
            }
            ChunkRef::Virtual { location, offset, len, checksum } => {
                let object = self.targets.object(&location).await?;
                unchanged(&object, &checksum)?;
                self.targets.locate(&location, Some((offset, len)), 0).await
            }
        }
    }
}

/// The object of the native chunk `id` in the repository at `place`, which should have `size` bytes.
pub(super) fn native_object(place: &Place, id: ObjectId, size: u64) -> Object {
    let relative = format!("chunks/{id}");
    let (path, name) = (place.inside(&relative).into(), join(&place.name, &relative).into());
    // Chunks are never written twice.
    LazyObject::object(&place.store, path, name, id.to_string().into(), Known::AtLeast(size))
}

/// Whether the object of virtual chunks is, as far as can be told, the one that was referred to. Entity tags
/// are compared by nobody: what a store calls one, another does not.
fn unchanged(object: &Object, checksum: &Checksum) -> Result<()> {
    let (Checksum::Unmodified(seconds), Some(modified)) = (checksum, object.version.modified) else {
        return Ok(());
    };
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(*seconds) + 1);
    if modified < then {
        return Ok(());
    }
    Err(Error::corrupt(format!("{} was modified after the references to it were made", object.name)))
}
