//! Which coordinate variables give positions along a variable's dimensions: the one rule all formats
//! share. It reads names, dimensions and the CF `coordinates` attribute; it never reads values.

use std::collections::VecDeque;

use cdm::{Dimension, FullName, Group, Variable};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

/// Names in one `coordinates` attribute that are looked up; more are ignored.
const MAX_NAMES: usize = 64;
/// Up to so many names are compared with each other, which takes less than a table of them.
const FEW: usize = 16;

/// Sets [`Variable::maps`] throughout: for every variable that is not itself a coordinate variable,
/// the 1-D coordinate variables of its dimensions (named as the dimension, in the dimension's group)
/// in dimension order; then what its CF `coordinates` attribute names in its own group or the nearest
/// enclosing one that has it, as far as the named variable's dimensions are among the variable's own.
pub(crate) fn assign_maps(root: &mut Group) {
    let count = root.walk().map(|g| g.variables.len()).sum();
    let mut all = Vec::with_capacity(count);
    all.extend(root.walk().flat_map(|g| g.variables.iter().map(move |v| (g, g.name.join(&v.name), v))));
    let mut known: HashMap<&FullName, &[Dimension]> = HashMap::with_capacity(count);
    known.extend(all.iter().map(|(_, name, v)| (name, v.dimensions.as_slice())));
    let mut maps: VecDeque<_> = all
        .iter()
        .map(|(group, own, variable)| {
            if is_coordinate(own, &variable.dimensions) {
                Vec::new()
            } else {
                maps_of(&group.name, own, variable, &known)
            }
        })
        .collect();
    drop(known);
    drop(all);
    // In the order of the walk.
    let mut waiting = vec![root];
    while let Some(group) = waiting.pop() {
        for variable in &mut group.variables {
            variable.maps = maps.pop_front().unwrap_or_default();
        }
        waiting.extend(group.groups.iter_mut().rev());
    }
}

/// A coordinate variable is named as its only dimension, in that dimension's group.
fn is_coordinate(name: &FullName, dimensions: &[Dimension]) -> bool {
    matches!(dimensions, [only] if only.name.as_ref() == Some(name))
}

fn maps_of(
    group: &FullName,
    own: &FullName,
    variable: &Variable,
    known: &HashMap<&FullName, &[Dimension]>,
) -> Vec<FullName> {
    let mut found: Vec<FullName> = Vec::new();
    let mut seen: HashSet<&FullName> = HashSet::new();
    let has_few = variable.dimensions.len() <= FEW;
    for name in variable.dimensions.iter().filter_map(|d| d.name.as_ref()) {
        let is_new = if has_few { !found.contains(name) } else { seen.insert(name) };
        if is_new && known.get(name).is_some_and(|dims| is_coordinate(name, dims)) {
            found.push(name.clone());
        }
    }
    let Some(text) = variable.attributes.text("coordinates") else { return found };
    let mine: HashSet<&FullName> = variable.dimensions.iter().filter_map(|d| d.name.as_ref()).collect();
    let mut seen: HashSet<FullName> = found.iter().cloned().collect();
    for word in text.split_whitespace().take(MAX_NAMES) {
        let Some((name, dims)) = nearest(group, word, known) else { continue };
        let fits = dims.iter().all(|d| d.name.as_ref().is_some_and(|n| mine.contains(n)));
        if fits && name != *own && seen.insert(name.clone()) {
            found.push(name);
        }
    }
    found
}

/// The variable `word` names, seen from `group`: there, or in the nearest enclosing group.
fn nearest<'a>(
    group: &FullName,
    word: &str,
    known: &HashMap<&FullName, &'a [Dimension]>,
) -> Option<(FullName, &'a [Dimension])> {
    if word.starts_with('/') {
        let name = FullName::new(word);
        return known.get(&name).map(|dims| (name, *dims));
    }
    let mut at = group.clone();
    loop {
        let name = at.join(word);
        if let Some(&dims) = known.get(&name) {
            return Some((name, dims));
        }
        if at.is_root() {
            return None;
        }
        at = at.parent();
    }
}

#[cfg(test)]
mod tests {
    use cdm::{Attribute, DataType};

    use super::*;

    fn dimension(name: &str) -> Dimension {
        Dimension::shared(FullName::new(name), 4)
    }

    fn variable(name: &str, dims: &[&str], coordinates: Option<&str>) -> Variable {
        let mut v = Variable::new(name, DataType::Float32, dims.iter().map(|d| dimension(d)).collect());
        if let Some(text) = coordinates {
            v.attributes.set(Attribute::text("coordinates", text));
        }
        v
    }

    #[test]
    fn dimensions_first_then_the_coordinates_attribute() {
        let mut root = Group::new(FullName::root());
        root.variables = vec![
            variable("y", &["/y"], None),
            variable("x", &["/x"], Some("lat")),
            variable("lat", &["/y", "/x"], Some("lat lon")),
            variable("lon", &["/y", "/x"], None),
            variable("z", &["/z2"], None),
            variable("scalar", &[], None),
            variable("data", &["/t", "/y", "/x"], Some("lon z lat absent data scalar x")),
        ];
        let mut inner = Group::new(FullName::new("/g"));
        inner.variables =
            vec![variable("x", &["/g/x"], None), variable("far", &["/y", "/g/x"], Some("x lat /lon"))];
        root.groups.push(inner);
        assign_maps(&mut root);
        let maps = |g: &Group, name: &str| -> Vec<String> {
            g.variable(name).unwrap().maps.iter().map(ToString::to_string).collect()
        };
        assert_eq!(maps(&root, "data"), ["/y", "/x", "/lon", "/lat", "/scalar"]);
        assert_eq!(maps(&root, "lat"), ["/y", "/x", "/lon"]);
        assert!(maps(&root, "x").is_empty(), "a coordinate variable has no maps");
        assert!(maps(&root, "z").is_empty());
        // /lat has dimension /x, which is not among far's.
        assert_eq!(maps(&root.groups[0], "far"), ["/y", "/g/x"]);
    }
}
