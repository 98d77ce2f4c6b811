//! From well-known text to CF: the attributes of a grid mapping (CF 1.11, appendix F), and the units of its
//! axes.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use cdm::{Attribute, DataType};

use super::wkt::Node;

/// What the axes of an image are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Axes {
    /// Longitude and latitude, in units of so many degrees.
    Geographic,
    /// Distances in a projection's plane, in this unit.
    Projected(String),
    /// Nothing is known of them.
    Unknown,
}

/// A coordinate reference system in CF's terms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GridMapping {
    pub(crate) axes: Axes,
    /// `grid_mapping_name` and its parameters.
    pub(crate) attributes: Vec<Attribute>,
}

fn floats(name: &str, values: &[f64]) -> Attribute {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    Attribute::numbers(name, DataType::Float64, Bytes::from(bytes))
}

impl GridMapping {
    /// What the text says.
    pub(crate) fn of(text: &str) -> Self {
        let Some(tree) = Node::parse(text) else {
            return Self { axes: Axes::Unknown, attributes: Vec::new() };
        };
        let mut attributes = Vec::new();
        // A few systems of the register are in the second version of the text.
        let projected = tree.find("PROJCS").or_else(|| tree.find("PROJCRS"));
        let geographic = ["GEOGCS", "GEOGCRS", "BASEGEOGCRS", "GEODCRS"].iter().find_map(|k| tree.find(k));
        let axes = match (projected, geographic) {
            (Some(system), _) => {
                let method = system.child("PROJECTION").map_or("", Node::name);
                if let Some((name, parameters)) = projection(system, method) {
                    attributes.push(Attribute::text("grid_mapping_name", name));
                    attributes.extend(parameters);
                } else {
                    tracing::debug!(method, "a projection that CF has no name for");
                }
                attributes.push(Attribute::text("projected_crs_name", system.name()));
                let length = ["UNIT", "LENGTHUNIT"].iter().find_map(|k| system.child(k));
                Axes::Projected(unit(length.or_else(|| system.child("CS")?.child("LENGTHUNIT"))))
            }
            (None, Some(_)) => {
                attributes.push(Attribute::text("grid_mapping_name", "latitude_longitude"));
                Axes::Geographic
            }
            (None, None) => Axes::Unknown,
        };
        if let Some(system) = geographic {
            attributes.extend(figure(system));
        }
        Self { axes, attributes }
    }
}

/// The unit of distances, as UDUNITS knows it.
fn unit(node: Option<&Node>) -> String {
    let metres = node.and_then(|n| n.number(1)).unwrap_or(1.0);
    let is = |size: f64| (metres - size).abs() < 1e-9 * size;
    if is(1.0) {
        "m".to_owned()
    } else if is(0.3048) {
        "foot".to_owned()
    } else if is(1200.0 / 3937.0) {
        "US_survey_foot".to_owned()
    } else if is(1000.0) {
        "km".to_owned()
    } else {
        format!("{metres} m")
    }
}

/// The Earth's figure and what the system is built on.
fn figure(system: &Node) -> Vec<Attribute> {
    let mut found = vec![Attribute::text("geographic_crs_name", system.name())];
    if let Some(datum) = system.child("DATUM") {
        found.push(Attribute::text("horizontal_datum_name", datum.name()));
        if let Some(ellipsoid) = datum.child("SPHEROID").or_else(|| datum.child("ELLIPSOID")) {
            found.push(Attribute::text("reference_ellipsoid_name", ellipsoid.name()));
            if let (Some(major), Some(inverse)) = (ellipsoid.number(1), ellipsoid.number(2)) {
                let minor = if inverse == 0.0 { major } else { major * (1.0 - 1.0 / inverse) };
                found.push(floats("semi_major_axis", &[major]));
                found.push(floats("semi_minor_axis", &[minor]));
                if inverse != 0.0 {
                    found.push(floats("inverse_flattening", &[inverse]));
                }
            }
            if let Some(shift) = datum.child("TOWGS84") {
                let all: Vec<f64> = (0..shift.values.len()).filter_map(|i| shift.number(i)).collect();
                found.push(floats("towgs84", &all));
            }
        }
    }
    if let Some(meridian) = system.child("PRIMEM") {
        found.push(Attribute::text("prime_meridian_name", meridian.name()));
        found.push(floats("longitude_of_prime_meridian", &[meridian.number(1).unwrap_or(0.0)]));
    }
    found
}

/// CF's name of a projection and its parameters; `None` when CF has none.
fn projection(system: &Node, method: &str) -> Option<(&'static str, Vec<Attribute>)> {
    const ORIGIN_LATITUDE: (&str, &[&str]) =
        ("latitude_of_projection_origin", &["latitude_of_origin", "latitude_of_center"]);
    const ORIGIN_LONGITUDE: (&str, &[&str]) =
        ("longitude_of_projection_origin", &["central_meridian", "longitude_of_center"]);
    const CENTRAL_MERIDIAN: (&str, &[&str]) =
        ("longitude_of_central_meridian", &["central_meridian", "longitude_of_center"]);
    let value = |names: &[&str]| {
        let parameters = system.children.iter().filter(|c| c.keyword.eq_ignore_ascii_case("PARAMETER"));
        parameters.clone().find(|p| names.iter().any(|n| p.name().eq_ignore_ascii_case(n)))?.number(1)
    };
    let one = |(name, places): (&str, &[&str])| floats(name, &[value(places).unwrap_or(0.0)]);
    let scale = |name: &str| floats(name, &[value(&["scale_factor"]).unwrap_or(1.0)]);
    let parallels = |names: &[&str]| {
        let all: Vec<f64> = names.iter().filter_map(|n| value(&[n])).collect();
        floats("standard_parallel", &all)
    };
    let two = &["standard_parallel_1", "standard_parallel_2"][..];
    let (name, mut parameters) = match method.to_ascii_lowercase().as_str() {
        "transverse_mercator" => (
            "transverse_mercator",
            vec![one(ORIGIN_LATITUDE), one(CENTRAL_MERIDIAN), scale("scale_factor_at_central_meridian")],
        ),
        "lambert_conformal_conic_2sp" => {
            ("lambert_conformal_conic", vec![parallels(two), one(ORIGIN_LATITUDE), one(CENTRAL_MERIDIAN)])
        }
        "lambert_conformal_conic_1sp" => (
            "lambert_conformal_conic",
            vec![parallels(&["latitude_of_origin"]), one(ORIGIN_LATITUDE), one(CENTRAL_MERIDIAN)],
        ),
        "albers_conic_equal_area" | "albers" => {
            ("albers_conical_equal_area", vec![parallels(two), one(ORIGIN_LATITUDE), one(CENTRAL_MERIDIAN)])
        }
        "polar_stereographic" => {
            let latitude = value(ORIGIN_LATITUDE.1).unwrap_or(90.0);
            let pole = if latitude < 0.0 { -90.0 } else { 90.0 };
            let scale = if (latitude.abs() - 90.0).abs() < 1e-9 {
                scale("scale_factor_at_projection_origin")
            } else {
                floats("standard_parallel", &[latitude])
            };
            let longitude = one(("straight_vertical_longitude_from_pole", CENTRAL_MERIDIAN.1));
            ("polar_stereographic", vec![floats("latitude_of_projection_origin", &[pole]), longitude, scale])
        }
        "mercator_1sp" | "mercator" if value(&["standard_parallel_1"]).is_none() => {
            ("mercator", vec![one(ORIGIN_LONGITUDE), scale("scale_factor_at_projection_origin")])
        }
        "mercator_2sp" | "mercator" => {
            ("mercator", vec![one(ORIGIN_LONGITUDE), parallels(&["standard_parallel_1"])])
        }
        "lambert_azimuthal_equal_area" => {
            ("lambert_azimuthal_equal_area", vec![one(ORIGIN_LATITUDE), one(ORIGIN_LONGITUDE)])
        }
        "azimuthal_equidistant" => {
            ("azimuthal_equidistant", vec![one(ORIGIN_LATITUDE), one(ORIGIN_LONGITUDE)])
        }
        "stereographic" | "oblique_stereographic" => (
            "stereographic",
            vec![one(ORIGIN_LATITUDE), one(ORIGIN_LONGITUDE), scale("scale_factor_at_projection_origin")],
        ),
        "orthographic" => ("orthographic", vec![one(ORIGIN_LATITUDE), one(ORIGIN_LONGITUDE)]),
        "sinusoidal" => ("sinusoidal", vec![one(ORIGIN_LONGITUDE)]),
        "cylindrical_equal_area" => (
            "lambert_cylindrical_equal_area",
            vec![one(CENTRAL_MERIDIAN), parallels(&["standard_parallel_1"])],
        ),
        "hotine_oblique_mercator_azimuth_center" => (
            "oblique_mercator",
            vec![
                one(("azimuth_of_central_line", &["azimuth"])),
                one(ORIGIN_LATITUDE),
                one(ORIGIN_LONGITUDE),
                scale("scale_factor_at_projection_origin"),
            ],
        ),
        "geostationary_satellite" => (
            "geostationary",
            vec![
                one(ORIGIN_LONGITUDE),
                floats("latitude_of_projection_origin", &[0.0]),
                one(("perspective_point_height", &["satellite_height", "height"])),
                Attribute::text("sweep_angle_axis", "y"),
            ],
        ),
        _ => return None,
    };
    parameters.push(one(("false_easting", &["false_easting"])));
    parameters.push(one(("false_northing", &["false_northing"])));
    Some((name, parameters))
}
