//! What the relay does about an error: the one table.
//!
//! | kind | reaction |
//! |---|---|
//! | `Unavailable` | try again with back-off, for as long as it takes |
//! | `Fenced` | step down: drop what is known, wait for a lease, begin again from the stored checkpoint |
//! | `Continuity` | stop the relay and tell the operator |
//! | `Precondition` | the same at the start; once at work try again, for a database is restored, or a password changed, meanwhile |

use std::error::Error;
use std::fmt::Write as _;

use outbox_core::{StoreError, StoreErrorKind};

/// What to do about an error of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Try again with back-off.
    Retry,
    /// Another relay has taken over.
    StepDown,
    /// A person must do something first.
    Stop,
}

/// The reaction of a relay that has been at work, or is about to begin.
pub(crate) fn to_store_error(error: &StoreError, at_work: bool) -> Reaction {
    match error.kind() {
        StoreErrorKind::Fenced => Reaction::StepDown,
        StoreErrorKind::Continuity => Reaction::Stop,
        StoreErrorKind::Precondition if !at_work => Reaction::Stop,
        _ => Reaction::Retry,
    }
}

/// The error and what caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
