//! Small datasets with known coverage.

use super::*;
use crate::{Attribute, Block, Dimension, Group, fixed_block, testing::MemorySource};

fn variable(
    name: &str,
    data_type: DataType,
    dimensions: &[(&str, u64)],
    attributes: &[(&str, &str)],
) -> Variable {
    let dimensions = dimensions.iter().map(|(d, size)| Dimension::shared(FullName::new(d), *size)).collect();
    let mut variable = Variable::new(name, data_type, dimensions);
    for (name, text) in attributes {
        variable.attributes.set(Attribute::text(*name, text));
    }
    variable
}

async fn summary(global: &[Attribute], variables: Vec<(Variable, Block)>) -> Summary {
    let mut root = Group::new(FullName::root());
    root.attributes = global.iter().cloned().collect();
    let source: Arc<dyn Source> = Arc::new(MemorySource::flat("test", root, variables));
    summarise(&source).await.unwrap()
}

fn time(units: &str, calendar: &str, values: Block, count: u64) -> (Variable, Block) {
    (
        variable("time", DataType::Float64, &[("/time", count)], &[("units", units), ("calendar", calendar)]),
        values,
    )
}

async fn time_of(units: &str, calendar: &str, values: &[f64]) -> Option<(String, String, Option<String>)> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let one = time(units, calendar, Block::Fixed(bytes.into()), values.len() as u64);
    summary(&[], vec![one]).await.time.map(|t| (t.start, t.end, t.resolution))
}

#[tokio::test]
async fn times() {
    for (units, calendar, values, expect) in [
        (
            "hours since 2000-1-1",
            "",
            &[0.0, 6.0, 12.0][..],
            ("2000-01-01T00:00:00Z", "2000-01-01T12:00:00Z", Some("PT6H")),
        ),
        (
            "days since 2000-1-1",
            "360_day",
            &[0.0, 30.0, 60.0],
            ("2000-01-01T00:00:00Z", "2000-03-01T00:00:00Z", Some("P30D")),
        ),
        (
            "days since 2001-1-1",
            "",
            &[15.5, 45.0, 74.5, 105.0],
            ("2001-01-16T12:00:00Z", "2001-04-16T00:00:00Z", Some("P1M")),
        ),
        (
            "days since 2001-7-1",
            "",
            &[0.0, 365.0, 730.0, 1096.0],
            ("2001-07-01T00:00:00Z", "2004-07-01T00:00:00Z", Some("P1Y")),
        ),
        (
            "days since 1-1-1",
            "",
            &[730_121.1, 730_121.2],
            ("2000-01-01T02:24:00Z", "2000-01-01T04:48:00Z", Some("PT2H24M")),
        ),
        (
            "seconds since 2000-1-1",
            "",
            &[2.5, 1.0],
            ("2000-01-01T00:00:01Z", "2000-01-01T00:00:02.5Z", Some("PT1.5S")),
        ),
        (
            "days since 2000-1-1",
            "",
            &[3.0, 1.0, f64::NAN],
            ("2000-01-02T00:00:00Z", "2000-01-04T00:00:00Z", None),
        ),
        (
            "days since 2000-1-1",
            "noleap",
            &[0.0, 1.0, 5.0],
            ("2000-01-01T00:00:00Z", "2000-01-06T00:00:00Z", None),
        ),
    ] {
        let (start, end, resolution) = time_of(units, calendar, values).await.unwrap();
        assert_eq!((&*start, &*end, resolution.as_deref()), expect, "{units} {values:?}");
    }
    assert_eq!(time_of("day as %Y%m%d.%f", "", &[20_000_101.0]).await, None);
    assert_eq!(time_of("days since 2000-1-1", "mayan", &[1.0]).await, None);
}

async fn longitude_of(values: &[f64]) -> (f64, f64) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    let lon =
        variable("lon", DataType::Float64, &[("/x", values.len() as u64)], &[("units", "degrees_east")]);
    let range = summary(&[], vec![(lon, Block::Fixed(bytes.into()))]).await.longitude.unwrap();
    (range.min, range.max)
}

#[tokio::test]
async fn the_earth_is_round() {
    for (values, expect) in [
        (&[0.0, 90.0, 180.0, 270.0][..], (0.0, 270.0)),
        (&[-180.0, -90.0, 0.0, 90.0], (-180.0, 90.0)),
        (&[170.0, 180.0, -170.0], (170.0, 190.0)),
        (&[350.0, 355.0, 0.0, 5.0], (-10.0, 5.0)),
        (&[190.0, 200.0], (-170.0, -160.0)),
        (&[10.0], (10.0, 10.0)),
    ] {
        let (west, east) = longitude_of(values).await;
        assert!(
            (west - expect.0).abs() < 1e-9 && (east - expect.1).abs() < 1e-9,
            "{values:?}: {west} {east}"
        );
    }
}

#[tokio::test]
async fn coordinates_are_read_and_the_rest_is_described() {
    let mut packed =
        variable("depth", DataType::Int16, &[("/depth", 4)], &[("units", "m"), ("positive", "Down")]);
    packed.attributes.set(Attribute::float64("scale_factor", 0.5));
    packed.attributes.set(Attribute::int32("_FillValue", -9));
    let lat = variable("lat", DataType::Float32, &[("/lat", 3)], &[("units", "degrees_north")]);
    let bounds = variable("time_bnds", DataType::Float64, &[("/time", 2), ("/two", 2)], &[]);
    let mut when = time("days since 2000-1-1", "", fixed_block!([0.0_f64, 1.0]), 2);
    when.0.attributes.set(Attribute::text("bounds", "time_bnds"));
    let mut data = variable(
        "sst",
        DataType::Int16,
        &[("/time", 2), ("/lat", 3)],
        &[("long_name", "temperature\0"), ("units", "K"), ("standard_name", "sea_surface_temperature")],
    );
    data.dimensions.push(Dimension::anonymous(5));
    let title = Attribute::text("title", "A title\n");
    let other = Attribute::text("history", "long");
    let said = Attribute::float64("geospatial_lat_min", -80.0);
    let found = summary(
        &[title, other, said],
        vec![
            (packed, fixed_block!([2_i16, 4, 6, -9])),
            (lat, fixed_block!([0.1_f32, 0.2, 0.3])),
            when,
            (bounds, fixed_block!([0.0_f64, 1.0, 1.0, 2.0])),
            (data, fixed_block!([0_i16; 30])),
        ],
    )
    .await;
    assert_eq!(found.texts, [("title".to_owned(), "A title".to_owned())]);
    let [sst] = found.variables.as_slice() else { panic!("{:?}", found.variables) };
    assert_eq!(
        (&*sst.name, sst.long_name.as_deref(), sst.units.as_deref()),
        ("sst", Some("temperature"), Some("K"))
    );
    assert_eq!(sst.dimensions, [("time".to_owned(), 2), ("lat".to_owned(), 3), ("5".to_owned(), 5)]);
    let vertical = found.vertical.unwrap();
    assert_eq!((vertical.range, &*vertical.units), (Range { min: 1.0, max: 3.0, resolution: None }, "m"));
    assert_eq!(vertical.positive.as_deref(), Some("down"));
    let latitude = found.latitude.unwrap();
    assert!(
        (latitude.min - 0.1).abs() < 1e-6 && (latitude.resolution.unwrap() - 0.1).abs() < 1e-9,
        "{latitude:?}"
    );
    assert_eq!(found.time.unwrap().count, 2);
    assert_eq!(found.bytes, 4 * 2 + 3 * 4 + 2 * 8 + 4 * 8 + 30 * 2);
}

#[tokio::test]
async fn attributes_speak_where_there_are_no_coordinates() {
    let number = Attribute::float64;
    let found = summary(
        &[
            number("geospatial_lat_min", -10.0),
            Attribute::text("geospatial_lat_max", "20.5"),
            number("geospatial_lon_min", 170.0),
            number("geospatial_lon_max", -170.0),
            Attribute::text("time_coverage_start", "2000-01-01"),
            Attribute::text("time_coverage_end", "2000-12-31T12:00Z"),
            Attribute::text("time_coverage_resolution", "P1D"),
            number("geospatial_vertical_min", 0.0),
            number("geospatial_vertical_max", f64::NAN),
        ],
        vec![],
    )
    .await;
    let range = |r: Option<Range>| r.map(|r| (r.min, r.max));
    assert_eq!(range(found.latitude), Some((-10.0, 20.5)));
    assert_eq!(range(found.longitude), Some((170.0, 190.0)));
    assert_eq!(found.vertical, None);
    let time = found.time.unwrap();
    assert_eq!((&*time.start, &*time.end), ("2000-01-01T00:00:00Z", "2000-12-31T12:00:00Z"));
    assert_eq!(time.resolution.as_deref(), Some("P1D"));
}

#[tokio::test]
async fn of_a_very_large_coordinate_the_ends_are_read() {
    let size = coverage::MOST_VALUES + 1;
    let bytes: Vec<u8> = (0..size).flat_map(|i| (i as f64).to_ne_bytes()).collect();
    let found =
        summary(&[], vec![time("seconds since 2000-1-1", "", Block::Fixed(bytes.into()), size)]).await;
    let time = found.time.unwrap();
    assert_eq!((&*time.start, &*time.end), ("2000-01-01T00:00:00Z", "2000-01-12T13:46:40Z"));
    assert_eq!((time.resolution, time.count), (None, size));
}
