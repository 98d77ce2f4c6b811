//! The text format of Prometheus (version 0.0.4): families of samples, each told once.

use std::fmt::{Display, Write as _};

/// A document that grows by one family after the other.
#[derive(Debug, Default)]
pub(super) struct Document(String);

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Document {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// A family of one sample without labels.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(name, &[], value);
    }

    /// Begins a family.
    pub(super) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        self.0.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples() {
        let mut document = Document::default();
        document.one(Kind::Gauge, "a", "What.", 1.5);
        document.family(Kind::Counter, "b_total", "More.");
        document.sample("b_total", &[("x", "a\"\\\n"), ("y", "z")], 2);
        assert_eq!(
            document.into_text(),
            "# HELP a What.\n# TYPE a gauge\na 1.5\n# HELP b_total More.\n# TYPE b_total counter\n\
             b_total{x=\"a\\\"\\\\\\n\",y=\"z\"} 2\n"
        );
    }
}
