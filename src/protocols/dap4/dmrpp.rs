//! `.dmrpp`: the DMR with the place of every chunk, as Hyrax writes it, for readers that fetch the bytes
//! themselves.
//!
//! Only what such readers decode is said: numbers, contiguous or in chunks with shuffle, deflate and
//! Fletcher-32, in files or objects with a URL. Small values that are stored otherwise are in the document;
//! the rest is left out, and an attribute says so. Chunks are written piece by piece.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cdm::{
    Attribute, Block, DataType, Dataset, Encoding, Error, FullName, Group, Result, Selection, Source,
    StoredChunk, StoredChunks, Variable,
};
use futures::{StreamExt, stream};
use http::StatusCode;

use super::{Options, Response, dmr, headers, view, xml::escaped};
use crate::{
    catalog::encode_path,
    protocols::{ByteStream, Reply, Request, address, counted},
};

/// Values that are not stored in a form that can be said are in the document up to this size, in bytes.
const SMALL: u64 = 4 << 10;
/// All of them together.
const MOST_INLINE: u64 = 4 << 20;
/// Chunks that are looked up at a time.
const BATCH: usize = 1024;
/// The attribute that names what is left out, with the reasons.
const LEFT_OUT: &str = "variables_left_out";

/// How a variable is said.
#[derive(Debug, Clone)]
enum How {
    /// One run of bytes.
    Contiguous(Arc<dyn StoredChunks>),
    /// In chunks; whether some were never written.
    Chunked(Arc<dyn StoredChunks>, bool),
    /// In the document.
    Here(Bytes),
}

/// The DMR++ of `source`.
///
/// # Errors
/// `TooLarge` before anything is sent when there are too many chunks; what storage says.
pub(super) async fn reply(
    request: &Request<'_>,
    source: &Arc<dyn Source>,
    options: Options<'_>,
) -> Result<Reply> {
    let shown = view(Arc::clone(source))?;
    let files = format!("{}/files/", options.origin);
    let (mut variables, mut left_out) = (HashMap::new(), Vec::new());
    let (mut inline, mut expected) = (MOST_INLINE, 0_u64);
    for (name, variable) in shown.dataset().variables() {
        let how = match stored(source.as_ref(), &name, variable, options.largest_text).await? {
            Ok(how) => Ok(how),
            Err(why) => small(source.as_ref(), &name, variable, &mut inline).await?.ok_or(why),
        };
        match how {
            Ok(how) => {
                expected = expected.saturating_add(expected_len(&how));
                variables.insert(name, how);
            }
            Err(why) => left_out.push(format!("{name}: {why}")),
        }
    }
    if expected > options.largest_text {
        return Err(too_large(expected, options.largest_text));
    }
    let mut root = kept(shown.dataset().root(), &variables);
    if !left_out.is_empty() {
        root.attributes.set(Attribute::strings(LEFT_OUT, &left_out));
    }
    let dataset = Dataset::new(shown.dataset().name(), root)?;
    let own = format!("{files}{}", encode_path(request.dataset));
    let extra = [
        ("xmlns:dmrpp", "http://xml.opendap.org/dap/dmrpp/1.0.0#"),
        ("dmrpp:href", own.as_str()),
        ("dmrpp:version", concat!("thalweg-", env!("CARGO_PKG_VERSION"))),
    ];
    let (text, places) = dmr::with_places(&dataset, request.base_url, &extra);
    let mut rest = Bytes::from(text);
    let mut parts = VecDeque::new();
    let mut done = 0;
    for place in places {
        let before = rest.split_to(place.at.saturating_sub(done).min(rest.len()));
        done = place.at;
        let how = variables.remove(&place.name);
        parts.push_back(Part {
            before,
            next: 0,
            place: Some((how, dataset.variable(&place.name).cloned(), place)),
        });
    }
    parts.push_back(Part { before: rest, next: 0, place: None });
    let state = State { source: Arc::clone(source), files, own, parts };
    let make = || -> ByteStream {
        Box::pin(stream::try_unfold(state.clone(), |mut state| async move {
            Ok(state.next().await?.map(|bytes| (bytes, state)))
        }))
    };
    let (length, body) = counted(make).await?;
    Ok(Reply {
        status: StatusCode::OK,
        headers: headers::of(Response::Dmrpp, request),
        length: Some(length),
        identity: Some(format!("dap4 dmrpp {}", request.base_url)),
        compressible: true,
        body,
    })
}

fn too_large(expected: u64, limit: u64) -> Error {
    Error::too_large(format!(
        "the list of chunks would be about {expected} bytes of text and the limit (limits.response_text) is \
         {limit}; read the data with .dap instead"
    ))
}

fn chunk_count(chunks: &dyn StoredChunks) -> u64 {
    let layout = chunks.layout();
    layout
        .shape
        .iter()
        .zip(&layout.chunk_shape)
        .fold(1, |n: u64, (&size, &chunk)| n.saturating_mul(size.div_ceil(chunk.max(1))))
}

fn expected_len(how: &How) -> u64 {
    match how {
        How::Contiguous(_) => 300,
        How::Chunked(chunks, _) => chunk_count(chunks.as_ref()).saturating_mul(90),
        How::Here(bytes) => bytes.len() as u64 / 3 * 4,
    }
}

/// The number type of the variable's elements.
fn number_type(variable: &Variable) -> Option<&DataType> {
    match &variable.data_type {
        DataType::Enum(kind) => Some(&kind.base),
        t if t.is_numeric() || *t == DataType::Char => Some(t),
        _ => None,
    }
}

/// How storage has the variable, if readers of the format can use it; else why not.
async fn stored(
    source: &dyn Source,
    name: &FullName,
    variable: &Variable,
    largest: u64,
) -> Result<Result<How, &'static str>> {
    let Some(data_type) = number_type(variable) else { return Ok(Err("its type is not stored as numbers")) };
    let Some(chunks) = source.stored(name) else { return Ok(Err("its values are not stored as they are")) };
    let layout = chunks.layout();
    if layout.shape != variable.shape()
        || layout.chunk_shape.len() != layout.shape.len()
        || layout.chunk_shape.contains(&0)
        || Some(layout.element.size as u64) != data_type.fixed_size()
    {
        return Ok(Err("its values are not stored as they are"));
    }
    let is_known = |e: &Encoding| match e {
        Encoding::Zlib | Encoding::Fletcher32 => true,
        Encoding::Shuffle { element_size } => *element_size == layout.element.size,
        _ => false,
    };
    if !layout.encodings.iter().all(is_known) {
        return Ok(Err("its chunks are encoded in a way that DMR++ has no word for"));
    }
    let count = chunk_count(chunks.as_ref());
    if count.saturating_mul(90) > largest {
        return Err(too_large(count.saturating_mul(90), largest));
    }
    let whole = layout.chunk_shape.iter().fold(layout.element.size as u64, |n, &c| n.saturating_mul(c));
    let (mut missing, mut first) = (false, 0);
    while first < count {
        let indices = positions(chunks.as_ref(), first, count);
        for found in chunks.locate(&indices).await? {
            match found {
                None => missing = true,
                Some(StoredChunk::Range { name, url, .. })
                    if address("", source.dataset(), &name, url.as_deref()).is_none() =>
                {
                    return Ok(Err("its chunks are in files that are not served"));
                }
                Some(StoredChunk::Range { len, .. }) if layout.encodings.is_empty() && len == whole => {}
                Some(StoredChunk::Range { skipped: 0, .. }) if !layout.encodings.is_empty() => {}
                Some(StoredChunk::Range { .. }) => {
                    return Ok(Err("some chunks are encoded unlike the others"));
                }
                Some(_) => return Ok(Err("its chunks are not ranges of a file")),
            }
        }
        first += indices.len() as u64;
        tokio::task::yield_now().await;
    }
    if layout.shape.is_empty() && (missing || !layout.encodings.is_empty()) {
        return Ok(Err("a scalar that is not stored as it is"));
    }
    let one = count == 1 && layout.chunk_shape == layout.shape && !missing && layout.encodings.is_empty();
    Ok(Ok(if one { How::Contiguous(chunks) } else { How::Chunked(chunks, missing) }))
}

/// The values themselves when they are few: numbers, or one text.
async fn small(
    source: &dyn Source,
    name: &FullName,
    variable: &Variable,
    inline: &mut u64,
) -> Result<Option<How>> {
    let is_text = variable.data_type == DataType::String && variable.dimensions.is_empty();
    let len = match number_type(variable) {
        Some(data_type) => data_type.fixed_size().unwrap_or(1).saturating_mul(variable.element_count()),
        None if is_text => SMALL,
        None => return Ok(None),
    };
    if len > SMALL.min(*inline) || len == 0 || cfg!(target_endian = "big") {
        return Ok(None);
    }
    let mut blocks = source.read(name, &Selection::all(&variable.shape()));
    let mut values = Vec::new();
    while let Some(block) = blocks.next().await {
        // A variable that cannot be read is left out.
        let Ok(block) = block else { return Ok(None) };
        match block {
            Block::Fixed(bytes) | Block::Varying { bytes, .. } => values.extend_from_slice(&bytes),
        }
        if values.len() as u64 > SMALL {
            return Ok(None);
        }
    }
    *inline = inline.saturating_sub(values.len() as u64);
    Ok(Some(How::Here(values.into())))
}

/// `group` with only the variables that are said, and maps to them.
fn kept(group: &Group, variables: &HashMap<FullName, How>) -> Group {
    let mut kept = group.clone();
    kept.variables.retain(|v| variables.contains_key(&group.name.join(&v.name)));
    for variable in &mut kept.variables {
        variable.maps.retain(|map| variables.contains_key(map));
    }
    kept.groups = group.groups.iter().map(|g| self::kept(g, variables)).collect();
    kept
}

/// The positions of chunks in the grid, from the one numbered `first`.
fn positions(chunks: &dyn StoredChunks, first: u64, count: u64) -> Vec<Vec<u64>> {
    let layout = chunks.layout();
    let counts: Vec<u64> =
        layout.shape.iter().zip(&layout.chunk_shape).map(|(n, c)| n.div_ceil((*c).max(1))).collect();
    let position = |number: u64| {
        let mut rest = number;
        let mut at = vec![0; counts.len()];
        for (i, &count) in at.iter_mut().zip(&counts).rev() {
            *i = rest % count.max(1);
            rest /= count.max(1);
        }
        at
    };
    (first..count).take(BATCH).map(position).collect()
}

/// A piece of the document: text, then the chunks of a variable.
#[derive(Clone)]
struct Part {
    before: Bytes,
    /// The next chunk.
    next: u64,
    place: Option<(Option<How>, Option<Variable>, dmr::Place)>,
}

#[derive(Clone)]
struct State {
    source: Arc<dyn Source>,
    /// URL of the stored files, and of the dataset's own.
    files: String,
    own: String,
    parts: VecDeque<Part>,
}

impl State {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(part) = self.parts.front_mut() else { return Ok(None) };
            if !part.before.is_empty() {
                return Ok(Some(std::mem::take(&mut part.before)));
            }
            let next = part.next;
            let Some(part) = self.parts.front() else { return Ok(None) };
            let Some((Some(how), Some(variable), place)) = &part.place else {
                self.parts.pop_front();
                continue;
            };
            let indent = "    ".repeat(place.depth);
            let (text, next) = match how {
                How::Here(bytes) => {
                    (format!("{indent}<dmrpp:compact>{}</dmrpp:compact>\n", STANDARD.encode(bytes)), None)
                }
                How::Contiguous(chunks) => {
                    let mut text = head(chunks.as_ref(), variable, &indent, may_say_fill(variable));
                    self.batch(chunks.as_ref(), 0, 1, &indent, &mut text).await?;
                    let _ = writeln!(text, "{indent}</dmrpp:chunks>");
                    (text, None)
                }
                How::Chunked(chunks, missing) => {
                    let count = chunk_count(chunks.as_ref());
                    let mut text = String::new();
                    if next == 0 {
                        text = head(chunks.as_ref(), variable, &indent, *missing || may_say_fill(variable));
                        let sizes: Vec<String> =
                            chunks.layout().chunk_shape.iter().map(u64::to_string).collect();
                        let _ = writeln!(
                            text,
                            "{indent}    <dmrpp:chunkDimensionSizes>{}</dmrpp:chunkDimensionSizes>",
                            sizes.join(" ")
                        );
                    }
                    let next = self.batch(chunks.as_ref(), next, count, &indent, &mut text).await?;
                    if next >= count {
                        let _ = writeln!(text, "{indent}</dmrpp:chunks>");
                    }
                    (text, Some(next).filter(|next| *next < count))
                }
            };
            if let Some(part) = self.parts.front_mut() {
                match next {
                    Some(next) => part.next = next,
                    None => part.place = None,
                }
            }
            return Ok(Some(text.into()));
        }
    }

    /// Appends the chunks from the one numbered `first`; the number of the next.
    async fn batch(
        &self,
        chunks: &dyn StoredChunks,
        first: u64,
        count: u64,
        indent: &str,
        out: &mut String,
    ) -> Result<u64> {
        let indices = positions(chunks, first, count);
        let layout = chunks.layout();
        let single = layout.encodings.is_empty() && count == 1 && layout.chunk_shape == layout.shape;
        for (index, found) in indices.iter().zip(chunks.locate(&indices).await?) {
            let Some(StoredChunk::Range { name, url, offset, len, .. }) = found else { continue };
            let _ = write!(out, "{indent}    <dmrpp:chunk offset=\"{offset}\" nBytes=\"{len}\"");
            if !single {
                let at: Vec<String> = index
                    .iter()
                    .zip(&layout.chunk_shape)
                    .map(|(i, size)| i.saturating_mul(*size).to_string())
                    .collect();
                let _ = write!(out, " chunkPositionInArray=\"[{}]\"", at.join(","));
            }
            let place = address(&self.files, self.source.dataset(), &name, url.as_deref());
            let place = place.ok_or_else(|| Error::internal("a chunk in a file that is not served"))?;
            if place != self.own {
                let _ = write!(out, " href=\"{}\"", escaped(&place));
            }
            out.push_str("/>\n");
        }
        Ok(first + indices.len() as u64)
    }
}

/// Readers know fill values of numbers in arrays only.
fn may_say_fill(variable: &Variable) -> bool {
    !variable.dimensions.is_empty() && number_type(variable).is_some_and(DataType::is_numeric)
}

/// The start tag.
fn head(chunks: &dyn StoredChunks, variable: &Variable, indent: &str, fill: bool) -> String {
    let layout = chunks.layout();
    let mut text = format!("{indent}<dmrpp:chunks");
    let stages: Vec<&str> = layout
        .encodings
        .iter()
        .map(|e| match e {
            Encoding::Zlib => "deflate",
            Encoding::Fletcher32 => "fletcher32",
            _ => "shuffle",
        })
        .collect();
    if !stages.is_empty() {
        let _ = write!(text, " compressionType=\"{}\"", stages.join(" "));
    }
    if fill {
        let mut one = layout.fill.to_vec();
        if layout.element.big_endian != cfg!(target_endian = "big") {
            one.reverse();
        }
        let data_type = number_type(variable).unwrap_or(&DataType::UInt8);
        let data_type = if *data_type == DataType::Char { &DataType::UInt8 } else { data_type };
        let block = Block::Fixed(one.into());
        if let Some(value) = cdm::values(data_type, &block).next() {
            let _ = write!(text, " fillValue=\"{}\"", escaped(&dmr::text_of(&value)));
        }
    }
    let order = if layout.element.big_endian { "BE" } else { "LE" };
    let _ = writeln!(text, " byteOrder=\"{order}\">");
    text
}
