//! Datasets, groups, dimensions and variables: the description, without values.

use std::{any::Any, borrow::Borrow, fmt, sync::Arc};

use crate::{Attributes, DataType, EnumType, Error, Result, derived::Derived};
use foldhash::{HashMap, HashMapExt};

/// The absolute name of a variable, dimension, group or type: `/`, `/sst`, `/forecast/t2m`.
///
/// Components are raw names (nothing is escaped; a name may contain dots and blanks, never `/`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FullName(Arc<str>);

impl FullName {
    /// The root group's name, `/`.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// From text that begins with `/`; a missing one is added.
    pub fn new(text: &str) -> Self {
        if text.starts_with('/') { Self(text.into()) } else { Self(format!("/{text}").into()) }
    }

    /// The name of `child` inside the group of this name.
    #[must_use]
    pub fn join(&self, child: &str) -> Self {
        let own = if self.is_root() { "" } else { &*self.0 };
        let mut name = String::with_capacity(own.len() + 1 + child.len());
        name.push_str(own);
        name.push('/');
        name.push_str(child);
        Self(name.into())
    }

    /// Everything but the last component; the root's parent is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rfind('/') {
            None | Some(0) => Self::root(),
            Some(at) => Self(self.0[..at].into()),
        }
    }

    /// The last component; empty for the root.
    pub fn short(&self) -> &str {
        self.0.rfind('/').map_or(&self.0, |at| &self.0[at + 1..])
    }

    /// The components, none for the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }

    /// True for `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// True if this names something inside the group `group` (at any depth) or that group itself.
    pub fn is_within(&self, group: &FullName) -> bool {
        group.is_root()
            || self.0.strip_prefix(&*group.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The whole name, beginning with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for FullName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A dimension: shared when it has a name, else anonymous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Dimension {
    /// Full name of a shared dimension (declared in [`FullName::parent`]'s group); `None` = anonymous.
    pub name: Option<FullName>,
    /// Number of elements.
    pub size: u64,
    /// It may grow (netCDF record or unlimited dimension).
    pub unlimited: bool,
}

impl Dimension {
    /// A shared dimension of fixed size.
    pub fn shared(name: FullName, size: u64) -> Self {
        Self { name: Some(name), size, unlimited: false }
    }

    /// A dimension without a name.
    pub fn anonymous(size: u64) -> Self {
        Self { name: None, size, unlimited: false }
    }
}

/// A variable, or a member of a structure or sequence.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Variable {
    /// Short name, raw.
    pub name: Arc<str>,
    /// Type of one element.
    pub data_type: DataType,
    /// Outermost first; empty for a scalar.
    pub dimensions: Vec<Dimension>,
    /// Coordinate variables that give positions along the dimensions, in dimension order.
    pub maps: Vec<FullName>,
    /// Attributes in file order.
    pub attributes: Attributes,
}

impl Variable {
    /// A variable without maps and attributes.
    pub fn new(name: impl Into<Arc<str>>, data_type: DataType, dimensions: Vec<Dimension>) -> Self {
        Self { name: name.into(), data_type, dimensions, maps: Vec::new(), attributes: Attributes::default() }
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> Vec<u64> {
        self.dimensions.iter().map(|d| d.size).collect()
    }

    /// Number of elements, saturating.
    pub fn element_count(&self) -> u64 {
        self.dimensions.iter().fold(1, |n, d| n.saturating_mul(d.size))
    }

    /// Bytes of all elements when they have a fixed size, saturating.
    pub fn byte_len(&self) -> Option<u64> {
        Some(self.data_type.fixed_size()?.saturating_mul(self.element_count()))
    }
}

/// A type declared with a name in a group, in declaration order.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TypeDefinition {
    /// Short name.
    pub name: Arc<str>,
    /// What it names: an enum, opaque, structure or (vlen) sequence.
    pub data_type: DataType,
}

/// A group: dimensions, types, variables, attributes and child groups, each in file order.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Group {
    /// Full name; the root's is `/`.
    pub name: FullName,
    /// Dimensions declared here.
    pub dimensions: Vec<Dimension>,
    /// Types declared here.
    pub types: Vec<TypeDefinition>,
    /// Variables declared here.
    pub variables: Vec<Variable>,
    /// Attributes of the group.
    pub attributes: Attributes,
    /// Child groups.
    pub groups: Vec<Group>,
}

impl Group {
    /// An empty group.
    pub fn new(name: FullName) -> Self {
        Self {
            name,
            dimensions: Vec::new(),
            types: Vec::new(),
            variables: Vec::new(),
            attributes: Attributes::default(),
            groups: Vec::new(),
        }
    }

    /// The enumerations declared here.
    pub fn enums(&self) -> impl Iterator<Item = &Arc<EnumType>> {
        self.types.iter().filter_map(|t| match &t.data_type {
            DataType::Enum(e) => Some(e),
            _ => None,
        })
    }

    /// The variable called `name` in this very group.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|v| &*v.name == name)
    }

    /// The child group called `name`.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name.short() == name)
    }

    /// This group and all below it, depth first, in file order.
    pub fn walk(&self) -> impl Iterator<Item = &Group> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            waiting.extend(next.groups.iter().rev());
            Some(next)
        })
    }
}

/// A whole dataset description with an index from full name to variable.
#[derive(Debug, Clone)]
pub struct Dataset {
    name: Arc<str>,
    root: Group,
    index: HashMap<FullName, Position>,
    /// Of all variables, in document order.
    names: Vec<FullName>,
    derived: Derived,
}

/// Where a variable is: child positions from the root, then the position in that group.
#[derive(Debug, Clone)]
struct Position {
    groups: Arc<[usize]>,
    variable: usize,
}

impl Dataset {
    /// Checks that variable names are unique, and indexes them.
    ///
    /// # Errors
    /// `Corrupt` when two variables share a full name.
    pub fn new(name: impl Into<Arc<str>>, root: Group) -> Result<Self> {
        let count = root.walk().map(|g| g.variables.len()).sum();
        let (mut index, mut names) = (HashMap::with_capacity(count), Vec::with_capacity(count));
        let mut waiting: Vec<(&Group, Vec<usize>)> = vec![(&root, Vec::new())];
        while let Some((group, at)) = waiting.pop() {
            let groups: Arc<[usize]> = at.as_slice().into();
            for (variable, v) in group.variables.iter().enumerate() {
                let full = group.name.join(&v.name);
                let position = Position { groups: Arc::clone(&groups), variable };
                names.push(full.clone());
                if index.insert(full, position).is_some() {
                    let twice = group.name.join(&v.name);
                    return Err(Error::corrupt(format!("two variables are called {twice}")));
                }
            }
            // As [`Group::walk`] goes.
            for (i, child) in group.groups.iter().enumerate().rev() {
                let mut below = at.clone();
                below.push(i);
                waiting.push((child, below));
            }
        }
        Ok(Self { name: name.into(), root, index, names, derived: Derived::default() })
    }

    /// The dataset's name as the catalog gives it, e.g. `sst.nc`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root group.
    pub fn root(&self) -> &Group {
        &self.root
    }

    /// The variable of this full name.
    pub fn variable(&self, name: &FullName) -> Option<&Variable> {
        let (group, position) = self.place(name)?;
        group.variables.get(position)
    }

    /// The group that the variable of this full name is in, and its position among the group's variables.
    pub fn place(&self, name: &FullName) -> Option<(&Group, usize)> {
        let position = self.index.get(name)?;
        let mut group = &self.root;
        for &i in position.groups.iter() {
            group = group.groups.get(i)?;
        }
        Some((group, position.variable))
    }

    /// As [`Dataset::variable`], with the error a reader owes its caller.
    ///
    /// # Errors
    /// `NotFound` naming the variable.
    pub fn require(&self, name: &FullName) -> Result<&Variable> {
        self.variable(name).ok_or_else(|| Error::not_found(format!("there is no variable {name}")))
    }

    /// The group of this full name.
    pub fn group(&self, name: &FullName) -> Option<&Group> {
        name.components().try_fold(&self.root, |g, part| g.group(part))
    }

    /// Every variable with its full name, in document order (a group's own, then its child groups').
    pub fn variables(&self) -> impl Iterator<Item = (FullName, &Variable)> {
        self.names.iter().cloned().zip(self.root.walk().flat_map(|g| &g.variables))
    }

    /// How many variables there are.
    pub fn variable_count(&self) -> usize {
        self.index.len()
    }

    /// What `make` makes of this dataset, made once: it is kept for as long as the dataset is, one value of each type.
    /// It must depend on nothing that may change. A copy of the dataset begins with nothing.
    ///
    /// # Errors
    /// What `make` fails with, which is not kept.
    pub fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        self.derived.get_or_make(make)
    }

    /// The shared dimension of this full name.
    pub fn dimension(&self, name: &FullName) -> Option<&Dimension> {
        self.group(&name.parent())?.dimensions.iter().find(|d| d.name.as_ref() == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_their_own_names_in_document_order() {
        let group = |name: &str, variables: &[&str], groups: Vec<Group>| Group {
            variables: variables.iter().map(|v| Variable::new(*v, DataType::Int8, Vec::new())).collect(),
            groups,
            ..Group::new(FullName::new(name))
        };
        let inner = group("/b/c", &["e", "d"], Vec::new());
        let groups = vec![group("/b", &["y"], vec![inner]), group("/a", &["x", "y"], Vec::new())];
        let dataset = Dataset::new("test", group("/", &["z", "a"], groups)).unwrap();
        let found: Vec<_> = dataset.variables().collect();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["/z", "/a", "/b/y", "/b/c/e", "/b/c/d", "/a/x", "/a/y"]);
        for (name, variable) in &found {
            assert_eq!(name.short(), &*variable.name);
            assert!(std::ptr::eq(dataset.variable(name).unwrap(), *variable));
        }
    }
}
