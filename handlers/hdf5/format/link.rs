//! Links: the named members of groups.

use std::sync::Arc;

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name. Bytes that are not UTF-8 are replaced.
    pub name: Arc<str>,
    /// When it was made relative to its siblings, if the group tracks it.
    pub creation_order: Option<i64>,
    /// What it names.
    pub target: LinkTarget,
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkTarget {
    /// The object whose header is at this address. Hard links may form loops.
    Hard(u64),
    /// A path, absolute or relative to the group; it may lead nowhere.
    Soft(String),
    /// An object in another file, which this module never opens.
    External {
        /// The file.
        file: String,
        /// The path in it.
        path: String,
    },
    /// Only the application that made it knows.
    UserDefined(u8),
}
