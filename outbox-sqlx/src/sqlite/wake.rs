//! Notices commits of other connections. SQLite tells nobody, but says at no cost whether anything was committed at all.
//!
//! `PRAGMA data_version` looks at the header of the write-ahead log's index, which lies in memory; it reads no table. Only
//! where it has changed, which the relay's own heartbeat brings about too, the last position drawn is looked at: one small row,
//! and the log itself only where that has moved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use outbox_core::source::Holder;
use outbox_core::wake::{Armed, Wake};
use outbox_core::{Names, Position, StoreError, StoreErrorKind};
use sqlx::SqlStr;
use sqlx::sqlite::SqliteConnection;

use super::connection::{CALL, bounded, statement};
use super::place::identity;

const LAST_POSITION: &str = outbox_core::sql::sqlite::SOURCE_LAST_POSITION;
const VERSION: &str = outbox_core::sql::sqlite::WAKE_VERSION;

/// The pause after the first look; each further one is twice as long …
const FIRST: Duration = Duration::from_millis(1);
/// … up to this.
const AT_MOST: Duration = Duration::from_millis(50);

/// Looks at one file.
#[derive(Debug)]
pub(super) struct SqliteWake {
    connection: SqliteConnection,
    file: PathBuf,
    /// Which file the connection has open.
    identity: Option<String>,
    last_position: SqlStr,
    version: Option<i64>,
    /// The last position drawn when it was looked at last.
    last: Position,
}

impl SqliteWake {
    pub(super) fn new(connection: SqliteConnection, file: &Path, names: &Names) -> Self {
        let last_position = statement(names, LAST_POSITION);
        Self { connection, file: file.to_owned(), identity: identity(file), last_position, version: None, last: 0 }
    }

    /// Whether a position was drawn since this was last asked.
    async fn has_moved(&mut self) -> Result<bool, StoreError> {
        let version = bounded(CALL, sqlx::query_scalar(VERSION).fetch_one(&mut self.connection)).await?;
        if self.version == Some(version) {
            return Ok(false);
        }
        let query = sqlx::query_scalar(self.last_position.clone());
        let last = bounded(CALL, query.fetch_one(&mut self.connection)).await?;
        // Both at once and last of all: whoever drops this before has seen nothing.
        self.version = Some(version);
        Ok(std::mem::replace(&mut self.last, last) != last)
    }
}

#[async_trait]
impl Wake for SqliteWake {
    async fn arm(&mut self, _length: Duration) -> Result<Armed, StoreError> {
        if identity(&self.file) != self.identity {
            let message = "the database file was replaced or removed; opening it again";
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        self.has_moved().await?;
        Ok(Armed { continued: true, last_position: self.last })
    }

    /// Nobody: one writer at a time draws positions in the order of commits.
    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError> {
        Ok(BTreeSet::new())
    }

    #[expect(clippy::disallowed_methods, reason = "a commit of another process sends no signal")]
    async fn told(&mut self) -> Result<(), StoreError> {
        let mut pause = FIRST;
        while !self.has_moved().await? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AT_MOST);
        }
        Ok(())
    }

    async fn disarm(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
