//! Members by their descriptions: most members of an aggregation share one, and what follows from descriptions
//! is found out once for each.

use std::{collections::HashMap, sync::Arc};

use cdm::{Block, Dataset, FullName, Variable};

use super::{Known, Member};

/// The distinct descriptions of members.
#[derive(Debug)]
pub(super) struct Kinds {
    /// In the order of the first member that has it.
    pub(super) datasets: Vec<Arc<Dataset>>,
    /// Of each member.
    pub(super) of: Vec<usize>,
}

impl Kinds {
    pub(super) fn new(members: &[Member]) -> Self {
        let mut seen: HashMap<*const Dataset, usize> = HashMap::new();
        let mut datasets = Vec::new();
        let of = members
            .iter()
            .map(|member| {
                *seen.entry(Arc::as_ptr(&member.dataset)).or_insert_with(|| {
                    datasets.push(Arc::clone(&member.dataset));
                    datasets.len() - 1
                })
            })
            .collect();
        Self { datasets, of }
    }
}

/// The name of a coordinate variable is that of its only dimension.
pub(super) fn is_coordinate(name: &FullName, variable: &Variable) -> bool {
    matches!(variable.dimensions.as_slice(), [only] if only.name.as_ref() == Some(name))
}

impl Member {
    /// The values of a variable, if they are known.
    pub(super) fn values(&self, name: &FullName) -> Option<&Block> {
        match self.known.get(name)? {
            Known::Values(block) => Some(block),
            Known::Digest(_) => None,
        }
    }

    /// Whether a variable certainly has the same values in both; `None` when that is not known.
    pub(super) fn equal(&self, other: &Self, name: &FullName) -> Option<bool> {
        match (self.known.get(name)?, other.known.get(name)?) {
            (Known::Values(one), Known::Values(two)) => Some(one == two),
            (Known::Digest(one), Known::Digest(two)) => Some(one == two),
            _ => None,
        }
    }
}
