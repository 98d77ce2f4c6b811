//! The datasets of the test vectors: those of the specification, and those of its implementations.

use std::sync::Arc;

use cdm::{
    Block, DataType, Dimension, EnumType, FullName, Group, OpaqueType, RecordType, Source, TypeDefinition,
    Variable, fixed_block, testing::MemorySource,
};

/// Rows of every sequence that [`fill`] makes.
const ROWS: u64 = 40;

pub(super) fn shared(name: &str, size: u64) -> Dimension {
    Dimension::shared(FullName::new(name), size)
}

pub(super) fn anonymous(sizes: &[u64]) -> Vec<Dimension> {
    sizes.iter().map(|&n| Dimension::anonymous(n)).collect()
}

fn record(fields: Vec<Variable>) -> Arc<RecordType> {
    Arc::new(RecordType { name: None, fields, is_vlen: false })
}

pub(super) fn int(name: &str, dimensions: Vec<Dimension>) -> Variable {
    Variable::new(name, DataType::Int32, dimensions)
}

pub(super) fn structure(name: &str, fields: Vec<Variable>, dimensions: Vec<Dimension>) -> Variable {
    Variable::new(name, DataType::Structure(record(fields)), dimensions)
}

pub(super) fn sequence(name: &str, fields: Vec<Variable>, dimensions: Vec<Dimension>) -> Variable {
    Variable::new(name, DataType::Sequence(record(fields)), dimensions)
}

/// Values for `variable`: counting up, whatever the type.
pub(super) fn fill(variable: &Variable) -> Block {
    let mut next = 0;
    let elements: Vec<Vec<u8>> = (0..variable.element_count())
        .map(|_| {
            let mut out = Vec::new();
            element(&variable.data_type, true, &mut next, &mut out);
            out
        })
        .collect();
    match variable.data_type.fixed_size() {
        Some(_) => Block::Fixed(elements.concat().into()),
        None => Block::varying(elements),
    }
}

fn element(data_type: &DataType, top: bool, next: &mut i32, out: &mut Vec<u8>) {
    match data_type {
        DataType::Structure(r) => members(r, next, out),
        DataType::Sequence(r) => {
            out.extend(ROWS.to_ne_bytes());
            *next = 0; // each instance counts its rows from 0
            (0..ROWS).for_each(|_| members(r, next, out));
        }
        DataType::String => {
            let text = format!("s{next}");
            if !top {
                out.extend((text.len() as u64).to_ne_bytes());
            }
            out.extend(text.as_bytes());
            *next += 1;
        }
        DataType::Int32 => {
            out.extend(next.to_ne_bytes());
            *next += 1;
        }
        other => unreachable!("no values for {other:?}"),
    }
}

fn members(record: &RecordType, next: &mut i32, out: &mut Vec<u8>) {
    // All members of a row hold the row's number, so that filters are easy to predict.
    let row = *next;
    for field in &record.fields {
        for _ in 0..field.element_count() {
            *next = row;
            element(&field.data_type, false, next, out);
        }
    }
    *next = row + 1;
}

/// A dataset of the given variables per group, values counted up.
pub(super) fn filled(root: Group) -> Arc<dyn Source> {
    let data: Vec<_> = root
        .walk()
        .flat_map(|g| g.variables.iter().map(|v| (g.name.join(&v.name), fill(v))).collect::<Vec<_>>())
        .collect();
    Arc::new(MemorySource::new("t.nc", root, data))
}

fn root(dimensions: Vec<Dimension>, variables: Vec<Variable>) -> Group {
    Group { dimensions, variables, ..Group::new(FullName::root()) }
}

fn point(dimensions: Vec<Dimension>) -> Variable {
    structure("Point", vec![int("x", vec![]), int("y", vec![])], dimensions)
}

/// The dataset that the vectors call `name`.
pub(super) fn named(name: &str) -> Arc<dyn Source> {
    match name {
        "V1_1" => filled(root(vec![], vec![int("u", vec![]), int("v", vec![]), point(vec![])])),
        "V1_2" => {
            let mut top = root(vec![], vec![int("u", vec![]), int("v", vec![])]);
            let mut inst2 = Group::new(FullName::new("/inst2"));
            inst2.variables = vec![point(vec![]), int("a.b", vec![])];
            top.groups = vec![inst2];
            filled(top)
        }
        "V1_3" => filled(root(vec![], vec![int("u", anonymous(&[256, 256])), point(anonymous(&[256]))])),
        "V1_4" => {
            let fields = vec![int("x", vec![]), int("y", anonymous(&[256]))];
            filled(root(vec![], vec![structure("Points", fields, anonymous(&[20]))]))
        }
        "V1_5" => {
            let deep = anonymous(&[1024]);
            let sounding =
                structure("sounding", vec![int("height", deep.clone()), int("pressure", deep)], vec![]);
            let fields = vec![int("x", vec![]), int("y", vec![]), sounding];
            filled(root(vec![], vec![structure("Points", fields, anonymous(&[4]))]))
        }
        "V1_6" => {
            let fields = vec![int("x", vec![]), int("y", vec![])];
            let s2 = sequence("s2", fields.clone(), anonymous(&[12]));
            filled(root(vec![], vec![sequence("s1", fields, vec![]), s2]))
        }
        "V1_7" => v1_7(),
        "V1_9" => {
            let sounding = sequence("sounding", vec![int("depth", vec![]), int("t", vec![])], vec![]);
            let points2 = sequence("Points2", vec![int("x", vec![]), int("y", vec![]), sounding], vec![]);
            let points3 = sequence("Points3", vec![int("x", vec![]), int("y", vec![])], vec![]);
            filled(root(vec![], vec![points2, points3]))
        }
        "A4" => {
            let (row, col) = (shared("/row", 3), shared("/col", 4));
            let both = vec![row.clone(), col.clone()];
            let variables = vec![
                int("a", both.clone()),
                int("b", both.clone()),
                int("c", both),
                int("x", vec![row.clone(), shared("/five", 5)]),
                int("y", vec![shared("/five", 5), col.clone()]),
            ];
            filled(root(vec![row, col, shared("/five", 5)], variables))
        }
        "TAA" => atomic_array(),
        "names" => {
            let mut inst2 = Group::new(FullName::new("/inst2"));
            inst2.variables =
                vec![structure("Point Break", vec![int("x", vec![]), int("y", vec![])], vec![])];
            let mut top = root(vec![], vec![int("a.b", vec![]), int("x", vec![])]);
            top.groups = vec![inst2];
            filled(top)
        }
        other => unreachable!("no dataset {other}"),
    }
}

fn v1_7() -> Arc<dyn Source> {
    let (lat, lon) = (shared("/nlat", 100), shared("/nlon", 50));
    let maps = vec![FullName::new("/lon"), FullName::new("/lat")];
    let mapped = |name: &str, more: &[Dimension]| Variable {
        maps: maps.clone(),
        ..int(name, [&[lon.clone(), lat.clone()], more].concat())
    };
    let variables = vec![
        mapped("temp", &[]),
        mapped("sal", &[]),
        mapped("CO2", &[shared("/z", 10)]),
        int("lat", vec![lat.clone()]),
        int("lon", vec![lon.clone()]),
    ];
    filled(root(vec![lat.clone(), lon.clone(), shared("/z", 10)], variables))
}

pub(super) fn clouds() -> Arc<EnumType> {
    let members = [("Clear", 0), ("Cumulonimbus", 1), ("Stratus", 2), ("Missing", 127)];
    Arc::new(EnumType {
        name: FullName::new("/cloud_class_t"),
        base: DataType::Int8,
        members: members.iter().map(|(n, v)| ((*n).into(), *v)).collect(),
    })
}

/// `test_atomic_array`, `test_one_vararray`, `test_enum_array` and `test_struct_array` in one.
fn atomic_array() -> Arc<dyn Source> {
    let d = |n: u64| shared(&format!("/d{n}"), n);
    let clouds = clouds();
    let mut top = root((1..=5).map(d).collect(), vec![]);
    let data_type = DataType::Enum(Arc::clone(&clouds));
    top.types = vec![TypeDefinition { name: "cloud_class_t".into(), data_type: data_type.clone() }];
    let pair = vec![int("x", vec![]), int("y", vec![])];
    let opaque = DataType::Opaque(Arc::new(OpaqueType { name: None, size: Some(2) }));
    let pairs: [i32; 18] = [1, -1, 2, -2, 17, 37, 4, -4, 5, -5, 6, -6, -4, 12, 7, -7, -8, 8];
    let strings = ["hello\tworld", "a", "b", "c"];
    Arc::new(MemorySource::flat(
        "t.nc",
        top,
        vec![
            (
                Variable::new("vu8", DataType::UInt8, vec![d(2), d(3)]),
                Block::Fixed(vec![255, 1, 2, 3, 4, 5].into()),
            ),
            (Variable::new("v16", DataType::Int16, vec![d(4)]), fixed_block!([1_i16, 2, 3, 4])),
            (Variable::new("vd", DataType::Float64, vec![d(2)]), fixed_block!([1024.8_f64, 17.9])),
            (Variable::new("vs", DataType::String, vec![d(2), d(2)]), Block::varying(strings)),
            (Variable::new("vo", opaque, vec![d(1), d(2)]), Block::varying([[0x01, 0x23], [0xab, 0xcd]])),
            (
                Variable::new("primary_cloud", data_type, vec![d(5)]),
                Block::Fixed(vec![0, 2, 0, 1, 127].into()),
            ),
            (int("t", vec![d(2)]), fixed_block!([17_i32, 37])),
            (structure("s", pair, vec![shared("/d3", 3), shared("/d3", 3)]), fixed_block!(pairs)),
        ],
    ))
}
