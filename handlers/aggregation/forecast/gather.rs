//! The members of a collection side by side: the time axes that views have, the variables on each, and who has what.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cdm::{
    Attributes, Dimension, FullName, Group,
    coordinates::{calendar::Calendar, date::Moment},
};

use super::{
    described::Described,
    inventory::{Cell, Inventory, Key},
};

/// What a collection has.
#[derive(Debug)]
pub(super) struct Collection {
    /// The members, by run and then as they are listed.
    pub(super) members: Vec<Described>,
    /// Of all times.
    pub(super) calendar: Calendar,
    /// When runs began, in order.
    pub(super) runs: Vec<Moment>,
    /// Time axes.
    pub(super) axes: Vec<Axis>,
    /// Variables that depend on time, in the order in which members have them.
    pub(super) variables: Vec<(FullName, OnAxis)>,
    /// Variables that do not, in the same order.
    pub(super) statics: Vec<FullName>,
    /// Variables that lie alike share an inventory.
    pub(super) inventories: Vec<Inventory>,
    /// Variables that say when, in any member.
    pub(super) said: HashSet<FullName>,
    /// Positions of members, by name.
    order: Vec<usize>,
}

/// Where a variable lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnAxis {
    /// Position in [`Collection::axes`].
    pub(super) axis: usize,
    /// Position in [`Collection::inventories`].
    pub(super) inventory: usize,
    /// Position of the time dimension among the variable's dimensions, where a member has it; `None` when none does.
    pub(super) position: Option<usize>,
}

/// A time axis.
#[derive(Debug)]
pub(super) struct Axis {
    /// Of its coordinate, and of its dimension.
    pub(super) name: FullName,
    /// Of the first member's coordinate.
    pub(super) attributes: Attributes,
    /// What anything on it has.
    pub(super) keys: BTreeSet<Key>,
    /// The name of the variable of bounds, if any member has one.
    pub(super) bounds_name: Option<FullName>,
    /// What is known of bounds.
    pub(super) bounds: BTreeMap<Key, [Option<Moment>; 2]>,
}

impl Collection {
    /// Puts members side by side.
    pub(super) fn new(mut members: Vec<Described>, calendar: Calendar) -> Self {
        members.sort_by_key(first_run);
        let runs: BTreeSet<Moment> = members.iter().flat_map(keys).map(|key| key.run).collect();
        let mut found = Self {
            members,
            calendar,
            runs: runs.into_iter().collect(),
            axes: Vec::new(),
            variables: Vec::new(),
            statics: Vec::new(),
            inventories: Vec::new(),
            said: HashSet::new(),
            order: Vec::new(),
        };
        found.said = found.members.iter().flat_map(|d| d.said.iter().cloned()).collect();
        found.order = (0..found.members.len()).collect();
        found.order.sort_by(|a, b| found.members[*a].member.name.cmp(&found.members[*b].member.name));
        found.place();
        found
    }

    /// Positions of members, the first-named first.
    pub(super) fn by_name(&self) -> &[usize] {
        &self.order
    }

    /// A member's position among the names of all.
    fn ranks(&self) -> Vec<usize> {
        let mut ranks = vec![0; self.order.len()];
        for (rank, &member) in self.order.iter().enumerate() {
            ranks[member] = rank;
        }
        ranks
    }

    fn place(&mut self) {
        // By variable: where it lies in each member that has it on a time axis.
        let mut lies: HashMap<FullName, Vec<(usize, usize)>> = HashMap::new();
        let mut order: Vec<(FullName, Option<usize>)> = Vec::new();
        let mut is_static: HashSet<FullName> = HashSet::new();
        for (m, described) in self.members.iter().enumerate() {
            for (name, variable) in described.member.dataset.variables() {
                match described.axis_of(&name, variable) {
                    Some((axis, position)) => {
                        let places = lies.entry(name.clone()).or_default();
                        if places.is_empty() {
                            order.push((name, position));
                        }
                        places.push((m, axis));
                    }
                    None if described.said.contains(&name) => {}
                    None => {
                        if is_static.insert(name.clone()) {
                            self.statics.push(name);
                        }
                    }
                }
            }
        }
        self.statics.retain(|name| !lies.contains_key(name));
        let ranks = self.ranks();
        let mut alike: HashMap<(usize, Vec<(usize, usize)>), usize> = HashMap::new();
        for (name, position) in order {
            let Some(places) = lies.remove(&name) else { continue };
            let Some(&(first, first_axis)) = places.first() else { continue };
            let axis = self.axis(first, first_axis);
            let inventory = *alike.entry((axis, places)).or_insert_with_key(|(_, places)| {
                self.inventories.push(inventory(&self.members, places, &ranks));
                self.inventories.len() - 1
            });
            self.variables.push((name, OnAxis { axis, inventory, position }));
        }
        for ((axis, places), inventory) in alike {
            let (Some(axis), Some(inventory)) = (self.axes.get_mut(axis), self.inventories.get(inventory))
            else {
                continue;
            };
            axis.keys.extend(inventory.keys());
            let mut seen: HashSet<usize> = HashSet::new();
            for (m, a) in places {
                let of_member = self.members.get(m).and_then(|d| d.axes.get(a));
                let Some((name, bounds)) = of_member.and_then(|axis| axis.bounds.as_ref()) else { continue };
                axis.bounds_name.get_or_insert_with(|| name.clone());
                if !seen.insert(m) {
                    continue;
                }
                for (key, pair) in of_member.into_iter().flat_map(|axis| &axis.cells).zip(bounds) {
                    if let Some(key) = key
                        && inventory.get(*key).is_some_and(|cell| cell.member == m)
                    {
                        axis.bounds.insert(*key, *pair);
                    }
                }
            }
        }
    }

    /// Groups, types and attributes, without variables: of the first member, and groups of others that it has not.
    pub(super) fn skeleton(&self) -> Group {
        fn bare(group: &Group) -> Group {
            Group {
                variables: Vec::new(),
                dimensions: Vec::new(),
                groups: group.groups.iter().map(bare).collect(),
                ..group.clone()
            }
        }
        let first = self.members.first().map(|d| bare(d.member.dataset.root()));
        first.unwrap_or_else(|| Group::new(FullName::root()))
    }

    /// The second dimension that members' bounds of this name have.
    pub(super) fn bounds_dimension(&self, name: &FullName) -> Option<Dimension> {
        let bounds = self.members.iter().find_map(|d| d.member.dataset.variable(name))?;
        bounds.dimensions.last().cloned()
    }

    /// The axis of views that a member's axis becomes: that of its name.
    fn axis(&mut self, member: usize, axis: usize) -> usize {
        let described = &self.members[member];
        let of_member = &described.axes[axis];
        if let Some(found) = self.axes.iter().position(|a| a.name == of_member.name) {
            return found;
        }
        let variable = of_member.variable.as_ref().and_then(|name| described.member.dataset.variable(name));
        self.axes.push(Axis {
            name: of_member.name.clone(),
            attributes: variable.map(|v| v.attributes.clone()).unwrap_or_default(),
            keys: BTreeSet::new(),
            bounds_name: None,
            bounds: BTreeMap::new(),
        });
        self.axes.len() - 1
    }
}

/// Everything that a member has times for.
pub(super) fn keys(described: &Described) -> impl Iterator<Item = Key> + '_ {
    described.axes.iter().flat_map(|axis| axis.cells.iter().flatten().copied())
}

fn first_run(described: &Described) -> Option<Moment> {
    keys(described).map(|key| key.run).min()
}

/// The cells of variables that lie at `places`: members and their axes.
fn inventory(members: &[Described], places: &[(usize, usize)], ranks: &[usize]) -> Inventory {
    let mut found = Inventory::default();
    for &(member, axis) in places {
        let Some(axis) = members.get(member).and_then(|d| d.axes.get(axis)) else { continue };
        for (index, key) in axis.cells.iter().enumerate() {
            if let Some(key) = key {
                found.add(*key, Cell { member, index: index as u64 }, ranks);
            }
        }
    }
    found
}
