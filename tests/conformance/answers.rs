//! Datasets with known answers: the worked examples of the notes, and one of what trips readers.

use std::sync::Arc;

use cdm::{
    Attribute, Block, DataType, Dimension, EnumType, FullName, Group, OpaqueType, RecordType, Source,
    TypeDefinition, Variable, fixed_block, testing::MemorySource,
};

use crate::datasets::{clouds, int, sequence, shared, structure};

/// Elements of `long`: 2.4 MB, more than one data chunk, and no whole number of them.
pub(crate) const LONG: usize = 600_001;

pub(crate) fn named(name: &str) -> Arc<dyn Source> {
    Arc::new(match name {
        "atomic" => atomic(),
        "pair" => flat(vec![(int("t", vec![shared("/x", 2)]), fixed_block!([1_i32, 2]))], &[("x", 2)]),
        "texts" => flat(
            vec![(
                Variable::new("t", DataType::String, vec![shared("/x", 2)]),
                Block::varying(["ab", "cde"]),
            )],
            &[("x", 2)],
        ),
        "long" => {
            let values: Vec<i32> = (0..).take(LONG).collect();
            let variable = int("v", vec![shared("/x", LONG as u64)]);
            flat(vec![(variable, fixed_block!(values))], &[("x", LONG as u64)]).with_block_elements(70_001)
        }
        "rich" => rich(),
        "xdr" => xdr(),
        "rows" => rows(),
        other => panic!("no dataset {other}"),
    })
}

fn flat(variables: Vec<(Variable, Block)>, dimensions: &[(&str, u64)]) -> MemorySource {
    let mut root = Group::new(FullName::root());
    root.dimensions = dimensions.iter().map(|(name, size)| shared(&format!("/{name}"), *size)).collect();
    MemorySource::flat("t.nc", root, variables)
}

/// Example A of section 3.4.
fn atomic() -> MemorySource {
    let opaque = DataType::Opaque(Arc::new(OpaqueType { name: None, size: Some(8) }));
    let one = |name: &str, data_type: DataType| Variable::new(name, data_type, vec![]);
    let clouds = DataType::Enum(clouds());
    let mut root = Group::new(FullName::root());
    root.types = vec![TypeDefinition { name: "cloud_class_t".into(), data_type: clouds.clone() }];
    MemorySource::flat(
        "t.nc",
        root,
        vec![
            (one("v8", DataType::Int8), fixed_block!([-128_i8])),
            (one("vu8", DataType::UInt8), fixed_block!([255_u8])),
            (one("v16", DataType::Int16), fixed_block!([-32768_i16])),
            (one("vu16", DataType::UInt16), fixed_block!([65535_u16])),
            (one("v32", DataType::Int32), fixed_block!([i32::MAX])),
            (one("vu32", DataType::UInt32), fixed_block!([u32::MAX])),
            (one("v64", DataType::Int64), fixed_block!([i64::MAX])),
            (one("vu64", DataType::UInt64), fixed_block!([u64::MAX])),
            (one("vf", DataType::Float32), fixed_block!([std::f32::consts::PI])),
            (one("vd", DataType::Float64), fixed_block!([std::f64::consts::PI])),
            (one("vc", DataType::Char), Block::Fixed(b"@"[..].into())),
            (one("vs", DataType::String), Block::varying(["hello\tworld"])),
            (one("vo", opaque), Block::varying([[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]])),
            (one("primary", clouds.clone()), fixed_block!([2_i8])),
            (one("secondary", clouds), fixed_block!([127_i8])),
        ],
    )
}

/// The text that trips readers: everything that XML, DAS and JSON escape.
pub(crate) const ODD_TEXT: &str = "a\\b \"q\" <x> & it's\n\ttab é ]]>";

/// Maps before and after their targets, dangling and in other groups; names with separators; mixed
/// axes; a zero-length and an unlimited dimension; a variable-length type; odd attributes.
fn rich() -> MemorySource {
    let numbers = |name: &str, t: DataType, bytes: &[u8]| Attribute::numbers(name, t, bytes.to_vec().into());
    let (x, none) = (shared("/x", 2), shared("/none", 0));
    let time = Dimension { unlimited: true, ..shared("/time", 3) };
    let inner = shared("/g one/y.z", 2);
    let mut root = Group::new(FullName::root());
    root.dimensions = vec![x.clone(), none.clone(), time.clone()];
    root.attributes = [
        Attribute::text("text", ODD_TEXT),
        Attribute::text("empty", ""),
        Attribute::strings("several", &["", "<b>", "c"]),
        Attribute::strings::<&str>("no strings", &[]),
        numbers("no numbers", DataType::Int16, &[]),
        numbers("bytes", DataType::UInt8, &[200, 0]),
        numbers("limits", DataType::Float64, &[f64::NAN, f64::INFINITY, -0.1].map(f64::to_ne_bytes).concat()),
        numbers("third", DataType::Float32, &(1.0_f32 / 3.0).to_ne_bytes()),
        numbers("_DAP4_Little_Endian", DataType::UInt8, &[9]),
    ]
    .into_iter()
    .collect();
    let record = |name: &str| RecordType { name: None, fields: vec![int(name, vec![])], is_vlen: true };
    let ragged = DataType::Sequence(Arc::new(record("whatever")));
    let kind = Arc::new(EnumType {
        name: FullName::new("/g one/kind.t"),
        base: DataType::UInt16,
        members: vec![("a<b".into(), 1), ("c".into(), 65535)],
    });
    let mut data: Vec<(FullName, Block)> = Vec::new();
    let mut add = |group: &mut Group, mut variable: Variable, maps: &[&str], block: Block| {
        variable.maps = maps.iter().map(|m| FullName::new(m)).collect();
        data.push((group.name.join(&variable.name), block));
        group.variables.push(variable);
    };
    let two = || fixed_block!([1_i32, 2]);
    add(&mut root, int("before", vec![x.clone()]), &["/x"], two());
    add(&mut root, int("x", vec![x.clone()]), &[], two());
    add(&mut root, int("dangling", vec![x.clone()]), &["/nowhere", "/x"], two());
    add(&mut root, int("empty", vec![none]), &[], Block::Fixed(Vec::new().into()));
    add(&mut root, int("time", vec![time]), &[], fixed_block!([0_i32, 1, 2]));
    let mixed = vec![x.clone(), Dimension::anonymous(2)];
    add(&mut root, int("mixed", mixed), &["/x"], fixed_block!([1_i32, 2, 3, 4]));
    let row = |values: &[i32]| {
        let bytes = values.iter().flat_map(|v| v.to_ne_bytes());
        (values.len() as u64).to_ne_bytes().into_iter().chain(bytes).collect::<Vec<u8>>()
    };
    let rows = Block::varying([row(&[]), row(&[5, 6, 7])]);
    add(&mut root, Variable::new("ragged", ragged, vec![x.clone()]), &[], rows);
    let mut group = Group::new(FullName::new("/g one"));
    group.dimensions = vec![inner.clone()];
    group.types =
        vec![TypeDefinition { name: "kind.t".into(), data_type: DataType::Enum(Arc::clone(&kind)) }];
    group.attributes.set(Attribute::text("comment", "inside & out"));
    add(&mut group, int("y.z", vec![inner.clone()]), &[], two());
    let mut odd = Variable::new("t\\é \"<>&", DataType::Enum(kind), vec![inner, x]);
    odd.attributes = [
        Attribute::text("units", "K & <more>"),
        Attribute::numbers("_FillValue", DataType::UInt16, vec![1, 0].into()),
    ]
    .into_iter()
    .collect();
    add(&mut group, odd, &["/g one/y.z", "/x"], fixed_block!([1_u16, 65535, 65535, 1]));
    root.groups = vec![group];
    MemorySource::new("a & <b>.nc", root, data)
}

/// The worked examples of section 5.4, and one of each other kind.
fn xdr() -> MemorySource {
    let three = vec![shared("/n", 3)];
    let two = vec![shared("/m", 2)];
    let pair = vec![int("a", vec![]), int("b", vec![])];
    flat(
        vec![
            (Variable::new("bytes", DataType::UInt8, three), fixed_block!([1_u8, 255, 3])),
            (Variable::new("strings", DataType::String, two.clone()), Block::varying(["ab", "cde"])),
            (Variable::new("byte", DataType::UInt8, vec![]), fixed_block!([200_u8])),
            (Variable::new("short", DataType::Int16, vec![]), fixed_block!([-2_i16])),
            (Variable::new("shorts", DataType::Int16, two.clone()), fixed_block!([-2_i16, 3])),
            (Variable::new("ushorts", DataType::UInt16, two.clone()), fixed_block!([65535_u16, 3])),
            (Variable::new("double", DataType::Float64, vec![]), fixed_block!([1.5_f64])),
            (Variable::new("string", DataType::String, vec![]), Block::varying(["abcd"])),
            (structure("pairs", pair, two), fixed_block!([1_i32, 2, 3, 4])),
        ],
        &[("n", 3), ("m", 2)],
    )
}

/// The sequence of section 5.4: two rows of Int32 and Float32.
fn rows() -> MemorySource {
    let fields = vec![int("a", vec![]), Variable::new("b", DataType::Float32, vec![])];
    let mut rows = 2_u64.to_ne_bytes().to_vec();
    for (a, b) in [(1_i32, 1.5_f32), (2, 2.5)] {
        rows.extend(a.to_ne_bytes());
        rows.extend(b.to_ne_bytes());
    }
    flat(vec![(sequence("s", fields, vec![]), Block::varying([rows]))], &[])
}
