//! Edits of variables and of the members of structures.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use cdm::{Attribute, DataType, Dimension, Error, FullName, Group, RecordType, Result, ResultExt, Variable};

use super::{
    Plan, attributes,
    given::Given,
    numbers,
    tree::{Editor, absent, is_removed},
    view::View,
};
use crate::ncml::{
    document::{GroupEdit, RemoveKind, TypeName, Values, VariableEdit},
    words,
};

impl Editor<'_> {
    /// The variables of `old` after `edit`, and the new ones, into `made`.
    pub(super) fn variables(
        &mut self,
        old: Option<&Group>,
        edit: Option<&GroupEdit>,
        made: &mut Group,
    ) -> Result<()> {
        let edits = edit.map_or(&[][..], |e| &e.variables);
        let original = |edit: &VariableEdit| edit.org_name.as_deref().unwrap_or(&edit.name).to_owned();
        let line = edit.map_or(0, |e| e.line);
        if let Some(old) = old {
            for variable in &old.variables {
                if edit.is_some_and(|e| is_removed(e, RemoveKind::Variable, &variable.name)) {
                    continue;
                }
                let base = old.name.join(&variable.name);
                let mut own = edits.iter().filter(|e| original(e) == *variable.name).peekable();
                if own.peek().is_none() && !self.explicit {
                    let carried = self.carried(variable).map_err(|e| self.at(line, e))?;
                    let mut view = View::whole(base.clone(), &variable.data_type, &variable.shape());
                    view.data_type.clone_from(&carried.data_type);
                    if !numbers::convertible(&variable.data_type, &carried.data_type) {
                        let message = format!("{base} cannot be of the type as it is declared");
                        return Err(self.wrong(line, message));
                    }
                    self.plans.insert(made.name.join(&variable.name), Plan::View(view));
                    made.variables.push(carried);
                }
                for edit in own {
                    let place = format!("variable {}", edit.name);
                    let (variable, plan) = self
                        .changed(variable, base.clone(), edit)
                        .map_err(|(line, error)| self.at(line, error.within(&place)))?;
                    self.plans.insert(made.name.join(&variable.name), plan);
                    made.variables.push(variable);
                }
            }
        }
        for edit in edits {
            let is_new = edit.org_name.is_none() && old.is_none_or(|old| old.variable(&edit.name).is_none());
            if is_new {
                if edit.data_type.is_none() {
                    let known = old.into_iter().flat_map(|old| old.variables.iter().map(|v| &*v.name));
                    let message =
                        format!("{} (a new one needs a 'type')", absent("variable", &edit.name, known));
                    return Err(self.wrong(edit.line, message));
                }
                let place = format!("variable {}", edit.name);
                let (variable, plan) =
                    self.added(edit).map_err(|(line, error)| self.at(line, error.within(&place)))?;
                self.plans.insert(made.name.join(&variable.name), plan);
                made.variables.push(variable);
            }
        }
        Ok(())
    }

    /// `old`, called `base` in the original, after `edit`.
    fn changed(
        &self,
        old: &Variable,
        base: FullName,
        edit: &VariableEdit,
    ) -> Result<(Variable, Plan), (usize, Error)> {
        let here = |error: Error| (edit.line, error);
        let mut variable = self.carried(old).map_err(here)?;
        variable.name = edit.name.as_str().into();
        variable.attributes =
            attributes::edit(&old.attributes, &edit.attributes, &edit.removes, self.explicit)?;
        let mut view = View::whole(base, &old.data_type, &old.shape());
        self.retype(&mut variable, &mut view, old, edit).map_err(here)?;
        if !edit.variables.is_empty() {
            variable.data_type = self.members(&variable.data_type, edit)?;
        }
        view.data_type.clone_from(&variable.data_type);
        if let Some(shape) = &edit.shape {
            let wanted = self.shape(shape).map_err(here)?;
            let (has, gets) = (variable.shape(), wanted.iter().map(|d| d.size).collect::<Vec<_>>());
            if edit.values.is_none() && has != gets {
                let message = format!(
                    "the shape '{}' is {gets:?}, but the variable's is {has:?}; dimensions of one element are \
                     left out by <logicalReduce>, parts taken by <logicalSection>",
                    shape.join(" ")
                );
                return Err(here(Error::corrupt(message)));
            }
            variable.dimensions = wanted;
        }
        if let Some(values) = &edit.values {
            if !edit.logical.is_empty() {
                return Err(here(Error::unsupported("<values> together with a part of the original")));
            }
            let given = self.given(&variable, values, edit).map_err(here)?;
            return Ok((variable, Plan::Given(given)));
        }
        if view.text.is_none() && !numbers::convertible(&view.read_as, &view.data_type) {
            let (from, to) = (words::type_word(&view.read_as), words::type_word(&view.data_type));
            return Err(here(Error::unsupported(format!("values of type {from} cannot be made {to}"))));
        }
        for logical in &edit.logical {
            view.apply(&mut variable, logical).map_err(here)?;
        }
        Ok((variable, Plan::View(view)))
    }

    /// Gives `variable` the type that `edit` wants; what holds values of it follows.
    fn retype(
        &self,
        variable: &mut Variable,
        view: &mut View,
        old: &Variable,
        edit: &VariableEdit,
    ) -> Result<()> {
        let wanted = match &edit.data_type {
            None => return Ok(()),
            Some(TypeName::Plain(DataType::Opaque(_))) if matches!(old.data_type, DataType::Opaque(_)) => {
                return Ok(());
            }
            Some(TypeName::Structure) if matches!(old.data_type, DataType::Structure(_)) => return Ok(()),
            Some(TypeName::Sequence) if matches!(old.data_type, DataType::Sequence(_)) => return Ok(()),
            Some(TypeName::Plain(plain)) => plain.clone(),
            Some(TypeName::Enum(typedef)) => self.find_enum(typedef)?,
            Some(TypeName::Structure | TypeName::Sequence) => {
                let message =
                    format!("values of type {} cannot be made a record", words::type_word(&old.data_type));
                return Err(Error::unsupported(message));
            }
        };
        if wanted == variable.data_type {
            return Ok(());
        }
        if old.data_type == DataType::Char && wanted == DataType::String && edit.values.is_none() {
            if variable.dimensions.pop().is_some() {
                view.as_text();
                variable.data_type = wanted;
                variable.attributes.retain(|a| &*a.name != "_FillValue");
                return Ok(());
            }
            return Err(Error::unsupported("a single character cannot be made a String; use 'char'"));
        }
        // The same bytes, marked as unsigned by the convention of netCDF-3.
        let signed =
            matches!(old.data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
        let marked =
            variable.attributes.text("_Unsigned").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if signed && marked {
            view.read_as = words::unsigned(old.data_type.clone());
        }
        if edit.values.is_none() || wanted.is_numeric() {
            let declared =
                |name: &str| edit.attributes.iter().any(|a| a.name == name && a.data_type.is_some());
            let follow = attributes::follow(&variable.attributes, &old.data_type, &view.read_as, &wanted)?;
            let chosen = |now: &Attribute| {
                let kept = variable.attributes.get(&now.name).filter(|a| declared(&a.name));
                kept.unwrap_or(now).clone()
            };
            variable.attributes = follow.iter().map(chosen).collect();
        }
        if signed && marked {
            variable.attributes.retain(|a| &*a.name != "_Unsigned");
        }
        variable.data_type = wanted;
        Ok(())
    }

    /// The type of a structure or sequence after the edits of its members.
    fn members(&self, data_type: &DataType, edit: &VariableEdit) -> Result<DataType, (usize, Error)> {
        let (record, wrap): (_, fn(_) -> _) = match data_type {
            DataType::Structure(record) => (record, DataType::Structure),
            DataType::Sequence(record) => (record, DataType::Sequence),
            other => {
                let message = format!("a variable of type {} has no members", words::type_word(other));
                return Err((edit.line, Error::corrupt(message)));
            }
        };
        let mut fields = record.fields.clone();
        for own in &edit.variables {
            let name = own.org_name.as_deref().unwrap_or(&own.name);
            let Some((position, old)) = record.field(name) else {
                let known: Vec<&str> = record.fields.iter().map(|f| &*f.name).collect();
                let message = format!("there is no member '{name}'; it has: {}", known.join(", "));
                return Err((own.line, Error::corrupt(message)));
            };
            let field = self.member(old, own)?;
            if let Some(place) = fields.get_mut(position) {
                *place = field;
            }
        }
        let name = if fields == record.fields { record.name.clone() } else { None };
        Ok(wrap(Arc::new(RecordType { name, fields, is_vlen: record.is_vlen })))
    }

    fn member(&self, old: &Variable, edit: &VariableEdit) -> Result<Variable, (usize, Error)> {
        let here = |error: Error| (edit.line, error);
        if edit.values.is_some() || !edit.logical.is_empty() {
            return Err(here(Error::unsupported("members of a structure keep their values")));
        }
        let mut field = old.clone();
        field.name = edit.name.as_str().into();
        field.attributes = attributes::edit(&old.attributes, &edit.attributes, &edit.removes, false)?;
        let mut view = View::whole(FullName::new(&old.name), &old.data_type, &old.shape());
        if !matches!(
            (&edit.data_type, &old.data_type),
            (Some(TypeName::Plain(DataType::String)), DataType::Char)
        ) {
            self.retype(&mut field, &mut view, old, edit).map_err(here)?;
        }
        if view.read_as != old.data_type {
            return Err(here(Error::unsupported("members that are marked _Unsigned keep their type")));
        }
        if let Some(shape) = &edit.shape {
            let gets: Vec<u64> = self.shape(shape).map_err(here)?.iter().map(|d| d.size).collect();
            if gets != old.shape() {
                let message = format!("a member's shape stays as it is, {:?}", old.shape());
                return Err(here(Error::corrupt(message)));
            }
        }
        if !edit.variables.is_empty() {
            field.data_type = self.members(&field.data_type, edit)?;
        }
        if !numbers::convertible(&old.data_type, &field.data_type) {
            let (from, to) = (words::type_word(&old.data_type), words::type_word(&field.data_type));
            return Err(here(Error::unsupported(format!("values of type {from} cannot be made {to}"))));
        }
        Ok(field)
    }

    /// A variable that the original does not have.
    fn added(&self, edit: &VariableEdit) -> Result<(Variable, Plan), (usize, Error)> {
        let here = |error: Error| (edit.line, error);
        let variable = self.declared(edit, false)?;
        if !edit.logical.is_empty() {
            return Err(here(Error::unsupported(
                "a part of a variable that is new; give its values as they are",
            )));
        }
        let given = match &edit.values {
            Some(values) => self.given(&variable, values, edit).map_err(here)?,
            None => Given::fill(&variable),
        };
        Ok((variable, Plan::Given(given)))
    }

    /// A variable as it is declared.
    fn declared(&self, edit: &VariableEdit, is_member: bool) -> Result<Variable, (usize, Error)> {
        let here = |error: Error| (edit.line, error);
        let data_type = match &edit.data_type {
            None => return Err((edit.line, Error::corrupt(format!("'{}' without 'type'", edit.name)))),
            Some(TypeName::Plain(plain)) => plain.clone(),
            Some(TypeName::Enum(typedef)) => self.find_enum(typedef).map_err(|e| (edit.line, e))?,
            Some(kind) => {
                let fields = edit.variables.iter().map(|own| self.declared(own, true));
                let fields = fields.collect::<Result<Vec<_>, _>>()?;
                let record = Arc::new(RecordType { name: None, fields, is_vlen: false });
                if *kind == TypeName::Structure {
                    DataType::Structure(record)
                } else {
                    DataType::Sequence(record)
                }
            }
        };
        let mut dimensions = Vec::new();
        if let Some(shape) = &edit.shape {
            dimensions = self.shape(shape).map_err(here)?;
        }
        if is_member {
            dimensions = dimensions.iter().map(|d| Dimension::anonymous(d.size)).collect();
        }
        let mut variable = Variable::new(edit.name.as_str(), data_type, dimensions);
        let none = cdm::Attributes::default();
        variable.attributes = attributes::edit(&none, &edit.attributes, &edit.removes, false)?;
        let most = 1_u64 << 62;
        if variable.byte_len().unwrap_or_else(|| variable.element_count()) > most {
            return Err((edit.line, Error::too_large("more elements than there can be")));
        }
        if is_member && variable.byte_len().unwrap_or_else(|| variable.element_count()) > 1 << 20 {
            return Err((edit.line, Error::too_large("a member of more than a mebibyte")));
        }
        Ok(variable)
    }

    fn shape(&self, words: &[String]) -> Result<Vec<Dimension>> {
        words.iter().map(|word| self.find_dimension(word)).collect()
    }

    /// The `<values>` of `variable`.
    fn given(&self, variable: &Variable, values: &Values, edit: &VariableEdit) -> Result<Given> {
        match values {
            Values::List { text, separator } => Given::list(variable, text, separator.as_deref()),
            Values::Ramp { start, increment } => Given::ramp(variable, *start, *increment),
            Values::FromAttribute(from) => {
                let missing =
                    || Error::corrupt(format!("there is no attribute '{from}' to take values from"));
                let (owner, name) = from.split_once('@').unwrap_or(("", from));
                let attribute = match owner {
                    "" => self.globals.get(name).or_else(|| self.base.root().attributes.get(name)),
                    owner if *owner == *edit.name => variable.attributes.get(name),
                    owner => {
                        let found = self.base.variable(&FullName::new(owner));
                        found.and_then(|v| v.attributes.get(name))
                    }
                };
                Given::attribute(variable, attribute.ok_or_else(missing)?)
            }
        }
        .within(|| "<values>")
    }
}
