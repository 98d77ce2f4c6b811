//! `thalweg ls`: the datasets in a folder, found by name, their format by their first bytes.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use cdm::Result;
use clap::Args;
use serde::Serialize;

use super::{Failure, block_on, registry};
use crate::{
    catalog::{Catalog, DatasetName},
    config::Limits,
};

/// Bytes that tell formats apart: the signature of netCDF-3, and of HDF5 without a user block.
const HEAD_LEN: u64 = 8;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A folder, or one file
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One dataset as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    size: u64,
    /// What the first bytes say; `None`: not a format that is served, or unreadable.
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = block_on(async {
        let catalog = Catalog::new(std::slice::from_ref(&arguments.path), 1, registry(&Limits::default()))?;
        Ok(rows(&catalog).await?)
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &rows).map_err(Failure::failed)?;
        writeln!(out)?;
    } else {
        for row in &rows {
            let what = row.format.unwrap_or("unreadable");
            write!(out, "{:>14}  {what:<10}  {}", row.size, row.name)?;
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
async fn rows(catalog: &Catalog) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut waiting = vec![DatasetName::top()];
    while let Some(folder) = waiting.pop() {
        let listing = catalog.list(&folder).await?;
        for entry in &listing.datasets {
            let name = folder.join(&entry.name);
            let (format, problem) = match format(catalog, &name).await {
                Ok(Some(format)) => (Some(format), None),
                Ok(None) => (None, Some("neither netCDF nor HDF5".to_owned())),
                Err(e) => (None, Some(e.to_string())),
            };
            rows.push(Row { name: name.to_string(), size: entry.size, format, problem });
        }
        waiting.extend(listing.folders.iter().rev().map(|name| folder.join(name)));
    }
    Ok(rows)
}

async fn format(catalog: &Catalog, name: &DatasetName) -> Result<Option<&'static str>> {
    let object = catalog.object(name).await?;
    if object.size < HEAD_LEN {
        return Ok(None);
    }
    let head = object.read(0..HEAD_LEN).await?;
    if let Some(found) = signature(&head) {
        return Ok(Some(found));
    }
    // HDF5 may begin after a user block of 512 bytes, 1024, 2048 ...
    let mut at = 512_u64;
    while at.saturating_add(HEAD_LEN) <= object.size.min(1 << 20) {
        if signature(&object.read(at..at + HEAD_LEN).await?) == Some("HDF5") {
            return Ok(Some("HDF5"));
        }
        at *= 2;
    }
    Ok(None)
}

fn signature(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'C', b'D', b'F', 1 | 2 | 5, ..] => Some("netCDF-3"),
        b"\x89HDF\r\n\x1a\n" => Some("HDF5"),
        _ => None,
    }
}
