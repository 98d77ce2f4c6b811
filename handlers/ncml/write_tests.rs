//! What is written reads as the same description.

use std::{collections::BTreeMap, sync::Arc};

use cdm::{
    Attribute, Block, DataType, Dataset, Dimension, EnumType, FullName, Group, RecordType, Selection,
    TypeDefinition, Variable, fixed_block, testing::collect,
};

use super::{apply, edit::nothing, parse, write};

fn dataset() -> Dataset {
    let dim = |name: &str, size| Dimension::shared(FullName::new(name), size);
    let mut root = Group::new(FullName::root());
    let sky = DataType::Enum(Arc::new(EnumType {
        name: FullName::new("/sky"),
        base: DataType::Int16,
        members: vec![("clear <sky>".into(), 0), ("x".into(), -3)],
    }));
    root.types = vec![TypeDefinition { name: "sky".into(), data_type: sky.clone() }];
    root.dimensions = vec![Dimension { unlimited: true, ..dim("time", 3) }, dim("a b", 2)];
    let numbers = |name: &str, data_type, bytes: Vec<u8>| Attribute::numbers(name, data_type, bytes.into());
    root.attributes = [
        Attribute::text("title", "\"a\" <b> & 'c'\n\té \u{1}"),
        Attribute::text("empty", ""),
        Attribute::strings("one", &["a"]),
        Attribute::strings("several", &["a|b", "", "~"]),
        Attribute::float64("big", 1.5e300),
        Attribute::float64("nan", f64::NAN),
        numbers(
            "floats",
            DataType::Float32,
            [0.1_f32, 9.969_21e36, f32::NEG_INFINITY].map(f32::to_ne_bytes).concat(),
        ),
        numbers("bytes", DataType::UInt8, vec![0, 255]),
        numbers("long", DataType::Int64, i64::MIN.to_ne_bytes().to_vec()),
    ]
    .into_iter()
    .collect();
    let mut time = Variable::new("time", DataType::Float64, vec![root.dimensions[0].clone()]);
    time.attributes.set(Attribute::text("units", "days since 2000-01-01"));
    let fields = vec![
        Variable::new("x", DataType::Int32, Vec::new()),
        Variable::new("y", DataType::String, vec![Dimension::anonymous(2)]),
    ];
    let record = DataType::Structure(Arc::new(RecordType { name: None, fields, is_vlen: false }));
    root.variables = vec![
        time,
        Variable::new("names", DataType::String, vec![dim("a b", 2)]),
        Variable::new("sky", sky, vec![dim("a b", 2), Dimension::anonymous(4)]),
        Variable::new("rec", record, Vec::new()),
    ];
    let mut inner = Group::new(FullName::new("/g"));
    inner.dimensions = vec![dim("/g/n", 2)];
    inner.variables =
        vec![Variable::new("c", DataType::Char, vec![root.dimensions[0].clone(), dim("/g/n", 2)])];
    root.groups = vec![inner];
    Dataset::new("d & e.nc", root).unwrap()
}

#[tokio::test]
async fn it_reads_as_what_was_written() {
    let dataset = dataset();
    let given = [
        ("/time", fixed_block!([0.5_f64, 1e-7, 3.0])),
        ("/names", Block::varying(["a b", " |"])),
        ("/g/c", Block::Fixed(b"ab\0\0x\0".to_vec().into())),
    ];
    let given: BTreeMap<FullName, Block> = given.map(|(name, block)| (FullName::new(name), block)).into();
    let text = write(&dataset, dataset.name(), &given);
    let parsed = parse(text.as_bytes(), "w").unwrap();
    assert!(parsed.remarks.is_empty(), "{:?}", parsed.remarks);
    assert_eq!(parsed.netcdf.location.as_deref(), Some("d & e.nc"));
    let read = apply(nothing("d").unwrap(), &parsed.netcdf).unwrap();
    let mut expected = dataset.root().clone();
    // A control character cannot be in XML.
    expected.attributes.set(Attribute::text("title", "\"a\" <b> & 'c'\n\té \u{fffd}"));
    // What is no number does not equal itself.
    let nan = |root: &Group| format!("{:?}", root.attributes.get("nan").unwrap());
    let mut root = read.dataset().root().clone();
    assert_eq!(nan(&root), nan(&expected));
    for root in [&mut root, &mut expected] {
        root.variables.iter_mut().for_each(|v| v.maps.clear());
        root.groups[0].variables[0].maps.clear();
    }
    assert_eq!(root, expected);
    for (name, block) in &given {
        let variable = dataset.variable(name).unwrap();
        let fixed = variable.data_type.fixed_size().is_some();
        let read = collect(read.read(name, &Selection::all(&variable.shape())), fixed).await.unwrap();
        assert_eq!(read, *block, "{name}");
    }
}
