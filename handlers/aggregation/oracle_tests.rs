//! Every rule of combining against what xarray, cftime or numpy make of the same files (`fixtures/make.py`).

use std::{collections::HashMap, path::Path, sync::Arc};

use cdm::{
    Block, DataType, Dataset, FullName, Selection, Source, Variable,
    testing::{collect, source_contract},
};
use serde_json::Value;

use super::{tests::InMemory, *};
use crate::{
    Registry,
    chunked::Engine,
    ncml::document::{Aggregation, Join, Promote},
    storage::MemoryObject,
};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("aggregation/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

async fn whole(source: &Arc<dyn Source>, name: &FullName, variable: &Variable) -> Block {
    let fixed = variable.data_type.fixed_size().is_some();
    collect(source.read(name, &Selection::all(&variable.shape())), fixed).await.unwrap()
}

/// A member as the index would describe it: coordinates, scalars and bounds known, a digest of all else.
async fn described(file: &str, registry: &Registry) -> Member {
    let source = registry.open(MemoryObject::object(file, fixture(file))).await.unwrap();
    let mut known = HashMap::new();
    for (name, variable) in source.dataset().variables() {
        let block = whole(&source, &name, variable).await;
        let is_small =
            variable.dimensions.len() < 2 && name.short() != "sst" || name.short().ends_with("bnds");
        let what = match &block {
            _ if is_small => Known::Values(block),
            Block::Fixed(bytes) | Block::Varying { bytes, .. } => {
                Known::Digest(xxhash_rust::xxh3::xxh3_128(bytes))
            }
        };
        known.insert(name, what);
    }
    Member {
        name: file.into(),
        version: "1".into(),
        dataset: Arc::new(source.dataset().clone()),
        known: known.into(),
        coord_value: None,
        section: None,
        opener: Arc::new(InMemory { source, opened: Arc::default() }),
    }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn definition(case: &Value) -> Aggregation {
    let promote =
        texts(&case["promote"]).into_iter().map(|name| Promote { attribute: name.clone(), name }).collect();
    Aggregation {
        line: 0,
        join: match case["join"].as_str().unwrap() {
            "union" => Join::Union,
            "joinNew" => Join::New,
            "tiled" => Join::Tiled,
            _ => Join::Existing,
        },
        dimension: case["dimension"].as_str().map(str::to_owned),
        recheck: None,
        time_units_change: false,
        variables: texts(&case["variables_named"]),
        promote,
        cache: Vec::new(),
        scans: Vec::new(),
        members: Vec::new(),
    }
}

/// The values as numbers or text, unpacked; `None` where there is none.
fn decoded(variable: &Variable, block: &Block) -> Vec<Value> {
    let number = |name: &str| {
        let attribute = variable.attributes.get(name)?;
        cdm::values(&attribute.data_type, &attribute.values).next()?.as_f64()
    };
    let (fill, scale, offset) = (number("_FillValue"), number("scale_factor"), number("add_offset"));
    cdm::values(&variable.data_type, block)
        .map(|value| match value {
            cdm::Value::Text(text) => Value::from(text.into_owned()),
            number => {
                let raw = number.as_f64().unwrap();
                let is_missing = raw.is_nan() || fill.is_some_and(|f| f.to_bits() == raw.to_bits());
                let real = raw * scale.unwrap_or(1.0) + offset.unwrap_or(0.0);
                if is_missing { Value::Null } else { Value::from(real) }
            }
        })
        .collect()
}

fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        // xarray unpacks in single precision where we do in double.
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * b.abs(),
        _ => ours == theirs,
    }
}

/// What of the description is not as expected.
fn of_description(case: &Value, dataset: &Dataset) -> Option<String> {
    let mut ours: Vec<String> = dataset.variables().map(|(n, _)| n.as_str()[1..].to_owned()).collect();
    let mut theirs: Vec<String> = case["variables"].as_object().unwrap().keys().cloned().collect();
    ours.sort();
    theirs.sort();
    if ours != theirs {
        return Some(format!("variables {ours:?}"));
    }
    for (variable, expected) in case["types"].as_object().unwrap() {
        let found = dataset.variable(&FullName::new(variable)).unwrap();
        if found.data_type.name() != expected.as_str().unwrap() {
            return Some(format!("type {} of {variable}", found.data_type.name()));
        }
    }
    let sst = dataset.variable(&FullName::new("/sst"));
    let is_there = |name: &String| sst.unwrap().attributes.get(name).is_some();
    if let Some(attribute) = texts(&case["dropped"]).iter().find(|name| is_there(name)) {
        return Some(format!("{attribute} is still there"));
    }
    let is_odd = |v: &Variable| v.attributes.get("_FillValue").is_some_and(|f| f.data_type != v.data_type);
    let odd = dataset.variables().find(|(_, v)| is_odd(v));
    odd.map(|(name, _)| format!("type of {name}'s fill"))
}

/// What of a variable is not as expected.
async fn of_variable(source: &Arc<dyn Source>, variable: &str, expected: &Value) -> Option<String> {
    let full = FullName::new(variable);
    let described = source.dataset().variable(&full)?;
    if serde_json::json!(described.shape()) != expected["shape"] {
        return Some(format!("{variable}: shape {:?}, expected {}", described.shape(), expected["shape"]));
    }
    let ours: Option<Vec<&str>> =
        described.dimensions.iter().map(|d| Some(d.name.as_ref()?.short())).collect();
    if expected["dimensions"].is_array() && serde_json::json!(ours) != expected["dimensions"] {
        return Some(format!("{variable}: dimensions {ours:?}"));
    }
    let ours = decoded(described, &whole(source, &full, described).await);
    let theirs = expected["values"].as_array().unwrap();
    let same = ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| alike(a, b));
    (!same).then(|| format!("{variable}\n  ours   {ours:?}\n  theirs {theirs:?}"))
}

fn of_notes(case: &Value, notes: &[Note]) -> Option<String> {
    let expected = case["notes"].as_array().unwrap();
    let is_there = |wanted: &&Value| {
        let (member, kind) = (wanted[0].as_str(), wanted[1].as_str().unwrap());
        notes.iter().any(|n| n.member.as_deref() == member && format!("{:?}", n.kind) == kind)
    };
    if let Some(missing) = expected.iter().find(|wanted| !is_there(wanted)) {
        return Some(format!("no note {missing}"));
    }
    let surplus = notes.iter().find(|n| n.kind == NoteKind::LeftOut && expected.is_empty());
    surplus.map(|note| format!("{note:?}"))
}

#[tokio::test]
async fn every_rule_gives_what_xarray_gives() {
    let registry = Registry::new(Arc::new(Engine::default()));
    let cases: Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    let cases = cases.as_object().unwrap();
    assert!(cases.len() > 40, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let mut members = Vec::new();
        for listed in case["members"].as_array().unwrap() {
            let mut member = described(listed["file"].as_str().unwrap(), &registry).await;
            member.coord_value = listed["value"].as_str().map(Arc::from);
            member.section = listed["section"].as_str().map(Arc::from);
            members.push(member);
        }
        let Combined { source, notes } = match combine(name, &definition(case), members) {
            Ok(combined) => combined,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut found = of_description(case, source.dataset()).or_else(|| of_notes(case, &notes));
        for (variable, expected) in case["variables"].as_object().unwrap() {
            if found.is_none() {
                found = of_variable(&source, variable, expected).await;
            }
        }
        match found {
            Some(difference) => wrong.push(format!("{name}: {difference}\n  {notes:?}")),
            None => source_contract(&source, 3, 3).await,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_set_of_no_members_says_what_was_looked_for() {
    let case = serde_json::json!({"join": "joinExisting", "dimension": "time"});
    let error = combine("sst", &definition(&case), Vec::new()).unwrap_err();
    assert_eq!(error.message(), "sst has no members: the definition names none, and scans no folder");
}

/// Ten thousand members of one description with 8760 values in all are combined at once.
#[test]
fn ten_thousand_members_are_no_trouble() {
    let time = cdm::Dimension::shared(FullName::new("/time"), 1);
    let mut root = cdm::Group::new(FullName::root());
    root.dimensions.push(time.clone());
    root.variables.push(Variable::new("time", DataType::Int32, vec![time.clone()]));
    for i in 0..20 {
        root.variables.push(Variable::new(format!("v{i}"), DataType::Float32, vec![time.clone()]));
    }
    let dataset = Arc::new(Dataset::new("one", root).unwrap());
    let source: Arc<dyn Source> = Arc::new(cdm::testing::MemorySource::new(
        "empty",
        cdm::Group::new(FullName::root()),
        Vec::<(FullName, Block)>::new(),
    ));
    let opener: Arc<dyn Open> = Arc::new(InMemory { source, opened: Arc::default() });
    let members = (0..10_000_i32).map(|i| Member {
        name: format!("{i}.nc").into(),
        version: "1".into(),
        dataset: Arc::clone(&dataset),
        known: Arc::new(HashMap::from([(FullName::new("/time"), Known::Values(cdm::fixed_block!([i])))])),
        coord_value: None,
        section: None,
        opener: Arc::clone(&opener),
    });
    let members: Vec<Member> = members.collect();
    let case = serde_json::json!({"join": "joinExisting", "dimension": "time"});
    let begin = std::time::Instant::now();
    let combined = combine("many", &definition(&case), members).unwrap();
    assert_eq!(combined.source.dataset().variable(&FullName::new("/v7")).unwrap().shape(), [10_000]);
    assert!(combined.notes.is_empty(), "{:?}", combined.notes);
    // Unoptimised, on a busy machine: a quadratic step would take minutes.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    println!("10,000 members: {:?}", begin.elapsed());
}
