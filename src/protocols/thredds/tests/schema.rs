//! The content models of the InvCatalog 1.0.2 schema, written down by hand: which elements an element may
//! hold, in which order, how often, and which attributes it must and may have.

use quick_xml::{Reader, events::Event};

/// The group `threddsMetadataGroup`: any of these, in any order.
const METADATA: &[&str] = &[
    "documentation",
    "metadata",
    "property",
    "contributor",
    "creator",
    "date",
    "keyword",
    "project",
    "publisher",
    "geospatialCoverage",
    "timeCoverage",
    "variables",
    "variableMap",
    "dataType",
    "dataFormat",
    "serviceName",
    "authority",
    "dataSize",
];
const DATASETS: &[&str] = &["dataset", "catalogRef"];

/// A step of a sequence: alternatives, the fewest and the most of them.
type Step = (&'static [&'static str], usize, usize);

/// What is inside of an element, and its attributes: those it must have, those it may have.
struct Model {
    steps: Vec<Step>,
    must: &'static [&'static str],
    may: &'static [&'static str],
}

const MANY: usize = usize::MAX;

fn model(element: &str) -> Model {
    let made = |steps: &[Step], must, may| Model { steps: steps.to_vec(), must, may };
    match element {
        "catalog" => made(
            &[(&["service"], 0, MANY), (&["property"], 0, MANY), (DATASETS, 1, MANY)],
            &[],
            &["base", "name", "expires", "version", "xmlns", "xmlns:xlink"],
        ),
        "service" => made(
            &[(&["property"], 0, MANY), (&["service"], 0, MANY)],
            &["name", "base", "serviceType"],
            &["desc", "suffix"],
        ),
        "dataset" | "catalogRef" => made(
            &[(METADATA, 0, MANY), (&["access"], 0, MANY), (DATASETS, 0, MANY)],
            if element == "dataset" { &["name"] } else { &["name", "xlink:href", "xlink:title"] },
            &["alias", "collectionType", "harvest", "ID", "urlPath", "xlink:type"],
        ),
        "metadata" => made(&[(METADATA, 0, MANY)], &[], &["inherited", "metadataType"]),
        "access" => made(&[(&["dataSize"], 0, 1)], &["urlPath"], &["serviceName", "dataFormat"]),
        "creator" | "publisher" => made(&[(&["name"], 1, 1), (&["contact"], 1, 1)], &[], &[]),
        "contact" => made(&[], &["email"], &["url"]),
        "geospatialCoverage" => made(
            &[(&["northsouth"], 0, 1), (&["eastwest"], 0, 1), (&["updown"], 0, 1), (&["name"], 0, MANY)],
            &[],
            &["zpositive"],
        ),
        "northsouth" | "eastwest" | "updown" => made(
            &[(&["start"], 1, 1), (&["size"], 1, 1), (&["resolution"], 0, 1), (&["units"], 0, 1)],
            &[],
            &[],
        ),
        "timeCoverage" => made(&[(&["start", "end", "duration"], 2, 3), (&["resolution"], 0, 1)], &[], &[]),
        "variables" => made(&[(&["variable"], 0, MANY)], &[], &["vocabulary"]),
        "variable" => made(&[], &["name"], &["vocabulary_name", "units"]),
        "documentation" => made(&[], &[], &["type", "xlink:href", "xlink:title"]),
        "property" => made(&[], &["name", "value"], &[]),
        "contributor" => made(&[], &["role"], &[]),
        "date" => made(&[], &[], &["type", "format"]),
        "dataSize" => made(&[], &["units"], &[]),
        "keyword" | "project" | "name" => made(&[], &[], &["vocabulary"]),
        "dataType" | "dataFormat" | "serviceName" | "authority" | "start" | "end" | "duration" | "size"
        | "resolution" | "units" => made(&[], &[], &[]),
        other => panic!("<{other}> is not in the schema"),
    }
}

/// Panics where `text` is not as the schema has it.
pub(super) fn check(text: &str) {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(String, Vec<String>)> = Vec::new();
    let (mut services, mut used, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let event = reader.read_event().unwrap();
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Eof => break,
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                let attributes: Vec<(String, String)> = element
                    .attributes()
                    .map(|a| {
                        let a = a.unwrap();
                        (a.key.as_ref().to_owned(), a.value.to_string())
                    })
                    .collect();
                let model = model(&name);
                for must in model.must {
                    assert!(attributes.iter().any(|(n, _)| n == must), "<{name}> without {must}: {text}");
                }
                for (attribute, value) in attributes {
                    let known = model.must.contains(&&*attribute) || model.may.contains(&&*attribute);
                    assert!(known, "{attribute} of <{name}>");
                    match (&*name, &*attribute) {
                        ("service", "name") => services.push(value),
                        ("access", "serviceName") => used.push(value),
                        (_, "ID") => ids.push(value),
                        _ => {}
                    }
                }
                if let Some((_, children)) = open.last_mut() {
                    children.push(name.clone());
                }
                open.push((name, Vec::new()));
                if is_empty {
                    close(&mut open, text);
                }
            }
            Event::Text(found) if open.last().is_some_and(|(name, _)| name == "serviceName") => {
                used.push(found.xml10_content().to_string());
            }
            Event::End(_) => close(&mut open, text),
            _ => {}
        }
    }
    assert!(used.iter().all(|name| services.contains(name)), "a service that is not there: {used:?}");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an ID twice");
}

fn close(open: &mut Vec<(String, Vec<String>)>, text: &str) {
    let (name, children) = open.pop().unwrap();
    let mut rest = children.as_slice();
    for (alternatives, fewest, most) in model(&name).steps {
        let count = rest.iter().take_while(|child| alternatives.contains(&child.as_str())).count().min(most);
        assert!(count >= fewest, "<{name}> holds {children:?}: {text}");
        rest = &rest[count..];
    }
    assert!(rest.is_empty(), "<{name}> holds {children:?}, of which {rest:?} are out of order: {text}");
}
