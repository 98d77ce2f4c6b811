//! Variables that do not depend on time: the same in every member, in every member of a run, or not even that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cdm::{Block, FullName, coordinates::date::Moment};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    gather::{Collection, keys},
    inventory::Key,
};
use crate::aggregation::{Known, variables::Agreed};

/// Who has the values of a variable that does not depend on time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constant {
    /// They are the same everywhere: this member's will do.
    Same(usize),
    /// They differ between runs.
    OfRun(BTreeMap<Moment, usize>),
    /// They differ within runs.
    OfKey(BTreeMap<Key, usize>),
}

/// What `name` is for `runs`; `None` when no member has it. What is not known of a member's values is taken to differ.
pub(super) fn constant(
    collection: &Collection,
    name: &FullName,
    agreed: &Agreed,
    runs: &BTreeSet<Moment>,
) -> Option<Constant> {
    let mut identities: HashMap<usize, u128> = HashMap::new();
    let mut of_run: BTreeMap<Moment, usize> = BTreeMap::new();
    let mut within: bool = false;
    let mut with: Vec<usize> = Vec::new();
    // Later-named members over earlier ones, as for what depends on time.
    for &member in collection.by_name() {
        let Some(described) = collection.members.get(member) else { continue };
        if described.member.dataset.variable(name).is_none() || described.said.contains(name) {
            continue;
        }
        with.push(member);
        let mut identity = identity(described.member.known.get(name), member);
        if let Some(conversion) = agreed.conversions.get(&described.kind) {
            identity ^= xxh3_128(format!("{conversion:?}").as_bytes());
        }
        identities.insert(member, identity);
        let own: BTreeSet<Moment> = keys(described).map(|key| key.run).filter(|r| runs.contains(r)).collect();
        for run in own {
            if let Some(other) = of_run.insert(run, member) {
                within |= identities.get(&other) != Some(&identity);
            }
        }
    }
    let mut used = of_run.values().filter_map(|member| identities.get(member));
    let first = used.next();
    if within {
        let of_member = |m: usize| keys(&collection.members[m]).map(move |key| (key, m));
        return Some(Constant::OfKey(with.into_iter().flat_map(of_member).collect()));
    }
    let Some(first) = first else { return with.last().copied().map(Constant::Same) };
    if used.all(|other| other == first) {
        return of_run.values().next().copied().map(Constant::Same);
    }
    Some(Constant::OfRun(of_run))
}

/// Equal for equal values; of a member's own when they are not known.
fn identity(known: Option<&Known>, member: usize) -> u128 {
    match known {
        Some(Known::Values(Block::Fixed(bytes))) => xxh3_128(bytes),
        Some(Known::Values(Block::Varying { ends, bytes })) => {
            let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_ne_bytes()).collect();
            xxh3_128(bytes) ^ xxh3_128(&ends)
        }
        Some(Known::Digest(digest)) => *digest,
        // No digest of anything, as far as chance goes.
        None => u128::MAX - member as u128,
    }
}
