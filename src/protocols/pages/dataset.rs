//! The page of a dataset: what it is, the request form with its outcome, lines to copy, structure, services; and the
//! same as JSON.

use std::sync::Arc;

use askama::Template;
use cdm::{Dataset, Error, Result, Source, coordinates::summary::Summary};
use handlers::aggregation::{Note, NoteKind};
use serde_json::{Value as Json, json};

use super::{
    Form, Site,
    access::{Access, Address, Protocol},
    axis::{self, Axis, Ends},
    coverage,
    form::Choice,
    jsonld,
    query::Fields,
    snippets::{self, Snippet, Subject},
    structure::Structure,
};
use crate::{
    catalog::encode_path,
    encoders,
    protocols::{Request, text},
};

/// What a dataset's page is made of.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// What was asked.
    pub request: &'a Request<'a>,
    /// The dataset, as DAP4 shows it.
    pub source: &'a Arc<dyn Source>,
    /// What is known of its coverage.
    pub summary: Option<&'a Summary>,
    /// What a user should know of an aggregation.
    pub notes: &'a [Note],
    /// Whether the dataset is one file, which can be downloaded.
    pub is_file: bool,
    /// The protocols that serve it.
    pub access: &'a dyn Access,
    /// The server.
    pub site: Site<'a>,
}

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("request", &self.request).finish_non_exhaustive()
    }
}

/// What the fields of the form come to.
struct Outcome {
    choice: Choice,
    dap4: Address,
    dap2: Address,
    snippets: Vec<Snippet>,
}

impl<'a> Shown<'a> {
    fn dataset(&self) -> &'a Dataset {
        self.source.dataset()
    }

    async fn outcome(&self, fields: &Fields) -> Result<Outcome> {
        let (dataset, base) = (self.dataset(), self.request.base_url);
        let choice = Choice::of(fields, self.source.as_ref()).await?;
        let dap4 = Address::of(Protocol::Dap4, &choice, dataset, base, self.access).await;
        let dap2 = Address::of(Protocol::Dap2, &choice, dataset, base, self.access).await;
        let zarr = format!("{}/zarr/{}/", self.site.origin, encode_path(dataset.name()));
        let snippets =
            snippets::all(&Subject { dataset, choice: &choice, base, zarr: &zarr, dap4: &dap4, dap2: &dap2 });
        Ok(Outcome { choice, dap4, dap2, snippets })
    }

    /// The values at the ends of the axes, as far as they can be had quickly.
    async fn ends(&self, axes: &[Axis]) -> Vec<Option<Ends>> {
        let late = tokio::time::Instant::now() + axis::PATIENCE;
        let mut all = Vec::with_capacity(axes.len());
        for axis in axes {
            let ends = tokio::time::timeout_at(late, axis::ends(self.source.as_ref(), axis)).await;
            all.push(ends.ok().flatten());
        }
        all
    }

    /// A text of the dataset by its ACDD name.
    fn text(&self, name: &str) -> Option<String> {
        let own = self.dataset().root().attributes.text(name).map(|t| t.trim().to_owned());
        own.filter(|t| !t.is_empty()).or_else(|| coverage::text(self.summary?, name).map(str::to_owned))
    }

    fn title(&self) -> String {
        self.text("title").unwrap_or_else(|| self.file_name().to_owned())
    }

    fn file_name(&self) -> &'a str {
        let name = self.dataset().name();
        name.rsplit('/').next().unwrap_or(name)
    }

    fn services(&self) -> Vec<Service> {
        let base = self.request.base_url;
        let Site { origin, .. } = self.site;
        let path = encode_path(self.dataset().name());
        let one = |name, url: String, about| Service { name, url, about };
        let mut all = vec![
            one("DAP4", format!("{base}.dmr.xml"), "description; data by .dap"),
            one("DAP4 services", format!("{base}.dsr.xml"), "what there is, for programs"),
            one("DAP2 structure", format!("{base}.dds"), "DDS; data by .dods and .ascii"),
            one("DAP2 attributes", format!("{base}.das"), "DAS"),
            one("Zarr", format!("{origin}/zarr/{path}/zarr.json"), "the dataset as a Zarr store"),
            one("kerchunk", format!("{base}.kerchunk.json"), "where the chunks are stored"),
            one("DMR++", format!("{base}.dmrpp"), "where the chunks are stored"),
            one(
                "THREDDS",
                format!("{origin}/catalog/catalog.xml?dataset={path}"),
                "the dataset in a catalog",
            ),
            one("JSON", format!("{base}.json"), "this page for programs"),
        ];
        if self.is_file {
            all.push(one("File", format!("{origin}/files/{path}"), "the file as it is stored"));
        }
        all
    }
}

/// A way to get at the dataset.
struct Service {
    name: &'static str,
    url: String,
    about: &'static str,
}

/// A line of the table of axes.
struct AxisRow {
    key: String,
    name: String,
    size: u64,
    units: String,
    /// The values at its ends.
    span: String,
    has_values: bool,
    /// What stands in `first`, `last`, `step`, `from`, `to`.
    fields: [String; 5],
    /// Whether it is wrong.
    wrong: [bool; 5],
    /// What is kept.
    kept: String,
}

/// One protocol's line of the outcome.
struct AnswerRow {
    id: &'static str,
    name: &'static str,
    url: String,
    size: String,
    problem: String,
}

struct Link {
    url: String,
    name: String,
}

#[derive(Template)]
#[template(path = "dataset.html")]
struct Page<'a> {
    title: String,
    file_name: &'a str,
    site: &'a str,
    top: &'a str,
    crumbs: Vec<Link>,
    base: &'a str,
    own: String,
    summary: String,
    facts: Vec<(&'static str, String)>,
    notes: Vec<(&'static str, String)>,
    structure: Structure,
    axes: Vec<AxisRow>,
    more_axes: usize,
    problems: Vec<String>,
    answers: Vec<AnswerRow>,
    snippets: Vec<Snippet>,
    services: Vec<Service>,
    jsonld: String,
    version: &'static str,
}

/// The page.
///
/// # Errors
/// `BadRequest` for a query that is no form's; `Internal` when the template fails.
pub(super) async fn html(shown: &Shown<'_>) -> Result<String> {
    let fields = Fields::parse(shown.request.query)?;
    let (outcome, dataset) = (shown.outcome(&fields).await?, shown.dataset());
    let ends = shown.ends(&outcome.choice.axes).await;
    let axes = outcome.choice.axes.iter().zip(ends);
    let axes = axes.map(|(axis, ends)| axis_row(axis, ends, &outcome.choice, &fields)).collect();
    let answers = [("dap4", "DAP4", &outcome.dap4), ("dap2", "DAP2", &outcome.dap2)];
    let page = Page {
        title: shown.title(),
        file_name: shown.file_name(),
        site: shown.site.title,
        top: shown.site.top,
        crumbs: crumbs(dataset.name(), shown.site),
        base: shown.request.base_url,
        own: format!("./{}", shown.request.base_url.rsplit('/').next().unwrap_or_default()),
        summary: shown.text("summary").unwrap_or_default().chars().take(4000).collect(),
        facts: facts(shown),
        notes: shown.notes.iter().take(50).map(|note| (kind(note.kind), sentence(note))).collect(),
        structure: Structure::of(dataset, &outcome.choice.variables, fields.number("page")?),
        axes,
        more_axes: outcome.choice.more_axes,
        problems: outcome.choice.problems.iter().map(|p| p.message.clone()).collect(),
        answers: answers.map(|(id, name, address)| answer_row(id, name, address)).into(),
        snippets: outcome.snippets,
        services: shown.services(),
        jsonld: jsonld::dataset(&description(shown)),
        version: env!("CARGO_PKG_VERSION"),
    };
    page.render().map_err(|e| Error::internal("the dataset page failed").with_source(e))
}

fn crumbs(name: &str, site: Site<'_>) -> Vec<Link> {
    let top = if site.top.is_empty() { "./" } else { site.top };
    let mut all = vec![Link { url: top.to_owned(), name: site.title.to_owned() }];
    let mut above = String::new();
    for folder in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
        above = format!("{above}{}/", crate::catalog::encode_segment(folder));
        all.push(Link { url: format!("{}catalog/{above}", site.top), name: folder.to_owned() });
    }
    all
}

fn facts(shown: &Shown<'_>) -> Vec<(&'static str, String)> {
    const TEXTS: [(&str, &[&str]); 6] = [
        ("Creator", &["creator_name", "institution", "creator_institution"]),
        ("Publisher", &["publisher_name"]),
        ("Licence", &["license"]),
        ("Identifier", &["doi", "id"]),
        ("Conventions", &["Conventions"]),
        ("Source", &["source"]),
    ];
    let mut facts = shown.summary.map(coverage::facts).unwrap_or_default();
    for (name, keys) in TEXTS {
        if let Some(text) = keys.iter().find_map(|key| shown.text(key)) {
            facts.push((name, text.chars().take(500).collect()));
        }
    }
    let modified = text::iso(shown.source.version().and_then(|v| v.modified));
    if !modified.is_empty() {
        facts.push(("Modified", modified));
    }
    facts
}

fn kind(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::LeftOut => "Left out",
        NoteKind::Unstable => "Still being written",
        NoteKind::Duplicate => "Duplicate",
        NoteKind::Overlap => "Overlap",
        NoteKind::Gap => "Gap",
        NoteKind::Converted => "Converted",
        NoteKind::Ordered => "Order",
    }
}

fn sentence(note: &Note) -> String {
    match &note.member {
        Some(member) => format!("{member}: {}", note.message),
        None => note.message.clone(),
    }
}

const FIELDS: [&str; 5] = ["first", "last", "step", "from", "to"];

fn axis_row(axis: &Axis, ends: Option<Ends>, choice: &Choice, fields: &Fields) -> AxisRow {
    let field = |what: &str| format!("{what}.{}", axis.key);
    AxisRow {
        name: axis.name.clone(),
        size: axis.size,
        span: ends.as_ref().map(|e| format!("{} to {}", e.first, e.last)).unwrap_or_default(),
        units: if ends.is_some_and(|e| e.is_time) {
            String::new()
        } else {
            axis.units.chars().take(80).collect()
        },
        has_values: axis.coordinate.is_some(),
        fields: FIELDS.map(|what| fields.get(&field(what)).unwrap_or_default().to_owned()),
        wrong: FIELDS.map(|what| choice.problems.iter().any(|p| p.field == field(what))),
        kept: kept(axis, choice),
        key: axis.key.clone(),
    }
}

fn kept(axis: &Axis, choice: &Choice) -> String {
    match choice.parts.get(&axis.key) {
        None => format!("all {}", axis.size),
        Some(part) => {
            let last = part.last().unwrap_or(part.start);
            let step = if part.step.get() > 1 { format!(" step {}", part.step) } else { String::new() };
            format!("{} to {last}{step}: {} of {}", part.start, part.count, axis.size)
        }
    }
}

fn answer_row(id: &'static str, name: &'static str, address: &Address) -> AnswerRow {
    AnswerRow {
        id,
        name,
        url: address.url.clone().unwrap_or_default(),
        size: if address.url.is_some() { size(address.bytes) } else { String::new() },
        problem: address.problem.clone().unwrap_or_default(),
    }
}

/// The exact length, and in units that are easier to read.
fn size(bytes: Option<u64>) -> String {
    match bytes {
        None => "size known only once it is read: it holds texts or lists of any length".to_owned(),
        Some(bytes) if bytes < 1000 => format!("{bytes} bytes"),
        Some(bytes) => format!("{bytes} bytes ({})", text::size(bytes)),
    }
}

/// The page as JSON; documented in `docs/browsing.md`. With the field `part=request` only what the form comes to.
///
/// # Errors
/// `BadRequest` for a query that is no form's.
pub(super) async fn json(shown: &Shown<'_>) -> Result<Json> {
    let fields = Fields::parse(shown.request.query)?;
    let outcome = shown.outcome(&fields).await?;
    if fields.get("part") == Some("request") {
        return Ok(request_json(&outcome, &[]));
    }
    let ends = shown.ends(&outcome.choice.axes).await;
    let base = shown.request.base_url;
    let services = shown.services();
    Ok(json!({
        "type": "dataset",
        "name": shown.dataset().name(),
        "title": shown.title(),
        "url": base,
        "page": format!("{base}.html"),
        "modified": Some(text::iso(shown.source.version().and_then(|v| v.modified))).filter(|t| !t.is_empty()),
        "summary": shown.summary.map(coverage::json),
        "notes": shown.notes.iter().map(|note| json!({
            "kind": kind(note.kind),
            "member": note.member.as_deref(),
            "message": note.message,
        })).collect::<Vec<_>>(),
        "services": services.iter()
            .map(|s| json!({ "name": s.name, "url": s.url, "about": s.about })).collect::<Vec<_>>(),
        "structure": encoders::json::document(shown.dataset()),
        "request": request_json(&outcome, &ends),
    }))
}

fn request_json(outcome: &Outcome, ends: &[Option<Ends>]) -> Json {
    let choice = &outcome.choice;
    let axes = choice.axes.iter().enumerate().map(|(i, axis)| {
        let part = choice.parts.get(&axis.key);
        let ends = ends.get(i).cloned().flatten();
        json!({
            "axis": axis.key,
            "name": axis.name,
            "size": axis.size,
            "units": axis.units,
            "values": ends.map(|e| [e.first, e.last]),
            "first": part.map_or(0, |p| p.start),
            "last": part.map_or(axis.size - 1, |p| p.last().unwrap_or(p.start)),
            "step": part.map_or(1, |p| p.step.get()),
            "count": part.map_or(axis.size, |p| p.count),
            "kept": kept(axis, choice),
        })
    });
    let answer = |address: &Address| {
        let mut answer = address.json();
        answer["size"] = address.url.as_ref().map(|_| size(address.bytes)).into();
        answer
    };
    json!({
        "variables": choice.variables.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "axes": axes.collect::<Vec<_>>(),
        "problems": choice.problems.iter()
            .map(|p| json!({ "field": p.field, "message": p.message })).collect::<Vec<_>>(),
        "dap4": answer(&outcome.dap4),
        "dap2": answer(&outcome.dap2),
        "snippets": outcome.snippets.iter()
            .map(|s| json!({ "title": s.title, "code": s.code })).collect::<Vec<_>>(),
    })
}

/// What search engines are told.
fn description<'a>(shown: &'a Shown<'_>) -> jsonld::Facts<'a> {
    jsonld::Facts {
        name: shown.title(),
        dataset: shown.dataset(),
        summary: shown.summary,
        url: format!("{}.html", shown.request.base_url),
        base: shown.request.base_url,
        file: shown
            .is_file
            .then(|| format!("{}/files/{}", shown.site.origin, encode_path(shown.dataset().name()))),
        modified: text::iso(shown.source.version().and_then(|v| v.modified)),
        site: shown.site,
        texts: Box::new(|name| shown.text(name)),
    }
}

/// Determines, with the dataset's version, the bytes of a page.
pub(super) fn identity(shown: &Shown<'_>, form: Form) -> String {
    let Shown { request, summary, notes, is_file, site, .. } = shown;
    let query = request.query.unwrap_or_default();
    let said = xxhash_rust::xxh3::xxh3_128(format!("{summary:?} {notes:?}").as_bytes());
    format!("dataset {form:?} {} {query} {said:x} {is_file} {site:?}", request.base_url)
}
