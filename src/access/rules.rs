//! Who may read what: rules by the names of datasets and folders. Pure.

use std::{collections::HashMap, sync::Arc};

/// Somebody who has shown who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As rules name them.
    pub name: String,
    /// The groups they are in.
    pub groups: Vec<String>,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who has not said who they are.
    #[default]
    Anyone,
    /// Somebody who has.
    Known(Arc<User>),
    /// Whoever has a signed link: to this dataset or folder and what is below it, and nothing else.
    Linked(Arc<str>),
}

/// Who may read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readers {
    /// Everyone.
    Everyone,
    /// Who has shown who they are.
    SignedIn,
    /// These alone.
    Named {
        /// By their names.
        users: Vec<String>,
        /// Whoever is in one of these groups.
        groups: Vec<String>,
    },
}

impl Readers {
    fn has(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (Self::Everyone, _) | (Self::SignedIn, Caller::Known(_)) => true,
            (_, Caller::Anyone | Caller::Linked(_)) => false,
            (Self::Named { users, groups }, Caller::Known(user)) => {
                users.contains(&user.name) || user.groups.iter().any(|group| groups.contains(group))
            }
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name of a dataset, or of a folder with all that is below it; empty for everything.
    pub path: String,
    /// Who may read it.
    pub read: Readers,
}

/// All rules. The longest path that a name begins with, component by component, is the one that counts; what no
/// rule is about is everyone's.
#[derive(Debug, Clone, Default)]
pub struct Rules(HashMap<String, Readers>);

impl Rules {
    /// Of several rules for one path the last counts.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self(rules.into_iter().map(|rule| (rule.path, rule.read)).collect())
    }

    /// Whether there is none: everything is everyone's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `caller` may read the dataset `name`, or what is in the folder of this name and has no rule of its own.
    pub fn may_read(&self, caller: &Caller, name: &str) -> bool {
        match caller {
            Caller::Linked(scope) => is_in(scope, name) || unversioned(name) == Some(scope),
            caller => self.readers(name).has(caller),
        }
    }

    /// Whether there may be something for `caller` in the folder `name` or below it.
    pub fn may_enter(&self, caller: &Caller, folder: &str) -> bool {
        if folder.is_empty() || self.may_read(caller, folder) {
            return true;
        }
        match caller {
            Caller::Linked(scope) => is_in(folder, scope),
            caller => self.0.iter().any(|(path, readers)| is_in(folder, path) && readers.has(caller)),
        }
    }

    /// Whether everyone may read `name`.
    pub fn is_public(&self, name: &str) -> bool {
        *self.readers(name) == Readers::Everyone
    }

    fn readers(&self, name: &str) -> &Readers {
        let mut at = name;
        loop {
            // A version of a dataset is for who may read the dataset.
            let found = self.0.get(at).or_else(|| self.0.get(unversioned(at)?));
            if let Some(readers) = found {
                return readers;
            }
            if at.is_empty() {
                return &Readers::Everyone;
            }
            at = at.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
    }
}

/// Whether `name` is `folder` or in it: `data` has `data/x`, and not `data-x`.
fn is_in(folder: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(folder) else { return false };
    folder.is_empty() || rest.is_empty() || rest.starts_with('/')
}

/// The dataset that `<dataset>@<version>` is a version of.
fn unversioned(name: &str) -> Option<&str> {
    let (base, version) = name.rsplit_once('@')?;
    (!version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(base)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(name: &str, groups: &[&str]) -> Caller {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        Caller::Known(Arc::new(User { name: name.to_owned(), groups }))
    }

    fn rules() -> Rules {
        let named = |users: &[&str], groups: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
            Readers::Named { users: owned(users), groups: owned(groups) }
        };
        let all = [
            ("data", named(&["ann"], &["ops"])),
            ("data/open", Readers::Everyone),
            ("data/deep/er/x.nc", named(&["bob"], &[])),
            ("in", Readers::SignedIn),
            ("sst", named(&["ann"], &[])),
        ];
        Rules::new(all.map(|(path, read)| Rule { path: path.to_owned(), read }))
    }

    #[test]
    fn the_longest_path_by_components_counts() {
        let rules = rules();
        let (ann, bob, op) = (known("ann", &[]), known("bob", &["x"]), known("cy", &["ops"]));
        let check = |name: &str, expect: [bool; 4]| {
            let found = [&Caller::Anyone, &ann, &bob, &op].map(|caller| rules.may_read(caller, name));
            assert_eq!(found, expect, "{name}");
        };
        check("x.nc", [true; 4]);
        check("data", [false, true, false, true]);
        check("data/x.nc", [false, true, false, true]);
        check("data/x.nc@12", [false, true, false, true]);
        check("data-x/y.nc", [true; 4]);
        check("data.nc", [true; 4]);
        check("data/open/y.nc", [true; 4]);
        check("data/opener.nc", [false, true, false, true]);
        check("data/deep/er/x.nc", [false, false, true, false]);
        check("data/deep/er/x.nc/v/0", [false, false, true, false]);
        check("data/deep/er/x.nc@1a", [false, false, true, false]);
        check("in/a", [false, true, true, true]);
        check("sst@0123ab", [false, true, false, false]);
        check("sst@0123ab/c", [false, true, false, false]);
        check("sst@", [true; 4]);
        check("sst@a.nc", [true; 4]);
    }

    #[test]
    fn folders_lead_to_what_one_may_read() {
        let rules = rules();
        let bob = known("bob", &[]);
        for (folder, expect) in
            [("", true), ("data", true), ("data/deep", true), ("data/deeper", false), ("data/x", false)]
        {
            assert_eq!(rules.may_enter(&bob, folder), expect, "{folder}");
        }
        // To what is open in it.
        assert!(rules.may_enter(&Caller::Anyone, "data") && !rules.may_enter(&Caller::Anyone, "in"));
    }

    #[test]
    fn a_link_leads_to_its_scope_alone() {
        let rules = rules();
        let link = Caller::Linked("data/deep".into());
        for (name, expect) in [
            ("data/deep", true),
            ("data/deep/er/x.nc", true),
            ("data/deep/y.nc@1", true),
            ("data/deeper", false),
            ("data/open/y.nc", false),
            ("x.nc", false),
        ] {
            assert_eq!(rules.may_read(&link, name), expect, "{name}");
        }
        assert!(rules.may_read(&Caller::Linked("sst".into()), "sst@1"));
        assert!(rules.may_enter(&link, "data") && rules.may_enter(&link, ""));
        assert!(!rules.may_enter(&link, "data/open") && !rules.may_enter(&link, "in"));
    }

    proptest! {
        /// Nothing beside a protected folder is covered by its rule, and everything in it is.
        #[test]
        fn names_beside_a_folder_are_not_in_it(folder in "[a-c]{1,2}(/[a-c]{1,2})?", more in "[a-c.@-]{1,3}") {
            let rules = Rules::new([Rule { path: folder.clone(), read: Readers::SignedIn }]);
            let is_version = more.starts_with('@');
            prop_assert_eq!(rules.is_public(&format!("{folder}{more}")), !is_version || more.len() == 1
                || !more[1..].bytes().all(|b| b.is_ascii_alphanumeric()));
            let inside = format!("{folder}/{more}");
            prop_assert!(!rules.is_public(&inside));
            prop_assert!(rules.may_enter(&Caller::Anyone, &folder).eq(&false));
        }
    }
}
