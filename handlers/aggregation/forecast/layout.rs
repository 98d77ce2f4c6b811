//! What each view shows of a collection: which run and valid time is at which index of which dimension.

use std::collections::{BTreeSet, HashMap, HashSet};

use cdm::{
    Error, FullName, Result,
    coordinates::{date::Moment, time::TimeUnits},
};

use super::{
    gather::Collection,
    inventory::{Key, Table, best},
    names::{offset_hours, written},
};
use crate::ncml::document::ForecastView;

/// Times that an error names.
const NAMED: usize = 3;

/// What is where in a view.
#[derive(Debug)]
pub(super) enum Layout {
    /// Along time alone (or, of one valid time, along runs).
    Series {
        /// The time axes of the view.
        series: Vec<Series>,
        /// By axis and inventory of variables: the series they are on. Those that have nothing are not there.
        of: HashMap<(usize, usize), usize>,
        /// Every series lies along this dimension of runs instead of its own.
        along_runs: Option<FullName>,
    },
    /// Along runs and time.
    Table {
        /// The dimension of runs.
        run: FullName,
        /// By axis.
        tables: Vec<Table>,
    },
}

/// One time axis of a view.
#[derive(Debug)]
pub(super) struct Series {
    /// The axis of the collection.
    pub(super) axis: usize,
    /// Of its coordinate; of its dimension too, unless it lies along runs.
    pub(super) name: FullName,
    /// By index.
    pub(super) keys: Vec<Key>,
}

/// Names that the result has already, and new ones.
#[derive(Debug)]
pub(super) struct Names(HashSet<FullName>);

impl Names {
    /// Those of the variables, dimensions and axes of a collection.
    pub(super) fn of(collection: &Collection) -> Self {
        let variables = collection.variables.iter().map(|(name, _)| name).chain(&collection.statics);
        let mut names: HashSet<FullName> = variables.cloned().collect();
        names.extend(collection.axes.iter().map(|axis| axis.name.clone()));
        names.extend(collection.axes.iter().filter_map(|axis| axis.bounds_name.clone()));
        for described in &collection.members {
            for group in described.member.dataset.root().walk() {
                let replaced =
                    |name: &FullName| described.axes.iter().any(|a| a.dimension.as_ref() == Some(name));
                let dimensions = group.dimensions.iter().filter_map(|d| d.name.as_ref());
                names.extend(dimensions.filter(|name| !replaced(name)).cloned());
            }
        }
        Self(names)
    }

    /// `name`, or the first of `name1`, `name2` ... that is free.
    pub(super) fn take(&mut self, group: &FullName, name: &str) -> FullName {
        let mut full = group.join(name);
        let mut number = 0;
        while !self.0.insert(full.clone()) {
            number += 1;
            full = group.join(&format!("{name}{number}"));
        }
        full
    }
}

/// The layout of a view; `run` is what the dimension of runs is to be called.
///
/// # Errors
/// `NotFound` when the collection has no such run, offset or time, naming some that it has; `BadRequest` when what
/// names it is no time or number.
pub(super) fn layout(
    collection: &Collection,
    view: &ForecastView,
    run: &str,
    names: &mut Names,
) -> Result<Layout> {
    let root = FullName::root();
    match view {
        ForecastView::TwoTime => Ok(Layout::Table {
            run: names.take(&root, run),
            tables: collection.axes.iter().map(|axis| Table::new(&collection.runs, &axis.keys)).collect(),
        }),
        ForecastView::Best => Ok(best_series(collection, names)),
        ForecastView::Run(wanted) => {
            let run = wanted_run(collection, wanted.as_deref())?;
            Ok(chosen(collection, |key| key.run == run))
        }
        ForecastView::Offset(hours) => {
            let offset = wanted_offset(collection, hours)?;
            Ok(chosen(collection, |key| key.offset() == offset))
        }
        ForecastView::ConstantForecast(time) => {
            let valid = wanted_time(collection, time)?;
            Ok(constant_forecast(collection, valid, names.take(&root, run)))
        }
    }
}

/// All keys that `choose` takes, axis by axis.
fn chosen(collection: &Collection, choose: impl Fn(&Key) -> bool) -> Layout {
    let mut series = Vec::new();
    let mut of = HashMap::new();
    for (axis, described) in collection.axes.iter().enumerate() {
        let keys: Vec<Key> = described.keys.iter().copied().filter(|key| choose(key)).collect();
        let inventories = collection.variables.iter().map(|(_, on)| on).filter(|on| on.axis == axis);
        for on in inventories {
            if keys.iter().any(|key| collection.inventories[on.inventory].get(*key).is_some()) {
                of.insert((axis, on.inventory), series.len());
            }
        }
        if !keys.is_empty() {
            series.push(Series { axis, name: described.name.clone(), keys });
        }
    }
    Layout::Series { series, of, along_runs: None }
}

/// Each valid time from the newest run that has it. Variables that are not in the same runs and times (precipitation
/// is not there at the beginning of a run) have a series of their own, so that none lacks what an older run has, and
/// so that the coordinate says for each which run it is.
fn best_series(collection: &Collection, names: &mut Names) -> Layout {
    let mut series: Vec<Series> = Vec::new();
    let mut of = HashMap::new();
    for (axis, described) in collection.axes.iter().enumerate() {
        let mut found: Vec<(Vec<Key>, Vec<usize>)> = Vec::new();
        let inventories: BTreeSet<usize> = collection
            .variables
            .iter()
            .filter(|(_, on)| on.axis == axis)
            .map(|(_, on)| on.inventory)
            .collect();
        for inventory in inventories {
            let keys = best(collection.inventories[inventory].keys());
            match found.iter_mut().find(|(other, _)| *other == keys) {
                Some((_, same)) => same.push(inventory),
                None => found.push((keys, vec![inventory])),
            }
        }
        // The longest has the axis's own name.
        found.sort_by_key(|(keys, _)| std::cmp::Reverse(keys.len()));
        for (number, (keys, inventories)) in found.into_iter().enumerate() {
            let own = described.name.clone();
            let name = if number == 0 { own } else { names.take(&own.parent(), own.short()) };
            of.extend(inventories.into_iter().map(|inventory| ((axis, inventory), series.len())));
            series.push(Series { axis, name, keys });
        }
    }
    Layout::Series { series, of, along_runs: None }
}

/// Every run that has anything for one time.
fn constant_forecast(collection: &Collection, valid: Moment, run: FullName) -> Layout {
    let key = |run: Moment| Key { run, valid };
    let has = |run: &Moment| collection.axes.iter().any(|axis| axis.keys.contains(&key(*run)));
    let keys: Vec<Key> = collection.runs.iter().filter(|run| has(run)).map(|run| key(*run)).collect();
    let mut series = Vec::new();
    let mut of = HashMap::new();
    for (axis, described) in collection.axes.iter().enumerate() {
        let on_axis = collection.variables.iter().map(|(_, on)| on).filter(|on| on.axis == axis);
        let mut any = false;
        for on in on_axis {
            if keys.iter().any(|key| collection.inventories[on.inventory].get(*key).is_some()) {
                of.insert((axis, on.inventory), series.len());
                any = true;
            }
        }
        if any {
            series.push(Series { axis, name: described.name.clone(), keys: keys.clone() });
        }
    }
    Layout::Series { series, of, along_runs: Some(run) }
}

fn wanted_run(collection: &Collection, wanted: Option<&str>) -> Result<Moment> {
    let newest = || Error::not_found("the collection has no run");
    let Some(text) = wanted else { return collection.runs.last().copied().ok_or_else(newest) };
    let run = Moment::parse(text, collection.calendar)?;
    if collection.runs.binary_search(&run).is_ok() {
        return Ok(run);
    }
    let have = collection.runs.iter().rev().map(|run| written(*run, collection.calendar));
    Err(absent("run of", text, have))
}

fn wanted_time(collection: &Collection, text: &str) -> Result<Moment> {
    let valid = Moment::parse(text, collection.calendar)?;
    let times: BTreeSet<Moment> =
        collection.axes.iter().flat_map(|axis| &axis.keys).map(|key| key.valid).collect();
    if times.contains(&valid) {
        return Ok(valid);
    }
    Err(absent("forecast for", text, times.iter().rev().map(|time| written(*time, collection.calendar))))
}

fn wanted_offset(collection: &Collection, text: &str) -> Result<i128> {
    let hours: f64 = text.trim().parse().map_err(|e| {
        Error::bad_request(format!("\"{text}\" is no number of hours; \"6.0\" is one")).with_source(e)
    })?;
    let offsets: BTreeSet<i128> =
        collection.axes.iter().flat_map(|axis| &axis.keys).map(|key| key.offset()).collect();
    // As it is written in the name of a view: hours of which thirds are rounded.
    let close = |offset: &i128| (*offset as f64 - hours * TimeUnits::HOUR as f64).abs() < 1e6;
    match offsets.iter().find(|offset| close(offset)) {
        Some(offset) => Ok(*offset),
        None => {
            Err(absent("forecast at an offset (in hours) of", text, offsets.iter().map(|o| offset_hours(*o))))
        }
    }
}

fn absent(what: &str, wanted: &str, have: impl Iterator<Item = String>) -> Error {
    let mut all = have.peekable();
    let some: Vec<String> = all.by_ref().take(NAMED).collect();
    let more = if all.peek().is_some() { ", ..." } else { "" };
    Error::not_found(format!("there is no {what} {wanted}; there is {}{more}", some.join(", ")))
}
