//! DAP2's view of a dataset: itself a Source, whose variables all have DAP2 types (protocol section
//! 5.5), stand in the root, and are called as DAP2 clients can read it. It also knows the Grids, and
//! finds a variable by any of the names that clients use for it. It knows no constraint and no text form.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use cdm::{
    Attribute, Attributes, BlockStream, DataType, Dataset, Dimension, Error, ErrorKind, FullName, Group,
    RecordType, Result, Selection, Slice, Source, Variable, Version,
};
use futures::{FutureExt, StreamExt, stream};

use super::{
    attributes,
    convert::{Conversion, Member},
    grids::{self, Coordinates},
    names,
    spellings::{Spellings, Strictness},
};

/// Structures deeper than this are left out.
const MAX_DEPTH: usize = 64;

/// What becomes of 64-bit integers, for which DAP2 has no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WideIntegers {
    /// Coordinates and times become Float64 (exact up to 2^53), the others are left out and listed in
    /// the global attribute `dap2_omitted`.
    #[default]
    Coordinates,
    /// All become Float64.
    All,
}

/// A dataset as DAP2 sees it.
#[derive(Debug)]
pub(super) struct View {
    source: Arc<dyn Source>,
    form: Arc<Form>,
}

/// What a view shows, without what it is read from.
#[derive(Debug)]
struct Form {
    dataset: Dataset,
    origins: HashMap<FullName, Origin>,
    omitted: Vec<Omitted>,
    /// Made when a constraint first names a variable.
    spellings: OnceLock<Spellings>,
}

/// A variable of the source that the view does not have.
#[derive(Debug)]
struct Omitted {
    /// Its name in the source.
    name: FullName,
    /// In a few words, for the list of such variables.
    brief: String,
    /// For who asks for it.
    reason: Error,
}

/// Where a variable of the view comes from.
#[derive(Debug)]
struct Origin {
    name: FullName,
    stored: DataType,
    conversion: Conversion,
    maps: Option<Vec<FullName>>,
    text: Option<TextLength>,
}

/// A Char array's last dimension, which the view shows as the length of strings; a single Char is a
/// string of length 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TextLength {
    /// There is such a dimension.
    is_axis: bool,
    /// Bytes.
    pub(super) len: u64,
    /// The dimension's name, if it has one.
    pub(super) dimension: Option<String>,
}

impl View {
    /// The view of `source`.
    ///
    /// # Errors
    /// `Corrupt` when the names cannot be made unique.
    pub(super) fn new(source: Arc<dyn Source>, wide: WideIntegers) -> Result<Self> {
        let form = match wide {
            // As every request has it: made once for each dataset.
            WideIntegers::Coordinates => source.dataset().derived(|| Form::new(&source, wide)),
            WideIntegers::All => Form::new(&source, wide).map(Arc::new),
        };
        Ok(Self { form: form?, source })
    }

    /// The maps of a variable that is a Grid, one per dimension.
    pub(super) fn maps(&self, name: &FullName) -> Option<&[FullName]> {
        self.form.origins.get(name)?.maps.as_deref()
    }

    /// For a string variable stored as Char: how long its strings are.
    pub(super) fn text_length(&self, name: &FullName) -> Option<&TextLength> {
        self.form.origins.get(name)?.text.as_ref()
    }

    /// The variable a client means by `text`: as printed, decoded up to twice, with or without a leading
    /// slash, and with `_` or `.` between groups where that is unambiguous.
    pub(super) fn find(&self, text: &str) -> Option<&FullName> {
        let spellings = self.form.spellings();
        spellings.find(text, Strictness::Exact).or_else(|| spellings.find(text, Strictness::Loose))
    }

    /// As [`View::find`], but only the printed or stored name.
    pub(super) fn find_exactly(&self, text: &str) -> Option<&FullName> {
        self.form.spellings().find(text, Strictness::Exact)
    }

    /// Names of variables and members, decoded, that hold characters with a meaning in constraints, and
    /// how each is printed; the longest first.
    pub(super) fn special_names(&self) -> &[(String, String)] {
        &self.form.spellings().special
    }

    /// The variables' names here and in the source.
    pub(super) fn origins(&self) -> impl Iterator<Item = (&FullName, &FullName)> {
        self.form.origins.iter().map(|(shown, origin)| (shown, &origin.name))
    }

    /// The variables that the view lacks, each with why in a few words.
    pub(super) fn left_out(&self) -> Vec<(FullName, String)> {
        self.form.omitted.iter().map(|o| (o.name.clone(), o.brief.clone())).collect()
    }

    /// Why the view lacks the variable that a client means by `text`, if the source has it.
    pub(super) fn why_omitted(&self, text: &str) -> Option<Error> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let decoded = names::decode(text);
        let found = self.form.omitted.iter().find(|o| {
            let stored = &o.name.as_str()[1..];
            stored == text || stored == decoded || names::printed(&o.name) == text
        })?;
        Some(found.reason.shared())
    }
}

impl Form {
    fn new(source: &Arc<dyn Source>, wide: WideIntegers) -> Result<Self> {
        let stored = source.dataset();
        let chosen = match wide {
            WideIntegers::All => None,
            WideIntegers::Coordinates => Some(coordinate_like(stored)),
        };
        let mut naming = Naming::default();
        let mut root = Group::new(FullName::root());
        let mut omitted: Vec<Omitted> = Vec::new();
        let mut origins = HashMap::new();
        let mut coordinates = Coordinates::new();
        let mut globals = Vec::new();
        for group in stored.root().walk() {
            root.dimensions.extend(group.dimensions.iter().map(|d| naming.dimension(d)));
            for variable in &group.variables {
                let name = group.name.join(&variable.name);
                let widen = chosen.as_ref().is_none_or(|c| c.contains(&name)) || is_time(variable);
                let shape = match servable(source, &name, variable, widen) {
                    Ok(shape) => shape,
                    Err((brief, reason)) => {
                        omitted.push(Omitted { name, brief, reason });
                        continue;
                    }
                };
                let text = text_length(variable, &shape, &mut naming);
                let is_substitute = !name.as_str().is_ascii();
                let (printed, view) = naming.view_variable(&name, variable, shape.clone(), is_substitute);
                let full = FullName::root().join(&printed);
                if let ([dimension], true) = (view.dimensions.as_slice(), grids::is_numeric(&view.data_type))
                    && variable.dimensions.first().is_some_and(|d| d.name.as_ref() == Some(&name))
                    && let Some(dimension) = &dimension.name
                {
                    coordinates.insert(dimension.clone(), full.clone());
                }
                let stored = variable.data_type.clone();
                let conversion = shape.conversion;
                origins.insert(full, Origin { name, stored, conversion, maps: None, text });
                root.variables.push(view);
            }
            let prefix = group.name.components().fold(String::new(), |p, c| format!("{p}{c}."));
            for mut attribute in attributes::of_group(&group.attributes) {
                attribute.name = format!("{prefix}{}", attribute.name).into();
                globals.push(attribute);
            }
        }
        root.attributes = globals.into_iter().collect();
        if !omitted.is_empty() {
            let list: Vec<String> =
                omitted.iter().map(|o| format!("{} ({})", &o.name.as_str()[1..], o.brief)).collect();
            root.attributes.set(Attribute::text("dap2_omitted", &list.join(", ")));
        }
        name_dimensions(&mut root, &mut naming);
        for variable in &root.variables {
            let full = FullName::root().join(&variable.name);
            let maps = grids::maps_of(&full, variable, &coordinates);
            if let Some(origin) = origins.get_mut(&full) {
                origin.maps = maps;
            }
        }
        let dataset = Dataset::new(stored.name(), root)?;
        Ok(Self { dataset, origins, omitted, spellings: OnceLock::new() })
    }

    fn spellings(&self) -> &Spellings {
        self.spellings.get_or_init(|| {
            let variables = &self.dataset.root().variables;
            Spellings::of(variables, |full| self.origins.get(full).map(|origin| &origin.name))
        })
    }
}

impl Source for View {
    fn dataset(&self) -> &Dataset {
        &self.form.dataset
    }

    fn version(&self) -> Option<&Version> {
        self.source.version()
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        let (Some(origin), Some(shown)) =
            (self.form.origins.get(variable), self.form.dataset.variable(variable))
        else {
            return failed(Error::not_found(format!("there is no variable {variable}")));
        };
        if selection.of_shape() != shown.shape() {
            return failed(Error::internal(format!("a selection made for another shape than {variable}'s")));
        }
        let stored = match (&origin.conversion, &origin.text) {
            (Conversion::Text { len }, Some(text)) if text.is_axis => {
                let mut axes = selection.axes().to_vec();
                axes.push(vec![Slice::all(*len)]);
                let mut shape = selection.of_shape().to_vec();
                shape.push(*len);
                Selection::new(axes, &shape)
            }
            _ => Ok(selection.clone()),
        };
        let blocks = match stored {
            Ok(stored) => self.source.read(&origin.name, &stored),
            Err(error) => return failed(error),
        };
        let fixed = shown.data_type.fixed_size().is_some();
        origin.conversion.clone().apply(origin.stored.clone(), fixed, selection.element_count(), blocks)
    }
}

fn failed(error: Error) -> BlockStream {
    stream::once(async { Err(error) }).boxed()
}

/// A variable's type, dimensions and conversion in the view.
#[derive(Debug, Clone)]
struct Shown {
    data_type: DataType,
    rank: usize,
    conversion: Conversion,
}

/// How the view has `variable`; or why not, briefly and in full.
fn servable(
    source: &Arc<dyn Source>,
    name: &FullName,
    variable: &Variable,
    widen: bool,
) -> Result<Shown, (String, Error)> {
    let path = &name.as_str()[1..];
    let Some(shape) = shown(variable, widen, 0) else {
        let kind = variable.data_type.name();
        let reason =
            format!("{path} is not served over DAP2, which has no form for its type {kind}; DAP4 has one");
        return Err((kind.to_owned(), Error::unsupported(reason)));
    };
    // netcdf-c takes no axis without elements ("Index exceeds dimension bound", or a second unlimited one).
    if variable.dimensions.iter().take(shape.rank).any(|d| d.size == 0) {
        let reason = format!("{path} is not served over DAP2, as it has no elements; use DAP4");
        return Err(("no elements".to_owned(), Error::bad_request(reason)));
    }
    match unreadable(source, name, variable) {
        Some(reason) => Err(("cannot be read".to_owned(), reason.within(path))),
        None => Ok(shape),
    }
}

/// Why no element of `variable` can be read, where its source knows that without reading: nothing is asked
/// of it, and only an answer at once counts. netcdf-c fetches all small variables in one request, so that
/// one of these would cost it the others.
fn unreadable(source: &Arc<dyn Source>, name: &FullName, variable: &Variable) -> Option<Error> {
    if variable.dimensions.is_empty() {
        return None;
    }
    let nothing = Selection::new(vec![Vec::new(); variable.dimensions.len()], &variable.shape()).ok()?;
    let reason = source.read(name, &nothing).next().now_or_never().flatten()?.err()?;
    // Other failures may pass, or are of this reading alone: they are told to who reads.
    matches!(reason.kind(), ErrorKind::Unsupported | ErrorKind::Forbidden).then_some(reason)
}

/// `None` for what DAP2 cannot express (section 5.5).
fn shown(variable: &Variable, widen: bool, depth: usize) -> Option<Shown> {
    use DataType as T;
    let rank = variable.dimensions.len();
    let same = |data_type: T| Some(Shown { data_type, rank, conversion: Conversion::Same });
    let base = if let T::Enum(e) = &variable.data_type { &e.base } else { &variable.data_type };
    match base {
        T::Int8 | T::UInt8 => same(T::UInt8),
        T::Int16 | T::Int32 | T::UInt16 | T::UInt32 | T::Float32 | T::Float64 | T::String | T::Url => {
            same(base.clone())
        }
        T::Int64 | T::UInt64 => widen.then(|| Shown {
            data_type: T::Float64,
            rank,
            conversion: Conversion::Wide { signed: *base == T::Int64 },
        }),
        T::Char => {
            let len = variable.dimensions.last().map_or(1, |d| d.size);
            Some(Shown {
                data_type: T::String,
                rank: rank.saturating_sub(1),
                conversion: Conversion::Text { len },
            })
        }
        T::Structure(record) => {
            let (record, members) = shown_record(record, widen, depth)?;
            let data_type = T::Structure(record);
            Some(Shown { data_type, rank, conversion: Conversion::Record(members) })
        }
        T::Sequence(record) if !record.is_vlen && rank == 0 => {
            let (record, members) = shown_record(record, widen, depth)?;
            let data_type = T::Sequence(record);
            Some(Shown { data_type, rank, conversion: Conversion::Rows(members) })
        }
        T::Sequence(_) | T::Opaque(_) | T::Enum(_) => None,
    }
}

/// All members, or nothing: a record without one of them would say something else.
fn shown_record(record: &RecordType, widen: bool, depth: usize) -> Option<(Arc<RecordType>, Vec<Member>)> {
    if depth >= MAX_DEPTH || record.fields.is_empty() {
        return None;
    }
    let mut fields = Vec::with_capacity(record.fields.len());
    let mut members = Vec::with_capacity(record.fields.len());
    let mut taken = HashSet::new();
    for field in &record.fields {
        let shape = shown(field, widen || is_time(field), depth + 1)?;
        let dimensions: Vec<Dimension> =
            field.dimensions.iter().take(shape.rank).map(|d| Dimension::anonymous(d.size)).collect();
        let count = dimensions.iter().fold(1_u64, |n, d| n.saturating_mul(d.size));
        if count == 0 {
            return None;
        }
        let name = names::encode(&field.name);
        if !taken.insert(name.clone()) {
            return None;
        }
        let mut shown = Variable::new(name, shape.data_type, dimensions);
        shown.attributes = attributes::of_variable(&field.attributes, &field.data_type, &shown.data_type);
        if shown.data_type.fixed_size() == Some(0) {
            return None;
        }
        fields.push(shown);
        members.push(Member { stored: field.data_type.clone(), count, conversion: shape.conversion });
    }
    Some((Arc::new(RecordType { name: None, fields, is_vlen: false }), members))
}

/// Names the anonymous dimensions, after all real names are given: xarray cannot open a pydap variable
/// without, and netcdf-c would make up just this name.
fn name_dimensions(root: &mut Group, naming: &mut Naming) {
    for variable in &mut root.variables {
        for (axis, dimension) in variable.dimensions.iter_mut().enumerate() {
            if dimension.name.is_none() {
                let plain = format!("{}_{axis}", variable.name);
                let plain = plain.replace(names::GROUP_SEPARATOR, names::GROUP_SEPARATOR_IN_DIMENSIONS);
                dimension.name = Some(FullName::root().join(&naming.unique(&plain)));
                root.dimensions.push(dimension.clone());
            }
        }
    }
}

fn text_length(variable: &Variable, shape: &Shown, naming: &mut Naming) -> Option<TextLength> {
    let Conversion::Text { len } = shape.conversion else { return None };
    let axis = variable.dimensions.last();
    let dimension = axis.and_then(|d| d.name.as_ref()).map(|n| naming.of_dimension(n));
    Some(TextLength { is_axis: axis.is_some(), len, dimension })
}

/// CF times, which must survive: `units` with ` since `.
fn is_time(variable: &Variable) -> bool {
    variable.attributes.text("units").is_some_and(|u| u.contains(" since "))
}

/// Variables that give positions: 1-D coordinate variables and those that `coordinates`, `bounds` or
/// `climatology` attributes name (in the same group, or by path).
fn coordinate_like(dataset: &Dataset) -> HashSet<FullName> {
    let mut found = HashSet::new();
    for group in dataset.root().walk() {
        for variable in &group.variables {
            let name = group.name.join(&variable.name);
            for role in ["coordinates", "bounds", "climatology"] {
                let Some(text) = variable.attributes.text(role) else { continue };
                for word in text.split_whitespace() {
                    let near =
                        if word.starts_with('/') { FullName::new(word) } else { group.name.join(word) };
                    let near = if dataset.variable(&near).is_some() { near } else { FullName::new(word) };
                    found.insert(near);
                }
            }
            if variable.dimensions.len() == 1 && variable.dimensions[0].name.as_ref() == Some(&name) {
                found.insert(name);
            }
        }
    }
    found
}

/// Gives printed names, each once: a variable and a dimension of one full name stay namesakes.
#[derive(Debug, Default)]
struct Naming {
    given: HashMap<FullName, String>,
    taken: HashSet<String>,
    /// The next number for names that are taken.
    numbers: HashMap<String, u64>,
}

impl Naming {
    /// The path's components, encoded and joined; a number is added if that is taken already, which
    /// only stand-ins for non-ASCII characters can cause.
    fn of(&mut self, name: &FullName) -> String {
        if let Some(given) = self.given.get(name) {
            return given.clone();
        }
        let printed = self.unique(&names::printed(name));
        self.given.insert(name.clone(), printed.clone());
        printed
    }

    fn unique(&mut self, plain: &str) -> String {
        if self.taken.insert(plain.to_owned()) {
            return plain.to_owned();
        }
        let number = self.numbers.entry(plain.to_owned()).or_insert(2);
        loop {
            let printed = format!("{plain}_{number}");
            *number += 1;
            if self.taken.insert(printed.clone()) {
                return printed;
            }
        }
    }

    fn of_dimension(&mut self, name: &FullName) -> String {
        self.of(name).replace(names::GROUP_SEPARATOR, names::GROUP_SEPARATOR_IN_DIMENSIONS)
    }

    fn dimension(&mut self, stored: &Dimension) -> Dimension {
        let name = stored.name.as_ref().map(|n| FullName::root().join(&self.of_dimension(n)));
        Dimension { name, ..stored.clone() }
    }

    /// The printed name and the view's variable.
    fn view_variable(
        &mut self,
        name: &FullName,
        stored: &Variable,
        shape: Shown,
        is_substitute: bool,
    ) -> (String, Variable) {
        let printed = self.of(name);
        let dimensions = stored.dimensions.iter().take(shape.rank).map(|d| self.dimension(d)).collect();
        let mut shown = Variable::new(printed.as_str(), shape.data_type, dimensions);
        shown.attributes = attributes::of_variable(&stored.attributes, &stored.data_type, &shown.data_type);
        if is_substitute {
            set_if_absent(&mut shown.attributes, Attribute::text("origname", &name.as_str()[1..]));
        }
        (printed, shown)
    }
}

fn set_if_absent(attributes: &mut Attributes, attribute: Attribute) {
    if attributes.get(&attribute.name).is_none() {
        attributes.set(attribute);
    }
}

#[cfg(test)]
mod tests {
    use cdm::testing::source_contract;
    use futures::executor::block_on;

    use super::*;
    use crate::protocols::dap2::tests::fixture;

    #[test]
    fn the_view_is_a_source() {
        for wide in [WideIntegers::Coordinates, WideIntegers::All] {
            let view: Arc<dyn Source> = Arc::new(View::new(fixture(true), wide).unwrap());
            block_on(source_contract(&view, 42, 20));
        }
    }

    #[test]
    fn what_is_shown_is_made_once_for_a_dataset() {
        let source = fixture(true);
        let form = |wide| View::new(Arc::clone(&source), wide).unwrap().form;
        assert!(Arc::ptr_eq(&form(WideIntegers::Coordinates), &form(WideIntegers::Coordinates)));
        assert!(!Arc::ptr_eq(&form(WideIntegers::Coordinates), &form(WideIntegers::All)));
    }

    #[test]
    fn all_wide_integers_can_be_kept() {
        let shown = |wide| View::new(fixture(true), wide).unwrap().dataset().root().variable("id").cloned();
        assert_eq!(shown(WideIntegers::Coordinates), None);
        assert_eq!(shown(WideIntegers::All).unwrap().data_type, DataType::Float64);
    }

    #[test]
    fn names_that_coincide_are_told_apart() {
        let mut naming = Naming::default();
        let names = ["/é", "/_u00E9_", "/a/b", "/é"].map(FullName::new);
        assert_eq!(names.map(|n| naming.of(&n)), ["_u00E9_", "_u00E9__2", "a/b", "_u00E9_"]);
    }
}
