//! The data response: variables one after the other, checksums, and the chunks around them
//! (protocol notes 3).
//!
//! Owns the wire format and nothing else: which variables, which bytes is the Source's affair. Memory
//! is one chunk per response; bytes are passed on without copying but for what waits for its chunk to be complete.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use cdm::{Block, BlockStream, DataType, Dataset, Error, FullName, Result, Selection, Source};
use futures::{Stream, StreamExt, stream};

use crate::protocols::ByteStream;

/// The value of `_DAP4_Little_Endian`: data go out in the machine's byte order.
pub(super) const LITTLE_ENDIAN: &str = if cfg!(target_endian = "little") { "1" } else { "0" };

/// Payload of every data chunk but the last. Fixed, so that the bytes of a response do not depend on
/// how a Source cuts its blocks, and its length is known beforehand.
const CHUNK: usize = 128 << 10;
/// The longest payload a chunk header can state.
const LONGEST: usize = 0x00ff_ffff;

const LAST: u8 = 0x01;
const ERROR: u8 = 0x02;
const BYTE_ORDER: u8 = if cfg!(target_endian = "little") { 0x04 } else { 0 };
const NO_CHECKSUM: u8 = 0x08;

/// How a response is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// A CRC-32 follows each top-level variable.
    pub(super) checksums: bool,
    /// The first chunk says that there are no checksums, by a flag that one client obeys.
    pub(super) flag_absence: bool,
    /// Variables of child groups go before those of their group, not after.
    pub(super) groups_first: bool,
}

/// Bytes that `source`'s variables take at least, and whether that is exact; checksums not counted.
pub(super) fn size(source: &dyn Source) -> (u64, bool) {
    let mut exact = true;
    let mut total = 0_u64;
    for (_, variable) in source.dataset().variables() {
        let bytes = variable.byte_len().unwrap_or_else(|| {
            exact = false;
            // Every string, opaque value and sequence has a count of eight bytes.
            variable.element_count().saturating_mul(8)
        });
        total = total.saturating_add(bytes);
    }
    (total, exact)
}

/// The whole body's length when it is known without reading: all types are of fixed size.
pub(super) fn length(source: &dyn Source, dmr: &str, form: Form) -> Option<u64> {
    let (data, true) = size(source) else { return None };
    let sums = if form.checksums { 4 * source.dataset().variables().count() as u64 } else { 0 };
    let data = data.checked_add(sums)?;
    let headers = 4 * (data / CHUNK as u64 + 2);
    data.checked_add(headers)?.checked_add(dmr.len() as u64 + 2)
}

/// The body: the first chunk holds `dmr`, the others the data of all of `source`.
///
/// The first item comes only when the first data chunk is complete, or when the source says with an empty
/// block that it has begun well and more takes a while, so an error until then is an error of the whole reply. After a later error comes an error chunk with `report`'s document, then the
/// error itself, which cuts the connection.
///
/// # Errors
/// `TooLarge` when the DMR does not fit the first chunk.
pub(super) fn encode(
    source: &Arc<dyn Source>,
    mut dmr: String,
    form: Form,
    report: impl Fn(&Error) -> String + Send + 'static,
) -> Result<ByteStream> {
    dmr.push_str("\r\n");
    if dmr.len() > LONGEST {
        return Err(Error::too_large(format!(
            "the description of what was asked for has {} bytes; a data response holds at most {LONGEST}. \
             Ask for fewer variables or for one group",
            dmr.len()
        )));
    }
    let flag = if form.flag_absence && !form.checksums { NO_CHECKSUM } else { 0 };
    let mut framer = Framer { ready: VecDeque::new(), held: BytesMut::new() };
    framer.frame(BYTE_ORDER | flag, vec![dmr.into()]);
    let state =
        Encoding { pieces: Box::pin(pieces(source, form)), framer, report, stage: Stage::Data, go: false };
    Ok(Box::pin(stream::unfold(state, Encoding::next)))
}

/// The names of all variables, each group's before those of its children or after.
fn names(dataset: &Dataset, groups_first: bool) -> Vec<FullName> {
    if !groups_first {
        return dataset.variables().map(|(name, _)| name).collect();
    }
    // Work list of (group, its children have been put on the list).
    let mut waiting = vec![(dataset.root(), false)];
    let mut names = Vec::new();
    while let Some((group, expanded)) = waiting.pop() {
        if expanded {
            names.extend(group.variables.iter().map(|v| group.name.join(&v.name)));
        } else {
            waiting.push((group, true));
            waiting.extend(group.groups.iter().rev().map(|child| (child, false)));
        }
    }
    names
}

/// The serialised variables in document order, or as one client wants them.
fn pieces(source: &Arc<dyn Source>, form: Form) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    let names = names(source.dataset(), form.groups_first);
    let checksums = form.checksums;
    let source = Arc::clone(source);
    stream::iter(names).flat_map(move |name| match Serialised::new(source.as_ref(), name, checksums) {
        Ok(variable) => stream::unfold(variable, Serialised::next).boxed(),
        Err(error) => stream::once(async { Err(error) }).boxed(),
    })
}

/// One variable on its way out.
struct Serialised {
    blocks: BlockStream,
    name: FullName,
    data_type: DataType,
    /// Elements still to come.
    left: u64,
    checksum: Option<crc32fast::Hasher>,
    done: bool,
}

impl Serialised {
    fn new(source: &dyn Source, name: FullName, checksums: bool) -> Result<Self> {
        let variable = source.dataset().require(&name)?;
        let left = variable.element_count();
        let data_type = variable.data_type.clone();
        let blocks = source.read(&name, &Selection::all(&variable.shape()));
        Ok(Self {
            blocks,
            name,
            data_type,
            left,
            checksum: checksums.then(crc32fast::Hasher::new),
            done: false,
        })
    }

    async fn next(mut self) -> Option<(Result<Bytes>, Self)> {
        if self.done {
            return None;
        }
        let piece = match self.blocks.next().await {
            Some(block) => block.and_then(|b| self.serialise(b)),
            None => self.end()?,
        };
        self.done |= piece.is_err();
        Some((piece, self))
    }

    fn serialise(&mut self, block: Block) -> Result<Bytes> {
        let count = block.element_count(self.data_type.fixed_size());
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| Error::internal(format!("{} gave more elements than it has", self.name)))?;
        let bytes = wire(&self.data_type, block)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        Ok(bytes)
    }

    /// After the last block: the checksum, or nothing.
    fn end(&mut self) -> Option<Result<Bytes>> {
        self.done = true;
        if self.left > 0 {
            return Some(Err(Error::internal(format!("{} gave {} elements too few", self.name, self.left))));
        }
        let sum = self.checksum.take()?.finalize();
        Some(Ok(Bytes::copy_from_slice(&sum.to_ne_bytes())))
    }
}

/// A block as DAP4 writes it; on the wire, records are laid out as in memory.
fn wire(data_type: &DataType, block: Block) -> Result<Bytes> {
    let counted = matches!(data_type, DataType::String | DataType::Url | DataType::Opaque(_));
    match (block, data_type.fixed_size()) {
        (Block::Fixed(bytes), Some(_)) => Ok(bytes),
        (Block::Varying { bytes, .. }, None) if !counted => Ok(bytes),
        (block @ Block::Varying { .. }, None) => {
            let mut out = Vec::with_capacity(block.byte_len().saturating_add(64));
            for element in block.elements() {
                out.extend_from_slice(&(element.len() as u64).to_ne_bytes());
                out.extend_from_slice(element);
            }
            Ok(out.into())
        }
        _ => Err(Error::internal(format!("a block that is none of {}", data_type.name()))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Pieces are read.
    Data,
    /// Everything has been framed.
    Ended,
}

/// The state of a body.
struct Encoding<P, R> {
    pieces: P,
    framer: Framer,
    report: R,
    stage: Stage,
    /// Something has been given out, or may be.
    go: bool,
}

impl<P, R> Encoding<P, R>
where
    P: Stream<Item = Result<Bytes>> + Unpin,
    R: Fn(&Error) -> String,
{
    async fn next(mut self) -> Option<(Result<Bytes>, Self)> {
        loop {
            self.go |= self.framer.has_data_chunk() || self.stage == Stage::Ended;
            if self.go
                && let Some(bytes) = self.framer.ready.pop_front()
            {
                return Some((bytes, self));
            }
            if self.stage == Stage::Ended {
                return None;
            }
            match self.pieces.next().await {
                Some(Ok(piece)) if piece.is_empty() => self.go = true,
                Some(Ok(piece)) => self.framer.push(piece),
                None => {
                    self.framer.finish();
                    self.stage = Stage::Ended;
                }
                Some(Err(error)) => {
                    self.stage = Stage::Ended;
                    if self.go {
                        self.framer.fail((self.report)(&error), error);
                    } else {
                        self.framer.ready = VecDeque::from([Err(error)]);
                    }
                }
            }
        }
    }
}

/// Puts pieces into chunks.
struct Framer {
    /// To be sent, headers included.
    ready: VecDeque<Result<Bytes>>,
    /// The beginning of the next chunk's payload: a copy, so that the memory of what waits for its chunk to be
    /// complete does not keep others waiting for memory.
    held: BytesMut,
}

impl Framer {
    /// True when more than the first chunk (header and DMR) is ready.
    fn has_data_chunk(&self) -> bool {
        self.ready.len() > 2
    }

    fn push(&mut self, mut piece: Bytes) {
        while self.held.len() + piece.len() >= CHUNK {
            let fits = piece.split_to(CHUNK - self.held.len());
            let mut payload = self.take();
            payload.push(fits);
            self.frame(BYTE_ORDER, payload);
        }
        self.held.extend_from_slice(&piece);
    }

    fn take(&mut self) -> Vec<Bytes> {
        if self.held.is_empty() { Vec::new() } else { vec![self.held.split().freeze()] }
    }

    /// The last chunk, which may be empty: there are always two at least.
    fn finish(&mut self) {
        let payload = self.take();
        self.frame(BYTE_ORDER | LAST, payload);
    }

    /// Drops what is incomplete and ends with an error chunk and the error (notes 3.7).
    fn fail(&mut self, document: String, error: Error) {
        self.held.clear();
        let mut document = Bytes::from(document);
        document.truncate(LONGEST);
        // Readers that ignore the error flag stop at the last chunk.
        self.frame(BYTE_ORDER | ERROR | LAST, vec![document]);
        self.ready.push_back(Err(error));
    }

    fn frame(&mut self, flags: u8, payload: Vec<Bytes>) {
        let length: usize = payload.iter().map(Bytes::len).sum();
        debug_assert!(length <= LONGEST, "a chunk's length has 24 bits");
        let [_, high, middle, low] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.ready.push_back(Ok(Bytes::copy_from_slice(&[flags, high, middle, low])));
        self.ready.extend(payload.into_iter().map(Ok));
    }
}
