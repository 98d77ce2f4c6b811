//! `datasetScan`: a folder whose content is listed, and how it is shown.

use std::time::Duration;

use cdm::Result;
use handlers::{ncml::document::Netcdf, xml::Element};
use regex::Regex;

use super::elements::Node;
use crate::catalog::{
    Latest,
    rules::{Filter, Selector, Test},
};

/// How a scanned folder is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    pub(crate) name: String,
    /// Begins the IDs of what is in it.
    pub(crate) id: String,
    /// Said of everything in it.
    pub(crate) inherited: Vec<Node>,
    /// Said of the folder itself.
    pub(crate) own: Vec<Node>,
    /// The services of its catalogs.
    pub(crate) services: Vec<Node>,
    pub(crate) filter: Filter,
    /// By name, the last first: THREDDS' default.
    pub(crate) is_decreasing: bool,
    pub(crate) has_sizes: bool,
    /// Names of datasets by the names of files: the first pattern that is found in one.
    pub(crate) namers: Vec<(Regex, String)>,
    pub(crate) time: Option<TimeFromName>,
    pub(crate) newest: Vec<Newest>,
    /// Edits over each dataset.
    pub(crate) edits: Option<Netcdf>,
}

/// The time that a dataset covers, from its file's name.
#[derive(Debug, Clone)]
pub(crate) struct TimeFromName {
    pattern: Regex,
    start: String,
    duration: String,
}

/// A dataset that stands for the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    /// The last part of its address.
    pub(crate) name: String,
    pub(crate) service: String,
    /// It comes before the others.
    pub(crate) is_first: bool,
    pub(crate) by: Latest,
    /// Files written since are passed over.
    pub(crate) quiet: Duration,
}

impl Scan {
    /// The name that a dataset is shown with.
    pub(crate) fn shown_name(&self, file: &str) -> String {
        for (pattern, replacement) in &self.namers {
            if let Some(found) = pattern.captures(file) {
                let mut name = String::new();
                found.expand(replacement, &mut name);
                return name;
            }
        }
        file.to_owned()
    }

    /// `timeCoverage` of a dataset by its file's name.
    pub(crate) fn time_of(&self, file: &str) -> Option<Node> {
        let time = self.time.as_ref()?;
        let found = time.pattern.captures(file)?;
        let mut start = String::new();
        found.expand(&time.start, &mut start);
        let mut node = Node::new("timeCoverage");
        node.children = vec![Node::text("start", start), Node::text("duration", time.duration.as_str())];
        Some(node)
    }
}

/// Java's `$1` as this crate's `${1}`: `$1_` would else be the group `1_`.
fn replacement(java: &str) -> String {
    let mut made = String::new();
    let mut rest = java.chars().peekable();
    while let Some(c) = rest.next() {
        let digit = rest.peek().copied().filter(char::is_ascii_digit);
        match (c, digit) {
            ('$', Some(digit)) => {
                rest.next();
                made.extend(['$', '{', digit, '}']);
            }
            ('$', None) => made.push_str("$$"),
            ('\\', _) => made.extend(rest.next()),
            _ => made.push(c),
        }
    }
    made
}

fn pattern(text: &str) -> Result<Regex> {
    let wrong = |e| {
        cdm::Error::bad_request(format!("'{text}' is no regular expression that is understood here"))
            .with_source(e)
    };
    Regex::new(text).map_err(wrong)
}

/// Reads what is inside of a `datasetScan`; `wrong` is told what is not understood, with its line.
pub(super) fn read(scan: &mut Scan, element: &Element<'_>, mut wrong: impl FnMut(usize, String)) {
    scan.is_decreasing = true;
    scan.has_sizes = true;
    if element.attribute("addLatest").is_some_and(is_true) {
        scan.newest.push(newest(None));
    }
    for child in &element.children {
        match child.name {
            "filter" => scan.filter = filter(child, &mut wrong),
            "sort" => {
                let by_name = child.first("lexigraphicByName");
                scan.is_decreasing = !by_name.and_then(|e| e.attribute("increasing")).is_some_and(is_true);
            }
            "filesSort" => scan.is_decreasing = !child.attribute("increasing").is_none_or(is_true),
            "addDatasetSize" => scan.has_sizes = child.text.trim() != "false",
            "addLatest" if child.children.is_empty() => scan.newest.push(newest(Some(child))),
            "addLatest" | "addProxies" => {
                for proxy in &child.children {
                    match proxy.name {
                        "simpleLatest" | "latestComplete" => scan.newest.push(newest(Some(proxy))),
                        other => wrong(proxy.line, format!("<{other}> is not known in <{}>", child.name)),
                    }
                }
            }
            "namer" => {
                for namer in &child.children {
                    let shown = replacement(namer.attribute("replaceString").unwrap_or_default());
                    match pattern(namer.attribute("regExp").unwrap_or_default()) {
                        Ok(pattern) => scan.namers.push((pattern, shown)),
                        Err(e) => wrong(namer.line, e.message().to_owned()),
                    }
                }
            }
            "addTimeCoverage" => {
                let names = ["datasetNameMatchPattern", "datasetPathMatchPattern"];
                let text = names.iter().find_map(|name| child.attribute(name)).unwrap_or_default();
                match pattern(text) {
                    Ok(pattern) => {
                        let start = child.attribute("startTimeSubstitutionPattern").unwrap_or_default();
                        let duration = child.attribute("duration").unwrap_or_default().to_owned();
                        scan.time = Some(TimeFromName { pattern, start: replacement(start), duration });
                    }
                    Err(e) => wrong(child.line, e.message().to_owned()),
                }
            }
            "crawlableDatasetImpl" => {
                wrong(
                    child.line,
                    "a <crawlableDatasetImpl> is a class of Java's, which does not run here".to_owned(),
                );
            }
            _ => {}
        }
    }
}

pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

fn newest(element: Option<&Element<'_>>) -> Newest {
    let attribute = |name: &str| element.and_then(|e| e.attribute(name));
    // In minutes; THREDDS' default for a complete one is an hour.
    let is_complete = element.is_some_and(|e| e.name == "latestComplete");
    let minutes = attribute("lastModifiedLimit").and_then(|m| m.trim().parse::<f64>().ok());
    let minutes = minutes.unwrap_or(if is_complete { 60.0 } else { 0.0 });
    let millis = attribute("lastModLimit").and_then(|m| m.trim().parse::<u64>().ok());
    let seconds = Duration::try_from_secs_f64(minutes.max(0.0) * 60.0).unwrap_or_default();
    Newest {
        name: attribute("name")
            .unwrap_or(if is_complete { "latestComplete.xml" } else { "latest.xml" })
            .to_owned(),
        service: attribute("serviceName").unwrap_or("latest").to_owned(),
        is_first: attribute("top").is_none_or(is_true),
        by: Latest::Name,
        quiet: millis.map_or(seconds, Duration::from_millis),
    }
}

fn filter(element: &Element<'_>, wrong: &mut impl FnMut(usize, String)) -> Filter {
    let mut selectors = Vec::new();
    for child in &element.children {
        let is_include = child.name == "include";
        if !is_include && child.name != "exclude" {
            wrong(child.line, format!("<{}> is not known in a <filter>", child.name));
            continue;
        }
        let test = if let Some(text) = child.attribute("wildcard") {
            Test::wildcard(text)
        } else if let Some(text) = child.attribute("regExp") {
            Test::pattern(text)
        } else if let Some(limit) =
            child.attribute("lastModLimitInMillis").and_then(|l| l.trim().parse().ok())
        {
            Ok(Test::OlderThan(Duration::from_millis(limit)))
        } else {
            Err(cdm::Error::bad_request(format!(
                "<{}> without 'wildcard', 'regExp' or 'lastModLimitInMillis'",
                child.name
            )))
        };
        let test = match test {
            Ok(test) => test,
            Err(e) => {
                wrong(child.line, e.message().to_owned());
                // What cannot be told apart is not shown: an exclusion that was not understood may be there
                // for a reason.
                let nothing = Test::pattern(if is_include { "[^\\s\\S]" } else { "[\\s\\S]*" });
                let Ok(nothing) = nothing else { continue };
                nothing
            }
        };
        selectors.push(Selector {
            is_include,
            test,
            on_datasets: child.attribute("atomic").is_none_or(is_true),
            on_folders: child.attribute("collection").is_some_and(is_true),
        });
    }
    Filter::new(selectors)
}
