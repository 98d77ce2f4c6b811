//! From a GeoTIFF's keys to the well-known text of its coordinate reference system: from the EPSG register
//! where the keys name a code, else put together from the keys.

#![warn(clippy::indexing_slicing)]

use std::fmt::Write;

use super::geokeys::{
    ANGULAR_UNITS, CITATION, DATUM, ELLIPSOID, GEODETIC_CITATION, GEODETIC_CRS, GeoKeys, INVERSE_FLATTENING,
    LINEAR_UNIT_SIZE, LINEAR_UNITS, MODEL_TYPE, PRIME_MERIDIAN, PRIME_MERIDIAN_LONGITUDE, PROJECTED_CITATION,
    PROJECTED_CRS, PROJECTION, PROJECTION_METHOD, SEMI_MAJOR, SEMI_MINOR, TO_WGS84,
};

/// How GDAL marks well-known text that GeoTIFF's keys cannot say.
const VERBATIM: &str = "ESRI PE String = ";

/// The system's text; `None` when the keys do not tell one that is known here.
pub(crate) fn well_known_text(keys: &GeoKeys) -> Option<String> {
    let model = keys.registered(MODEL_TYPE).unwrap_or_else(|| {
        if keys.code(PROJECTED_CRS).is_some() || keys.text(PROJECTED_CITATION).is_some() {
            1
        } else {
            2 * u16::from(keys.code(GEODETIC_CRS).is_some())
        }
    });
    match model {
        1 => keys.registered(PROJECTED_CRS).and_then(from_register).or_else(|| projected(keys)),
        2 => keys.registered(GEODETIC_CRS).and_then(from_register).or_else(|| geographic(keys)),
        _ => None,
    }
}

/// The EPSG code of the system, when the keys name one.
pub(crate) fn epsg(keys: &GeoKeys) -> Option<u16> {
    match keys.code(PROJECTED_CRS) {
        Some(_) => keys.registered(PROJECTED_CRS),
        None => keys.registered(GEODETIC_CRS),
    }
}

/// The register's text, without its shift to WGS 84: with one, GDAL takes it for another system.
fn from_register(code: u16) -> Option<String> {
    let text = crs_definitions::from_code(code)?.wkt;
    let shift =
        text.split_once(",TOWGS84[").and_then(|(before, rest)| Some((before, rest.split_once(']')?.1)));
    let text = shift.map_or_else(|| text.to_owned(), |(before, after)| format!("{before}{after}"));
    (!text.is_empty()).then_some(text)
}

/// Text inside of quotes.
fn plain(text: &str) -> String {
    text.replace('"', "'").trim().to_owned()
}

/// `GCS Name = x|Datum = y|`: the part called `name`.
fn part_of<'a>(citation: &'a str, name: &str) -> Option<&'a str> {
    citation.split('|').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn geographic(keys: &GeoKeys) -> Option<String> {
    if let Some(found) = keys.registered(GEODETIC_CRS).and_then(from_register) {
        return Some(found);
    }
    let citation = keys.text(GEODETIC_CITATION).or_else(|| keys.text(CITATION)).unwrap_or("unknown");
    let name = part_of(citation, "GCS Name").unwrap_or(citation);
    let known_datum = keys.registered(DATUM).and_then(datum);
    let (datum_name, default_ellipsoid) = match known_datum {
        Some((name, ellipsoid)) => (name, Some(ellipsoid)),
        None => (part_of(citation, "Datum").unwrap_or("unknown"), None),
    };
    let code = keys.registered(ELLIPSOID).or(default_ellipsoid);
    let known = code.and_then(ellipsoid);
    let (ellipsoid_name, major, flattening) = match (keys.float(SEMI_MAJOR), known) {
        (Some(major), known) => {
            let inverse = keys.float(INVERSE_FLATTENING).or_else(|| {
                let minor = keys.float(SEMI_MINOR)?;
                Some(if (major - minor).abs() < 1e-9 { 0.0 } else { major / (major - minor) })
            });
            let name = part_of(citation, "Ellipsoid").or(known.map(|k| k.0)).unwrap_or("unknown");
            (name, major, inverse.or(known.map(|k| k.2)).unwrap_or(0.0))
        }
        (None, Some(known)) => known,
        (None, None) => return None,
    };
    let (meridian, longitude) = match (keys.registered(PRIME_MERIDIAN), keys.float(PRIME_MERIDIAN_LONGITUDE))
    {
        (Some(8901) | None, None) => ("Greenwich", 0.0),
        (Some(8903), _) => ("Paris", 2.337_229_17),
        (_, Some(longitude)) => (part_of(citation, "Primem").unwrap_or("unknown"), longitude),
        (Some(_), None) => return None,
    };
    let (unit, radians) = match keys.code(ANGULAR_UNITS) {
        Some(9101) => ("radian", "1"),
        Some(9105 | 9106) => ("grad", "0.01570796326794897"),
        _ => ("degree", "0.0174532925199433"),
    };
    let mut text = format!(
        "GEOGCS[\"{}\",DATUM[\"{}\",SPHEROID[\"{}\",{major},{flattening}]",
        plain(name),
        plain(datum_name),
        plain(ellipsoid_name)
    );
    if let Some(shift) = keys.floats(TO_WGS84).filter(|s| matches!(s.len(), 3 | 7)) {
        let mut all: Vec<String> = shift.iter().map(ToString::to_string).collect();
        all.resize(7, "0".to_owned());
        let _ = write!(text, ",TOWGS84[{}]", all.join(","));
    }
    let _ = write!(text, "],PRIMEM[\"{}\",{longitude}],UNIT[\"{unit}\",{radians}]]", plain(meridian));
    Some(text)
}

/// Datums that systems in use are defined on: name and ellipsoid.
fn datum(code: u16) -> Option<(&'static str, u16)> {
    Some(match code {
        6326 => ("WGS_1984", 7030),
        6269 => ("North_American_Datum_1983", 7019),
        6267 => ("North_American_Datum_1927", 7008),
        6258 => ("European_Terrestrial_Reference_System_1989", 7019),
        6230 => ("European_Datum_1950", 7022),
        6322 => ("WGS_1972", 7043),
        6283 => ("Geocentric_Datum_of_Australia_1994", 7019),
        6277 => ("OSGB_1936", 7001),
        6289 => ("Amersfoort", 7004),
        _ => return None,
    })
}

/// Ellipsoids: name, semi-major axis and inverse flattening.
fn ellipsoid(code: u16) -> Option<(&'static str, f64, f64)> {
    Some(match code {
        7030 => ("WGS 84", 6_378_137.0, 298.257_223_563),
        7019 => ("GRS 1980", 6_378_137.0, 298.257_222_101),
        7008 => ("Clarke 1866", 6_378_206.4, 294.978_698_213_898),
        7022 => ("International 1924", 6_378_388.0, 297.0),
        7043 => ("WGS 72", 6_378_135.0, 298.26),
        7001 => ("Airy 1830", 6_377_563.396, 299.324_964_6),
        7004 => ("Bessel 1841", 6_377_397.155, 299.152_812_8),
        7012 => ("Clarke 1880 (RGS)", 6_378_249.145, 293.465),
        7024 => ("Krassowsky 1940", 6_378_245.0, 298.3),
        7035 => ("Sphere", 6_371_000.0, 0.0),
        _ => return None,
    })
}

/// Where a projection's parameter is: its name in the text, and the keys that may hold it.
type Parameter = (&'static str, &'static [u16], f64);

const FALSE_EASTING: Parameter = ("false_easting", &[3082, 3090, 3086], 0.0);
const FALSE_NORTHING: Parameter = ("false_northing", &[3083, 3091, 3087], 0.0);
const ORIGIN_LATITUDE: Parameter = ("latitude_of_origin", &[3081, 3089, 3085], 0.0);
const CENTRAL_MERIDIAN: Parameter = ("central_meridian", &[3080, 3088, 3084], 0.0);
const CENTER_LATITUDE: Parameter = ("latitude_of_center", &[3089, 3081, 3085], 0.0);
const CENTER_LONGITUDE: Parameter = ("longitude_of_center", &[3088, 3080, 3084], 0.0);
const SCALE: Parameter = ("scale_factor", &[3092, 3093], 1.0);
const FIRST_PARALLEL: Parameter = ("standard_parallel_1", &[3078], 0.0);
const SECOND_PARALLEL: Parameter = ("standard_parallel_2", &[3079], 0.0);

/// A projection method of the keys: its name in the text and its parameters.
fn method(keys: &GeoKeys) -> Option<(&'static str, Vec<Parameter>)> {
    let code = keys.registered(PROJECTION_METHOD)?;
    Some(match code {
        1 => ("Transverse_Mercator", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, SCALE]),
        3 => (
            "Hotine_Oblique_Mercator_Azimuth_Center",
            vec![
                CENTER_LATITUDE,
                CENTER_LONGITUDE,
                ("azimuth", &[3094], 0.0),
                ("rectified_grid_angle", &[3096, 3094], 90.0),
                ("scale_factor", &[3093, 3092], 1.0),
            ],
        ),
        7 if keys.float(3078).is_some() => ("Mercator_2SP", vec![FIRST_PARALLEL, CENTRAL_MERIDIAN]),
        7 => ("Mercator_1SP", vec![CENTRAL_MERIDIAN, SCALE]),
        8 => (
            "Lambert_Conformal_Conic_2SP",
            vec![
                ("latitude_of_origin", &[3085, 3081], 0.0),
                ("central_meridian", &[3084, 3080], 0.0),
                FIRST_PARALLEL,
                SECOND_PARALLEL,
            ],
        ),
        9 => ("Lambert_Conformal_Conic_1SP", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, SCALE]),
        10 => ("Lambert_Azimuthal_Equal_Area", vec![CENTER_LATITUDE, CENTER_LONGITUDE]),
        11 => (
            "Albers_Conic_Equal_Area",
            vec![CENTER_LATITUDE, CENTER_LONGITUDE, FIRST_PARALLEL, SECOND_PARALLEL],
        ),
        12 => ("Azimuthal_Equidistant", vec![CENTER_LATITUDE, CENTER_LONGITUDE]),
        13 => ("Equidistant_Conic", vec![CENTER_LATITUDE, CENTER_LONGITUDE, FIRST_PARALLEL, SECOND_PARALLEL]),
        14 => ("Stereographic", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, SCALE]),
        15 => ("Polar_Stereographic", vec![ORIGIN_LATITUDE, ("central_meridian", &[3095, 3080], 0.0), SCALE]),
        16 => ("Oblique_Stereographic", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, SCALE]),
        17 => ("Equirectangular", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, FIRST_PARALLEL]),
        18 => ("Cassini_Soldner", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN]),
        19 => ("Gnomonic", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN]),
        20 => ("Miller_Cylindrical", vec![CENTER_LATITUDE, CENTER_LONGITUDE]),
        21 => ("Orthographic", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN]),
        22 => ("Polyconic", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN]),
        23 => ("Robinson", vec![CENTER_LONGITUDE]),
        24 => ("Sinusoidal", vec![CENTER_LONGITUDE]),
        25 => ("VanDerGrinten", vec![CENTRAL_MERIDIAN]),
        27 => ("Transverse_Mercator_South_Orientated", vec![ORIGIN_LATITUDE, CENTRAL_MERIDIAN, SCALE]),
        28 => ("Cylindrical_Equal_Area", vec![FIRST_PARALLEL, CENTRAL_MERIDIAN]),
        _ => return None,
    })
}

fn projected(keys: &GeoKeys) -> Option<String> {
    let citation = keys.text(PROJECTED_CITATION).or_else(|| keys.text(CITATION)).unwrap_or("unnamed");
    if let Some(verbatim) = citation.strip_prefix(VERBATIM) {
        return Some(verbatim.to_owned());
    }
    let name = part_of(citation, "PCS Name").unwrap_or(citation);
    let (projection, parameters): (&str, Vec<(&str, f64)>) = match (utm_zone(keys), method(keys)) {
        (Some((zone, northing)), _) => (
            "Transverse_Mercator",
            vec![
                ("latitude_of_origin", 0.0),
                ("central_meridian", f64::from(zone) * 6.0 - 183.0),
                ("scale_factor", 0.9996),
                ("false_easting", 500_000.0),
                ("false_northing", northing),
            ],
        ),
        (None, Some((projection, mut parameters))) => {
            let eastings = if keys.code(PROJECTION_METHOD) == Some(8) {
                [("false_easting", &[3086, 3082][..], 0.0), ("false_northing", &[3087, 3083][..], 0.0)]
            } else {
                [FALSE_EASTING, FALSE_NORTHING]
            };
            parameters.extend(eastings);
            let value = |(name, places, absent): Parameter| {
                (name, places.iter().find_map(|key| keys.float(*key)).unwrap_or(absent))
            };
            (projection, parameters.into_iter().map(value).collect())
        }
        (None, None) => return None,
    };
    let (unit, metres) = match (keys.code(LINEAR_UNITS), keys.float(LINEAR_UNIT_SIZE)) {
        (Some(9002), _) => ("foot", 0.3048),
        (Some(9003), _) => ("US survey foot", 0.304_800_609_601_219_2),
        (Some(32767), Some(size)) if size > 0.0 => ("unknown", size),
        _ => ("metre", 1.0),
    };
    let base = geographic(keys)?;
    let mut text = format!("PROJCS[\"{}\",{base},PROJECTION[\"{projection}\"]", plain(name));
    for (name, value) in parameters {
        let _ = write!(text, ",PARAMETER[\"{name}\",{value}]");
    }
    let _ = write!(text, ",UNIT[\"{unit}\",{metres}],AXIS[\"Easting\",EAST],AXIS[\"Northing\",NORTH]]");
    Some(text)
}

/// The zone of a UTM projection, and its false northing.
fn utm_zone(keys: &GeoKeys) -> Option<(u16, f64)> {
    match keys.registered(PROJECTION)? {
        code @ 16001..=16060 => Some((code - 16000, 0.0)),
        code @ 16101..=16160 => Some((code - 16100, 10_000_000.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_systems_have_no_shift() {
        for code in [2154, 27700, 28992, 4269] {
            let text = from_register(code).unwrap();
            assert!(!text.contains("TOWGS84") && text.ends_with("]]"), "{text}");
            assert!(super::super::wkt::Node::parse(&text).is_some(), "{text}");
        }
        assert_eq!(from_register(3993), None, "the register knows it, without a text");
    }
}
