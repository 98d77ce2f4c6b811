//! CDL, the text form of the netCDF model, as `ncdump` prints it.
//!
//! The header (types, dimensions, variables, attributes) follows `ncdump -h` to the letter; values
//! follow `ncdump -v`. What CDL cannot say (anonymous dimensions, records without a named type) is
//! printed in the nearest form.

mod number;
mod values;

use std::fmt::Write as _;

use cdm::{Attribute, DataType, Dataset, Dimension, FullName, Group, Variable};

pub use self::values::write_values;

/// A line is broken before it grows longer than this.
const LINE_LEN: usize = 80;

/// The header of `dataset`, as `ncdump -h` prints it, up to but without the closing brace.
pub fn header(dataset: &Dataset) -> String {
    let stem = dataset.name().rsplit('/').next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(before, _)| before);
    let mut out = format!("netcdf {} {{\n", name(stem));
    group_body(&mut out, dataset, dataset.root(), 0);
    out
}

/// The header with its closing brace.
pub fn document(dataset: &Dataset) -> String {
    header(dataset) + "}\n"
}

fn group_body(out: &mut String, dataset: &Dataset, group: &Group, depth: usize) {
    let indent = "  ".repeat(depth);
    let line = |out: &mut String, text: &str| {
        for part in text.lines() {
            let _ = writeln!(out, "{indent}{part}");
        }
    };
    if !group.types.is_empty() {
        line(out, "types:");
        for definition in &group.types {
            line(out, &type_definition(&group.name, &definition.name, &definition.data_type));
        }
    }
    if !group.dimensions.is_empty() {
        line(out, "dimensions:");
        for dimension in &group.dimensions {
            let short = dimension.name.as_ref().map(FullName::short).unwrap_or_default();
            let size = if dimension.unlimited {
                format!("UNLIMITED ; // ({} currently)", dimension.size)
            } else {
                format!("{} ;", dimension.size)
            };
            line(out, &format!("\t{} = {size}", name(short)));
        }
    }
    if !group.variables.is_empty() {
        line(out, "variables:");
        for variable in &group.variables {
            line(out, &declaration(dataset, group, variable));
        }
    }
    if !group.attributes.is_empty() {
        out.push('\n');
        line(out, if depth == 0 { "// global attributes:" } else { "// group attributes:" });
        for attribute in &group.attributes {
            line(out, &attribute_line(&group.name, "", attribute));
        }
    }
    for child in &group.groups {
        let _ = writeln!(out, "\n{indent}group: {} {{", name(child.name.short()));
        group_body(out, dataset, child, depth + 1);
        let _ = writeln!(out, "{indent}  }} // group {}", name(child.name.short()));
    }
}

fn declaration(dataset: &Dataset, group: &Group, variable: &Variable) -> String {
    let called = name(&variable.name);
    let mut text = format!("\t{} {called}", type_name(&group.name, &variable.data_type));
    if !variable.dimensions.is_empty() {
        let axes: Vec<String> = variable.dimensions.iter().map(|d| axis(dataset, group, d)).collect();
        let _ = write!(text, "({})", axes.join(", "));
    }
    text.push_str(" ;\n");
    for attribute in &variable.attributes {
        text.push_str(&attribute_line(&group.name, &called, attribute));
        text.push('\n');
    }
    text
}

/// A dimension's short name when that finds it from `group`, else its full name; a size when anonymous.
fn axis(dataset: &Dataset, group: &Group, dimension: &Dimension) -> String {
    let Some(full) = &dimension.name else { return dimension.size.to_string() };
    let mut scope = group.name.clone();
    loop {
        let candidate = scope.join(full.short());
        if candidate == *full {
            return name(full.short());
        }
        if dataset.dimension(&candidate).is_some() || scope.is_root() {
            return name(full.as_str());
        }
        scope = scope.parent();
    }
}

fn attribute_line(group: &FullName, variable: &str, attribute: &Attribute) -> String {
    let typed = match attribute.data_type {
        DataType::Char => String::new(),
        _ if attribute.data_type.is_numeric() => String::new(),
        _ => format!("{} ", type_name(group, &attribute.data_type)),
    };
    let mut line = format!("\t\t{typed}{variable}:{} = ", name(&attribute.name));
    line.push_str(&values::attribute_values(attribute));
    line.push_str(" ;");
    line
}

fn type_definition(group: &FullName, called: &str, data_type: &DataType) -> String {
    let called = name(called);
    match data_type {
        DataType::Enum(kind) => {
            let mut text = format!("  {} enum {called} ", type_name(group, &kind.base));
            let mut column = text.len();
            for (i, (member, value)) in kind.members.iter().enumerate() {
                let open = if i == 0 { "{" } else { "" };
                let close = if i + 1 == kind.members.len() { "} ;" } else { ", " };
                let part = format!("{open}{} = {value}{close}", name(member));
                if column + part.len() > LINE_LEN {
                    text.push_str("\n      ");
                    column = 6;
                }
                column += part.len();
                text.push_str(&part);
            }
            text
        }
        DataType::Opaque(kind) => format!("  opaque({}) {called} ;", kind.size.unwrap_or(0)),
        DataType::Structure(record) => {
            let mut text = format!("  compound {called} {{\n");
            for field in &record.fields {
                let _ = write!(text, "    {} {}", type_name(group, &field.data_type), name(&field.name));
                if !field.dimensions.is_empty() {
                    let sizes: Vec<String> = field.dimensions.iter().map(|d| d.size.to_string()).collect();
                    let _ = write!(text, "({})", sizes.join(", "));
                }
                text.push_str(" ;\n");
            }
            let _ = write!(text, "  }}; // {called}");
            text
        }
        DataType::Sequence(record) if record.is_vlen => {
            let base = record.fields.first().map(|f| type_name(group, &f.data_type)).unwrap_or_default();
            format!("  {base}(*) {called} ;")
        }
        other => format!("  {} {called} ;", type_name(group, other)),
    }
}

/// The CDL word for a type; a named type by its short name in its own group or below, else in full.
fn type_name(group: &FullName, data_type: &DataType) -> String {
    let named = |full: Option<&FullName>| match full {
        Some(full) if group.is_within(&full.parent()) => name(full.short()),
        Some(full) => name(full.as_str()),
        None => data_type.name().to_ascii_lowercase(),
    };
    match data_type {
        DataType::Int8 => "byte".into(),
        DataType::UInt8 => "ubyte".into(),
        DataType::Int16 => "short".into(),
        DataType::UInt16 => "ushort".into(),
        DataType::Int32 => "int".into(),
        DataType::UInt32 => "uint".into(),
        DataType::Int64 => "int64".into(),
        DataType::UInt64 => "uint64".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Char => "char".into(),
        DataType::String | DataType::Url => "string".into(),
        DataType::Opaque(kind) => named(kind.name.as_ref()),
        DataType::Enum(kind) => named(Some(&kind.name)),
        DataType::Structure(record) | DataType::Sequence(record) => named(record.name.as_ref()),
    }
}

/// A name with the characters that CDL gives a meaning to behind a backslash.
fn name(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for (i, c) in raw.chars().enumerate() {
        let special = match c {
            '0'..='9' => i == 0,
            '_' | '.' | '-' | '+' | '@' | '/' | '%' => false,
            c => c.is_ascii() && !c.is_ascii_alphanumeric(),
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use cdm::{Block, EnumType, OpaqueType, RecordType, TypeDefinition, fixed_block, testing::MemorySource};

    use super::*;

    fn source() -> MemorySource {
        let mut root = Group::new(FullName::root());
        let x = Dimension::shared(FullName::new("/x"), 3);
        let t = Dimension { unlimited: true, ..Dimension::shared(FullName::new("/t"), 2) };
        root.dimensions = vec![x.clone(), t.clone()];
        let class = DataType::Enum(
            EnumType {
                name: FullName::new("/class_t"),
                base: DataType::Int8,
                members: vec![("Clear".into(), 0), ("Stratus".into(), 2), ("Missing".into(), 127)],
            }
            .into(),
        );
        let raw = DataType::Opaque(OpaqueType { name: Some(FullName::new("/raw_t")), size: Some(2) }.into());
        let point = DataType::Structure(
            RecordType {
                name: Some(FullName::new("/point_t")),
                fields: vec![
                    Variable::new("a", DataType::Int8, vec![]),
                    Variable::new("b", DataType::Int16, vec![Dimension::anonymous(2)]),
                ],
                is_vlen: false,
            }
            .into(),
        );
        for (short, data_type) in [("class_t", &class), ("raw_t", &raw), ("point_t", &point)] {
            root.types.push(TypeDefinition { name: short.into(), data_type: data_type.clone() });
        }
        root.attributes.set(Attribute::text("title", "a \"b\"\nc"));
        root.attributes.set(Attribute::strings("list", &["p", "q"]));
        let mut f = Variable::new("f", DataType::Float32, vec![t, x.clone()]);
        f.attributes.set(Attribute::numbers(
            "_FillValue",
            DataType::Float32,
            (-999.5_f32).to_ne_bytes().to_vec().into(),
        ));
        f.attributes.set(Attribute::float64("scale", 1.0));
        f.attributes.set(Attribute::float64("big", 1e20));
        let plain = |short: &str, data_type: &DataType, n: u64| {
            Variable::new(short, data_type.clone(), vec![Dimension::anonymous(n)])
        };
        MemorySource::flat(
            "dir/a.b.nc",
            root,
            vec![
                (f, fixed_block!([1.5_f32, -999.5, 3e10, f32::NAN, 0.1, 100_000.0])),
                (plain("cl", &class, 3), Block::Fixed(vec![0, 2, 9].into())),
                (Variable::new("r", raw, vec![]), Block::varying([[1, 255]])),
                (
                    Variable::new("p q", point, vec![]),
                    Block::Fixed(
                        [vec![7], 1_i16.to_ne_bytes().to_vec(), 2_i16.to_ne_bytes().to_vec()].concat().into(),
                    ),
                ),
                (
                    Variable::new("c", DataType::Char, vec![x, Dimension::anonymous(2)]),
                    Block::Fixed(b"abc\0\0\0".to_vec().into()),
                ),
                (plain("s", &DataType::String, 2), Block::varying(["one", "t\two"])),
            ],
        )
    }

    #[test]
    fn a_header_reads_as_ncdump_prints_it() {
        let expected = r#"netcdf a.b {
types:
  byte enum class_t {Clear = 0, Stratus = 2, Missing = 127} ;
  opaque(2) raw_t ;
  compound point_t {
    byte a ;
    short b(2) ;
  }; // point_t
dimensions:
	x = 3 ;
	t = UNLIMITED ; // (2 currently)
variables:
	float f(t, x) ;
		f:_FillValue = -999.5f ;
		f:scale = 1. ;
		f:big = 1.e+20 ;
	class_t cl(3) ;
	raw_t r ;
	point_t p\ q ;
	char c(x, 2) ;
	string s(2) ;

// global attributes:
		:title = "a \"b\"\nc" ;
		string :list = "p", "q" ;
}
"#;
        assert_eq!(document(cdm::Source::dataset(&source())), expected);
    }

    #[tokio::test]
    async fn values_read_as_ncdump_prints_them() {
        let source = source();
        let mut out = Vec::new();
        for (full, _) in cdm::Source::dataset(&source).variables() {
            write_values(&source, &full, &mut out).await.unwrap();
        }
        let expected = r#"
 f =
  1.5, _, 3e+10,
  NaN, 0.1, 100000 ;

 cl = Clear, Stratus, 9 ;

 r = 0X01FF ;

 p\ q = {7, {1, 2}} ;

 c =
  "ab",
  "c",
  "" ;

 s = "one", "t\two" ;
"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
