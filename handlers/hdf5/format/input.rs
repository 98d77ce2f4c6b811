//! The file's bytes by file address, through a small cache of aligned blocks: metadata is many tiny
//! reads near each other. And the budget that bounds each walk of a structure.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use cdm::{Error, Result};
use foldhash::HashMap;

use super::{
    checksum::lookup3,
    cursor::{Place, Sizes},
};
use crate::storage::Object;

const BLOCK: u64 = 64 * 1024;
/// Blocks kept: 2 MiB for each open file at most.
const BLOCKS: usize = 32;

/// An object and how its addresses are meant.
#[derive(Debug)]
pub(super) struct Input {
    object: Object,
    /// Where the superblock is: address 0.
    base: u64,
    pub(super) sizes: Sizes,
    cache: Mutex<BlockCache>,
}

#[derive(Debug, Default)]
struct BlockCache {
    /// Block number to (when it was last used, its bytes).
    blocks: HashMap<u64, (u64, Bytes)>,
    clock: u64,
}

impl Input {
    pub(super) fn new(object: Object) -> Self {
        Self { object, base: 0, sizes: Sizes { offsets: 8, lengths: 8 }, cache: Mutex::default() }
    }

    pub(super) fn set_base(&mut self, base: u64) {
        self.base = base;
    }

    /// Bytes of the object, user block included.
    pub(super) fn object_size(&self) -> u64 {
        self.object.size
    }

    /// The byte offset of a file address.
    pub(super) fn offset_of(&self, address: u64) -> Result<u64> {
        self.base
            .checked_add(address)
            .filter(|&offset| offset <= self.object.size)
            .ok_or_else(|| Error::corrupt(format!("the HDF5 address {address:#x} is outside the file")))
    }

    /// A run of raw data: its byte offset, once it is known to be inside the object.
    pub(super) fn data_offset(&self, address: u64, len: u64, place: Place) -> Result<u64> {
        self.offset_of(address)
            .ok()
            .filter(|offset| offset.checked_add(len).is_some_and(|end| end <= self.object.size))
            .ok_or_else(|| {
                place.corrupt(format_args!(
                    "it names {len} bytes of data at address {address:#x}, outside the file"
                ))
            })
    }

    /// `len` bytes at a file address.
    pub(super) fn read(&self, address: u64, len: u64) -> Result<Bytes> {
        let start = self.offset_of(address)?;
        let end = start
            .checked_add(len)
            .filter(|&end| end <= self.object.size)
            .ok_or_else(|| outside(address, len))?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        if len > BLOCK {
            return self.object.read_blocking(start..end);
        }
        let (first, last) = (start / BLOCK, (end - 1) / BLOCK);
        let head = self.block(first)?;
        let from = index(start - first * BLOCK);
        if first == last {
            let to = from.saturating_add(index(len));
            return if to <= head.len() { Ok(head.slice(from..to)) } else { Err(outside(address, len)) };
        }
        // At most two blocks, since len <= BLOCK.
        let tail = self.block(last)?;
        let mut both = BytesMut::with_capacity(index(len));
        both.extend_from_slice(head.get(from..).unwrap_or_default());
        both.extend_from_slice(tail.get(..index(end - last * BLOCK)).unwrap_or_default());
        if both.len() == index(len) { Ok(both.freeze()) } else { Err(outside(address, len)) }
    }

    /// `len` bytes at a file address, or as many as the file has from there.
    pub(super) fn read_up_to(&self, address: u64, len: u64) -> Result<Bytes> {
        let left = self.object.size.saturating_sub(self.offset_of(address)?);
        self.read(address, len.min(left))
    }

    /// `len` bytes whose last four are the checksum of the others; the result is without it.
    pub(super) fn read_checked(&self, len: u64, place: Place) -> Result<Bytes> {
        let all = self.read(place.address, len)?;
        verify(&all, place)
    }

    fn block(&self, number: u64) -> Result<Bytes> {
        {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.clock += 1;
            let now = cache.clock;
            if let Some((used, bytes)) = cache.blocks.get_mut(&number) {
                *used = now;
                return Ok(bytes.clone());
            }
        }
        // Not under the lock: storage may be slow. Two threads may then read the same block.
        let start = number.saturating_mul(BLOCK);
        let end = start.saturating_add(BLOCK).min(self.object.size);
        let bytes = self.object.read_blocking(start..end)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.blocks.len() >= BLOCKS {
            let oldest = cache.blocks.iter().min_by_key(|(_, (used, _))| *used).map(|(n, _)| *n);
            if let Some(oldest) = oldest {
                cache.blocks.remove(&oldest);
            }
        }
        let now = cache.clock;
        cache.blocks.insert(number, (now, bytes.clone()));
        Ok(bytes)
    }

    /// How many blocks are kept now.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).blocks.len()
    }

    /// Reading a block again costs little.
    pub(super) fn is_near(&self) -> bool {
        self.object.is_near()
    }

    pub(super) fn forget_blocks(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).blocks.clear();
    }

    /// A budget for one walk of a structure.
    pub(super) fn budget(&self) -> Budget {
        Budget { left: self.object.size.saturating_mul(2).saturating_add(BLOCK) }
    }
}

fn outside(address: u64, len: u64) -> Error {
    Error::corrupt(format!("the HDF5 file names {len} bytes at address {address:#x}, beyond its end"))
}

/// Offsets within a block or a bounded read always fit.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Checks and removes the checksum at the end of `all`.
pub(super) fn verify(all: &Bytes, place: Place) -> Result<Bytes> {
    let (body, stored) =
        all.split_last_chunk::<4>().ok_or_else(|| place.corrupt("it is too short for its checksum"))?;
    if lookup3(body) != u32::from_le_bytes(*stored) {
        return Err(place.corrupt("its checksum does not match"));
    }
    Ok(all.slice(..body.len()))
}

/// Bytes that one walk may read. No structure of a sound file is met twice in a walk, so twice the
/// file's size is plenty; a loop or a tangle of overlapping structures runs out.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    /// Pays for `len` bytes at `place`.
    pub(super) fn spend(&mut self, len: u64, place: Place) -> Result<()> {
        // Even the smallest structure has to be visited.
        match self.left.checked_sub(len.max(16)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(place.corrupt("the structures it belongs to form a loop or overlap")),
        }
    }
}
