//! The request form: which variables, which part of each axis. What its fields come to is decided here alone, for
//! the page, its JSON and the script that asks for it.
//!
//! Fields: `v` (a variable's full name, any number of times; none: all), and for an axis `A` its part by index,
//! `first.A`, `last.A`, `step.A`, or by value, `from.A`, `to.A`. An axis goes by the full name of its dimension,
//! one without a name by `variable[position]`.

use std::collections::{HashMap, HashSet};

use cdm::{Dataset, FullName, Result, Slice, Source, Variable};

use super::{
    axis::{Axis, Coordinate},
    query::Fields,
};

/// Variables that can be chosen one by one.
const MOST_VARIABLES: usize = 1000;
/// Axes that the form shows.
const MOST_AXES: usize = 40;

/// A field that makes no sense, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) message: String,
}

/// What the form asks for.
#[derive(Debug)]
pub(super) struct Choice {
    /// In the order of the dataset; empty: everything.
    pub(super) variables: Vec<FullName>,
    /// Of the chosen variables, or of all; those of one element are left out.
    pub(super) axes: Vec<Axis>,
    /// Axes of the chosen variables that are not among `axes`, as there are too many.
    pub(super) more_axes: usize,
    /// Parts of axes; an axis without one is whole.
    pub(super) parts: HashMap<String, Slice>,
    pub(super) problems: Vec<Problem>,
}

/// The key of a variable's axis.
pub(super) fn key(name: &FullName, variable: &Variable, axis: usize) -> String {
    match variable.dimensions.get(axis).and_then(|d| d.name.as_ref()) {
        Some(dimension) => dimension.to_string(),
        None => format!("{name}[{axis}]"),
    }
}

impl Choice {
    /// # Errors
    /// None of the fields': those are `problems`.
    pub(super) async fn of(fields: &Fields, source: &dyn Source) -> Result<Self> {
        let dataset = source.dataset();
        let mut problems = Vec::new();
        let variables = variables(fields, dataset, &mut problems);
        let (axes, more_axes) = axes(dataset, &variables);
        let mut choice = Self { variables, axes, more_axes, parts: HashMap::new(), problems };
        choice.read_parts(fields, source).await?;
        Ok(choice)
    }

    async fn read_parts(&mut self, fields: &Fields, source: &dyn Source) -> Result<()> {
        for axis in &self.axes {
            let field = |what: &str| format!("{what}.{}", axis.key);
            let [first, last, step, from, to] = ["first", "last", "step", "from", "to"].map(field);
            let by_value = [(&from, &first), (&to, &last)];
            let twice = by_value
                .into_iter()
                .find(|(value, index)| fields.get(value).is_some() && fields.get(index).is_some());
            let part = if let Some((value, _)) = twice {
                let message = format!("{}: give an index or a value, not both", axis.name);
                Err(Problem { field: value.clone(), message })
            } else {
                let mut ends = [fields.get(&first), fields.get(&last)].map(|text| text.map(str::to_owned));
                let values = (fields.get(&from), fields.get(&to));
                if values != (None, None) {
                    match Coordinate::read(source, axis).await.and_then(|c| c.indices(axis, values)) {
                        Ok((low, high)) => {
                            for (end, index) in ends.iter_mut().zip([low, high]) {
                                if end.is_none() {
                                    *end = Some(index.to_string());
                                }
                            }
                        }
                        Err(e) => {
                            let field = if values.0.is_some() { &from } else { &to };
                            let message = format!("{}: {}", axis.name, e.message());
                            self.problems.push(Problem { field: field.clone(), message });
                            continue;
                        }
                    }
                }
                part(
                    axis,
                    [&first, &last, &step],
                    [ends[0].as_deref(), ends[1].as_deref(), fields.get(&step)],
                )
            };
            match part {
                Ok(Some(part)) => {
                    self.parts.insert(axis.key.clone(), part);
                }
                Ok(None) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }

    /// Whether it is the whole dataset.
    pub(super) fn is_everything(&self) -> bool {
        self.variables.is_empty() && self.parts.is_empty()
    }

    /// What is kept of each axis of `variable`: `None` for one that stays whole.
    pub(super) fn parts_of(&self, name: &FullName, variable: &Variable) -> Vec<Option<Slice>> {
        (0..variable.dimensions.len()).map(|i| self.parts.get(&key(name, variable, i)).copied()).collect()
    }

    /// The chosen variables with those that give positions along their axes, in the order of the dataset.
    pub(super) fn with_coordinates<'a>(&self, dataset: &'a Dataset) -> Vec<(FullName, &'a Variable)> {
        let mut wanted: HashSet<FullName> = self.variables.iter().cloned().collect();
        for variable in self.variables.iter().filter_map(|name| dataset.variable(name)) {
            wanted.extend(variable.maps.iter().cloned());
            wanted.extend(variable.dimensions.iter().filter_map(|d| d.name.clone()));
        }
        dataset.variables().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)).collect()
    }

    /// The chosen variables, or all.
    pub(super) fn chosen<'a>(&'a self, dataset: &'a Dataset) -> Vec<(FullName, &'a Variable)> {
        if self.variables.is_empty() {
            return dataset.variables().collect();
        }
        self.variables.iter().filter_map(|name| Some((name.clone(), dataset.variable(name)?))).collect()
    }
}

fn variables(fields: &Fields, dataset: &Dataset, problems: &mut Vec<Problem>) -> Vec<FullName> {
    let mut asked = HashSet::new();
    for name in fields.all("v").filter(|name| !name.is_empty()) {
        let name = FullName::new(name);
        if dataset.variable(&name).is_none() {
            let message = format!("there is no variable {name}");
            problems.push(Problem { field: "v".to_owned(), message });
        } else if asked.len() < MOST_VARIABLES {
            asked.insert(name);
        } else {
            let message =
                format!("{MOST_VARIABLES} variables can be chosen at most; choose none to have all");
            problems.push(Problem { field: "v".to_owned(), message });
            break;
        }
    }
    if asked.is_empty() {
        return Vec::new();
    }
    dataset.variables().map(|(name, _)| name).filter(|name| asked.contains(name)).collect()
}

fn axes(dataset: &Dataset, chosen: &[FullName]) -> (Vec<Axis>, usize) {
    let mut seen = HashSet::new();
    let mut axes = Vec::new();
    let mut more = 0;
    let all: Vec<(FullName, &Variable)> = if chosen.is_empty() {
        dataset.variables().collect()
    } else {
        chosen.iter().filter_map(|name| Some((name.clone(), dataset.variable(name)?))).collect()
    };
    for (name, variable) in all {
        for (position, dimension) in variable.dimensions.iter().enumerate() {
            let key = key(&name, variable, position);
            if dimension.size < 2 || !seen.insert(key.clone()) {
                continue;
            }
            if axes.len() < MOST_AXES {
                axes.push(Axis::new(key, dimension, dataset));
            } else {
                more += 1;
            }
        }
    }
    (axes, more)
}

/// The part of an axis that three fields (`first`, `last`, `step`) ask for; `None` when they are blank.
fn part(axis: &Axis, fields: [&String; 3], texts: [Option<&str>; 3]) -> Result<Option<Slice>, Problem> {
    if texts == [None; 3] {
        return Ok(None);
    }
    let name = &axis.name;
    let end = axis.size - 1;
    let number = |i: usize, missing: u64| -> Result<u64, Problem> {
        let [Some(text), Some(field)] = [texts.get(i).copied().flatten(), fields.get(i).map(|f| f.as_str())]
        else {
            return Ok(missing);
        };
        let problem = |message| Problem { field: field.to_owned(), message };
        match text.parse::<u64>() {
            Ok(number) if i == 2 && number == 0 => Err(problem(format!("{name}: the step is 1 or more"))),
            Ok(number) if i < 2 && number > end => {
                Err(problem(format!("{name} has the indices 0 to {end}; {number} is outside")))
            }
            Ok(number) => Ok(number),
            Err(_) if i == 2 => Err(problem(format!("{name}: the step is a whole number, 1 or more"))),
            Err(_) => Err(problem(format!("{name}: an index is a whole number from 0 to {end}"))),
        }
    };
    let (first, last, step) = (number(0, 0)?, number(1, end)?, number(2, 1)?);
    if first > last {
        let message = format!("{name}: the first index, {first}, is behind the last, {last}");
        return Err(Problem { field: fields[0].clone(), message });
    }
    let slice = Slice::new(first, step, (last - first) / step + 1);
    let slice = slice.map_err(|e| Problem { field: fields[2].clone(), message: e.message().to_owned() })?;
    Ok((slice != Slice::all(axis.size)).then_some(slice))
}
