//! What the bands of an image are: their metadata, and whether they are alike.
//!
//! Bands are alike when nothing that a reader of values needs differs between them: description, unit, scale
//! and offset. Statistics and the like may differ.

#![warn(clippy::indexing_slicing)]

use cdm::{Attribute, Attributes};

use super::metadata::Item;

/// More bands than this are never variables of their own.
const MOST_VARIABLES: u64 = 256;

/// Values of all lists of the bands' items together.
const MOST_LISTED: usize = 100_000;

/// The metadata of one band.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Band {
    description: Option<String>,
    unit: Option<String>,
    scale: Option<f64>,
    offset: Option<f64>,
    /// Everything else, by name.
    others: Vec<(String, String)>,
}

/// The bands of an image.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Bands(Vec<Band>);

impl Bands {
    /// From the items of an image of `count` bands.
    pub(crate) fn of(items: &[Item], count: u64) -> Self {
        let mut bands = vec![Band::default(); usize::try_from(count).unwrap_or(0)];
        for item in items.iter().filter(|i| i.domain.is_empty()) {
            let Some(band) = item.sample.and_then(|i| bands.get_mut(i)) else { continue };
            let number = || item.value.trim().parse().ok().filter(|n: &f64| n.is_finite());
            match item.role.as_str() {
                "description" => band.description = Some(item.value.clone()),
                "unittype" => band.unit = Some(item.value.clone()),
                "scale" => band.scale = number(),
                "offset" => band.offset = number(),
                _ => band.others.push((item.name.clone(), item.value.clone())),
            }
        }
        Self(bands)
    }

    /// Each band becomes a variable.
    pub(crate) fn are_variables(&self) -> bool {
        let essence = |b: &Band| (b.description.clone(), b.unit.clone(), b.scale, b.offset);
        let alike = self.0.windows(2).all(|w| matches!(w, [a, b] if essence(a) == essence(b)));
        self.0.len() == 1 || (!alike && self.0.len() as u64 <= MOST_VARIABLES)
    }

    /// The attributes of band `i`.
    pub(crate) fn attributes_of(&self, i: usize) -> Attributes {
        let Some(band) = self.0.get(i) else { return Attributes::default() };
        let mut found = essence(band);
        for (name, value) in &band.others {
            if found.get(name).is_none() {
                found.set(Attribute::text(name.as_str(), value));
            }
        }
        found
    }

    /// The attributes of all bands together: those that are alike, and lists of those that are not.
    pub(crate) fn attributes(&self) -> Attributes {
        let mut found = self.0.first().map(essence).unwrap_or_default();
        let mut names: Vec<&str> = Vec::new();
        let most = (MOST_LISTED / self.0.len().max(1)).min(64);
        for (name, _) in self.0.iter().flat_map(|b| &b.others) {
            if !names.contains(&name.as_str()) && names.len() < most {
                names.push(name);
            }
        }
        for name in names {
            let values: Vec<&str> = self
                .0
                .iter()
                .map(|b| b.others.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value))
                .collect();
            if found.get(name).is_none() {
                found.set(Attribute::strings(name, &values));
            }
        }
        found
    }

    /// The bands' descriptions, if any has one.
    pub(crate) fn descriptions(&self) -> Option<Vec<&str>> {
        let all: Vec<&str> = self.0.iter().map(|b| b.description.as_deref().unwrap_or("")).collect();
        all.iter().any(|d| !d.is_empty()).then_some(all)
    }
}

/// What a reader of values needs.
fn essence(band: &Band) -> Attributes {
    let mut found = Attributes::default();
    if let Some(text) = &band.description {
        found.set(Attribute::text("long_name", text));
    }
    if let Some(unit) = &band.unit {
        found.set(Attribute::text("units", unit));
    }
    if band.scale.is_some() || band.offset.is_some() {
        found.set(Attribute::float64("scale_factor", band.scale.unwrap_or(1.0)));
        found.set(Attribute::float64("add_offset", band.offset.unwrap_or(0.0)));
    }
    found
}
