//! What an aggregation is at one moment.

use std::{sync::Arc, time::SystemTime};

use cdm::Source;

use super::Note;

/// An aggregation as it was found at one moment. It never changes: what is found later is another one.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// A short name of the version, as `<dataset>@<version>` has it: hexadecimal digits.
    pub version: Arc<str>,
    /// The dataset.
    pub source: Arc<dyn Source>,
    /// What a user should know: what is left out, converted, missing.
    pub notes: Arc<[Note]>,
    /// The names of the members that were combined.
    pub members: Arc<[Arc<str>]>,
    /// When it was made.
    pub made: SystemTime,
}
