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
use handlers::{
    ncml::{self, write::coordinates},
    storage::is_store_url,
};

use super::{Failure, block_on, registry, stores::StoreArguments};
use crate::catalog::{Catalog, Served};

/// Elements of a coordinate that is written out.
const MOST_VALUES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file, or its URL in an object store
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
        let registry = registry(&config, std::slice::from_ref(&arguments.file))?;
        let url = arguments.file.to_str().filter(|text| is_store_url(text));
        let served = match url {
            Some(url) => Served::url(url, true, &config.remote)?,
            None => Served::path(&arguments.file, &registry)?,
        };
        let catalog = Catalog::of(vec![served], 1, registry);
        let Some(name) = catalog.single() else {
            let path = arguments.file.display();
            return Err(Failure::Usage(format!("{path} is a folder of datasets; name one")));
        };
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
        let text = ncml::write(source.dataset(), &values);
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
