//! What a [`Summary`] says, as pages and their JSON say it.

use cdm::coordinates::summary::{Range, Summary};
use serde_json::{Map, Value as Json, json};

/// A text of the summary by its ACDD name.
pub(super) fn text<'a>(summary: &'a Summary, name: &str) -> Option<&'a str> {
    let found = summary.texts.iter().find(|(key, _)| key == name)?;
    Some(found.1.trim()).filter(|text| !text.is_empty())
}

/// The days of a time coverage, for a line of a table: `2000-01-01 to 2000-12-31`.
pub(super) fn period(summary: &Summary) -> String {
    let Some(time) = &summary.time else { return String::new() };
    let day = |text: &str| text.split('T').next().unwrap_or_default().to_owned();
    let (start, end) = (day(&time.start), day(&time.end));
    if start == end { start } else { format!("{start} to {end}") }
}

/// Facts for people: a name and a sentence.
pub(super) fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(time) = &summary.time {
        let mut text = format!("{} to {}", time.start, time.end);
        if time.start == time.end {
            text.clone_from(&time.start);
        }
        text = format!("{text} ({} {}", time.count, if time.count == 1 { "time" } else { "times" });
        if let Some(resolution) = &time.resolution {
            text = format!("{text}, every {resolution}");
        }
        if time.calendar != "standard" {
            text = format!("{text}, calendar {}", time.calendar);
        }
        facts.push(("Time", text + ")"));
    }
    let span = |range: &Range, unit: &str| {
        let step = range.resolution.map(|r| format!(", every {r}{unit}")).unwrap_or_default();
        format!("{}{unit} to {}{unit}{step}", range.min, range.max)
    };
    if let Some(latitude) = &summary.latitude {
        facts.push(("Latitude", span(latitude, "\u{b0}")));
    }
    if let Some(longitude) = &summary.longitude {
        facts.push(("Longitude", span(longitude, "\u{b0}")));
    }
    if let Some(vertical) = &summary.vertical {
        let unit = format!(" {}", vertical.units);
        let positive = vertical.positive.as_deref().map(|p| format!(", positive {p}")).unwrap_or_default();
        facts.push(("Vertical", span(&vertical.range, unit.trim_end()) + &positive));
    }
    facts
}

/// The summary with stable keys.
pub(super) fn json(summary: &Summary) -> Json {
    let range = |r: &Range| json!({ "min": r.min, "max": r.max, "resolution": r.resolution });
    let texts: Map<String, Json> =
        summary.texts.iter().map(|(key, text)| (key.clone(), text.as_str().into())).collect();
    let variables = summary.variables.iter().map(|v| {
        json!({
            "name": v.name,
            "long_name": v.long_name,
            "standard_name": v.standard_name,
            "units": v.units,
            "dimensions": v.dimensions.iter()
                .map(|(name, size)| json!({ "name": name, "size": size })).collect::<Vec<_>>(),
        })
    });
    json!({
        "texts": texts,
        "variables": variables.collect::<Vec<_>>(),
        "time": summary.time.as_ref().map(|t| json!({
            "start": t.start,
            "end": t.end,
            "calendar": t.calendar,
            "resolution": t.resolution,
            "count": t.count,
        })),
        "latitude": summary.latitude.as_ref().map(range),
        "longitude": summary.longitude.as_ref().map(range),
        "vertical": summary.vertical.as_ref().map(|v| json!({
            "min": v.range.min,
            "max": v.range.max,
            "resolution": v.range.resolution,
            "units": v.units,
            "positive": v.positive,
        })),
        "bytes": summary.bytes,
    })
}
