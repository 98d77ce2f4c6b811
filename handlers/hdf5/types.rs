//! HDF5 datatypes as the model's types, and the names they have in the file.
//!
//! A committed datatype names the types that use it or equal it, as in netCDF-C. Types without a name
//! stay nameless, except enumerations, which the model demands a name for: `<variable>_t`, declared in
//! the variable's group.

use std::sync::Arc;

use cdm::{
    DataType, Dimension, EnumType, Error, FullName, OpaqueType, RecordType, Result, TypeDefinition, Variable,
};
use foldhash::{HashMap, HashMapExt, HashSet};

use super::{
    elements::{array_of, unsupported},
    format::{ByteOrder, Datatype, Member, ReferenceKind, VarLenKind},
    numbers::{float_type, integer_type},
    tree::Tree,
};

/// Where a type is used: an enumeration without a name is declared in `group`, called after `hint`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) group: &'a FullName,
    pub(super) hint: &'a str,
}

/// The named types of a file.
#[derive(Debug)]
pub(super) struct Types<'a> {
    tree: &'a Tree,
    by_address: HashMap<u64, DataType>,
    by_shape: HashMap<String, DataType>,
    declared: HashMap<FullName, Vec<TypeDefinition>>,
    /// Names of all members of groups, and those given since; made when a type first needs a name.
    taken: Option<HashSet<FullName>>,
}

impl<'a> Types<'a> {
    /// All committed types of `tree`, outer groups first. Those the model has no type for are left out.
    pub(super) fn collect(tree: &'a Tree) -> Self {
        let mut types = Self {
            tree,
            by_address: HashMap::new(),
            by_shape: HashMap::new(),
            declared: HashMap::new(),
            taken: None,
        };
        for group in &tree.groups {
            for named in &group.types {
                let place = Place { group: &group.name, hint: &named.name };
                let Ok(nameless) = types.shape(&named.datatype, place) else {
                    tracing::warn!(name = %group.name.join(&named.name), "a named type is left out");
                    continue;
                };
                let key = key(&nameless);
                let Some(data_type) = with_name(nameless, &group.name.join(&named.name)) else { continue };
                types.by_address.insert(named.address, data_type.clone());
                types.by_shape.entry(key).or_insert_with(|| data_type.clone());
                let name = Arc::clone(&named.name);
                types.declare(&group.name, TypeDefinition { name, data_type });
            }
        }
        types
    }

    fn declare(&mut self, group: &FullName, definition: TypeDefinition) {
        self.declared.entry(group.clone()).or_default().push(definition);
    }

    /// The types declared in `group`, in order.
    pub(super) fn take(&mut self, group: &FullName) -> Vec<TypeDefinition> {
        self.declared.remove(group).unwrap_or_default()
    }

    /// The model's type of one element, and the sizes of the array that the stored type is, if any.
    ///
    /// # Errors
    /// `Unsupported` when the model has none.
    pub(super) fn of(
        &mut self,
        datatype: &Datatype,
        committed: Option<u64>,
        place: Place<'_>,
    ) -> Result<(DataType, Vec<u64>)> {
        if let Some(known) = committed.and_then(|address| self.by_address.get(&address)) {
            return Ok((known.clone(), Vec::new()));
        }
        let (_, element) = array_of(datatype);
        Ok((self.element(element, place)?, array_sizes(datatype)))
    }

    /// The type of an element (not an array), with the name of the committed type it equals.
    fn element(&mut self, datatype: &Datatype, place: Place<'_>) -> Result<DataType> {
        let nameless = self.shape(datatype, place)?;
        if !matches!(nameless, DataType::Enum(_)) && nameless.record().is_none() && !is_opaque(&nameless) {
            return Ok(nameless);
        }
        if let Some(known) = self.by_shape.get(&key(&nameless)) {
            return Ok(known.clone());
        }
        Ok(match nameless {
            DataType::Enum(e) if is_boolean(&e) => DataType::UInt8,
            DataType::Enum(_) => {
                let name = self.free_name(place);
                let Some(named) = with_name(nameless, &name) else {
                    return Err(Error::internal("an enumeration cannot be named"));
                };
                let definition = TypeDefinition { name: name.short().into(), data_type: named.clone() };
                self.declare(place.group, definition);
                named
            }
            DataType::Sequence(r) => sequence(&r, place.hint, None),
            other => other,
        })
    }

    fn free_name(&mut self, place: Place<'_>) -> FullName {
        let first = place.group.join(&format!("{}_t", place.hint));
        let mut name = first.clone();
        let mut number = 2_u64;
        let groups = &self.tree.groups;
        let taken = self.taken.get_or_insert_with(|| {
            groups.iter().flat_map(|group| group.members.iter().map(move |m| group.name.join(m))).collect()
        });
        while !taken.insert(name.clone()) {
            name = FullName::new(&format!("{first}{number}"));
            number += 1;
        }
        name
    }

    /// The type without a name of its own; what it is made of has names already.
    fn shape(&mut self, datatype: &Datatype, place: Place<'_>) -> Result<DataType> {
        Ok(match datatype {
            Datatype::FixedPoint { size, signed, .. } => {
                integer_type(*size, *signed).ok_or_else(|| unsupported("an integer of more than 64 bits"))?
            }
            Datatype::Bitfield { size, .. } => {
                integer_type(*size, false).ok_or_else(|| unsupported("a bit field of more than 64 bits"))?
            }
            Datatype::Float(f) => float_type(f).ok_or_else(|| unsupported("this floating-point layout"))?,
            Datatype::Time { .. } => return Err(unsupported("an HDF5 time type")),
            Datatype::String { size: 1, .. } => DataType::Char,
            // References become the paths of what they point to.
            Datatype::String { .. }
            | Datatype::VarLen { kind: VarLenKind::String { .. }, .. }
            | Datatype::Reference { kind: ReferenceKind::Object | ReferenceKind::Region, .. } => {
                DataType::String
            }
            Datatype::Opaque { size, .. } | Datatype::Reference { size, .. } => {
                DataType::Opaque(Arc::new(OpaqueType { name: None, size: Some(u64::from(*size)) }))
            }
            Datatype::Compound { members, .. } => {
                let mut fields = Vec::with_capacity(members.len());
                for member in members.iter() {
                    fields.push(self.field(member, place)?);
                }
                DataType::Structure(Arc::new(RecordType { name: None, fields, is_vlen: false }))
            }
            Datatype::Complex { base } => {
                let part = self.element(base, place)?;
                let field = |name: &str| Variable::new(name, part.clone(), Vec::new());
                let fields = vec![field("r"), field("i")];
                DataType::Structure(Arc::new(RecordType { name: None, fields, is_vlen: false }))
            }
            Datatype::Enum { base, members } => {
                let values = members.iter().map(|(n, v)| (Arc::clone(n), integer_value(base, v)));
                DataType::Enum(Arc::new(EnumType {
                    name: FullName::root(),
                    base: self.shape(base, place)?,
                    members: values.collect(),
                }))
            }
            Datatype::VarLen { base, .. } => {
                let (_, element) = array_of(base);
                let of = self.element(element, place)?;
                let field = Variable::new("value", of, anonymous(&array_sizes(base)));
                DataType::Sequence(Arc::new(RecordType { name: None, fields: vec![field], is_vlen: true }))
            }
            Datatype::Array { .. } => return Err(unsupported("a named array type")),
        })
    }

    fn field(&mut self, member: &Member, place: Place<'_>) -> Result<Variable> {
        let hint = format!("{}_{}", place.hint, member.name);
        let (_, element) = array_of(&member.datatype);
        let of = self.element(element, Place { group: place.group, hint: &hint })?;
        Ok(Variable::new(Arc::clone(&member.name), of, anonymous(&array_sizes(&member.datatype))))
    }
}

/// Two types are the same when they differ in names at most; nested types are compared with theirs.
fn key(nameless: &DataType) -> String {
    format!("{nameless:?}")
}

fn is_opaque(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Opaque(_))
}

/// The type called `name`; `None` when types of its kind have no names.
fn with_name(nameless: DataType, name: &FullName) -> Option<DataType> {
    Some(match nameless {
        DataType::Enum(e) => DataType::Enum(Arc::new(EnumType { name: name.clone(), ..(*e).clone() })),
        DataType::Opaque(o) => {
            DataType::Opaque(Arc::new(OpaqueType { name: Some(name.clone()), size: o.size }))
        }
        DataType::Structure(r) => {
            DataType::Structure(Arc::new(RecordType { name: Some(name.clone()), ..(*r).clone() }))
        }
        DataType::Sequence(r) => sequence(&r, name.short(), Some(name.clone())),
        _ => return None,
    })
}

/// A variable-length type; its one field is called `field`.
fn sequence(of: &RecordType, field: &str, name: Option<FullName>) -> DataType {
    let mut fields = of.fields.clone();
    for of in &mut fields {
        of.name = field.into();
    }
    DataType::Sequence(Arc::new(RecordType { name, fields, is_vlen: true }))
}

/// What h5py writes for a boolean.
fn is_boolean(e: &EnumType) -> bool {
    let has = |name: &str, value: i128| e.members.iter().any(|(n, v)| &**n == name && *v == value);
    e.base == DataType::Int8 && e.members.len() == 2 && has("FALSE", 0) && has("TRUE", 1)
}

fn anonymous(sizes: &[u64]) -> Vec<Dimension> {
    sizes.iter().map(|n| Dimension::anonymous(*n)).collect()
}

/// The sizes of an array datatype, arrays of arrays flattened; none for other types.
pub(super) fn array_sizes(datatype: &Datatype) -> Vec<u64> {
    let (mut sizes, mut one) = (Vec::new(), datatype);
    while let Datatype::Array { dims, base } = one {
        sizes.extend(dims.iter().map(|d| u64::from(*d)));
        one = base;
    }
    sizes
}

/// The number that the stored bytes of an integer type are.
fn integer_value(base: &Datatype, stored: &[u8]) -> i128 {
    let (big, is_signed) = match base {
        Datatype::FixedPoint { order, signed, .. } => (*order == ByteOrder::Big, *signed),
        _ => (false, false),
    };
    let join = |n: i128, b: &u8| (n << 8) | i128::from(*b);
    let stored = stored.get(..8).unwrap_or(stored);
    let value = if big { stored.iter().fold(0, join) } else { stored.iter().rev().fold(0, join) };
    let bits = stored.len() * 8;
    let negative = is_signed && bits > 0 && value >> (bits - 1) & 1 == 1;
    if negative { value - (1 << bits) } else { value }
}
