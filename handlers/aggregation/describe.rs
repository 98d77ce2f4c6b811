//! Getting to know one member: its description, the values of its coordinates, digests of what else may have
//! to be equal. This is what is read of a member before anybody asks for its data.

use std::{collections::HashSet, sync::Arc};

use cdm::{Block, DataType, Error, FullName, Group, Result, Selection, Source, Variable};
use futures::StreamExt;
use xxhash_rust::xxh3::Xxh3;

use super::{Known, KnownValues, forecast::Needs};
use crate::ncml::document::{Aggregation, Join};

/// Bytes of one coordinate's values that are known.
const MOST_VALUES: u64 = 8 << 20;

/// Bytes of a variable that is read for its digest.
const MOST_DIGESTED: u64 = 4 << 20;

/// Which variables, besides coordinates, may have to be equal in all members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Compared {
    /// Those without the dimension that members are joined along, full name or in the root.
    Without(Vec<String>),
    /// Those not named, which are joined along a new dimension.
    Except(Vec<String>),
    /// What others name as their coordinates: the rest is joined along a new dimension.
    Coordinates,
    /// Those that do not depend on time, of forecast model runs.
    Timeless,
    /// None.
    Nothing,
}

impl Compared {
    pub(super) fn of(aggregation: &Aggregation) -> Self {
        let dimensions = || {
            let names = aggregation.dimension.as_deref().unwrap_or_default();
            names.split_whitespace().map(|name| name.trim_start_matches('/').to_owned()).collect()
        };
        match &aggregation.join {
            Join::Union => Self::Nothing,
            Join::New if aggregation.variables.is_empty() => Self::Coordinates,
            Join::New => Self::Except(aggregation.variables.clone()),
            Join::Existing | Join::Tiled => Self::Without(dimensions()),
            Join::Forecast(_) => Self::Timeless,
        }
    }

    fn includes(&self, name: &FullName, variable: &Variable, coordinates: &HashSet<String>) -> bool {
        let plain = |full: &FullName| full.as_str().trim_start_matches('/').to_owned();
        match self {
            Self::Nothing => false,
            Self::Coordinates => coordinates.contains(&*variable.name),
            Self::Timeless => true,
            Self::Except(named) => !named.contains(&plain(name)),
            Self::Without(dimensions) => !variable
                .dimensions
                .iter()
                .filter_map(|d| d.name.as_ref())
                .any(|d| dimensions.iter().any(|joined| *joined == plain(d) || *joined == *d.short())),
        }
    }
}

/// What of `source` is known without asking for its data.
///
/// # Errors
/// What reading it meets.
pub(super) async fn values_of(source: &dyn Source, compared: &Compared) -> Result<KnownValues> {
    let dataset = source.dataset();
    let (mut coordinates, mut bounds) = (HashSet::new(), HashSet::new());
    for (_, variable) in dataset.variables() {
        if let Some(text) = variable.attributes.text("coordinates") {
            coordinates.extend(text.split_whitespace().map(str::to_owned));
        }
        for key in ["bounds", "climatology"] {
            bounds.extend(variable.attributes.text(key).map(|text| text.trim().to_owned()));
        }
    }
    let needs = if *compared == Compared::Timeless { Needs::of(dataset) } else { Needs::default() };
    let mut known = KnownValues::new();
    for (name, variable) in dataset.variables() {
        let bytes = variable.byte_len().unwrap_or_else(|| variable.element_count().saturating_mul(32));
        // Some models keep times beside a coordinate that says nothing.
        let is_time = variable.dimensions.len() == 1
            && variable.attributes.text("units").is_some_and(|units| units.contains(" since "));
        let is_known = is_coordinate(&name, variable)
            || is_time
            || variable.dimensions.is_empty()
            || bounds.contains(&*variable.name)
            || needs.values.contains(&name);
        let is_compared = !needs.nothing.contains(&name) && compared.includes(&name, variable, &coordinates);
        if is_known && bytes <= MOST_VALUES {
            known.insert(name.clone(), Known::Values(read(source, &name, variable).await?));
        } else if bytes <= MOST_DIGESTED && is_compared {
            known.insert(name.clone(), Known::Digest(digest(source, &name, variable).await?));
        }
    }
    Ok(known)
}

/// A coordinate variable is named as its first dimension; one of text has the text's length as another.
fn is_coordinate(name: &FullName, variable: &Variable) -> bool {
    let first = variable.dimensions.first().and_then(|d| d.name.as_ref());
    let rank = if variable.data_type == DataType::Char { 2 } else { 1 };
    first == Some(name) && variable.dimensions.len() <= rank
}

/// All values, as one block.
async fn read(source: &dyn Source, name: &FullName, variable: &Variable) -> Result<Block> {
    let (mut all, mut all_ends) = (Vec::new(), Vec::new());
    let mut blocks = source.read(name, &Selection::all(&variable.shape()));
    while let Some(block) = blocks.next().await {
        match block? {
            Block::Fixed(bytes) => all.extend_from_slice(&bytes),
            Block::Varying { ends, bytes } => {
                let base = all.len() as u64;
                all_ends.extend(ends.iter().map(|end| end + base));
                all.extend_from_slice(&bytes);
            }
        }
        if all.len() as u64 > 4 * MOST_VALUES {
            return Err(Error::too_large(format!("the texts of {name} are too long for a coordinate")));
        }
    }
    Ok(match variable.data_type.fixed_size() {
        Some(_) => Block::Fixed(all.into()),
        None => Block::Varying { ends: all_ends, bytes: all.into() },
    })
}

/// The same for the same values, however they come.
async fn digest(source: &dyn Source, name: &FullName, variable: &Variable) -> Result<u128> {
    let mut hash = Xxh3::new();
    let mut blocks = source.read(name, &Selection::all(&variable.shape()));
    while let Some(block) = blocks.next().await {
        match block? {
            Block::Fixed(bytes) => hash.update(&bytes),
            varying @ Block::Varying { .. } => {
                for element in varying.elements() {
                    hash.update(&(element.len() as u64).to_le_bytes());
                    hash.update(element);
                }
            }
        }
    }
    Ok(hash.digest128())
}

/// The description of a source without what is its own alone: the attributes of the root group.
pub(super) fn structure_of(source: &Arc<dyn Source>) -> Group {
    Group { attributes: cdm::Attributes::default(), ..source.dataset().root().clone() }
}
