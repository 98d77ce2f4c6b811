//! Constraint and dataset together: which parts of which variables (protocol notes 4.2, 4.6).
//!
//! Pure. Answers in the model's own terms ([`Projection`]); what cannot be answered is a [`Fault`] that
//! says what, where, the valid range or the nearest name, and what to try.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cdm::{
    DataType, Dataset, Dimension, FullName, Group, RecordType, Selection, Slice, Variable,
    filter::{Comparison, Operand, RowFilter},
    subset::{Part, Projection},
};

use super::{
    axes::{self, Resized},
    constraint::{self as ast, Clause, Constraint, DimensionSlice, Joint, Predicate, Step},
    fault::{Checked, Fault, nearest},
    names::Spelling,
};

/// What `constraint` keeps of `dataset`, each variable once, ordered by name.
///
/// # Errors
/// Unknown names, slices that do not fit, contradictions, filters on what is no sequence.
pub(super) fn resolve(constraint: &Constraint, dataset: &Dataset) -> Checked<Vec<Projection>> {
    let mut resized = Resized::new();
    for slice in &constraint.dimensions {
        let (name, kept) = dimension_slice(slice, dataset)?;
        if resized.insert(name, kept).is_some() {
            return Err(Fault::new(slice.path.at(), "this dimension has been sliced already"));
        }
    }
    let resolver = Resolver { dataset, resized };
    let mut wanted = BTreeMap::new();
    if constraint.clauses.is_empty() {
        resolver.take_group(dataset.root(), &mut wanted, 0)?;
    }
    for clause in &constraint.clauses {
        resolver.take(clause, &mut wanted)?;
    }
    Ok(wanted.into_iter().map(|(variable, part)| Projection { variable, part }).collect())
}

/// The dimension that `slice` names, and what is left of it.
fn dimension_slice(
    slice: &DimensionSlice,
    dataset: &Dataset,
) -> Checked<(FullName, (Vec<Slice>, Dimension))> {
    let at = slice.path.at();
    let steps = &slice.path.steps;
    let last_slash = steps.iter().rposition(|s| s.joint == Joint::Slash).unwrap_or(0);
    let (groups, own) = steps.split_at(last_slash);
    let group = walk(dataset.root(), groups)?;
    let spelling = Spelling::of(own);
    let names = || group.dimensions.iter().map(|d| d.name.as_ref().map_or("", FullName::short));
    let found = spelling
        .find(|wanted| names().position(|n| n == wanted))
        .or_else(|| spelling.recover(names()))
        .and_then(|i| group.dimensions.get(i));
    let Some((dimension, name)) = found.and_then(|d| Some((d, d.name.clone()?))) else {
        let fault = Fault::new(at, format!("there is no shared dimension {}", spelling.text()));
        return Err(suggest(fault, spelling.text(), names(), &group.name));
    };
    let words = || axes::Words { label: format!("dimension {}", name.short()), before: format!("{name}=") };
    let slices = axes::slices(&slice.axis, dimension.size, &words)?;
    let size = slices.iter().map(|s| s.count).sum();
    Ok((name, (slices, Dimension { size, ..dimension.clone() })))
}

/// The group that `steps` lead to; dots inside a group's name are tolerated.
fn walk<'a>(root: &'a Group, steps: &[Step]) -> Checked<&'a Group> {
    let mut group = root;
    let mut rest = steps;
    while let Some(first) = rest.first() {
        let len = rest.iter().skip(1).take_while(|s| s.joint == Joint::Dot).count() + 1;
        let (own, after) = rest.split_at(len);
        if let Some(sliced) = own.iter().find_map(|s| s.slices.first()) {
            return Err(Fault::new(sliced.at, "a group cannot be sliced"));
        }
        let spelling = Spelling::of(own);
        let names = || group.groups.iter().map(|g| g.name.short());
        let found = spelling
            .find(|n| names().position(|known| known == n))
            .or_else(|| spelling.recover(names()))
            .and_then(|i| group.groups.get(i));
        let Some(found) = found else {
            let fault = Fault::new(first.at, format!("there is no group {}", spelling.text()));
            return Err(suggest(fault, spelling.text(), names(), &group.name));
        };
        (group, rest) = (found, after);
    }
    Ok(group)
}

/// Adds the name that was probably meant.
fn suggest<'a>(
    fault: Fault,
    wanted: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    within: &FullName,
) -> Fault {
    let absolute = |name: &str| within.join(name).to_string();
    if let Some(name) = nearest(wanted, known.clone()) {
        return fault.advise(format!("Did you mean {}?", absolute(name)));
    }
    let mut known = known.filter(|n| !n.is_empty());
    match (known.next(), known.next()) {
        (None, _) => fault,
        (Some(only), None) => fault.advise(format!("There is only {}.", absolute(only))),
        (Some(first), Some(second)) => {
            let more = if known.next().is_some() { " and others" } else { "" };
            fault.advise(format!("There are {}, {}{more}.", absolute(first), absolute(second)))
        }
    }
}

type Wanted = BTreeMap<FullName, Part>;

struct Resolver<'a> {
    dataset: &'a Dataset,
    resized: Resized,
}

/// The members below a container with the name each is shown by.
fn members<'a>(
    owner: &'a str,
    record: &'a RecordType,
) -> impl Iterator<Item = (&'a str, &'a Variable)> + Clone {
    // The one member of a variable-length type is shown under the variable's own name.
    let shared = record.is_vlen && record.fields.len() == 1;
    record.fields.iter().map(move |f| (if shared { owner } else { &*f.name }, f))
}

/// The member that `spelling` names: position, shown name, description.
fn member<'a>(
    owner: &'a str,
    record: &'a RecordType,
    spelling: &Spelling,
) -> Option<(usize, &'a str, &'a Variable)> {
    let names = || members(owner, record).map(|(n, _)| n);
    let position =
        spelling.find(|wanted| names().position(|n| n == wanted)).or_else(|| spelling.recover(names()))?;
    let (name, variable) = members(owner, record).nth(position)?;
    Some((position, name, variable))
}

impl Resolver<'_> {
    /// Adds what `clause` asks for.
    fn take(&self, clause: &Clause, wanted: &mut Wanted) -> Checked<()> {
        let steps = clause.path.steps.as_slice();
        let at = clause.path.at();
        // Dots belong to the last component: `/group/variable.member`.
        let own_from = steps.iter().skip(1).rposition(|s| s.joint == Joint::Slash).map_or(0, |i| i + 1);
        let (groups, own) = steps.split_at(own_from);
        let group = walk(self.dataset.root(), groups)?;
        // `a.b` is member b of a, or else a variable whose name has a dot (notes 4.7, 2).
        let mut first_fault = None;
        for len in std::iter::once(1).chain((2..=own.len()).rev()) {
            let (named, below) = own.split_at(len);
            let Some((last, before)) = named.split_last() else { continue };
            if before.iter().any(|s| !s.slices.is_empty()) {
                continue;
            }
            let Some(variable) = variable(self.dataset, group, &Spelling::of(named)) else { continue };
            let attempt = self.part(&variable.name, variable, (last, at), below, clause);
            match attempt {
                Ok(part) => {
                    return merge_variable(wanted, group.name.join(&variable.name), variable, part, at);
                }
                Err(fault) => drop(first_fault.get_or_insert(fault)),
            }
        }
        if let Some(fault) = first_fault {
            return Err(fault);
        }
        let is_bare = clause.fields.is_none() && clause.filter.is_empty();
        if is_bare
            && own.iter().all(|s| s.slices.is_empty())
            && let Ok(found) = walk(group, own)
        {
            return self.take_group(found, wanted, at);
        }
        let spelling = Spelling::of(own);
        let known =
            || group.variables.iter().map(|v| &*v.name).chain(group.groups.iter().map(|g| g.name.short()));
        let fault =
            Fault::new(own.first().map_or(at, |s| s.at), format!("there is no variable {}", spelling.text()));
        Err(suggest(fault, spelling.text(), known(), &group.name))
    }

    /// Adds every variable of `group` and the groups below it.
    fn take_group(&self, group: &Group, wanted: &mut Wanted, at: usize) -> Checked<()> {
        for group in group.walk() {
            for variable in &group.variables {
                let part = self.whole(variable);
                merge_variable(wanted, group.name.join(&variable.name), variable, part, at)?;
            }
        }
        Ok(())
    }

    /// All of `variable` but for what slices of its dimensions take away.
    fn whole(&self, variable: &Variable) -> Part {
        let (selection, dimensions) = axes::whole(variable, &self.resized);
        Part { selection, dimensions, fields: None, rows: None }
    }

    /// What is kept of `variable`: its `slices`, the members `below` or in braces, the rows.
    ///
    /// `owner` is the name under which the variable is shown.
    fn part(
        &self,
        owner: &str,
        variable: &Variable,
        (step, at): (&Step, usize),
        below: &[Step],
        clause: &Clause,
    ) -> Checked<Part> {
        let (selection, dimensions) = axes::select(&step.slices, variable, owner, step.at, &self.resized)?;
        let mut part = Part { selection, dimensions, fields: None, rows: None };
        if below.is_empty() {
            part.fields = match &clause.fields {
                Some(fields) => Some(self.fields(owner, variable, at, fields)?),
                None => None,
            };
            part.rows = rows(owner, variable, &clause.filter)?;
            return Ok(part);
        }
        let record = record_of(owner, variable, below.first().map_or(at, |s| s.at))?;
        let mut first_fault = None;
        for len in std::iter::once(1).chain((2..=below.len()).rev()) {
            let (named, further) = below.split_at(len);
            let Some((last, before)) = named.split_last() else { continue };
            if before.iter().any(|s| !s.slices.is_empty()) {
                continue;
            }
            let spelling = Spelling::of(named);
            let attempt = match member(owner, record, &spelling) {
                Some((position, name, field)) => {
                    self.part(name, field, (last, at), further, clause).map(|inner| (position, inner))
                }
                None => Err(no_member(owner, record, &spelling, last.at)),
            };
            match attempt {
                Ok(kept) => {
                    part.fields = Some(vec![kept]);
                    return Ok(part);
                }
                Err(fault) => drop(first_fault.get_or_insert(fault)),
            }
        }
        Err(first_fault.unwrap_or_else(|| Fault::new(at, "there is no such member")))
    }

    /// The members in braces.
    fn fields(
        &self,
        owner: &str,
        variable: &Variable,
        at: usize,
        clauses: &[Clause],
    ) -> Checked<Vec<(usize, Part)>> {
        let record = record_of(owner, variable, at)?;
        let mut kept: BTreeMap<usize, Part> = BTreeMap::new();
        for clause in clauses {
            let at = clause.path.at();
            if clause.path.absolute || clause.path.steps.iter().skip(1).any(|s| s.joint == Joint::Slash) {
                return Err(Fault::new(at, "a member's name has no '/'"));
            }
            // The clause's own path is what lies below the container.
            let container =
                Step { at, joint: Joint::Slash, name: String::new(), raw: String::new(), slices: Vec::new() };
            let shell = Variable { dimensions: Vec::new(), ..variable.clone() };
            let inner = self.part(owner, &shell, (&container, at), &clause.path.steps, clause)?;
            for (position, part) in inner.fields.into_iter().flatten() {
                let Some(field) = record.fields.get(position) else { continue };
                match kept.remove(&position) {
                    None => drop(kept.insert(position, part)),
                    Some(before) => drop(kept.insert(position, merge(field, before, part, at)?)),
                }
            }
        }
        Ok(kept.into_iter().collect())
    }
}

/// The variable of `group` that `spelling` names.
fn variable<'a>(dataset: &'a Dataset, group: &'a Group, spelling: &Spelling) -> Option<&'a Variable> {
    spelling.find(|n| dataset.variable(&group.name.join(n)).filter(|v| &*v.name == n)).or_else(|| {
        let position = spelling.recover(group.variables.iter().map(|v| &*v.name))?;
        group.variables.get(position)
    })
}

fn record_of<'a>(owner: &str, variable: &'a Variable, at: usize) -> Checked<&'a Arc<RecordType>> {
    variable.data_type.record().ok_or_else(|| {
        Fault::new(at, format!("{owner} is of type {} and has no members", variable.data_type.name()))
    })
}

fn no_member(owner: &str, record: &RecordType, spelling: &Spelling, at: usize) -> Fault {
    let fault = Fault::new(at, format!("{owner} has no member {}", spelling.text()));
    if let Some(name) = nearest(spelling.text(), members(owner, record).map(|(n, _)| n)) {
        return fault.advise(format!("Did you mean {name}?"));
    }
    let known: Vec<_> = members(owner, record).map(|(n, _)| n).take(8).collect();
    fault.advise(format!("It has {}.", known.join(", ")))
}

/// The row filter of a sequence.
fn rows(owner: &str, variable: &Variable, filter: &[Predicate]) -> Checked<Option<RowFilter>> {
    let Some(first) = filter.first() else { return Ok(None) };
    let DataType::Sequence(record) = &variable.data_type else {
        let message =
            format!("{owner} is of type {}; only a Sequence can be filtered", variable.data_type.name());
        return Err(Fault::new(first.at, message).advise("Select by index, as in [0:9]."));
    };
    let comparisons = filter
        .iter()
        .map(|p| {
            Ok(Comparison {
                left: operand(owner, record, &p.left)?,
                op: p.relation,
                right: operand(owner, record, &p.right)?,
            })
        })
        .collect::<Checked<Vec<_>>>()?;
    RowFilter::new(comparisons, record).map(Some).map_err(|e| Fault::new(first.at, e.message()))
}

fn operand(owner: &str, record: &RecordType, operand: &ast::Operand) -> Checked<Operand> {
    Ok(match operand {
        ast::Operand::Integer(i) => Operand::Integer(*i),
        ast::Operand::Real(r) => Operand::Real(*r),
        ast::Operand::Text(text) => Operand::Text(text.clone()),
        ast::Operand::Member(path) => {
            let mut positions = Vec::new();
            let mut record = record;
            let mut owner = owner;
            let mut rest = path.steps.as_slice();
            while let Some(first) = rest.first() {
                let found = (1..=rest.len()).find_map(|len| {
                    let (named, after) = rest.split_at(len);
                    Some((member(owner, record, &Spelling::of(named))?, after))
                });
                let Some(((position, name, field), after)) = found else {
                    return Err(no_member(owner, record, &Spelling::of(rest), first.at));
                };
                positions.push(position);
                rest = after;
                if !rest.is_empty() {
                    record = record_of(name, field, first.at)?;
                    owner = name;
                }
            }
            Operand::Member(positions)
        }
    })
}

/// Adds `part` to what is already wanted of the variable.
fn merge_variable(
    wanted: &mut Wanted,
    name: FullName,
    variable: &Variable,
    part: Part,
    at: usize,
) -> Checked<()> {
    let merged = match wanted.remove(&name) {
        None => part,
        Some(before) => merge(variable, before, part, at)?,
    };
    wanted.insert(name, merged);
    Ok(())
}

/// Two parts of one variable as one: members add up, slices and filters must agree (notes 4.2, 2).
fn merge(variable: &Variable, before: Part, part: Part, at: usize) -> Checked<Part> {
    let name = &variable.name;
    if before.selection != part.selection || before.dimensions != part.dimensions {
        let fault = Fault::new(at, format!("{name} is asked for twice with different slices"));
        return Err(fault.advise("Ask once, or in two requests."));
    }
    let rows = match (before.rows, part.rows) {
        (Some(a), Some(b)) if format!("{a:?}") != format!("{b:?}") => {
            let fault = Fault::new(at, format!("{name} is asked for twice with different filters"));
            return Err(fault.advise("Join the conditions by commas in one filter."));
        }
        (a, b) => a.or(b),
    };
    let fields = match (before.fields, part.fields) {
        (None, None) => None,
        (a, b) => {
            let record = record_of(name, variable, at)?;
            let all = || record.fields.iter().map(Part::whole).enumerate().collect::<Vec<_>>();
            let mut kept: HashMap<usize, Part> = a.unwrap_or_else(all).into_iter().collect();
            for (position, part) in b.unwrap_or_else(all) {
                let Some(field) = record.fields.get(position) else { continue };
                let merged = match kept.remove(&position) {
                    None => part,
                    Some(before) => merge(field, before, part, at)?,
                };
                kept.insert(position, merged);
            }
            let mut fields: Vec<_> = kept.into_iter().collect();
            fields.sort_by_key(|(position, _)| *position);
            Some(fields)
        }
    };
    Ok(Part { selection: before.selection, dimensions: before.dimensions, fields, rows })
}

/// Bytes that a projection's text usually takes.
const USUAL: usize = 96;

/// The projections as text: equal text means equal answers.
pub(super) fn canonical(projections: &[Projection]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(projections.len().saturating_mul(USUAL));
    for projection in projections {
        // Debug output of plain data is complete and deterministic, which is all an identity needs.
        let _ = write!(text, "{:?}{:?};", projection.variable.as_str(), Canonical(&projection.part));
    }
    text
}

/// Writes a part without what follows from the dataset.
struct Canonical<'a>(&'a Part);

impl std::fmt::Debug for Canonical<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let selection: &Selection = &self.0.selection;
        for (axis, dimension) in selection.axes().iter().zip(&self.0.dimensions) {
            f.write_str("[")?;
            for slice in axis {
                write!(f, "{}:{}*{},", slice.start, slice.step, slice.count)?;
            }
            f.write_str(if dimension.name.is_some() { "=]" } else { "]" })?;
        }
        for (position, part) in self.0.fields.iter().flatten() {
            write!(f, "{{{position}{:?}}}", Canonical(part))?;
        }
        if self.0.fields.as_ref().is_some_and(Vec::is_empty) {
            f.write_str("{}")?;
        }
        if let Some(rows) = &self.0.rows {
            write!(f, "|{rows:?}")?;
        }
        Ok(())
    }
}
