//! What every part has in common: its connection, its statements, its time limit and the meaning of errors.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::{Names, StoreError, StoreErrorKind};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr, SqlStr};

/// How long SQLite itself waits for another connection's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows on their way from the thread that steps SQLite, which the byte limit of a read bounds as well.
const ROW_BUFFER: usize = 512;
/// How long a call may take: the busy timeout of two statements, and time to spare for a slow disk.
pub(super) const CALL: Duration = Duration::from_secs(15);
/// How long a call may take that walks the log.
pub(super) const WALK: Duration = Duration::from_mins(5);

/// Every write begins like this: a transaction that read first is refused the write lock at once, without waiting.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Renders a statement under `names`. The one place where text becomes a statement: `Names` holds nothing but word
/// characters.
pub(super) fn statement(names: &Names, sql: &'static str) -> SqlStr {
    AssertSqlSafe(names.render(sql)).into_sql_str()
}

/// As [`statement`], for a statement put together at run time from static parts, rendered already.
pub(super) fn assembled(sql: String) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
}

/// Opens a connection to a database file that is there already.
pub(super) async fn open(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let path = options.get_filename();
    if !path.exists() {
        let message = format!("there is no database file {}; run `outbox-relay migrate` to make it", path.display());
        return Err(StoreError::new(StoreErrorKind::Precondition, message));
    }
    bounded(CALL, prepared(options).create_if_missing(false).connect()).await
}

/// Opens a connection to a database file, making it if there is none.
pub(super) async fn open_or_create(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let opened = bounded(CALL, async { Ok(prepared(options).create_if_missing(true).connect().await) }).await?;
    let file = options.get_filename();
    opened.map_err(|error| {
        if file.exists() {
            return store_error(error);
        }
        let message = format!(
            "the database file {} cannot be made; see to it that its folder is there and may be written to, and leave `mode=ro` out \
             of the URL",
            file.display()
        );
        StoreError::new(StoreErrorKind::Precondition, message).caused_by(error)
    })
}

fn prepared(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options.clone().busy_timeout(BUSY_TIMEOUT).row_buffer_size(ROW_BUFFER).disable_statement_logging()
}

/// Awaits the database no longer than `limit`. After an error the connection is of no further use.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(limit, call).await.map_or_else(
        |_| {
            let message = format!("the database did not answer within {} s", limit.as_secs());
            Err(StoreError::new(StoreErrorKind::Unavailable, message))
        },
        |answer| answer.map_err(store_error),
    )
}

/// What an error of the driver means. SQLite's texts name tables and columns, never values.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    use StoreErrorKind::{Precondition, Unavailable};
    let code =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).and_then(|code| code.parse::<i32>().ok());
    let (kind, message) = match (code.map(|extended| extended & 0xff), &error) {
        (Some(5 | 6), _) => (Unavailable, "the database is locked by another connection"),
        (Some(8), _) => {
            let message = "the database is read-only; give the relay write access to the file and its folder, and leave `mode=ro` and \
                `immutable` out of its URL";
            (Precondition, message)
        }
        (Some(10), _) => (Unavailable, "the disk under the database failed"),
        (Some(13), _) => (Unavailable, "the disk under the database is full"),
        (Some(14), _) => (
            Unavailable,
            "the database file could not be opened; check its folder and permissions, and to look at a copy on a read-only disk add \
             `?immutable=1` to the URL",
        ),
        (Some(7 | 9 | 15 | 17), _) => (Unavailable, "the database could not answer"),
        (Some(11), _) => (Precondition, "the database is damaged; restore it from a backup"),
        (Some(26), _) => (Precondition, "the file is not an SQLite database"),
        (Some(1), sqlx::Error::Database(cause)) if cause.message().starts_with("no such table") => {
            (Precondition, "the outbox tables are missing; run `outbox-relay migrate`")
        }
        (Some(1), sqlx::Error::Database(cause)) if cause.message().contains("already exists") => {
            (Precondition, "a table of that name is there already; set another prefix")
        }
        (Some(_), _)
        | (None, sqlx::Error::Configuration(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => (
            Precondition,
            "the database refused a statement; check that the outbox tables are as `outbox-relay migrate` made them",
        ),
        (None, _) => (Unavailable, "the connection to the database failed"),
    };
    let said = StoreError::new(kind, message);
    // SQLite's own text says nothing but the same again.
    if code.map(|extended| extended & 0xff) == Some(8) { said } else { said.caused_by(error) }
}

/// Another relay holds a newer epoch.
pub(super) fn fenced(subscription: &str, epoch: i64) -> StoreError {
    let message = format!("subscription `{subscription}` is another relay's by now: epoch {epoch} is out of date");
    StoreError::new(StoreErrorKind::Fenced, message)
}

/// A list of ranges or positions as SQLite's `json_each` reads it.
pub(super) fn json_list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn a_read_only_database_is_called_so_once() {
        let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        sqlx::query("PRAGMA query_only = ON").execute(&mut connection).await.unwrap();
        let error = store_error(sqlx::query("CREATE TABLE t (a)").execute(&mut connection).await.unwrap_err());
        assert!(error.to_string().contains("read-only; give the relay write access"), "{error}");
        assert!(error.source().is_none() && error.kind() == StoreErrorKind::Precondition, "{error:?}");
        let error = store_error(sqlx::query("SELECT * FROM missing").execute(&mut connection).await.unwrap_err());
        assert!(error.source().is_some(), "{error}");
    }
}
