//! The join dimension: which member's values lie where, in the order of the join coordinate. The result never
//! goes back or stands still, whatever the members' values are.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use super::{Member, Note, NoteKind, structure::left_out};

/// Consecutive indices of the join dimension that one member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Position of the member.
    pub(super) member: usize,
    /// Its first index in the member.
    pub(super) from: u64,
    /// Its first index in the result.
    pub(super) at: u64,
    /// How many.
    pub(super) count: u64,
}

/// The join dimension.
#[derive(Debug, Default)]
pub(super) struct Axis {
    /// In order, without gaps.
    pub(super) stretches: Vec<Stretch>,
    /// Its length.
    pub(super) len: u64,
}

impl Axis {
    /// Members with so many indices each, one after the other.
    pub(super) fn in_turn(counts: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut axis = Self::default();
        for (member, count) in counts {
            if count > 0 {
                axis.stretches.push(Stretch { member, from: 0, at: axis.len, count });
                axis.len += count;
            }
        }
        axis
    }
}

/// A value of the join coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Position {
    /// Of an integer type.
    Integer(i128),
    /// Of a floating-point type.
    Real(f64),
}

impl Position {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // -0 and 0 are one place.
            (a, b) => (a.real() + 0.0).total_cmp(&(b.real() + 0.0)),
        }
    }

    pub(super) fn real(self) -> f64 {
        match self {
            Self::Integer(i) => i as f64,
            Self::Real(r) => r,
        }
    }
}

/// Orders members by the values of their coordinate; `shown` writes a value for people.
pub(super) fn order(
    members: &[Member],
    lists: &[(usize, Vec<Position>)],
    shown: &dyn Fn(f64) -> String,
) -> (Axis, Vec<Position>, Vec<Note>) {
    let mut notes = Vec::new();
    let mut usable = Vec::new();
    let directions: Vec<_> = lists.iter().map(|(_, list)| direction(list, shown)).collect();
    let is_ascending = directions.contains(&Ok(Ordering::Less));
    let is_descending = !is_ascending && directions.contains(&Ok(Ordering::Greater));
    for ((member, list), direction) in lists.iter().zip(directions) {
        match direction {
            Err(reason) => notes.push(left_out(&members[*member], &reason)),
            Ok(Ordering::Greater) if is_ascending => {
                let reason = "its join coordinate descends, where that of other members ascends";
                notes.push(left_out(&members[*member], reason));
            }
            Ok(_) => usable.push((*member, list)),
        }
    }
    let mut all: Vec<(Position, usize, u64)> = usable
        .iter()
        .flat_map(|(member, list)| (0..).zip(list.iter()).map(|(i, value)| (*value, *member, i)))
        .collect();
    // Of equal values the member that is named last comes first, and is kept.
    all.sort_by(|a, b| {
        let by_value = a.0.order(b.0);
        let by_value = if is_descending { by_value.reverse() } else { by_value };
        by_value.then(b.1.cmp(&a.1))
    });
    let mut axis = Axis::default();
    let mut values: Vec<Position> = Vec::with_capacity(all.len());
    let mut lost: BTreeMap<(usize, usize), Lost> = BTreeMap::new();
    let mut winner = 0;
    for (value, member, index) in all {
        if values.last().is_some_and(|last| last.order(value) == Ordering::Equal) {
            let lost = lost.entry((member, winner)).or_insert(Lost { count: 0, first: value, last: value });
            lost.count += 1;
            lost.last = value;
            continue;
        }
        winner = member;
        values.push(value);
        match axis.stretches.last_mut() {
            Some(open) if open.member == member && open.from + open.count == index => open.count += 1,
            _ => axis.stretches.push(Stretch { member, from: index, at: axis.len, count: 1 }),
        }
        axis.len += 1;
    }
    notes.extend(overlaps(members, &usable, &lost, &axis, shown));
    notes.extend(gaps(members, &axis, &values, shown));
    (axis, values, notes)
}

/// Values of one member that another one has too, and is used for.
struct Lost {
    count: usize,
    first: Position,
    last: Position,
}

/// `Less` for ascending, `Greater` for descending, `Equal` for one value or none.
fn direction(list: &[Position], shown: &dyn Fn(f64) -> String) -> Result<Ordering, String> {
    if let Some(i) = list.iter().position(|v| v.real().is_nan()) {
        return Err(format!("value {i} of its join coordinate is not a number"));
    }
    let mut direction = Ordering::Equal;
    for (i, two) in list.windows(2).enumerate() {
        let [one, next] = two else { continue };
        let step = one.order(*next);
        if step == Ordering::Equal || direction != Ordering::Equal && step != direction {
            let (one, next) = (shown(one.real()), shown(next.real()));
            return Err(format!(
                "its join coordinate is not monotonic: value {} is {next} after {one}",
                i + 1
            ));
        }
        direction = step;
    }
    Ok(direction)
}

fn overlaps(
    members: &[Member],
    usable: &[(usize, &Vec<Position>)],
    lost: &BTreeMap<(usize, usize), Lost>,
    axis: &Axis,
    shown: &dyn Fn(f64) -> String,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut lost_by: BTreeMap<usize, usize> = BTreeMap::new();
    for ((member, _), lost) in lost {
        *lost_by.entry(*member).or_default() += lost.count;
    }
    let lens: BTreeMap<usize, usize> = usable.iter().map(|(member, list)| (*member, list.len())).collect();
    for ((member, winner), lost) in lost {
        let all = lost_by.get(member) == lens.get(member);
        let (from, to) = (shown(lost.first.real()), shown(lost.last.real()));
        let range = if lost.count == 1 { from } else { format!("{from} to {to} ({} values)", lost.count) };
        notes.push(Note {
            member: Some(Arc::clone(&members[*member].name)),
            kind: if all || lost.count == 1 { NoteKind::Duplicate } else { NoteKind::Overlap },
            message: format!("{range} also in {}, which is named later and is used", members[*winner].name),
        });
    }
    let mut pieces: BTreeMap<usize, u32> = BTreeMap::new();
    for stretch in &axis.stretches {
        *pieces.entry(stretch.member).or_default() += 1;
    }
    for (member, count) in pieces.into_iter().filter(|(_, count)| *count > 1) {
        notes.push(Note {
            member: Some(Arc::clone(&members[member].name)),
            kind: NoteKind::Overlap,
            message: format!("values of other members lie between its own; it is used in {count} pieces"),
        });
    }
    notes
}

/// Gaps that are told one by one.
const MOST_GAPS: usize = 20;

/// Steps more than half as long again as the median one.
fn gaps(members: &[Member], axis: &Axis, values: &[Position], shown: &dyn Fn(f64) -> String) -> Vec<Note> {
    let steps: Vec<f64> = values.windows(2).map(|two| (two[1].real() - two[0].real()).abs()).collect();
    if steps.len() < 2 {
        return Vec::new();
    }
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[(sorted.len() - 1) / 2];
    let found: Vec<usize> = (0..steps.len()).filter(|&i| steps[i] > 1.5 * median).collect();
    let mut notes: Vec<Note> = found
        .iter()
        .take(MOST_GAPS)
        .map(|&i| {
            let after = axis.stretches.partition_point(|s| s.at <= i as u64 + 1).checked_sub(1);
            let member = after.and_then(|s| axis.stretches.get(s)).map(|s| &members[s.member].name);
            Note {
                member: member.cloned(),
                kind: NoteKind::Gap,
                message: format!(
                    "nothing between {} and {}: {} times the usual step",
                    shown(values[i].real()),
                    shown(values[i + 1].real()),
                    (steps[i] / median * 10.0).round() / 10.0
                ),
            }
        })
        .collect();
    if let Some(more) = found.len().checked_sub(MOST_GAPS).filter(|n| *n > 0) {
        notes.push(Note { member: None, kind: NoteKind::Gap, message: format!("and {more} more gaps") });
    }
    notes
}
