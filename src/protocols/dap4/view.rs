//! A dataset as DAP4 shows it: order of variables, maps that can be followed, named axes.
//!
//! One stable rule for both the metadata and the data response, so their orders agree. Names of
//! variables do not change; reading passes straight through.

use std::sync::Arc;

use cdm::{BlockStream, Dataset, Dimension, FullName, Group, Result, Selection, Source, Variable, Version};
use foldhash::{HashMap, HashSet, HashSetExt};

/// `source` as DAP4 shows it; itself when nothing needs to change.
///
/// What it shows is made once for each dataset. Applying it twice changes nothing.
///
/// # Errors
/// None in practice: names stay as unique as they were.
pub fn view(source: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
    let form = source.dataset().derived(|| Form::of(source.dataset()))?;
    Ok(if form.0.is_some() { Arc::new(View { source, form }) } else { source })
}

/// What is shown of a dataset; `None`: itself, since what needs no change is not copied.
#[derive(Debug)]
struct Form(Option<Dataset>);

impl Form {
    fn of(dataset: &Dataset) -> Result<Self> {
        if is_fit(dataset) {
            return Ok(Self(None));
        }
        let mut view = Viewer { declared: HashSet::new() };
        let mut root = view.group(dataset.root());
        root.name = FullName::root();
        Dataset::new(dataset.name(), root).map(|dataset| Self(Some(dataset)))
    }
}

#[derive(Debug)]
struct View {
    source: Arc<dyn Source>,
    form: Arc<Form>,
}

impl Source for View {
    fn dataset(&self) -> &Dataset {
        self.form.0.as_ref().unwrap_or_else(|| self.source.dataset())
    }

    fn version(&self) -> Option<&Version> {
        self.source.version()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        self.source.read(variable, selection)
    }
}

struct Viewer {
    /// Variables declared so far, in document order.
    declared: HashSet<FullName>,
}

/// Whether `dataset` is already as [`Viewer`] would make it: where every map is declared before the variables that
/// have it, they are in order too.
fn is_fit(dataset: &Dataset) -> bool {
    // Neighbours mostly have the same maps, which are then looked at once.
    let mut maps: HashSet<&FullName> = HashSet::new();
    let mut last: &[FullName] = &[];
    for variable in dataset.root().walk().flat_map(|g| &g.variables) {
        if variable.maps != last {
            last = &variable.maps;
            maps.extend(last);
        }
    }
    // Few variables are maps: the names of the others need not be put together.
    let maybe: HashSet<&str> = maps.iter().map(|map| map.short()).collect();
    let mut declared = HashSet::new();
    for group in dataset.root().walk() {
        let mut followed: &[FullName] = &[];
        for variable in &group.variables {
            let can_be_followed = |map: &FullName| declared.contains(map) && is_around(map, &group.name);
            if mixes_axes(variable) || variable.maps != followed && !variable.maps.iter().all(can_be_followed)
            {
                return false;
            }
            followed = &variable.maps;
            if maybe.contains(&*variable.name) {
                declared.insert(group.name.join(&variable.name));
            }
        }
    }
    true
}

/// Whether a variable called `map` is in `group` or in one that encloses it.
fn is_around(map: &FullName, group: &FullName) -> bool {
    let folder = map.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    group.as_str().strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether some axes have names and some have none.
fn mixes_axes(variable: &Variable) -> bool {
    let named = variable.dimensions.iter().filter(|d| d.name.is_some()).count();
    named > 0 && named < variable.dimensions.len()
}

impl Viewer {
    fn group(&mut self, group: &Group) -> Group {
        let order = coordinates_first(group);
        let mut dimensions = Declared::new(&group.dimensions);
        let mut variables = Vec::with_capacity(group.variables.len());
        for variable in order.into_iter().filter_map(|i| group.variables.get(i)) {
            let full = group.name.join(&variable.name);
            let mut shown = variable.clone();
            // A map must be declared already, in this or an enclosing group (notes 2.8).
            shown.maps.retain(|map| self.declared.contains(map) && is_around(map, &group.name));
            name_axes(&group.name, &mut shown, &mut dimensions);
            self.declared.insert(full);
            variables.push(shown);
        }
        Group {
            name: group.name.clone(),
            dimensions: dimensions.all,
            types: group.types.clone(),
            variables,
            attributes: group.attributes.clone(),
            groups: group.groups.iter().map(|g| self.group(g)).collect(),
        }
    }
}

/// The dimensions of one group.
struct Declared {
    all: Vec<Dimension>,
    names: HashSet<FullName>,
}

impl Declared {
    fn new(dimensions: &[Dimension]) -> Self {
        Self { all: dimensions.to_vec(), names: dimensions.iter().filter_map(|d| d.name.clone()).collect() }
    }
}

/// Gives names to anonymous axes beside named ones, which pydap would put in another order (2.7).
fn name_axes(group: &FullName, variable: &mut Variable, declared: &mut Declared) {
    if !mixes_axes(variable) {
        return;
    }
    for (axis, dimension) in variable.dimensions.iter_mut().enumerate() {
        if dimension.name.is_some() {
            continue;
        }
        let mut name = group.join(&format!("{}_dim_{axis}", variable.name));
        while !declared.names.insert(name.clone()) {
            name = FullName::new(&format!("{name}_"));
        }
        dimension.name = Some(name);
        declared.all.push(dimension.clone());
    }
}

/// Positions of the group's variables, the targets of a variable's maps before it, else in file order.
fn coordinates_first(group: &Group) -> Vec<usize> {
    if group.variables.iter().all(|v| v.maps.is_empty()) {
        return (0..group.variables.len()).collect();
    }
    let positions: HashMap<FullName, usize> =
        group.variables.iter().enumerate().map(|(i, v)| (group.name.join(&v.name), i)).collect();
    let mut order = Vec::with_capacity(group.variables.len());
    let mut seen = vec![false; group.variables.len()];
    for first in 0..group.variables.len() {
        // Work list of (variable, its maps have been put on the list).
        let mut waiting = vec![(first, false)];
        while let Some((i, expanded)) = waiting.pop() {
            if expanded {
                order.push(i);
                continue;
            }
            let (Some(done), Some(variable)) = (seen.get_mut(i), group.variables.get(i)) else { continue };
            if std::mem::replace(done, true) {
                continue;
            }
            waiting.push((i, true));
            let targets = variable.maps.iter().rev().filter_map(|map| positions.get(map));
            waiting.extend(targets.map(|&target| (target, false)));
        }
    }
    order
}
