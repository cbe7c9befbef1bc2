//! What an open transaction captured, for tests.

use outbox_core::source::Row;
use outbox_core::testing::Captured;
use outbox_core::{Names, Position};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlStr, Sqlite, Transaction};

use super::capture::SqliteOutbox;
use super::connection::statement;
use super::row;
use crate::AppendError;
use crate::error::no_event;

const CAPTURED: &str = outbox_core::sql::sqlite::CAPTURE_CAPTURED;
const LAST_POSITION: &str = outbox_core::sql::sqlite::SOURCE_LAST_POSITION;

/// The statements of [`SqliteOutbox::captured`].
#[derive(Debug, Clone)]
pub(super) struct Statements {
    captured: SqlStr,
    last_position: SqlStr,
}

impl Statements {
    pub(super) fn new(names: &Names) -> Self {
        Self { captured: statement(names, CAPTURED), last_position: statement(names, LAST_POSITION) }
    }

    /// The last position before the open transaction, as a second connection sees it.
    async fn committed(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Position, sqlx::Error> {
        let file = sqlx::query_scalar::<_, String>("SELECT file FROM pragma_database_list WHERE name = 'main'");
        let file = file.fetch_one(&mut **tx).await?;
        if file.is_empty() {
            let message = "a database in memory has one connection, so nobody can say what was there before this \
                transaction; test with a file in a temporary folder";
            return Err(sqlx::Error::InvalidArgument(message.into()));
        }
        let mut reader = SqliteConnectOptions::new().filename(file).disable_statement_logging().connect().await?;
        let last = sqlx::query_scalar(self.last_position.clone()).fetch_one(&mut reader).await?;
        reader.close().await?;
        Ok(last)
    }
}

impl SqliteOutbox {
    /// What this open transaction captured so far, savepoints included, for assertions in tests. Feature `testing`.
    ///
    /// SQLite has one writer at a time, so these are the events above the last position that a second connection sees;
    /// one is opened for it. That needs a file, and in a journal mode other than WAL a transaction that fits into SQLite's
    /// page cache (2 MB): a larger one shuts readers out before it commits.
    ///
    /// # Errors
    ///
    /// [`AppendError::Database`] for a database in memory, when the database refuses the question, or a row is no event.
    ///
    /// # Examples
    ///
    /// ```
    /// use outbox_core::NewEvent;
    /// use outbox_sqlx::SqliteOutbox;
    ///
    /// async fn test(pool: sqlx::SqlitePool) -> Result<(), Box<dyn std::error::Error>> {
    ///     let outbox = SqliteOutbox::new();
    ///     let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    ///     outbox.append(&mut tx, &NewEvent::new("shop.stock", "tea").json("5")).await?;
    ///     outbox.captured(&mut tx).await?.assert_topics(["shop.stock"]);
    ///     tx.rollback().await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn captured(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Captured, AppendError> {
        let statements = self.captured_statements();
        let committed = statements.committed(tx).await?;
        let rows = sqlx::query(statements.captured.clone()).bind(committed).fetch_all(&mut **tx).await?;
        let event = |row| match row::read(row)? {
            Row::Event(event) => Ok(*event),
            other => Err(no_event(&other)),
        };
        Ok(Captured::new(rows.iter().map(event).collect::<Result<_, _>>()?))
    }
}
