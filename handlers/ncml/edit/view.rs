//! How an edited variable is read: which part of the original, in which order of axes, as which type.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use bytes::Bytes;
use cdm::{
    Block, BlockStream, DataType, Error, FullName, Result, Selection, Slice, Source, Variable,
    source::{end_after_error, failed},
};
use futures::StreamExt;

use super::{bands::bands, given::Given, numbers};
use crate::ncml::document::Logical;

/// Bytes that are put into another order at once.
const REORDERED: u64 = 4 << 20;

/// A variable of the original, seen another way.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The original.
    pub(super) base: FullName,
    /// The type its elements are read as: its own, or that without sign.
    pub(super) read_as: DataType,
    /// The type they become.
    pub(super) data_type: DataType,
    /// Rows of characters of this length become strings.
    pub(super) text: Option<u64>,
    /// Over the shape of the original (without the rows of characters).
    selection: Selection,
    /// Axis `i` is axis `kept[i]` of the original; the others have one index.
    kept: Vec<usize>,
}

impl View {
    /// All of the variable `base`, of this type and shape.
    pub(super) fn whole(base: FullName, data_type: &DataType, shape: &[u64]) -> Self {
        Self {
            base,
            read_as: data_type.clone(),
            data_type: data_type.clone(),
            text: None,
            selection: Selection::all(shape),
            kept: (0..shape.len()).collect(),
        }
    }

    /// Strings in place of the last axis' characters.
    pub(super) fn as_text(&mut self) {
        let mut shape = self.selection.of_shape().to_vec();
        self.text = shape.pop();
        self.selection = Selection::all(&shape);
        self.kept = (0..shape.len()).collect();
    }

    /// The original as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.read_as == self.data_type
            && self.text.is_none()
            && self.selection.is_all()
            && self.kept.len() == self.selection.axes().len()
            && self.kept.is_sorted()
    }

    /// The shape of what is seen.
    fn shape(&self) -> Vec<u64> {
        let all = self.selection.shape();
        self.kept.iter().filter_map(|&axis| all.get(axis).copied()).collect()
    }

    /// Applies one logical edit, to the dimensions of `variable` too.
    ///
    /// # Errors
    /// `Corrupt` when it does not fit the variable.
    pub(super) fn apply(&mut self, variable: &mut Variable, logical: &Logical) -> Result<()> {
        let has = |variable: &Variable, name: &str| {
            let called = |d: &cdm::Dimension| d.name.as_ref().is_some_and(|n| n.short() == name);
            variable.dimensions.iter().position(called).ok_or_else(|| {
                let names = variable.dimensions.iter().filter_map(|d| d.name.as_ref());
                let names: Vec<&str> = names.map(FullName::short).collect();
                Error::corrupt(format!("there is no dimension '{name}'; it has: {}", names.join(", ")))
            })
        };
        match logical {
            Logical::Section(text) => {
                let chosen = section(text, &variable.shape())?;
                self.narrow(&chosen)?;
                for (dimension, size) in variable.dimensions.iter_mut().zip(chosen.shape()) {
                    if dimension.size != size {
                        // The dataset's dimension of this name has another size.
                        *dimension = cdm::Dimension::anonymous(size);
                    }
                }
            }
            Logical::Slice { dimension, index } => {
                let axis = has(variable, dimension)?;
                let mut slices: Vec<Vec<Slice>> =
                    variable.shape().iter().map(|&n| vec![Slice::all(n)]).collect();
                if let Some(place) = slices.get_mut(axis) {
                    *place = vec![Slice::new(*index, 1, 1)?];
                }
                let chosen =
                    Selection::new(slices, &variable.shape()).map_err(|e| Error::corrupt(e.message()))?;
                self.narrow(&chosen)?;
                variable.dimensions.remove(axis);
                self.kept.remove(axis);
            }
            Logical::Reduce(names) => {
                for name in names {
                    let axis = has(variable, name)?;
                    let size = variable.dimensions.get(axis).map_or(0, |d| d.size);
                    if size != 1 {
                        return Err(Error::corrupt(format!(
                            "the dimension '{name}' has {size} elements; only one of 1 can be left out"
                        )));
                    }
                    variable.dimensions.remove(axis);
                    self.kept.remove(axis);
                }
            }
            Logical::View(names) => {
                let order = names.iter().map(|name| has(variable, name)).collect::<Result<Vec<_>>>()?;
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..variable.dimensions.len()) {
                    return Err(Error::corrupt("an order of dimensions must name each of them once"));
                }
                let (dimensions, kept) = (variable.dimensions.clone(), self.kept.clone());
                variable.dimensions =
                    order.iter().filter_map(|&axis| dimensions.get(axis).cloned()).collect();
                self.kept = order.iter().filter_map(|&axis| kept.get(axis).copied()).collect();
            }
        }
        Ok(())
    }

    fn narrow(&mut self, chosen: &Selection) -> Result<()> {
        self.selection = self.of_original(chosen)?;
        Ok(())
    }

    /// `chosen`, of what is seen, as a selection of the original, in the original's order of axes.
    fn of_original(&self, chosen: &Selection) -> Result<Selection> {
        if chosen.of_shape() != self.shape() {
            return Err(Error::internal("a selection made for another shape"));
        }
        let shape = self.selection.shape();
        let mut axes: Vec<Vec<Slice>> = shape.iter().map(|&n| vec![Slice::all(n)]).collect();
        for (slices, &axis) in chosen.axes().iter().zip(&self.kept) {
            if let Some(place) = axes.get_mut(axis) {
                slices.clone_into(place);
            }
        }
        self.selection.then(&Selection::new(axes, &shape)?)
    }

    /// Reads `selection` of what is seen from `source`, which has the original. Errors name `called`.
    pub(super) fn read(
        &self,
        source: &Arc<dyn Source>,
        called: &FullName,
        selection: &Selection,
    ) -> BlockStream {
        let chosen = match self.of_original(selection) {
            Ok(chosen) => chosen,
            Err(error) => return failed(error),
        };
        let mut blocks = if self.kept.is_sorted() {
            self.in_order(source, &chosen)
        } else {
            self.reordered(source, selection)
        };
        if !numbers::same_layout(&self.read_as, &self.data_type) && self.text.is_none() {
            let (from, to, called) = (self.read_as.clone(), self.data_type.clone(), called.clone());
            let converted = blocks.map(move |block| {
                block.and_then(|b| numbers::convert_block(b, &from, &to).map_err(|e| e.within(&called)))
            });
            blocks = end_after_error(converted);
        }
        blocks
    }

    /// Elements of the original's type, or strings, in the original's order.
    fn in_order(&self, source: &Arc<dyn Source>, chosen: &Selection) -> BlockStream {
        let Some(len) = self.text else { return source.read(&self.base, chosen) };
        let mut axes = chosen.axes().to_vec();
        axes.push(vec![Slice::all(len)]);
        let mut shape = chosen.of_shape().to_vec();
        shape.push(len);
        match (Selection::new(axes, &shape), usize::try_from(len)) {
            (Ok(_), Ok(0)) => Given::Same(Bytes::new()).read(&DataType::String, chosen),
            (Ok(all), Ok(len)) => rows(source.read(&self.base, &all), len),
            (Err(error), _) => failed(error),
            (_, Err(e)) => failed(Error::too_large("a row of characters is too long").with_source(e)),
        }
    }

    /// As [`View::in_order`], in the order of what is seen: piece by piece, each read whole.
    fn reordered(&self, source: &Arc<dyn Source>, selection: &Selection) -> BlockStream {
        let element = if self.text.is_some() { None } else { self.read_as.fixed_size() };
        let most = REORDERED / element.unwrap_or(64).max(1);
        let (view, source) = (self.clone(), Arc::clone(source));
        let pieces = futures::stream::iter(bands(selection.clone(), most)).then(move |band| {
            let (view, source) = (view.clone(), Arc::clone(&source));
            async move {
                let band = band?;
                let chosen = view.of_original(&band)?;
                let mut blocks = view.in_order(&source, &chosen);
                let mut whole = Gathered::default();
                while let Some(block) = blocks.next().await {
                    whole.add(block?);
                }
                whole.reorder(element, &chosen.shape(), &view.kept)
            }
        });
        end_after_error(pieces)
    }
}

/// The selection that `section` (`0:9:2,:,3`, ends included) is of `shape`.
fn section(text: &str, shape: &[u64]) -> Result<Selection> {
    let wrong = || Error::corrupt(format!("'{text}' is no section of {shape:?}; write it as 0:9:2,:,3"));
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() != shape.len() {
        return Err(wrong());
    }
    let mut axes = Vec::new();
    for (part, &size) in parts.iter().zip(shape) {
        let numbers: Vec<&str> = part.split(':').map(str::trim).collect();
        let number = |text: &str| text.parse::<u64>().map_err(|e| wrong().with_source(e));
        let slice = match numbers.as_slice() {
            ["" | "*"] | ["", ""] => Slice::all(size),
            [one] => Slice::new(number(one)?, 1, 1)?,
            [first, last] | [first, last, _] => {
                let (first, last) = (number(first)?, number(last)?);
                let step = numbers.get(2).map_or(Ok(1), |step| number(step))?;
                let count = last.checked_sub(first).and_then(|n| n.checked_div(step)).ok_or_else(wrong)?;
                Slice::new(first, step, count + 1)?
            }
            _ => return Err(wrong()),
        };
        axes.push(vec![slice]);
    }
    Selection::new(axes, shape).map_err(|e| Error::corrupt(format!("the section '{text}': {e}")))
}

/// Rows of `len` characters as strings, each up to its first NUL.
fn rows(blocks: BlockStream, len: usize) -> BlockStream {
    let mut rest: Vec<u8> = Vec::new();
    let strings = blocks.filter_map(move |block| {
        let made = match block {
            Ok(Block::Fixed(bytes)) => {
                rest.extend_from_slice(&bytes);
                let whole = rest.len() / len * len;
                let row = |row: &[u8]| row.split(|b| *b == 0).next().unwrap_or_default().to_vec();
                let strings: Vec<Vec<u8>> =
                    rest.get(..whole).unwrap_or_default().chunks_exact(len).map(row).collect();
                rest.drain(..whole);
                (!strings.is_empty()).then(|| Ok(Block::varying(strings)))
            }
            Ok(Block::Varying { .. }) => Some(Err(Error::internal("characters of varying size"))),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(made)
    });
    end_after_error(strings)
}

/// All elements of a piece.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Gathered {
    fn add(&mut self, block: Block) {
        if let Block::Varying { .. } = &block {
            for element in block.elements() {
                self.bytes.extend_from_slice(element);
                self.ends.push(self.bytes.len());
            }
        } else if let Block::Fixed(bytes) = block {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// In the order in which axis `i` is axis `kept[i]` of `shape`, whose other axes have one index.
    fn reorder(&self, element: Option<u64>, shape: &[u64], kept: &[usize]) -> Result<Block> {
        let broken = || Error::internal("a piece that is not whole");
        let mut strides = vec![1_usize; shape.len()];
        let mut stride = 1_usize;
        for (place, &size) in strides.iter_mut().zip(shape).rev() {
            *place = stride;
            stride = stride.saturating_mul(usize::try_from(size).unwrap_or(usize::MAX));
        }
        let step_of = |&axis: &usize| Some((*strides.get(axis)?, usize::try_from(*shape.get(axis)?).ok()?));
        let steps: Vec<(usize, usize)> =
            kept.iter().map(step_of).collect::<Option<_>>().ok_or_else(broken)?;
        let size = element.and_then(|n| usize::try_from(n).ok());
        let (mut out, mut ends) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let mut at = vec![0_usize; steps.len()];
        if steps.iter().any(|(_, size)| *size == 0) {
            return Ok(if size.is_some() { Block::Fixed(Bytes::new()) } else { Block::varying([[]; 0]) });
        }
        loop {
            let flat: usize = at.iter().zip(&steps).map(|(i, (stride, _))| i * stride).sum();
            let range = if let Some(size) = size {
                flat * size..(flat + 1) * size
            } else {
                let start = flat.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
                start.ok_or_else(broken)?..*self.ends.get(flat).ok_or_else(broken)?
            };
            out.extend_from_slice(self.bytes.get(range).ok_or_else(broken)?);
            ends.push(out.len() as u64);
            // The innermost axis that is not at its end steps, those inside of it restart.
            let mut step = steps.len();
            loop {
                let Some(axis) = step.checked_sub(1) else {
                    let bytes = Bytes::from(out);
                    return Ok(if size.is_some() {
                        Block::Fixed(bytes)
                    } else {
                        Block::Varying { ends, bytes }
                    });
                };
                step = axis;
                if let (Some(place), Some((_, size))) = (at.get_mut(axis), steps.get(axis)) {
                    *place += 1;
                    if *place < *size {
                        break;
                    }
                    *place = 0;
                }
            }
        }
    }
}
