//! Which variables of a dataset are coordinates, and of what: by the CF conventions (chapters 4 and 5) and what
//! older conventions (COARDS, `_CoordinateAxisType`) add. Reads names and attributes, never values.

use std::collections::HashMap;

use super::time::TimeUnits;
use crate::{Dataset, FullName, Variable};

/// What a coordinate is a coordinate of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// The time that values are valid at.
    Time,
    /// The time that a forecast began at.
    RunTime,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// Height, depth, pressure or level.
    Vertical,
    /// The first horizontal axis of a projection.
    X,
    /// The second.
    Y,
}

/// What a variable is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It is what the dataset is about.
    Data,
    /// It says where along a dimension, or where else, values are.
    Coordinate(Option<Axis>),
    /// It has the ends of a coordinate's cells (CF section 7.1).
    Bounds,
    /// Its attributes are a grid mapping (CF section 5.6).
    GridMapping,
    /// It describes a mesh or a geometry (UGRID, CF section 7.5).
    Geometry,
}

/// The role of every variable of a dataset.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    roles: HashMap<FullName, Role>,
}

/// Attributes that name a mesh's or a geometry's variables.
const GEOMETRY: [&str; 8] = [
    "face_node_connectivity",
    "edge_node_connectivity",
    "face_edge_connectivity",
    "face_face_connectivity",
    "edge_face_connectivity",
    "boundary_node_connectivity",
    "node_count",
    "part_node_count",
];

/// Attributes that name coordinates: CF 5, UGRID's mesh variable, CF 7.5.
const COORDINATES: [&str; 5] =
    ["coordinates", "node_coordinates", "face_coordinates", "edge_coordinates", "nodes"];

impl Roles {
    /// Of the variables of `dataset`. What several say of one variable: a role other than that of a coordinate
    /// wins over it.
    pub fn of(dataset: &Dataset) -> Self {
        let mut roles: HashMap<FullName, Role> = HashMap::new();
        for (name, variable) in dataset.variables() {
            if is_coordinate_variable(&name, variable) || says_axis(variable) {
                roles.entry(name.clone()).or_insert_with(|| Role::Coordinate(axis(variable)));
            }
            for found in COORDINATES.iter().flat_map(|a| named(dataset, &name, variable, a)) {
                if let Some(coordinate) = dataset.variable(&found) {
                    roles.entry(found).or_insert_with(|| Role::Coordinate(axis(coordinate)));
                }
            }
        }
        for (name, variable) in dataset.variables() {
            if variable.attributes.get("grid_mapping_name").is_some() {
                roles.insert(name.clone(), Role::GridMapping);
            }
            let is_mesh = variable.attributes.text("cf_role").is_some_and(|role| {
                let role = role.trim_end_matches('\0');
                role == "mesh_topology" || role.ends_with("_connectivity")
            });
            if is_mesh || variable.attributes.get("geometry_type").is_some() {
                roles.insert(name.clone(), Role::Geometry);
            }
            let mut set = |attribute: &str, role: Role| {
                for found in named(dataset, &name, variable, attribute) {
                    roles.insert(found, role);
                }
            };
            set("bounds", Role::Bounds);
            set("climatology", Role::Bounds);
            for attribute in GEOMETRY {
                set(attribute, Role::Geometry);
            }
            // The long form of a grid mapping names coordinates too: `crs: x y`.
            if let Some(text) = variable.attributes.text("grid_mapping") {
                let is_long = text.contains(':');
                for word in text.trim_end_matches('\0').split_whitespace() {
                    let mapping = word.strip_suffix(':').or((!is_long).then_some(word));
                    if let Some(found) = mapping.and_then(|m| find(dataset, &name.parent(), m)) {
                        roles.insert(found, Role::GridMapping);
                    }
                }
            }
        }
        Self { roles }
    }

    /// What a variable is for.
    pub fn role(&self, name: &FullName) -> Role {
        self.roles.get(name).copied().unwrap_or(Role::Data)
    }

    /// Its axis, when it is a coordinate of one.
    pub fn axis(&self, name: &FullName) -> Option<Axis> {
        match self.role(name) {
            Role::Coordinate(axis) => axis,
            _ => None,
        }
    }
}

/// A coordinate variable has one dimension, and its name (CF section 1.3).
pub fn is_coordinate_variable(name: &FullName, variable: &Variable) -> bool {
    matches!(variable.dimensions.as_slice(), [only] if only.name.as_ref() == Some(name))
}

/// The variable called `word` by one in `group`: there, or in the nearest group above that has it (CF section 2.7).
pub fn find(dataset: &Dataset, group: &FullName, word: &str) -> Option<FullName> {
    if word.starts_with('/') {
        return Some(FullName::new(word)).filter(|name| dataset.variable(name).is_some());
    }
    let mut group = group.clone();
    loop {
        let name = group.join(word);
        if dataset.variable(&name).is_some() {
            return Some(name);
        }
        if group.is_root() {
            return None;
        }
        group = group.parent();
    }
}

/// The variables that an attribute of `variable` names.
fn named(dataset: &Dataset, name: &FullName, variable: &Variable, attribute: &str) -> Vec<FullName> {
    let Some(text) = variable.attributes.text(attribute) else { return Vec::new() };
    let words = text.trim_end_matches('\0').split_whitespace();
    words.filter_map(|word| find(dataset, &name.parent(), word)).filter(|found| found != name).collect()
}

/// Whether a variable says that it is a coordinate though nothing else does: WRF's and other older files' do.
fn says_axis(variable: &Variable) -> bool {
    let attributes = &variable.attributes;
    if attributes.get("_CoordinateAxisType").is_some() || attributes.get("axis").is_some() {
        return true;
    }
    let units = text(variable, "units");
    is_north(&units) || is_east(&units)
}

/// What a coordinate is a coordinate of, by its attributes.
pub fn axis(variable: &Variable) -> Option<Axis> {
    let units = text(variable, "units");
    let standard_name = text(variable, "standard_name");
    let axis_type = text(variable, "_CoordinateAxisType");
    match standard_name.as_str() {
        "latitude" => return Some(Axis::Latitude),
        "longitude" => return Some(Axis::Longitude),
        "time" => return Some(Axis::Time),
        "forecast_reference_time" => return Some(Axis::RunTime),
        // A length of time is no time (CF section 4.4), whatever its axis says.
        "forecast_period" => return None,
        "projection_x_coordinate" | "grid_longitude" | "projection_x_angular_coordinate" => {
            return Some(Axis::X);
        }
        "projection_y_coordinate" | "grid_latitude" | "projection_y_angular_coordinate" => {
            return Some(Axis::Y);
        }
        _ => {}
    }
    match axis_type.as_str() {
        "Lat" => return Some(Axis::Latitude),
        "Lon" => return Some(Axis::Longitude),
        "Time" => return Some(Axis::Time),
        "RunTime" => return Some(Axis::RunTime),
        "Height" | "Pressure" | "GeoZ" => return Some(Axis::Vertical),
        "GeoX" => return Some(Axis::X),
        "GeoY" => return Some(Axis::Y),
        _ => {}
    }
    if is_north(&units) {
        return Some(Axis::Latitude);
    }
    if is_east(&units) {
        return Some(Axis::Longitude);
    }
    if TimeUnits::parse(&units, &text(variable, "calendar")).is_ok() {
        return Some(Axis::Time);
    }
    match text(variable, "axis").to_ascii_uppercase().as_str() {
        "T" => return Some(Axis::Time),
        "Z" => return Some(Axis::Vertical),
        "X" => return Some(Axis::X),
        "Y" => return Some(Axis::Y),
        _ => {}
    }
    let is_vertical =
        is_pressure(&units) || is_level(&standard_name) || is_direction(&text(variable, "positive"));
    is_vertical.then_some(Axis::Vertical)
}

/// CF section 4.1.
fn is_north(units: &str) -> bool {
    ["degrees_north", "degree_north", "degree_N", "degrees_N", "degreeN", "degreesN"].contains(&units)
}

/// CF section 4.2.
fn is_east(units: &str) -> bool {
    ["degrees_east", "degree_east", "degree_E", "degrees_E", "degreeE", "degreesE"].contains(&units)
}

/// CF section 4.3: units of pressure alone make a coordinate a vertical one.
fn is_pressure(units: &str) -> bool {
    [
        "bar",
        "bars",
        "millibar",
        "millibars",
        "mbar",
        "mb",
        "decibar",
        "decibars",
        "dbar",
        "atm",
        "atmosphere",
        "pascal",
        "pascals",
        "Pa",
        "hPa",
        "kPa",
        "hectopascal",
        "hectopascals",
        "level",
        "layer",
        "sigma_level",
    ]
    .contains(&units)
}

fn is_direction(positive: &str) -> bool {
    positive.eq_ignore_ascii_case("up") || positive.eq_ignore_ascii_case("down")
}

/// Standard names of vertical coordinates (CF sections 4.3 and appendix D).
fn is_level(standard_name: &str) -> bool {
    let names = [
        "altitude",
        "height",
        "depth",
        "air_pressure",
        "model_level_number",
        "height_above_mean_sea_level",
        "height_above_geopotential_datum",
        "height_above_reference_ellipsoid",
        "air_potential_temperature",
        "sea_water_pressure",
        "depth_below_geoid",
        "geopotential_height",
    ];
    let starts = ["atmosphere_", "ocean_"];
    names.contains(&standard_name)
        || (starts.iter().any(|s| standard_name.starts_with(s)) && standard_name.ends_with("_coordinate"))
}

fn text(variable: &Variable, attribute: &str) -> String {
    let text = variable.attributes.text(attribute).unwrap_or_default();
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribute, DataType, Dimension, Group};

    fn variable(name: &str, dimensions: &[&str], attributes: &[(&str, &str)]) -> Variable {
        let dimensions = dimensions.iter().map(|d| Dimension::shared(FullName::new(d), 4)).collect();
        let mut variable = Variable::new(name, DataType::Float32, dimensions);
        for (name, text) in attributes {
            variable.attributes.set(Attribute::text(*name, text));
        }
        variable
    }

    fn axis_of(attributes: &[(&str, &str)]) -> Option<Axis> {
        axis(&variable("v", &[], attributes))
    }

    #[test]
    fn axes_by_attributes() {
        for (attribute, value, expect) in [
            ("units", "degrees_north", Some(Axis::Latitude)),
            ("units", "degreeN", Some(Axis::Latitude)),
            ("units", "degrees_E\0", Some(Axis::Longitude)),
            ("units", "degrees", None),
            ("units", "days since 2000-1-1", Some(Axis::Time)),
            ("units", "days", None),
            ("units", "hPa", Some(Axis::Vertical)),
            ("units", "m", None),
            ("positive", "Down", Some(Axis::Vertical)),
            ("axis", "T", Some(Axis::Time)),
            ("axis", "x", Some(Axis::X)),
            ("standard_name", "grid_latitude", Some(Axis::Y)),
            ("standard_name", "ocean_s_coordinate", Some(Axis::Vertical)),
            ("standard_name", "forecast_reference_time", Some(Axis::RunTime)),
            ("standard_name", "sea_surface_temperature", None),
            ("_CoordinateAxisType", "GeoZ", Some(Axis::Vertical)),
        ] {
            assert_eq!(axis_of(&[(attribute, value)]), expect, "{attribute} {value}");
        }
        let period = [("standard_name", "forecast_period"), ("units", "hours")];
        assert_eq!(axis_of(&period), None);
        // The day of a maximum is no coordinate, though its units are of time; a coordinate by its name is.
        let run = [("standard_name", "forecast_reference_time"), ("units", "hours since 2000-1-1")];
        assert_eq!(axis_of(&run), Some(Axis::RunTime));
    }

    #[test]
    fn roles_of_a_rotated_grid_with_groups() {
        let mut root = Group::new(FullName::root());
        root.variables = vec![
            variable("time", &["/time"], &[("units", "days since 1-1-1"), ("bounds", "time_bnds")]),
            variable("time_bnds", &["/time", "/two"], &[("units", "days since 1-1-1")]),
            variable("rlat", &["/rlat"], &[("standard_name", "grid_latitude"), ("units", "degrees")]),
            variable("station", &["/station"], &[]),
            variable("lat", &["/rlat", "/rlon"], &[("units", "degrees_north")]),
            variable("lon", &["/rlat", "/rlon"], &[("units", "degrees_east")]),
            variable("height", &[], &[("units", "m"), ("positive", "up")]),
            variable("pole", &[], &[("grid_mapping_name", "rotated_latitude_longitude")]),
            variable("crs", &[], &[]),
            variable("day_of_maximum", &["/rlat"], &[("units", "days since 1-1-1")]),
            variable(
                "t2m",
                &["/time", "/rlat", "/rlon"],
                &[("coordinates", "lat lon height absent"), ("grid_mapping", "crs: lat lon")],
            ),
        ];
        let mut group = Group::new(FullName::new("/g"));
        group.variables = vec![
            variable("height", &[], &[("units", "Pa")]),
            variable("t", &["/time"], &[("coordinates", "height /lat time_bnds")]),
        ];
        root.groups.push(group);
        let dataset = Dataset::new("x", root).unwrap();
        let roles = Roles::of(&dataset);
        for (name, expect) in [
            ("/time", Role::Coordinate(Some(Axis::Time))),
            ("/time_bnds", Role::Bounds),
            ("/rlat", Role::Coordinate(Some(Axis::Y))),
            ("/station", Role::Coordinate(None)),
            ("/lat", Role::Coordinate(Some(Axis::Latitude))),
            ("/height", Role::Coordinate(Some(Axis::Vertical))),
            ("/g/height", Role::Coordinate(Some(Axis::Vertical))),
            ("/pole", Role::GridMapping),
            ("/crs", Role::GridMapping),
            ("/day_of_maximum", Role::Data),
            ("/t2m", Role::Data),
            ("/g/t", Role::Data),
        ] {
            assert_eq!(roles.role(&FullName::new(name)), expect, "{name}");
        }
        assert_eq!(roles.axis(&FullName::new("/lon")), Some(Axis::Longitude));
        assert_eq!(roles.axis(&FullName::new("/t2m")), None);
    }
}
