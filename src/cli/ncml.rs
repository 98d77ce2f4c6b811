//! `thalweg ncml`: one dataset described in NcML, with the values of its coordinates if they are wanted.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use bytes::BytesMut;
use cdm::{Block, Error, FullName, Selection, Source};
use clap::Args;
use futures::StreamExt;
use handlers::ncml::{self, write::coordinates};

use super::{Failure, block_on, stores::StoreArguments, subject};

/// Elements of a coordinate that is written out.
const MOST_VALUES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file, its URL in an object store, or the name of a dataset of the settings
    file: PathBuf,
    #[command(flatten)]
    stores: StoreArguments,
    /// Write the values of coordinate variables too
    #[arg(long)]
    values: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.stores.load(Vec::new())?;
    block_on(async {
        let (catalog, name) = subject::of(&arguments.file, &config)?;
        let source = catalog.open(&name).await?;
        let mut values = BTreeMap::new();
        if arguments.values {
            for (name, variable) in coordinates(source.dataset()) {
                let count = variable.element_count();
                if count > MOST_VALUES {
                    let message =
                        format!("{name} has {count} values, more than {MOST_VALUES}; leave out --values");
                    return Err(Error::too_large(message).into());
                }
                let block = whole(&*source, &name, &variable.shape()).await?;
                values.insert(name, block);
            }
        }
        let text = ncml::write(source.dataset(), source.dataset().name(), &values);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    })
}

/// All values of a variable.
async fn whole(source: &dyn Source, name: &FullName, shape: &[u64]) -> Result<Block, Error> {
    let mut blocks = source.read(name, &Selection::all(shape));
    let (mut bytes, mut all_ends, mut varying) = (BytesMut::new(), Vec::new(), false);
    while let Some(block) = blocks.next().await {
        match block? {
            Block::Fixed(part) => bytes.extend_from_slice(&part),
            Block::Varying { ends, bytes: part } => {
                varying = true;
                let base = bytes.len() as u64;
                all_ends.extend(ends.iter().map(|end| end + base));
                bytes.extend_from_slice(&part);
            }
        }
    }
    let bytes = bytes.freeze();
    Ok(if varying { Block::Varying { ends: all_ends, bytes } } else { Block::Fixed(bytes) })
}
