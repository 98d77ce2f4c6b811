//! The keys of a GeoTIFF: numbers and texts by key number (OGC 19-008r4, section 7).

#![warn(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{directory::Directory, tags};

/// A key's value.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Short(u16),
    Floats(Vec<f64>),
    Text(String),
}

/// The keys that a directory has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct GeoKeys(BTreeMap<u16, Value>);

pub(crate) const MODEL_TYPE: u16 = 1024;
pub(crate) const RASTER_TYPE: u16 = 1025;
pub(crate) const CITATION: u16 = 1026;
pub(crate) const GEODETIC_CRS: u16 = 2048;
pub(crate) const GEODETIC_CITATION: u16 = 2049;
pub(crate) const DATUM: u16 = 2050;
pub(crate) const PRIME_MERIDIAN: u16 = 2051;
pub(crate) const ANGULAR_UNITS: u16 = 2054;
pub(crate) const ELLIPSOID: u16 = 2056;
pub(crate) const SEMI_MAJOR: u16 = 2057;
pub(crate) const SEMI_MINOR: u16 = 2058;
pub(crate) const INVERSE_FLATTENING: u16 = 2059;
pub(crate) const PRIME_MERIDIAN_LONGITUDE: u16 = 2061;
pub(crate) const TO_WGS84: u16 = 2062;
pub(crate) const PROJECTED_CRS: u16 = 3072;
pub(crate) const PROJECTED_CITATION: u16 = 3073;
pub(crate) const PROJECTION: u16 = 3074;
pub(crate) const PROJECTION_METHOD: u16 = 3075;
pub(crate) const LINEAR_UNITS: u16 = 3076;
pub(crate) const LINEAR_UNIT_SIZE: u16 = 3077;

impl GeoKeys {
    /// The keys of a directory; what lies outside of its tags is left out.
    pub(crate) fn of(directory: &Directory) -> Self {
        let numbers = directory.uints(tags::GEO_KEYS).unwrap_or_default();
        let floats = directory.floats(tags::GEO_DOUBLES).unwrap_or_default();
        let texts = directory.raw(tags::GEO_TEXTS).unwrap_or_default();
        let mut found = BTreeMap::new();
        let number = |n: u64| u16::try_from(n).ok();
        for entry in numbers.get(4..).unwrap_or_default().chunks_exact(4) {
            let [key, place, count, value] = *entry else { continue };
            let (Some(key), Ok(count), Ok(at)) =
                (number(key), usize::try_from(count), usize::try_from(value))
            else {
                continue;
            };
            let end = at.saturating_add(count);
            let value = match u16::try_from(place) {
                Ok(0) => number(value).map(Value::Short),
                Ok(tags::GEO_DOUBLES) => floats.get(at..end).map(|f| Value::Floats(f.to_vec())),
                Ok(tags::GEO_TEXTS) => texts.get(at..end.min(texts.len())).map(|text| {
                    let text = String::from_utf8_lossy(text);
                    Value::Text(text.trim_end_matches(['|', '\0']).to_owned())
                }),
                _ => None,
            };
            if let Some(value) = value {
                found.insert(key, value);
            }
        }
        Self(found)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A code; `None` when there is none, or it is 0 (undefined).
    pub(crate) fn code(&self, key: u16) -> Option<u16> {
        match self.0.get(&key)? {
            Value::Short(n) if *n != 0 => Some(*n),
            _ => None,
        }
    }

    /// A code of the EPSG register: not one that says "defined by the user".
    pub(crate) fn registered(&self, key: u16) -> Option<u16> {
        self.code(key).filter(|n| *n != 32767)
    }

    /// The first number of a key.
    pub(crate) fn float(&self, key: u16) -> Option<f64> {
        self.floats(key)?.first().copied().filter(|n| n.is_finite())
    }

    pub(crate) fn floats(&self, key: u16) -> Option<&[f64]> {
        match self.0.get(&key)? {
            Value::Floats(all) => Some(all),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: u16) -> Option<&str> {
        match self.0.get(&key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Positions are those of pixel centres rather than of corners.
    pub(crate) fn is_point(&self) -> bool {
        self.code(RASTER_TYPE) == Some(2)
    }
}
