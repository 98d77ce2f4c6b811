//! What a member says about time: the run (or runs) it is of, and for each of its time axes the times it is valid
//! for. Reads descriptions and known values, never data.

use std::collections::HashSet;

use cdm::{
    Dataset, FullName, Variable,
    coordinates::{calendar::Calendar, date::Moment, time::TimeUnits},
};

use super::{
    clock::{Number, duration_unit, moment, numbers, time_units},
    inventory::Key,
    sliced::slice,
};
use crate::aggregation::{Known, Member};

/// Runs in one member; more are not split.
const MOST_RUNS: u64 = 10_000;

/// Global attributes in which netCDF-Java and its writers keep the time of the run.
const RUN_ATTRIBUTES: [&str; 2] = ["_CoordinateModelRunDate", "_CoordinateModelBaseDate"];

/// A member, or the part of it that is of one run.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// Without the dimension of its runs.
    pub(super) member: Member,
    /// Of its times.
    pub(super) calendar: Calendar,
    /// Its time axes; at least one.
    pub(super) axes: Vec<TimeAxis>,
    /// Variables that say when; views have their own in their place.
    pub(super) said: HashSet<FullName>,
    /// Members of one kind are described alike.
    pub(super) kind: usize,
    /// What has values for the one time of a member that has no dimension for it.
    pub(super) scalar_data: HashSet<FullName>,
}

/// A time axis of a member.
#[derive(Debug, Clone)]
pub(super) struct TimeAxis {
    /// The dimension; `None` when there is one time and no dimension for it.
    pub(super) dimension: Option<FullName>,
    /// What its coordinate is called: the variable of valid times, if there is one.
    pub(super) name: FullName,
    /// The variable whose attributes its coordinate has.
    pub(super) variable: Option<FullName>,
    /// By index: when the run was and what it is valid for; `None` where nothing is.
    pub(super) cells: Vec<Option<Key>>,
    /// The variable of bounds, and they by index.
    pub(super) bounds: Option<(FullName, Vec<[Option<Moment>; 2]>)>,
}

impl Described {
    /// The axis that a variable lies on, with its position in the variable's dimensions (`None`: it has no dimension
    /// for it).
    pub(super) fn axis_of(&self, name: &FullName, variable: &Variable) -> Option<(usize, Option<usize>)> {
        if self.said.contains(name) {
            return None;
        }
        for (position, dimension) in variable.dimensions.iter().enumerate() {
            let on = |axis: &TimeAxis| axis.dimension.is_some() && axis.dimension == dimension.name;
            if let Some(axis) = self.axes.iter().position(on) {
                return Some((axis, Some(position)));
            }
        }
        let scalar = self.axes.iter().position(|axis| axis.dimension.is_none())?;
        self.scalar_data.contains(name).then_some((scalar, None))
    }
}

/// The runs of a member.
///
/// # Errors
/// What is missing, for a note.
pub(super) fn describe(member: &Member) -> Result<Vec<Described>, String> {
    let Some((runs, dimension)) = run_dimension(member) else { return Ok(vec![one(member)?]) };
    let size = member.dataset.require(&runs).map_or(0, Variable::element_count);
    if size > MOST_RUNS {
        return Err(format!("{runs} has {size} runs; {MOST_RUNS} in one member is the limit"));
    }
    let slices = (0..size).map(|index| {
        let sliced = slice(member, &dimension, index).map_err(|e| e.to_string())?;
        // What was said for the member as a whole is not the time of each run.
        let sliced = if size > 1 { Member { coord_value: None, ..sliced } } else { sliced };
        one(&sliced)
    });
    slices.collect()
}

/// Which values of a dataset have to be known for it to be a member.
#[derive(Debug, Default)]
pub struct Needs {
    /// Variables that say when: all their values.
    pub values: HashSet<FullName>,
    /// Variables that depend on time: nothing, not even whether they are equal.
    pub nothing: HashSet<FullName>,
}

impl Needs {
    /// Those of a dataset with this description.
    pub fn of(dataset: &Dataset) -> Self {
        let says_when =
            |v: &Variable| v.dimensions.len() <= 2 && (is_run(v) || is_period(v) || is_valid_time(v));
        let mut needs = Self::default();
        let mut times: HashSet<&FullName> = HashSet::new();
        for (name, variable) in dataset.variables().filter(|(_, v)| says_when(v)) {
            needs.values.extend(variable.attributes.text("bounds").map(|b| name.parent().join(&b)));
            needs.values.insert(name);
            times.extend(variable.dimensions.iter().filter_map(|d| d.name.as_ref()));
        }
        if times.is_empty() {
            for (name, _) in dataset.variables().filter(|(_, v)| v.dimensions.is_empty() && is_valid_time(v))
            {
                needs.nothing.extend(data_at(dataset, &name));
            }
        }
        for (name, variable) in dataset.variables() {
            let mut own = variable.dimensions.iter().filter_map(|d| d.name.as_ref());
            if own.any(|d| times.contains(d)) && !needs.values.contains(&name) {
                needs.nothing.insert(name);
            }
        }
        needs
    }
}

/// The role of a variable by its attributes.
fn is_run(variable: &Variable) -> bool {
    says(variable, "forecast_reference_time", "RunTime")
}

fn is_period(variable: &Variable) -> bool {
    says(variable, "forecast_period", "TimeOffset") && duration_unit(variable).is_some()
}

fn is_valid_time(variable: &Variable) -> bool {
    !is_run(variable)
        && variable.attributes.text("standard_name").is_none_or(|n| n != "forecast_period")
        && time_units(variable).is_some()
}

fn says(variable: &Variable, standard_name: &str, axis_type: &str) -> bool {
    let is = |name: &str, value: &str| variable.attributes.text(name).is_some_and(|text| text == value);
    is("standard_name", standard_name) || is("_CoordinateAxisType", axis_type)
}

/// The variable that has several runs along a dimension of their own, and that dimension.
fn run_dimension(member: &Member) -> Option<(FullName, FullName)> {
    let (name, variable) = member
        .dataset
        .variables()
        .find(|(_, v)| is_run(v) && v.dimensions.len() == 1 && time_units(v).is_some())?;
    let dimension = variable.dimensions.first()?.name.clone()?;
    // Each time may have a run of its own, as a best time series has: then it is no dimension of runs.
    let is_times = member.dataset.variables().any(|(_, v)| {
        matches!(v.dimensions.as_slice(), [only] if only.name.as_ref() == Some(&dimension))
            && (is_valid_time(v) || is_period(v))
    });
    (!is_times).then_some((name, dimension))
}

/// The known numbers of a variable.
fn known(member: &Member, name: &FullName, variable: &Variable) -> Option<Vec<Option<Number>>> {
    match member.known.get(name)? {
        Known::Values(block) => numbers(variable, block),
        Known::Digest(_) => None,
    }
}

/// The points in time that a variable holds.
fn moments(member: &Member, name: &FullName, variable: &Variable) -> Option<Vec<Option<Moment>>> {
    let units = time_units(variable)?;
    let numbers = known(member, name, variable)?;
    Some(numbers.into_iter().map(|n| moment(&units, variable, n?)).collect())
}

/// The lengths of time that a variable holds, in nanoseconds.
fn periods(member: &Member, name: &FullName, variable: &Variable) -> Option<Vec<Option<i128>>> {
    let units = TimeUnits::new(duration_unit(variable)?, Moment::new(0)?, Calendar::ProlepticGregorian)?;
    let numbers = known(member, name, variable)?;
    Some(numbers.into_iter().map(|n| Some(moment(&units, variable, n?)?.nanoseconds())).collect())
}

/// A time axis as the member stores it.
struct Stored {
    dimension: Option<FullName>,
    valid: Option<(FullName, Vec<Option<Moment>>)>,
    period: Option<(FullName, Vec<Option<i128>>)>,
    runs: Option<Vec<Option<Moment>>>,
}

/// A member of one run (or with one for each time).
fn one(member: &Member) -> Result<Described, String> {
    let dataset = &member.dataset;
    let mut said: HashSet<FullName> =
        dataset.variables().filter(|(_, v)| is_run(v) || is_period(v)).map(|(name, _)| name).collect();
    let stored = stored_axes(member);
    if stored.is_empty() {
        return Err(
            "no variable says what time its values are for: one along a dimension with units such as \
                    \"hours since 2026-01-01\", or with the standard name forecast_period, does"
                .into(),
        );
    }
    let calendar = calendar_of(dataset, &stored)?;
    let run = run_of(member, calendar, &stored)?;
    let mut axes: Vec<TimeAxis> = Vec::new();
    for axis in stored {
        let len =
            axis.valid.as_ref().map_or_else(|| axis.period.as_ref().map_or(0, |p| p.1.len()), |v| v.1.len());
        let cells = (0..len).map(|i| {
            let run = axis.runs.as_ref().map_or(Some(run), |runs| runs.get(i).copied().flatten())?;
            let valid = match (&axis.valid, &axis.period) {
                (Some((_, valid)), _) => valid.get(i).copied().flatten()?,
                (None, Some((_, periods))) => {
                    Moment::new(run.nanoseconds() + periods.get(i).copied().flatten()?)?
                }
                (None, None) => return None,
            };
            Some(Key { run, valid })
        });
        let cells = cells.collect();
        let variable = axis.valid.as_ref().map(|(name, _)| name.clone());
        let bounds = variable.as_ref().and_then(|name| bounds_of(member, name, len));
        let of = axis.period.as_ref().map(|(name, _)| name);
        said.extend(variable.iter().chain(of).chain(bounds.as_ref().map(|(name, _)| name)).cloned());
        // The dimension's own coordinate variable would lie on an axis that views rename.
        said.extend(axis.dimension.iter().filter(|d| dataset.variable(d).is_some()).cloned());
        let name = match &variable {
            Some(name) => name.clone(),
            None => free_name(dataset, &said, axis.dimension.as_ref(), &axes),
        };
        axes.push(TimeAxis { dimension: axis.dimension, name, variable, cells, bounds });
    }
    let scalar = axes.iter().find(|axis| axis.dimension.is_none());
    let scalar_data = scalar.map(|axis| data_at(dataset, axis.variable.as_ref().unwrap_or(&axis.name)));
    Ok(Described {
        member: member.clone(),
        calendar,
        axes,
        said,
        kind: 0,
        scalar_data: scalar_data.unwrap_or_default(),
    })
}

/// Variables with values for the one time that has no dimension: those whose `coordinates` attribute names it, or
/// else all that have a coordinate and are none.
fn data_at(dataset: &Dataset, time: &FullName) -> HashSet<FullName> {
    let naming: HashSet<FullName> =
        dataset.variables().filter(|(_, v)| v.maps.contains(time)).map(|(name, _)| name).collect();
    if !naming.is_empty() {
        return naming;
    }
    let mut others: HashSet<FullName> = HashSet::new();
    for group in dataset.root().walk() {
        for variable in &group.variables {
            others.extend(variable.maps.iter().cloned());
            for name in ["bounds", "climatology", "grid_mapping", "coordinates", "ancillary_variables"] {
                let text = variable.attributes.text(name).unwrap_or_default();
                others.extend(text.split_whitespace().map(|word| group.name.join(word)));
            }
        }
    }
    let is_data = |name: &FullName, v: &Variable| !v.maps.is_empty() && !others.contains(name);
    dataset.variables().filter(|(name, v)| is_data(name, v)).map(|(name, _)| name).collect()
}

/// `time` beside the dimension, or the first of `time1`, `time2` ... that nothing else is called.
fn free_name(
    dataset: &Dataset,
    said: &HashSet<FullName>,
    dimension: Option<&FullName>,
    others: &[TimeAxis],
) -> FullName {
    let group = dimension.map_or_else(FullName::root, FullName::parent);
    let taken = |name: &FullName| {
        let is_there = dataset.variable(name).is_some() || dataset.dimension(name).is_some();
        let is_kept = is_there && !said.contains(name);
        is_kept || others.iter().any(|axis| axis.name == *name)
    };
    let mut number = 0;
    loop {
        let name = group.join(&if number == 0 { "time".into() } else { format!("time{number}") });
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

fn stored_axes(member: &Member) -> Vec<Stored> {
    let dataset = &member.dataset;
    let mut dimensions: Vec<&FullName> = Vec::new();
    let mut seen: HashSet<&FullName> = HashSet::new();
    for dimension in dataset.root().walk().flat_map(|g| &g.dimensions).filter_map(|d| d.name.as_ref()) {
        if seen.insert(dimension) {
            dimensions.push(dimension);
        }
    }
    let mut axes: Vec<Stored> = dimensions.into_iter().filter_map(|d| stored_axis(member, Some(d))).collect();
    if axes.is_empty() {
        axes.extend(stored_axis(member, None));
    }
    axes
}

/// The axis of a dimension, or the one time of a member that has no dimension for it.
fn stored_axis(member: &Member, dimension: Option<&FullName>) -> Option<Stored> {
    let along: Vec<(FullName, &Variable)> = member
        .dataset
        .variables()
        .filter(|(_, v)| match (v.dimensions.as_slice(), dimension) {
            ([], None) => true,
            ([only], Some(d)) => only.name.as_ref() == Some(d),
            _ => false,
        })
        .collect();
    // The dimension's own variable before one that is called a time, before any other.
    let best = |role: fn(&Variable) -> bool| {
        let mut found: Vec<&(FullName, &Variable)> = along.iter().filter(|(_, v)| role(v)).collect();
        found.sort_by_key(|(name, v)| {
            let is_called = says(v, "time", "Time") || says(v, "forecast_period", "TimeOffset");
            if Some(name) == dimension { 0 } else { 2 - u8::from(is_called) }
        });
        found
    };
    let valid = best(is_valid_time)
        .into_iter()
        .find_map(|(name, v)| moments(member, name, v).map(|times| (name.clone(), times)));
    let period = best(is_period)
        .into_iter()
        .find_map(|(name, v)| periods(member, name, v).map(|lengths| (name.clone(), lengths)));
    let runs =
        dimension.and_then(|_| best(is_run).into_iter().find_map(|(name, v)| moments(member, name, v)));
    (valid.is_some() || period.is_some()).then(|| Stored {
        dimension: dimension.cloned(),
        valid,
        period,
        runs,
    })
}

/// The one calendar of a member's times.
fn calendar_of(dataset: &Dataset, stored: &[Stored]) -> Result<Calendar, String> {
    let of = |name: &FullName| dataset.variable(name).and_then(time_units).map(|u| u.calendar());
    let mut valid = stored.iter().filter_map(|axis| axis.valid.as_ref()).filter_map(|(name, _)| of(name));
    if let Some(first) = valid.next() {
        return match valid.find(|other| *other != first) {
            Some(other) => Err(format!("its times are of two calendars, {first} and {other}")),
            None => Ok(first),
        };
    }
    let run = dataset.variables().filter(|(_, v)| is_run(v)).find_map(|(_, v)| time_units(v));
    Ok(run.map_or(Calendar::Standard, |u| u.calendar()))
}

/// When the run of a member began: what the definition or the file's name says, what a variable or a global attribute
/// says, the valid times less their offsets, the first valid time.
fn run_of(member: &Member, calendar: Calendar, stored: &[Stored]) -> Result<Moment, String> {
    if let Some(text) = &member.coord_value {
        return Moment::parse(text, calendar)
            .map_err(|e| format!("the time of its run is given as {e}; \"2026-01-01T06:00:00Z\" is one"));
    }
    let scalars = member.dataset.variables().filter(|(_, v)| is_run(v) && v.dimensions.is_empty());
    for (name, variable) in scalars {
        if let Some(Some(run)) = moments(member, &name, variable).and_then(|all| all.first().copied()) {
            return Ok(run);
        }
    }
    // A run for each time: the member as a whole needs none.
    if let Some(run) = stored.iter().filter_map(|axis| axis.runs.as_ref()).flatten().flatten().min() {
        return Ok(*run);
    }
    let attributes = &member.dataset.root().attributes;
    if let Some(text) = RUN_ATTRIBUTES.iter().find_map(|name| attributes.text(name)) {
        return Moment::parse(&text, calendar).map_err(|e| format!("the time of its run: {e}"));
    }
    for axis in stored {
        if let (Some((_, valid)), Some((_, periods))) = (&axis.valid, &axis.period) {
            let run = valid.iter().zip(periods).find_map(|(valid, period)| Some(((*valid)?, (*period)?)));
            if let Some(run) = run.and_then(|(valid, period)| Moment::new(valid.nanoseconds() - period)) {
                return Ok(run);
            }
        }
    }
    let first =
        stored.iter().filter_map(|axis| axis.valid.as_ref()).flat_map(|(_, times)| times).flatten().min();
    first.copied().ok_or_else(|| {
        "nothing says when its run was: a variable with the standard name forecast_reference_time, a coordValue or \
         a date in its name does"
            .into()
    })
}

/// The bounds of a time coordinate of `len` values; in its units when they have none of their own (CF 7.1).
fn bounds_of(member: &Member, name: &FullName, len: usize) -> Option<(FullName, Vec<[Option<Moment>; 2]>)> {
    let variable = member.dataset.variable(name)?;
    let full = name.parent().join(&variable.attributes.text("bounds")?);
    let bounds = member.dataset.variable(&full)?;
    let units = time_units(bounds).or_else(|| time_units(variable))?;
    let numbers = known(member, &full, bounds)?;
    if numbers.len() != len.checked_mul(2)? {
        return None;
    }
    let at = |number: Option<Number>| moment(&units, bounds, number?);
    Some((full, numbers.chunks(2).map(|pair| [at(pair[0]), at(pair[1])]).collect()))
}
