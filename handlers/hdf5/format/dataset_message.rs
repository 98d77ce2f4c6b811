//! Decoding the messages of a dataset: dataspace, layout, fill value, filters.

use bytes::Bytes;
use cdm::Result;

use super::{
    AllocationTime, ChunkIndexKind, ChunkedLayout, Dataspace, FillState, FillValue, FillWriteTime, Filter,
    Layout,
    cursor::{Cursor, text},
    input::Input,
};

const HIGHEST_RANK: usize = 32;

/// The dataspace message, versions 1 and 2.
pub(super) fn dataspace(c: &mut Cursor<'_>) -> Result<Dataspace> {
    let place = c.place;
    let version = c.version(1..=2)?;
    let rank = usize::from(c.u8()?);
    let flags = c.u8()?;
    let kind = if version == 1 {
        c.skip(5)?;
        u8::from(rank != 0)
    } else {
        c.u8()?
    };
    match (kind, rank) {
        (2, _) => return Ok(Dataspace::Null),
        (0, 0) => return Ok(Dataspace::Scalar),
        (1, 1..=HIGHEST_RANK) => {}
        _ => return Err(place.corrupt(format_args!("a dataspace of kind {kind} and rank {rank}"))),
    }
    let mut dims = Vec::with_capacity(rank);
    for _ in 0..rank {
        dims.push(c.length()?);
    }
    let mut max_dims = Vec::new();
    for axis in 0..if flags & 0x01 == 0 { 0 } else { rank } {
        let (dim, max) = (dims.get(axis).copied(), c.limit()?);
        if max.is_some_and(|max| Some(max) < dim) {
            return Err(place.corrupt("a dimension is larger than it may be"));
        }
        // Most may not grow.
        if max != dim && max_dims.is_empty() {
            max_dims = dims.iter().copied().map(Some).collect();
        }
        if let Some(limit) = max_dims.get_mut(axis) {
            *limit = max;
        }
    }
    if dims.iter().filter(|d| **d != 0).try_fold(1_u64, |n, d| n.checked_mul(*d)).is_none() {
        return Err(place.unsupported("more than 2^64 elements"));
    }
    Ok(Dataspace::Simple { dims, max_dims })
}

/// The data layout message, versions 1 to 5. `element` and `dataspace` are the dataset's.
pub(super) fn layout(
    c: &mut Cursor<'_>,
    input: &Input,
    element: u64,
    dataspace: &Dataspace,
    filtered: bool,
) -> Result<Layout> {
    let place = c.place;
    let bytes = element
        .checked_mul(dataspace.element_count())
        .filter(|&n| i64::try_from(n).is_ok())
        .ok_or_else(|| place.unsupported("more than 2^63 bytes of data"))?;
    let version = c.version(1..=5)?;
    let (class, old_rank) = if version < 3 {
        let rank = usize::from(c.u8()?);
        let class = c.u8()?;
        c.skip(5)?;
        (class, rank)
    } else {
        (c.u8()?, 0)
    };
    let layout = match class {
        0 => {
            if version < 3 {
                c.skip(4 * old_rank)?;
            }
            let len = if version < 3 { c.size32()? } else { usize::from(c.u16()?) };
            let data = c.take(len)?;
            match usize::try_from(bytes).ok().and_then(|n| data.get(..n)) {
                Some(data) => Layout::Compact(Bytes::copy_from_slice(data)),
                None if data.is_empty() => Layout::Compact(Bytes::new()),
                None => return Err(place.corrupt(format_args!("{len} bytes of data, not {bytes}"))),
            }
        }
        1 => {
            let address = c.address()?;
            let stored = if version < 3 { bytes } else { c.length()? };
            if stored < bytes && address.is_some() {
                return Err(place.corrupt(format_args!("{stored} bytes of data, not {bytes}")));
            }
            let offset = match address {
                Some(address) if bytes > 0 => Some(input.data_offset(address, bytes, place)?),
                _ => None,
            };
            Layout::Contiguous { offset, size: bytes }
        }
        2 => Layout::Chunked(chunked(c, version, old_rank, element, dataspace, filtered)?),
        3 if version >= 4 => Layout::Virtual,
        _ => return Err(place.unsupported(format_args!("layout class {class} is unknown"))),
    };
    Ok(layout)
}

fn chunked(
    c: &mut Cursor<'_>,
    version: u8,
    old_rank: usize,
    element: u64,
    dataspace: &Dataspace,
    filtered: bool,
) -> Result<ChunkedLayout> {
    let place = c.place;
    let rank = dataspace.dims().len();
    let (mut flags, mut width) = (0_u8, 4_usize);
    let mut index_address = None;
    let stored_rank = match version {
        1 | 2 => {
            index_address = c.address()?;
            old_rank
        }
        3 => {
            let stored = usize::from(c.u8()?);
            index_address = c.address()?;
            stored
        }
        _ => {
            flags = c.u8()?;
            let stored = usize::from(c.u8()?);
            width = usize::from(c.u8()?);
            stored
        }
    };
    if rank == 0 || stored_rank != rank + 1 || !(1..=8).contains(&width) {
        return Err(place.corrupt(format_args!("chunks of rank {stored_rank} for data of rank {rank}")));
    }
    let mut chunk_shape = Vec::with_capacity(rank);
    for _ in 0..rank {
        chunk_shape.push(c.uint(width)?);
    }
    let element_size = c.uint(width)?;
    if element_size != element || chunk_shape.contains(&0) {
        return Err(place.corrupt(format_args!("chunks {chunk_shape:?} of {element_size}-byte elements")));
    }
    let chunk_bytes = chunk_shape
        .iter()
        .try_fold(element, |n, d| n.checked_mul(*d))
        .filter(|&n| i64::try_from(n).is_ok())
        .ok_or_else(|| place.corrupt("chunks of impossible size"))?;
    let mut index = ChunkIndexKind::BTree1;
    if version >= 4 {
        index = index_kind(c, flags, filtered)?;
        index_address = c.address()?;
    }
    let edge_chunks_unfiltered = flags & 0x01 != 0;
    Ok(ChunkedLayout { chunk_shape, element_size, chunk_bytes, index, index_address, edge_chunks_unfiltered })
}

/// The index and its creation parameters, which each index repeats in its own header.
fn index_kind(c: &mut Cursor<'_>, flags: u8, filtered: bool) -> Result<ChunkIndexKind> {
    Ok(match c.u8()? {
        1 => {
            let filtered = if flags & 0x02 == 0 { None } else { Some((c.length()?, c.u32()?)) };
            ChunkIndexKind::Single { filtered }
        }
        2 if filtered => return Err(c.place.corrupt("an implicit chunk index of filtered chunks")),
        2 => ChunkIndexKind::Implicit,
        3 => {
            c.skip(1)?;
            ChunkIndexKind::FixedArray
        }
        4 => {
            c.skip(5)?;
            ChunkIndexKind::ExtensibleArray
        }
        5 => {
            c.skip(6)?;
            ChunkIndexKind::BTree2
        }
        other => return Err(c.place.unsupported(format_args!("chunk index {other} is unknown"))),
    })
}

impl Default for FillValue {
    fn default() -> Self {
        Self {
            state: FillState::Default,
            value: None,
            allocation: AllocationTime::Unknown,
            write: FillWriteTime::Unknown,
        }
    }
}

/// The old fill value message: a size and that many bytes.
pub(super) fn old_fill(c: &mut Cursor<'_>, element: u64) -> Result<FillValue> {
    let mut fill = FillValue::default();
    given(c, element, &mut fill)?;
    Ok(fill)
}

/// The fill value message, versions 1 to 3.
pub(super) fn fill(c: &mut Cursor<'_>, element: u64) -> Result<FillValue> {
    let mut fill = FillValue::default();
    let version = c.version(1..=3)?;
    let (allocation, write, has_value);
    if version < 3 {
        (allocation, write) = (c.u8()?, c.u8()?);
        has_value = c.u8()? != 0;
        if !has_value {
            fill.state = FillState::Undefined;
        }
    } else {
        let flags = c.u8()?;
        (allocation, write) = (flags & 0x03, (flags >> 2) & 0x03);
        has_value = flags & 0x20 != 0;
        if flags & 0x10 != 0 {
            fill.state = FillState::Undefined;
        }
    }
    fill.allocation = match allocation {
        1 => AllocationTime::Early,
        2 => AllocationTime::Late,
        3 => AllocationTime::Incremental,
        _ => AllocationTime::Unknown,
    };
    fill.write = match write {
        0 => FillWriteTime::AtAllocation,
        1 => FillWriteTime::Never,
        2 => FillWriteTime::IfGiven,
        _ => FillWriteTime::Unknown,
    };
    if has_value {
        given(c, element, &mut fill)?;
    }
    Ok(fill)
}

fn given(c: &mut Cursor<'_>, element: u64, fill: &mut FillValue) -> Result<()> {
    let place = c.place;
    let size = c.u32()?;
    match size {
        0 => {}
        u32::MAX => fill.state = FillState::Undefined,
        _ if u64::from(size) != element => {
            return Err(
                place.corrupt(format_args!("a fill value of {size} bytes for {element}-byte elements"))
            );
        }
        _ => {
            let len = usize::try_from(size).unwrap_or(usize::MAX);
            fill.value = Some(Bytes::copy_from_slice(c.take(len)?));
            fill.state = FillState::Given;
        }
    }
    Ok(())
}

/// The filter pipeline message, versions 1 and 2.
pub(super) fn filters(c: &mut Cursor<'_>) -> Result<Vec<Filter>> {
    let place = c.place;
    let version = c.version(1..=2)?;
    let count = c.u8()?;
    if count > 32 {
        return Err(place.corrupt(format_args!("{count} filters")));
    }
    if version == 1 {
        c.skip(6)?;
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = c.u16()?;
        let name_len = if version == 1 || id >= 256 { usize::from(c.u16()?) } else { 0 };
        let flags = c.u16()?;
        let values = usize::from(c.u16()?);
        let padded = if version == 1 { name_len.next_multiple_of(8) } else { name_len };
        let name = text(c.take(padded)?);
        let mut client_data = Vec::new();
        for _ in 0..values {
            client_data.push(c.u32()?);
        }
        if version == 1 && values % 2 == 1 {
            c.skip(4)?;
        }
        filters.push(Filter { id, name, optional: flags & 1 != 0, client_data });
    }
    Ok(filters)
}
