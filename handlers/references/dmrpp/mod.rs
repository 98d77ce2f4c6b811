//! DMR++: the description of a dataset in XML, with where each chunk of its data file lies. What Hyrax's
//! `build_dmrpp` writes beside netCDF-4 and HDF5 files.
//!
//! [`crate::xml`] reads the document within limits; `describe` and `attributes` make the model's dataset of it;
//! `layout` reads what it says of storage, and `arrays` makes arrays of the chunk engine of that.

#![warn(clippy::indexing_slicing)]

mod arrays;
mod attributes;
mod describe;
mod elements;
mod layout;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use cdm::{
    BlockStream, Dataset, Error, ErrorKind, FullName, Group, Result, ResultExt, Selection, Source,
    StoredChunks, Version, source::failed,
};

use self::{
    arrays::Files,
    layout::{Hrefs, Layout},
};
use super::targets::Targets;
use crate::{
    Format, Registry,
    chunked::{ChunkedArray, Engine},
    coordinate_maps::assign_maps,
    storage::{Object, Place, blocking},
    xml,
};

/// Bytes of a document.
const LARGEST: u64 = 16 << 20;

/// What stands in for the URL of the data file until Hyrax is asked for it.
const BESIDE: &str = "OPeNDAP_DMRpp_DATA_ACCESS_URL";

/// The ending of the files' names.
const SUFFIX: &str = ".dmrpp";

/// The DMR++ format.
#[derive(Debug)]
pub struct DmrPp;

#[async_trait]
impl Format for DmrPp {
    fn name(&self) -> &'static str {
        "DMR++"
    }

    fn recognizes(&self, _object: &Object, head: &[u8]) -> bool {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
        text.starts_with(b"<") && has(b"<Dataset") && has(b"/dmrpp/1.0.0")
    }

    async fn open(&self, object: Object, place: &Place, registry: &Registry) -> Result<Arc<dyn Source>> {
        if object.size > LARGEST {
            return Err(Error::too_large(format!(
                "a DMR++ document of {} bytes; at most {LARGEST} are read",
                object.size
            )));
        }
        let bytes = object.read(0..object.size).await?;
        let read = blocking(move || read(&bytes)).await?;
        let targets = Targets::new(place.clone(), Arc::clone(registry.references()));
        let main = data_file(&targets, &read.href, place).await;
        let version = targets.version(&object.version, &[&main]).await;
        let files = Arc::new(Files { targets, main, others: read.hrefs });
        let engine = Arc::clone(registry.engine());
        let source = blocking(move || {
            let dataset = Dataset::new(Arc::clone(&object.name), read.root)?;
            let mut arrays = HashMap::new();
            for (name, layout) in read.layouts {
                let array = layout.and_then(|layout| {
                    let variable = dataset.require(&name)?;
                    arrays::array(name.clone(), variable, layout, &version.identity, &files)
                });
                arrays.insert(name.clone(), array.map(Arc::new).within(|| &name));
            }
            Ok(DmrPpSource { dataset, version, arrays, engine })
        });
        Ok(Arc::new(source.await?))
    }
}

/// A document that was read.
#[derive(Debug)]
struct Document {
    root: Group,
    layouts: Vec<(FullName, Result<Layout>)>,
    /// The data file, as it is written.
    href: String,
    hrefs: Vec<String>,
}

fn read(bytes: &[u8]) -> Result<Document> {
    let text = xml::text(bytes);
    let element = xml::parse(&text).map_err(xml::Fault::into_error)?;
    let mut described = describe::describe(&element)?;
    let legacy = element.attribute("version").is_none();
    let mut hrefs = Hrefs::default();
    let layouts = described
        .variables
        .iter()
        .map(|(name, variable)| (name.clone(), Layout::read(variable, legacy, &mut hrefs)))
        .collect();
    assign_maps(&mut described.root);
    let href = element.attribute("href").unwrap_or(BESIDE).to_owned();
    Ok(Document { root: described.root, layouts, href, hrefs: hrefs.texts })
}

/// The reference to the data file: what the document names, or the file beside it that has its name. Local
/// paths are those of the machine that the document was made on, so that file counts where they lead nowhere.
async fn data_file(targets: &Targets, href: &str, place: &Place) -> String {
    let own = place.path.rsplit('/').next().unwrap_or_default();
    let beside = own
        .get(..own.len().saturating_sub(SUFFIX.len()))
        .filter(|_| own.to_ascii_lowercase().ends_with(SUFFIX));
    let Some(beside) = beside.filter(|name| !name.is_empty()) else { return href.to_owned() };
    if href.is_empty() || href == BESIDE {
        return beside.to_owned();
    }
    let same_name = href.rsplit('/').next() == Some(beside);
    match targets.object(href).await {
        Err(e)
            if same_name
                && matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Forbidden | ErrorKind::Unsupported) =>
        {
            match targets.object(beside).await {
                Ok(_) => beside.to_owned(),
                Err(_) => href.to_owned(),
            }
        }
        _ => href.to_owned(),
    }
}

/// An open document.
#[derive(Debug)]
struct DmrPpSource {
    dataset: Dataset,
    version: Version,
    arrays: HashMap<FullName, Result<Arc<ChunkedArray>>>,
    engine: Arc<Engine>,
}

impl Source for DmrPpSource {
    fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    fn version(&self) -> Option<&Version> {
        Some(&self.version)
    }

    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        match self.arrays.get(variable) {
            Some(Ok(array)) => self.engine.read(array, selection),
            Some(Err(e)) => failed(e.shared()),
            None => failed(Error::not_found(format!("there is no variable {variable}"))),
        }
    }

    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        self.arrays.get(variable)?.as_ref().ok()?.stored()
    }
}

/// For fuzzing: reads a document, and opens nothing.
pub(crate) fn exercise(bytes: &[u8]) {
    if bytes.len() as u64 <= LARGEST
        && let Ok(document) = read(bytes)
    {
        drop(Dataset::new("fuzz", document.root));
    }
}
