//! Makes the outbox tables.

use outbox_core::store::SCHEMA_VERSION;
use outbox_core::{Names, StoreErrorKind};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use super::connection::{BEGIN_WRITE, CALL, assembled, bounded, open_or_create, statement, store_error};
use crate::MigrateError;

pub(super) const TABLE: &str = outbox_core::sql::sqlite::STORE_TABLE;
pub(super) const META: &str = outbox_core::sql::sqlite::STORE_META;

/// Makes the tables where they are missing, and the file too; returns whether anything changed.
pub(super) async fn migrate(options: &SqliteConnectOptions, names: &Names) -> Result<bool, MigrateError> {
    let mut connection = open_or_create(options).await?;
    if is_current(&mut connection, names).await? {
        return Ok(false);
    }
    write_ahead(&mut connection).await?;
    let mut tx = bounded(CALL, connection.begin_with(BEGIN_WRITE)).await?;
    if is_current(&mut tx, names).await? {
        return Ok(false);
    }
    bounded(CALL, sqlx::raw_sql(assembled(outbox_core::schema::sqlite(names))).execute(&mut *tx)).await?;
    bounded(CALL, tx.commit()).await?;
    Ok(true)
}

/// Readers do not wait for the writer in this mode, nor the writer for them. The file keeps it.
async fn write_ahead(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mode =
        bounded(CALL, sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(connection)).await?;
    if mode != "wal" {
        tracing::warn!(
            mode,
            "the database cannot use write-ahead logging here: readers and writers wait for each other"
        );
    }
    Ok(())
}

async fn is_current(connection: &mut SqliteConnection, names: &Names) -> Result<bool, MigrateError> {
    let known = SCHEMA_VERSION;
    match version(connection, names).await? {
        None => Ok(false),
        Some(found) if found == known.to_string() => Ok(true),
        Some(found) => Err(MigrateError::Newer { found, known }),
    }
}

async fn version(connection: &mut SqliteConnection, names: &Names) -> Result<Option<String>, MigrateError> {
    let table = bounded(CALL, sqlx::query(statement(names, TABLE)).fetch_one(&mut *connection)).await?;
    if table.try_get::<Option<i64>, _>("has_meta").map_err(store_error)?.is_none() {
        return Ok(None);
    }
    let meta = bounded(CALL, sqlx::query(statement(names, META)).fetch_one(connection)).await?;
    let version: Option<String> = meta.try_get("schema_version").map_err(store_error)?;
    Ok(Some(version.unwrap_or_else(|| "none".to_owned())))
}

/// Names SQLite cannot use: an attached database is not one a relay sees.
pub(super) fn check_names(names: &Names) -> Result<(), outbox_core::StoreError> {
    match names.schema() {
        None => Ok(()),
        Some(schema) => Err(outbox_core::StoreError::new(
            StoreErrorKind::Precondition,
            format!("SQLite has no schemas; leave out the schema `{schema}`, or set a prefix instead"),
        )),
    }
}
