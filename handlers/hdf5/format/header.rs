//! Object headers, versions 1 and 2: the list of messages that describes an object.

use std::collections::VecDeque;

use bytes::Bytes;
use cdm::Result;
use foldhash::{HashSet, HashSetExt};

use super::{
    cursor::{Cursor, Place},
    input::{Input, verify},
};

/// Message types that are read here.
pub(super) mod kind {
    pub(in super::super) const NIL: u16 = 0x00;
    pub(in super::super) const DATASPACE: u16 = 0x01;
    pub(in super::super) const LINK_INFO: u16 = 0x02;
    pub(in super::super) const DATATYPE: u16 = 0x03;
    pub(in super::super) const OLD_FILL: u16 = 0x04;
    pub(in super::super) const FILL: u16 = 0x05;
    pub(in super::super) const LINK: u16 = 0x06;
    pub(in super::super) const EXTERNAL_FILES: u16 = 0x07;
    pub(in super::super) const LAYOUT: u16 = 0x08;
    pub(in super::super) const FILTERS: u16 = 0x0b;
    pub(in super::super) const ATTRIBUTE: u16 = 0x0c;
    pub(in super::super) const SHARED_TABLE: u16 = 0x0f;
    pub(in super::super) const CONTINUATION: u16 = 0x10;
    pub(in super::super) const SYMBOL_TABLE: u16 = 0x11;
    pub(in super::super) const DRIVER_INFO: u16 = 0x14;
    pub(in super::super) const ATTRIBUTE_INFO: u16 = 0x15;
    pub(in super::super) const REFERENCE_COUNT: u16 = 0x16;
    /// The highest type the format defines.
    pub(in super::super) const LAST: u16 = 0x18;
}

/// A message's body lies elsewhere.
pub(super) const SHARED: u8 = 0x02;
/// Whoever does not know the message must not read the object.
const FAIL_IF_UNKNOWN: u8 = 0x80;
/// Both versions store at most 2^16 links and attributes in the header; this leaves room for the rest.
const MOST_MESSAGES: usize = 1 << 17;
/// As many as a variable has with a few attributes.
const USUAL_MESSAGES: usize = 16;

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) flags: u8,
    pub(super) creation_order: Option<u16>,
    pub(super) data: Bytes,
}

/// An object header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) address: u64,
    pub(super) messages: Vec<Message>,
    pub(super) link_count: u32,
    pub(super) tracks_attribute_order: bool,
    /// Bytes of all its blocks.
    pub(super) bytes: u64,
}

impl Header {
    /// The first message of this type.
    pub(super) fn find(&self, kind: u16) -> Option<&Message> {
        self.messages.iter().find(|m| m.kind == kind)
    }

    pub(super) fn has(&self, kind: u16) -> bool {
        self.find(kind).is_some()
    }

    pub(super) fn place(&self) -> Place {
        Place::new("object header", self.address)
    }
}

/// Reads the header at `address` with all its continuations.
pub(super) fn read(input: &Input, address: u64) -> Result<Header> {
    let place = Place::new("object header", address);
    let prefix = input.read_up_to(address, 34)?;
    if prefix.starts_with(b"OHDR") { read_v2(input, place, &prefix) } else { read_v1(input, place, &prefix) }
}

/// Blocks of messages still to be read, each once.
struct Blocks {
    waiting: VecDeque<(u64, u64)>,
    seen: HashSet<u64>,
}

impl Blocks {
    fn add(&mut self, data: &[u8], input: &Input, place: Place) -> Result<()> {
        let mut c = Cursor::new(data, input.sizes, place);
        let (address, len) = (c.required_address()?, c.length()?);
        if !self.seen.insert(address) {
            return Err(place.corrupt("its continuations form a loop"));
        }
        self.waiting.push_back((address, len));
        Ok(())
    }
}

fn read_v1(input: &Input, place: Place, prefix: &[u8]) -> Result<Header> {
    let mut c = Cursor::new(prefix, input.sizes, place);
    let version = c.u8()?;
    if version != 1 {
        return Err(place.corrupt("there is no object header here"));
    }
    c.skip(1)?;
    let count = usize::from(c.u16()?);
    let link_count = c.u32()?;
    let size = u64::from(c.u32()?);
    let mut messages = Vec::with_capacity(USUAL_MESSAGES);
    let mut blocks =
        Blocks { waiting: VecDeque::from([(place.address.saturating_add(16), size)]), seen: HashSet::new() };
    let mut budget = input.budget();
    let mut met = 0_usize;
    let mut bytes = 16_u64;
    while let Some((address, len)) = blocks.waiting.pop_front() {
        budget.spend(len, place)?;
        bytes = bytes.saturating_add(len);
        let block = input.read(address, len)?;
        let mut c = Cursor::new(&block, input.sizes, place);
        // The header says how many messages there are; what follows them is room for more.
        while met < count && c.remaining() >= 8 {
            met += 1;
            let (kind, size, flags) = (c.u16()?, usize::from(c.u16()?), c.u8()?);
            c.skip(3)?;
            let at = c.position();
            c.skip(size)?;
            let message = Message { kind, flags, creation_order: None, data: block.slice(at..at + size) };
            accept(message, &mut messages, &mut blocks, input, place)?;
        }
    }
    Ok(Header { address: place.address, messages, link_count, tracks_attribute_order: false, bytes })
}

fn read_v2(input: &Input, place: Place, prefix: &[u8]) -> Result<Header> {
    let mut c = Cursor::new(prefix, input.sizes, place);
    c.signature(*b"OHDR")?;
    c.version(2..=2)?;
    let flags = c.u8()?;
    if flags & 0x20 != 0 {
        c.skip(16)?;
    }
    if flags & 0x10 != 0 {
        c.skip(4)?;
    }
    let size = c.uint(1 << (flags & 0x03))?;
    let start = u64::try_from(c.position()).unwrap_or(u64::MAX);
    let mut budget = input.budget();
    let len =
        start.checked_add(size).and_then(|n| n.checked_add(4)).ok_or_else(|| place.corrupt("its size"))?;
    budget.spend(len, place)?;
    let first = input.read_checked(len, place)?.slice(c.position()..);
    let mut header = Header {
        address: place.address,
        messages: Vec::with_capacity(USUAL_MESSAGES),
        link_count: 1,
        tracks_attribute_order: flags & 0x04 != 0,
        bytes: len,
    };
    let mut blocks = Blocks { waiting: VecDeque::new(), seen: HashSet::new() };
    let mut next = Some(first);
    while let Some(block) = next {
        let mut c = Cursor::new(&block, input.sizes, place);
        let prefix = if flags & 0x04 == 0 { 4 } else { 6 };
        // Fewer bytes than a message needs are a gap.
        while c.remaining() >= prefix {
            let (kind, size, message_flags) = (u16::from(c.u8()?), usize::from(c.u16()?), c.u8()?);
            let creation_order = if flags & 0x04 == 0 { None } else { Some(c.u16()?) };
            let at = c.position();
            c.skip(size)?;
            let data = block.slice(at..at + size);
            let message = Message { kind, flags: message_flags, creation_order, data };
            accept(message, &mut header.messages, &mut blocks, input, place)?;
        }
        next = match blocks.waiting.pop_front() {
            None => None,
            Some((address, len)) => {
                let place = Place::new("object header continuation", address);
                budget.spend(len, place)?;
                header.bytes = header.bytes.saturating_add(len);
                let all = input.read(address, len)?;
                if !all.starts_with(b"OCHK") {
                    return Err(place.corrupt("it does not begin with OCHK"));
                }
                let block = verify(&all, place)?;
                Some(block.slice(4.min(block.len())..))
            }
        };
    }
    if let Some(message) = header.find(kind::REFERENCE_COUNT) {
        let mut c = Cursor::new(&message.data, input.sizes, place);
        c.version(0..=0)?;
        header.link_count = c.u32()?;
    }
    Ok(header)
}

fn accept(
    message: Message,
    messages: &mut Vec<Message>,
    blocks: &mut Blocks,
    input: &Input,
    place: Place,
) -> Result<()> {
    match message.kind {
        kind::NIL => return Ok(()),
        kind::CONTINUATION => return blocks.add(&message.data, input, place),
        unknown if unknown > kind::LAST && message.flags & FAIL_IF_UNKNOWN != 0 => {
            return Err(place.unsupported(format_args!("a message of unknown type {unknown:#x}")));
        }
        _ => {}
    }
    if messages.len() >= MOST_MESSAGES {
        return Err(place.corrupt("it has too many messages"));
    }
    messages.push(message);
    Ok(())
}
