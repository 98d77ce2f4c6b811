//! Which of the files and folders of a place are served, where it is not all that look like data.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use cdm::{Error, Result};
use regex::Regex;

/// What is served of a place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Files and folders by name and age.
    pub(crate) filter: Filter,
    /// Paths in the place that are served whatever they are called: a catalog names them.
    pub(crate) named: HashSet<String>,
    /// It is not shown in listings: only who knows a dataset's name finds it.
    pub(crate) is_unlisted: bool,
}

/// Names that are included and excluded: what no inclusion matches, where there are any, is left out, and what
/// any exclusion matches too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    selectors: Vec<Selector>,
}

/// One inclusion or exclusion.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) is_include: bool,
    pub(crate) test: Test,
    /// It is about datasets.
    pub(crate) on_datasets: bool,
    /// It is about folders.
    pub(crate) on_folders: bool,
}

/// What a selector looks at.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// The whole of the name.
    Name(Regex),
    /// Not written to for so long.
    OlderThan(Duration),
}

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file, or a folder that is one dataset.
    Dataset,
    /// A folder of others.
    Folder,
}

impl Test {
    /// A regular expression that the whole name must match.
    ///
    /// # Errors
    /// `BadRequest` for one that is not understood.
    pub(crate) fn pattern(pattern: &str) -> Result<Self> {
        let whole = Regex::new(&format!("^(?:{pattern})$"));
        let wrong = |e| {
            Error::bad_request(format!("'{pattern}' is no regular expression that is understood here"))
                .with_source(e)
        };
        whole.map(Self::Name).map_err(wrong)
    }

    /// A name with `*` and `?` for any characters and at most one.
    ///
    /// # Errors
    /// As [`Test::pattern`].
    pub(crate) fn wildcard(wildcard: &str) -> Result<Self> {
        Self::pattern(&regex::escape(wildcard).replace("\\*", ".*").replace("\\?", ".?"))
    }

    fn matches(&self, name: &str, modified: Option<SystemTime>) -> bool {
        match self {
            Self::Name(pattern) => pattern.is_match(name),
            Self::OlderThan(age) => {
                modified.is_some_and(|time| SystemTime::now().duration_since(time).is_ok_and(|a| a > *age))
            }
        }
    }
}

impl Filter {
    pub(crate) fn new(selectors: Vec<Selector>) -> Self {
        Self { selectors }
    }

    /// Whether what is called `name` is served.
    pub(crate) fn accepts(&self, name: &str, modified: Option<SystemTime>, kind: Kind) -> bool {
        let mut selectors = self.about(kind).peekable();
        let mut is_included = self.about(kind).all(|s| !s.is_include);
        if selectors.peek().is_none() {
            return true;
        }
        for selector in selectors {
            if selector.test.matches(name, modified) {
                if !selector.is_include {
                    return false;
                }
                is_included = true;
            }
        }
        is_included
    }

    /// Whether an inclusion names this file, so that it need not look like data.
    fn names(&self, name: &str) -> bool {
        let by_name = |s: &&Selector| s.is_include && matches!(s.test, Test::Name(_));
        self.about(Kind::Dataset).filter(by_name).any(|s| s.test.matches(name, None))
    }

    fn about(&self, kind: Kind) -> impl Iterator<Item = &Selector> {
        self.selectors.iter().filter(move |s| match kind {
            Kind::Dataset => s.on_datasets,
            Kind::Folder => s.on_folders,
        })
    }
}

impl Rules {
    /// Whether the file at `path` may be a dataset by its name alone.
    pub(crate) fn may_show(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        super::is_data_file(name) || self.named.contains(path) || self.filter.names(name)
    }

    /// Whether the dataset at `path`, written at `modified`, is served.
    pub(crate) fn accepts(&self, path: &str, modified: Option<SystemTime>) -> bool {
        if self.named.contains(path) {
            return true;
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.accepts_folder(folder) && self.filter.accepts(name, modified, Kind::Dataset)
    }

    /// Whether the folder at `path` is, and those above it.
    pub(crate) fn accepts_folder(&self, path: &str) -> bool {
        path.split('/').filter(|c| !c.is_empty()).all(|c| self.filter.accepts(c, None, Kind::Folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(is_include: bool, test: Test) -> Selector {
        Selector { is_include, test, on_datasets: true, on_folders: false }
    }

    #[test]
    fn exclusions_win_and_inclusions_limit() {
        let filter = Filter::new(vec![
            selector(true, Test::wildcard("*eta_211.nc").unwrap()),
            selector(false, Test::wildcard("*12_eta_211.nc").unwrap()),
            Selector {
                on_datasets: false,
                on_folders: true,
                ..selector(false, Test::pattern("bad.*").unwrap())
            },
        ]);
        for (name, kind, expect) in [
            ("2003010100_eta_211.nc", Kind::Dataset, true),
            ("2003010112_eta_211.nc", Kind::Dataset, false),
            ("2003010100_eta_211xnc", Kind::Dataset, false),
            ("other.nc", Kind::Dataset, false),
            ("badData", Kind::Dataset, false),
            ("badData", Kind::Folder, false),
            ("notbad", Kind::Folder, true),
        ] {
            assert_eq!(filter.accepts(name, None, kind), expect, "{name}");
        }
        assert!(Filter::default().accepts("x", None, Kind::Dataset));
        assert!(Test::pattern("(?=x)").is_err());
    }

    #[test]
    fn age_and_names_that_do_not_look_like_data() {
        let old = SystemTime::now().checked_sub(Duration::from_secs(120));
        let filter = Filter::new(vec![selector(true, Test::OlderThan(Duration::from_secs(60)))]);
        assert!(filter.accepts("a.nc", old, Kind::Dataset));
        assert!(!filter.accepts("a.nc", Some(SystemTime::now()), Kind::Dataset));
        let rules = Rules {
            filter: Filter::new(vec![selector(true, Test::wildcard("*.dat").unwrap())]),
            named: ["sub/other".to_owned()].into(),
            is_unlisted: false,
        };
        assert!(rules.may_show("x/a.dat") && rules.may_show("sub/other") && !rules.may_show("x/a.txt"));
        assert!(rules.accepts("sub/other", None) && !rules.accepts("a.nc", None));
    }
}
