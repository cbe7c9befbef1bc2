//! Errors of capture and of migration, the same on every database.

use outbox_core::{CaptureError, StoreError};

/// Why an event could not be written. The caller's transaction is what it was; what to do with it is the caller's choice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The value could not be made into an event.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The database refused it.
    #[error("the event could not be written to the outbox; if its tables are missing, run `outbox-relay migrate`")]
    Database(#[from] sqlx::Error),
}

/// A row that a test looks at and that is no event. Its reason holds no payload.
#[cfg(all(feature = "testing", any(feature = "postgres", feature = "sqlite")))]
pub(crate) fn no_event(row: &outbox_core::source::Row) -> sqlx::Error {
    let reason = match row {
        outbox_core::source::Row::Unreadable(row) => row.reason.as_str(),
        _ => "it was left out",
    };
    sqlx::Error::Decode(format!("the row at position {} is no event: {reason}", row.position()).into())
}

/// Why the tables could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The tables are there, in a version this build does not know.
    #[error("the outbox tables have version {found}, this build knows {known}; use a newer build")]
    Newer {
        /// The version found.
        found: String,
        /// The version this build makes.
        known: u32,
    },
    /// The database refused a statement, or could not be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}
