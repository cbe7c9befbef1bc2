//! Makes the outbox tables.

use outbox_core::store::SCHEMA_VERSION;
use outbox_core::{Names, StoreErrorKind, schema};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use super::connection::{BEGIN_WRITE, CALL, assembled, bounded, open_or_create, statement, store_error};
use crate::refusal::refuse_without;
use crate::{MigrateError, Migrated};

pub(super) const TABLE: &str = outbox_core::sql::sqlite::STORE_TABLE;
pub(super) const META: &str = outbox_core::sql::sqlite::STORE_META;

/// Makes the tables where they are missing, and the file too, and brings older ones up to date.
pub(super) async fn migrate(options: &SqliteConnectOptions, names: &Names) -> Result<Migrated, MigrateError> {
    let mut connection = open_or_create(options).await?;
    if !find(&mut connection, names).await?.0.changed() {
        return Ok(Migrated::Nothing);
    }
    write_ahead(&mut connection).await?;
    let mut tx = bounded(CALL, connection.begin_with(BEGIN_WRITE)).await?;
    let (migrated, steps) = find(&mut tx, names).await?;
    for step in steps {
        bounded(CALL, sqlx::raw_sql(assembled(step)).execute(&mut *tx)).await?;
    }
    bounded(CALL, tx.commit()).await?;
    Ok(migrated)
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

/// What is still to be done, and what that will have been.
async fn find(connection: &mut SqliteConnection, names: &Names) -> Result<(Migrated, Vec<String>), MigrateError> {
    let table = bounded(CALL, sqlx::query(statement(names, TABLE)).fetch_one(&mut *connection)).await?;
    if table.try_get::<Option<i64>, _>("has_meta").map_err(store_error)?.is_none() {
        return Ok((Migrated::Created, vec![schema::sqlite(names)]));
    }
    let meta = bounded(CALL, sqlx::query(statement(names, META)).fetch_one(connection)).await?;
    let version: Option<String> = meta.try_get("schema_version").map_err(store_error)?;
    if version.as_deref() != Some(&SCHEMA_VERSION.to_string()) {
        let found = version.unwrap_or_else(|| "none".to_owned());
        return Err(MigrateError::Newer { found, known: SCHEMA_VERSION });
    }
    let revision = schema::revision(meta.try_get("revision").map_err(store_error)?)?;
    refuse_without(table.try_get::<Option<&str>, _>("absent").map_err(store_error)?.unwrap_or_default())?;
    let steps = schema::sqlite_upgrade(names, revision);
    Ok((if steps.is_empty() { Migrated::Nothing } else { Migrated::Upgraded { from: revision } }, steps))
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
