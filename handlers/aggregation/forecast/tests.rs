//! Every view of the collections in `fixtures`, value by value, against what its script computed from the files
//! with netCDF4 and cftime alone.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use cdm::{
    ErrorKind, FullName, Result, Selection, Source, Variable,
    testing::{collect, source_contract},
    values,
};
use serde_json::Value;

use super::{combine, parse_view, view_path, views};
use crate::{
    Registry,
    aggregation::{Combined, Known, KnownValues, Member, NoteKind, Open},
    chunked::Engine,
    ncml::document::{Aggregation, ForecastView, Join},
    storage::MemoryObject,
};

/// Opens a file of the fixtures, and counts how often.
#[derive(Debug)]
struct OpenFile(PathBuf);

#[async_trait]
impl Open for OpenFile {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        let registry = Registry::new(Arc::new(Engine::default()));
        registry.open(MemoryObject::object("member.nc", std::fs::read(&self.0).unwrap())).await
    }
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("aggregation/forecast/fixtures")
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join("expected.json")).unwrap()).unwrap()
}

/// What an index would know of a file: all values of whatever is small.
async fn member(path: PathBuf) -> Member {
    let opener = OpenFile(path.clone());
    let source = opener.open().await.unwrap();
    let mut known = KnownValues::new();
    for (name, variable) in source.dataset().variables() {
        let block = collect(source.read(&name, &Selection::all(&variable.shape())), true).await.unwrap();
        if variable.element_count() <= 16 && !["t2m", "wind", "rain", "sst"].contains(&&*variable.name) {
            known.insert(name, Known::Values(block));
        }
    }
    Member {
        name: path.file_name().unwrap().to_string_lossy().as_ref().into(),
        version: "1".into(),
        dataset: Arc::new(source.dataset().clone()),
        known: Arc::new(known),
        coord_value: None,
        section: None,
        opener: Arc::new(opener),
    }
}

async fn members(folder: &str) -> Vec<Member> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(fixtures().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let mut member = member(path).await;
        if folder == "single" {
            // As a date in the file's name says: out_2026010100_HH_fNNN.nc.
            let hour = member.name.split('_').nth(2).unwrap().to_owned();
            member.coord_value = Some(format!("2026-01-01T{hour}:00:00Z").into());
        }
        found.push(member);
    }
    found
}

fn aggregation(view: ForecastView) -> Aggregation {
    Aggregation {
        line: 0,
        join: Join::Forecast(view),
        dimension: None,
        recheck: None,
        time_units_change: false,
        variables: Vec::new(),
        promote: Vec::new(),
        cache: Vec::new(),
        scans: Vec::new(),
        members: Vec::new(),
    }
}

fn view_of(view: &ForecastView, members: &[Member]) -> Result<Combined> {
    combine("collection", &aggregation(view.clone()), view, members)
}

/// Numbers of a variable, `None` where it is fill.
async fn read(source: &Arc<dyn Source>, name: &FullName) -> Vec<Option<f64>> {
    let variable = source.dataset().require(name).unwrap();
    let block = collect(source.read(name, &Selection::all(&variable.shape())), true).await.unwrap();
    let fill = fill_of(variable);
    let value = |v: cdm::Value<'_>| v.as_f64().filter(|v| !v.is_nan() && Some(*v) != fill);
    let found: Vec<_> = values(&variable.data_type, &block).map(value).collect();
    assert_eq!(found.len() as u64, variable.element_count());
    found
}

fn fill_of(variable: &Variable) -> Option<f64> {
    let fill = variable.attributes.get("_FillValue")?;
    values(&fill.data_type, &fill.values).next()?.as_f64()
}

fn numbers(value: &Value) -> Vec<Option<f64>> {
    value.as_array().unwrap().iter().map(Value::as_f64).collect()
}

fn full(name: &str) -> FullName {
    FullName::new(name)
}

/// A view of one dimension against the expectation; `is_along_runs`: of a constant forecast time.
async fn check_series(
    source: &Arc<dyn Source>,
    name: &str,
    expected: &Value,
    is_along_runs: bool,
    context: &str,
) {
    let rows = expected["values"].as_array().unwrap();
    let Some(variable) = source.dataset().variable(&full(name)) else {
        assert!(rows.iter().all(Value::is_null), "{context} {name} is not there");
        return;
    };
    if name == "mask" && variable.dimensions.len() == 2 {
        // The same in all that the view shows.
        for row in rows.iter().filter(|row| !row.is_null()) {
            check_rows(source, name, std::slice::from_ref(row), context).await;
        }
        return;
    }
    let coordinates = variable.attributes.text("coordinates").unwrap_or_default().into_owned();
    let is_time = |word: &&str| {
        let of = source.dataset().variable(&full(word)).and_then(|v| v.attributes.text("standard_name"));
        of.is_some_and(|name| name == "time")
    };
    let named = |end: &str| coordinates.split(' ').find(|word| word.ends_with(end)).map(full);
    let dimension = variable.dimensions[0].name.clone().unwrap();
    let time =
        if is_along_runs { full(coordinates.split(' ').find(is_time).unwrap()) } else { dimension.clone() };
    let run = if is_along_runs { dimension.clone() } else { named("_run").unwrap() };
    assert_eq!(read(source, &time).await, numbers(&expected["time"]), "{context} {name}: {time}");
    assert_eq!(read(source, &run).await, numbers(&expected["run"]), "{context} {name}: {run}");
    let offset = named("_offset").unwrap();
    assert_eq!(read(source, &offset).await, numbers(&expected["offset"]), "{context} {name}: {offset}");
    if let Some(bounds) = expected.get("bounds") {
        let of = source.dataset().require(&time).unwrap().attributes.text("bounds").unwrap().into_owned();
        let wanted: Vec<_> = bounds
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|pair| if pair.is_null() { vec![None, None] } else { numbers(pair) })
            .collect();
        assert_eq!(read(source, &full(&of)).await, wanted, "{context} {name}: {of}");
    }
    check_rows(source, name, rows, context).await;
}

async fn check_rows(source: &Arc<dyn Source>, name: &str, rows: &[Value], context: &str) {
    let found = read(source, &full(name)).await;
    let size = found.len() / rows.len();
    for (row, (found, wanted)) in found.chunks(size).zip(rows).enumerate() {
        let wanted = if wanted.is_null() { vec![None; size] } else { numbers(wanted) };
        assert_eq!(found, wanted, "{context} {name}, row {row}");
    }
}

async fn check_table(source: &Arc<dyn Source>, name: &str, expected: &Value, context: &str) {
    let variable = source.dataset().require(&full(name)).unwrap();
    let rows = expected["values"].as_array().unwrap();
    let run = variable.dimensions[0].name.clone().unwrap();
    assert_eq!(read(source, &run).await, numbers(&expected["run"]), "{context} {name}: {run}");
    if name == "mask" {
        // It depends on the run alone.
        let of_run: Vec<Value> = rows
            .iter()
            .map(|row| row.as_array().unwrap().iter().find(|v| !v.is_null()).unwrap().clone())
            .collect();
        return check_rows(source, name, &of_run, context).await;
    }
    let time = variable.dimensions[1].name.clone().unwrap();
    let wanted: Vec<_> = expected["time"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_eq!(read(source, &time).await, wanted, "{context} {name}: {time}");
    let offset = full(&format!("{time}_offset"));
    assert_eq!(read(source, &offset).await, numbers(&expected["offset"]), "{context} {name}: {offset}");
    let cells: Vec<Value> = rows.iter().flat_map(|row| row.as_array().unwrap().clone()).collect();
    check_rows(source, name, &cells, context).await;
}

async fn check(folder: &str) {
    let expected = expected()[folder].take();
    let members = members(folder).await;
    let variables: BTreeMap<String, Value> = serde_json::from_value(expected["variables"].clone()).unwrap();
    let texts = |name: &str| -> Vec<String> { serde_json::from_value(expected[name].clone()).unwrap() };
    let mut all = vec![ForecastView::TwoTime, ForecastView::Best, ForecastView::Run(None)];
    all.extend(texts("runs").iter().map(|run| ForecastView::Run(Some(run.as_str().into()))));
    let offsets: Vec<f64> = serde_json::from_value(expected["offsets"].clone()).unwrap();
    all.extend(offsets.iter().map(|o| ForecastView::Offset(format!("{o:?}").into())));
    all.extend(texts("valid").iter().map(|time| ForecastView::ConstantForecast(time.as_str().into())));
    let listed: Vec<ForecastView> = views("C", &members).into_iter().map(|listed| listed.view).collect();
    assert_eq!(listed.len(), all.len() - 1, "{folder}: views that are listed");
    for view in all {
        assert!(
            view == ForecastView::Run(None) || listed.contains(&view),
            "{folder}: {view:?} is not listed"
        );
        let context = format!("{folder} {view:?}");
        let source = view_of(&view, &members).unwrap().source;
        for (name, expected) in &variables {
            match &view {
                ForecastView::TwoTime => check_table(&source, name, &expected["two"], &context).await,
                ForecastView::Best => check_series(&source, name, &expected["best"], false, &context).await,
                ForecastView::Run(run) => {
                    let runs = texts("runs");
                    let run = run.as_deref().unwrap_or(runs.last().unwrap());
                    check_series(&source, name, &expected["run"][run], false, &context).await;
                }
                ForecastView::Offset(hours) => {
                    if let Some(expected) = expected["offsets"].get(&**hours) {
                        check_series(&source, name, expected, false, &context).await;
                    }
                }
                ForecastView::ConstantForecast(time) => {
                    if let Some(expected) = expected["forecast"].get(&**time) {
                        check_series(&source, name, expected, true, &context).await;
                    }
                }
            }
        }
        check_description(&source, &expected, &context);
        source_contract(&source, 11, 6).await;
    }
}

/// CF: what the coordinates of a view say of themselves.
fn check_description(source: &Arc<dyn Source>, expected: &Value, context: &str) {
    let first = expected["first"].as_str().unwrap();
    for (name, variable) in source.dataset().variables() {
        let Some(role) = variable.attributes.text("standard_name") else { continue };
        let units = variable.attributes.text("units").unwrap_or_default();
        match &*role {
            "time" | "forecast_reference_time" => {
                assert_eq!(units, format!("hours since {first}"), "{context} {name}");
                assert!(variable.attributes.text("calendar").is_some(), "{context} {name}");
            }
            "forecast_period" => assert_eq!(units, "hours", "{context} {name}"),
            other => unreachable!("{context} {name}: {other}"),
        }
    }
    for (name, variable) in source.dataset().variables() {
        for word in variable.attributes.text("coordinates").unwrap_or_default().split_whitespace() {
            assert!(source.dataset().variable(&full(word)).is_some(), "{context} {name} names {word}");
        }
    }
}

macro_rules! collections {
    ($($name:ident),*) => {$(
        #[tokio::test]
        async fn $name() {
            check(stringify!($name)).await;
        }
    )*};
}
collections!(runs, single, steps, leads, many, scalars, mixed, days);

fn notes(combined: &Combined) -> Vec<(Option<&str>, NoteKind, &str)> {
    combined.notes.iter().map(|n| (n.member.as_deref(), n.kind, n.message.as_str())).collect()
}

#[tokio::test]
async fn duplicates_gaps_and_what_is_left_out_are_noted() {
    let single = view_of(&ForecastView::Best, &members("single").await).unwrap();
    let [(member, NoteKind::Duplicate, message)] = notes(&single)[..] else {
        unreachable!("{:?}", single.notes)
    };
    assert_eq!(member, Some("out_2026010100_12_f006.nc"));
    assert!(message.contains("out_2026010100_12_f006_again.nc"), "{message}");

    let runs = view_of(&ForecastView::Best, &members("runs").await).unwrap();
    let [(None, NoteKind::Gap, message)] = notes(&runs)[..] else { unreachable!("{:?}", runs.notes) };
    let gap =
        "there is no run between 2026-01-01T12:00:00Z and 2026-01-02T00:00:00Z; runs are 6.0 hours apart";
    assert!(message.starts_with(gap), "{message}");

    let days = view_of(&ForecastView::Best, &members("days").await).unwrap();
    let [(Some("run_31.nc"), NoteKind::LeftOut, message)] = notes(&days)[..] else {
        unreachable!("{:?}", days.notes)
    };
    assert_eq!(message, "left out: its calendar is standard and that of the other members 360_day");
    let time = days.source.dataset().require(&full("time")).unwrap();
    assert_eq!(time.attributes.text("calendar").as_deref(), Some("360_day"));
}

#[tokio::test]
async fn what_is_converted_is_noted() {
    let mixed = view_of(&ForecastView::TwoTime, &members("mixed").await).unwrap();
    let found = notes(&mixed);
    assert!(found.iter().all(|(_, kind, _)| *kind == NoteKind::Converted), "{found:?}");
    assert!(found.iter().any(|(_, _, message)| message.starts_with("/wind: unpacked")), "{found:?}");
    let wind = mixed.source.dataset().require(&full("wind")).unwrap();
    assert!(wind.attributes.get("scale_factor").is_none());
}

#[tokio::test]
async fn the_version_follows_from_the_members_and_the_view() {
    let mut all = members("leads").await;
    let identity = |view: &ForecastView, all: &[Member]| {
        view_of(view, all).unwrap().source.version().unwrap().identity.to_string()
    };
    let best = identity(&ForecastView::Best, &all);
    assert_eq!(best, identity(&ForecastView::Best, &all));
    assert_ne!(best, identity(&ForecastView::TwoTime, &all));
    all[1].version = "2".into();
    assert_ne!(best, identity(&ForecastView::Best, &all));
}

#[tokio::test]
async fn what_a_collection_has_not_is_named_with_what_it_has() {
    let members = members("runs").await;
    let wrong = |view: ForecastView| view_of(&view, &members).unwrap_err();
    let error = wrong(ForecastView::Run(Some("2026-01-01T18:00:00Z".into())));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.message(),
        "there is no run of 2026-01-01T18:00:00Z; there is 2026-01-02T00:00:00Z, 2026-01-01T12:00:00Z, \
         2026-01-01T06:00:00Z, ..."
    );
    let error = wrong(ForecastView::Offset("1.5".into()));
    assert_eq!(
        error.message(),
        "there is no forecast at an offset (in hours) of 1.5; there is 0.0, 3.0, 6.0, ..."
    );
    assert_eq!(wrong(ForecastView::Offset("soon".into())).kind(), ErrorKind::BadRequest);
    assert_eq!(wrong(ForecastView::ConstantForecast("noon".into())).kind(), ErrorKind::BadRequest);
    let error = wrong(ForecastView::ConstantForecast("2030-01-01T00:00:00Z".into()));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(view_of(&ForecastView::Best, &[]).unwrap_err().message().contains("no members"));
}

#[tokio::test]
async fn a_member_on_another_grid_or_in_other_units_is_left_out() {
    let mut all = members("runs").await;
    let mut root = all[1].dataset.root().clone();
    let t2m = root.variables.iter_mut().find(|v| &*v.name == "t2m").unwrap();
    t2m.attributes.set(cdm::Attribute::text("units", "degC"));
    all[1].dataset = Arc::new(cdm::Dataset::new("changed", root).unwrap());
    let mut known = (*all[2].known).clone();
    known.insert(full("x"), Known::Values(cdm::fixed_block!([1_f32, 2.0, 3.0])));
    all[2].known = Arc::new(known);
    let combined = view_of(&ForecastView::TwoTime, &all).unwrap();
    assert_eq!(
        notes(&combined),
        [
            (
                Some("model_12.nc"),
                NoteKind::LeftOut,
                "left out: /x differs from model_00.nc: value 0 is 1 here and 0 there"
            ),
            (
                Some("model_06.nc"),
                NoteKind::LeftOut,
                "left out: /t2m has units \"degC\" where the others have units \"K\""
            ),
        ]
    );
    assert_eq!(combined.source.dataset().require(&full("t2m")).unwrap().shape()[0], 2);
}

/// The run of a member: what is said for it, then its variable, then its attributes, then its first time.
#[tokio::test]
async fn where_the_time_of_a_run_comes_from() {
    let mut one = members("days").await.remove(0);
    let run = async |member: &Member| {
        let source = view_of(&ForecastView::Run(None), std::slice::from_ref(member)).unwrap().source;
        source.dataset().require(&full("time")).unwrap().attributes.text("units").unwrap().into_owned()
    };
    assert_eq!(run(&one).await, "hours since 2001-02-29T00:00:00Z");
    let mut root = one.dataset.root().clone();
    root.attributes.set(cdm::Attribute::text("_CoordinateModelRunDate", "2001-02-28T12:00:00Z"));
    one.dataset = Arc::new(cdm::Dataset::new("changed", root).unwrap());
    assert_eq!(run(&one).await, "hours since 2001-02-28T12:00:00Z");
    one.coord_value = Some("2001-02-28 06:00".into());
    assert_eq!(run(&one).await, "hours since 2001-02-28T06:00:00Z");
    one.coord_value = Some("2001-02-28T06:20:00Z".into());
    assert_eq!(run(&one).await, "minutes since 2001-02-28T06:20:00Z");
    one.coord_value = Some("yesterday".into());
    let error = view_of(&ForecastView::Best, std::slice::from_ref(&one)).unwrap_err();
    assert!(error.message().contains("\"yesterday\" is not a date"), "{error}");
}

/// What an index has to know of a member, and what it must not read.
#[tokio::test]
async fn what_must_be_known_of_members() {
    let names = |set: std::collections::HashSet<FullName>| {
        let mut names: Vec<String> = set.iter().map(|n| n.short().to_owned()).collect();
        names.sort();
        names.join(" ")
    };
    for (folder, values, nothing) in [
        ("runs", "reftime time time1 time1_bnds", "rain t2m wind"),
        ("steps", "step time valid_time", "t2m"),
        ("leads", "lead reference", "sst"),
        ("many", "run time", "t2m"),
        ("scalars", "forecast_period forecast_reference_time time", "t2m"),
    ] {
        let needs = super::Needs::of(&members(folder).await[0].dataset);
        assert_eq!((names(needs.values), names(needs.nothing)), (values.into(), nothing.into()), "{folder}");
    }
}

#[tokio::test]
async fn views_are_called_as_thredds_calls_them() {
    let listed = views("My model", &members("single").await);
    let paths: Vec<&str> = listed.iter().map(|view| view.path.as_str()).collect();
    assert_eq!(
        paths[..4],
        [
            "My_model_fmrc.ncd",
            "My_model_best.ncd",
            "runs/My_model_RUN_2026-01-01T12:00:00Z",
            "runs/My_model_RUN_2026-01-01T00:00:00Z"
        ]
    );
    assert!(paths.contains(&"offset/My_model_Offset_6.0hr"));
    assert!(paths.contains(&"forecast/My_model_ConstantForecast_2026-01-01T18:00:00Z"));
    for view in &listed {
        assert_eq!(view_path("My model", &view.view), view.path);
        assert_eq!(parse_view("My model", &view.path).as_ref(), Some(&view.view));
    }
}

/// A read opens the members that it touches, and no other.
#[tokio::test]
async fn only_what_is_touched_is_opened() {
    let mut all = members("runs").await;
    for member in &mut all[..3] {
        member.opener = Arc::new(OpenFile("/nowhere".into()));
    }
    let source = view_of(&ForecastView::Run(None), &all).unwrap().source;
    assert_eq!(read(&source, &full("t2m")).await.len(), 48);
}
