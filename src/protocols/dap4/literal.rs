//! Constraints of clients that put names into them as they are.
//!
//! netCDF-C and pydap escape nothing: the variable `k,l` is asked for as `/k,l`, and `i[j]` as
//! `/i[j][0:1:1]`, which the grammar reads as something else or not at all. What it cannot make sense
//! of is read here once more, as full names of variables that exist, each with slices behind it.

use cdm::Dataset;

use super::{
    constraint::{Clause, Constraint, Joint, Path, Step},
    grammar,
    names::damaged,
};

/// More clauses are not looked at in this way.
const MOST_CLAUSES: usize = 256;

/// `text` as names of variables of `dataset`, separated by `;`, if that is possible in one way only.
pub(super) fn parse(text: &str, dataset: &Dataset) -> Option<Constraint> {
    let text = text.trim();
    let names: Vec<Name> = dataset
        .variables()
        .map(|(name, variable)| {
            let components: Vec<String> = name.components().map(str::to_owned).collect();
            let sent = components.iter().map(|c| damaged(c)).collect::<Vec<_>>().join("/");
            Name { rank: variable.dimensions.len(), plain: components.join("/"), sent, components }
        })
        .collect();
    let mut constraint = Constraint::default();
    let mut rest = text;
    while !rest.is_empty() {
        if constraint.clauses.len() >= MOST_CLAUSES {
            return None;
        }
        let at = text.len() - rest.len();
        let absolute = rest.starts_with('/');
        let relative = rest.strip_prefix('/').unwrap_or(rest);
        let mut fitting = names.iter().filter_map(|name| {
            let after = relative.strip_prefix(&*name.plain).or_else(|| relative.strip_prefix(&*name.sent))?;
            let slices_at = text.len() - after.len();
            let (slices, after) = grammar::slices(after, slices_at)?;
            if !slices.is_empty() && slices.len() != name.rank {
                return None;
            }
            let after = after.trim_start();
            let after = if after.is_empty() { after } else { after.strip_prefix(';')?.trim_start() };
            Some((name, slices, after))
        });
        let (name, mut slices, after) = fitting.next()?;
        if fitting.next().is_some() {
            return None;
        }
        let last = name.components.len().saturating_sub(1);
        let step = |(i, name): (usize, &String)| Step {
            at,
            joint: Joint::Slash,
            name: name.clone(),
            raw: name.clone(),
            slices: if i == last { std::mem::take(&mut slices) } else { Vec::new() },
        };
        let steps = name.components.iter().enumerate().map(step).collect();
        constraint.clauses.push(Clause { path: Path { absolute, steps }, fields: None, filter: Vec::new() });
        rest = after;
    }
    (!constraint.clauses.is_empty()).then_some(constraint)
}

/// A variable's full name without its first `/`.
struct Name {
    components: Vec<String>,
    rank: usize,
    plain: String,
    /// As netCDF-C sends it.
    sent: String,
}
