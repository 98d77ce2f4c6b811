//! For the tests of everything that implements [`Source`]: a Source in memory, and the contract.

#![expect(clippy::missing_panics_doc, reason = "test support: a panic is a failed test")]

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;

use crate::{
    Block, BlockStream, Dataset, Error, FullName, Group, Result, Selection, Slice, Source, Variable, Version,
    records::for_each_index, source::failed,
};

/// A Source whose values are held in memory and given out in small blocks.
#[derive(Debug)]
pub struct MemorySource {
    dataset: Dataset,
    version: Version,
    data: HashMap<FullName, Block>,
    block_elements: usize,
}

impl MemorySource {
    /// A dataset called `name`; each variable's values come from `data`, which must hold one whole
    /// block per variable.
    ///
    /// # Panics
    /// When a variable has no data, or not as many elements as its shape demands.
    pub fn new(name: &str, root: Group, data: impl IntoIterator<Item = (FullName, Block)>) -> Self {
        let dataset = Dataset::new(name, root).expect("the test's dataset is sound");
        let data: HashMap<_, _> = data.into_iter().collect();
        for (full, variable) in dataset.variables() {
            let block = data.get(&full).unwrap_or_else(|| unreachable!("no data for {full}"));
            let fixed = variable.data_type.fixed_size();
            assert_eq!(fixed.is_some(), matches!(block, Block::Fixed(_)), "kind of block for {full}");
            assert_eq!(block.element_count(fixed), variable.element_count(), "elements of {full}");
        }
        let version = Version { identity: "memory-1".into(), modified: None };
        Self { dataset, version, data, block_elements: 7 }
    }

    /// As [`MemorySource::new`], for a dataset that has variables in its root group only.
    pub fn flat(name: &str, mut root: Group, variables: Vec<(Variable, Block)>) -> Self {
        let mut data = Vec::new();
        for (variable, block) in variables {
            data.push((root.name.join(&variable.name), block));
            root.variables.push(variable);
        }
        Self::new(name, root, data)
    }

    /// Gives out blocks of at most `elements` elements.
    #[must_use]
    pub fn with_block_elements(mut self, elements: usize) -> Self {
        self.block_elements = elements.max(1);
        self
    }
}

impl Source for MemorySource {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        let described = match self.dataset.require(variable) {
            Ok(described) => described,
            Err(error) => return failed(error),
        };
        if selection.of_shape() != described.shape() {
            return failed(Error::internal("a selection made for another shape"));
        }
        let fixed = described.data_type.fixed_size();
        let whole = self.data[variable].clone();
        let selection = selection.clone();
        let block_elements = self.block_elements;
        let blocks = futures::stream::once(async move {
            let elements = split(&select(&whole, fixed, &selection), fixed);
            let blocks: Vec<_> =
                elements.chunks(block_elements).map(|part| Ok(join(part, fixed.is_some()))).collect();
            futures::stream::iter(blocks)
        });
        Box::pin(blocks.flatten())
    }
}

/// Packs numbers into a `Fixed` block.
#[macro_export]
macro_rules! fixed_block {
    ($values:expr) => {
        $crate::Block::Fixed($values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>().into())
    };
}

/// The elements of a block, each as bytes.
pub fn split(block: &Block, fixed_size: Option<u64>) -> Vec<Vec<u8>> {
    match (block, fixed_size) {
        (Block::Fixed(bytes), Some(size)) => {
            let size = usize::try_from(size).expect("small").max(1);
            bytes.chunks(size).map(<[u8]>::to_vec).collect()
        }
        _ => block.elements().map(<[u8]>::to_vec).collect(),
    }
}

fn join(elements: &[Vec<u8>], fixed: bool) -> Block {
    if fixed { Block::Fixed(Bytes::from(elements.concat())) } else { Block::varying(elements) }
}

/// What `selection` selects of `whole`, element by element: slow, obvious, the oracle for the rest.
pub fn select(whole: &Block, fixed_size: Option<u64>, selection: &Selection) -> Block {
    let all = split(whole, fixed_size);
    let mut chosen = Vec::new();
    for_each_index(selection, |i| {
        chosen.push(all[usize::try_from(i).expect("small")].clone());
        Ok(())
    })
    .expect("nothing in it fails");
    join(&chosen, fixed_size.is_some())
}

/// All blocks of a stream as one.
///
/// # Errors
/// The stream's.
pub async fn collect(mut blocks: BlockStream, fixed: bool) -> Result<Block> {
    let mut bytes = Vec::new();
    let mut all_ends = Vec::new();
    while let Some(block) = blocks.next().await {
        match block? {
            Block::Fixed(part) => bytes.extend_from_slice(&part),
            Block::Varying { ends, bytes: part } => {
                let base = bytes.len() as u64;
                all_ends.extend(ends.iter().map(|e| e + base));
                bytes.extend_from_slice(&part);
            }
        }
    }
    let bytes = Bytes::from(bytes);
    Ok(if fixed { Block::Fixed(bytes) } else { Block::Varying { ends: all_ends, bytes } })
}

/// Checks the contract of [`Source`] on every variable: data agree with the description, random
/// selections (`rounds` of them each, from `seed`) agree with a naive choice from the whole, and errors
/// end the stream.
///
/// # Panics
/// When the contract is broken. Reads every variable whole: for small datasets.
pub async fn source_contract(source: &Arc<dyn Source>, seed: u64, rounds: u32) {
    let mut random = Random(seed);
    for (name, variable) in source.dataset().variables() {
        let fixed = variable.data_type.fixed_size();
        let shape = variable.shape();
        drop(source.read(&name, &Selection::all(&shape))); // lazy: dropping it unpolled is harmless
        let whole = collect(source.read(&name, &Selection::all(&shape)), fixed.is_some())
            .await
            .unwrap_or_else(|e| unreachable!("{name}: {e}"));
        assert_eq!(fixed.is_some(), matches!(whole, Block::Fixed(_)), "{name}: kind of block");
        assert_eq!(whole.element_count(fixed), variable.element_count(), "{name}: number of elements");
        for _ in 0..rounds {
            let selection = random.selection(&shape);
            let part = collect(source.read(&name, &selection), fixed.is_some()).await;
            let part = part.unwrap_or_else(|e| unreachable!("{name} {selection:?}: {e}"));
            assert_eq!(part, select(&whole, fixed, &selection), "{name} {selection:?}");
        }
        let mut other = shape.clone();
        other.push(1);
        ends_with_error(source.read(&name, &Selection::all(&other)), "a selection for another shape").await;
    }
    let nowhere = FullName::new("/no such variable");
    ends_with_error(source.read(&nowhere, &Selection::all(&[])), "an unknown variable").await;
}

async fn ends_with_error(mut blocks: BlockStream, why: &str) {
    assert!(blocks.next().await.is_some_and(|b| b.is_err()), "{why}: an error");
    assert!(blocks.next().await.is_none(), "{why}: nothing after the error");
}

/// A small reproducible generator (splitmix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`; 0 when the limit is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }

    /// A slice inside an axis of `size`; sometimes empty.
    pub fn slice(&mut self, size: u64) -> Slice {
        if size == 0 {
            return Slice::all(0);
        }
        let start = self.below(size);
        let step = 1 + self.below(3);
        let most = (size - 1 - start) / step + 1;
        Slice::new(start, step, self.below(most + 1).max(u64::from(self.below(8) > 0))).expect("in range")
    }

    /// A selection of `shape`: mostly one slice per axis, sometimes several.
    pub fn selection(&mut self, shape: &[u64]) -> Selection {
        let axes = shape
            .iter()
            .map(|&size| {
                let pieces = if self.below(4) == 0 { 1 + self.below(3) } else { 1 };
                (0..pieces).map(|_| self.slice(size)).collect()
            })
            .collect();
        Selection::new(axes, shape).expect("in range")
    }
}
