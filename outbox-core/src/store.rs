//! A database with an outbox in it, as a relay sees it.

use async_trait::async_trait;
use serde::Serialize;
use time::OffsetDateTime;

use crate::checkpoint::Checkpoints;
use crate::cleanup::Cleaner;
use crate::continuity::Mender;
use crate::dead_letter::Desk;
use crate::doctor::Finding;
use crate::error::StoreError;
use crate::event::Position;
use crate::filter::Filter;
use crate::lease::Leases;
use crate::source::Source;
use crate::status::{Glance, Status};
use crate::wake::{WakeMode, Waking};

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

/// How many events of one kind the log holds. Texts show what is not UTF-8 replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The operation of change events, in the word of its column; domain events have none.
    pub operation: Option<String>,
    /// The table of change events; domain events have none.
    pub table: Option<String>,
    /// The topic.
    pub topic: String,
    /// Whose data it is.
    pub tenant: Option<String>,
    /// So many there are.
    pub events: u64,
    /// When the earliest was captured; `None` where no time of theirs can be read. On SQLite in whole milliseconds.
    pub first: Option<OffsetDateTime>,
    /// When the latest was captured.
    pub last: Option<OffsetDateTime>,
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

    /// Checks what [`Store::check`] checks, and that this is the outbox at a place where it may be worked, for a relay that is
    /// about to work; records the place. See [`continuity`](crate::continuity).
    ///
    /// Default: [`Store::check`], for a database that cannot be copied.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`]; [`StoreErrorKind::Continuity`](crate::StoreErrorKind::Continuity) for what may
    /// be a copy.
    async fn recognise(&self) -> Result<Database, StoreError> {
        self.check().await
    }

    /// Checks what one depends on who only reads the log: the tables, their version, and the privilege to read the log and
    /// `outbox_meta`. Writes nothing and takes no lock that a writer waits for.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn inspect(&self) -> Result<Database, StoreError> {
        self.check().await
    }

    /// A reader of the events that pass the filter; to read is all it needs to be allowed.
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

    /// Where operators decide about dead letters, and pause subscriptions.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError>;

    /// How a relay learns that there is something to read.
    ///
    /// Default: it looks by itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn wake(&self, _mode: WakeMode) -> Result<Waking, StoreError> {
        Ok(Waking::Polling("this database tells nobody".to_owned()))
    }

    /// Who mends it after a restore; `None` where nothing can be restored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::check`].
    async fn mender(&self) -> Result<Option<Box<dyn Mender>>, StoreError> {
        Ok(None)
    }

    /// What is known of the outbox, its relays and its subscriptions; to read the tables is all it needs to be allowed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::inspect`], and where somebody has locked the log against readers, who that is.
    async fn status(&self) -> Result<Status, StoreError>;

    /// How far these subscriptions are behind, and how large the log is; for somebody who asks again and again.
    ///
    /// The cost is bounded whatever the backlog: what is above 10,000 events may be estimated, and then rather too high.
    ///
    /// Default: what [`Store::status`] says, at its cost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::status`].
    async fn glance(&self, subscriptions: &[String]) -> Result<Glance, StoreError> {
        Ok(Glance::of(self.status().await?, subscriptions))
    }

    /// Counts the events above a position that pass the filter, by operation, table, topic and tenant, in no order.
    ///
    /// One statement, and so one snapshot, of 5 minutes at most. While it runs no segment can be emptied; no writer waits.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Store::inspect`].
    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError>;

    /// Looks at everything that may be wrong with the database and the outbox in it, also where [`Store::check`] refuses it.
    ///
    /// Default: what [`Store::check`] says.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database cannot be asked at all.
    async fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(vec![Finding::told("database", "as a relay needs it", self.check().await.map(drop))?])
    }
}
