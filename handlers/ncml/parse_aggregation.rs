//! `aggregation` and what is inside of it.

#![warn(clippy::indexing_slicing)]

use std::time::Duration;

use cdm::{ErrorKind, Result};

use super::{
    document::{Aggregation, ForecastView, Join, Promote, Scan},
    parse::{Parser, Within},
    words,
};
use crate::xml::Element;

impl Parser<'_> {
    pub(super) fn aggregation(&mut self, element: &Element<'_>) -> Result<Aggregation> {
        let known = ["type", "dimName", "recheckEvery", "timeUnitsChange"];
        self.attributes(element, &known, &["fmrcDefinition"])?;
        let join = self.join(element)?;
        let dimension = element.attribute("dimName").map(str::trim).filter(|name| !name.is_empty());
        if dimension.is_none() && !matches!(join, Join::Union | Join::Tiled) {
            let kind = element.attribute("type").unwrap_or_default();
            return Err(self.wrong(element, format!("an <aggregation> of type {kind} without 'dimName'")));
        }
        let mut aggregation = Aggregation {
            line: element.line,
            join,
            dimension: dimension.map(str::to_owned),
            recheck: self.duration(element, "recheckEvery")?,
            time_units_change: self.truth(element, "timeUnitsChange")?.unwrap_or(false),
            variables: Vec::new(),
            promote: Vec::new(),
            cache: Vec::new(),
            scans: Vec::new(),
            members: Vec::new(),
        };
        self.no_text(element);
        for child in &element.children {
            match child.name {
                "variableAgg" | "cacheVariable" => {
                    self.attributes(child, &["name"], &[])?;
                    self.no_content(child)?;
                    let name = self.any_name(child, "name")?;
                    if child.name == "variableAgg" {
                        aggregation.variables.push(name);
                    } else {
                        aggregation.cache.push(name);
                    }
                }
                "promoteGlobalAttribute" => {
                    self.attributes(child, &["name", "orgName"], &[])?;
                    self.no_content(child)?;
                    let name = self.any_name(child, "name")?;
                    let attribute = child.attribute("orgName").filter(|n| !n.is_empty()).unwrap_or(&name);
                    let attribute = attribute.to_owned();
                    aggregation.promote.push(Promote { name, attribute });
                }
                "scan" => aggregation.scans.push(self.scan(child)?),
                "scanFmrc" => {
                    let message =
                        "<scanFmrc> is not supported; use <scan> with 'dateFormatMark' for the run time";
                    return Err(self.error(ErrorKind::Unsupported, child, message));
                }
                "netcdf" => aggregation.members.push(self.netcdf(child, Within::Aggregation)?),
                _ => {
                    let known = ["netcdf", "scan", "variableAgg", "promoteGlobalAttribute", "cacheVariable"];
                    return Err(self.unknown_element(child, element.name, &known));
                }
            }
        }
        if aggregation.members.is_empty() && aggregation.scans.is_empty() {
            return Err(self.wrong(element, "an <aggregation> without <netcdf> or <scan>"));
        }
        Ok(aggregation)
    }

    fn join(&mut self, element: &Element<'_>) -> Result<Join> {
        Ok(match self.require(element, "type")? {
            "union" => Join::Union,
            // `joinExistingOne`: each member has one value; it is found out.
            "joinExisting" | "joinExistingOne" => Join::Existing,
            "joinNew" => Join::New,
            "tiled" => Join::Tiled,
            "forecastModelRunCollection" | "forecastModelRunSingleCollection" => {
                Join::Forecast(ForecastView::TwoTime)
            }
            other => {
                let known = ["union", "joinExisting", "joinNew", "tiled", "forecastModelRunCollection"];
                let hint = match words::closest(other, &known) {
                    Some(meant) => format!("; did you mean '{meant}'?"),
                    None => format!("; it is one of {}", known.join(", ")),
                };
                return Err(self.wrong(element, format!("the type '{other}' of an <aggregation>{hint}")));
            }
        })
    }

    fn scan(&mut self, element: &Element<'_>) -> Result<Scan> {
        let known = ["location", "suffix", "regExp", "subdirs", "olderThan", "dateFormatMark"];
        self.attributes(element, &known, &["enhance", "ncoords"])?;
        self.no_content(element)?;
        let text = |name: &str| element.attribute(name).filter(|t| !t.is_empty()).map(str::to_owned);
        let pattern = text("regExp");
        if let Some(pattern) = &pattern {
            let limit = 1 << 20;
            let made = regex::RegexBuilder::new(pattern).size_limit(limit).dfa_size_limit(limit).build();
            made.map_err(|e| self.wrong(element, format!("'regExp' is '{pattern}': {e}")).with_source(e))?;
        }
        Ok(Scan {
            line: element.line,
            location: self.require(element, "location")?.trim().to_owned(),
            suffix: text("suffix"),
            pattern,
            glob: None,
            subfolders: self.truth(element, "subdirs")?.unwrap_or(true),
            older_than: self.duration(element, "olderThan")?,
            date_format_mark: text("dateFormatMark"),
        })
    }

    fn duration(&self, element: &Element<'_>, attribute: &str) -> Result<Option<Duration>> {
        let Some(text) = element.attribute(attribute).filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let found = words::duration(text);
        let wrong = || {
            let message =
                format!("'{attribute}' is '{text}'; write a duration such as '15 min', '1 days' or 'PT5M'");
            self.wrong(element, message)
        };
        found.map(Some).ok_or_else(wrong)
    }
}
