//! What the views of a collection are called below the collection's path, as THREDDS data servers call them, so that
//! links and scripts made for those keep working: `<name>_fmrc.ncd`, `<name>_best.ncd`, `runs/<name>_RUN_<time>`,
//! `offset/<name>_Offset_6.0hr`, `forecast/<name>_ConstantForecast_<time>`; and, shorter, `fmrc` and `best`.

use std::collections::BTreeSet;

use cdm::coordinates::{calendar::Calendar, date::Moment, time::TimeUnits};

use super::common_calendar;
use crate::{
    aggregation::{Member, forecast::described::describe},
    ncml::document::ForecastView,
};

/// A view of a forecast collection, for a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedView {
    /// Its path below the collection's; its first component is the folder that it is in, if it is in one.
    pub path: String,
    /// For people.
    pub title: String,
    /// What it is.
    pub view: ForecastView,
}

/// Every view of the collection called `name`: the two-time collection, the best time series, each run from the newest
/// on, each constant offset, each constant forecast time.
pub fn views(name: &str, members: &[Member]) -> Vec<ListedView> {
    let described: Vec<_> = members.iter().filter_map(|m| describe(m).ok()).flatten().collect();
    let calendar = common_calendar(&described);
    let mut runs = BTreeSet::new();
    let mut times = BTreeSet::new();
    let mut offsets = BTreeSet::new();
    let of_calendar = described.iter().filter(|d| d.calendar == calendar);
    for key in of_calendar.flat_map(|d| &d.axes).flat_map(|axis| &axis.cells).flatten() {
        runs.insert(key.run);
        times.insert(key.valid);
        offsets.insert(key.offset());
    }
    let mut found = vec![
        listed(name, "Two-time collection: every run and every valid time", ForecastView::TwoTime),
        listed(name, "Best time series: for each time the newest run", ForecastView::Best),
    ];
    for run in runs.iter().rev() {
        let time = written(*run, calendar);
        found.push(listed(name, &format!("Run of {time}"), ForecastView::Run(Some(time.as_str().into()))));
    }
    for offset in offsets {
        let hours = offset_hours(offset);
        let title = format!("{hours} hours after the run");
        found.push(listed(name, &title, ForecastView::Offset(hours.into())));
    }
    for time in times {
        let time = written(time, calendar);
        let title = format!("Forecasts for {time}");
        found.push(listed(name, &title, ForecastView::ConstantForecast(time.into())));
    }
    found
}

fn listed(name: &str, title: &str, view: ForecastView) -> ListedView {
    ListedView { path: path(name, &view), title: title.into(), view }
}

/// The path of a view below that of the collection called `name`.
pub fn path(name: &str, view: &ForecastView) -> String {
    let name = file_name(name);
    match view {
        ForecastView::TwoTime => format!("{name}_fmrc.ncd"),
        ForecastView::Best => format!("{name}_best.ncd"),
        ForecastView::Run(None) => "runs/latest".into(),
        ForecastView::Run(Some(time)) => format!("runs/{name}_RUN_{time}"),
        ForecastView::Offset(hours) => format!("offset/{name}_Offset_{hours}hr"),
        ForecastView::ConstantForecast(time) => format!("forecast/{name}_ConstantForecast_{time}"),
    }
}

/// The view at a path below that of the collection called `name`; `None` when there is none of that form.
pub fn parse(name: &str, path: &str) -> Option<ForecastView> {
    let name = file_name(name);
    let own = |text: &str, kind: &str| -> Option<String> {
        let rest = text.strip_prefix(name.as_str())?.strip_prefix(kind)?;
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    match path.split_once('/') {
        None if path == "fmrc" || path == format!("{name}_fmrc.ncd") => Some(ForecastView::TwoTime),
        None if path == "best" || path == format!("{name}_best.ncd") => Some(ForecastView::Best),
        Some(("runs", "latest")) => Some(ForecastView::Run(None)),
        Some(("runs", run)) => Some(ForecastView::Run(Some(own(run, "_RUN_")?.into()))),
        Some(("offset", offset)) => {
            let hours = own(offset, "_Offset_")?;
            Some(ForecastView::Offset(hours.strip_suffix("hr")?.into()))
        }
        Some(("forecast", time)) => {
            Some(ForecastView::ConstantForecast(own(time, "_ConstantForecast_")?.into()))
        }
        _ => None,
    }
}

/// Blanks and slashes of a name are underscores in file names.
fn file_name(name: &str) -> String {
    name.replace([' ', '/'], "_")
}

/// A point in time as views name it: ISO 8601.
pub(super) fn written(time: Moment, calendar: Calendar) -> String {
    time.date(calendar).to_string()
}

/// A length of time as views name it: hours with at least one decimal.
pub(super) fn offset_hours(nanoseconds: i128) -> String {
    format!("{:?}", nanoseconds as f64 / TimeUnits::HOUR as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_views_are_one_to_one() {
        let views = [
            (ForecastView::TwoTime, "GFS_CONUS_fmrc.ncd"),
            (ForecastView::Best, "GFS_CONUS_best.ncd"),
            (ForecastView::Run(None), "runs/latest"),
            (
                ForecastView::Run(Some("2026-01-01T00:00:00Z".into())),
                "runs/GFS_CONUS_RUN_2026-01-01T00:00:00Z",
            ),
            (ForecastView::Offset("6.0".into()), "offset/GFS_CONUS_Offset_6.0hr"),
            (
                ForecastView::ConstantForecast("2026-01-01T06:00:00Z".into()),
                "forecast/GFS_CONUS_ConstantForecast_2026-01-01T06:00:00Z",
            ),
        ];
        for (view, expected) in views {
            assert_eq!(path("GFS CONUS", &view), expected);
            assert_eq!(parse("GFS CONUS", expected), Some(view));
        }
        for (short, view) in [("fmrc", ForecastView::TwoTime), ("best", ForecastView::Best)] {
            assert_eq!(parse("GFS CONUS", short), Some(view));
        }
        for none in ["", "worst", "runs/", "runs/GFS_CONUS_RUN_", "offset/GFS_CONUS_Offset_6.0", "x/best"] {
            assert_eq!(parse("GFS CONUS", none), None, "{none}");
        }
        assert_eq!(offset_hours(TimeUnits::HOUR * 3 / 2), "1.5");
    }
}
