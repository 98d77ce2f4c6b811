//! Tiles of a grid: each member lies where its section says, or where its coordinate values do.

use std::{collections::HashMap, ops::Range, sync::Arc};

use cdm::{DataType, Dimension, Error, FullName, Result, Variable};

use super::{
    Assembled, Combined, Member, Note, NoteKind,
    build::Description,
    combine::version_of,
    fill::default_fill,
    kinds::Kinds,
    merged::Merged,
    parts::{Along, Mosaic, Part, Plan, Span},
    structure::{Structure, left_out},
    variables::Agreed,
};
use crate::ncml::document::Aggregation;

/// Where a member lies along each tiled dimension.
type Place = Vec<Range<u64>>;

/// `tiled`.
pub(super) fn tiled(name: &str, aggregation: &Aggregation, members: Vec<Member>) -> Result<Combined> {
    let given = aggregation.dimension.as_deref().unwrap_or_default();
    let tiled: Vec<FullName> = given
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|w| !w.is_empty())
        .map(FullName::new)
        .collect();
    if tiled.is_empty() {
        let message =
            format!("{name}: tiles need the names of the dimensions they lie along (dimName=\"y x\")");
        return Err(Error::unsupported(message));
    }
    let version = version_of(aggregation, &members);
    let kinds = Kinds::new(&members);
    let structure = Structure::of(&members, &kinds, &tiled, &|_| String::new());
    let mut notes = structure.notes;
    let merged = Merged::of(&members, &kinds, structure.reference, structure.kept, &tiled)?;
    notes.extend(merged.left_out.iter().cloned());
    let (places, more) = placed(&members, &merged.kept, &tiled);
    notes.extend(more);
    let (places, more) = without_overlaps(&members, places);
    notes.extend(more);
    if places.is_empty() {
        let why: Vec<String> = notes.iter().take(3).map(|n| n.message.clone()).collect();
        return Err(Error::unsupported(format!("{name}: no tile can be placed: {}", why.join("; "))));
    }
    notes.extend(merged.conversion_notes(&members, &kinds));
    let sizes: HashMap<&FullName, u64> = (0..tiled.len())
        .map(|d| (&tiled[d], places.iter().map(|(_, place)| place[d].end).max().unwrap_or_default()))
        .collect();
    let grid = Grid { members: &members, kinds: &kinds, tiled: &tiled, places: &places, sizes: &sizes };
    let mut description = Description::like(&members[structure.reference].dataset);
    let mut plans = HashMap::new();
    for (full, agreed) in &merged.variables {
        match grid.plan(full, agreed)? {
            Some((variable, plan)) => {
                description.add(full, variable);
                plans.insert(full.clone(), plan);
            }
            None => notes.push(Note {
                member: None,
                kind: NoteKind::LeftOut,
                message: format!("{full} is left out: tiles do not agree on its values"),
            }),
        }
    }
    for dimension in &tiled {
        description.add_dimension(&Dimension::shared(dimension.clone(), sizes[dimension]));
    }
    let source = Assembled::new(description.finish(name)?, version, members.into(), plans)?;
    Ok(Combined { source: Arc::new(source), notes })
}

/// Where members lie: by their sections if every one has one, else by the values of their coordinates.
fn placed(members: &[Member], kept: &[usize], tiled: &[FullName]) -> (Vec<(usize, Place)>, Vec<Note>) {
    let has_sections = kept.iter().any(|&m| members[m].section.is_some());
    let axes = if has_sections { Vec::new() } else { coordinates(members, kept, tiled) };
    let (mut places, mut notes) = (Vec::new(), Vec::new());
    for &at in kept {
        let member = &members[at];
        let place = match (&member.section, has_sections) {
            (Some(text), _) => by_section(member, text, tiled),
            (None, true) => Err("it has no section, which other members have".to_owned()),
            (None, false) => by_values(member, &axes, tiled),
        };
        match place {
            Ok(place) => places.push((at, place)),
            Err(reason) => notes.push(left_out(member, &reason)),
        }
    }
    (places, notes)
}

/// `0:29,0:9`: first and last index along each tiled dimension; its own size must be that.
fn by_section(member: &Member, text: &str, tiled: &[FullName]) -> Result<Place, String> {
    let wrong = || format!("its section \"{text}\" is not first:last for each of {} dimensions", tiled.len());
    let ranges: Option<Place> = text
        .split(',')
        .map(|axis| {
            let (first, last) = axis.trim().split_once(':').unwrap_or((axis.trim(), axis.trim()));
            let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && last < u64::MAX).then(|| first..last + 1)
        })
        .collect();
    let ranges = ranges.filter(|r| r.len() == tiled.len()).ok_or_else(wrong)?;
    for (range, dimension) in ranges.iter().zip(tiled) {
        let size = size_of(member, dimension).ok_or_else(|| format!("it has no dimension {dimension}"))?;
        if range.end - range.start != size {
            return Err(format!(
                "its section \"{text}\" gives {dimension} {} elements, and it has {size}",
                range.end - range.start
            ));
        }
    }
    Ok(ranges)
}

fn size_of(member: &Member, dimension: &FullName) -> Option<u64> {
    let all = member.dataset.variables();
    let found = all.flat_map(|(_, v)| &v.dimensions).find(|d| d.name.as_ref() == Some(dimension))?;
    Some(found.size)
}

/// The coordinate values of one dimension in a member.
fn values_of(member: &Member, dimension: &FullName) -> Option<Vec<f64>> {
    let variable = member.dataset.variable(dimension)?;
    let values = cdm::values(&variable.data_type, member.values(dimension)?);
    let values: Vec<f64> = values.map(|v| v.as_f64()).collect::<Option<_>>()?;
    values.iter().all(|v| !v.is_nan()).then_some(values)
}

/// All values along each dimension, once each, in the direction of most members.
fn coordinates(members: &[Member], kept: &[usize], tiled: &[FullName]) -> Vec<Vec<f64>> {
    let of = |dimension: &FullName| {
        let lists: Vec<Vec<f64>> = kept.iter().filter_map(|&m| values_of(&members[m], dimension)).collect();
        let descending = lists.iter().filter(|l| l.len() > 1 && l[0] > l[1]).count();
        let ascending = lists.iter().filter(|l| l.len() > 1 && l[0] < l[1]).count();
        let mut all = lists.concat();
        all.sort_by(f64::total_cmp);
        all.dedup();
        if descending > ascending {
            all.reverse();
        }
        all
    };
    tiled.iter().map(of).collect()
}

fn by_values(member: &Member, axes: &[Vec<f64>], tiled: &[FullName]) -> Result<Place, String> {
    let mut place = Vec::new();
    for (axis, dimension) in axes.iter().zip(tiled) {
        let own = values_of(member, dimension)
            .ok_or_else(|| format!("it has no values of {dimension}, and no section says where it lies"))?;
        let start = own.first().and_then(|first| axis.iter().position(|v| v.total_cmp(first).is_eq()));
        let start = start.ok_or_else(|| format!("it has nothing along {dimension}"))?;
        if axis.get(start..start + own.len()) != Some(&own[..]) {
            return Err(format!("its values of {dimension} lie between those of other tiles"));
        }
        place.push(start as u64..(start + own.len()) as u64);
    }
    Ok(place)
}

/// Tiles that lie where an earlier one does are left out.
fn without_overlaps(members: &[Member], places: Vec<(usize, Place)>) -> (Vec<(usize, Place)>, Vec<Note>) {
    let (mut kept, mut notes): (Vec<(usize, Place)>, Vec<Note>) = (Vec::new(), Vec::new());
    let meets = |a: &Place, b: &Place| a.iter().zip(b).all(|(a, b)| a.start < b.end && b.start < a.end);
    // Tiles by where they begin along the first dimension: only near ones can overlap.
    let mut by_start: std::collections::BTreeMap<(u64, usize), usize> = std::collections::BTreeMap::new();
    let mut longest = 0;
    for (member, place) in places {
        let first = place.first().cloned().unwrap_or(0..1);
        let near = by_start.range((first.start.saturating_sub(longest), 0)..(first.end, 0));
        let other = near.map(|(_, &k)| &kept[k]).find(|(_, other)| meets(&place, other));
        if let Some((other, _)) = other {
            let reason = format!("it overlaps {}", members[*other].name);
            notes.push(Note { kind: NoteKind::Overlap, ..left_out(&members[member], &reason) });
            continue;
        }
        longest = longest.max(first.end - first.start);
        by_start.insert((first.start, kept.len()), kept.len());
        kept.push((member, place));
    }
    (kept, notes)
}

/// Tiles where they lie.
struct Grid<'a> {
    members: &'a [Member],
    kinds: &'a Kinds,
    tiled: &'a [FullName],
    places: &'a [(usize, Place)],
    sizes: &'a HashMap<&'a FullName, u64>,
}

impl Grid<'_> {
    /// How a variable is read; `None` when tiles that lie at one place do not agree on it.
    fn plan(&self, full: &FullName, agreed: &Agreed) -> Result<Option<(Variable, Plan)>> {
        let mut variable = agreed.variable.clone();
        let of_axis: Vec<Option<usize>> = variable
            .dimensions
            .iter()
            .map(|d| self.tiled.iter().position(|t| Some(t) == d.name.as_ref()))
            .collect();
        for (dimension, axis) in variable.dimensions.iter_mut().zip(&of_axis) {
            if let Some(axis) = axis {
                dimension.size = self.sizes[&self.tiled[*axis]];
                dimension.unlimited = false;
            }
        }
        let shape = variable.shape();
        // Along some of the dimensions only, tiles lie at the same place and must agree.
        let is_grid = (0..self.tiled.len()).all(|d| of_axis.contains(&Some(d)));
        let mut placed: HashMap<Vec<Span>, usize> = HashMap::new();
        let mut parts = Vec::new();
        for (member, place) in self.places {
            if self.members[*member].dataset.variable(full).is_none() {
                continue;
            }
            let spans: Vec<Span> = of_axis
                .iter()
                .zip(&shape)
                .map(|(axis, &size)| match axis {
                    Some(axis) => {
                        let range = &place[*axis];
                        Span { at: range.start, count: range.end - range.start, along: Along::From(0) }
                    }
                    None => Span::whole(size),
                })
                .collect();
            if !is_grid {
                if let Some(other) = placed.get(&spans) {
                    if self.members[*member].equal(&self.members[*other], full) != Some(true) {
                        return Ok(None);
                    }
                    continue;
                }
                if placed.keys().any(|other| overlap(other, &spans)) {
                    return Ok(None);
                }
                placed.insert(spans.clone(), *member);
            }
            let conversion = agreed.conversions.get(&self.kinds.of[*member]).cloned();
            parts.push(Part { member: *member, variable: full.clone(), axes: spans.into(), conversion });
        }
        let covered: u64 = parts.iter().map(|p| p.axes.iter().map(|s| s.count).product::<u64>()).sum();
        let mut missing = agreed.fill.clone();
        if covered < shape.iter().product() && missing.is_none() {
            let Some(default) = default_fill(&variable.data_type) else { return Ok(None) };
            if variable.data_type.is_numeric() {
                let data_type: DataType = variable.data_type.clone();
                variable.attributes.set(cdm::Attribute::numbers("_FillValue", data_type, default.clone()));
            }
            missing = Some(default);
        }
        let mosaic = Mosaic::new(&shape, parts, missing)?;
        Ok(Some((variable, Plan::Parts(mosaic.into()))))
    }
}

fn overlap(one: &[Span], other: &[Span]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.at < b.range().end && b.at < a.range().end)
}
