//! Collections of forecast model runs: the members' runs and valid times as one table, and the ways to look at it.
//!
//! A member is of one run, or of several along a dimension of theirs; a run may be in many members. What is computed
//! when ([`described`]) becomes an inventory of who has what ([`gather`], [`inventory`]); a view chooses from it
//! (`layout`) and becomes a dataset (`build`). Nothing here reads data.

mod agree;
mod build;
mod clock;
mod constant;
mod described;
mod gather;
mod inventory;
mod layout;
mod names;
mod sliced;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cdm::{
    Error, Result,
    coordinates::{calendar::Calendar, date::Moment},
};

pub use self::described::Needs;
pub use self::names::{ListedView, parse as parse_view, path as view_path, views};
use self::{
    agree::fitting,
    build::{Built, build},
    clock::Clock,
    described::{Described, describe},
    gather::{Collection, keys},
    layout::{Names, layout},
    names::written,
};
use super::{Assembled, Combined, Member, Note, NoteKind, combine::version_of};
use crate::ncml::document::{Aggregation, ForecastView};

/// A view of the collection that `members` are.
///
/// # Errors
/// `NotFound` when there is no member with a time, or the collection has not what the view is of; what the members
/// cannot be made one for.
pub fn combine(
    name: &str,
    aggregation: &Aggregation,
    view: &ForecastView,
    members: &[Member],
) -> Result<Combined> {
    let mut notes = Vec::new();
    let (collection, agreed) = collect(members, &mut notes)?;
    duplicates(&collection, &mut notes);
    gaps(&collection, &mut notes);
    let mut names = Names::of(&collection);
    let run = aggregation.dimension.as_deref().map_or("run", |d| d.trim_start_matches('/'));
    let layout = layout(&collection, view, run, &mut names)?;
    let first = collection.runs.first().copied();
    let times = collection.members.iter().flat_map(keys).flat_map(|key| [key.run, key.valid]);
    let bounds = collection.axes.iter().flat_map(|axis| axis.bounds.values()).flatten().flatten().copied();
    let clock = first.and_then(|first| Clock::new(first, collection.calendar, times.chain(bounds)));
    let clock = clock.ok_or_else(|| Error::internal("a time without units"))?;
    let Built { dataset, plans, unfilled } = build(name, &collection, &agreed, &layout, names, clock)?;
    notes.extend(unfilled.into_iter().map(|name| Note {
        member: None,
        kind: NoteKind::LeftOut,
        message: format!("{name} is left out: some of it is missing, and its type has no fill value"),
    }));
    let version = version_of(aggregation, members);
    let members: Arc<[Member]> = collection.members.into_iter().map(|described| described.member).collect();
    let source = Assembled::new(dataset, version, members, plans)?;
    Ok(Combined { source: Arc::new(source), notes })
}

type AgreedByName = HashMap<cdm::FullName, super::variables::Agreed>;

/// The members that can be one collection, side by side; a note for each that cannot.
fn collect(members: &[Member], notes: &mut Vec<Note>) -> Result<(Collection, AgreedByName)> {
    let left_out = |member: &Member, message: String| Note {
        member: Some(Arc::clone(&member.name)),
        kind: NoteKind::LeftOut,
        message: format!("left out: {message}"),
    };
    let mut described = Vec::with_capacity(members.len());
    for member in members {
        match describe(member) {
            Ok(runs) => described.extend(runs),
            Err(why) => notes.push(left_out(member, why)),
        }
    }
    let calendar = common_calendar(&described);
    described.retain(|one| {
        let agrees = agrees(one, calendar);
        if !agrees {
            let why = format!("its calendar is {} and that of the other members {calendar}", one.calendar);
            notes.push(left_out(&one.member, why));
        }
        agrees
    });
    let (described, agreed) = fitting(described, notes)?;
    if described.iter().flat_map(keys).next().is_none() {
        let why = match (members.len(), notes.first()) {
            (0, _) | (_, None) => "it has no members".into(),
            (count, Some(note)) => {
                let name = note.member.as_deref().unwrap_or_default();
                format!("none of its {count} members has a time; {name}: {}", note.message)
            }
        };
        return Err(Error::not_found(format!("the forecast collection is empty: {why}")));
    }
    Ok((Collection::new(described, calendar), agreed))
}

/// Whether the times of a member are written alike in `calendar`.
fn agrees(described: &Described, calendar: Calendar) -> bool {
    let times = || keys(described).flat_map(|key| [key.run, key.valid]);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => Moment::agree(described.calendar, calendar, first, last),
        _ => true,
    }
}

/// Notes on members that have the same of the same run.
fn duplicates(collection: &Collection, notes: &mut Vec<Note>) {
    let mut pairs: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (pair, count) in collection.inventories.iter().flat_map(|inventory| &inventory.twice) {
        let most = pairs.entry(*pair).or_default();
        *most = (*most).max(*count);
    }
    let name = |member: usize| collection.members.get(member).map(|d| Arc::clone(&d.member.name));
    for ((used, unused), count) in pairs {
        let (Some(used), Some(unused)) = (name(used), name(unused)) else { continue };
        let times = if count == 1 { "one time".into() } else { format!("{count} times") };
        let message = if used == unused {
            format!("it has {times} twice in the same run; the first is used")
        } else {
            format!("has {times} of a run that {used} has too; those of {used}, named later, are used")
        };
        notes.push(Note { member: Some(unused), kind: NoteKind::Duplicate, message });
    }
}

/// Notes on runs that seem to be missing: steps more than one and a half times the usual one.
fn gaps(collection: &Collection, notes: &mut Vec<Note>) {
    let step = |pair: &[Moment]| match pair {
        [a, b] => b.nanoseconds() - a.nanoseconds(),
        _ => 0,
    };
    let mut steps: Vec<i128> = collection.runs.windows(2).map(step).collect();
    steps.sort_unstable();
    let Some(&median) = steps.get(steps.len().saturating_sub(1) / 2) else { return };
    for pair in collection.runs.windows(2) {
        if let [before, after] = pair
            && step(pair) * 2 > median * 3
        {
            let (before, after) =
                (written(*before, collection.calendar), written(*after, collection.calendar));
            let hours = names::offset_hours(median);
            let message = format!(
                "there is no run between {before} and {after}; runs are {hours} hours apart otherwise"
            );
            notes.push(Note { member: None, kind: NoteKind::Gap, message });
        }
    }
}

/// The calendar of most members, of the first on a tie.
fn common_calendar(described: &[Described]) -> Calendar {
    let mut counts: Vec<(Calendar, usize)> = Vec::new();
    for described in described {
        match counts.iter_mut().find(|(calendar, _)| *calendar == described.calendar) {
            Some((_, count)) => *count += 1,
            None => counts.push((described.calendar, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
    counts.into_iter().find(|(_, count)| *count == most).map(|(calendar, _)| calendar).unwrap_or_default()
}
