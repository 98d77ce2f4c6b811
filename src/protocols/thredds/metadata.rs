//! What InvCatalog says of a dataset besides where it is, drawn from its [`Summary`] alone: documentation,
//! people, dates, coverage, variables. ACDD's attribute names lead to the elements that the ACDD table names.

use std::io;

use cdm::coordinates::summary::{Range, Summary, TimeCoverage, VariableSummary, Vertical};
use quick_xml::events::BytesText;

use super::xml::Xml;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// In long catalogs: where and when, not every text and variable.
    Short,
}

/// Documentation by the type it has here, and the attributes it comes from: the first that is there.
const DOCUMENTATION: [(&str, &[&str]); 6] = [
    ("summary", &["summary", "description", "abstract", "comment"]),
    ("rights", &["license", "rights"]),
    ("history", &["history"]),
    ("processing_level", &["processing_level"]),
    ("funding", &["acknowledgement", "acknowledgment"]),
    ("references", &["references"]),
];

/// Dates by the type they have here.
const DATES: [(&str, &str); 4] = [
    ("created", "date_created"),
    ("modified", "date_modified"),
    ("issued", "date_issued"),
    ("metadataModified", "date_metadata_modified"),
];

/// What is passed on as it is.
const PROPERTIES: [&str; 5] = ["title", "Conventions", "institution", "source", "id"];

/// Calendars whose dates are dates to every reader.
const PLAIN_CALENDARS: [&str; 5] = ["standard", "gregorian", "proleptic_gregorian", "noleap", "365_day"];

/// The elements of `summary`.
pub(super) fn write(xml: &mut Xml, summary: &Summary, detail: Detail) -> io::Result<()> {
    let text = |name: &str| {
        let found = summary.texts.iter().find(|(n, _)| n == name).map(|(_, text)| text.trim());
        found.filter(|text| !text.is_empty())
    };
    if let Some(kind) = data_type(summary) {
        simple(xml, "dataType", &[], kind)?;
    }
    if let Some(authority) = text("naming_authority") {
        simple(xml, "authority", &[], authority)?;
    }
    for name in PROPERTIES {
        if let Some(value) = text(name) {
            property(xml, name, value)?;
        }
    }
    for (kind, names) in DOCUMENTATION {
        if detail == Detail::Short && kind != "summary" {
            continue;
        }
        if let Some(found) = names.iter().find_map(|name| text(name)) {
            documentation(xml, kind, found)?;
        }
    }
    if detail == Detail::Full {
        keywords(xml, text("keywords"), text("keywords_vocabulary"))?;
        if let Some(name) = text("creator_name").or_else(|| text("institution")) {
            source(xml, "creator", name, text("creator_email"), text("creator_url"))?;
        }
        if let Some(name) = text("publisher_name") {
            source(xml, "publisher", name, text("publisher_email"), text("publisher_url"))?;
        }
        if let Some(name) = text("contributor_name") {
            simple(xml, "contributor", &[("role", text("contributor_role").unwrap_or_default())], name)?;
        }
        if let Some(name) = text("project") {
            simple(xml, "project", &[], name)?;
        }
        for (kind, name) in DATES {
            if let Some(date) = text(name) {
                simple(xml, "date", &[("type", kind)], date)?;
            }
        }
    }
    coverage(xml, summary)?;
    if let Some(time) = &summary.time {
        time_coverage(xml, time)?;
    }
    if detail == Detail::Full && !summary.variables.is_empty() {
        variables(xml, &summary.variables)?;
    }
    Ok(())
}

/// The data type, where it is certain: what CF's `featureType` says, or a grid of latitudes and longitudes.
fn data_type(summary: &Summary) -> Option<&'static str> {
    let said = summary.texts.iter().find(|(name, _)| name == "featureType" || name == "cdm_data_type");
    if let Some((_, said)) = said {
        let kinds = [
            ("point", "Point"),
            ("timeSeries", "Station"),
            ("station", "Station"),
            ("trajectory", "Trajectory"),
            ("profile", "Profile"),
            ("timeSeriesProfile", "StationProfile"),
            ("trajectoryProfile", "Section"),
            ("grid", "Grid"),
            ("swath", "Swath"),
            ("radial", "Radial"),
            ("image", "Image"),
        ];
        return kinds.into_iter().find(|(cf, _)| cf.eq_ignore_ascii_case(said.trim())).map(|(_, kind)| kind);
    }
    (summary.latitude.is_some() && summary.longitude.is_some()).then_some("Grid")
}

fn documentation(xml: &mut Xml, kind: &str, text: &str) -> io::Result<()> {
    let is_link = (text.starts_with("http://") || text.starts_with("https://"))
        && !text.contains(|c: char| c.is_whitespace());
    if is_link {
        let link = [("type", kind), ("xlink:href", text), ("xlink:title", text)];
        xml.create_element("documentation").with_attributes(link).write_empty()?;
        return Ok(());
    }
    simple(xml, "documentation", &[("type", kind)], text)
}

fn keywords(xml: &mut Xml, keywords: Option<&str>, vocabulary: Option<&str>) -> io::Result<()> {
    let separator = |c: char| c == ',' || c == ';';
    for keyword in keywords.unwrap_or_default().split(separator).map(str::trim).filter(|k| !k.is_empty()) {
        let vocabulary = vocabulary.map(|v| ("vocabulary", v));
        simple(xml, "keyword", vocabulary.as_slice(), keyword)?;
    }
    Ok(())
}

/// `creator` and `publisher`: the schema asks for a contact with an address, which may be empty.
fn source(
    xml: &mut Xml,
    element: &str,
    name: &str,
    email: Option<&str>,
    url: Option<&str>,
) -> io::Result<()> {
    xml.create_element(element).write_inner_content(|xml| {
        simple(xml, "name", &[], name)?;
        let mut contact = xml.create_element("contact").with_attribute(("email", email.unwrap_or_default()));
        if let Some(url) = url {
            contact = contact.with_attribute(("url", url));
        }
        contact.write_empty()?;
        Ok(())
    })?;
    Ok(())
}

fn coverage(xml: &mut Xml, summary: &Summary) -> io::Result<()> {
    let Summary { latitude, longitude, vertical, .. } = summary;
    if latitude.is_none() && longitude.is_none() && vertical.is_none() {
        return Ok(());
    }
    let mut element = xml.create_element("geospatialCoverage");
    let positive = vertical.as_ref().and_then(|v| v.positive.as_deref()).map(str::to_ascii_lowercase);
    if let Some(positive) = positive.as_deref().filter(|p| matches!(*p, "up" | "down")) {
        element = element.with_attribute(("zpositive", positive));
    }
    element.write_inner_content(|xml| {
        if let Some(latitude) = latitude {
            range(xml, "northsouth", latitude, "degrees_north")?;
        }
        if let Some(longitude) = longitude {
            range(xml, "eastwest", longitude, "degrees_east")?;
        }
        if let Some(Vertical { range: span, units, .. }) = vertical {
            range(xml, "updown", span, units)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn range(xml: &mut Xml, element: &str, range: &Range, units: &str) -> io::Result<()> {
    xml.create_element(element).write_inner_content(|xml| {
        simple(xml, "start", &[], &range.min.to_string())?;
        simple(xml, "size", &[], &difference(range.max, range.min))?;
        if let Some(resolution) = range.resolution {
            simple(xml, "resolution", &[], &resolution.abs().to_string())?;
        }
        if !units.is_empty() {
            simple(xml, "units", &[], units)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The difference to as many digits as the ends are written with: of 0.1 and 359.9 it is 359.8.
fn difference(max: f64, min: f64) -> String {
    let decimals = |value: f64| value.to_string().split_once('.').map_or(0, |(_, after)| after.len());
    let exact = max - min;
    let rounded = format!("{exact:.*}", decimals(max).max(decimals(min)).min(17));
    rounded.parse::<f64>().unwrap_or(exact).to_string()
}

/// Dates of calendars that have days which others lack would be wrong or unreadable: they are not named.
fn time_coverage(xml: &mut Xml, time: &TimeCoverage) -> io::Result<()> {
    let calendar = time.calendar.to_ascii_lowercase();
    if !matches!(calendar.as_str(), "" | "standard" | "gregorian" | "proleptic_gregorian") {
        property(xml, "calendar", &time.calendar)?;
    }
    if !calendar.is_empty() && !PLAIN_CALENDARS.contains(&calendar.as_str()) {
        return Ok(());
    }
    xml.create_element("timeCoverage").write_inner_content(|xml| {
        simple(xml, "start", &[], &time.start)?;
        simple(xml, "end", &[], &time.end)?;
        if let Some(resolution) = &time.resolution {
            simple(xml, "resolution", &[], resolution)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn variables(xml: &mut Xml, variables: &[VariableSummary]) -> io::Result<()> {
    xml.create_element("variables").with_attribute(("vocabulary", "CF-1.0")).write_inner_content(|xml| {
        for variable in variables {
            let standard = variable.standard_name.as_deref().unwrap_or_default();
            let units = variable.units.as_deref().unwrap_or_default();
            let attributes = [("name", &*variable.name), ("vocabulary_name", standard), ("units", units)];
            simple(xml, "variable", &attributes, variable.long_name.as_deref().unwrap_or_default())?;
        }
        Ok(())
    })?;
    Ok(())
}

fn property(xml: &mut Xml, name: &str, value: &str) -> io::Result<()> {
    simple(xml, "property", &[("name", name), ("value", value)], "")
}

/// An element with text alone. Characters that no XML document may hold are left out.
pub(super) fn simple(
    xml: &mut Xml,
    element: &str,
    attributes: &[(&str, &str)],
    text: &str,
) -> io::Result<()> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r') || c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}';
    let clean = |text: &str| text.chars().filter(|c| allowed(*c)).collect::<String>();
    let mut start = xml.create_element(element);
    for (name, value) in attributes {
        start = start.with_attribute((*name, clean(value).as_str()));
    }
    if text.is_empty() {
        start.write_empty()?;
    } else {
        start.write_text_content(BytesText::new(&clean(text)))?;
    }
    Ok(())
}
