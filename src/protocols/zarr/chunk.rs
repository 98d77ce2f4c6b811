//! The bytes of one chunk: passed on from storage, or read and laid out anew.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use cdm::{Block, Error, FullName, Result, ResultExt, Source, StoredChunk, StoredChunks};
use futures::{StreamExt, stream};

use super::{
    codecs, grid,
    plan::{Passed, Plan, Version, in_order},
    workspace::Workspace,
};
use crate::protocols::ByteStream;

/// A chunk of strings is not made larger, in bytes.
const LONGEST_TEXTS: usize = 64 << 20;

/// A stored chunk is read in pieces of this many bytes; of a remote store, where each is a request, in
/// larger ones.
const PIECE: u64 = 256 << 10;
const REMOTE_PIECE: u64 = 8 << 20;

/// A chunk's bytes.
pub(super) struct Data {
    pub(super) length: Option<u64>,
    pub(super) body: ByteStream,
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        let length = Some(bytes.len() as u64);
        Self { length, body: Box::pin(stream::once(async move { Ok(bytes) })) }
    }
}

/// The chunk `index` of `variable`; `None` where a reader should find none.
///
/// # Errors
/// What storage says; `Unsupported` for an encoding that cannot be written.
pub(super) async fn data(
    source: &Arc<dyn Source>,
    variable: &FullName,
    plan: &Plan,
    version: Version,
    index: Vec<u64>,
    workspace: &Workspace,
) -> Result<Option<Data>> {
    if grid::region(&plan.shape, &plan.chunk_shape, &index).is_none() {
        return Ok(None);
    }
    match &plan.passed {
        Some(passed) => stored(source, variable, plan, passed, version, index, workspace).await,
        None => laid_out(source, variable, plan, &index, workspace).map(Some),
    }
}

async fn stored(
    source: &Arc<dyn Source>,
    variable: &FullName,
    plan: &Plan,
    passed: &Passed,
    version: Version,
    index: Vec<u64>,
    workspace: &Workspace,
) -> Result<Option<Data>> {
    let chunks = &passed.chunks;
    let found = chunks.locate(std::slice::from_ref(&index)).await?.pop().flatten();
    let most = plan.chunk_len().saturating_mul(2).saturating_add(64 << 10);
    let too_long = |len: u64| {
        let message = format!("is stored in {len} bytes, more than it can need");
        Error::corrupt(message).within(format!("chunk {index:?} of {variable}"))
    };
    match found {
        None if plan.absence_is_fill(version) => return Ok(None),
        Some(StoredChunk::Range { len, skipped: 0, .. }) if len > most => return Err(too_long(len)),
        Some(StoredChunk::Range { len, skipped: 0, url, .. }) => {
            let remote = url.is_some().then(|| workspace.clone());
            let body = pieces(Arc::clone(chunks), index, len, remote);
            return Ok(Some(Data { length: Some(len), body }));
        }
        Some(StoredChunk::Here { bytes, skipped: 0 }) => return Ok(Some(bytes.into())),
        Some(StoredChunk::Object { .. }) => {
            let room = workspace.room(plan.chunk_len()).await?;
            match chunks.read(&index).await? {
                Some((bytes, _)) if bytes.len() as u64 > most => return Err(too_long(bytes.len() as u64)),
                Some((bytes, 0)) => return Ok(Some(room.hold(bytes).into())),
                _ => {}
            }
        }
        None | Some(StoredChunk::Range { .. } | StoredChunk::Here { .. }) => {}
    }
    // Not stored as the others are: made so.
    let room = workspace.room(most).await?;
    let size = plan.element_size();
    let values = whole(source, variable, plan, &index).await?;
    let (big_endian, encodings) = (plan.big_endian, plan.encodings.clone());
    let encoded = tokio::task::spawn_blocking(move || {
        codecs::encode(in_order(values, size, big_endian), &encodings, size)
    });
    let encoded = encoded.await.map_err(|e| Error::internal("encoding did not finish").with_source(e))?;
    encoded.within(|| variable).map(|bytes| Some(room.hold(bytes).into()))
}

/// A stored chunk being read.
struct Pieces {
    chunks: Arc<dyn StoredChunks>,
    index: Vec<u64>,
    rest: Range<u64>,
    /// It comes from afar: large pieces, which take room here.
    remote: Option<Workspace>,
}

/// A stored chunk of `len` bytes, read piece by piece as it is taken.
fn pieces(chunks: Arc<dyn StoredChunks>, index: Vec<u64>, len: u64, remote: Option<Workspace>) -> ByteStream {
    let state = Pieces { chunks, index, rest: 0..len, remote };
    Box::pin(stream::try_unfold(state, |mut state| async move {
        if state.rest.is_empty() {
            return Ok(None);
        }
        let piece = if state.remote.is_some() { REMOTE_PIECE } else { PIECE };
        let part = state.rest.start..state.rest.end.min(state.rest.start.saturating_add(piece));
        let room = match &state.remote {
            Some(workspace) => Some(workspace.room(part.end - part.start).await?),
            None => None,
        };
        state.rest.start = part.end;
        let found = state.chunks.read_part(&state.index, part).await?;
        let bytes = found.ok_or_else(|| Error::corrupt("a stored chunk is gone"))?;
        let bytes = match room {
            Some(room) => room.hold(bytes),
            None => bytes,
        };
        Ok(Some((bytes, state)))
    }))
}

/// A chunk of values as they are.
fn laid_out(
    source: &Arc<dyn Source>,
    variable: &FullName,
    plan: &Plan,
    index: &[u64],
    workspace: &Workspace,
) -> Result<Data> {
    let region = grid::region(&plan.shape, &plan.chunk_shape, index);
    let region = region.ok_or_else(|| Error::internal("a chunk outside of its grid"))?;
    if plan.element_size() == 0 {
        let count = grid::byte_len(&plan.chunk_shape, 1);
        let missing = count.saturating_sub(region.element_count());
        return texts(source.read(variable, &region), count, missing);
    }
    if region.shape() == plan.chunk_shape {
        let blocks = source.read(variable, &region).map(|block| match block? {
            Block::Fixed(bytes) => Ok(bytes),
            Block::Varying { .. } => Err(Error::internal("numbers of varying length")),
        });
        return Ok(Data { length: Some(plan.chunk_len()), body: Box::pin(blocks) });
    }
    let length = Some(plan.chunk_len());
    let (source, variable, plan) = (Arc::clone(source), variable.clone(), plan.clone());
    let (index, workspace) = (index.to_vec(), workspace.clone());
    let body = stream::once(async move {
        let room = workspace.room(plan.chunk_len().saturating_mul(2)).await?;
        whole(&source, &variable, &plan, &index).await.map(|bytes| room.hold(bytes))
    });
    Ok(Data { length, body: Box::pin(body) })
}

/// The values of a chunk in native bytes, with zeros where the array has ended.
async fn whole(source: &Arc<dyn Source>, variable: &FullName, plan: &Plan, index: &[u64]) -> Result<Vec<u8>> {
    let region = grid::region(&plan.shape, &plan.chunk_shape, index);
    let region = region.ok_or_else(|| Error::internal("a chunk outside of its grid"))?;
    let mut blocks = source.read(variable, &region);
    let mut values = Vec::new();
    while let Some(block) = blocks.next().await.transpose()? {
        match block {
            Block::Fixed(bytes) => values.extend_from_slice(&bytes),
            Block::Varying { .. } => return Err(Error::internal("numbers of varying length")),
        }
    }
    let size = plan.element_size();
    if values.len() as u64 != region.element_count().saturating_mul(size as u64) {
        return Err(Error::internal("a read gave another number of values than asked"));
    }
    let inside = region.shape();
    if inside == plan.chunk_shape {
        return Ok(values);
    }
    grid::padded(&values, &inside, &plan.chunk_shape, size)
        .ok_or_else(|| Error::internal("a chunk of an impossible shape"))
}

/// Strings as numcodecs' `vlen-utf8`: how many, then each behind its length. `missing` empty ones follow.
fn texts(blocks: cdm::BlockStream, count: u64, missing: u64) -> Result<Data> {
    let too_many = |e| Error::too_large("a chunk of too many strings").with_source(e);
    let head = u32::try_from(count).map_err(too_many)?.to_le_bytes();
    let tail = vec![0; usize::try_from(missing).map_err(too_many)?.saturating_mul(4)];
    let mut total = 0_usize;
    let middle = blocks.map(move |block| {
        let block = block?;
        let mut out = Vec::with_capacity(block.byte_len());
        for text in block.elements() {
            let text = String::from_utf8_lossy(text);
            let len = u32::try_from(text.len())
                .map_err(|e| Error::too_large("a string is too long").with_source(e))?;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        total = total.saturating_add(out.len());
        if total > LONGEST_TEXTS {
            return Err(Error::too_large("the strings of a chunk are too long"));
        }
        Ok(Bytes::from(out))
    });
    let head = stream::once(async move { Ok(Bytes::copy_from_slice(&head)) });
    let tail = stream::iter((!tail.is_empty()).then(|| Ok(Bytes::from(tail))));
    // The first value is read before anything is sent, so that most failures have a status.
    let body = head.chain(middle).chain(tail);
    Ok(Data { length: None, body: Box::pin(first_two_joined(body)) })
}

/// The first item together with the second.
fn first_two_joined(
    body: impl futures::Stream<Item = Result<Bytes>> + Send + 'static,
) -> impl futures::Stream<Item = Result<Bytes>> + Send {
    let mut body = Box::pin(body);
    stream::once(async move {
        let first = body.next().await;
        let second = body.next().await;
        let joined = match (first, second) {
            (Some(Ok(first)), Some(Ok(second))) => vec![Ok([first, second].concat().into())],
            (first, second) => [second.filter(Result::is_err), first].into_iter().flatten().take(1).collect(),
        };
        stream::iter(joined).chain(body)
    })
    .flatten()
}
