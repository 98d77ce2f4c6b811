//! The contract between everything that has data and everything that serves it.

use std::{fmt, sync::Arc, time::SystemTime};

use futures::{Stream, StreamExt, stream::BoxStream};

use crate::{Block, Dataset, Error, FullName, Result, Selection, StoredChunks};

/// The values of one selection, block after block.
pub type BlockStream = BoxStream<'static, Result<Block>>;

/// A validator for caches: two equal identities mean the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Opaque identity (for a local file: device, inode, size, mtime and ctime in ns).
    pub identity: Arc<str>,
    /// When the data last changed, if known.
    pub modified: Option<SystemTime>,
}

/// An immutable dataset description plus "read this selection of this variable".
///
/// Object-safe and small on purpose: a format, an aggregation, a subset and a protocol's view of a
/// dataset are all Sources, so an encoder needs to know only this.
///
/// # Contract (checked by `testing::source_contract`)
/// * `dataset` never changes during the Source's life.
/// * `read` is lazy: no work before the first poll. Dropping the stream cancels the work.
/// * Blocks come in row-major order of the selection and together hold exactly its elements.
/// * After an error the stream ends.
/// * An empty block before the first one says that reading has begun well and that more takes a while: an encoder
///   may send what comes before the values.
/// * A selection of no elements gives an empty stream (or empty blocks), not an error.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// The description.
    fn dataset(&self) -> &Dataset;

    /// What validates cached answers; `None` when nothing does.
    fn version(&self) -> Option<&Version>;

    /// Reads `selection` of `variable`. Errors (an unknown variable, a selection made for another
    /// shape, failing storage) are items of the stream.
    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream;

    /// How `variable` lies in storage, when it is stored chunks of just its values.
    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        let _ = variable;
        None
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn dataset(&self) -> &Dataset {
        (**self).dataset()
    }
    fn version(&self) -> Option<&Version> {
        (**self).version()
    }
    fn read(&self, variable: &FullName, selection: &Selection) -> BlockStream {
        (**self).read(variable, selection)
    }
    fn stored(&self, variable: &FullName) -> Option<Arc<dyn StoredChunks>> {
        (**self).stored(variable)
    }
}

/// A stream that fails at its first poll.
pub fn failed(error: Error) -> BlockStream {
    Box::pin(futures::stream::once(async move { Err(error) }))
}

/// Ends `blocks` after its first error.
pub fn end_after_error(blocks: impl Stream<Item = Result<Block>> + Send + 'static) -> BlockStream {
    let mut over = false;
    Box::pin(blocks.take_while(move |block| {
        let take = !over;
        over = block.is_err();
        std::future::ready(take)
    }))
}
