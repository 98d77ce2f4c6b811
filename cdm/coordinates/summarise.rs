//! A [`Summary`] of a Source: from its description, the values of its coordinates, and where there are none from
//! the global attributes that ACDD gives them.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use super::{
    axes::{Axis, Role, Roles},
    coverage,
    summary::{Range, Summary, TimeCoverage, VariableSummary, Vertical},
};
use crate::{Attributes, DataType, Dataset, FullName, Result, Source, Variable};

/// Global attributes that are kept, of ACDD 1.3 and CF section 2.6.2.
const TEXTS: [&str; 38] = [
    "title",
    "summary",
    "Conventions",
    "license",
    "institution",
    "source",
    "references",
    "comment",
    "keywords",
    "keywords_vocabulary",
    "id",
    "naming_authority",
    "doi",
    "creator_name",
    "creator_email",
    "creator_url",
    "creator_type",
    "creator_institution",
    "publisher_name",
    "publisher_email",
    "publisher_url",
    "publisher_type",
    "publisher_institution",
    "contributor_name",
    "contributor_role",
    "project",
    "program",
    "acknowledgement",
    "acknowledgment",
    "processing_level",
    "product_version",
    "date_created",
    "date_modified",
    "date_issued",
    "cdm_data_type",
    "featureType",
    "platform",
    "instrument",
];

/// Bytes of one text.
const LONGEST_TEXT: usize = 4096;

/// Variables that a summary lists; those of larger datasets are found in their own description.
const MOST_VARIABLES: usize = 1000;

/// What a catalog says of `source`. Reads the values of at most four coordinates, each up to a
/// million, or its ends.
///
/// # Errors
/// Those of storage, after which another try may succeed. A coordinate whose stored bytes are broken is left out.
pub async fn summarise(source: &Arc<dyn Source>) -> Result<Summary> {
    let dataset = source.dataset();
    let roles = Roles::of(dataset);
    let mut summary = described(dataset, &roles);
    let global = &dataset.root().attributes;
    let used = usage(dataset, &roles);
    let main = |axis| main_coordinate(dataset, &roles, &used, axis);

    if let Some((name, variable)) = main(Axis::Time)
        && let Some(values) = coverage::read(source, &name, variable).await?
    {
        summary.time = coverage::time(variable, &values);
    }
    if let Some((name, variable)) = main(Axis::Latitude)
        && let Some(values) = coverage::read(source, &name, variable).await?
    {
        summary.latitude = coverage::range(&values.within(91.0));
    }
    if let Some((name, variable)) = main(Axis::Longitude)
        && let Some(values) = coverage::read(source, &name, variable).await?
    {
        summary.longitude = coverage::longitudes(&values.within(720.0));
    }
    if let Some((name, variable)) = main(Axis::Vertical)
        && let Some(values) = coverage::read(source, &name, variable).await?
    {
        summary.vertical = coverage::range(&values).map(|range| Vertical {
            range,
            units: text(&variable.attributes, "units").unwrap_or_default(),
            positive: text(&variable.attributes, "positive").map(|p| p.to_ascii_lowercase()),
        });
    }
    summary.time = summary.time.or_else(|| said_time(global));
    summary.latitude = summary.latitude.or_else(|| said_range(global, "lat"));
    summary.longitude = summary.longitude.or_else(|| said_range(global, "lon"));
    summary.vertical = summary.vertical.or_else(|| {
        said_range(global, "vertical").map(|range| Vertical {
            range,
            units: text(global, "geospatial_vertical_units").unwrap_or_default(),
            positive: text(global, "geospatial_vertical_positive").map(|p| p.to_ascii_lowercase()),
        })
    });
    Ok(summary)
}

/// What the description alone says.
fn described(dataset: &Dataset, roles: &Roles) -> Summary {
    let global = &dataset.root().attributes;
    let texts = global.iter().filter(|a| TEXTS.iter().any(|known| known.eq_ignore_ascii_case(&a.name)));
    let texts = texts.filter_map(|a| Some((a.name.to_string(), text(global, &a.name)?)));
    let data = dataset.variables().filter(|(name, _)| roles.role(name) == Role::Data);
    Summary {
        texts: texts.collect(),
        variables: data.take(MOST_VARIABLES).map(|(name, v)| variable_summary(&name, v)).collect(),
        bytes: dataset.variables().filter_map(|(_, v)| v.byte_len()).fold(0, u64::saturating_add),
        ..Summary::default()
    }
}

fn variable_summary(name: &FullName, variable: &Variable) -> VariableSummary {
    let attributes = &variable.attributes;
    VariableSummary {
        name: name.as_str().trim_start_matches('/').to_owned(),
        long_name: text(attributes, "long_name"),
        standard_name: text(attributes, "standard_name"),
        units: text(attributes, "units"),
        dimensions: variable
            .dimensions
            .iter()
            .map(|d| (d.name.as_ref().map_or_else(|| d.size.to_string(), |n| n.short().to_owned()), d.size))
            .collect(),
    }
}

/// How many data variables each coordinate is one of.
fn usage(dataset: &Dataset, roles: &Roles) -> HashMap<FullName, usize> {
    let mut used = HashMap::new();
    for (_, variable) in dataset.variables().filter(|(name, _)| roles.role(name) == Role::Data) {
        for map in &variable.maps {
            *used.entry(map.clone()).or_default() += 1;
        }
    }
    used
}

/// The coordinate of this axis that most data variables have; the larger one, the first of several.
fn main_coordinate<'a>(
    dataset: &'a Dataset,
    roles: &Roles,
    used: &HashMap<FullName, usize>,
    axis: Axis,
) -> Option<(FullName, &'a Variable)> {
    let is_number = |v: &Variable| v.data_type.fixed_size().is_some() && v.data_type != DataType::Char;
    let candidates = dataset.variables().filter(|(name, v)| roles.axis(name) == Some(axis) && is_number(v));
    candidates
        .min_by_key(|(name, v)| Reverse((used.get(name).copied().unwrap_or_default(), v.element_count())))
}

/// A text that is not empty, without what C programs leave at its end.
fn text(attributes: &Attributes, name: &str) -> Option<String> {
    let text = attributes.text(name)?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end))?;
    text.get(..end).filter(|t| !t.is_empty()).map(str::to_owned)
}

/// A number, also one written as text.
fn number(attributes: &Attributes, name: &str) -> Option<f64> {
    let attribute = attributes.get(name)?;
    let number = match attribute.as_text() {
        Some(text) => text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse().ok(),
        None => crate::values(&attribute.data_type, &attribute.values).next()?.as_f64(),
    };
    number.filter(|n: &f64| n.is_finite())
}

fn said_range(global: &Attributes, what: &str) -> Option<Range> {
    let min = number(global, &format!("geospatial_{what}_min"))?;
    let max = number(global, &format!("geospatial_{what}_max"))?;
    let resolution = number(global, &format!("geospatial_{what}_resolution")).filter(|r| *r > 0.0);
    let (min, max) = match what {
        // Across the date line the westernmost is the larger number.
        "lon" if max < min => (min, max + 360.0),
        _ => (min.min(max), min.max(max)),
    };
    Some(Range { min, max, resolution })
}

fn said_time(global: &Attributes) -> Option<TimeCoverage> {
    let calendar = super::calendar::Calendar::Standard;
    let end = |name| {
        let moment = super::date::Moment::parse(&text(global, name)?, calendar).ok()?;
        Some(moment.date(calendar).to_string())
    };
    Some(TimeCoverage {
        start: end("time_coverage_start")?,
        end: end("time_coverage_end")?,
        calendar: calendar.name().to_owned(),
        resolution: text(global, "time_coverage_resolution").filter(|r| r.starts_with('P')),
        count: 0,
    })
}

#[cfg(test)]
mod tests;
