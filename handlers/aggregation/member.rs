//! One dataset among those that are combined, and what combining says of them.

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use cdm::{Block, Dataset, FullName, Result, Source};

/// Opens a member when a read touches it.
#[async_trait]
pub trait Open: fmt::Debug + Send + Sync + 'static {
    /// The member, in the version that was described.
    ///
    /// # Errors
    /// `Changed` when it is another version by now; else what its format says.
    async fn open(&self) -> Result<Arc<dyn Source>>;
}

/// A dataset that is combined with others: described, not open.
#[derive(Debug, Clone)]
pub struct Member {
    /// For people: its path as the definition's folder has it.
    pub name: Arc<str>,
    /// Identity of the version that is described.
    pub version: Arc<str>,
    /// Its description; equal descriptions are shared.
    pub dataset: Arc<Dataset>,
    /// What is known of its values.
    pub known: Arc<KnownValues>,
    /// The values of the join coordinate that the definition or the file name gives it, as text.
    pub coord_value: Option<Arc<str>>,
    /// Where it lies in a tiled aggregation (`0:29,0:9`).
    pub section: Option<Arc<str>>,
    /// Opens it.
    pub opener: Arc<dyn Open>,
}

/// What is known of a member's values, by variable: of each coordinate variable, scalar and bounds of a
/// coordinate the values, of each other variable (as far as it is not too large to be read for this) a digest.
pub type KnownValues = HashMap<FullName, Known>;

/// What is known of one variable's values.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// All of them, as one block.
    Values(Block),
    /// A digest: equal digests mean equal bytes.
    Digest(u128),
}

/// Members made one.
#[derive(Debug, Clone)]
pub struct Combined {
    /// The dataset. Its version follows from its members'.
    pub source: Arc<dyn Source>,
    /// What a user should know.
    pub notes: Vec<Note>,
}

/// Something a user should know of an aggregation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The member it is about, if it is about one.
    pub member: Option<Arc<str>>,
    /// What kind of thing.
    pub kind: NoteKind,
    /// One sentence: what differs, and what was done.
    pub message: String,
}

/// What a [`Note`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A member is not in the dataset: it is broken, or differs in a way that cannot be joined.
    LeftOut,
    /// A member is not in the dataset yet: it is still being written.
    Unstable,
    /// Two members have the same value of the join coordinate; one is used.
    Duplicate,
    /// Two members' ranges of the join coordinate overlap.
    Overlap,
    /// The join coordinate has a step much larger than the others.
    Gap,
    /// Values were converted: packing, units, types.
    Converted,
    /// Members are in the order of another variable than the join coordinate.
    Ordered,
}
