//! `thalweg cat`: one dataset as text, its structure and the values of chosen variables.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use cdm::{DataType, Dataset, Error, FullName, Selection, Source, Value, Variable, values};
use clap::Args;
use futures::StreamExt;

use super::{Failure, block_on, stores::StoreArguments, subject};
use crate::encoders::{cdl, json};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file, its URL in an object store, or the name of a [[dataset]] of the settings
    file: PathBuf,
    #[command(flatten)]
    stores: StoreArguments,
    /// Print the values of this variable too; may be repeated
    #[arg(short = 'v', long = "variable", value_name = "VAR")]
    variables: Vec<String>,
    /// Print JSON instead of CDL
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.stores.load(Vec::new())?;
    block_on(async {
        let (catalog, name) = subject::of(&arguments.file, &config)?;
        let source = catalog.open(&name).await?;
        let chosen = arguments
            .variables
            .iter()
            .map(|name| find(source.dataset(), name))
            .collect::<Result<Vec<_>, Error>>()
            .map_err(|e| Failure::Usage(e.to_string()))?;
        let mut out = io::BufWriter::new(io::stdout());
        if arguments.json {
            write_json(&*source, &chosen, &mut out).await?;
        } else {
            write_cdl(&*source, &chosen, &mut out).await?;
        }
        Ok(out.flush()?)
    })
}

/// The variable called `name`: its full name, with or without the first slash.
fn find(dataset: &Dataset, name: &str) -> Result<FullName, Error> {
    let wanted = name.trim_start_matches('/');
    dataset
        .variables()
        .map(|(full, _)| full)
        .find(|full| full.to_string().trim_start_matches('/') == wanted)
        .ok_or_else(|| Error::not_found(format!("there is no variable {name} in {}", dataset.name())))
}

async fn write_cdl(
    source: &dyn Source,
    chosen: &[FullName],
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    if chosen.is_empty() {
        out.write_all(cdl::document(source.dataset()).as_bytes())?;
        return Ok(());
    }
    out.write_all(cdl::header(source.dataset()).as_bytes())?;
    out.write_all(b"data:\n")?;
    for name in chosen {
        out.write_all(b"\n")?;
        cdl::write_values(source, name, out).await?;
    }
    out.write_all(b"}\n")?;
    Ok(())
}

/// One object: the description, and under `data` each chosen variable's values as one flat list.
async fn write_json(
    source: &dyn Source,
    chosen: &[FullName],
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let mut document = json::document(source.dataset());
    if chosen.is_empty() {
        serde_json::to_writer_pretty(&mut *out, &document).map_err(Failure::failed)?;
    } else {
        let data = document.as_object_mut().map(|fields| fields.remove("data"));
        debug_assert!(matches!(data, Some(None)), "the description has no field of this name");
        let text = document.to_string();
        out.write_all(text.strip_suffix('}').unwrap_or(&text).as_bytes())?;
        out.write_all(b",\"data\":{")?;
        for (i, name) in chosen.iter().enumerate() {
            let variable = source.dataset().require(name)?;
            let comma = if i == 0 { "" } else { "," };
            write!(out, "{comma}{}:", serde_json::Value::from(name.to_string()))?;
            write_list(source, name, variable, out).await?;
        }
        out.write_all(b"}}")?;
    }
    out.write_all(b"\n")?;
    Ok(())
}

async fn write_list(
    source: &dyn Source,
    name: &FullName,
    variable: &Variable,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let mut blocks = source.read(name, &Selection::all(&variable.shape()));
    let mut text = Vec::new();
    if variable.data_type == DataType::Char {
        while let Some(block) = blocks.next().await {
            text.extend(values(&variable.data_type, &block?).filter_map(|v| match v {
                Value::Char(byte) => Some(byte),
                _ => None,
            }));
        }
        write!(out, "{}", serde_json::Value::from(String::from_utf8_lossy(&text).into_owned()))?;
        return Ok(());
    }
    let mut separator: &[u8] = b"[";
    while let Some(block) = blocks.next().await {
        for value in values(&variable.data_type, &block?) {
            out.write_all(separator)?;
            separator = b",";
            write!(out, "{}", json::value(&value))?;
        }
    }
    out.write_all(if separator == b"[" { b"[]" } else { b"]" })?;
    Ok(())
}
