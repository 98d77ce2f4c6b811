//! What a definition of a dataset says, resolved against nothing yet. Every part knows the line it stands on.
//!
//! The elements and attributes are those of NcML 2.2 ("NetCDF Markup Language", Unidata); what only the
//! configuration can say is marked so.

use std::{sync::Arc, time::Duration};

use cdm::DataType;

/// `netcdf`: a dataset, from a location or an aggregation or nothing, with edits over it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Netcdf {
    /// Line in the document, from 1; 0 when it is not from one.
    pub line: usize,
    /// `location`: a path relative to the document's folder, a `file:` URL or a URL.
    pub location: Option<String>,
    /// `coordValue`: the values of the join coordinate in this member, separated by blanks or commas.
    pub coord_value: Option<String>,
    /// `ncoords`: the length of the join dimension in this member.
    pub ncoords: Option<u64>,
    /// `section`: where this member lies in a tiled aggregation, `0:29,0:9`.
    pub section: Option<String>,
    /// `explicit`: only what is declared here is in the dataset.
    pub is_explicit: bool,
    /// The edits of the root group.
    pub edits: GroupEdit,
    /// `aggregation`.
    pub aggregation: Option<Aggregation>,
}

/// The edits of a `group`, and what is added to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupEdit {
    /// Line in the document.
    pub line: usize,
    /// `name`; empty for the root.
    pub name: String,
    /// `orgName`: what it is called in the dataset that is edited.
    pub org_name: Option<String>,
    /// `enumTypedef`s.
    pub types: Vec<EnumTypedef>,
    /// `dimension`s.
    pub dimensions: Vec<DimensionEdit>,
    /// `attribute`s.
    pub attributes: Vec<AttributeEdit>,
    /// `variable`s.
    pub variables: Vec<VariableEdit>,
    /// Child `group`s.
    pub groups: Vec<GroupEdit>,
    /// `remove`s.
    pub removes: Vec<Remove>,
}

/// `enumTypedef`.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumTypedef {
    /// Line in the document.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `type`: `enum1`, `enum2` or `enum4`, as the integer type it is stored as.
    pub base: DataType,
    /// `enum` keys and names.
    pub members: Vec<(i128, String)>,
}

/// `dimension`.
#[derive(Debug, Clone, PartialEq)]
pub struct DimensionEdit {
    /// Line in the document.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `orgName`.
    pub org_name: Option<String>,
    /// `length`.
    pub length: Option<u64>,
    /// `isUnlimited`.
    pub is_unlimited: Option<bool>,
    /// `isVariableLength`.
    pub is_variable_length: bool,
}

/// `attribute`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeEdit {
    /// Line in the document.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `orgName`.
    pub org_name: Option<String>,
    /// `type`; `None` is text.
    pub data_type: Option<DataType>,
    /// `value` or the element's text; `None` when the attribute is only renamed.
    pub value: Option<String>,
    /// `separator`; blanks when `None` (and one text for text).
    pub separator: Option<String>,
}

/// `variable`, or a member of a structure.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableEdit {
    /// Line in the document.
    pub line: usize,
    /// `name`.
    pub name: String,
    /// `orgName`.
    pub org_name: Option<String>,
    /// `type`, `None` to keep it.
    pub data_type: Option<TypeName>,
    /// `shape`: dimension names or lengths, `None` to keep it, empty for a scalar.
    pub shape: Option<Vec<String>>,
    /// `attribute`s.
    pub attributes: Vec<AttributeEdit>,
    /// Members of a structure.
    pub variables: Vec<VariableEdit>,
    /// `values`.
    pub values: Option<Values>,
    /// `logicalSection`, `logicalSlice`, `logicalView`, `logicalReduce`, in this order of the document.
    pub logical: Vec<Logical>,
    /// `remove`s of attributes.
    pub removes: Vec<Remove>,
}

/// The `type` of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeName {
    /// A plain type; `Structure` and `Sequence` have their members in [`VariableEdit::variables`].
    Plain(DataType),
    /// `Structure`.
    Structure,
    /// `Sequence`.
    Sequence,
    /// `enum1`, `enum2`, `enum4` with its `typedef`.
    Enum(String),
}

/// `values`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// The element's text, split at `separator` or at blanks.
    List {
        /// The text.
        text: String,
        /// `separator`.
        separator: Option<String>,
    },
    /// `start` and `increment`.
    Ramp {
        /// The first value.
        start: f64,
        /// The distance to the next.
        increment: f64,
    },
    /// `fromAttribute`: `variable@attribute` or `@attribute`.
    FromAttribute(String),
}

/// A part of a variable in place of the whole.
#[derive(Debug, Clone, PartialEq)]
pub enum Logical {
    /// `logicalSection section="0:9:2,:,3"`.
    Section(String),
    /// `logicalSlice dimName index`.
    Slice {
        /// The dimension.
        dimension: String,
        /// The index along it.
        index: u64,
    },
    /// `logicalView`: the order of dimensions by name.
    View(Vec<String>),
    /// `logicalReduce`: dimensions of length 1 that are dropped.
    Reduce(Vec<String>),
}

/// `remove`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// Line in the document.
    pub line: usize,
    /// What kind of thing.
    pub kind: RemoveKind,
    /// `name`.
    pub name: String,
}

/// The `type` of a `remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveKind {
    /// `attribute`
    Attribute,
    /// `dimension`
    Dimension,
    /// `variable`
    Variable,
    /// `group`
    Group,
}

/// `aggregation`.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// Line in the document.
    pub line: usize,
    /// `type`.
    pub join: Join,
    /// `dimName`: a name in the root group, or a full name (`/group/name`).
    pub dimension: Option<String>,
    /// `recheckEvery`; `None`: the setting's.
    pub recheck: Option<Duration>,
    /// `timeUnitsChange`: units of the join coordinate may differ; ours always may.
    pub time_units_change: bool,
    /// `variableAgg`s.
    pub variables: Vec<String>,
    /// `promoteGlobalAttribute`s.
    pub promote: Vec<Promote>,
    /// `cacheVariable`s.
    pub cache: Vec<String>,
    /// `scan`s.
    pub scans: Vec<Scan>,
    /// `netcdf` children.
    pub members: Vec<Netcdf>,
}

/// How members become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// All variables of all members.
    Union,
    /// One after the other along a dimension that they have.
    Existing,
    /// One after the other along a dimension that is new.
    New,
    /// As tiles of a grid.
    Tiled,
    /// As runs of a forecast model (`forecastModelRunCollection`), seen one way.
    Forecast(ForecastView),
}

/// What is shown of a collection of forecast model runs. In NcML it is the two-time collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForecastView {
    /// Run and valid time as two dimensions.
    TwoTime,
    /// For each valid time the newest run that has it.
    Best,
    /// One run, by its time in ISO 8601; `None` is the newest.
    Run(Option<Arc<str>>),
    /// All that is so long after its run: hours, as written.
    Offset(Arc<str>),
    /// All that is valid at one time, from every run: ISO 8601.
    ConstantForecast(Arc<str>),
}

/// `promoteGlobalAttribute`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promote {
    /// `name`: of the new variable.
    pub name: String,
    /// `orgName`: of the global attribute.
    pub attribute: String,
}

/// `scan`: members from a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Line in the document.
    pub line: usize,
    /// `location`: a folder, as [`Netcdf::location`]; in the configuration it may be empty for the root.
    pub location: String,
    /// `suffix` of file names.
    pub suffix: Option<String>,
    /// `regExp` that the whole path below the location must match.
    pub pattern: Option<String>,
    /// A glob over paths below the location; only in the configuration.
    pub glob: Option<String>,
    /// `subdirs`: folders below too; NcML's default is true.
    pub subfolders: bool,
    /// `olderThan`: files written since are left out.
    pub older_than: Option<Duration>,
    /// `dateFormatMark`: the join coordinate's value is in the file name, `sst#yyyyMMdd`.
    pub date_format_mark: Option<String>,
}
