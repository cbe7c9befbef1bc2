//! A database with an outbox in it, as a relay sees it.

use async_trait::async_trait;
use serde::Serialize;

use crate::checkpoint::Checkpoints;
use crate::cleanup::Cleaner;
use crate::error::StoreError;
use crate::filter::Filter;
use crate::lease::Leases;
use crate::source::Source;
use crate::status::Status;

/// The version of the tables this build reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// What a database said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Database {
    /// `postgres` or `sqlite`.
    pub kind: &'static str,
    /// Its name, which the `source` of CloudEvents carries.
    pub name: String,
    /// The server's version.
    pub server_version: String,
    /// The outbox's own id, made by its first migration.
    pub instance: String,
}

/// A database with an outbox in it. Each part it hands out has a connection of its own.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a database a relay can read",
    note = "use `outbox_sqlx::PgStore` or `outbox_sqlx::SqliteStore`"
)]
pub trait Store: Send + Sync + 'static {
    /// Where the database is, for people, without user and password.
    fn describe(&self) -> String;

    /// Checks everything a relay depends on.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`](crate::StoreErrorKind::Precondition) with what to do about it: tables missing or
    /// of another version, a standby, positions not drawn one by one, a missing privilege.
    async fn check(&self) -> Result<Database, StoreError>;

    /// A reader of the events that pass the filter.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError>;

    /// The keeper of checkpoints.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError>;

    /// The keeper of leases.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError>;

    /// The remover of events that everybody has passed; `None` where the log is not to be cleaned.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`], and for a privilege that only cleaning needs.
    async fn cleaner(&self) -> Result<Option<Box<dyn Cleaner>>, StoreError> {
        Ok(None)
    }

    /// What is known of the outbox, its relays and its subscriptions.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn status(&self) -> Result<Status, StoreError>;
}
