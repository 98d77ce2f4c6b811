//! XML to a tree, and nothing a DMR, DSR or error document may not hold: no DOCTYPE, no comments, no
//! CDATA, no entities but the five, one root (notes 2.1, 2.9).

use quick_xml::{Reader, events::Event};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Element {
    pub(crate) tag: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The `name` attribute, which must be there.
    #[track_caller]
    pub(crate) fn name(&self) -> &str {
        self.attribute("name").unwrap_or_else(|| panic!("a {} without a name", self.tag))
    }

    pub(crate) fn all<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.tag == tag)
    }
}

/// The root of a document that declares UTF-8.
#[track_caller]
pub(crate) fn parse(text: &str) -> Element {
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{text:.80}");
    let allowed = |c: char| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || ['\n', '\t'].contains(&c);
    assert!(text.chars().all(allowed), "a character that XML 1.0 does not know, or a raw CR");
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().unwrap_or_else(|e| panic!("not well-formed: {e}\n{text}"));
        match event {
            Event::Decl(_) => {}
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => open.last_mut().unwrap().children.push(element(&start)),
            Event::End(_) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().unwrap();
                let named = match &*reference.xml10_content() {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => None,
                };
                let character = character.or(named).unwrap_or_else(|| panic!("an entity: {reference:?}"));
                assert!(
                    character >= ' ' || ['\n', '\t', '\r'].contains(&character),
                    "{character:?} in XML 1.0"
                );
                open.last_mut().unwrap().text.push(character);
            }
            Event::Eof => break,
            other => panic!("not allowed: {other:?}"),
        }
    }
    let mut document = open.pop().unwrap();
    assert!(open.is_empty() && document.text.trim().is_empty(), "elements left open, or text outside");
    assert_eq!(document.children.len(), 1, "one root");
    document.children.pop().unwrap()
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Element {
    let attributes = start
        .attributes()
        .map(|a| a.unwrap())
        .map(|a| {
            assert!(
                !a.value.contains(['<', '\n', '\t']),
                "a raw < in an attribute, or what XML would normalise"
            );
            let value = quick_xml::escape::unescape(&a.value).unwrap().into_owned();
            (a.key.as_ref().to_owned(), value)
        })
        .collect();
    Element { tag: start.name().as_ref().to_owned(), attributes, ..Element::default() }
}
