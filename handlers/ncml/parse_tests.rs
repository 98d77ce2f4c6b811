//! What is read of NcML documents, and what is refused.

use std::time::Duration;

use cdm::{DataType, ErrorKind};
use proptest::prelude::*;

use super::{
    document::{Join, Logical, Netcdf, Promote, RemoveKind, TypeName, Values},
    parse,
};

fn read(inside: &str) -> Netcdf {
    let text =
        format!("<netcdf xmlns='http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2'>{inside}</netcdf>");
    parse(text.as_bytes(), "d.ncml").unwrap().netcdf
}

/// The message about `text`, without the name of the document.
fn refused(text: &str) -> (ErrorKind, String) {
    let error = parse(text.as_bytes(), "d.ncml").unwrap_err();
    let message = error.message().strip_prefix("d.ncml:").unwrap_or_else(|| panic!("{error}"));
    (error.kind(), message.to_owned())
}

#[test]
fn everything_there_is() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<nc:netcdf xmlns:nc="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b" location=" a/b.nc " id="x">
  <nc:explicit/>
  <nc:enumTypedef name="clouds" type="enum2"><nc:enum key="0">clear sky</nc:enum><nc:enum key="-1"> x </nc:enum></nc:enumTypedef>
  <nc:dimension name="time" orgName="t" length="3" isUnlimited="true" isShared="true"/>
  <nc:dimension name="n" isVariableLength="1"/>
  <nc:attribute name="title" value="a &lt;b&gt; &#233;"/>
  <nc:attribute name="history">  made
 today </nc:attribute>
  <nc:attribute name="levels" type="float" value="1,2" separator=","/>
  <nc:attribute name="flags" type="byte" isUnsigned="true" value="255"/>
  <nc:attribute name="renamed" orgName="old name"/>
  <nc:variable name="v" orgName="w" type="double" shape="time lat 3">
    <nc:values>1 2 3</nc:values>
    <nc:attribute name="units" value=""/>
    <nc:remove type="attribute" name="junk"/>
    <nc:logicalSection section="0:9:2,:,3"/>
    <nc:logicalSlice dimName="lat" index="4"/>
    <nc:logicalReduce dimNames="a b"/>
    <nc:logicalView dimNames="lat time"/>
  </nc:variable>
  <nc:variable name="scalar" shape="" type="enum1" typedef="clouds"/>
  <nc:variable name="s" type="Structure"><nc:variable name="m" type="String"/></nc:variable>
  <nc:variable name="ramp"><nc:values start="10" increment="-.5" npts="3"/></nc:variable>
  <nc:variable name="from"><nc:values fromAttribute="v@levels"/></nc:variable>
  <nc:group name="g" orgName="h"><nc:group name="i"><nc:remove name="z" type="variable"/></nc:group></nc:group>
</nc:netcdf>"#;
    let read = parse(text.as_bytes(), "d.ncml").unwrap();
    insta::assert_debug_snapshot!(read);
}

#[test]
fn aggregations() {
    let netcdf = read(
        r#"<aggregation type="joinExisting" dimName="time" recheckEvery="15 min" timeUnitsChange="true">
        <variableAgg name="T"/><cacheVariable name="lat"/>
        <promoteGlobalAttribute name="run" orgName="run_time"/><promoteGlobalAttribute name="id"/>
        <scan location="data/" suffix=".nc" subdirs="false" olderThan="PT5M" regExp=".*x\.nc" dateFormatMark="sst#yyyyMMdd"/>
        <netcdf location="a.nc" ncoords="3" coordValue="1 2 3"/>
        <netcdf section="0:9,0:4"><aggregation type="union"><netcdf location="b.nc"/></aggregation></netcdf>
        </aggregation>"#,
    );
    let aggregation = netcdf.aggregation.unwrap();
    assert_eq!(aggregation.join, Join::Existing);
    assert_eq!(aggregation.dimension.as_deref(), Some("time"));
    assert_eq!(aggregation.recheck, Some(Duration::from_secs(900)));
    assert_eq!((aggregation.variables, aggregation.cache), (vec!["T".to_owned()], vec!["lat".to_owned()]));
    let promote = |name: &str, attribute: &str| Promote { name: name.into(), attribute: attribute.into() };
    assert_eq!(aggregation.promote, [promote("run", "run_time"), promote("id", "id")]);
    let scan = &aggregation.scans[0];
    assert_eq!(
        (scan.location.as_str(), scan.suffix.as_deref(), scan.subfolders),
        ("data/", Some(".nc"), false)
    );
    assert_eq!(scan.older_than, Some(Duration::from_secs(300)));
    assert_eq!(scan.date_format_mark.as_deref(), Some("sst#yyyyMMdd"));
    assert_eq!(aggregation.members[0].ncoords, Some(3));
    assert_eq!(aggregation.members[0].coord_value.as_deref(), Some("1 2 3"));
    assert_eq!(aggregation.members[1].section.as_deref(), Some("0:9,0:4"));
    assert_eq!(aggregation.members[1].aggregation.as_ref().unwrap().join, Join::Union);
}

#[test]
fn what_can_be_said_in_two_ways() {
    let netcdf = read(
        "<variable name='a' shape=''/><variable name='b'/><variable name='c' shape='x\\ y'/>\
         <attribute name='n'/><attribute name='e' value=''/><remove type='group' name='g'/>",
    );
    let shapes: Vec<_> = netcdf.edits.variables.iter().map(|v| v.shape.clone()).collect();
    assert_eq!(shapes, [Some(vec![]), None, Some(vec!["x y".to_owned()])]);
    let values: Vec<_> = netcdf.edits.attributes.iter().map(|a| a.value.as_deref()).collect();
    assert_eq!(values, [None, Some("")], "without a value it keeps what it has");
    assert_eq!(netcdf.edits.removes[0].kind, RemoveKind::Group);
    assert!(parse(b"<netcdf/>", "x").is_ok(), "without a namespace too");
    let latin = parse(b"<netcdf><attribute name='a' value='caf\xe9'/></netcdf>", "x").unwrap();
    assert_eq!(latin.netcdf.edits.attributes[0].value.as_deref(), Some("caf\u{e9}"));
    let types =
        ["byte", "ubyte", "char", "short", "ushort", "int", "uint", "long", "ulong", "float", "double"];
    for word in types {
        let netcdf = read(&format!("<variable name='v' type='{word}'/>"));
        assert!(matches!(netcdf.edits.variables[0].data_type, Some(TypeName::Plain(_))), "{word}");
    }
    let string = read("<variable name='v' type='string'/>");
    assert_eq!(string.edits.variables[0].data_type, Some(TypeName::Plain(DataType::String)));
    let values = read("<variable name='v'><values separator='*'>a b*c</values></variable>");
    let expected = Values::List { text: "a b*c".into(), separator: Some("*".into()) };
    assert_eq!(values.edits.variables[0].values, Some(expected));
    let logical = read("<variable name='v'><logicalSlice dimName='t' index='2'/></variable>");
    assert_eq!(logical.edits.variables[0].logical, [Logical::Slice { dimension: "t".into(), index: 2 }]);
}

#[test]
fn remarks_on_what_has_no_effect() {
    let text = "<netcdf enhance='all' title='t'>\nwords<aggregation type='union'\n fmrcDefinition='x'><netcdf/></aggregation></netcdf>";
    let remarks = parse(text.as_bytes(), "d").unwrap().remarks;
    let shown: Vec<_> = remarks.iter().map(|r| format!("{}: {}", r.line, r.message)).collect();
    assert_eq!(
        shown,
        [
            "1: 'enhance' of <netcdf> has no effect",
            "1: 'title' of <netcdf> has no effect",
            "1: text directly inside <netcdf> has no effect",
            "2: 'fmrcDefinition' of <aggregation> has no effect",
        ]
    );
}

#[test]
fn errors_have_lines_and_hints() {
    for (text, message) in [
        (
            "<netcdf>\n<atribute name='a'/></netcdf>",
            "2: <netcdf> has no element <atribute>; did you mean 'attribute'?",
        ),
        (
            "<netcdf>\n\n<variable name='a' orgname='b'/></netcdf>",
            "3: <variable> has no attribute 'orgname'; did you mean 'orgName'?",
        ),
        (
            "<netcdf><variable name='a' type='flaot'/></netcdf>",
            "1: there is no type 'flaot'; did you mean 'float'?",
        ),
        ("<netcdf><variable/></netcdf>", "1: <variable> without 'name'"),
        (
            "<netcdf><variable name='a/b'/></netcdf>",
            "1: the name 'a/b': what is inside a group is written inside <group>",
        ),
        (
            "<netcdf><dimension name='a' length='-1'/></netcdf>",
            "1: 'length' is '-1', which is no number of at least 0",
        ),
        (
            "<netcdf><dimension name='a' isUnlimited='maybe'/></netcdf>",
            "1: 'isUnlimited' is 'maybe'; it is true or false",
        ),
        ("<netcdf><aggregation type='union'/></netcdf>", "1: an <aggregation> without <netcdf> or <scan>"),
        (
            "<netcdf><aggregation type='joinNew'><netcdf/></aggregation></netcdf>",
            "1: an <aggregation> of type joinNew without 'dimName'",
        ),
        (
            "<netcdf><aggregation type='joinexisting' dimName='t'><netcdf/></aggregation></netcdf>",
            "1: the type 'joinexisting' of an <aggregation>; did you mean 'joinExisting'?",
        ),
        (
            "<netcdf><aggregation type='union' recheckEvery='often'><netcdf/></aggregation></netcdf>",
            "1: 'recheckEvery' is 'often'; write a duration such as '15 min', '1 days' or 'PT5M'",
        ),
        (
            "<netcdf><variable name='v'><values start='1'/></variable></netcdf>",
            "1: <values> with one of 'start' and 'increment'; give both",
        ),
        (
            "<netcdf><variable name='v' type='enum1'/></netcdf>",
            "1: type 'enum1' without 'typedef', the name of an <enumTypedef>",
        ),
        (
            "<netcdf><variable name='s'>\n<remove name='m' type='variable'/></variable></netcdf>",
            "2: inside of a <variable> only attributes are removed: members of a structure stay, and what is in a group is removed beside its variables",
        ),
        (
            "<netcdf><remove name='v' type='vraiable'/></netcdf>",
            "1: the type 'vraiable' of a <remove>: it is attribute, dimension, variable or group",
        ),
        ("<netcdf a:b='1' location='x' location='y'/>", "1: 'location' twice in one <netcdf>"),
        (
            "<netcdf xmlns='http://elsewhere'/>",
            "1: the namespace 'http://elsewhere' is not that of NcML 2.2, http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2",
        ),
        ("<html/>", "1: <html> where <netcdf> is expected"),
    ] {
        assert_eq!(refused(text), (ErrorKind::Corrupt, message.to_owned()), "{text}");
    }
}

#[test]
fn hostile_documents_are_refused() {
    let laughs = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>\n<netcdf><attribute name='x' value='&b;'/></netcdf>";
    assert_eq!(refused(laughs).0, ErrorKind::Unsupported);
    let external = "<!DOCTYPE netcdf SYSTEM 'file:///etc/passwd'><netcdf/>";
    assert_eq!(refused(external).0, ErrorKind::Unsupported);
    assert_eq!(refused("<netcdf>&lol;</netcdf>").0, ErrorKind::Unsupported);
    let deep = format!("<netcdf>{}", "<group name='g'>".repeat(200));
    assert_eq!(refused(&deep).0, ErrorKind::TooLarge);
    let wide = format!("<netcdf {}/>", "id='' ".repeat(10_001));
    assert_eq!(refused(&wide).0, ErrorKind::TooLarge);
    let large = format!("<netcdf>{}</netcdf>", " ".repeat(16 << 20));
    assert_eq!(parse(large.as_bytes(), "d.ncml").unwrap_err().kind(), ErrorKind::TooLarge);
    let pattern = "<netcdf><aggregation type='union'><scan location='x' regExp='(a{1000}){1000}'/></aggregation></netcdf>";
    assert_eq!(refused(pattern).0, ErrorKind::Corrupt);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever text an attribute has, it comes through.
    #[test]
    fn texts_come_through(text in "[ -~äß€\\n]{0,40}") {
        let escaped: String = text
            .chars()
            .map(|c| match c {
                '<' => "&lt;".to_owned(),
                '&' => "&amp;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\n' => "&#10;".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let document = format!("<netcdf><attribute name=\"a\" value=\"{escaped}\"/></netcdf>");
        let read = parse(document.as_bytes(), "d").unwrap().netcdf;
        prop_assert_eq!(read.edits.attributes[0].value.as_deref(), Some(text.as_str()));
    }
}
