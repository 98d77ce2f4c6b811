//! Brackets to slices: what each axis keeps, and what it is called afterwards (protocol notes 4.2).

use std::collections::HashMap;

use cdm::{Dimension, FullName, Selection, Slice, Variable};

use super::{
    constraint::{Axis, Last, Part},
    fault::{Checked, Fault},
};

/// Shared dimensions that the constraint slices: which indices, and the dimension that is left.
pub(super) type Resized = HashMap<FullName, (Vec<Slice>, Dimension)>;

/// `variable` without brackets: whole but for resized dimensions.
pub(super) fn whole(variable: &Variable, resized: &Resized) -> (Selection, Vec<Dimension>) {
    let (slices, dimensions) = variable.dimensions.iter().map(|d| whole_axis(d, resized)).unzip();
    let selection = Selection::new(slices, &variable.shape());
    // A resized dimension whose size is not this axis' size cannot be applied to it.
    selection.map_or_else(
        |_| (Selection::all(&variable.shape()), variable.dimensions.clone()),
        |selection| (selection, dimensions),
    )
}

fn whole_axis(dimension: &Dimension, resized: &Resized) -> (Vec<Slice>, Dimension) {
    dimension
        .name
        .as_ref()
        .and_then(|name| resized.get(name))
        .cloned()
        .unwrap_or_else(|| (vec![Slice::all(dimension.size)], dimension.clone()))
}

/// `variable` with the brackets written behind it.
///
/// # Errors
/// A rank that differs, indices outside.
pub(super) fn select(
    brackets: &[Axis],
    variable: &Variable,
    shown: &str,
    at: usize,
    resized: &Resized,
) -> Checked<(Selection, Vec<Dimension>)> {
    let rank = variable.dimensions.len();
    if brackets.is_empty() {
        return Ok(whole(variable, resized));
    }
    if rank == 0 {
        scalar(brackets, shown)?;
        return Ok(whole(variable, resized));
    }
    if brackets.len() != rank {
        let fault = Fault::new(
            brackets.first().map_or(at, |a| a.at),
            format!(
                "{shown} has {rank} {} but {} {}",
                plural(rank, "dimension"),
                brackets.len(),
                plural(brackets.len(), "slice")
            ),
        );
        return Err(fault.advise(format!("Try {shown}{}.", "[]".repeat(rank))));
    }
    let mut all = Vec::with_capacity(rank);
    let mut dimensions: Vec<Dimension> = Vec::with_capacity(rank);
    let mut restated = Vec::new();
    for (i, (axis, dimension)) in brackets.iter().zip(&variable.dimensions).enumerate() {
        if axis.parts.is_empty() {
            let (kept, left) = whole_axis(dimension, resized);
            all.push(kept);
            dimensions.push(left);
            continue;
        }
        let words = || {
            let label = match &dimension.name {
                Some(name) => format!("dimension {}", name.short()),
                None => format!("axis {i} of {shown}"),
            };
            // What to try keeps the other brackets as they are.
            let before: String = brackets.iter().take(i).map(ToString::to_string).collect();
            Words { label, before: format!("{shown}{before}") }
        };
        let kept = slices(axis, dimension.size, &words)?;
        let is_whole = matches!(kept.as_slice(), [s] if *s == Slice::all(dimension.size));
        let is_resized = dimension.name.as_ref().is_some_and(|n| resized.contains_key(n));
        if is_whole && !is_resized {
            restated.push(i);
            dimensions.push(dimension.clone());
        } else {
            dimensions.push(Dimension::anonymous(kept.iter().map(|s| s.count).sum()));
        }
        all.push(kept);
    }
    // A slice that says all of its axis keeps the shared dimension (4.2) where every axis has one. Beside an axis without,
    // it is what the specification says of any slice: pydap, which always writes all slices, takes the sizes of axes
    // without a name for the first ones (2.7), and would give the values another shape.
    if dimensions.iter().any(|d| d.name.is_none()) {
        for i in restated {
            dimensions[i] = Dimension::anonymous(dimensions[i].size);
        }
    }
    let selection = Selection::new(all, &variable.shape()).map_err(|e| Fault::new(at, e.message()))?;
    Ok((selection, dimensions))
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

/// A scalar may be written with one empty or zero slice.
fn scalar(brackets: &[Axis], shown: &str) -> Checked<()> {
    let harmless = |part: &Part| {
        part.start == 0 && part.step > 0 && matches!(part.last, Last::Start | Last::End | Last::Index(0))
    };
    match brackets {
        [only] if only.parts.len() <= 1 && only.parts.iter().all(harmless) => Ok(()),
        _ => {
            let at = brackets.first().map_or(0, |a| a.at);
            Err(Fault::new(at, format!("{shown} is a scalar")).advise(format!("Try {shown}.")))
        }
    }
}

/// What messages about the slices of an axis say.
pub(super) struct Words {
    /// What the axis is called.
    pub(super) label: String,
    /// What of the constraint stands before its slices.
    pub(super) before: String,
}

/// The slices of an axis of `size` elements; `words` are asked for when something is wrong.
///
/// # Errors
/// Indices outside, a start behind the stop, a step of 0.
pub(super) fn slices(axis: &Axis, size: u64, words: &dyn Fn() -> Words) -> Checked<Vec<Slice>> {
    if size == 0 || axis.parts.is_empty() {
        // There is nothing to choose from: some clients ask [0:1:huge] of an empty axis.
        return Ok(vec![Slice::all(size)]);
    }
    axis.parts.iter().map(|part| slice(*part, axis, size, words)).collect()
}

fn slice(part: Part, axis: &Axis, size: u64, words: &dyn Fn() -> Words) -> Checked<Slice> {
    let Part { start, step, last } = part;
    let highest = size - 1;
    let stop = match last {
        Last::Start => start,
        Last::Index(stop) => stop,
        Last::End => highest,
    };
    if step == 0 {
        let fault = Fault::new(axis.at, format!("a step of 0 in {axis}"));
        let Words { before, .. } = words();
        return Err(fault.advise(format!("Try {before}[{start}:1:{}].", stop.min(highest))));
    }
    if start > highest || stop > highest {
        let Words { label, before } = words();
        let elements = plural(usize::try_from(size).unwrap_or(usize::MAX), "element");
        let fault = Fault::new(
            axis.at,
            format!("index out of range: {label} has {size} {elements} (0 to {highest}); you asked {axis}"),
        );
        let fitting = match last {
            Last::Start => format!("[{highest}]"),
            _ => format!("[{}:{step}:{highest}]", if start > highest { 0 } else { start }),
        };
        return Err(fault.advise(format!("Try {before}{fitting}.")));
    }
    if start > stop {
        let fault = Fault::new(axis.at, format!("the start {start} lies past the stop {stop} in {axis}"));
        let Words { before, .. } = words();
        return Err(fault.advise(format!("Try {before}[{stop}:{step}:{start}].")));
    }
    let count = (stop - start) / step + 1;
    // A step longer than the axis selects one element; its length does not matter then.
    let distance = if count == 1 { 1 } else { step };
    Slice::new(start, distance, count).map_err(|e| Fault::new(axis.at, e.message()))
}
