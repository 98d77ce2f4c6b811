//! A constraint meets a dataset: names are found, slices checked, Grids taken apart. The result lists
//! what is answered in *dataset order*, whatever the order asked (protocol rule 8: netcdf-c silently
//! reads garbage otherwise). How it is written is the business of [`super::dds`] and [`super::xdr`].

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use cdm::{
    DataType, Dimension, Error, ErrorKind, FullName, Result, Selection, Slice, Source, Variable,
    filter::{self, Comparison, RowFilter},
    subset::{Part, Projection, subset},
};

use super::{
    constraint::{self, At, Clause, Constraint, Operand, Path, Step},
    names,
    view::View,
};

/// What a request is answered with.
#[derive(Debug)]
pub(super) struct Answer {
    /// In dataset order.
    pub(super) items: Vec<Item>,
    /// The constraint in a form that does not depend on how it was spelled.
    pub(super) canonical: String,
}

/// One top-level declaration.
#[derive(Debug)]
pub(super) enum Item {
    /// A variable as it is.
    Plain(Leaf),
    /// An array with a map for each of its dimensions.
    Grid {
        /// The Grid's and the array's name.
        array: Leaf,
        /// In dimension order.
        maps: Vec<Leaf>,
    },
    /// Some components of a Grid, or components that no longer fit together: a Structure.
    Parts {
        /// The Grid's name.
        name: String,
        /// Array first, then maps.
        leaves: Vec<Leaf>,
    },
}

impl Item {
    /// Everything with values, in the order of the wire.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let (first, rest): (Option<&Leaf>, &[Leaf]) = match self {
            Self::Plain(leaf) => (Some(leaf), &[]),
            Self::Grid { array, maps } => (Some(array), maps),
            Self::Parts { leaves, .. } => (None, leaves),
        };
        first.into_iter().chain(rest)
    }

    /// The declared name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Plain(leaf) | Self::Grid { array: leaf, .. } => &leaf.declared.name,
            Self::Parts { name, .. } => name,
        }
    }
}

/// One variable with what is wanted of it.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// Where its values come from.
    pub(super) source: Arc<dyn Source>,
    /// Its name there.
    pub(super) name: FullName,
    /// The declaration, sizes as constrained.
    pub(super) declared: Variable,
    /// What to read.
    pub(super) selection: Selection,
}

/// Parses `text` and applies it to `view`.
///
/// # Errors
/// `BadRequest` with the position in the constraint; `Unsupported` for functions.
pub(super) fn resolve(view: &Arc<View>, text: &str) -> Result<Answer> {
    let as_written = read(view, text);
    let Err(failure) = as_written else { return as_written };
    // What makes no sense by the grammar may hold names that a client has decoded.
    let Some(respelled) = constraint::respell(text, view.special_names()) else { return Err(failure) };
    read(view, &respelled).or(Err(failure))
}

fn read(view: &Arc<View>, text: &str) -> Result<Answer> {
    let constraint = constraint::parse(text)?;
    Resolver { view, text }.answer(&constraint)
}

/// What is wanted of a variable or member.
#[derive(Debug, Default)]
struct Wanted {
    slices: Option<Vec<constraint::Slice>>,
    whole: bool,
    /// By position: a record's members, or a Grid's array (0) and maps (1..).
    members: BTreeMap<usize, Wanted>,
}

struct Resolver<'a> {
    view: &'a Arc<View>,
    text: &'a str,
}

/// A variable that a path leads to, and the steps below it.
struct Found<'p> {
    name: FullName,
    last: &'p Step,
    below: &'p [Step],
}

impl Resolver<'_> {
    fn answer(&self, constraint: &Constraint) -> Result<Answer> {
        let variables = &self.view.dataset().root().variables;
        let mut wanted: BTreeMap<usize, Wanted> = BTreeMap::new();
        if constraint.projections.is_empty() {
            wanted.extend((0..variables.len()).map(|i| (i, Wanted { whole: true, ..Wanted::default() })));
        } else {
            for projection in &constraint.projections {
                match projection {
                    constraint::Projection::Call(call) => return Err(self.no_function(call)),
                    constraint::Projection::Path(path) => {
                        let found = self.find(path)?;
                        let position =
                            self.view.dataset().place(&found.name).map_or(0, |(_, position)| position);
                        self.want(&found, wanted.entry(position).or_default())?;
                    }
                }
            }
        }
        let mut filters = self.filters(&constraint.selections)?;
        let mut canonical = String::new();
        let mut items = Vec::with_capacity(wanted.len());
        for (position, wanted) in wanted {
            let Some(variable) = variables.get(position) else { continue };
            let name = FullName::root().join(&variable.name);
            if !constraint.projections.is_empty() {
                let comma = if canonical.is_empty() { "" } else { "," };
                // Writing to a String cannot fail.
                let _ = write!(canonical, "{comma}{}{wanted}", variable.name);
            }
            let rows = filters.remove(&name).unwrap_or_default();
            items.push(self.item(&name, variable, &wanted, rows)?);
        }
        for clause in &constraint.selections {
            let _ = write!(canonical, "&{clause}");
        }
        Ok(Answer { items, canonical })
    }

    /// The variable that `path` begins with. A name may hold dots, so several steps may be one name; and
    /// an exact spelling goes before a loose one.
    fn find<'p>(&self, path: &'p Path) -> Result<Found<'p>> {
        for exact in [true, false] {
            let mut joined = String::new();
            for (i, step) in path.steps.iter().enumerate() {
                joined.push_str(if i > 0 { "." } else { "" });
                joined.push_str(&step.name);
                let name = if exact { self.view.find_exactly(&joined) } else { self.view.find(&joined) };
                let below = path.steps.get(i + 1..).unwrap_or_default();
                if let Some(name) = name
                    && (below.is_empty() || self.has_members(name))
                {
                    return Ok(Found { name: name.clone(), last: step, below });
                }
                if !step.slices.is_empty() {
                    break;
                }
            }
        }
        let first = path.steps.first();
        let spelled = path.steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(".");
        if let Some(reason) = self.view.why_omitted(&spelled) {
            return Err(reason);
        }
        Err(self.unknown(
            &spelled,
            first.map(|s| s.at).unwrap_or_default(),
            self.view.dataset().root().variables.iter().map(|v| &*v.name),
        ))
    }

    fn has_members(&self, name: &FullName) -> bool {
        self.view.maps(name).is_some()
            || self.view.dataset().variable(name).is_some_and(|v| v.data_type.record().is_some())
    }

    /// Adds what a path wants to what is wanted already.
    fn want(&self, found: &Found<'_>, wanted: &mut Wanted) -> Result<()> {
        self.slice(wanted, found.last)?;
        let Some((first, more)) = found.below.split_first() else {
            wanted.whole = true;
            return Ok(());
        };
        if let Some(maps) = self.view.maps(&found.name) {
            // A component's name may hold dots too: all that is left is one name.
            let spelled: Vec<&str> = found.below.iter().map(|s| s.name.as_str()).collect();
            let last = more.last().unwrap_or(first);
            let meant = self.view.find(&spelled.join("."));
            let component = std::iter::once(&found.name).chain(maps).position(|c| Some(c) == meant);
            let component = component.ok_or_else(|| {
                let components = std::iter::once(&found.name).chain(maps).map(|c| &c.as_str()[1..]);
                self.unknown(&spelled.join("."), first.at, components)
            })?;
            let part = wanted.members.entry(component).or_default();
            part.whole = true;
            return self.slice(part, last);
        }
        let mut data_type = self.view.dataset().require(&found.name)?.data_type.clone();
        let mut wanted = wanted;
        for step in found.below {
            let (position, field) = self.member(&data_type, step)?;
            wanted = wanted.members.entry(position).or_default();
            self.slice(wanted, step)?;
            data_type = field;
        }
        wanted.whole = true;
        Ok(())
    }

    fn slice(&self, wanted: &mut Wanted, step: &Step) -> Result<()> {
        if step.slices.is_empty() {
            return Ok(());
        }
        if wanted.slices.as_ref().is_some_and(|old| *old != step.slices) {
            return Err(Error::bad_request(format!(
                "{} is asked for twice with different slices, the second time at character {}",
                step.name,
                step.at.column(self.text)
            )));
        }
        wanted.slices = Some(step.slices.clone());
        Ok(())
    }

    fn member(&self, data_type: &DataType, step: &Step) -> Result<(usize, DataType)> {
        let record = data_type.record().ok_or_else(|| {
            Error::bad_request(format!(
                "a simple variable has no member {} (character {})",
                step.name,
                step.at.column(self.text)
            ))
        })?;
        let decoded = names::encode(&names::decode(&step.name));
        let found = record.field(&step.name).or_else(|| record.field(&decoded));
        let (position, field) =
            found.ok_or_else(|| self.unknown(&step.name, step.at, record.fields.iter().map(|f| &*f.name)))?;
        Ok((position, field.data_type.clone()))
    }

    fn item(
        &self,
        name: &FullName,
        variable: &Variable,
        wanted: &Wanted,
        rows: Vec<Comparison>,
    ) -> Result<Item> {
        let Some(maps) = self.view.maps(name) else {
            return self.leaf(name, variable, wanted, rows).map(Item::Plain);
        };
        let components: Vec<&FullName> = std::iter::once(name).chain(maps).collect();
        if wanted.slices.is_some() && !wanted.members.is_empty() {
            return Err(Error::bad_request(format!(
                "{} is sliced as a whole and by its components; use one of the two",
                variable.name
            )));
        }
        let array = self.selection(variable, wanted.slices.as_deref())?;
        let mut leaves = Vec::with_capacity(components.len());
        for (i, component) in components.iter().enumerate() {
            let part = wanted.members.get(&i);
            if !wanted.whole && part.is_none() {
                continue;
            }
            let declared = self.view.dataset().require(component)?;
            let selection = match (part.and_then(|p| p.slices.as_deref()), i.checked_sub(1)) {
                (None, Some(axis)) => {
                    let slices = array.axes().get(axis).cloned().unwrap_or_default();
                    Selection::new(vec![slices], &declared.shape())?
                }
                (None, None) => array.clone(),
                (slices, _) => self.selection(declared, slices)?,
            };
            leaves.push(self.plain(component, declared, selection));
        }
        let fits = |array: &Leaf, maps: &[Leaf]| {
            maps.len() == maps_len(components.len())
                && array
                    .selection
                    .axes()
                    .iter()
                    .zip(maps)
                    .all(|(axis, m)| m.selection.axes() == [axis.clone()])
        };
        match leaves.split_first() {
            Some((array, maps)) if array.name == *name && fits(array, maps) => {
                Ok(Item::Grid { array: array.clone(), maps: maps.to_vec() })
            }
            _ => Ok(Item::Parts { name: variable.name.to_string(), leaves }),
        }
    }

    fn plain(&self, name: &FullName, variable: &Variable, selection: Selection) -> Leaf {
        let mut declared = variable.clone();
        resize(&mut declared.dimensions, &selection);
        Leaf { source: Arc::clone(self.view) as Arc<dyn Source>, name: name.clone(), declared, selection }
    }

    fn leaf(
        &self,
        name: &FullName,
        variable: &Variable,
        wanted: &Wanted,
        rows: Vec<Comparison>,
    ) -> Result<Leaf> {
        if wanted.members.is_empty() && rows.is_empty() {
            return Ok(self.plain(name, variable, self.selection(variable, wanted.slices.as_deref())?));
        }
        let mut part = self.part(variable, wanted)?;
        let dimensions = part.dimensions.clone();
        // The subset is only read from; names of dimensions are declared from our own copy.
        part.dimensions.iter_mut().for_each(|d| d.name = None);
        if let (false, Some(record)) = (rows.is_empty(), variable.data_type.record()) {
            part.rows = Some(RowFilter::new(rows, record)?);
        }
        let projection = Projection { variable: name.clone(), part };
        let source = subset(Arc::clone(self.view) as Arc<dyn Source>, vec![projection])?;
        let mut declared = source.dataset().require(name)?.clone();
        declared.dimensions = dimensions;
        let selection = Selection::all(&declared.shape());
        Ok(Leaf { source, name: name.clone(), declared, selection })
    }

    fn part(&self, variable: &Variable, wanted: &Wanted) -> Result<Part> {
        let selection = self.selection(variable, wanted.slices.as_deref())?;
        let mut dimensions = variable.dimensions.clone();
        resize(&mut dimensions, &selection);
        let mut fields = None;
        if let (Some(record), false) = (variable.data_type.record(), wanted.members.is_empty()) {
            let mut kept = Vec::new();
            for (position, field) in record.fields.iter().enumerate() {
                match wanted.members.get(&position) {
                    Some(wanted) => kept.push((position, self.part(field, wanted)?)),
                    None if wanted.whole => kept.push((position, Part::whole(field))),
                    None => {}
                }
            }
            fields = Some(kept);
        }
        Ok(Part { selection, dimensions, fields, rows: None })
    }

    fn selection(&self, variable: &Variable, slices: Option<&[constraint::Slice]>) -> Result<Selection> {
        let shape = variable.shape();
        let Some(slices) = slices else { return Ok(Selection::all(&shape)) };
        if slices.len() != shape.len() {
            let column = slices.first().map_or(1, |s| s.at.column(self.text));
            return Err(Error::bad_request(if matches!(variable.data_type, DataType::Sequence(_)) {
                format!(
                    "rows of the sequence {} are chosen with &, not [] (character {column})",
                    variable.name
                )
            } else {
                format!(
                    "{} has {} dimensions, but {} slices are given at character {column} of the constraint",
                    variable.name,
                    shape.len(),
                    slices.len()
                )
            }));
        }
        let axes = slices
            .iter()
            .zip(&variable.dimensions)
            .map(|(slice, dimension)| Ok(vec![self.axis(variable, slices, slice, dimension)?]))
            .collect::<Result<_>>()?;
        Selection::new(axes, &shape)
    }

    fn axis(
        &self,
        variable: &Variable,
        all: &[constraint::Slice],
        slice: &constraint::Slice,
        dimension: &Dimension,
    ) -> Result<Slice> {
        // Only a member of a structure can have an empty axis: any slice of nothing is nothing.
        let Some(last) = dimension.size.checked_sub(1) else { return Slice::new(0, 1, 0) };
        let stop = slice.stop.unwrap_or(last.max(slice.start));
        if slice.start > last || stop > last {
            let called = match &dimension.name {
                Some(name) => format!("dimension {}", &name.as_str()[1..]),
                None => "the dimension".to_owned(),
            };
            let works =
                all.iter().zip(&variable.dimensions).fold(variable.name.to_string(), |text, (s, d)| {
                    let last = d.size.saturating_sub(1);
                    let start = s.start.min(last);
                    text + &format!("[{start}:{}:{}]", s.stride, s.stop.unwrap_or(last).min(last))
                });
            return Err(Error::bad_request(format!(
                "index out of range: {called} has {} elements (0 to {last}); you asked {} at character {} of the \
                 constraint. Try {works}",
                dimension.size,
                print(slice),
                slice.at.column(self.text)
            )));
        }
        Slice::new(slice.start, slice.stride, (stop - slice.start) / slice.stride + 1)
    }

    /// The comparisons for each sequence.
    fn filters(&self, clauses: &[Clause]) -> Result<HashMap<FullName, Vec<Comparison>>> {
        let mut filters: HashMap<FullName, Vec<Comparison>> = HashMap::new();
        for clause in clauses {
            let (left, relation, right) = match clause {
                Clause::Call(call) => return Err(self.no_function(call)),
                Clause::Comparison { left, relation, right } => (left, relation, right),
            };
            let mut sequence = None;
            let left = self.operand(left, &mut sequence)?;
            let mut right: Vec<filter::Operand> =
                right.iter().map(|o| self.operand(o, &mut sequence)).collect::<Result<_>>()?;
            let right = match (right.pop(), right.is_empty()) {
                (Some(one), true) => one,
                (last, _) => {
                    right.extend(last);
                    filter::Operand::AnyOf(right)
                }
            };
            let sequence = sequence.ok_or_else(|| {
                Error::bad_request(format!("the selection &{clause} names no member of a sequence"))
            })?;
            filters.entry(sequence).or_default().push(Comparison { left, op: *relation, right });
        }
        Ok(filters)
    }

    fn operand(&self, operand: &Operand, sequence: &mut Option<FullName>) -> Result<filter::Operand> {
        let path = match operand {
            Operand::Integer(n) => return Ok(filter::Operand::Integer(*n)),
            Operand::Real(x) => return Ok(filter::Operand::Real(*x)),
            Operand::Text(text) => return Ok(filter::Operand::Text(text.clone())),
            Operand::Path(path) => path,
        };
        let found = self.find(path)?;
        let column = found.last.at.column(self.text);
        let variable = self.view.dataset().require(&found.name)?;
        if !matches!(variable.data_type, DataType::Sequence(_)) || found.below.is_empty() {
            return Err(Error::bad_request(format!(
                "selections choose rows of sequences; {path} at character {column} is not a member of one"
            )));
        }
        if sequence.get_or_insert_with(|| found.name.clone()) != &found.name {
            return Err(Error::bad_request(format!(
                "a selection compares members of one sequence; {path} at character {column} is of another"
            )));
        }
        let mut data_type = variable.data_type.clone();
        let mut positions = Vec::with_capacity(found.below.len());
        for step in found.below {
            if !step.slices.is_empty() {
                return Err(Error::bad_request(format!(
                    "a selection compares whole members; leave out the slice at character {}",
                    step.at.column(self.text)
                )));
            }
            let (position, member) = self.member(&data_type, step)?;
            positions.push(position);
            data_type = member;
        }
        Ok(filter::Operand::Member(positions))
    }

    fn no_function(&self, call: &constraint::Call) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "there is no server function {}() here (character {} of the constraint)",
                call.name,
                call.at.column(self.text)
            ),
        )
    }

    fn unknown<'n>(&self, name: &str, at: At, known: impl Iterator<Item = &'n str>) -> Error {
        /// Looking for a similar name must stay cheap in datasets with very many.
        const LOOKED_AT: usize = 10_000;
        let similar = known
            .take(LOOKED_AT)
            .map(|k| (likeness(k, name), k))
            .filter(|(likeness, _)| *likeness > 0.6)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = similar.map(|(_, k)| format!(". Did you mean {k}?")).unwrap_or_default();
        Error::bad_request(format!(
            "there is no variable {name} (character {} of the constraint){hint}",
            at.column(self.text)
        ))
    }
}

/// 0 to 1: few edits (a swap is one), or a common beginning.
fn likeness(known: &str, asked: &str) -> f64 {
    let beginning = strsim::jaro_winkler(known, asked);
    let edits = strsim::normalized_damerau_levenshtein(known, asked);
    if beginning > 0.85 { beginning.max(edits) } else { edits }
}

/// Of `components` of a Grid all but the first are maps.
fn maps_len(components: usize) -> usize {
    components.saturating_sub(1)
}

fn resize(dimensions: &mut [Dimension], selection: &Selection) {
    for (dimension, size) in dimensions.iter_mut().zip(selection.shape()) {
        dimension.size = size;
    }
}

fn print(slice: &constraint::Slice) -> String {
    match slice.stop {
        Some(stop) => format!("[{}:{}:{stop}]", slice.start, slice.stride),
        None => format!("[{}:{}:*]", slice.start, slice.stride),
    }
}

/// Canonical: slices, then members by position.
impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.slices.iter().flatten().try_for_each(|s| f.write_str(&print(s)))?;
        if self.members.is_empty() {
            return Ok(());
        }
        f.write_str(if self.whole { "{*" } else { "{" })?;
        for (position, wanted) in &self.members {
            write!(f, " {position}{wanted}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
