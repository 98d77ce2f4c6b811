//! Datasets in memory for the tests: one of everything, and one of what trips readers.

use std::sync::Arc;

use bytes::Bytes;
use cdm::{
    Attribute, Block, DataType, Dimension, EnumType, FullName, Group, OpaqueType, RecordType, Source,
    TypeDefinition, Variable, testing::MemorySource,
};

pub(crate) fn dimension(name: &str, size: u64) -> Dimension {
    Dimension::shared(FullName::new(name), size)
}

macro_rules! fixed {
    ($numbers:expr) => {
        Block::Fixed(Bytes::from($numbers.into_iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>()))
    };
}

fn with(mut variable: Variable, attributes: Vec<Attribute>) -> Variable {
    variable.attributes = attributes.into_iter().collect();
    variable
}

fn record(fields: Vec<Variable>) -> Arc<RecordType> {
    Arc::new(RecordType { name: None, fields, is_vlen: false })
}

/// A bit of everything. `sst[t][y][x] = 100 t + 10 y + x - 50`.
pub(crate) fn fixture(with_sequence: bool) -> Arc<dyn Source> {
    use DataType as T;
    let time = Dimension { unlimited: true, ..dimension("/time", 3) };
    let (lat, lon, strlen) = (dimension("/lat", 2), dimension("/lon", 4), dimension("/strlen", 5));
    let depth = dimension("/g/depth", 2);
    let mut root = Group::new(FullName::root());
    root.dimensions = vec![time.clone(), lat.clone(), lon.clone(), strlen.clone()];
    root.attributes = [
        Attribute::text("title", "A \"small\" test\\set"),
        Attribute::strings("sources", &["one", "zwö"]),
        Attribute::numbers("version", T::Int64, Bytes::copy_from_slice(&7_i64.to_ne_bytes())),
    ]
    .into_iter()
    .collect();
    let mut g = Group::new(FullName::new("/g"));
    g.dimensions = vec![depth.clone()];
    g.attributes.set(Attribute::text("comment", "inside"));
    let mut data: Vec<(FullName, Block)> = Vec::new();
    let mut add = |group: &mut Group, variable: Variable, block: Block| {
        data.push((group.name.join(&variable.name), block));
        group.variables.push(variable);
    };
    let days = Attribute::text("units", "days since 2000-01-01");
    let fill = Attribute::numbers("_FillValue", T::Int64, Bytes::copy_from_slice(&(-1_i64).to_ne_bytes()));
    add(
        &mut root,
        with(Variable::new("time", T::Int64, vec![time.clone()]), vec![days, fill]),
        fixed!([0_i64, 1, 2]),
    );
    add(&mut root, Variable::new("lat", T::Float64, vec![lat.clone()]), fixed!([-10.5_f64, 10.5]));
    add(&mut root, Variable::new("lon", T::Float32, vec![lon.clone()]), fixed!([0_f32, 90.0, 180.0, 270.0]));
    let scale =
        Attribute::numbers("scale_factor", T::Float32, Bytes::copy_from_slice(&0.1_f32.to_ne_bytes()));
    let huge = Attribute::numbers("_FillValue", T::Int16, Bytes::copy_from_slice(&(-999_i16).to_ne_bytes()));
    add(
        &mut root,
        with(Variable::new("sst", T::Int16, vec![time.clone(), lat.clone(), lon.clone()]), vec![scale, huge]),
        fixed!((0..24_i16).map(|i| 100 * (i / 8) + 10 * (i / 4 % 2) + i % 4 - 50)),
    );
    let minus = Attribute::numbers("_FillValue", T::Int8, Bytes::copy_from_slice(&(-1_i8).to_ne_bytes()));
    add(
        &mut root,
        with(Variable::new("quality", T::Int8, vec![time.clone()]), vec![minus]),
        fixed!([1_i8, -1, 3]),
    );
    add(&mut root, Variable::new("count", T::UInt8, vec![]), fixed!([200_u8]));
    add(
        &mut root,
        Variable::new("station", T::Char, vec![lat.clone(), strlen]),
        Block::Fixed(Bytes::from_static(b"ab\0\0\0c d\0\0")),
    );
    let long = "x".repeat(70);
    add(&mut root, Variable::new("label", T::String, vec![lat.clone()]), Block::varying(["", long.as_str()]));
    add(&mut root, Variable::new("id", T::Int64, vec![lat.clone(), lon.clone()]), fixed!(0..8_i64));
    let opaque = T::Opaque(Arc::new(OpaqueType::default()));
    add(&mut root, Variable::new("blob", opaque, vec![]), Block::varying(["x"]));
    let cloud = Arc::new(EnumType {
        name: FullName::new("/cloud_t"),
        base: T::UInt8,
        members: vec![("clear".into(), 0), ("over cast".into(), 1)],
    });
    root.types.push(TypeDefinition { name: "cloud_t".into(), data_type: T::Enum(Arc::clone(&cloud)) });
    add(&mut root, Variable::new("a b.c", T::Enum(cloud), vec![]), fixed!([1_u8]));
    add(&mut root, Variable::new("größe", T::UInt16, vec![Dimension::anonymous(2)]), fixed!([1_u16, 65535]));
    let point = record(vec![
        Variable::new("x", T::Int16, vec![]),
        Variable::new("tag", T::Char, vec![Dimension::anonymous(3)]),
        Variable::new("w", T::UInt8, vec![Dimension::anonymous(3)]),
    ]);
    let points = [b"\x01\0ab\0\x01\x02\x03".as_slice(), b"\x02\0c\0\0\x04\x05\x06"].concat();
    // These records are written by hand, for a little-endian machine.
    add(
        &mut root,
        Variable::new("points", T::Structure(point), vec![dimension("/lat", 2)]),
        Block::Fixed(points.into()),
    );
    if with_sequence {
        let row = record(vec![Variable::new("a", T::Int32, vec![]), Variable::new("b", T::Float32, vec![])]);
        let mut rows = 3_u64.to_ne_bytes().to_vec();
        for (a, b) in [(1_i32, 1.5_f32), (2, 2.5), (3, 3.5)] {
            rows.extend_from_slice(&a.to_ne_bytes());
            rows.extend_from_slice(&b.to_ne_bytes());
        }
        add(&mut root, Variable::new("q", T::Sequence(row), vec![]), Block::varying([rows]));
    }
    add(&mut g, Variable::new("depth", T::Int32, vec![depth.clone()]), fixed!([5_i32, 10]));
    add(
        &mut g,
        Variable::new("v", T::Float64, vec![time, depth]),
        fixed!((0..6_i32).map(|i| f64::from(i) / 2.0)),
    );
    root.groups.push(g);
    Arc::new(MemorySource::new("dir/small.nc", root, data).with_block_elements(5))
}

/// Attributes and values that trip readers.
pub(crate) fn odd() -> Arc<dyn Source> {
    use DataType as T;
    let mut root = Group::new(FullName::root());
    let numbers = |name: &str, t: T, bytes: &[u8]| Attribute::numbers(name, t, Bytes::copy_from_slice(bytes));
    root.attributes = [
        Attribute::text("a b;c", "x"),
        Attribute::text("é", "ü"),
        Attribute::text("last", "back\\"),
        Attribute::text("only", "\\"),
        Attribute::text("lines", "one\ntwo\t; \"three\", {four}"),
        Attribute::text("bell", "\u{7}!"),
        Attribute::text("empty", ""),
        Attribute::text("padded", "pad\0\0"),
        Attribute::strings("several", &["", "b;", "c\\"]),
        Attribute::strings::<&str>("none", &[]),
        numbers(
            "nan",
            T::Float64,
            &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(f64::to_ne_bytes).concat(),
        ),
        numbers(
            "f32",
            T::Float32,
            &[1e20_f32, -9999.0, 0.1, f32::MIN_POSITIVE].map(f32::to_ne_bytes).concat(),
        ),
        numbers("f64", T::Float64, &[0.1 + 0.2, 1e300, 5e-324].map(f64::to_ne_bytes).concat()),
        numbers("u32", T::UInt32, &u32::MAX.to_ne_bytes()),
        numbers("i64", T::Int64, &[1_i64 << 40, -1].map(i64::to_ne_bytes).concat()),
        numbers("i64max", T::Int64, &i64::MAX.to_ne_bytes()),
        numbers("nothing", T::Int32, &[]),
    ]
    .into_iter()
    .collect();
    let x = dimension("/x", 2);
    let filled = |name: &str, t: &T, fill: &[u8]| {
        with(Variable::new(name, t.clone(), vec![x.clone()]), vec![numbers("_FillValue", t.clone(), fill)])
    };
    let mut label = Variable::new("label", T::String, vec![x.clone()]);
    label.attributes.set(Attribute::strings("_FillValue", &["missing"]));
    let variables = vec![
        (filled("u8", &T::UInt8, &[255]), fixed!([255_u8, 1])),
        (filled("i8", &T::Int8, &[127]), fixed!([127_i8, -128])),
        (filled("u16", &T::UInt16, &65535_u16.to_ne_bytes()), fixed!([65535_u16, 1])),
        (filled("u32", &T::UInt32, &u32::MAX.to_ne_bytes()), fixed!([u32::MAX, 1])),
        (filled("f32", &T::Float32, &f32::NAN.to_ne_bytes()), fixed!([f32::NAN, 1.0])),
        (label, Block::varying(["a\"b", "c"])),
        (Variable::new("nothing", T::Int16, vec![dimension("/none", 0)]), Block::Fixed(Bytes::new())),
        (Variable::new("Maps:", T::Int16, vec![]), fixed!([7_i16])),
        (Variable::new("byte", T::Int16, vec![]), fixed!([8_i16])),
        (Variable::new("letter", T::Char, vec![]), Block::Fixed(Bytes::from_static(b"z"))),
    ];
    root.dimensions = vec![x, dimension("/none", 0)];
    Arc::new(MemorySource::flat("odd.nc", root, variables))
}
