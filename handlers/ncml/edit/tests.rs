//! What edits do, on a small dataset in memory: values are judged by indexing done by hand.

use std::sync::Arc;

use cdm::{
    Attribute, Attributes, Block, DataType, Dimension, ErrorKind, FullName, Group, RecordType, Selection,
    Source, TypeDefinition, Value, Variable, fixed_block,
    testing::{MemorySource, collect, source_contract},
    values,
};

use super::{apply, nothing};
use crate::ncml::parse;

/// time = 2 (unlimited), y = 3, x = 4, strlen = 5, one = 1; a group with a variable and a dimension.
fn original() -> Arc<dyn Source> {
    let dim = |name: &str, size| Dimension::shared(FullName::new(name), size);
    let time = Dimension { unlimited: true, ..dim("time", 2) };
    let mut root = Group::new(FullName::root());
    root.dimensions = vec![time.clone(), dim("y", 3), dim("x", 4), dim("strlen", 5), dim("one", 1)];
    root.attributes = [Attribute::text("title", "old"), Attribute::int32("count", 7)].into_iter().collect();
    let mut sst =
        Variable::new("sst", DataType::Int16, vec![time.clone(), dim("one", 1), dim("y", 3), dim("x", 4)]);
    let fill = Attribute::numbers("_FillValue", DataType::Int16, (-1_i16).to_ne_bytes().to_vec().into());
    sst.attributes =
        [fill, Attribute::text("units", "K"), Attribute::float64("scale_factor", 0.5)].into_iter().collect();
    let mut flags = Variable::new("flags", DataType::Int8, vec![dim("y", 3)]);
    let minus = Attribute::numbers("missing_value", DataType::Int8, vec![0xff].into());
    flags.attributes = [Attribute::text("_Unsigned", "true"), minus].into_iter().collect();
    let member = |name: &str, data_type| Variable::new(name, data_type, Vec::new());
    let fields =
        vec![member("id", DataType::Int32), member("name", DataType::String), member("v", DataType::Int8)];
    let record = RecordType { name: Some(FullName::new("/rec_t")), fields, is_vlen: false };
    let record = DataType::Structure(Arc::new(record));
    root.types = vec![TypeDefinition { name: "rec_t".into(), data_type: record.clone() }];
    let record_of = |id: i32, name: &str, v: i8| {
        let mut bytes = id.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&(name.len() as u64).to_ne_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(v.to_ne_bytes()[0]);
        bytes
    };
    root.variables = vec![
        sst,
        Variable::new("time", DataType::Float64, vec![time.clone()]),
        flags,
        Variable::new("name", DataType::Char, vec![time, dim("strlen", 5)]),
        Variable::new("rec", record, vec![Dimension::anonymous(2)]),
        Variable::new("words", DataType::String, vec![dim("y", 3)]),
    ];
    let mut inner = Group::new(FullName::new("/g"));
    inner.dimensions = vec![dim("/g/n", 2)];
    inner.variables = vec![Variable::new("depth", DataType::Float32, vec![dim("/g/n", 2), dim("x", 4)])];
    root.groups = vec![inner];
    let data = [
        ("/sst", fixed_block!((0_i16..24).collect::<Vec<_>>())),
        ("/time", fixed_block!([0.5_f64, 1.5])),
        ("/flags", Block::Fixed(vec![1, 200, 255].into())),
        ("/name", Block::Fixed(b"ab\0\0\0hello".to_vec().into())),
        ("/rec", Block::varying([record_of(1, "a", -3), record_of(70_000, "bcd", 4)])),
        ("/words", Block::varying(["p", "", "qr"])),
        ("/g/depth", fixed_block!([0_f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])),
    ];
    let data = data.into_iter().map(|(name, block)| (FullName::new(name), block));
    Arc::new(MemorySource::new("d.nc", root, data).with_block_elements(5))
}

fn edited(inside: &str) -> Arc<dyn Source> {
    let text = format!("<netcdf>{inside}</netcdf>");
    apply(original(), &parse(text.as_bytes(), "d").unwrap().netcdf).unwrap()
}

fn refused(inside: &str) -> (ErrorKind, String) {
    let text = format!("<netcdf>\n{inside}</netcdf>");
    let error = apply(original(), &parse(text.as_bytes(), "d").unwrap().netcdf).unwrap_err();
    (error.kind(), error.message().to_owned())
}

async fn all(source: &Arc<dyn Source>, name: &str) -> Vec<String> {
    let name = FullName::new(name);
    let variable = source.dataset().require(&name).unwrap();
    let fixed = variable.data_type.fixed_size().is_some();
    let block = collect(source.read(&name, &Selection::all(&variable.shape())), fixed).await.unwrap();
    values(&variable.data_type, &block).map(|v| shown(&v)).collect()
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Float32(n) => n.to_string(),
        Value::Float64(n) => n.to_string(),
        Value::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    }
}

fn attribute(attributes: &Attributes, name: &str) -> String {
    let found = attributes.get(name).unwrap_or_else(|| panic!("no {name}"));
    if let Some(text) = found.as_text() {
        return text.into_owned();
    }
    values(&found.data_type, &found.values).map(|v| shown(&v)).collect::<Vec<_>>().join(" ")
}

fn variable<'s>(source: &'s Arc<dyn Source>, name: &str) -> &'s Variable {
    source.dataset().require(&FullName::new(name)).unwrap()
}

#[tokio::test]
async fn nothing_to_do_is_the_original() {
    let source = original();
    let same = apply(Arc::clone(&source), &parse(b"<netcdf location='x'/>", "d").unwrap().netcdf).unwrap();
    assert!(Arc::ptr_eq(&source, &same));
}

#[tokio::test]
async fn names_types_and_attributes() {
    let source = edited(
        "<attribute name='title' value='new'/><attribute name='n' orgName='count' type='double'/>\
         <attribute name='levels' type='float' value='1 2.5'/><attribute name='list' value='a,b' separator=','/>\
         <dimension name='lat' orgName='y'/><dimension name='time' isUnlimited='false'/>\
         <variable name='temperature' orgName='sst' type='int' shape='time one lat x'>\
           <attribute name='units' value='degC'/><remove type='attribute' name='scale_factor'/></variable>\
         <variable name='flags' type='short'/><remove type='variable' name='words'/>\
         <group name='h' orgName='g'><dimension name='m' orgName='n'/></group>",
    );
    let root = source.dataset().root();
    let names: Vec<_> = root.attributes.iter().map(|a| a.name.to_string()).collect();
    assert_eq!(names, ["title", "n", "levels", "list"], "in the places they had");
    assert_eq!(
        (attribute(&root.attributes, "title"), attribute(&root.attributes, "n")),
        ("new".into(), "7".into())
    );
    assert_eq!(root.attributes.get("n").unwrap().data_type, DataType::Float64);
    assert_eq!(attribute(&root.attributes, "levels"), "1 2.5");
    assert_eq!(attribute(&root.attributes, "list"), "a b");
    assert!(!root.dimensions[0].unlimited && *"lat" == *root.dimensions[1].name.as_ref().unwrap().short());
    let temperature = variable(&source, "/temperature");
    assert_eq!(temperature.data_type, DataType::Int32);
    let fill = temperature.attributes.get("_FillValue").unwrap();
    assert_eq!(
        (&fill.data_type, attribute(&temperature.attributes, "_FillValue")),
        (&DataType::Int32, "-1".into())
    );
    assert_eq!(attribute(&temperature.attributes, "units"), "degC");
    assert!(temperature.attributes.get("scale_factor").is_none());
    assert_eq!(temperature.maps, [FullName::new("/time")]);
    assert_eq!(all(&source, "/temperature").await, (0..24).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(source.dataset().variable(&FullName::new("/words")).is_none());
    // Marked as unsigned: the wider type holds what was meant, and the mark goes.
    assert_eq!(all(&source, "/flags").await, ["1", "200", "255"]);
    assert_eq!(attribute(&variable(&source, "/flags").attributes, "missing_value"), "255");
    assert!(variable(&source, "/flags").attributes.get("_Unsigned").is_none());
    let depth = variable(&source, "/h/depth");
    assert_eq!(depth.dimensions[0].name, Some(FullName::new("/h/m")));
    assert_eq!(all(&source, "/h/depth").await[5], "5");
    source_contract(&source, 1, 20).await;
}

#[tokio::test]
async fn values_that_do_not_fit_are_errors() {
    let source = edited("<variable name='time' type='int'/>");
    let error = collect(source.read(&FullName::new("/time"), &Selection::all(&[2])), true).await.unwrap_err();
    assert_eq!(error.message(), "/time: the value 0.5 does not fit into int");
    let message = refused("<variable name='sst' type='ubyte'/>").1;
    assert_eq!(message, "d.nc:2: variable sst: attribute _FillValue: the value -1 does not fit into ubyte");
}

#[tokio::test]
async fn parts_and_other_orders() {
    let source = edited(
        "<variable name='a' orgName='sst'><logicalSlice dimName='time' index='1'/><logicalReduce dimNames='one'/></variable>\
         <variable name='b' orgName='sst'><logicalSection section='1:1,0,0:2:2,:'/></variable>\
         <variable name='sst'><logicalReduce dimNames='one'/><logicalView dimNames='x time y'/></variable>\
         <variable name='words'><logicalSection section='1:2'/></variable>\
         <group name='g'><variable name='depth'><logicalView dimNames='x n'/></variable></group>",
    );
    assert_eq!(variable(&source, "/a").shape(), [3, 4]);
    assert_eq!(all(&source, "/a").await, (12..24).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(variable(&source, "/b").shape(), [1, 1, 2, 4]);
    assert!(variable(&source, "/b").dimensions[2].name.is_none(), "y has another size");
    assert_eq!(all(&source, "/b").await, ["12", "13", "14", "15", "20", "21", "22", "23"]);
    let mut expected = Vec::new();
    for x in 0..4 {
        for time in 0..2 {
            expected.extend((0..3).map(|y| (time * 12 + y * 4 + x).to_string()));
        }
    }
    assert_eq!(all(&source, "/sst").await, expected);
    assert_eq!(all(&source, "/words").await, ["", "qr"]);
    assert_eq!(all(&source, "/g/depth").await, ["0", "4", "1", "5", "2", "6", "3", "7"]);
    source_contract(&source, 2, 40).await;
}

#[tokio::test]
async fn characters_become_strings() {
    let source = edited("<variable name='name' type='String'/>");
    assert_eq!(variable(&source, "/name").shape(), [2]);
    assert_eq!(all(&source, "/name").await, ["ab", "hello"]);
    source_contract(&source, 3, 20).await;
}

#[tokio::test]
async fn members_of_structures() {
    let source = edited(
        "<variable name='rec' type='Structure'><variable name='key' orgName='id' type='long'/>\
         <variable name='v' type='float'><attribute name='units' value='m'/></variable></variable>",
    );
    let record = variable(&source, "/rec").data_type.record().unwrap();
    assert_eq!(record.fields.iter().map(|f| &*f.name).collect::<Vec<_>>(), ["key", "name", "v"]);
    assert_eq!(record.name, None, "it is no longer the named type");
    assert_eq!(
        all(&source, "/rec").await,
        ["Record([Int(1), Text(\"a\"), Float32(-3.0)])", "Record([Int(70000), Text(\"bcd\"), Float32(4.0)])"]
    );
    source_contract(&source, 4, 20).await;
}

#[tokio::test]
async fn values_that_are_given() {
    let source = edited(
        "<dimension name='k' length='3'/><enumTypedef name='sky' type='enum1'><enum key='0'>clear</enum><enum key='1'>cloudy</enum></enumTypedef>\
         <attribute name='levels' type='double' value='10 20 30'/>\
         <variable name='k' type='int' shape='k'><values>1 2 3</values><attribute name='units' value='m'/></variable>\
         <variable name='r' type='float' shape='x y'><values start='1' increment='0.5'/></variable>\
         <variable name='l' type='short' shape='k'><values fromAttribute='@levels'/></variable>\
         <variable name='s' type='String' shape='k'><values separator=','>a b,,c</values></variable>\
         <variable name='c' type='char' shape='k'><values>ab</values></variable>\
         <variable name='rows' type='char' shape='2 k'><values separator='*'>x*abc</values></variable>\
         <variable name='e' type='enum1' typedef='sky' shape='k'><values>0 1 0</values></variable>\
         <variable name='f' type='float' shape='k'/><variable name='i' type='int' shape=''><attribute name='_FillValue' type='int' value='-5'/></variable>\
         <variable name='time'><values>7 8</values></variable><variable name='st' type='Structure' shape='k'><variable name='m' type='int' shape='2'/></variable>\
         <group name='new'><variable name='in' type='byte' shape='y'><values>1 2 3</values></variable></group>",
    );
    assert_eq!(all(&source, "/k").await, ["1", "2", "3"]);
    assert_eq!(
        all(&source, "/r").await,
        (0..12).map(|i| (1.0 + 0.5 * f64::from(i)).to_string()).collect::<Vec<_>>()
    );
    assert_eq!(all(&source, "/l").await, ["10", "20", "30"]);
    assert_eq!(all(&source, "/s").await, ["a b", "", "c"]);
    assert_eq!(all(&source, "/c").await, ["Char(97)", "Char(98)", "Char(0)"]);
    assert_eq!(
        all(&source, "/rows").await,
        ["Char(120)", "Char(0)", "Char(0)", "Char(97)", "Char(98)", "Char(99)"]
    );
    assert_eq!(all(&source, "/e").await[1], "Enum(1, Some(\"cloudy\"))");
    assert_eq!(all(&source, "/f").await, vec!["9969210000000000000000000000000000000"; 3]);
    assert_eq!(all(&source, "/i").await, ["-5"]);
    assert_eq!(all(&source, "/time").await, ["7", "8"]);
    assert_eq!(variable(&source, "/time").data_type, DataType::Float64);
    assert_eq!(all(&source, "/new/in").await, ["1", "2", "3"]);
    assert!(source.dataset().root().enums().any(|e| e.name == FullName::new("/sky")));
    source_contract(&source, 5, 20).await;
}

#[tokio::test]
async fn explicit_is_only_what_is_declared() {
    let source = edited(
        "<explicit/><attribute name='title'/><variable name='sst'><attribute name='units'/></variable>\
         <group name='g'><variable name='depth'/></group>",
    );
    let root = source.dataset().root();
    assert_eq!(root.attributes.iter().map(|a| &*a.name).collect::<Vec<_>>(), ["title"]);
    assert_eq!(root.variables.iter().map(|v| &*v.name).collect::<Vec<_>>(), ["sst"]);
    assert_eq!(attribute(&root.variables[0].attributes, "units"), "K");
    assert_eq!(root.variables[0].attributes.len(), 1);
    let names: Vec<_> = root.dimensions.iter().map(|d| d.name.as_ref().unwrap().short()).collect();
    assert_eq!(names, ["time", "y", "x", "one"], "strlen is not used");
    assert!(root.types.is_empty());
    source_contract(&source, 6, 10).await;
}

#[tokio::test]
async fn from_nothing() {
    let text = "<netcdf><dimension name='x' length='1000000000000'/>\
                <variable name='x' type='long' shape='x'><values start='5' increment='2'/></variable></netcdf>";
    let source = apply(nothing("n.ncml").unwrap(), &parse(text.as_bytes(), "d").unwrap().netcdf).unwrap();
    let some =
        Selection::new(vec![vec![cdm::Slice::new(999_999_999_998, 1, 2).unwrap()]], &[1_000_000_000_000]);
    let block = collect(source.read(&FullName::new("/x"), &some.unwrap()), true).await.unwrap();
    assert_eq!(block, fixed_block!([2_000_000_000_001_i64, 2_000_000_000_003]));
    assert!(source.version().is_some());
}

#[test]
fn versions_follow_the_definition() {
    let version = |inside: &str| edited(inside).version().unwrap().identity.clone();
    assert_eq!(version("<attribute name='a' value='1'/>"), version("<attribute name='a' value='1'/>"));
    assert_ne!(version("<attribute name='a' value='1'/>"), version("<attribute name='a' value='2'/>"));
}

#[test]
fn what_does_not_fit_is_refused() {
    for (inside, message) in [
        (
            "<variable name='sts'/>",
            "d.nc:2: there is no variable 'sts'; did you mean 'sst'? (a new one needs a 'type')",
        ),
        ("<variable name='a' orgName='tiem'/>", "d.nc:2: there is no variable 'tiem'; did you mean 'time'?"),
        (
            "<remove type='variable' name='wrods'/>",
            "d.nc:2: there is no variable 'wrods'; did you mean 'words'?",
        ),
        ("<remove type='group' name='x'/>", "d.nc:2: there is no group 'x'"),
        ("<dimension name='y' length='4'/>", "d.nc:2: the dimension 'y' has 3 elements, not 4"),
        ("<dimension name='new'/>", "d.nc:2: the new dimension 'new' without 'length'"),
        (
            "<variable name='time' shape='y'/>",
            "d.nc:2: variable time: the shape 'y' is [3], but the variable's is [2]; dimensions of one element are left out by <logicalReduce>, parts taken by <logicalSection>",
        ),
        (
            "<variable name='time' shape='tmie'/>",
            "d.nc:2: variable time: there is no dimension 'tmie'; did you mean 'time'?",
        ),
        (
            "<variable name='time'><values>1 2 3</values></variable>",
            "d.nc:2: variable time: <values>: 3 values where the shape [2] demands 2",
        ),
        (
            "<variable name='time'><values>1 x</values></variable>",
            "d.nc:2: variable time: <values>: 'x' is no double",
        ),
        (
            "<variable name='sst'><values start='0.5' increment='1'/></variable>",
            "d.nc:2: variable sst: <values>: values from 0.5 to 23.5 by 1 are not all short",
        ),
        (
            "<variable name='time' type='String'/>",
            "d.nc:2: variable time: values of type double cannot be made String",
        ),
        (
            "<variable name='sst'><logicalReduce dimNames='x'/></variable>",
            "d.nc:2: variable sst: the dimension 'x' has 4 elements; only one of 1 can be left out",
        ),
        (
            "<variable name='time'><logicalSection section='0:5'/></variable>",
            "d.nc:2: variable time: the section '0:5': axis 0 has 2 elements (0 to 1); index 5 is outside",
        ),
        (
            "<variable name='e' type='enum1' typedef='none'/>",
            "d.nc:2: variable e: there is no enumTypedef 'none'",
        ),
        ("<variable name='time' orgName='sst'/>", "d.nc:1: two variables are called 'time' in /"),
        (
            "<variable name='t'  type='int'><values fromAttribute='@none'/></variable>",
            "d.nc:2: variable t: there is no attribute '@none' to take values from",
        ),
        (
            "<attribute name='a' orgName='nothing'/>",
            "d.nc:2: there is no attribute 'nothing' to be called 'a'",
        ),
        ("<attribute name='a' type='byte' value='200'/>", "d.nc:2: attribute a: '200' is no byte"),
        (
            "<variable name='rec' type='Structure'><variable name='x' type='int'/></variable>",
            "d.nc:2: variable rec: there is no member 'x'; it has: id, name, v",
        ),
    ] {
        assert_eq!(refused(inside).1, message, "{inside}");
    }
    assert!(
        refused("<remove type='dimension' name='y'/>")
            .1
            .ends_with("the dimension 'y' cannot be removed: the variable sst has it")
    );
}
