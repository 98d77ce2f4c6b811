//! The one error type: a kind that says whose fault it is, a message, and the cause.
//!
//! Kinds are closed: the server maps each to a status in one place. Messages are written for the
//! person who asked; causes and storage paths stay in [`std::error::Error::source`] for the log.

use std::{error::Error as StdError, fmt};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in terms of what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: fix it.
    BadRequest,
    /// There is no such dataset or variable.
    NotFound,
    /// It exists, but not for this caller.
    Forbidden,
    /// It is larger than a stated limit: ask for less.
    TooLarge,
    /// A feature or type that is not supported here.
    Unsupported,
    /// The stored object changed while it was being read: ask again.
    Changed,
    /// The stored bytes are not what their format demands.
    Corrupt,
    /// Storage failed.
    Storage,
    /// Storage did not answer in time.
    TimedOut,
    /// The server is out of a resource for now: ask again later.
    Overloaded,
    /// A defect of ours.
    Internal,
}

/// An error: kind, message, cause.
///
/// `Display` prints the message alone; the cause is reached through `source()`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message for the person who asked.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// [`ErrorKind::BadRequest`].
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// [`ErrorKind::TooLarge`].
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// [`ErrorKind::Storage`] with its cause.
    pub fn storage(message: impl Into<String>, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Storage, message).with_source(cause)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Prefixes the message with where it happened: `"chunk 3,0 of /sst: ..."`.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, without causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A copy without the cause, for errors that several waiters share.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self::new(self.kind, self.message.clone())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// Context at the boundary a reader would ask about.
pub trait ResultExt<T> {
    /// Prefixes an error's message with `place()`.
    fn within<D: fmt::Display>(self, place: impl FnOnce() -> D) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn within<D: fmt::Display>(self, place: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| e.within(place()))
    }
}
