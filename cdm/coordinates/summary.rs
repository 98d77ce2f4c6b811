//! What a catalog says of a dataset: title, variables, where and when it is. Drawn from CF and ACDD once, when
//! the dataset is first seen, and kept; plain data.

/// A dataset in short.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Summary {
    /// Texts of global attributes that catalogs show, by ACDD name: `title`, `summary`, `license`,
    /// `creator_name`, `institution`, `keywords`, `Conventions`, `references`, ... in the order of the dataset.
    pub texts: Vec<(String, String)>,
    /// Data variables: those that are not coordinates, bounds or grid mappings.
    pub variables: Vec<VariableSummary>,
    /// When.
    pub time: Option<TimeCoverage>,
    /// Degrees north: southernmost and northernmost.
    pub latitude: Option<Range>,
    /// Degrees east: westernmost and easternmost; the second may be above 180.
    pub longitude: Option<Range>,
    /// Height, depth or level.
    pub vertical: Option<Vertical>,
    /// Bytes of all variables, decoded.
    pub bytes: u64,
}

/// A variable in short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VariableSummary {
    /// Full name without the leading slash.
    pub name: String,
    /// `long_name`.
    pub long_name: Option<String>,
    /// `standard_name`.
    pub standard_name: Option<String>,
    /// `units`.
    pub units: Option<String>,
    /// Dimension names (or sizes where there is none) with sizes.
    pub dimensions: Vec<(String, u64)>,
}

/// The span of a time coordinate: ISO 8601 in the dataset's own calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TimeCoverage {
    /// The earliest.
    pub start: String,
    /// The latest.
    pub end: String,
    /// `standard`, `noleap`, ...
    pub calendar: String,
    /// The distance of equidistant times, as an ISO 8601 duration.
    pub resolution: Option<String>,
    /// Number of times.
    pub count: u64,
}

/// Two ends, and the distance of equidistant values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Range {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Distance between neighbours, where it is the same throughout.
    pub resolution: Option<f64>,
}

/// The span of a vertical coordinate.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vertical {
    /// The span.
    pub range: Range,
    /// `units`.
    pub units: String,
    /// `positive`: `up` or `down`.
    pub positive: Option<String>,
}
