//! Coordinates of cell centres, computed when they are read: an image of a few bytes may have any number of
//! rows.

use bytes::Bytes;
use cdm::{Block, BlockStream, Error, Selection, Slice, source::failed};
use futures::stream;

/// Elements of one block.
const BLOCK: u64 = 8192;

/// `origin + (i + 0.5) * step`, summed over the axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Coordinates {
    pub(crate) origin: f64,
    /// Size and step of each axis: one or two.
    pub(crate) axes: Vec<(u64, f64)>,
}

impl Coordinates {
    pub(crate) fn shape(&self) -> Vec<u64> {
        self.axes.iter().map(|(size, _)| *size).collect()
    }

    /// The values of a selection as Float64.
    pub(crate) fn read(&self, selection: &Selection) -> BlockStream {
        if selection.of_shape() != self.shape() {
            return failed(Error::internal("a selection made for another shape"));
        }
        let (outer, outer_step, inner, inner_step) = match (selection.axes(), self.axes.as_slice()) {
            ([inner], [(_, step)]) => (None, 0.0, inner.clone(), *step),
            ([outer, inner], [(_, outer_step), (_, step)]) => {
                (Some(outer.clone()), *outer_step, inner.clone(), *step)
            }
            _ => return failed(Error::internal("coordinates of more than two axes")),
        };
        let origin = self.origin;
        // A fixed order of additions, GDAL's: columns before rows.
        let block = move |row: Option<u64>, piece: Slice| {
            let mut bytes = Vec::new();
            for i in piece.indices() {
                let mut value = origin + (i as f64 + 0.5) * inner_step;
                if let Some(row) = row {
                    value += (row as f64 + 0.5) * outer_step;
                }
                bytes.extend_from_slice(&value.to_ne_bytes());
            }
            Ok(Block::Fixed(Bytes::from(bytes)))
        };
        let rows: Box<dyn Iterator<Item = Option<u64>> + Send> = match outer {
            Some(slices) => Box::new(slices.into_iter().flat_map(Slice::indices).map(Some)),
            None => Box::new(std::iter::once(None)),
        };
        let blocks = rows.flat_map(move |row| {
            let pieces = inner.clone().into_iter().flat_map(pieces);
            pieces.map(move |piece| block(row, piece))
        });
        Box::pin(stream::iter(blocks))
    }
}

/// A slice in pieces of a block each.
fn pieces(slice: Slice) -> impl Iterator<Item = Slice> {
    (0..slice.count.div_ceil(BLOCK)).map(move |i| Slice {
        start: slice.start + i * BLOCK * slice.step.get(),
        step: slice.step,
        count: (slice.count - i * BLOCK).min(BLOCK),
    })
}
