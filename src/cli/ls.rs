//! `thalweg ls`: the datasets in a folder, found by name and opened: what cannot be read is said to be so.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use cdm::{Error, Result, Source};
use clap::Args;
use handlers::{Registry, storage::Symlinks};
use serde::Serialize;

use super::{Failure, block_on, registry, stores::StoreArguments};
use crate::catalog::{Catalog, DatasetName, Served};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A folder, one file, or a URL of an object store
    path: PathBuf,
    #[command(flatten)]
    stores: StoreArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One dataset as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `None`: a folder of many objects.
    size: Option<u64>,
    /// `None`: not a format that is served, or unreadable.
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.stores.load(Vec::new())?;
    let rows = block_on(async {
        let registry = registry(&config, std::slice::from_ref(&arguments.path))?;
        let links = Symlinks::open(&config.follow_symlinks)?;
        let served = Served::named(&arguments.path, &registry, &config.remote, &links)?;
        let catalog = Catalog::of(vec![served], 1, registry.clone());
        let catalog = catalog.with_datasets(&config.datasets);
        Ok(rows(&catalog, &registry).await?)
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        for row in &rows {
            let what = row.format.unwrap_or("unreadable");
            let size = row.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
            write!(out, "{size:>14}  {what:<10}  {}", row.name)?;
            match &row.problem {
                Some(problem) => writeln!(out, "  ({problem})")?,
                None => writeln!(out)?,
            }
        }
    }
    out.flush()?;
    if rows.iter().any(|row| row.problem.is_some()) { Err(Failure::Reported) } else { Ok(()) }
}

/// Every dataset below the top, folder by folder.
async fn rows(catalog: &Catalog, registry: &Registry) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut waiting = vec![DatasetName::top()];
    while let Some(folder) = waiting.pop() {
        let listing = catalog.list(&folder).await?;
        for entry in &listing.datasets {
            let name = folder.join(&entry.name);
            let (format, problem) = match opened(catalog, registry, &name).await {
                Ok((format, _)) => (Some(format), None),
                Err(e) => (None, Some(e.to_string())),
            };
            rows.push(Row { name: name.to_string(), size: entry.size, format, problem });
        }
        waiting.extend(listing.folders.iter().rev().map(|name| folder.join(name)));
    }
    Ok(rows)
}

/// A dataset and its format.
pub(super) async fn opened(
    catalog: &Catalog,
    registry: &Registry,
    name: &DatasetName,
) -> Result<(&'static str, Arc<dyn Source>)> {
    if let Some(snapshot) = catalog.snapshot(name).await? {
        return Ok(("aggregation", Arc::clone(&snapshot.source)));
    }
    let place = catalog.place(name)?;
    let found = registry.find(&place).await?;
    let found = found.ok_or_else(|| Error::not_found(format!("there is no dataset {name}")))?;
    let format = found.format.name();
    Ok((format, found.open(&place, registry).await?))
}
