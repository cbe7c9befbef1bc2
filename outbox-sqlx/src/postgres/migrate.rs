//! Makes the outbox tables.

use outbox_core::Names;
use outbox_core::schema::{self, MAX_SEGMENTS};
use outbox_core::store::SCHEMA_VERSION;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Acquire, Row, SqlStr};

use super::connection::{Link, READ, assembled, statement};
use super::fault::precondition;
use crate::MigrateError;

const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;
const META: &str = outbox_core::sql::postgres::STORE_META;
const LOCK: &str = outbox_core::sql::postgres::MIGRATE_LOCK;

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
    if !(1..=MAX_SEGMENTS).contains(&segments) {
        return Err(precondition(format!("{segments} segments cannot be made; choose 1 to {MAX_SEGMENTS}")).into());
    }
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
