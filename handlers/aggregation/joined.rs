//! How each variable of a join is read: part after part along the join dimension, or once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cdm::{Block, Dimension, FullName, Result, Variable};

use super::{
    Member, Note, NoteKind,
    axis::Axis,
    build::Description,
    coordinate::concatenated,
    join::{Along as JoinAlong, cut, is_own_coordinate},
    kinds::{Kinds, is_coordinate},
    merged::Merged,
    parts::{Along, Mosaic, Part, Plan, Span},
    variables::Agreed,
};

/// Values of so many bytes are kept with the dataset when all members' are known.
const KEPT: u64 = 4 << 20;

/// Members placed along the join dimension.
pub(super) struct Joined<'a> {
    pub(super) members: &'a [Member],
    pub(super) kinds: &'a Kinds,
    pub(super) merged: &'a Merged,
    pub(super) along: &'a JoinAlong,
    pub(super) axis: &'a Axis,
    /// `variableAgg`.
    pub(super) variables: &'a [String],
    pub(super) reference: usize,
}

/// Where each stretch lies, by the axis of the join dimension, whether it is repeated and the sizes of the axes.
type Places = HashMap<(usize, bool, Vec<u64>), Vec<Arc<[Span]>>>;

impl Joined<'_> {
    /// Plans of all variables but `coordinate`; what they are goes to the description.
    pub(super) fn plans(
        &self,
        description: &mut Description,
        notes: &mut Vec<Note>,
        coordinate: Option<&FullName>,
    ) -> Result<HashMap<FullName, Plan>> {
        let selected = self.selected();
        let mut places = Places::new();
        let mut plans = HashMap::new();
        let mut seen = HashSet::from([self.kinds.of[self.reference]]);
        for &member in &self.merged.kept {
            if seen.insert(self.kinds.of[member]) {
                description.add_types(&self.members[member].dataset);
            }
        }
        for (name, agreed) in self.merged.variables.iter().filter(|(name, _)| Some(name) != coordinate) {
            let (variable, plan) = match self.along.axis_of(&agreed.variable) {
                Some(axis) => self.along_axis(name, agreed, axis, false, &mut places)?,
                None if selected.contains(name) => self.along_axis(name, agreed, 0, true, &mut places)?,
                None => {
                    if let Some(plan) = self.one_for_all(name, agreed)? {
                        (agreed.variable.clone(), plan)
                    } else {
                        notes.push(Note {
                            member: None,
                            kind: NoteKind::Converted,
                            message: format!(
                                "{name} is not known to be the same in all members: it is repeated along {}",
                                self.along.for_group(&name.parent()).short()
                            ),
                        });
                        self.along_axis(name, agreed, 0, true, &mut places)?
                    }
                }
            };
            description.add(name, variable);
            plans.insert(name.clone(), plan);
        }
        Ok(plans)
    }

    /// The variables that get a new dimension: those named, or all that are data.
    fn selected(&self) -> HashSet<FullName> {
        if !self.along.is_new {
            return HashSet::new();
        }
        let all = || self.merged.variables.iter();
        if !self.variables.is_empty() {
            let named: HashSet<FullName> = self.variables.iter().map(|v| FullName::new(v.trim())).collect();
            return all().filter(|(n, _)| named.contains(n)).map(|(n, _)| n.clone()).collect();
        }
        let mut helpers = HashSet::new();
        for (name, agreed) in all() {
            for attribute in
                ["coordinates", "bounds", "climatology", "grid_mapping", "cell_measures", "formula_terms"]
            {
                let text = agreed.variable.attributes.text(attribute).unwrap_or_default();
                for word in text.split_whitespace().filter(|w| !w.ends_with(':')) {
                    helpers.insert(name.parent().join(word));
                    helpers.insert(FullName::new(word));
                }
            }
        }
        let is_data = |name: &FullName, v: &Variable| !helpers.contains(name) && !is_coordinate(name, v);
        all().filter(|(n, a)| is_data(n, &a.variable)).map(|(n, _)| n.clone()).collect()
    }

    /// A variable that is the same in all members that have it; `None` when it is not known to be.
    fn one_for_all(&self, name: &FullName, agreed: &Agreed) -> Result<Option<Plan>> {
        let has = |member: &usize| self.members[*member].dataset.variable(name).is_some();
        let used: HashSet<usize> = self.axis.stretches.iter().map(|s| s.member).collect();
        let mut having = self.merged.kept.iter().copied().filter(|m| used.contains(m)).filter(has);
        let first = if has(&self.reference) && used.contains(&self.reference) {
            self.reference
        } else {
            match having.next() {
                Some(first) => first,
                // No member that is used has it: all are fill.
                None => return Ok(None),
            }
        };
        // Coordinates were compared with all others already.
        let is_own = is_own_coordinate(name, &agreed.variable, self.along);
        let is_compared = is_coordinate(name, &agreed.variable) && !is_own;
        let equal = is_compared
            || agreed.conversions.is_empty()
                && having
                    .all(|m| m == first || self.members[m].equal(&self.members[first], name) == Some(true));
        if !equal {
            return Ok(None);
        }
        let conversion = agreed.conversions.get(&self.kinds.of[first]);
        if let Some(block) = self.members[first].values(name) {
            let block = match conversion {
                Some(conversion) => conversion.apply(block.clone())?,
                None => block.clone(),
            };
            return Ok(Some(Plan::Values(block)));
        }
        let shape = agreed.variable.shape();
        let part = Part { conversion: conversion.cloned(), ..Part::whole(first, name.clone(), &shape) };
        Ok(Some(Plan::Parts(Mosaic::new(&shape, vec![part], None)?.into())))
    }

    /// A variable along the join dimension: its own axis, or (`is_repeated`) a new first one.
    fn along_axis(
        &self,
        name: &FullName,
        agreed: &Agreed,
        axis: usize,
        is_repeated: bool,
        places: &mut Places,
    ) -> Result<(Variable, Plan)> {
        let mut variable = agreed.variable.clone();
        if is_repeated {
            let dimension = Dimension::shared(self.along.for_group(&name.parent()).clone(), self.axis.len);
            variable.dimensions.insert(0, dimension);
        } else {
            variable.dimensions[axis].size = self.axis.len;
        }
        if let Some(block) = self.known(name, agreed, axis, is_repeated, &variable) {
            return Ok((variable, Plan::Values(block)));
        }
        let shape = variable.shape();
        let key = (axis, is_repeated, shape.clone());
        let places = places.entry(key).or_insert_with(|| {
            let place = |stretch: &super::axis::Stretch| {
                let along = if is_repeated { Along::Repeated } else { Along::From(stretch.from) };
                let span = |(a, &size): (usize, &u64)| {
                    if a == axis {
                        Span { at: stretch.at, count: stretch.count, along }
                    } else {
                        Span::whole(size)
                    }
                };
                shape.iter().enumerate().map(span).collect()
            };
            self.axis.stretches.iter().map(place).collect()
        });
        let parts = self.axis.stretches.iter().zip(places.iter()).filter_map(|(stretch, axes)| {
            self.members[stretch.member].dataset.variable(name)?;
            Some(Part {
                member: stretch.member,
                variable: name.clone(),
                axes: Arc::clone(axes),
                conversion: agreed.conversions.get(&self.kinds.of[stretch.member]).cloned(),
            })
        });
        let mosaic = Mosaic::new(&shape, parts.collect(), agreed.fill.clone())?;
        Ok((variable, Plan::Parts(mosaic.into())))
    }

    /// All values, when those of every member are known and they are few: no member is opened for them.
    fn known(
        &self,
        name: &FullName,
        agreed: &Agreed,
        axis: usize,
        is_repeated: bool,
        variable: &Variable,
    ) -> Option<Block> {
        let size = variable.data_type.fixed_size();
        if axis != 0 || size.is_some_and(|n| n.saturating_mul(variable.element_count()) > KEPT) {
            return None;
        }
        let row: u64 =
            agreed.variable.dimensions.iter().skip(usize::from(!is_repeated)).map(|d| d.size).product();
        let mut pieces = Vec::with_capacity(self.axis.stretches.len());
        for stretch in &self.axis.stretches {
            let block = self.members[stretch.member].values(name)?;
            let block = match agreed.conversions.get(&self.kinds.of[stretch.member]) {
                Some(conversion) => conversion.apply(block.clone()).ok()?,
                None => block.clone(),
            };
            if is_repeated {
                (0..stretch.count).for_each(|_| pieces.push(block.clone()));
            } else {
                pieces.push(cut(&block, size, stretch.from * row, stretch.count * row)?);
            }
        }
        let block = concatenated(&pieces, size.is_some());
        (block.element_count(size) == variable.element_count()).then_some(block)
    }
}
