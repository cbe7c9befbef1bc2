//! Makes the outbox tables.

use outbox_core::Names;
use outbox_core::schema::{self, MAX_SEGMENTS};
use outbox_core::store::SCHEMA_VERSION;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Acquire, Row, SqlStr};

use super::connection::{Link, READ, assembled, segment_statement, statement};
use super::fault::precondition;
use crate::MigrateError;

const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;
const META: &str = outbox_core::sql::postgres::STORE_META;
const LOCK: &str = outbox_core::sql::postgres::MIGRATE_LOCK;
const SEGMENTS: &str = outbox_core::sql::postgres::STATUS_SEGMENTS;
const SEGMENT: &str = outbox_core::sql::postgres::MIGRATE_SEGMENT;
const NOTED: &str = outbox_core::sql::postgres::CLEANUP_NOTED;
const USED: &str = outbox_core::sql::postgres::MIGRATE_USED;

/// The SQL that makes the tables, and their schema where one is set.
pub(super) fn migration(names: &Names, segments: u8) -> String {
    let tables = schema::postgres(names, segments);
    match names.schema() {
        Some(schema) => format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";\n\n{tables}"),
        None => tables,
    }
}

/// Makes the tables where they are missing; returns whether anything changed.
pub(super) async fn migrate(options: &PgConnectOptions, names: &Names, segments: u8) -> Result<bool, MigrateError> {
    check_number(segments)?;
    let plan = Plan {
        server: statement(names, SERVER),
        meta: statement(names, META),
        tables: assembled(migration(names, segments)),
    };
    let mut link = Link::open(options, READ).await?;
    let found = link.call(READ, async |connection| plan.carry_out(connection).await).await?;
    let known = SCHEMA_VERSION;
    match found {
        None => Ok(true),
        Some(found) if found == known.to_string() => Ok(false),
        Some(found) => Err(MigrateError::Newer { found, known }),
    }
}

/// Changes how many segments are used; returns whether anything changed.
pub(super) async fn resize(options: &PgConnectOptions, names: &Names, segments: u8) -> Result<bool, MigrateError> {
    check_number(segments)?;
    let mut link = Link::open(options, READ).await?;
    Ok(link.call(READ, async |connection| add_segments(connection, names, segments).await).await?)
}

/// Makes the roles where they are missing, and grants them what they need, in one transaction.
pub(super) async fn create_roles(options: &PgConnectOptions, names: &Names) -> Result<(), MigrateError> {
    let roles = assembled(schema::postgres_roles(names));
    let mut link = Link::open(options, READ).await?;
    Ok(link.call(READ, async |connection| in_one_transaction(connection, roles).await).await?)
}

async fn in_one_transaction(connection: &mut PgConnection, sql: SqlStr) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(LOCK).execute(&mut *tx).await?;
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    tx.commit().await
}

/// Attaches what is missing, and records the number, in one transaction.
async fn add_segments(connection: &mut PgConnection, names: &Names, segments: u8) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query(LOCK).execute(&mut *tx).await?;
    let rows = sqlx::query(statement(names, SEGMENTS)).fetch_all(&mut *tx).await?;
    let there: Vec<i16> = rows.iter().map(|row| row.try_get("segment")).collect::<Result<_, _>>()?;
    let noted = sqlx::query(statement(names, NOTED)).fetch_one(&mut *tx).await?;
    let used = noted.try_get::<Option<String>, _>("segments")?.and_then(|used| used.parse().ok());
    if used.unwrap_or(there.len()) == usize::from(segments) {
        return Ok(false);
    }
    for segment in (0..i16::from(segments)).filter(|segment| !there.contains(segment)) {
        sqlx::raw_sql(segment_statement(names, SEGMENT, segment)).execute(&mut *tx).await?;
    }
    sqlx::query(statement(names, USED)).bind(segments.to_string()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

fn check_number(segments: u8) -> Result<(), MigrateError> {
    if (1..=MAX_SEGMENTS).contains(&segments) {
        return Ok(());
    }
    Err(precondition(format!("{segments} segments cannot be made; choose 1 to {MAX_SEGMENTS}")).into())
}

struct Plan {
    server: SqlStr,
    meta: SqlStr,
    tables: SqlStr,
}

impl Plan {
    /// In one transaction; returns the version found, or `None` if the tables are new.
    async fn carry_out(&self, connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
        let mut tx = connection.begin().await?;
        sqlx::query(LOCK).execute(&mut *tx).await?;
        let server = sqlx::query(self.server.clone()).fetch_one(&mut *tx).await?;
        if server.try_get("migrated")? {
            let meta = sqlx::query(self.meta.clone()).fetch_one(&mut *tx).await?;
            let version: Option<String> = meta.try_get("schema_version")?;
            return Ok(Some(version.unwrap_or_else(|| "none".to_owned())));
        }
        sqlx::raw_sql(self.tables.clone()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(None)
    }
}
