//! The DMR, the DSR and the page as they are sent.

use std::sync::Arc;

use cdm::{
    Attribute, Block, DataType, Dimension, FullName, Group, RecordType, Source, TypeDefinition, Variable,
    fixed_block,
    testing::{MemorySource, source_contract},
};

use super::{
    super::{Response, view},
    ask, datasets, text,
};

/// A dataset with one of nearly everything.
fn rich() -> Arc<dyn Source> {
    let (time, lat) = (FullName::new("/time"), datasets::shared("/lat", 2));
    let record = Dimension { name: Some(time.clone()), size: 3, unlimited: true };
    let mut root = Group::new(FullName::root());
    root.dimensions = vec![record.clone(), lat.clone()];
    let clouds = DataType::Enum(datasets::clouds());
    root.types = vec![TypeDefinition { name: "cloud_class_t".into(), data_type: clouds.clone() }];
    root.attributes = [
        Attribute::text("title", "say \"a<b\" & \\ it's\u{1}"),
        Attribute::strings("keywords", &["one", "two & three"]),
        Attribute::strings::<&str>("nothing", &[]),
        Attribute::float64("huge", 1e20),
    ]
    .into_iter()
    .collect();
    let mut temp =
        Variable::new("temp", DataType::Float32, vec![record, lat.clone(), Dimension::anonymous(2)]);
    temp.maps = vec![FullName::new("/lat"), FullName::new("/nowhere")];
    temp.attributes = [
        Attribute::numbers("_FillValue", DataType::Float32, 1e20_f32.to_ne_bytes().to_vec().into()),
        Attribute::numbers("scale_factor", DataType::Float32, 0.1_f32.to_ne_bytes().to_vec().into()),
        Attribute::numbers("flags", DataType::Int16, [1_i16, -2].map(i16::to_ne_bytes).concat().into()),
    ]
    .into_iter()
    .collect();
    let vlen = RecordType {
        name: None,
        fields: vec![Variable::new("item", DataType::Int16, vec![])],
        is_vlen: true,
    };
    let rows = Block::varying([[1_u64.to_ne_bytes().to_vec(), 5_i16.to_ne_bytes().to_vec()].concat()]);
    let mut child = Group::new(FullName::new("/inner"));
    child.variables = vec![Variable::new("a.b", DataType::UInt8, vec![lat.clone()])];
    root.groups = vec![child];
    let lat_values = Variable::new("lat", DataType::Float64, vec![lat]);
    let floats: Vec<f32> = vec![0.0; 12];
    root.variables = vec![
        temp,
        lat_values,
        Variable::new("cloud", clouds, vec![]),
        Variable::new("ragged", DataType::Sequence(Arc::new(vlen)), vec![]),
    ];
    let data = [
        ("/temp", fixed_block!(floats)),
        ("/lat", fixed_block!([1.0_f64, 2.0])),
        ("/cloud", fixed_block!([2_i8])),
        ("/ragged", rows),
        ("/inner/a.b", fixed_block!([1_u8, 2])),
    ];
    Arc::new(MemorySource::new("t.nc", root, data.map(|(n, b)| (FullName::new(n), b))))
}

#[test]
fn the_whole_description() {
    insta::assert_snapshot!(text(ask(&rich(), Response::Dmr, "", "")), @r###"
<?xml version="1.0" encoding="UTF-8"?>
<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" name="t.nc" dapVersion="4.0" dmrVersion="1.0" xml:base="http://localhost/opendap/t.nc">
    <Dimension name="time" size="3" _edu.ucar.isunlimited="1"/>
    <Dimension name="lat" size="2"/>
    <Dimension name="temp_dim_2" size="2"/>
    <Enumeration name="cloud_class_t" basetype="Int8">
        <EnumConst name="Clear" value="0"/>
        <EnumConst name="Cumulonimbus" value="1"/>
        <EnumConst name="Stratus" value="2"/>
        <EnumConst name="Missing" value="127"/>
    </Enumeration>
    <Float64 name="lat">
        <Dim name="/lat"/>
    </Float64>
    <Float32 name="temp">
        <Dim name="/time"/>
        <Dim name="/lat"/>
        <Dim name="/temp_dim_2"/>
        <Attribute name="_FillValue" type="Float32">
            <Value>1e20</Value>
        </Attribute>
        <Attribute name="scale_factor" type="Float32">
            <Value>0.1</Value>
        </Attribute>
        <Attribute name="flags" type="Int16">
            <Value>1</Value>
            <Value>-2</Value>
        </Attribute>
        <Map name="/lat"/>
    </Float32>
    <Enum name="cloud" enum="/cloud_class_t"/>
    <Sequence name="ragged" _edu.ucar.isvlen="1">
        <Int16 name="ragged"/>
    </Sequence>
    <Attribute name="_DAP4_Little_Endian" type="UInt8">
        <Value>1</Value>
    </Attribute>
    <Attribute name="title" type="String">
        <Value>say "a&lt;b" &amp; \ it's�</Value>
    </Attribute>
    <Attribute name="keywords" type="String">
        <Value>one</Value>
        <Value>two &amp; three</Value>
    </Attribute>
    <Attribute name="nothing" type="String">
        <Value></Value>
    </Attribute>
    <Attribute name="huge" type="Float64">
        <Value>1e20</Value>
    </Attribute>
    <Group name="inner">
        <UInt8 name="a.b">
            <Dim name="/lat"/>
        </UInt8>
    </Group>
</Dataset>
"###);
}

#[test]
fn a_constrained_description_has_only_what_it_needs() {
    insta::assert_snapshot!(text(ask(&rich(), Response::DmrXml, "dap4.ce=/lat[1];/inner", "")), @r###"
<?xml version="1.0" encoding="UTF-8"?>
<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" name="t.nc" dapVersion="4.0" dmrVersion="1.0" xml:base="http://localhost/opendap/t.nc">
    <Dimension name="lat" size="2"/>
    <Float64 name="lat">
        <Dim size="1"/>
    </Float64>
    <Attribute name="_DAP4_Little_Endian" type="UInt8">
        <Value>1</Value>
    </Attribute>
    <Attribute name="title" type="String">
        <Value>say "a&lt;b" &amp; \ it's�</Value>
    </Attribute>
    <Attribute name="keywords" type="String">
        <Value>one</Value>
        <Value>two &amp; three</Value>
    </Attribute>
    <Attribute name="nothing" type="String">
        <Value></Value>
    </Attribute>
    <Attribute name="huge" type="Float64">
        <Value>1e20</Value>
    </Attribute>
    <Group name="inner">
        <UInt8 name="a.b">
            <Dim name="/lat"/>
        </UInt8>
    </Group>
</Dataset>
"###);
}

/// netCDF-C spoils some texts and every Float32 attribute unless they are written another way.
#[test]
fn netcdf_c_gets_its_dialect() {
    let plain = text(ask(&rich(), Response::Dmr, "", ""));
    let dialect = text(ask(&rich(), Response::Dmr, "", "netCDF4.10.1"));
    let differing: Vec<&str> = dialect.lines().filter(|l| !plain.contains(l.trim())).map(str::trim).collect();
    insta::assert_snapshot!(differing.join("\n"), @r###"
<Attribute name="scale_factor" type="Float64">
<Value>0.10000000149011612</Value>
<Attribute name="missing_value" type="Float64">
<Value>1.0000000200408773e20</Value>
<Attribute name="title" type="String" value="say &quot;a&lt;b&quot; &amp; \ it's�"/>
"###);
}

#[test]
fn services() {
    let dsr = text(ask(&datasets::named("V1_1"), Response::Dsr, "", ""));
    assert!(dsr.contains("<DatasetServices xmlns=\"http://xml.opendap.org/ns/DAP/4.0/dataset-services#\""));
    for suffix in [".dmr", ".dmr.xml", ".dap", ".dsr", ".html"] {
        assert!(dsr.contains(&format!("href=\"http://localhost/opendap/t.nc{suffix}\"")), "{suffix}");
    }
}

#[test]
fn the_view_is_a_source_and_idempotent() {
    let shown = view(rich()).unwrap();
    futures::executor::block_on(source_contract(&shown, 20, 1));
    let again = view(Arc::clone(&shown)).unwrap();
    assert!(Arc::ptr_eq(&shown, &again));
    let order: Vec<String> = shown.dataset().variables().map(|(n, _)| n.to_string()).collect();
    assert_eq!(order, ["/lat", "/temp", "/cloud", "/ragged", "/inner/a.b"]);
}
