//! What is looked at in one open dataset: whether values come, how they lie in storage, what each protocol
//! makes of it.
//!
//! Reading is bounded: the first and the last element of each variable, unless everything is asked for, and
//! then it is streamed.

use std::sync::Arc;

use cdm::{DataType, Dataset, Error, FullName, Selection, Slice, Source, StoredLayout, Variable};
use futures::{StreamExt, stream};
use handlers::storage::{Part, Place};

use super::{
    advice::{self, Finding},
    coordinates,
};
use crate::protocols::dap2;

/// How much of each variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The first and the last element.
    Ends,
    /// All of it.
    Everything,
}

/// Variables read at a time.
const AT_ONCE: usize = 4;

/// A variable of more bytes is not read whole: a few bytes of a file can declare more than can be read in
/// a lifetime.
const TOO_LONG: u64 = 1 << 42;

/// Chunks of fewer bytes cost more to find than to read ...
const TINY_CHUNK: u64 = 4 << 10;

/// ... which shows when there are so many of them.
const MANY_CHUNKS: u64 = 10_000;

/// A Zarr group's metadata are never larger.
const LARGEST_METADATA: u64 = 64 << 20;

/// Names told of at most, where one problem has many.
const EXAMPLES: usize = 5;

/// Everything that is wrong with `source`, which is of `format`; `budget`: the bytes of data that a server
/// holds in memory at a time.
pub(super) async fn dataset(
    format: &'static str,
    source: &Arc<dyn Source>,
    extent: Extent,
    budget: u64,
) -> Vec<Finding> {
    let described = source.dataset();
    let mut found: Vec<Finding> = stream::iter(described.variables())
        .map(|(name, variable)| one(format, source, name, variable, extent, budget))
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await
        .concat();
    found.extend(names(described));
    found.extend(left_out(source, &found));
    found
}

async fn one(
    format: &'static str,
    source: &Arc<dyn Source>,
    name: FullName,
    variable: &Variable,
    extent: Extent,
    budget: u64,
) -> Vec<Finding> {
    let mut found = Vec::new();
    match values(source, &name, variable, extent).await {
        Ok(Read::Whole) => {}
        Ok(Read::Part) => found.push(too_long(&name, variable)),
        Err(error) => {
            found.push(advice::of_variable(name.as_str(), &error));
            return found;
        }
    }
    // Records of netCDF-3 are found by arithmetic: their number costs nothing.
    if let Some(stored) = source.stored(&name)
        && format != "netCDF-3"
    {
        found.extend(chunks(&name, variable, stored.layout(), budget));
    }
    found.extend(coordinates::of(source, &name, variable).await);
    found
}

/// How far the values were read.
enum Read {
    Whole,
    Part,
}

async fn values(
    source: &Arc<dyn Source>,
    name: &FullName,
    variable: &Variable,
    extent: Extent,
) -> Result<Read, Error> {
    let shape = variable.shape();
    if extent == Extent::Everything {
        let size = variable.data_type.fixed_size().unwrap_or(16);
        if variable.element_count().saturating_mul(size) <= TOO_LONG {
            read(source, name, variable, &Selection::all(&shape)).await?;
            return Ok(Read::Whole);
        }
    }
    if shape.contains(&0) {
        read(source, name, variable, &Selection::all(&shape)).await?;
        return Ok(Read::Whole);
    }
    let at = |index: fn(u64) -> u64| {
        let axes = shape.iter().map(|&size| Ok(vec![Slice::new(index(size), 1, 1)?]));
        Selection::new(axes.collect::<Result<_, Error>>()?, &shape)
    };
    read(source, name, variable, &at(|_| 0)?).await?;
    if variable.element_count() > 1 {
        read(source, name, variable, &at(|size| size - 1)?).await?;
    }
    Ok(if extent == Extent::Everything { Read::Part } else { Read::Whole })
}

/// Reads and lets go.
async fn read(
    source: &Arc<dyn Source>,
    name: &FullName,
    variable: &Variable,
    selection: &Selection,
) -> Result<(), Error> {
    let mut blocks = source.read(name, selection);
    let mut count = 0_u64;
    while let Some(block) = blocks.next().await {
        count = count.saturating_add(block?.element_count(variable.data_type.fixed_size()));
    }
    let wanted = selection.element_count();
    if count == wanted { Ok(()) } else { Err(Error::internal(format!("{count} of {wanted} values came"))) }
}

fn too_long(name: &FullName, variable: &Variable) -> Finding {
    let what = format!("it has {} values, which are not all read", variable.element_count());
    let consequence = "damage inside it would not be found";
    Finding::warning(what, consequence, "check it with the tools of its format").about(name.as_str())
}

/// Chunks that make it slow.
fn chunks(name: &FullName, variable: &Variable, layout: &StoredLayout, budget: u64) -> Option<Finding> {
    let bytes = layout.chunk_shape.iter().fold(layout.element.size as u64, |n, &c| n.saturating_mul(c));
    // Of what is not encoded, just the wanted part is read.
    if !layout.encodings.is_empty() && bytes >= budget {
        let what = format!("its chunks are of {} MiB each", bytes >> 20);
        let consequence = format!(
            "one value costs reading and decoding a whole chunk, which takes all of limits.memory ({} MiB) \
             and leaves other requests waiting",
            budget >> 20
        );
        let fix =
            "write it with chunks of 1 to 16 MiB (nccopy -c, h5repack -l CHUNK), or raise limits.memory";
        return Some(Finding::warning(what, consequence, fix).about(name.as_str()));
    }
    let per_axis =
        layout.shape.iter().zip(&layout.chunk_shape).map(|(&size, &chunk)| size.div_ceil(chunk.max(1)));
    let count = per_axis.fold(1_u64, u64::saturating_mul);
    if bytes < TINY_CHUNK && count >= MANY_CHUNKS && !variable.dimensions.is_empty() {
        let what = format!("it lies in {count} chunks of {bytes} bytes");
        let consequence =
            "reading it is slow: finding and fetching the chunks takes far longer than their bytes";
        let fix = "write it with chunks of 1 to 16 MiB (nccopy -c, h5repack -l CHUNK)";
        return Some(Finding::warning(what, consequence, fix).about(name.as_str()));
    }
    None
}

/// A Zarr hierarchy far away that does not keep its metadata in one object.
pub(super) async fn scattered(place: &Place) -> Option<Finding> {
    if !place.store.is_remote() {
        return None;
    }
    let at_most = LARGEST_METADATA;
    let version_3 = place.store.open(&place.inside("zarr.json"), Part::Whole { at_most }).await.ok()?;
    let is_scattered = match version_3 {
        Some((_, text)) => {
            let metadata: serde_json::Value = serde_json::from_slice(&text).ok()?;
            metadata["node_type"] == "group" && metadata["consolidated_metadata"].is_null()
        }
        None => {
            place.store.stat(&place.inside(".zgroup")).await.ok()?.is_some()
                && place.store.stat(&place.inside(".zmetadata")).await.ok()?.is_none()
        }
    };
    is_scattered.then(|| {
        Finding::warning(
            "its metadata are not consolidated",
            "opening it costs a request for each of its arrays and groups, instead of one",
            "zarr.consolidate_metadata(store)",
        )
    })
}

/// Names that clients have trouble with.
fn names(dataset: &Dataset) -> Option<Finding> {
    let groups = dataset.root().walk().filter(|g| !g.name.is_root()).map(|g| g.name.clone());
    let odd: Vec<String> = groups
        .chain(dataset.variables().map(|(name, _)| name))
        .filter(|name| is_odd(name.short()))
        .map(|name| name.as_str().escape_debug().to_string())
        .collect();
    (!odd.is_empty()).then(|| {
        Finding::warning(
            format!("names with characters that have a meaning in a URL or lie outside ASCII: {}", some(&odd)),
            "such characters are percent-encoded in requests, outside ASCII DAP2 clients see _uXXXX_ instead, and \
             some clients cannot ask for them at all",
            "rename them with letters, digits and _ . - + @ (ncrename -v, h5py move)",
        )
    })
}

fn is_odd(name: &str) -> bool {
    name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-+@:".contains(c))
}

/// What DAP2 lacks, beyond what cannot be read by anyone, which has been told.
fn left_out(source: &Arc<dyn Source>, told: &[Finding]) -> Option<Finding> {
    let list = match dap2::left_out(Arc::clone(source)) {
        Ok(list) => list,
        Err(error) => {
            return Some(Finding::warning(
                format!("it has no DAP2 form: {error}"),
                "DAP2 requests for it fail; DAP4 serves it",
                "use clients with DAP4",
            ));
        }
    };
    let is_told = |name: &FullName| told.iter().any(|f| f.variable.as_deref() == Some(name.as_str()));
    // Of a variable without elements, nothing is lost.
    let is_empty = |name: &FullName| source.dataset().variable(name).is_some_and(|v| v.element_count() == 0);
    let list: Vec<String> = list
        .into_iter()
        .filter(|(name, _)| !is_told(name) && !is_empty(name))
        .map(|(name, why)| format!("{name} ({why})"))
        .collect();
    (!list.is_empty()).then(|| {
        let what = format!("DAP2 has no form for {}", some(&list));
        let fix =
            "read it with DAP4, or store it as what DAP2 has: integers of 8 to 32 bits, floats, strings";
        Finding::warning(what, "DAP2 clients do not see it; DAP4 clients do", fix)
    })
}

/// The first few of them.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(EXAMPLES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a value of it can be compared as a number.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}
