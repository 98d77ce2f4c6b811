//! Writing XML 1.0: elements, attributes, text, and what may not stand in them.
//!
//! Everything is built by hand because clients are particular about details that a general writer
//! leaves open (no CDATA, no prefixes, line ends inside attributes as references).

use std::fmt::Write as _;

/// A document being written.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    /// Names of the elements that are open.
    open: Vec<String>,
}

impl Document {
    /// Only the declaration, with the encoding that pydap looks for.
    pub(super) fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    /// `<name a="b">`, to be closed.
    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name.to_owned());
    }

    /// The end tag of the element opened last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            let _ = writeln!(self.text, "</{name}>");
        }
    }

    /// `<name a="b"/>`
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
    }

    /// `<name>text</name>`
    pub(super) fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.tag(name, attributes);
        let _ = writeln!(self.text, ">{}</{name}>", Escaped(text, Place::Text));
    }

    /// Bytes so far, and elements that are open.
    pub(super) fn position(&self) -> (usize, usize) {
        (self.text.len(), self.open.len())
    }

    /// The document, every element closed.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        let _ = write!(self.text, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.text, " {key}=\"{}\"", Escaped(value, Place::Attribute));
        }
    }

    fn indent(&mut self) {
        for _ in 0..self.open.len() {
            self.text.push_str("    ");
        }
    }
}

/// Where text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Attribute,
}

struct Escaped<'a>(&'a str, Place);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(text, place) = self;
        let mut plain = 0; // where the text not yet written begins
        for (at, c) in text.char_indices() {
            let Some(instead) = replacement(c, *place) else { continue };
            f.write_str(text.get(plain..at).unwrap_or_default())?;
            f.write_str(instead)?;
            plain = at + c.len_utf8();
        }
        f.write_str(text.get(plain..).unwrap_or_default())
    }
}

/// Text for inside an attribute's quotes.
pub(super) fn escaped(text: &str) -> impl std::fmt::Display {
    Escaped(text, Place::Attribute)
}

fn replacement(c: char, place: Place) -> Option<&'static str> {
    Some(match (c, place) {
        ('&', _) => "&amp;",
        ('<', _) => "&lt;",
        ('>', _) => "&gt;",
        ('"', Place::Attribute) => "&quot;",
        // Attribute values are normalised: raw line ends and tabs would become blanks.
        ('\n', Place::Attribute) => "&#10;",
        ('\t', Place::Attribute) => "&#9;",
        // Line ends are normalised everywhere.
        ('\r', _) => "&#13;",
        ('\n' | '\t', Place::Text) => return None,
        // XML 1.0 has no way to write these.
        ('\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}', _) => "\u{fffd}",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_forbidden_characters_never_get_through() {
        let mut document = Document::new();
        document.open("A", &[("n", "\"<&\n\t'\u{1}")]);
        document.leaf("V", &[], "a\n\t<\u{0}>&\"'\r");
        document.empty("E", &[]);
        assert_eq!(
            document.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <A n=\"&quot;&lt;&amp;&#10;&#9;'\u{fffd}\">\n    \
             <V>a\n\t&lt;\u{fffd}&gt;&amp;\"'&#13;</V>\n    <E/>\n</A>\n"
        );
    }
}
