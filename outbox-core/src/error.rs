//! What can go wrong between the relay and its database. What the relay does about it is the relay's business.

use std::error::Error;

/// What happened, the same on every database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The database could not be reached, answered too late, is starting, stopping or read-only: it may work later.
    Unavailable,
    /// Something must be changed by a person first: missing or other-version schema, standby, privileges, sequence cache.
    Precondition,
    /// The log is not the one the checkpoint was written on.
    Continuity,
    /// Another relay holds a newer lease; whatever this one knows is out of date.
    Fenced,
}

/// An error of the database under a relay; its text holds no secrets and no payload.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of `kind` that says what happened and what to do.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it, which `source()` shows.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// What was found, and what the text says to do about it, which stands behind its first semicolon; else `otherwise`.
    pub(crate) fn with_remedy(&self, otherwise: &str) -> (String, String) {
        let text = self.to_string();
        let (found, remedy) = text.split_once("; ").unwrap_or((&text, otherwise));
        (found.to_owned(), remedy.to_owned())
    }

    /// What happened.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}
