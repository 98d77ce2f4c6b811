//! What went wrong with a request to a store: from the client's errors to ours.

use std::{error::Error as StdError, fmt};

use cdm::{Error, ErrorKind};
use object_store::client::{HttpError, HttpErrorKind};

/// An answer of the store that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has a problem, or too much to do: its status.
    Failing(u16),
    /// The object does not hold the range.
    Range,
    /// It does not list.
    Listing,
    /// It sends objects whole only.
    Ranges,
    /// It has no ranges from an object's end.
    Suffix,
    /// It lists keys that are no paths: `a//b`.
    Names,
    /// It does not let us.
    Denied,
    /// There is no such bucket.
    Store,
    /// It sends us to another server.
    Elsewhere,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(status) => write!(f, "the store answered with status {status}"),
            Self::Range => f.write_str("the object does not hold the range"),
            Self::Listing => f.write_str("the server does not list"),
            Self::Ranges => f.write_str("the server does not answer requests for a part of an object"),
            Self::Suffix => f.write_str("the store has no ranges from the end"),
            Self::Names => f.write_str("there are keys that are no paths"),
            Self::Denied => f.write_str("access is denied"),
            Self::Store => f.write_str("there is no such bucket"),
            Self::Elsewhere => f.write_str("the answer is a redirect to another server"),
        }
    }
}

impl StdError for Refusal {}

/// Nobody has credentials for us.
#[derive(Debug)]
pub(super) struct NoCredentials(pub(super) Option<HttpError>);

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no service that hands out credentials")
    }
}

impl StdError for NoCredentials {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.as_ref().map(|e| e as _)
    }
}

/// Why a request failed, in terms of what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no such object.
    Missing,
    /// It is not the version that was asked for.
    Changed,
    /// It is still the version that is known.
    Same,
    /// We may not.
    Denied,
    /// There are no credentials to ask with.
    Credentials,
    /// The store does not do that.
    Refused(Refusal),
    /// No answer in time; another try may have one.
    TimedOut,
    /// The store, or the way to it, fails; another try may not.
    Failing,
    /// Anything else: it would fail again.
    Other,
}

impl Reason {
    pub(super) fn of(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => return Self::Missing,
            object_store::Error::Precondition { .. } => return Self::Changed,
            object_store::Error::NotModified { .. } => return Self::Same,
            object_store::Error::InvalidPath { .. } => return Self::Refused(Refusal::Names),
            object_store::Error::NotSupported { .. } => return Self::Refused(Refusal::Suffix),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::Denied;
            }
            _ => {}
        }
        let mut found = Self::Other;
        let mut at: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(e) = at {
            if e.is::<NoCredentials>() {
                return Self::Credentials;
            }
            match e.downcast_ref() {
                Some(Refusal::Failing(_)) => return Self::Failing,
                Some(Refusal::Denied) => return Self::Denied,
                Some(refusal) => return Self::Refused(*refusal),
                None => {}
            }
            if let Some(e) = e.downcast_ref::<HttpError>() {
                found = match e.kind() {
                    HttpErrorKind::Timeout => Self::TimedOut,
                    HttpErrorKind::Connect
                    | HttpErrorKind::Request
                    | HttpErrorKind::Interrupted
                    | HttpErrorKind::Decode => Self::Failing,
                    _ => found,
                };
            }
            at = e.source();
        }
        found
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::TimedOut | Self::Failing)
    }

    /// The error for whoever asked: it names the store, never the key.
    pub(super) fn error(self, store: &str) -> Error {
        match self {
            Self::Missing => Error::not_found("there is no such object"),
            Self::Changed | Self::Same => {
                Error::new(ErrorKind::Changed, "the object changed while it was being read")
            }
            Self::Denied => Error::new(ErrorKind::Forbidden, format!("the server may not read from {store}")),
            Self::Credentials => Error::new(
                ErrorKind::Forbidden,
                format!("the server has no credentials for {store}; public data need anonymous = true"),
            ),
            Self::Refused(Refusal::Range) => Error::corrupt("the object is shorter than it was"),
            Self::Refused(Refusal::Listing) => {
                Error::unsupported(format!("{store} does not list its files; ask for them by name"))
            }
            Self::Refused(Refusal::Names) => Error::unsupported(format!(
                "this folder of {store} holds keys that are no paths (a//b): it cannot be listed; ask by name"
            )),
            Self::Refused(Refusal::Ranges) => {
                Error::unsupported(format!("{store} does not answer requests for a part of a file"))
            }
            Self::Refused(Refusal::Store) => Error::not_found(format!("there is no store {store}")),
            Self::Refused(Refusal::Elsewhere) => Error::new(
                ErrorKind::Forbidden,
                format!("{store} redirects to another server, which is not followed; name that server"),
            ),
            Self::TimedOut => {
                Error::new(ErrorKind::TimedOut, format!("the store {store} did not answer in time"))
            }
            Self::Failing | Self::Refused(_) => {
                Error::new(ErrorKind::Storage, format!("the store {store} failed"))
            }
            Self::Other => Error::new(ErrorKind::Storage, format!("the store {store} cannot be used")),
        }
    }
}

/// An error and its causes as one line for the log, without what may be secret: the queries of URLs.
pub(super) fn without_secrets(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    let mut at = Some(error);
    while let Some(e) = at {
        let text = e.to_string();
        // Many errors repeat their causes.
        if !line.contains(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
        at = e.source();
    }
    let words = line.split(' ').map(|word| match word.split_once('?') {
        Some((before, _)) if before.contains("://") => format!("{before}?..."),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The cause of an error, for the log.
#[derive(Debug)]
pub(super) struct Cause(pub(super) String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}
