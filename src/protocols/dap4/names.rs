//! Finding what a name in a constraint means (protocol notes 4.7).
//!
//! Clients spell names in several ways: escaped, quoted, raw, percent-encoded twice, and (netCDF-C)
//! with `. / \ @` destroyed. A name is looked up by each spelling in that order of trust.

use super::constraint::Step;

/// The ways to read one or more steps as a single name.
#[derive(Debug)]
pub(super) struct Spelling {
    /// Without escapes.
    plain: String,
    /// As written.
    raw: String,
    /// `plain`, percent-decoded once more.
    decoded: Option<String>,
}

impl Spelling {
    /// Of `steps`, joined by dots.
    pub(super) fn of(steps: &[Step]) -> Self {
        let join = |text: fn(&Step) -> &str| steps.iter().map(text).collect::<Vec<_>>().join(".");
        let plain = join(|s| &s.name);
        let decoded = percent_encoding::percent_decode_str(&plain)
            .decode_utf8()
            .ok()
            .map(std::borrow::Cow::into_owned)
            .filter(|d| *d != plain);
        Self { raw: join(|s| &s.raw), plain, decoded }
    }

    /// The name for messages.
    pub(super) fn text(&self) -> &str {
        &self.plain
    }

    /// What `exact` finds for the most trusted spelling.
    pub(super) fn find<T>(&self, exact: impl Fn(&str) -> Option<T>) -> Option<T> {
        exact(&self.plain)
            .or_else(|| (self.raw != self.plain).then(|| exact(&self.raw)).flatten())
            .or_else(|| self.decoded.as_deref().and_then(exact))
    }

    /// The position of the only one of `names` that netCDF-C's damaged escaping would turn into this.
    ///
    /// It writes `\\` for each of `\ / . @` (its `backslashEscape`), so `a.b` arrives as `a\\b`.
    pub(super) fn recover<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<usize> {
        if !self.raw.contains(r"\\") {
            return None;
        }
        let mut matching = names.enumerate().filter(|(_, name)| damaged_equals(&self.raw, name));
        let (found, _) = matching.next()?;
        let unique = matching.next().is_none();
        if unique {
            tracing::debug!(target: "thalweg::dap4", "recovered a name that the client damaged");
        }
        unique.then_some(found)
    }
}

/// True when `damaged` is `name` with each of `\ / . @` replaced by two backslashes.
fn damaged_equals(damaged: &str, name: &str) -> bool {
    let mut rest = damaged;
    for c in name.chars() {
        let next = if matches!(c, '\\' | '/' | '.' | '@') && rest.starts_with(r"\\") {
            rest.strip_prefix(r"\\")
        } else {
            rest.strip_prefix(c)
        };
        match next {
            Some(next) => rest = next,
            None => return false,
        }
    }
    rest.is_empty()
}

/// `name` as netCDF-C sends it.
pub(super) fn damaged(name: &str) -> String {
    name.replace(['\\', '/', '.', '@'], r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::dap4::{constraint::Joint, grammar};

    #[track_caller]
    fn check(text: &str, names: &[&str], expected: Option<usize>) {
        let constraint = grammar::parse(text).unwrap();
        let steps = &constraint.clauses[0].path.steps;
        assert!(steps.iter().skip(1).all(|s| s.joint == Joint::Dot));
        let spelling = Spelling::of(steps);
        let found = spelling
            .find(|n| names.iter().position(|known| *known == n))
            .or_else(|| spelling.recover(names.iter().copied()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_spelling_is_understood() {
        let names = ["a.b", "x y", "p%20q"];
        check(r"/a\.b", &names, Some(0));
        check("/a.b", &names, Some(0));
        check(r"/a\\b", &names, Some(0));
        check("/a%2Eb", &names, Some(0));
        check(r#"/"a.b""#, &names, Some(0));
        check("/x%20y", &names, Some(1));
        check("/x y", &names, Some(1));
        check("/p%20q", &names, Some(2));
    }

    #[test]
    fn an_exact_name_wins_and_an_ambiguous_recovery_fails() {
        check(r"/a\\b", &["a.b", r"a\b"], Some(1));
        check(r"/a\\b", &["a.b", "a@b"], None);
        check(r"/a\\c", &["a.b"], None);
    }
}
