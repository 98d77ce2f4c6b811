//! The dataset of a view, and for each of its variables where the values come from.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use cdm::{
    Attribute, Attributes, Block, DataType, Dataset, Dimension, FullName, Group, Result, Variable,
    coordinates::date::Moment,
};

use super::{
    clock::Clock,
    constant::{Constant, constant},
    gather::{Collection, OnAxis},
    inventory::{Cell, Key, Segment, Table, segments},
    layout::{Layout, Names, Series},
};
use crate::{
    aggregation::{Along, Conversion, Mosaic, Part, Plan, Span, fill::default_fill, variables::Agreed},
    coordinate_maps::assign_maps,
};

/// A view being put together.
struct View<'a> {
    collection: &'a Collection,
    agreed: &'a HashMap<FullName, Agreed>,
    clock: Clock,
    names: Names,
    variables: Vec<(FullName, Variable)>,
    plans: HashMap<FullName, Plan>,
    /// By series or axis: coordinates that variables on it have beside that of the dimension.
    auxiliary: HashMap<usize, Vec<FullName>>,
    /// Where the segments of an inventory on a series lie in variables of the same shape.
    spans: HashMap<SpansOf, Vec<Arc<[Span]>>>,
    /// Variables that are left out because nothing stands for a value that is not there.
    unfilled: Vec<FullName>,
}

/// Variables with equal spans: series, inventory, position of time, shape, and which members have no time dimension.
type SpansOf = (usize, usize, usize, Vec<u64>, Vec<bool>);

/// A view, put together.
pub(super) struct Built {
    /// What it is.
    pub(super) dataset: Dataset,
    /// Where its values come from.
    pub(super) plans: HashMap<FullName, Plan>,
    /// Variables that are not in it: something of them is missing, and their type has no fill value.
    pub(super) unfilled: Vec<FullName>,
}

/// The dataset and plans of a view.
pub(super) fn build(
    name: &str,
    collection: &Collection,
    agreed: &HashMap<FullName, Agreed>,
    layout: &Layout,
    names: Names,
    clock: Clock,
) -> Result<Built> {
    let mut view = View {
        collection,
        agreed,
        clock,
        names,
        variables: Vec::new(),
        plans: HashMap::new(),
        auxiliary: HashMap::new(),
        spans: HashMap::new(),
        unfilled: Vec::new(),
    };
    match layout {
        Layout::Series { series, of, along_runs } => view.series(series, of, along_runs.as_ref())?,
        Layout::Table { run, tables } => view.table(run, tables)?,
    }
    view.finish(name)
}

/// An axis of the result that stands for the time dimension of members.
struct Lead {
    /// Runs, for the two-time collection.
    run: Option<Dimension>,
    /// Time.
    time: Dimension,
}

impl View<'_> {
    fn series(
        &mut self,
        series: &[Series],
        of: &HashMap<(usize, usize), usize>,
        along_runs: Option<&FullName>,
    ) -> Result<()> {
        if let (Some(run), Some(first)) = (along_runs, series.first()) {
            let runs = first.keys.iter().map(|key| Some(self.clock.value(key.run))).collect();
            let dimension = Dimension::shared(run.clone(), first.keys.len() as u64);
            self.coordinate(run.clone(), vec![dimension], runs, self.run_attributes("time of the run"));
        }
        let mut leads = Vec::new();
        for (number, one) in series.iter().enumerate() {
            let dimension = Dimension::shared(along_runs.unwrap_or(&one.name).clone(), one.keys.len() as u64);
            self.series_coordinates(number, one, &dimension, along_runs.is_some());
            leads.push(Lead { run: None, time: dimension });
        }
        for (name, on) in &self.collection.variables {
            let Some(&number) = of.get(&(on.axis, on.inventory)) else { continue };
            let (Some(one), Some(lead)) = (series.get(number), leads.get(number)) else { continue };
            let inventory = &self.collection.inventories[on.inventory];
            let cells = one
                .keys
                .iter()
                .enumerate()
                .filter_map(|(column, key)| Some((0, column as u64, inventory.get(*key)?)));
            let segments = segments(cells, false);
            self.data(name, *on, number, lead, &segments)?;
        }
        if let (Some(main), Some(lead)) = (series.first(), leads.first()) {
            let keys: Vec<Key> = main.keys.clone();
            for name in &self.collection.statics {
                self.constant(name, &keys, lead)?;
            }
        }
        Ok(())
    }

    /// What says when for one series: valid time, run, offset, bounds.
    fn series_coordinates(
        &mut self,
        number: usize,
        series: &Series,
        dimension: &Dimension,
        is_along_runs: bool,
    ) {
        let axis = &self.collection.axes[series.axis];
        let along = || vec![dimension.clone()];
        let (group, short) = (series.name.parent(), series.name.short().to_owned());
        let mut auxiliary = Vec::new();
        let mut attributes = self.time_attributes(&axis.attributes);
        if let Some(bounds) = &axis.bounds_name {
            let name = if series.name == axis.name {
                bounds.clone()
            } else {
                self.names.take(&group, &format!("{short}_bounds"))
            };
            attributes.set(Attribute::text("bounds", name.short()));
            let pairs = series.keys.iter().map(|key| axis.bounds.get(key).copied().unwrap_or_default());
            self.bounds(name, bounds, along(), pairs.collect());
        }
        let values = series.keys.iter().map(|key| Some(self.clock.value(key.valid))).collect();
        self.coordinate(series.name.clone(), along(), values, attributes);
        if is_along_runs {
            auxiliary.push(series.name.clone());
        } else {
            let name = self.names.take(&group, &format!("{short}_run"));
            let values = series.keys.iter().map(|key| Some(self.clock.value(key.run))).collect();
            self.coordinate(name.clone(), along(), values, self.run_attributes("time of the run"));
            auxiliary.push(name);
        }
        let name = self.names.take(&group, &format!("{short}_offset"));
        let values = series.keys.iter().map(|key| Some(self.clock.length(key.offset()))).collect();
        self.coordinate(name.clone(), along(), values, self.offset_attributes());
        auxiliary.push(name);
        self.auxiliary.insert(number, auxiliary);
    }

    fn table(&mut self, run: &FullName, tables: &[Table]) -> Result<()> {
        let runs = self.collection.runs.iter().map(|run| Some(self.clock.value(*run))).collect();
        let rows = Dimension::shared(run.clone(), self.collection.runs.len() as u64);
        self.coordinate(run.clone(), vec![rows.clone()], runs, self.run_attributes("time of the run"));
        let mut leads = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let columns = Dimension::shared(self.collection.axes[number].name.clone(), table.columns as u64);
            self.table_coordinates(number, table, &rows, &columns);
            leads.push(Lead { run: Some(rows.clone()), time: columns });
        }
        for (name, on) in &self.collection.variables {
            let (Some(table), Some(lead)) = (tables.get(on.axis), leads.get(on.axis)) else { continue };
            let inventory = &self.collection.inventories[on.inventory];
            let cells = table
                .cells
                .iter()
                .filter_map(|(&(row, column), key)| Some((row as u64, column as u64, inventory.get(*key)?)));
            let segments = segments(cells, false);
            self.data(name, *on, on.axis, lead, &segments)?;
        }
        if let (Some(main), Some(lead)) = (tables.first(), leads.first()) {
            for name in &self.collection.statics {
                self.constant_table(name, main, lead)?;
            }
        }
        Ok(())
    }

    fn table_coordinates(&mut self, number: usize, table: &Table, rows: &Dimension, columns: &Dimension) {
        let axis = &self.collection.axes[number];
        let both = || vec![rows.clone(), columns.clone()];
        let all = |value: &dyn Fn(&Key) -> f64| -> Vec<Option<f64>> {
            let cells =
                (0..table.runs.len()).flat_map(|row| (0..table.columns).map(move |column| (row, column)));
            cells.map(|cell| table.cells.get(&cell).map(value)).collect()
        };
        let (group, short) = (axis.name.parent(), axis.name.short().to_owned());
        let mut attributes = self.time_attributes(&axis.attributes);
        if let Some(bounds) = &axis.bounds_name {
            attributes.set(Attribute::text("bounds", bounds.short()));
            let cells =
                (0..table.runs.len()).flat_map(|row| (0..table.columns).map(move |column| (row, column)));
            let pairs = cells.map(|cell| {
                table.cells.get(&cell).and_then(|key| axis.bounds.get(key)).copied().unwrap_or_default()
            });
            self.bounds(bounds.clone(), bounds, both(), pairs.collect());
        }
        self.coordinate(axis.name.clone(), both(), all(&|key| self.clock.value(key.valid)), attributes);
        let name = self.names.take(&group, &format!("{short}_offset"));
        let attributes = self.offset_attributes();
        if let Some(offsets) = &table.offsets {
            let values = offsets.iter().map(|offset| Some(self.clock.length(*offset))).collect();
            self.coordinate(name.clone(), vec![columns.clone()], values, attributes);
        } else {
            let values = all(&|key| self.clock.length(key.offset()));
            self.coordinate(name.clone(), both(), values, attributes);
        }
        self.auxiliary.insert(number, vec![axis.name.clone(), name]);
    }

    /// A variable that depends on time.
    fn data(
        &mut self,
        name: &FullName,
        on: OnAxis,
        number: usize,
        lead: &Lead,
        segments: &[Segment],
    ) -> Result<()> {
        let Some(agreed) = self.agreed.get(name) else { return Ok(()) };
        let mut variable = agreed.variable.clone();
        let Some(time) = variable.dimensions.get_mut(on.position.unwrap_or(0)) else { return Ok(()) };
        *time = lead.time.clone();
        variable.dimensions.splice(0..0, lead.run.clone());
        let position = on.position.unwrap_or(0) + usize::from(lead.run.is_some());
        let shape = variable.shape();
        let lacks: Vec<bool> = segments.iter().map(|s| self.lacks_time(s.member, name)).collect();
        let of = (number, on.inventory, position, shape, lacks);
        let is_table = lead.run.is_some();
        let lists = self.spans.entry(of).or_insert_with_key(|(_, _, position, shape, lacks)| {
            let list =
                |(segment, lacks): (&Segment, &bool)| spans(shape, is_table, *position, *lacks, segment);
            segments.iter().zip(lacks).map(list).collect()
        });
        let lists = lists.clone();
        let part = |(segment, axes): (&Segment, Arc<[Span]>)| {
            let conversion = self.conversion(agreed, segment.member);
            Part { member: segment.member, variable: name.clone(), axes, conversion }
        };
        let parts = segments.iter().zip(lists).map(part).collect();
        self.add(name, variable, parts, agreed, Some(number))
    }

    /// What is done to a member's values.
    fn conversion(&self, agreed: &Agreed, member: usize) -> Option<Arc<Conversion>> {
        agreed.conversions.get(&self.collection.members.get(member)?.kind).cloned()
    }

    /// Whether a member has a time, but no dimension for it.
    fn lacks_time(&self, member: usize, name: &FullName) -> bool {
        let Some(described) = self.collection.members.get(member) else { return false };
        let variable = described.member.dataset.variable(name);
        variable.and_then(|v| described.axis_of(name, v)).is_some_and(|(_, position)| position.is_none())
    }

    /// A variable that does not depend on time, in a view of one dimension.
    fn constant(&mut self, name: &FullName, keys: &[Key], lead: &Lead) -> Result<()> {
        let Some(agreed) = self.agreed.get(name) else { return Ok(()) };
        let runs = keys.iter().map(|key| key.run).collect();
        let found = constant(self.collection, name, agreed, &runs);
        let member_of = |key: &Key| match &found {
            None => None,
            Some(Constant::Same(member)) => Some(*member),
            Some(Constant::OfRun(of_run)) => of_run.get(&key.run).copied(),
            Some(Constant::OfKey(of_key)) => of_key.get(key).copied(),
        };
        match found {
            None => return Ok(()),
            Some(Constant::Same(member)) => return self.same(name, agreed, member),
            _ => {}
        }
        let cells = keys
            .iter()
            .enumerate()
            .filter_map(|(column, key)| Some((0, column as u64, Cell { member: member_of(key)?, index: 0 })));
        self.repeated(name, agreed, std::slice::from_ref(&lead.time), &segments(cells, true), Some(0))
    }

    /// The same, in the two-time collection.
    fn constant_table(&mut self, name: &FullName, table: &Table, lead: &Lead) -> Result<()> {
        let Some(agreed) = self.agreed.get(name) else { return Ok(()) };
        let runs = table.runs.iter().copied().collect();
        let row_of = |run: &Moment| table.runs.binary_search(run).ok().map(|row| row as u64);
        match constant(self.collection, name, agreed, &runs) {
            None => Ok(()),
            Some(Constant::Same(member)) => self.same(name, agreed, member),
            Some(Constant::OfRun(of_run)) => {
                let cell =
                    |(run, &member): (&Moment, &usize)| Some((0, row_of(run)?, Cell { member, index: 0 }));
                let segments = segments(of_run.iter().filter_map(cell), true);
                let rows: Vec<Dimension> = lead.run.iter().cloned().collect();
                self.repeated(name, agreed, &rows, &segments, None)
            }
            Some(Constant::OfKey(of_key)) => {
                let cells = table.cells.iter().filter_map(|(&(row, column), key)| {
                    Some((row as u64, column as u64, Cell { member: of_key.get(key).copied()?, index: 0 }))
                });
                let segments = segments(cells, true);
                let both: Vec<Dimension> = lead.run.iter().chain([&lead.time]).cloned().collect();
                self.repeated(name, agreed, &both, &segments, Some(0))
            }
        }
    }

    /// A variable whose values one member has for all.
    fn same(&mut self, name: &FullName, agreed: &Agreed, member: usize) -> Result<()> {
        let variable = agreed.variable.clone();
        let mut part = Part::whole(member, name.clone(), &variable.shape());
        part.conversion = self.conversion(agreed, member);
        self.add(name, variable, vec![part], agreed, None)
    }

    /// A variable that has no time, repeated along new outer dimensions: one (columns of segments), or rows and columns.
    fn repeated(
        &mut self,
        name: &FullName,
        agreed: &Agreed,
        outer: &[Dimension],
        segments: &[Segment],
        coordinates: Option<usize>,
    ) -> Result<()> {
        let mut variable = agreed.variable.clone();
        variable.dimensions.splice(0..0, outer.iter().cloned());
        let inner = agreed.variable.shape();
        let part = |segment: &Segment| {
            let row = Span { at: segment.row, count: 1, along: Along::Repeated };
            let columns = Span { at: segment.column, count: segment.count, along: Along::Repeated };
            let outer = if outer.len() > 1 { vec![row, columns] } else { vec![columns] };
            Part {
                member: segment.member,
                variable: name.clone(),
                axes: outer.into_iter().chain(inner.iter().map(|&n| Span::whole(n))).collect(),
                conversion: self.conversion(agreed, segment.member),
            }
        };
        let parts = segments.iter().map(part).collect();
        self.add(name, variable, parts, agreed, coordinates)
    }

    /// Adds a variable of members. `coordinates` is the series or axis whose coordinates it has.
    fn add(
        &mut self,
        name: &FullName,
        mut variable: Variable,
        parts: Vec<Part>,
        agreed: &Agreed,
        coordinates: Option<usize>,
    ) -> Result<()> {
        let shape = variable.shape();
        let covered: u64 =
            parts.iter().map(|part| part.axes.iter().map(|span| span.count).product::<u64>()).sum();
        let mut fill = agreed.fill.clone();
        if covered < variable.element_count() && fill.is_none() {
            fill = default_fill(&variable.data_type);
            let Some(fill) = &fill else {
                // Of a type that nothing stands for "no value" in.
                self.unfilled.push(name.clone());
                return Ok(());
            };
            if variable.data_type.is_numeric() {
                let fill = Attribute::numbers("_FillValue", variable.data_type.clone(), fill.clone());
                variable.attributes.set(fill);
            }
        }
        let auxiliary = coordinates.and_then(|number| self.auxiliary.get(&number)).map_or(&[][..], |a| a);
        self.name_coordinates(name, &mut variable.attributes, auxiliary);
        self.variables.push((name.clone(), variable));
        self.plans.insert(name.clone(), Plan::Parts(Mosaic::new(&shape, parts, fill)?.into()));
        Ok(())
    }

    /// Drops names from a `coordinates` attribute that members say when with, and adds those of the view.
    fn name_coordinates(&self, name: &FullName, attributes: &mut Attributes, auxiliary: &[FullName]) {
        let group = name.parent();
        let is_said = |word: &str| self.collection.said.contains(&group.join(word));
        let text = attributes.text("coordinates").map(std::borrow::Cow::into_owned);
        let old = text.iter().flat_map(|text| text.split_whitespace()).filter(|word| !is_said(word));
        let new = auxiliary.iter().map(|n| if n.parent() == group { n.short() } else { n.as_str() });
        let mut words: Vec<&str> = Vec::new();
        for word in old.chain(new) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        if words.is_empty() {
            attributes.retain(|a| &*a.name != "coordinates");
        } else {
            attributes.set(Attribute::text("coordinates", &words.join(" ")));
        }
    }

    /// A coordinate of the view: `None` is no value.
    fn coordinate(
        &mut self,
        name: FullName,
        dimensions: Vec<Dimension>,
        values: Vec<Option<f64>>,
        mut attributes: Attributes,
    ) {
        if values.contains(&None) {
            attributes.set(Attribute::float64("_FillValue", f64::NAN));
        }
        let bytes: Vec<u8> = values.into_iter().flat_map(|v| v.unwrap_or(f64::NAN).to_ne_bytes()).collect();
        let mut variable = Variable::new(name.short(), DataType::Float64, dimensions);
        variable.attributes = attributes;
        self.plans.insert(name.clone(), Plan::Values(Block::Fixed(Bytes::from(bytes))));
        self.variables.push((name, variable));
    }

    fn bounds(
        &mut self,
        name: FullName,
        of_members: &FullName,
        mut dimensions: Vec<Dimension>,
        pairs: Vec<[Option<Moment>; 2]>,
    ) {
        dimensions.extend(self.collection.bounds_dimension(of_members));
        let values = pairs.into_iter().flatten().map(|time| time.map(|t| self.clock.value(t))).collect();
        self.coordinate(name, dimensions, values, Attributes::default());
    }

    /// Attributes of valid times: what members say of theirs, but for what views say themselves.
    fn time_attributes(&self, of_members: &Attributes) -> Attributes {
        let kept = ["long_name", "axis", "comment", "_CoordinateAxisType"];
        let mut attributes: Attributes =
            of_members.iter().filter(|a| kept.contains(&&*a.name)).cloned().collect();
        attributes.set(Attribute::text("standard_name", "time"));
        self.since(&mut attributes);
        attributes
    }

    fn run_attributes(&self, long_name: &str) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.set(Attribute::text("standard_name", "forecast_reference_time"));
        attributes.set(Attribute::text("long_name", long_name));
        self.since(&mut attributes);
        attributes.set(Attribute::text("_CoordinateAxisType", "RunTime"));
        attributes
    }

    fn offset_attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.set(Attribute::text("standard_name", "forecast_period"));
        attributes.set(Attribute::text("long_name", "time since the beginning of the run"));
        attributes.set(Attribute::text("units", self.clock.unit_name()));
        attributes
    }

    fn since(&self, attributes: &mut Attributes) {
        attributes.set(Attribute::text("units", &self.clock.since()));
        attributes.set(Attribute::text("calendar", self.clock.calendar().name()));
    }

    /// The dataset: groups, types and attributes of the members, and the dimensions that variables have.
    fn finish(self, name: &str) -> Result<Built> {
        let mut root = self.collection.skeleton();
        for (full, variable) in self.variables {
            for dimension in &variable.dimensions {
                let Some(of) = &dimension.name else { continue };
                let group = group_at(&mut root, &of.parent());
                if !group.dimensions.iter().any(|d| d.name.as_ref() == Some(of)) {
                    group.dimensions.push(dimension.clone());
                }
            }
            group_at(&mut root, &full.parent()).variables.push(variable);
        }
        assign_maps(&mut root);
        Ok(Built { dataset: Dataset::new(name, root)?, plans: self.plans, unfilled: self.unfilled })
    }
}

/// Where a segment lies in a variable of `shape`: runs outermost in the two-time collection, time at `position`.
fn spans(shape: &[u64], is_table: bool, position: usize, lacks: bool, segment: &Segment) -> Arc<[Span]> {
    let of = |(axis, &size): (usize, &u64)| {
        if is_table && axis == 0 {
            Span { at: segment.row, count: 1, along: Along::Repeated }
        } else if axis == position {
            let along = if lacks { Along::Repeated } else { Along::From(segment.index) };
            Span { at: segment.column, count: segment.count, along }
        } else {
            Span::whole(size)
        }
    };
    shape.iter().enumerate().map(of).collect()
}

/// The group of this name, made if it is not there.
fn group_at<'a>(root: &'a mut Group, name: &FullName) -> &'a mut Group {
    let mut at = root;
    for part in name.components() {
        let found = at.groups.iter().position(|g| g.name.short() == part);
        let position = found.unwrap_or_else(|| {
            at.groups.push(Group::new(at.name.join(part)));
            at.groups.len() - 1
        });
        at = &mut at.groups[position];
    }
    at
}
