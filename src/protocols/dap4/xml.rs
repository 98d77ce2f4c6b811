//! Writing XML 1.0: elements, attributes, text, and what may not stand in them.
//!
//! Everything is built by hand because clients are particular about details that a general writer
//! leaves open (no CDATA, no prefixes, line ends inside attributes as references).

/// Blanks before an element for each that is open around it.
const INDENT: usize = 4;

/// As many as most elements need.
const BLANKS: &str = "                                ";

/// A document being written.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    /// Names of the elements that are open.
    open: Vec<&'static str>,
}

impl Document {
    /// Only the declaration, with the encoding that pydap looks for.
    pub(super) fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    /// `<name a="b">`, to be closed.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    /// The end tag of the element opened last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push_str(">\n");
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
        self.text.push('>');
        push_escaped(&mut self.text, text, Place::Text);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// Makes room for about so many bytes more.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
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
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, value, Place::Attribute);
            self.text.push('"');
        }
    }

    fn indent(&mut self) {
        let mut left = self.open.len() * INDENT;
        while left > 0 {
            let part = BLANKS.get(..left).unwrap_or(BLANKS);
            self.text.push_str(part);
            left -= part.len();
        }
    }
}

/// Where text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Attribute,
}

fn push_escaped(out: &mut String, text: &str, place: Place) {
    // All bytes are looked at, several at once: most texts need nothing and are read to their end anyway.
    if !text.bytes().fold(false, |found, byte| found | may_need_replacing(byte)) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match replacement(c, place) {
            Some(instead) => out.push_str(instead),
            None => out.push(c),
        }
    }
}

/// Whether [`replacement`] may have something for a character that begins with this byte: most texts have none.
fn may_need_replacing(byte: u8) -> bool {
    // U+FFFE and U+FFFF begin with EF.
    (byte < b' ') | matches!(byte, b'&' | b'<' | b'>' | b'"' | 0xef)
}

/// Text for inside an attribute's quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text, Place::Attribute);
    out
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
