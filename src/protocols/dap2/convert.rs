//! Turning stored elements into elements of DAP2 types: 64-bit integers into Float64, rows of Char into
//! strings, and the same inside records. Which variable needs which is decided in [`super::view`].
#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Block, BlockStream, DataType, Error, Result, records::Cursor};
use futures::{StreamExt, stream};

/// What happens to one element on its way from the stored type to the DAP2 type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Conversion {
    /// The bytes are right already (also Int8 shown as Byte, and enumerations shown as integers).
    Same,
    /// A 64-bit integer becomes a Float64; exact up to 2^53.
    Wide {
        /// Int64 rather than UInt64.
        signed: bool,
    },
    /// `len` bytes become one string, without the NULs at its end.
    Text {
        /// Bytes of one string.
        len: u64,
    },
    /// Each member of a structure has its own conversion.
    Record(Vec<Member>),
    /// The same for every record of a sequence.
    Rows(Vec<Member>),
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    /// The stored type of one element.
    pub(super) stored: DataType,
    /// Elements per record; for text the number of strings.
    pub(super) count: u64,
    /// What happens to each.
    pub(super) conversion: Conversion,
}

impl Conversion {
    /// True when blocks may pass untouched.
    pub(super) fn is_same(&self) -> bool {
        match self {
            Self::Same => true,
            Self::Wide { .. } | Self::Text { .. } => false,
            Self::Record(members) | Self::Rows(members) => members.iter().all(|m| m.conversion.is_same()),
        }
    }

    /// Applies this to blocks of `stored` elements; `fixed` says whether the resulting type has a fixed
    /// size, `count` how many elements result (used only for text of no length).
    pub(super) fn apply(self, stored: DataType, fixed: bool, count: u64, blocks: BlockStream) -> BlockStream {
        match self {
            _ if self.is_same() => blocks,
            Self::Text { len: 0 } => empty_texts(count),
            Self::Text { len } => texts(len, blocks),
            Self::Wide { signed } => blocks.map(move |block| widen_block(signed, &block?)).boxed(),
            Self::Same | Self::Record(_) | Self::Rows(_) => {
                blocks.map(move |block| self.rewrite_block(&stored, fixed, &block?)).boxed()
            }
        }
    }

    fn rewrite_block(&self, stored: &DataType, fixed: bool, block: &Block) -> Result<Block> {
        let mut out = Vec::with_capacity(block.byte_len());
        let mut ends = Vec::new();
        let mut one = |element: &[u8]| -> Result<()> {
            let mut cursor = Cursor::new(element);
            self.rewrite(stored, &mut cursor, &mut out)?;
            if !fixed {
                ends.push(out.len() as u64);
            }
            Ok(())
        };
        match block {
            Block::Fixed(bytes) => {
                let size = stored.fixed_size().and_then(|s| usize::try_from(s).ok()).filter(|s| *s > 0);
                bytes.chunks(size.ok_or_else(misfit)?).try_for_each(&mut one)?;
            }
            Block::Varying { .. } => block.elements().try_for_each(&mut one)?,
        }
        Ok(if fixed { Block::Fixed(out.into()) } else { Block::Varying { ends, bytes: out.into() } })
    }

    /// One element inside a record.
    fn rewrite(&self, stored: &DataType, from: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Same => copy(stored, from, out),
            Self::Wide { signed } => {
                out.extend_from_slice(&widen(*signed, from.array()?).to_ne_bytes());
                Ok(())
            }
            Self::Text { len } => {
                let text = without_nuls(from.take(*len)?);
                out.extend_from_slice(&(text.len() as u64).to_ne_bytes());
                out.extend_from_slice(text);
                Ok(())
            }
            Self::Record(members) => rewrite_members(members, from, out),
            Self::Rows(members) => {
                let rows = from.count()?;
                out.extend_from_slice(&rows.to_ne_bytes());
                for _ in 0..rows {
                    // Rows of no bytes would let a count alone decide how long this takes.
                    let before = from.rest().len();
                    rewrite_members(members, from, out)?;
                    if from.rest().len() == before {
                        return Err(misfit());
                    }
                }
                Ok(())
            }
        }
    }
}

fn rewrite_members(members: &[Member], from: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    for member in members {
        match (&member.conversion, member.stored.fixed_size()) {
            (Conversion::Same, Some(size)) => {
                out.extend_from_slice(from.take(size.saturating_mul(member.count))?);
            }
            _ => {
                for _ in 0..member.count {
                    member.conversion.rewrite(&member.stored, from, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Copies one element as `cdm::records` lays it out inside a record.
fn copy(stored: &DataType, from: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    if let Some(size) = stored.fixed_size() {
        out.extend_from_slice(from.take(size)?);
        return Ok(());
    }
    match stored {
        DataType::Structure(_) | DataType::Sequence(_) => Err(misfit()), // mapped member by member
        _ => {
            let len = from.count()?;
            out.extend_from_slice(&len.to_ne_bytes());
            out.extend_from_slice(from.take(len)?);
            Ok(())
        }
    }
}

fn widen(signed: bool, bytes: [u8; 8]) -> f64 {
    // Exact for times and coordinates (below 2^53); beyond it DAP2 has nothing better.
    if signed { i64::from_ne_bytes(bytes) as f64 } else { u64::from_ne_bytes(bytes) as f64 }
}

fn widen_block(signed: bool, block: &Block) -> Result<Block> {
    let Block::Fixed(bytes) = block else { return Err(misfit()) };
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(misfit());
    }
    let floats: Vec<u8> = numbers.iter().flat_map(|n| widen(signed, *n).to_ne_bytes()).collect();
    Ok(Block::Fixed(floats.into()))
}

fn without_nuls(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}

/// Strings of `len` bytes each from a stream of bytes whose blocks may end inside a string.
fn texts(len: u64, blocks: BlockStream) -> BlockStream {
    let step = move |left: Vec<u8>, block: Result<Block>| -> Result<(Vec<u8>, Block)> {
        let Block::Fixed(bytes) = block? else { return Err(misfit()) };
        let len = usize::try_from(len).map_err(|e| misfit().with_source(e))?;
        let joined: Bytes = if left.is_empty() { bytes } else { [left.as_slice(), &bytes].concat().into() };
        let whole = joined.chunks_exact(len);
        let rest = whole.remainder().to_vec();
        Ok((rest, Block::varying(whole.map(without_nuls))))
    };
    blocks
        .scan(Some(Vec::new()), move |state, block| {
            // Nothing follows an error.
            let item = state.take().map(|left| match step(left, block) {
                Ok((rest, block)) => {
                    *state = Some(rest);
                    Ok(block)
                }
                Err(error) => Err(error),
            });
            std::future::ready(item)
        })
        .boxed()
}

/// `count` strings of no length, in blocks of a bounded size.
fn empty_texts(count: u64) -> BlockStream {
    const AT_ONCE: u64 = 65_536;
    stream::unfold(count, |left| {
        let now = left.min(AT_ONCE);
        let block = usize::try_from(now).ok().filter(|n| *n > 0).map(|n| {
            let block = Block::Varying { ends: vec![0; n], bytes: Bytes::new() };
            (Ok(block), left - now)
        });
        std::future::ready(block)
    })
    .boxed()
}

fn misfit() -> Error {
    Error::internal("a block does not have the layout of its variable's type")
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn strings(len: u64, pieces: &[&[u8]]) -> Vec<String> {
        let blocks: Vec<_> = pieces.iter().map(|p| Ok(Block::Fixed(Bytes::copy_from_slice(p)))).collect();
        let out = Conversion::Text { len }.apply(DataType::Char, false, 3, stream::iter(blocks).boxed());
        block_on(out.collect::<Vec<_>>())
            .into_iter()
            .flat_map(|b| {
                b.unwrap().elements().map(|e| String::from_utf8(e.to_vec()).unwrap()).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn text_may_be_cut_anywhere_by_blocks() {
        let expect = ["ab", "c d", ""];
        assert_eq!(strings(3, &[b"ab\0c d\0\0\0"]), expect);
        assert_eq!(strings(3, &[b"a", b"b\0c d\0", b"\0\0"]), expect);
        assert_eq!(strings(0, &[]), ["", "", ""]);
    }

    #[test]
    fn wide_integers_become_floats() {
        let stored = [1_i64, -2, 1 << 53].iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>();
        let block = widen_block(true, &Block::Fixed(stored.into())).unwrap();
        let expect = [1.0, -2.0, 9_007_199_254_740_992.0_f64];
        assert_eq!(
            block,
            Block::Fixed(expect.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<u8>>().into())
        );
    }

    #[test]
    fn records_are_rewritten_member_by_member() {
        // { Int64 t; Char name[4]; Int16 n } -> { Float64 t; String name; Int16 n }
        let member = |stored, conversion| Member { stored, count: 1, conversion };
        let conversion = Conversion::Record(vec![
            member(DataType::Int64, Conversion::Wide { signed: true }),
            member(DataType::Char, Conversion::Text { len: 4 }),
            member(DataType::Int16, Conversion::Same),
        ]);
        let mut from = 7_i64.to_ne_bytes().to_vec();
        from.extend_from_slice(b"ab\0\0");
        from.extend_from_slice(&5_i16.to_ne_bytes());
        let mut out = Vec::new();
        conversion.rewrite(&DataType::Int8, &mut Cursor::new(&from), &mut out).unwrap();
        let mut expect = 7.0_f64.to_ne_bytes().to_vec();
        expect.extend_from_slice(&2_u64.to_ne_bytes());
        expect.extend_from_slice(b"ab");
        expect.extend_from_slice(&5_i16.to_ne_bytes());
        assert_eq!(out, expect);
        let error = conversion.rewrite(&DataType::Int8, &mut Cursor::new(&from[..9]), &mut out).unwrap_err();
        assert_eq!(error.kind(), cdm::ErrorKind::Internal);
    }
}
