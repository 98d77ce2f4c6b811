//! One index of a dimension of a dataset: how a file with several runs becomes a member for each.

use std::sync::Arc;

use async_trait::async_trait;
use cdm::{
    Block, BlockStream, Dataset, FullName, Group, Result, Selection, Slice, Source, Variable, Version,
    source::failed,
};

use crate::{
    aggregation::{Known, KnownValues, Member, Open},
    coordinate_maps::assign_maps,
};

/// `member` at `index` of `dimension`, which it has no longer.
pub(super) fn slice(member: &Member, dimension: &FullName, index: u64) -> Result<Member> {
    let mut known = KnownValues::new();
    for (name, variable) in member.dataset.variables() {
        let Some(value) = member.known.get(&name) else { continue };
        let value = match value {
            _ if !uses(variable, dimension) => Some(value.clone()),
            Known::Values(block) => at_index(block, variable, dimension, index).map(Known::Values),
            // Of all indices; with one there is, it is that of the slice too.
            Known::Digest(_) => size_of(variable, dimension).filter(|&n| n == 1).map(|_| value.clone()),
        };
        known.extend(value.map(|v| (name, v)));
    }
    Ok(Member {
        dataset: Arc::new(described(&member.dataset, dimension)?),
        known: Arc::new(known),
        opener: Arc::new(OpenSliced {
            inner: Arc::clone(&member.opener),
            dimension: dimension.clone(),
            index,
        }),
        ..member.clone()
    })
}

fn is(of: &cdm::Dimension, dimension: &FullName) -> bool {
    of.name.as_ref() == Some(dimension)
}

fn uses(variable: &Variable, dimension: &FullName) -> bool {
    variable.dimensions.iter().any(|d| is(d, dimension))
}

fn size_of(variable: &Variable, dimension: &FullName) -> Option<u64> {
    variable.dimensions.iter().find(|d| is(d, dimension)).map(|d| d.size)
}

/// The description without the dimension.
fn described(dataset: &Dataset, dimension: &FullName) -> Result<Dataset> {
    let mut root = dataset.root().clone();
    let mut waiting: Vec<&mut Group> = vec![&mut root];
    while let Some(group) = waiting.pop() {
        group.dimensions.retain(|d| !is(d, dimension));
        for variable in &mut group.variables {
            variable.dimensions.retain(|d| !is(d, dimension));
        }
        waiting.extend(group.groups.iter_mut());
    }
    assign_maps(&mut root);
    Dataset::new(dataset.name(), root)
}

/// Which elements of `variable` are at `index` of `dimension`: a selection of `inner` of what is left of it.
fn selection(variable: &Variable, dimension: &FullName, index: u64, inner: &Selection) -> Result<Selection> {
    let mut left = inner.axes().iter();
    let axes = variable.dimensions.iter().map(|d| {
        if is(d, dimension) {
            vec![Slice { start: index, ..Slice::all(1) }]
        } else {
            left.next().cloned().unwrap_or_default()
        }
    });
    Selection::new(axes.collect(), &variable.shape())
}

/// The elements of a whole block that are at `index` of `dimension`; `None` when there are fewer than the shape says.
fn at_index(block: &Block, variable: &Variable, dimension: &FullName, index: u64) -> Option<Block> {
    let rest: Vec<u64> = variable.dimensions.iter().filter(|d| !is(d, dimension)).map(|d| d.size).collect();
    let chosen = selection(variable, dimension, index, &Selection::all(&rest)).ok()?;
    let mut positions = Vec::new();
    cdm::records::for_each_index(&chosen, |i| {
        positions.push(i);
        Ok(())
    })
    .ok()?;
    match (block, variable.data_type.fixed_size()) {
        (Block::Fixed(bytes), Some(size)) => {
            let size = usize::try_from(size).ok()?;
            let mut all = Vec::with_capacity(positions.len().saturating_mul(size));
            for position in positions {
                let start = usize::try_from(position).ok()?.checked_mul(size)?;
                all.extend_from_slice(bytes.get(start..start.checked_add(size)?)?);
            }
            Some(Block::Fixed(all.into()))
        }
        (Block::Varying { .. }, None) => {
            let elements: Vec<&[u8]> = block.elements().collect();
            let found: Option<Vec<&[u8]>> =
                positions.into_iter().map(|p| elements.get(usize::try_from(p).ok()?).copied()).collect();
            Some(Block::varying(found?))
        }
        _ => None,
    }
}

#[derive(Debug)]
struct OpenSliced {
    inner: Arc<dyn Open>,
    dimension: FullName,
    index: u64,
}

#[async_trait]
impl Open for OpenSliced {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        let inner = self.inner.open().await?;
        let dataset = described(inner.dataset(), &self.dimension)?;
        Ok(Arc::new(Sliced { inner, dataset, dimension: self.dimension.clone(), index: self.index }))
    }
}

/// A dataset at one index of a dimension.
#[derive(Debug)]
struct Sliced {
    inner: Arc<dyn Source>,
    dataset: Dataset,
    dimension: FullName,
    index: u64,
}

impl Source for Sliced {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.inner.version()
    }

    fn read(&self, variable: &FullName, selected: &Selection) -> BlockStream {
        let described = match self.dataset.require(variable) {
            Ok(described) => described,
            Err(error) => return failed(error),
        };
        if selected.of_shape() != described.shape() {
            return failed(cdm::Error::internal(format!("{variable}: a selection made for another shape")));
        }
        let whole = self.inner.dataset().require(variable);
        match whole.and_then(|whole| selection(whole, &self.dimension, self.index, selected)) {
            Ok(selection) => self.inner.read(variable, &selection),
            Err(error) => failed(error),
        }
    }
}
