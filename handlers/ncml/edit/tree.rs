//! The edited description: groups, dimensions and types; `variables` does what is inside of them.

#![warn(clippy::indexing_slicing)]

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cdm::{
    DataType, Dataset, Dimension, EnumType, Error, FullName, Group, OpaqueType, RecordType, Result,
    TypeDefinition, Variable,
};

use super::{Plan, attributes};
use crate::ncml::{
    document::{DimensionEdit, EnumTypedef, GroupEdit, Netcdf, RemoveKind},
    words,
};

/// The root group of `base` after the edits of `definition`, and how each variable is read. Errors begin with
/// `document` and the line.
pub(super) fn edited(
    document: &str,
    base: &Dataset,
    definition: &Netcdf,
) -> Result<(Group, HashMap<FullName, Plan>)> {
    let mut editor = Editor {
        document,
        base,
        explicit: definition.is_explicit,
        dimensions: HashMap::new(),
        removed: HashSet::new(),
        types: HashMap::new(),
        plans: HashMap::new(),
        scope: Vec::new(),
        type_scope: Vec::new(),
        globals: cdm::Attributes::default(),
    };
    editor.rename(base.root(), Some(&definition.edits), &FullName::root())?;
    let mut root = editor.group(Some(base.root()), Some(&definition.edits), &FullName::root())?;
    if definition.is_explicit {
        prune(&mut root, Some(&definition.edits));
    }
    Ok((root, editor.plans))
}

/// What is known while a dataset is edited.
pub(super) struct Editor<'d> {
    document: &'d str,
    pub(super) base: &'d Dataset,
    /// Only what is declared stays.
    pub(super) explicit: bool,
    /// The original's shared dimensions as they are now.
    dimensions: HashMap<FullName, Dimension>,
    /// The original's dimensions that are no more.
    removed: HashSet<FullName>,
    /// The original's named types as they are now.
    types: HashMap<FullName, DataType>,
    pub(super) plans: HashMap<FullName, Plan>,
    /// The dimensions that can be named, by group from the root.
    scope: Vec<Vec<Dimension>>,
    /// The types that can be named, by group from the root.
    type_scope: Vec<Vec<TypeDefinition>>,
    /// The attributes of the root group, edited.
    pub(super) globals: cdm::Attributes,
}

impl Editor<'_> {
    /// What is wrong with what stands in `line`.
    pub(super) fn at(&self, line: usize, error: Error) -> Error {
        match line {
            0 => error.within(self.document),
            line => error.within(format_args!("{}:{line}", self.document)),
        }
    }

    pub(super) fn wrong(&self, line: usize, message: impl Into<String>) -> Error {
        self.at(line, Error::corrupt(message))
    }

    /// Notes what the dimensions and types of `old`, which is now called `name`, become.
    fn rename(&mut self, old: &Group, edit: Option<&GroupEdit>, name: &FullName) -> Result<()> {
        for dimension in &old.dimensions {
            let Some(full) = &dimension.name else { continue };
            let short = full.short();
            if edit.is_some_and(|e| is_removed(e, RemoveKind::Dimension, short)) {
                self.removed.insert(full.clone());
                continue;
            }
            let mut now = Dimension { name: Some(name.join(short)), ..dimension.clone() };
            let wanted = edit.and_then(|e| {
                e.dimensions.iter().find(|d| d.org_name.as_deref().unwrap_or(&d.name) == short)
            });
            if let Some(wanted) = wanted {
                now.name = Some(name.join(&wanted.name));
                now.unlimited = wanted.is_unlimited.unwrap_or(now.unlimited);
                // A dimension that grows has had another length when the document was written.
                if let Some(length) = wanted.length.filter(|l| *l != now.size && !now.unlimited) {
                    let message = format!("the dimension '{short}' has {} elements, not {length}", now.size);
                    return Err(self.wrong(wanted.line, message));
                }
            }
            self.dimensions.insert(full.clone(), now);
        }
        for definition in &old.types {
            let full = name.join(&definition.name);
            let redefined = edit.and_then(|e| e.types.iter().find(|t| *t.name == *definition.name));
            let now = match redefined {
                Some(typedef) => enumeration(&full, typedef),
                None => self.renamed(&definition.data_type, Some(&full)),
            };
            self.types.insert(old.name.join(&definition.name), now);
        }
        for child in &old.groups {
            let short = child.name.short();
            let wanted = edit
                .and_then(|e| e.groups.iter().find(|g| g.org_name.as_deref().unwrap_or(&g.name) == short));
            let now = name.join(wanted.map_or(short, |g| &g.name));
            self.rename(child, wanted, &now)?;
        }
        Ok(())
    }

    /// A type of the original as it is now; the type itself is called `own` when that is given.
    fn renamed(&self, data_type: &DataType, own: Option<&FullName>) -> DataType {
        let name = |old: &Option<FullName>| own.cloned().or_else(|| old.clone());
        if own.is_none() {
            let old = match data_type {
                DataType::Enum(kind) => Some(&kind.name),
                DataType::Opaque(kind) => kind.name.as_ref(),
                DataType::Structure(record) | DataType::Sequence(record) => record.name.as_ref(),
                _ => None,
            };
            if let Some(now) = old.and_then(|old| self.types.get(old)) {
                return now.clone();
            }
        }
        let record = |record: &RecordType| {
            let field = |f: &Variable| Variable { data_type: self.renamed(&f.data_type, None), ..f.clone() };
            let fields = record.fields.iter().map(field).collect();
            Arc::new(RecordType { name: name(&record.name), fields, is_vlen: record.is_vlen })
        };
        match data_type {
            DataType::Enum(kind) => {
                let own = own.unwrap_or(&kind.name).clone();
                DataType::Enum(Arc::new(EnumType { name: own, ..(**kind).clone() }))
            }
            DataType::Opaque(kind) => {
                DataType::Opaque(Arc::new(OpaqueType { name: name(&kind.name), size: kind.size }))
            }
            DataType::Structure(old) => DataType::Structure(record(old)),
            DataType::Sequence(old) => DataType::Sequence(record(old)),
            other => other.clone(),
        }
    }

    /// A variable of the original as it is now, but for its own edits.
    ///
    /// # Errors
    /// `Corrupt` when a dimension of it is removed.
    pub(super) fn carried(&self, old: &Variable) -> Result<Variable> {
        let mut dimensions = Vec::new();
        for dimension in &old.dimensions {
            let name = dimension.name.as_ref();
            if let Some(gone) = name.filter(|name| self.removed.contains(*name)) {
                let message = format!(
                    "the dimension '{}' cannot be removed: the variable {} has it",
                    gone.short(),
                    old.name
                );
                return Err(Error::corrupt(message));
            }
            let now = name.and_then(|name| self.dimensions.get(name)).unwrap_or(dimension);
            dimensions.push(now.clone());
        }
        Ok(Variable { data_type: self.renamed(&old.data_type, None), dimensions, ..old.clone() })
    }

    /// The group `old`, or a new one, after `edit`.
    fn group(&mut self, old: Option<&Group>, edit: Option<&GroupEdit>, name: &FullName) -> Result<Group> {
        if let Some(edit) = edit {
            self.check(old, edit)?;
        }
        let mut made = Group::new(name.clone());
        for definition in old.map_or(&[][..], |old| &old.types) {
            let full = old.map_or(name, |old| &old.name).join(&definition.name);
            if let Some(data_type) = self.types.get(&full) {
                let name = Arc::clone(&definition.name);
                made.types.push(TypeDefinition { name, data_type: data_type.clone() });
            }
        }
        for typedef in edit.map_or(&[][..], |e| &e.types) {
            if !made.types.iter().any(|t| *t.name == *typedef.name) {
                let data_type = enumeration(&name.join(&typedef.name), typedef);
                made.types.push(TypeDefinition { name: typedef.name.as_str().into(), data_type });
            }
        }
        let dimensions = old.map_or(&[][..], |old| &old.dimensions);
        made.dimensions = dimensions
            .iter()
            .filter(|d| d.name.as_ref().is_none_or(|name| !self.removed.contains(name)))
            .map(|d| d.name.as_ref().and_then(|name| self.dimensions.get(name)).unwrap_or(d).clone())
            .collect();
        for dimension in edit.map_or(&[][..], |e| &e.dimensions) {
            self.dimension(&mut made, dimension)?;
        }
        let none = cdm::Attributes::default();
        made.attributes = attributes::edit(
            old.map_or(&none, |old| &old.attributes),
            edit.map_or(&[], |e| &e.attributes),
            edit.map_or(&[], |e| &e.removes),
            self.explicit,
        )
        .map_err(|(line, error)| self.at(line, error))?;
        if name.is_root() {
            self.globals = made.attributes.clone();
        }
        self.scope.push(made.dimensions.clone());
        self.type_scope.push(made.types.clone());
        self.variables(old, edit, &mut made)?;
        for child in old.map_or(&[][..], |old| &old.groups) {
            let short = child.name.short();
            if edit.is_some_and(|e| is_removed(e, RemoveKind::Group, short)) {
                continue;
            }
            let wanted = edit
                .and_then(|e| e.groups.iter().find(|g| g.org_name.as_deref().unwrap_or(&g.name) == short));
            if self.explicit && wanted.is_none() {
                continue;
            }
            let now = name.join(wanted.map_or(short, |g| &g.name));
            let group = self.group(Some(child), wanted, &now)?;
            made.groups.push(group);
        }
        for group in edit.map_or(&[][..], |e| &e.groups) {
            if group.org_name.is_none() && old.is_none_or(|old| old.group(&group.name).is_none()) {
                let group = self.group(None, Some(group), &name.join(&group.name))?;
                made.groups.push(group);
            }
        }
        self.scope.pop();
        self.type_scope.pop();
        self.twins(&made, edit)?;
        Ok(made)
    }

    /// Adds a dimension that the original does not have.
    fn dimension(&self, group: &mut Group, edit: &DimensionEdit) -> Result<()> {
        let full = group.name.join(&edit.name);
        let has = |name: &FullName| group.dimensions.iter().any(|d| d.name.as_ref() == Some(name));
        // The length of an array of its own in each element is no dimension.
        if edit.org_name.is_some() || has(&full) || edit.is_variable_length {
            return Ok(());
        }
        let unlimited = edit.is_unlimited.unwrap_or(false);
        let Some(size) = edit.length.or(unlimited.then_some(0)) else {
            return Err(self.wrong(edit.line, format!("the new dimension '{}' without 'length'", edit.name)));
        };
        if size >= 1 << 63 {
            return Err(self.wrong(edit.line, format!("the dimension '{}' is too long", edit.name)));
        }
        group.dimensions.push(Dimension { name: Some(full), size, unlimited });
        Ok(())
    }

    /// Everything that `edit` refers to is there.
    fn check(&self, old: Option<&Group>, edit: &GroupEdit) -> Result<()> {
        let variables = || old.into_iter().flat_map(|old| old.variables.iter().map(|v| &*v.name));
        let groups = || old.into_iter().flat_map(|old| old.groups.iter().map(|g| g.name.short()));
        let dimensions = || {
            let all = old.into_iter().flat_map(|old| &old.dimensions);
            all.filter_map(|d| d.name.as_ref()).map(FullName::short)
        };
        let org = edit.variables.iter().filter_map(|v| Some((v.line, v.org_name.as_deref()?)));
        let removes =
            |kind| edit.removes.iter().filter(move |r| r.kind == kind).map(|r| (r.line, r.name.as_str()));
        for (line, name) in org.chain(removes(RemoveKind::Variable)) {
            if !variables().any(|v| v == name) {
                return Err(self.at(line, absent("variable", name, variables())));
            }
        }
        let org = edit.groups.iter().filter_map(|g| Some((g.line, g.org_name.as_deref()?)));
        for (line, name) in org.chain(removes(RemoveKind::Group)) {
            if !groups().any(|g| g == name) {
                return Err(self.at(line, absent("group", name, groups())));
            }
        }
        let org = edit.dimensions.iter().filter_map(|d| Some((d.line, d.org_name.as_deref()?)));
        for (line, name) in org.chain(removes(RemoveKind::Dimension)) {
            if !dimensions().any(|d| d == name) {
                return Err(self.at(line, absent("dimension", name, dimensions())));
            }
        }
        Ok(())
    }

    /// No two things of a kind in a group have the same name.
    fn twins(&self, group: &Group, edit: Option<&GroupEdit>) -> Result<()> {
        let line = edit.map_or(0, |e| e.line);
        let check = |kind: &str, names: Vec<&str>| {
            let mut seen = HashSet::new();
            match names.into_iter().find(|name| !seen.insert(*name)) {
                Some(twin) => {
                    Err(self.wrong(line, format!("two {kind}s are called '{twin}' in {}", group.name)))
                }
                None => Ok(()),
            }
        };
        check("variable", group.variables.iter().map(|v| &*v.name).collect())?;
        check("group", group.groups.iter().map(|g| g.name.short()).collect())?;
        let dimensions = group.dimensions.iter().filter_map(|d| d.name.as_ref());
        check("dimension", dimensions.map(FullName::short).collect())
    }

    /// The dimension that `word` names, from the group that is edited outwards, or of that length.
    pub(super) fn find_dimension(&self, word: &str) -> Result<Dimension> {
        let called = |d: &&Dimension| d.name.as_ref().is_some_and(|name| name.short() == word);
        if let Some(found) = self.scope.iter().rev().find_map(|dimensions| dimensions.iter().find(called)) {
            return Ok(found.clone());
        }
        if let Ok(length) = word.parse::<u64>() {
            return Ok(Dimension::anonymous(length));
        }
        if word == "*" {
            return Err(Error::unsupported("shapes with '*' are not supported; leave 'shape' out"));
        }
        let names = self.scope.iter().flatten().filter_map(|d| d.name.as_ref()).map(FullName::short);
        Err(absent("dimension", word, names))
    }

    /// The enumeration that `word` names.
    pub(super) fn find_enum(&self, word: &str) -> Result<DataType> {
        let is_enum = |t: &&TypeDefinition| matches!(t.data_type, DataType::Enum(_)) && *t.name == *word;
        let found = self.type_scope.iter().rev().find_map(|types| types.iter().find(is_enum));
        let names = self.type_scope.iter().flatten().map(|t| &*t.name);
        found.map(|t| t.data_type.clone()).ok_or_else(|| absent("enumTypedef", word, names))
    }
}

/// `there is no KIND 'name'`, with what was probably meant.
pub(super) fn absent<'k>(kind: &str, name: &str, known: impl Iterator<Item = &'k str>) -> Error {
    let known: Vec<&str> = known.collect();
    let hint =
        words::closest(name, &known).map_or(String::new(), |meant| format!("; did you mean '{meant}'?"));
    Error::corrupt(format!("there is no {kind} '{name}'{hint}"))
}

pub(super) fn is_removed(edit: &GroupEdit, kind: RemoveKind, name: &str) -> bool {
    edit.removes.iter().any(|r| r.kind == kind && r.name == name)
}

fn enumeration(name: &FullName, typedef: &EnumTypedef) -> DataType {
    let members = typedef.members.iter().map(|(key, name)| (name.as_str().into(), *key)).collect();
    DataType::Enum(Arc::new(EnumType { name: name.clone(), base: typedef.base.clone(), members }))
}

/// Drops the dimensions and types that are neither declared nor used.
fn prune(root: &mut Group, edit: Option<&GroupEdit>) {
    let mut dimensions: HashSet<FullName> = HashSet::new();
    let mut types: HashSet<FullName> = HashSet::new();
    for variable in root.walk().flat_map(|g| &g.variables) {
        dimensions.extend(variable.dimensions.iter().filter_map(|d| d.name.clone()));
        used_types(&variable.data_type, &mut types);
    }
    prune_group(root, edit, &dimensions, &types);
}

fn prune_group(
    group: &mut Group,
    edit: Option<&GroupEdit>,
    dimensions: &HashSet<FullName>,
    types: &HashSet<FullName>,
) {
    let declared = |name: &str| edit.is_some_and(|e| e.dimensions.iter().any(|d| d.name == name));
    group
        .dimensions
        .retain(|d| d.name.as_ref().is_some_and(|n| dimensions.contains(n) || declared(n.short())));
    let declared = |name: &str| edit.is_some_and(|e| e.types.iter().any(|t| t.name == name));
    let name = group.name.clone();
    group.types.retain(|t| types.contains(&name.join(&t.name)) || declared(&t.name));
    for child in &mut group.groups {
        let edit = edit.and_then(|e| e.groups.iter().find(|g| g.name == child.name.short()));
        prune_group(child, edit, dimensions, types);
    }
}

fn used_types(data_type: &DataType, types: &mut HashSet<FullName>) {
    match data_type {
        DataType::Enum(kind) => drop(types.insert(kind.name.clone())),
        DataType::Opaque(kind) => types.extend(kind.name.clone()),
        DataType::Structure(record) | DataType::Sequence(record) => {
            types.extend(record.name.clone());
            record.fields.iter().for_each(|f| used_types(&f.data_type, types));
        }
        _ => {}
    }
}
