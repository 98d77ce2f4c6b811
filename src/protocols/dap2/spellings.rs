//! Every way in which clients spell the names of a view's variables.

use std::collections::HashMap;

use cdm::{FullName, Variable};

use super::{constraint, names};

/// Every way to spell a variable's name.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    /// As printed, decoded, and as stored.
    exact: HashMap<String, FullName>,
    /// With `_` or `.` between groups; `None` when two variables share the spelling.
    loose: HashMap<String, Option<FullName>>,
    /// Names of variables and members that hold characters with a meaning in constraints, with the form
    /// that is printed; the longest first.
    pub(super) special: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Strictness {
    Exact,
    Loose,
}

impl Spellings {
    /// Of a view's `variables`, whose names in the source `stored` gives.
    pub(super) fn of<'a>(variables: &[Variable], stored: impl Fn(&FullName) -> Option<&'a FullName>) -> Self {
        let mut spellings = Self::default();
        for variable in variables {
            let full = FullName::root().join(&variable.name);
            if let Some(stored) = stored(&full) {
                spellings.add(&variable.name, stored, &full);
            }
            spellings.add_special(variable);
        }
        spellings.special.sort_by_key(|(decoded, _)| std::cmp::Reverse(decoded.len()));
        spellings
    }

    fn add(&mut self, printed: &str, stored: &FullName, full: &FullName) {
        for exact in
            [printed.to_owned(), names::decode(printed).into_owned(), stored.as_str()[1..].to_owned()]
        {
            self.exact.entry(exact).or_insert_with(|| full.clone());
        }
        for (from, joint) in
            [(printed, "_"), (printed, "."), (&stored.as_str()[1..], "_"), (&stored.as_str()[1..], ".")]
        {
            self.loose
                .entry(from.replace(names::GROUP_SEPARATOR, joint))
                .and_modify(|old| {
                    if old.as_ref() != Some(full) {
                        *old = None;
                    }
                })
                .or_insert_with(|| Some(full.clone()));
        }
    }

    fn add_special(&mut self, variable: &Variable) {
        let mut waiting = vec![variable];
        while let Some(variable) = waiting.pop() {
            let decoded = names::decode(&variable.name);
            if decoded.contains(constraint::is_special) {
                self.special.push((decoded.into_owned(), variable.name.to_string()));
            }
            waiting.extend(variable.data_type.record().iter().flat_map(|r| &r.fields));
        }
    }

    pub(super) fn find(&self, text: &str, strictness: Strictness) -> Option<&FullName> {
        let mut text = text.strip_prefix('/').unwrap_or(text).to_owned();
        for _ in 0..3 {
            let found = match strictness {
                Strictness::Exact => self.exact.get(&text),
                Strictness::Loose => self.loose.get(&text).and_then(Option::as_ref),
            };
            if found.is_some() {
                return found;
            }
            // netcdf-c's spelling of a printed `%XX` arrives encoded once more.
            let decoded = names::decode(&text).into_owned();
            if decoded == text {
                break;
            }
            text = decoded;
        }
        None
    }
}
