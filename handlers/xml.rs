//! XML as a tree, within limits: no document type, no entities beyond XML's own five, bounded depth, number
//! of elements and attributes. Every element knows its line.

#![warn(clippy::indexing_slicing)]

use std::borrow::Cow;

use cdm::{Error, Result};
use quick_xml::{
    Reader, escape,
    events::{BytesStart, Event},
};

/// Elements within elements.
const MOST_DEPTH: usize = 128;
/// Elements in a document: sixteen mebibytes of chunks are a third of this.
const MOST_ELEMENTS: usize = 600_000;
/// Attributes of one element, and in a document.
const MOST_ATTRIBUTES: usize = 10_000;
const MOST_ATTRIBUTES_IN_ALL: usize = 2_000_000;

/// What is wrong with a document, and where.
#[derive(Debug)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// What, without the line.
    pub error: Error,
}

impl Fault {
    /// One error, which begins with the line.
    pub fn into_error(self) -> Error {
        self.error.within(format_args!("line {}", self.line))
    }
}

/// An element.
#[derive(Debug, Default)]
pub struct Element<'a> {
    /// Without prefix.
    pub name: &'a str,
    /// Of its start tag, from 1.
    pub line: usize,
    /// Names (with prefix) and values.
    attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// Text directly inside.
    pub text: String,
    /// Elements directly inside.
    pub children: Vec<Element<'a>>,
}

impl<'a> Element<'a> {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let called =
            |n: &str| n.rsplit_once(':').is_none_or(|(prefix, _)| prefix != "xmlns") && local(n) == name;
        self.attributes.iter().find(|(n, _)| called(n)).map(|(_, value)| &**value)
    }

    /// Names, with their prefixes, and values of all attributes.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &str)> {
        self.attributes.iter().map(|(name, value)| (*name, &**value))
    }

    /// The value of an attribute that there must be.
    ///
    /// # Errors
    /// `Corrupt` when there is none.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.attribute(name).ok_or_else(|| Error::corrupt(format!("<{}> without {name}", self.name)))
    }

    /// The elements of a name directly inside.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s Element<'a>> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element of a name directly inside.
    pub fn first(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// The text in `bytes`: UTF-8, or what Hyrax declares and sometimes writes, ISO 8859-1.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The root element of the document `text`.
///
/// # Errors
/// `Corrupt` when it is not well-formed; `Unsupported` for a document type or entities; `TooLarge` for more of
/// anything than there may be.
pub fn parse(text: &str) -> Result<Element<'_>, Fault> {
    let mut reader = Reader::from_str(text);
    let mut lines = Lines { text, offset: 0, line: 1 };
    tree(text, &mut reader, &mut lines).map_err(|error| {
        let line = lines.line.max(lines.at(reader.error_position().max(reader.buffer_position())));
        Fault { line, error }
    })
}

/// Counts lines as a document is read.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a byte, which is not before the last one asked for.
    fn at(&mut self, offset: u64) -> usize {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        if let Some(passed) = self.text.as_bytes().get(self.offset..offset) {
            self.line += passed.split(|b| *b == b'\n').count() - 1;
            self.offset = offset;
        }
        self.line
    }
}

fn tree<'a>(text: &'a str, reader: &mut Reader<&'a [u8]>, lines: &mut Lines<'_>) -> Result<Element<'a>> {
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut root = None;
    let (mut elements, mut attributes) = (0, 0);
    loop {
        let line = lines.at(reader.buffer_position());
        let event = reader.read_event();
        let event = event.map_err(|e| Error::corrupt(format!("not XML: {e}")).with_source(e))?;
        let finished = match event {
            Event::Start(start) => {
                open.push(element(text, &start, line, &mut elements, &mut attributes)?);
                if open.len() > MOST_DEPTH {
                    return Err(Error::too_large("elements too deep"));
                }
                None
            }
            Event::Empty(start) => Some(element(text, &start, line, &mut elements, &mut attributes)?),
            Event::End(_) => open.pop(),
            Event::Text(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part.xml10_content());
                }
                None
            }
            Event::CData(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part.xml10_content());
                }
                None
            }
            Event::GeneralRef(name) => {
                let character = match name.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    _ => escape::resolve_predefined_entity(&name.into_inner()).and_then(|s| s.chars().next()),
                };
                let character =
                    character.ok_or_else(|| Error::unsupported("entities in XML are not supported"))?;
                if let Some(element) = open.last_mut() {
                    element.text.push(character);
                }
                None
            }
            Event::DocType(_) => return Err(Error::unsupported("document types in XML are not supported")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
            Event::Eof => break,
        };
        if let Some(element) = finished {
            match open.last_mut() {
                Some(parent) => parent.children.push(element),
                None if root.is_none() => root = Some(element),
                None => return Err(Error::corrupt("XML with two root elements")),
            }
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(Error::corrupt("XML that ends early")),
    }
}

/// The name and attributes of a start tag. They borrow from the text where nothing was escaped.
fn element<'a>(
    text: &'a str,
    start: &BytesStart<'a>,
    line: usize,
    elements: &mut usize,
    attributes: &mut usize,
) -> Result<Element<'a>> {
    *elements += 1;
    if *elements > MOST_ELEMENTS {
        return Err(Error::too_large("too many elements"));
    }
    let name = borrowed(text, start.local_name().as_ref())?;
    let mut made = Element { name, line, ..Element::default() };
    let mut found = start.attributes();
    // Checking names for twins is quadratic; the first one counts.
    for attribute in found.with_checks(false) {
        let attribute = attribute.map_err(|e| Error::corrupt(format!("not XML: {e}")).with_source(e))?;
        *attributes += 1;
        if made.attributes.len() >= MOST_ATTRIBUTES || *attributes > MOST_ATTRIBUTES_IN_ALL {
            return Err(Error::too_large("too many attributes"));
        }
        let name = borrowed(text, attribute.key.as_ref())?;
        let value = match escape::unescape(&attribute.value) {
            Ok(Cow::Borrowed(value)) => Cow::Borrowed(borrowed(text, value)?),
            Ok(Cow::Owned(value)) => Cow::Owned(value),
            Err(e) => return Err(Error::unsupported("entities in XML are not supported").with_source(e)),
        };
        made.attributes.push((name, value));
    }
    Ok(made)
}

/// `part`, which is a slice of `text`, for as long as `text` lives.
fn borrowed<'a>(text: &'a str, part: &str) -> Result<&'a str> {
    let at = part.as_ptr().addr().checked_sub(text.as_ptr().addr());
    let whole = at.and_then(|at| text.get(at..at.checked_add(part.len())?));
    whole.ok_or_else(|| Error::internal("a name from elsewhere"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree() {
        let text = "<?xml version='1.0'?><!-- c --><a xmlns:p='u' p:b='1 &lt; 2&#33;'>x &amp; y<p:c/><![CDATA[<z>]]><c d=\"e\">&#x41;</c></a>";
        let root = parse(text).unwrap();
        assert_eq!((root.name, root.attribute("b"), root.text.as_str()), ("a", Some("1 < 2!"), "x & y<z>"));
        assert_eq!(
            root.all("c").map(|c| (c.attribute("d"), c.text.as_str())).collect::<Vec<_>>(),
            [(None, ""), (Some("e"), "A")]
        );
        assert_eq!(root.first("c").unwrap().require("d").unwrap_err().message(), "<c> without d");
        assert_eq!(root.attributes().map(|(n, _)| n).collect::<Vec<_>>(), ["xmlns:p", "p:b"]);
        assert_eq!(super::text(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(super::text("\u{feff}caf\u{e9}".as_bytes()), "caf\u{e9}");
    }

    #[test]
    fn lines_are_those_of_start_tags() {
        let root = parse("<?xml version='1.0'?>\n<a\n x='1'>\n<b/>\r\n<!--\n--><c>\n</c></a>").unwrap();
        assert_eq!((root.line, root.children.iter().map(|c| c.line).collect::<Vec<_>>()), (2, vec![4, 6]));
        let at = |text: &str| parse(text).unwrap_err().line;
        assert_eq!((at("<a>\n<b>\n</a>"), at("<a>\n&b;\n</a>"), at("<a>\n\n")), (3, 2, 3));
        assert_eq!(parse("<a>\n</b>").unwrap_err().into_error().message().split(':').next(), Some("line 2"));
    }

    #[test]
    fn what_is_refused() {
        let deep = "<a>".repeat(MOST_DEPTH + 1);
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ELEMENTS));
        let wide = format!("<a {}/>", "b='' ".repeat(MOST_ATTRIBUTES + 1));
        for (text, kind) in [
            ("", "Corrupt"),
            ("<a>", "Corrupt"),
            ("<a></b>", "Corrupt"),
            ("<a/><b/>", "Corrupt"),
            ("<a b=1/>", "Corrupt"),
            ("<a", "Corrupt"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "Unsupported"),
            ("<a>&b;</a>", "Unsupported"),
            ("<a c='&b;'/>", "Unsupported"),
            (&deep, "TooLarge"),
            (&many, "TooLarge"),
            (&wide, "TooLarge"),
        ] {
            let error = parse(text).unwrap_err().error;
            assert_eq!(format!("{:?}", error.kind()), kind, "{}: {error}", &text[..text.len().min(60)]);
        }
    }
}
