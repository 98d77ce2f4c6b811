//! schema.org descriptions for search engines: a data block in a page, which no browser executes.

use cdm::{
    Dataset,
    coordinates::{
        axes::{Role, Roles},
        summary::Summary,
    },
};
use serde_json::{Value as Json, json};

use super::Site;

/// Variables that are described.
const MOST_VARIABLES: usize = 50;
/// Characters of a description; search engines take no more.
const LONGEST: usize = 5000;

/// A dataset's texts by ACDD name.
type Texts<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// What is known of a dataset.
pub(super) struct Facts<'a> {
    pub(super) name: String,
    pub(super) dataset: &'a Dataset,
    pub(super) summary: Option<&'a Summary>,
    /// Of its page.
    pub(super) url: String,
    /// Of its data.
    pub(super) base: &'a str,
    /// Of its file.
    pub(super) file: Option<String>,
    pub(super) modified: String,
    pub(super) site: Site<'a>,
    /// Its texts by ACDD name.
    pub(super) texts: Texts<'a>,
}

/// The whole site as a `DataCatalog`.
pub(super) fn catalog(site: Site<'_>) -> String {
    block(&catalog_of(site, true))
}

fn catalog_of(site: Site<'_>, is_whole: bool) -> Json {
    let mut catalog = json!({
        "@type": "DataCatalog",
        "name": site.title,
        "url": format!("{}/", site.origin),
    });
    if is_whole {
        catalog["@context"] = "https://schema.org/".into();
    }
    catalog
}

/// A dataset.
pub(super) fn dataset(facts: &Facts<'_>) -> String {
    let text = |names: &[&str]| names.iter().find_map(|name| (facts.texts)(name));
    let description = text(&["summary", "description", "comment"]).unwrap_or_else(|| fallback(facts));
    let mut document = json!({
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": facts.name,
        "description": description.chars().take(LONGEST).collect::<String>(),
        "url": facts.url,
        "identifier": text(&["doi", "id"]).unwrap_or_else(|| facts.base.to_owned()),
        "variableMeasured": variables(facts),
        "distribution": distribution(facts),
        "includedInDataCatalog": catalog_of(facts.site, false),
    });
    let mut say = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            document[key] = value;
        }
    };
    say("license", text(&["license"]).map(Json::from));
    say("creator", creator(facts));
    say("keywords", text(&["keywords"]).map(Json::from));
    say("dateModified", Some(facts.modified.as_str()).filter(|t| !t.is_empty()).map(Json::from));
    if let Some(summary) = facts.summary {
        say("temporalCoverage", summary.time.as_ref().map(|t| format!("{}/{}", t.start, t.end).into()));
        if let (Some(lat), Some(lon)) = (summary.latitude, summary.longitude) {
            let place = json!({
                "@type": "Place",
                "geo": {
                    "@type": "GeoShape",
                    // South, west, north, east.
                    "box": format!("{} {} {} {}", lat.min, signed(lon.min), lat.max, signed(lon.max)),
                },
            });
            say("spatialCoverage", Some(place));
        }
    }
    block(&document)
}

/// A longitude as schema.org wants it, -180 to 180.
fn signed(longitude: f64) -> f64 {
    if longitude > 180.0 { longitude - 360.0 } else { longitude }
}

fn creator(facts: &Facts<'_>) -> Option<Json> {
    let person = (facts.texts)("creator_name");
    let is_institution =
        (facts.texts)("creator_type").is_some_and(|t| ["institution", "group"].contains(&t.as_str()));
    let (kind, name) = match (person, (facts.texts)("institution")) {
        (Some(name), _) if is_institution => ("Organization", name),
        (Some(name), _) => ("Person", name),
        (None, Some(name)) => ("Organization", name),
        (None, None) => return None,
    };
    let mut creator = json!({ "@type": kind, "name": name });
    if let Some(url) = (facts.texts)("creator_url") {
        creator["url"] = url.into();
    }
    Some(creator)
}

fn variables(facts: &Facts<'_>) -> Vec<Json> {
    // Coordinates measure nothing.
    let roles = Roles::of(facts.dataset);
    let all = facts.dataset.variables().filter(|(name, _)| roles.role(name) == Role::Data);
    let one = |(name, variable): (cdm::FullName, &cdm::Variable)| {
        let mut said = json!({ "@type": "PropertyValue", "name": name.as_str().trim_start_matches('/') });
        for (key, attribute) in [("description", "long_name"), ("unitText", "units")] {
            if let Some(text) = variable.attributes.text(attribute) {
                said[key] = text.chars().take(200).collect::<String>().into();
            }
        }
        said
    };
    all.take(MOST_VARIABLES).map(one).collect()
}

fn distribution(facts: &Facts<'_>) -> Vec<Json> {
    let base = facts.base;
    let one = |url: String, format: &str, name: &str| json!({ "@type": "DataDownload", "contentUrl": url, "encodingFormat": format, "name": name });
    let mut all = vec![
        one(format!("{base}.dap"), "application/vnd.opendap.dap4.data", "DAP4"),
        one(format!("{base}.dods"), "application/octet-stream", "DAP2"),
    ];
    if let Some(file) = &facts.file {
        all.push(one(file.clone(), "application/x-netcdf", "file"));
    }
    all
}

/// Search engines refuse a dataset without a description.
fn fallback(facts: &Facts<'_>) -> String {
    let names: Vec<_> = facts
        .dataset
        .variables()
        .take(20)
        .map(|(name, v)| {
            v.attributes.text("long_name").map_or_else(|| name.short().to_owned(), |t| t.trim().to_owned())
        })
        .collect();
    format!("{}: a dataset with {}, served by {}.", facts.dataset.name(), names.join(", "), facts.site.title)
}

/// `document` as it may stand in a `script` element: no text in it can end the element or open a comment.
fn block(document: &Json) -> String {
    document.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_block() {
        let document = json!({ "name": "</script><!--<script>&amp;" });
        let text = block(&document);
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), document);
    }
}
