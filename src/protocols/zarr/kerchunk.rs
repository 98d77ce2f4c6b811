//! `<dataset>.kerchunk.json`: where each chunk is, for readers that fetch the bytes themselves
//! (kerchunk's references, version 1, with Zarr v2 metadata).
//!
//! Chunks in files that this server serves are ranges of `/files/...`, those in object stores ranges of
//! the object. Small arrays are in the document; what storage does not have in a form that Zarr can name
//! is referred to as chunks of our own Zarr view. The document is written piece by piece.

use std::{collections::VecDeque, fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cdm::{DataType, Error, ErrorKind, FullName, Result, Source, StoredChunk, StoredChunks};
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;

use super::{
    Options, REFERENCES, Workspace, chunk, grid,
    metadata::{Node, arrays, v2_array},
    plan::Plan,
    typed,
};
use crate::{
    catalog::encode_path,
    protocols::{ByteStream, Reply, Request, address, counted},
};

/// Arrays up to this size are in the document, in bytes.
const SMALL: u64 = 2 << 10;
/// Arrays of tiny records (of up to [`TINY`] bytes) are in the document up to this size.
const SMALL_RECORDS: u64 = 1 << 20;
const TINY: u64 = 512;
/// All arrays in the document together.
const MOST_INLINE: u64 = 16 << 20;
/// Stored chunks that are within the metadata are written out up to this size, in bytes.
const SMALL_CHUNK: usize = 4 << 10;
/// Chunks that are looked up at a time.
const BATCH: u64 = 1024;

/// The references of `source`.
///
/// # Errors
/// `TooLarge` before anything is sent when there are too many; what storage says.
pub(super) async fn references(
    request: &Request<'_>,
    source: &Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Reply> {
    let dataset = source.dataset();
    let writer = Writer {
        source: Arc::clone(source),
        files: format!("{}/files/", options.origin),
        view: format!("{}/zarr/{}/", options.origin, encode_path(request.dataset)),
        largest: options.largest_text,
        workspace: options.workspace.clone(),
    };
    let mut work = VecDeque::new();
    let mut head = "{\"version\":1,\"refs\":{".to_owned();
    let mut separator = "";
    let mut inline = MOST_INLINE;
    let mut expected = 0_u64;
    let mut consolidated = serde_json::Map::new();
    for group in dataset.root().walk() {
        let node = Node::Group(group);
        let folder = folder(&group.name);
        for (key, document) in [(".zgroup", node.v2()), (".zattrs", node.v2_attributes(source))] {
            let key = format!("{folder}{key}");
            let _ = write!(head, "{separator}{}:{}", quoted(&key), quoted(&document.to_string()));
            separator = ",\n";
            consolidated.insert(key, document);
        }
        for (name, node) in arrays(source, group).0 {
            let attributes = node.v2_attributes(source);
            let Node::Array(_, plan, _) = node else { continue };
            let part = writer.part(&name, plan, &mut inline).await?;
            let folder = self::folder(&name);
            for (key, document) in [(".zarray", v2_array(&part.plan)), (".zattrs", attributes)] {
                let key = format!("{folder}{key}");
                let _ = write!(head, ",\n{}:{}", quoted(&key), quoted(&document.to_string()));
                consolidated.insert(key, document);
            }
            expected = expected.saturating_add(writer.expected(&part));
            work.push_back(part);
        }
    }
    // For readers that would have to list what there is.
    let all = serde_json::json!({"zarr_consolidated_format": 1, "metadata": consolidated});
    let _ = write!(head, ",\n\".zmetadata\":{}", quoted(&all.to_string()));
    expected = expected.saturating_add(head.len() as u64);
    if expected > options.largest_text {
        return Err(too_large(expected, options.largest_text));
    }
    let state = State { writer, work, next: 0, written: 0 };
    let head = Bytes::from(head);
    let make = || -> ByteStream {
        let body = stream::try_unfold(state.clone(), |mut state| async move {
            Ok(state.next().await?.map(|text| (Bytes::from(text), state)))
        });
        let head = stream::iter([Ok(head.clone())]);
        let tail = stream::iter([Ok(Bytes::from_static(b"}}\n"))]);
        Box::pin(head.chain(body).chain(tail))
    };
    let (length, body) = counted(make).await?;
    Ok(Reply {
        status: StatusCode::OK,
        headers: typed("application/json"),
        length: Some(length),
        identity: Some(format!("kerchunk {}", request.base_url)),
        compressible: true,
        body,
    })
}

fn too_large(expected: u64, limit: u64) -> Error {
    Error::too_large(format!(
        "the references of this dataset would be about {expected} bytes of text and the limit \
         (limits.response_text) is {limit}; read it at /zarr/ instead, which needs no references"
    ))
}

/// The key prefix of a node.
fn folder(name: &FullName) -> String {
    if name.is_root() { String::new() } else { format!("{}/", name.as_str().trim_start_matches('/')) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An array, as it is referred to.
#[derive(Clone)]
struct Part {
    name: FullName,
    plan: Plan,
    how: How,
}

impl Part {
    /// How many references are looked at, one by one.
    fn count(&self) -> u64 {
        match &self.how {
            How::Raw { chunks, pieces } => {
                let whole = grid::count(&self.plan.shape, &chunks.layout().chunk_shape);
                pieces.iter().fold(whole, |n, &p| n.saturating_mul(p))
            }
            _ => grid::count(&self.plan.shape, &self.plan.chunk_shape),
        }
    }
}

#[derive(Clone)]
enum How {
    /// In the document: its only chunk.
    Inline(Bytes),
    /// Stored chunks one by one.
    Passed,
    /// Stored chunks without encoding, each in pieces: so many along each axis.
    Raw { chunks: Arc<dyn StoredChunks>, pieces: Vec<u64> },
    /// Chunks of the Zarr view.
    View,
}

#[derive(Clone)]
struct Writer {
    source: Arc<dyn Source>,
    /// URL of the stored files, and of the dataset's Zarr view.
    files: String,
    view: String,
    largest: u64,
    workspace: Workspace,
}

impl Writer {
    /// How the array `name`, which the Zarr view shows as `plan`, is referred to. `inline`: bytes that may
    /// still be put into the document.
    async fn part(&self, name: &FullName, plan: Plan, inline: &mut u64) -> Result<Part> {
        let element = match plan.element_size() {
            0 => 64,
            n => n as u64,
        };
        let total = grid::byte_len(&plan.shape, element);
        let stored = self.source.stored(name).filter(|s| {
            let layout = s.layout();
            layout.encodings.is_empty()
                && layout.shape == plan.shape
                && layout.chunk_shape.len() == plan.shape.len()
                && !layout.chunk_shape.contains(&0)
                && layout.element.size == plan.element_size()
        });
        let records = stored.as_ref().is_some_and(|s| {
            grid::byte_len(&s.layout().chunk_shape, element) <= TINY && total <= SMALL_RECORDS
        });
        let part = |plan, how| Part { name: name.clone(), plan, how };
        if total > 0 && (total <= SMALL || records) && total <= *inline {
            let chunk_shape = plan.shape.clone();
            let whole =
                Plan { chunk_shape, passed: None, encodings: Vec::new(), big_endian: NATIVE, ..plan.clone() };
            if let Some(bytes) = self.whole(name, &whole).await? {
                *inline = inline.saturating_sub(bytes.len() as u64);
                return Ok(part(whole, How::Inline(bytes)));
            }
        }
        if plan.passed.is_some() {
            return Ok(part(plan, How::Passed));
        }
        if let Some(chunks) = stored
            && total > 0
            && plan.data_type != DataType::String
            && self.fits(grid::count(&plan.shape, &chunks.layout().chunk_shape))
            && self.is_whole(chunks.as_ref(), &plan).await?
        {
            let whole = chunks.layout().chunk_shape.clone();
            let chunk_shape = grid::exact(&whole, element);
            let pieces = grid::counts(&whole, &chunk_shape);
            let big_endian = chunks.layout().element.big_endian;
            return Ok(part(Plan { chunk_shape, big_endian, ..plan }, How::Raw { chunks, pieces }));
        }
        Ok(part(plan, How::View))
    }

    /// The bytes of an array that is one chunk; `None` when it cannot be read, which is for its reader to
    /// find.
    async fn whole(&self, name: &FullName, plan: &Plan) -> Result<Option<Bytes>> {
        let index = vec![0; plan.shape.len()];
        let data = chunk::data(&self.source, name, plan, REFERENCES, index, &self.workspace).await?;
        let data = data.ok_or_else(|| Error::internal("an array without its only chunk"))?;
        let all: Result<Vec<Bytes>> = data.body.try_collect().await;
        match all {
            Ok(all) => Ok(Some(all.concat().into())),
            Err(e) if matches!(e.kind(), ErrorKind::Storage | ErrorKind::Changed | ErrorKind::Overloaded) => {
                Err(e)
            }
            Err(_) => Ok(None),
        }
    }

    /// Whether so many references may fit at all.
    fn fits(&self, count: u64) -> bool {
        count.saturating_mul(40) <= self.largest
    }

    /// About how much text the references of `part` are.
    fn expected(&self, part: &Part) -> u64 {
        let one = part.name.as_str().len() + self.files.len() + self.source.dataset().name().len() + 40;
        match &part.how {
            How::Inline(bytes) => bytes.len() as u64 / 3 * 4,
            _ => part.count().saturating_mul(one as u64),
        }
    }

    /// References from the stored chunk (of [`How::Raw`]) or the chunk numbered `first` on, and how many of
    /// them.
    async fn batch(&self, part: &Part, first: u64) -> Result<(String, u64)> {
        let plan = &part.plan;
        let folder = folder(&part.name);
        let mut out = String::new();
        match &part.how {
            How::Inline(bytes) => {
                let index = vec![0; plan.shape.len()];
                entry(&mut out, &folder, &index, &format!("\"base64:{}\"", STANDARD.encode(bytes)));
                Ok((out, 1))
            }
            How::View => {
                let counts = grid::counts(&plan.shape, &plan.chunk_shape);
                let mut done = 0;
                for index in grid::positions(&counts, first).take(BATCH_LEN) {
                    entry(&mut out, &folder, &index, &self.in_view(&part.name, &index));
                    done += 1;
                }
                Ok((out, done))
            }
            How::Passed => {
                let Some(passed) = &plan.passed else { return Ok((out, 0)) };
                let counts = grid::counts(&plan.shape, &plan.chunk_shape);
                let indices: Vec<_> = grid::positions(&counts, first).take(BATCH_LEN).collect();
                let found = passed.chunks.locate(&indices).await?;
                for (index, location) in indices.iter().zip(found) {
                    let text = match location {
                        None if plan.absence_is_fill(REFERENCES) => continue,
                        Some(StoredChunk::Range { name, url, offset, len, skipped: 0 }) => self
                            .range(&name, url.as_deref(), offset, len)
                            .unwrap_or_else(|| self.in_view(&part.name, index)),
                        Some(StoredChunk::Object { url: Some(url), .. }) => format!("[{}]", quoted(&url)),
                        Some(StoredChunk::Here { bytes, skipped: 0 }) if bytes.len() <= SMALL_CHUNK => {
                            format!("\"base64:{}\"", STANDARD.encode(bytes))
                        }
                        _ => self.in_view(&part.name, index),
                    };
                    entry(&mut out, &folder, index, &text);
                }
                Ok((out, indices.len() as u64))
            }
            How::Raw { chunks, pieces } => {
                let whole = grid::counts(&plan.shape, &chunks.layout().chunk_shape);
                let each = pieces.iter().fold(1, |n: u64, &p| n.saturating_mul(p)).max(1);
                let end = part.count().min(first.saturating_add(BATCH));
                let first_chunk = first / each;
                let wanted = usize::try_from(end.div_ceil(each).saturating_sub(first_chunk)).unwrap_or(1);
                let indices: Vec<_> = grid::positions(&whole, first_chunk).take(wanted).collect();
                let found = chunks.locate(&indices).await?;
                let grid = grid::counts(&plan.shape, &plan.chunk_shape);
                let len = plan.chunk_len();
                for number in first..end {
                    let chunk = usize::try_from(number / each - first_chunk).unwrap_or(usize::MAX);
                    let Some(Some(StoredChunk::Range { name, url, offset, .. })) = found.get(chunk) else {
                        continue;
                    };
                    let index = indices.get(chunk).map(Vec::as_slice).unwrap_or_default();
                    let piece = grid::positions(pieces, number % each).next().unwrap_or_default();
                    let place = index.iter().zip(pieces).zip(&piece);
                    let at: Vec<u64> =
                        place.map(|((i, count), p)| i.saturating_mul(*count).saturating_add(*p)).collect();
                    if at.iter().zip(&grid).all(|(i, count)| i < count) {
                        let offset = offset.saturating_add((number % each).saturating_mul(len));
                        let text = self.range(name, url.as_deref(), offset, len);
                        let text = text.unwrap_or_else(|| self.in_view(&part.name, &at));
                        entry(&mut out, &folder, &at, &text);
                    }
                }
                Ok((out, end.saturating_sub(first)))
            }
        }
    }

    /// Whether every chunk without encoding is a range of an object, or missing where that says the same.
    async fn is_whole(&self, chunks: &dyn StoredChunks, plan: &Plan) -> Result<bool> {
        let layout = chunks.layout();
        let len = grid::byte_len(&layout.chunk_shape, layout.element.size as u64);
        let fill =
            super::plan::in_order(layout.fill.to_vec(), layout.element.size, layout.element.big_endian);
        let absence_is_fill = plan.fill(REFERENCES).is_some_and(|f| f == fill);
        let counts = grid::counts(&layout.shape, &layout.chunk_shape);
        let mut positions = grid::positions(&counts, 0);
        loop {
            let indices: Vec<_> = positions.by_ref().take(BATCH_LEN).collect();
            if indices.is_empty() {
                return Ok(true);
            }
            for location in chunks.locate(&indices).await? {
                let fits = match location {
                    None => absence_is_fill,
                    Some(StoredChunk::Range { name, url, len: stored, .. }) => {
                        stored == len && self.range(&name, url.as_deref(), 0, len).is_some()
                    }
                    Some(_) => false,
                };
                if !fits {
                    return Ok(false);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn range(&self, name: &str, url: Option<&str>, offset: u64, len: u64) -> Option<String> {
        let url = address(&self.files, self.source.dataset(), name, url)?;
        Some(format!("[{},{offset},{len}]", quoted(&url)))
    }

    fn in_view(&self, name: &FullName, index: &[u64]) -> String {
        let path = encode_path(name.as_str().trim_start_matches('/'));
        format!("[{}]", quoted(&format!("{}{path}/{}", self.view, key(index))))
    }
}

const NATIVE: bool = cfg!(target_endian = "big");
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const BATCH_LEN: usize = BATCH as usize;

fn key(index: &[u64]) -> String {
    if index.is_empty() {
        return "0".to_owned();
    }
    index.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

fn entry(out: &mut String, folder: &str, index: &[u64], value: &str) {
    let _ = write!(out, ",\n{}:{value}", quoted(&format!("{folder}{}", key(index))));
}

/// The document being written.
#[derive(Clone)]
struct State {
    writer: Writer,
    work: VecDeque<Part>,
    /// The next chunk of the first part.
    next: u64,
    written: u64,
}

impl State {
    async fn next(&mut self) -> Result<Option<String>> {
        while let Some(part) = self.work.front() {
            if self.next >= part.count() {
                self.work.pop_front();
                self.next = 0;
                continue;
            }
            let (text, done) = self.writer.batch(part, self.next).await?;
            self.next = self.next.saturating_add(done.max(1));
            self.written = self.written.saturating_add(text.len() as u64);
            // What was expected is only about right.
            if self.written > self.writer.largest.saturating_mul(2) {
                return Err(too_large(self.written, self.writer.largest));
            }
            return Ok(Some(text));
        }
        Ok(None)
    }
}
