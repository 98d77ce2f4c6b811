//! Lines to copy: how common tools read the dataset, or what was chosen of it. Each runs as it stands.

use cdm::{
    Dataset, FullName, Slice, Variable,
    coordinates::axes::{Role, Roles},
};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::{access::Address, form::Choice};

/// Variables that the lines name one by one.
const MOST_NAMED: usize = 5;

/// Lines for one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snippet {
    pub(super) title: &'static str,
    pub(super) code: String,
}

/// What the lines are about.
pub(super) struct Subject<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) choice: &'a Choice,
    /// URL of the dataset.
    pub(super) base: &'a str,
    /// URL of the dataset as a Zarr store.
    pub(super) zarr: &'a str,
    pub(super) dap4: &'a Address,
    pub(super) dap2: &'a Address,
}

/// The lines for every tool.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Snippet> {
    let base = quotable(subject.base);
    let zarr = quotable(subject.zarr);
    let named = subject.named();
    let mut all = vec![
        Snippet { title: "xarray, through netCDF", code: xarray(subject, &base) },
        Snippet {
            title: "xarray, through pydap",
            code: format!(
                "import xarray\nfrom pydap.client import open_url\nfrom xarray.backends import PydapDataStore\n\
                 ds = xarray.open_dataset(PydapDataStore(open_url(\"{base}\", protocol=\"dap4\"))){}",
                subject.selection_in_xarray().unwrap_or_default()
            ),
        },
        Snippet {
            title: "xarray, as a Zarr store, chunk by chunk",
            code: format!(
                "import xarray\nds = xarray.open_zarr(\"{zarr}\"){}",
                subject.selection_in_xarray().unwrap_or_default()
            ),
        },
        Snippet {
            title: "netCDF4-python",
            code: named.iter().fold(
                format!("import netCDF4\nnc = netCDF4.Dataset(\"{base}#dap4\")"),
                |code, (name, variable)| {
                    let path = name.as_str().trim_start_matches('/');
                    let index = subject.index(name, variable);
                    format!("{code}\n{} = nc[{}]{index}", word(name.short()), string(path))
                },
            ),
        },
        Snippet {
            title: "pydap",
            // It takes names apart at their dots.
            code: named.iter().filter(|(name, _)| !name.as_str().contains('.')).fold(
                pydap(subject, &base),
                |code, (name, variable)| {
                    let index = subject.index(name, variable);
                    let path = if name.parent().is_root() { name.short() } else { name.as_str() };
                    let read = format!("ds[{}]{index}", string(path));
                    // What pydap gives is no array yet, and knows its shape only as one.
                    let read = if index.is_empty() { read } else { format!("numpy.asarray({read})") };
                    format!("{code}\n{} = {read}", word(name.short()))
                },
            ),
        },
        Snippet { title: "ncdump", code: format!("ncdump -h \"{base}{}#dap4\"", asked(subject.dap4)) },
        Snippet {
            title: "Tools that know DAP2 only (NCO, CDO, Ferret, GrADS)",
            code: format!("ncdump -h \"{base}{}\"", asked(subject.dap2)),
        },
    ];
    if let Some(url) = &subject.dap4.url {
        all.push(Snippet { title: "curl", code: format!("curl -o part.dap \"{}\"", quotable(url)) });
    }
    if let Some((name, _)) = named.first() {
        let path = name.as_str().trim_start_matches('/');
        let source = format!("{base}{}", asked(subject.dap2));
        all.push(Snippet {
            title: "R",
            code: format!(
                "library(ncdf4)\nnc <- nc_open(\"{source}\")\n{} <- ncvar_get(nc, {})",
                word(name.short()),
                string(path)
            ),
        });
        all.push(Snippet {
            title: "MATLAB",
            code: format!(
                "{} = ncread(\"{source}\", \"{}\");",
                word(name.short()),
                path.replace('"', "\"\"")
            ),
        });
    }
    all
}

impl Subject<'_> {
    /// The variables that the lines name: the chosen ones, unless there are many; else the largest.
    fn named(&self) -> Vec<(FullName, &Variable)> {
        if self.choice.variables.is_empty() {
            let size = |v: &Variable| v.byte_len().unwrap_or(0);
            let roles = Roles::of(self.dataset);
            let numbers = self.dataset.variables().filter(|(_, v)| v.data_type.is_numeric());
            let largest = numbers.max_by_key(|(name, v)| (roles.role(name) == Role::Data, size(v)));
            return largest.into_iter().collect();
        }
        let all = self.choice.variables.iter().take(MOST_NAMED);
        all.filter_map(|name| Some((name.clone(), self.dataset.variable(name)?))).collect()
    }

    /// `[0:10:2, :]`; empty when nothing was chosen, so that nothing is read yet.
    fn index(&self, name: &FullName, variable: &Variable) -> String {
        if self.choice.is_everything() {
            return String::new();
        }
        let parts = self.choice.parts_of(name, variable);
        let texts: Vec<_> =
            parts.iter().map(|part| part.map_or_else(|| ":".to_owned(), |s| slice(s, ":"))).collect();
        if texts.is_empty() { "[...]".to_owned() } else { format!("[{}]", texts.join(", ")) }
    }

    /// Lines that make `ds` what was chosen; `None` when xarray's one dataset cannot have it.
    fn selection_in_xarray(&self) -> Option<String> {
        let choice = self.choice;
        if choice.is_everything() {
            return Some(String::new());
        }
        let root = |name: &FullName| name.parent().is_root();
        if !choice.variables.iter().all(root) {
            return None;
        }
        Some(select(choice))
    }
}

/// Lines that make `ds` what was chosen.
fn select(choice: &Choice) -> String {
    let mut code = String::new();
    if !choice.variables.is_empty() {
        let names: Vec<_> = choice.variables.iter().map(|v| string(v.short())).collect();
        code = format!("\nds = ds[[{}]]", names.join(", "));
    }
    let parts: Vec<_> = choice
        .axes
        .iter()
        .filter_map(|axis| {
            let part = choice.parts.get(&axis.key)?;
            // An axis without a name is one that xarray has another name for.
            let is_named = !axis.key.ends_with(']');
            // The root's dataset has no axes of groups.
            let is_here = !choice.variables.is_empty() || FullName::new(&axis.key).parent().is_root();
            (is_named && is_here).then(|| format!("{}: slice({})", string(&axis.name), slice(*part, ", ")))
        })
        .collect();
    if !parts.is_empty() {
        code = format!("{code}\nds = ds.isel({{{}}})", parts.join(", "));
    }
    code
}

fn xarray(subject: &Subject<'_>, base: &str) -> String {
    let choice = subject.choice;
    let mut groups: Vec<FullName> = choice.variables.iter().map(FullName::parent).collect();
    groups.dedup();
    match groups.as_slice() {
        [group] if !group.is_root() => format!(
            "import xarray\nds = xarray.open_dataset(\"{base}#dap4\", engine=\"netcdf4\", group={}){}",
            string(group.as_str()),
            select(choice)
        ),
        _ => format!(
            "import xarray\nds = xarray.open_dataset(\"{base}#dap4\", engine=\"netcdf4\"){}",
            subject.selection_in_xarray().unwrap_or_default()
        ),
    }
}

fn pydap(subject: &Subject<'_>, base: &str) -> String {
    let numpy = if subject.choice.is_everything() { "" } else { "import numpy\n" };
    format!("{numpy}from pydap.client import open_url\nds = open_url(\"{base}\", protocol=\"dap4\")")
}

/// `0:10:2`, the end excluded, as Python counts.
fn slice(slice: Slice, between: &str) -> String {
    let end = slice.last().unwrap_or(slice.start) + 1;
    let mut text = format!("{}{between}{end}", slice.start);
    if slice.step.get() > 1 {
        text = format!("{text}{between}{}", slice.step);
    }
    text
}

fn asked(address: &Address) -> String {
    address.query.as_ref().map(|query| quotable(&format!("?{query}"))).unwrap_or_default()
}

/// A string literal, the same in Python and R.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name for a variable of a program.
fn word(name: &str) -> String {
    const TAKEN: [&str; 12] =
        ["nc", "ds", "netCDF4", "open_url", "xarray", "in", "is", "as", "if", "or", "for", "lambda"];
    let mut word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || TAKEN.contains(&word.as_str()) {
        word = format!("v_{word}");
    }
    word
}

/// A URL that stays one word between double quotes in a shell and in Python.
pub(super) fn quotable(url: &str) -> String {
    const UNSAFE: &AsciiSet =
        &percent_encoding::CONTROLS.add(b'"').add(b'$').add(b'`').add(b'\\').add(b' ').add(b'!');
    utf8_percent_encode(url, UNSAFE).to_string()
}
