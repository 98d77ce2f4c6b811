//! `thalweg cat`: one dataset as text.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use handlers::{Registry, chunked::Engine};

use super::{Failure, block_on};
use crate::catalog::Catalog;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file
    file: PathBuf,
    /// Print the values of this variable too; may be repeated
    #[arg(short = 'v', long = "variable", value_name = "VAR")]
    variables: Vec<String>,
    /// Print JSON instead of CDL
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    block_on(async {
        let registry = Registry::new(Arc::new(Engine {}));
        let catalog = Catalog::new(std::slice::from_ref(&arguments.file), 1, registry)?;
        let listing = catalog.list(&crate::catalog::DatasetName::top()).await?;
        let name = match (arguments.file.is_file(), listing.datasets.as_slice()) {
            (true, [entry]) => crate::catalog::DatasetName::top().join(&entry.name),
            _ => return Err(Failure::Usage(format!("{} is not a file", arguments.file.display()))),
        };
        let source = catalog.open(&name).await?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let _ = (&source, &arguments.variables, arguments.json);
        out.flush()?;
        Ok(())
    })
}
