//! Fractal heaps: where dense links, dense attributes and shared messages keep their bytes.

use bytes::Bytes;
use cdm::Result;
use foldhash::{HashMap, HashMapExt};

use super::{
    btree2::BTree2,
    checksum::lookup3,
    cursor::{Cursor, Place, width_of},
    input::{Budget, Input},
};

/// Type of the B-tree of huge objects that are not filtered.
const HUGE_RECORDS: u8 = 1;

/// An open heap with the blocks met so far.
#[derive(Debug)]
pub(super) struct FractalHeap {
    place: Place,
    id_len: usize,
    checksummed_blocks: bool,
    max_managed: u64,
    huge_tree: Option<u64>,
    table: DoublingTable,
    /// Bytes of a heap offset, and of an object's length in a heap ID.
    offset_width: usize,
    length_width: usize,
    blocks: HashMap<u64, Bytes>,
    /// Huge objects by their number, once asked for.
    huge: Option<HashMap<u64, (u64, u64)>>,
}

/// How the heap's space is divided into blocks: rows of `width` blocks whose size doubles.
#[derive(Debug)]
struct DoublingTable {
    width: u64,
    start_size: u64,
    max_direct: u64,
    root: Option<u64>,
    /// 0: the root is a direct block.
    root_rows: u64,
}

impl DoublingTable {
    /// The row and column of the block that holds offset `at` of an indirect block's space, the
    /// block's size, and the offset of its beginning.
    fn cell(&self, at: u64) -> Option<(u64, u64, u64, u64)> {
        let first_rows = self.width.checked_mul(self.start_size)?;
        let (row, size, row_start) = match at / first_rows {
            0 => (0, self.start_size, 0),
            n => {
                let doublings = n.checked_ilog2()?;
                let size = self.start_size.checked_shl(doublings)?;
                (u64::from(doublings) + 1, size, first_rows.checked_shl(doublings)?)
            }
        };
        let column = (at - row_start) / size;
        Some((row, column, size, row_start + column * size))
    }

    /// Rows of an indirect block that covers `size` bytes.
    fn rows_of(&self, size: u64) -> Option<u64> {
        let first = self.width.checked_mul(self.start_size)?.checked_ilog2()?;
        Some(u64::from(size.checked_ilog2()?.checked_sub(first)?) + 1)
    }
}

impl FractalHeap {
    pub(super) fn open(input: &Input, address: u64) -> Result<Self> {
        let place = Place::new("fractal heap", address);
        let sizes = input.sizes;
        let len = 26 + 12 * sizes.lengths + 3 * sizes.offsets;
        let filters_at = 7;
        let data = input.read(address, u64::try_from(len).unwrap_or(u64::MAX))?;
        let mut c = Cursor::new(data.get(filters_at..).unwrap_or_default(), sizes, place);
        if c.u16()? != 0 {
            return Err(place.unsupported("a filtered heap is not supported"));
        }
        let data = super::input::verify(&data, place)?;
        let mut c = Cursor::new(&data, sizes, place);
        c.signature(*b"FRHP")?;
        c.version(0..=0)?;
        let id_len = usize::from(c.u16()?);
        c.skip(2)?;
        let flags = c.u8()?;
        let max_managed = u64::from(c.u32()?);
        let _next_huge = c.length()?;
        let huge_tree = c.address()?;
        let _free = c.length()?;
        let _free_manager = c.address()?;
        // Managed, allocated, iterator, managed objects, huge size and count, tiny size and count.
        c.skip(8 * sizes.lengths)?;
        let width = u64::from(c.u16()?);
        let start_size = c.length()?;
        let max_direct = c.length()?;
        let max_bits = usize::from(c.u16()?);
        c.skip(2)?;
        let root = c.address()?;
        let root_rows = u64::from(c.u16()?);
        let powers = [width, start_size, max_direct].iter().all(|n| n.is_power_of_two());
        if !powers || max_direct < start_size || max_bits > 64 || max_bits == 0 || id_len == 0 {
            return Err(place.corrupt("its block sizes are impossible"));
        }
        let offset_width = max_bits.div_ceil(8);
        let direct_bits = usize::try_from(max_direct.ilog2()).unwrap_or(64);
        let length_width = direct_bits.div_ceil(8).min(width_of(max_managed)).max(1);
        let table = DoublingTable { width, start_size, max_direct, root, root_rows };
        Ok(Self {
            place,
            id_len,
            checksummed_blocks: flags & 0x02 != 0,
            max_managed,
            huge_tree,
            table,
            offset_width,
            length_width,
            blocks: HashMap::new(),
            huge: None,
        })
    }

    /// The object of a heap ID (longer IDs than the heap's may be given; the rest is ignored).
    pub(super) fn object(&mut self, input: &Input, id: &[u8], budget: &mut Budget) -> Result<Bytes> {
        let place = self.place;
        let id = id.get(..self.id_len).ok_or_else(|| place.corrupt("a heap ID is too short"))?;
        let mut c = Cursor::new(id, input.sizes, place);
        let first = c.u8()?;
        if first & 0xc0 != 0 {
            return Err(place.unsupported("a heap ID of unknown version"));
        }
        match first & 0x30 {
            0x00 => {
                let offset = c.uint(self.offset_width)?;
                let len = c.uint(self.length_width)?;
                self.managed(input, offset, len, budget)
            }
            0x10 => self.huge(input, c, budget),
            0x20 => {
                let low = usize::from(first & 0x0f);
                let len = if self.id_len <= 17 { low } else { low << 8 | usize::from(c.u8()?) };
                Ok(Bytes::copy_from_slice(c.take(len + 1)?))
            }
            _ => Err(place.corrupt("a heap ID of unknown type")),
        }
    }

    fn managed(&mut self, input: &Input, offset: u64, len: u64, budget: &mut Budget) -> Result<Bytes> {
        let place = self.place;
        let wrong = || place.corrupt(format_args!("it has no object of {len} bytes at offset {offset}"));
        if len > self.max_managed {
            return Err(wrong());
        }
        let mut address = self.table.root.ok_or_else(wrong)?;
        let mut rows = self.table.root_rows;
        let (mut block_start, mut size) = (0_u64, self.table.start_size);
        // Each indirect block covers less than the one above it, so this ends.
        while rows != 0 {
            let (row, column, cell_size, start) = self.table.cell(offset - block_start).ok_or_else(wrong)?;
            if row >= rows {
                return Err(wrong());
            }
            let direct = cell_size <= self.table.max_direct;
            let block = self.indirect(input, address, rows, budget)?;
            let entry = usize::try_from(row * self.table.width + column).unwrap_or(usize::MAX);
            let at = entry.checked_mul(input.sizes.offsets).ok_or_else(wrong)?;
            let mut c = Cursor::new(block.get(at..).unwrap_or_default(), input.sizes, place);
            address = c.address()?.ok_or_else(wrong)?;
            block_start += start;
            size = cell_size;
            if direct {
                break;
            }
            let below = self.table.rows_of(cell_size).ok_or_else(wrong)?;
            // The space of a child with as many rows would not be smaller.
            if below >= rows.max(row + 1) {
                return Err(wrong());
            }
            rows = below;
        }
        let block = self.direct(input, address, size, budget)?;
        let from = usize::try_from(offset - block_start).unwrap_or(usize::MAX);
        let to = usize::try_from(len).ok().and_then(|len| from.checked_add(len)).ok_or_else(wrong)?;
        if to > block.len() { Err(wrong()) } else { Ok(block.slice(from..to)) }
    }

    /// The child addresses of an indirect block.
    fn indirect(&mut self, input: &Input, address: u64, rows: u64, budget: &mut Budget) -> Result<Bytes> {
        if let Some(block) = self.blocks.get(&address) {
            return Ok(block.clone());
        }
        let place = Place::new("fractal heap indirect block", address);
        let prefix = 5 + input.sizes.offsets + self.offset_width;
        let pointer = u64::try_from(input.sizes.offsets).unwrap_or(8);
        let len = rows
            .checked_mul(self.table.width)
            .and_then(|n| n.checked_mul(pointer))
            .and_then(|n| n.checked_add(u64::try_from(prefix + 4).unwrap_or(u64::MAX)))
            .ok_or_else(|| place.corrupt("its size"))?;
        budget.spend(len, place)?;
        let data = input.read_checked(len, place)?;
        self.check_prefix(input, &data, *b"FHIB", place)?;
        let children = data.slice(prefix..);
        self.blocks.insert(address, children.clone());
        Ok(children)
    }

    /// A whole direct block, its header included: heap offsets count it.
    fn direct(&mut self, input: &Input, address: u64, size: u64, budget: &mut Budget) -> Result<Bytes> {
        if let Some(block) = self.blocks.get(&address) {
            return Ok(block.clone());
        }
        let place = Place::new("fractal heap direct block", address);
        budget.spend(size, place)?;
        let data = input.read(address, size)?;
        self.check_prefix(input, &data, *b"FHDB", place)?;
        if self.checksummed_blocks {
            let at = 5 + input.sizes.offsets + self.offset_width;
            let mut copy = data.to_vec();
            let field = copy.get_mut(at..at + 4).ok_or_else(|| place.corrupt("it is too short"))?;
            let stored = u32::from_le_bytes(field.try_into().unwrap_or_default());
            field.fill(0);
            if lookup3(&copy) != stored {
                return Err(place.corrupt("its checksum does not match"));
            }
        }
        self.blocks.insert(address, data.clone());
        Ok(data)
    }

    fn check_prefix(&self, input: &Input, data: &[u8], signature: [u8; 4], place: Place) -> Result<()> {
        let mut c = Cursor::new(data, input.sizes, place);
        c.signature(signature)?;
        c.version(0..=0)?;
        if c.address()? != Some(self.place.address) {
            return Err(place.corrupt("it belongs to another heap"));
        }
        Ok(())
    }

    fn huge(&mut self, input: &Input, mut id: Cursor<'_>, budget: &mut Budget) -> Result<Bytes> {
        let place = self.place;
        let direct_len = input.sizes.offsets + input.sizes.lengths;
        let (address, len) = if id.remaining() >= direct_len {
            (id.required_address()?, id.length()?)
        } else {
            let number = id.uint(id.remaining().min(8))?;
            if self.huge.is_none() {
                self.huge = Some(self.load_huge(input, budget)?);
            }
            let found = self.huge.as_ref().and_then(|all| all.get(&number)).copied();
            found.ok_or_else(|| place.corrupt(format_args!("it has no huge object {number}")))?
        };
        budget.spend(len, place)?;
        input.read(address, len)
    }

    fn load_huge(&self, input: &Input, budget: &mut Budget) -> Result<HashMap<u64, (u64, u64)>> {
        let place = self.place;
        let address = self.huge_tree.ok_or_else(|| place.corrupt("it has no huge objects"))?;
        let tree = BTree2::open(input, address, &[HUGE_RECORDS])?;
        let mut all = HashMap::new();
        tree.each_record(input, budget, |record| {
            let mut c = Cursor::new(record, input.sizes, place);
            let (address, len) = (c.required_address()?, c.length()?);
            all.insert(c.length()?, (address, len));
            Ok(())
        })?;
        Ok(all)
    }
}
