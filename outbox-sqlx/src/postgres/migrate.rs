//! Makes the outbox tables.

use std::borrow::Cow;
use std::time::Duration;

use outbox_core::schema::{self, MAX_SEGMENTS};
use outbox_core::store::SCHEMA_VERSION;
use outbox_core::{Names, StoreError, StoreErrorKind};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use sqlx::{Acquire, Row, SqlStr};

use super::access::check_shape;
use super::address::Address;
use super::connection::{CALL, Link, READ, assembled, once, segment_statement, statement};
use super::fault::{precondition, store_error};
use super::store::check_version;
use crate::{MigrateError, Migrated};

const SERVER: &str = outbox_core::sql::postgres::STORE_SERVER;
const META: &str = outbox_core::sql::postgres::STORE_META;
/// A step that meets a lock gives way at once and is tried again.
const IMPATIENT: &str = outbox_core::sql::postgres::MIGRATE_IMPATIENT;
const LOCK: &str = outbox_core::sql::postgres::MIGRATE_LOCK;
const SEGMENTS: &str = outbox_core::sql::postgres::STATUS_SEGMENTS;
const SEGMENT: &str = outbox_core::sql::postgres::MIGRATE_SEGMENT;
const NOTED: &str = outbox_core::sql::postgres::CLEANUP_NOTED;
const USED: &str = outbox_core::sql::postgres::MIGRATE_USED;
const TRIGGER: &str = outbox_core::sql::postgres::WAKE_TRIGGER;
const TRIGGER_REMOVE: &str = outbox_core::sql::postgres::WAKE_TRIGGER_REMOVE;
const TRIGGER_THERE: &str = outbox_core::sql::postgres::WAKE_TRIGGER_THERE;

/// How often a migration is tried that meets a lock.
const ATTEMPTS: u32 = 100;
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The SQL that makes the tables, and their schema where one is set.
pub(super) fn migration(names: &Names, segments: u8) -> String {
    let tables = schema::postgres(names, segments);
    match names.schema() {
        Some(schema) => format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";\n\n{tables}"),
        None => tables,
    }
}

/// Makes the tables where they are missing, and brings older ones up to date.
pub(super) async fn migrate(address: &Address, names: &Names, segments: u8) -> Result<Migrated, MigrateError> {
    check_number(segments)?;
    let mut link = Link::open(address, READ).await?;
    let found = match patiently(&mut link, names, segments).await {
        // Where something of an outbox is in the way, the check says what.
        Err(error) if error.kind() == StoreErrorKind::Precondition => {
            let server = link.one(CALL, once(statement(names, SERVER))).await?;
            if server.try_get("has_log").map_err(store_error)? {
                check_shape(&mut link, names).await?;
            }
            return Err(error.into());
        }
        found => found?,
    };
    let migrated = answer(found)?;
    // Of tables that are up to date some may be gone all the same.
    check_shape(&mut link, names).await?;
    check_version(&mut link, names).await?;
    Ok(migrated)
}

/// Tries until no lock is met, and then once more whatever it meets.
async fn patiently(link: &mut Link, names: &Names, segments: u8) -> Result<Found, StoreError> {
    for _ in 1..ATTEMPTS {
        let outcome = link.call(READ, async |connection| Ok(carry_out(connection, names, segments).await)).await?;
        match outcome {
            Err(error) if code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => pause().await,
            outcome => return outcome.map_err(store_error),
        }
    }
    link.call(READ, async |connection| carry_out(connection, names, segments).await).await
}

#[expect(clippy::disallowed_methods, reason = "a lock that was refused has no signal to wait for")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(50..150))).await;
}

fn answer(found: Found) -> Result<Migrated, MigrateError> {
    match found {
        Found::Nothing => Ok(Migrated::Created),
        Found::Tables { version, .. } if version != SCHEMA_VERSION.to_string() => {
            Err(MigrateError::Newer { found: version, known: SCHEMA_VERSION })
        }
        Found::Tables { revision, .. } if revision < schema::REVISION => Ok(Migrated::Upgraded { from: revision }),
        Found::Tables { .. } => Ok(Migrated::Nothing),
    }
}

/// Makes the trigger that wakes relays for writers in plain SQL, or takes it away; returns whether anything changed.
pub(super) async fn set_wake_trigger(address: &Address, names: &Names, wanted: bool) -> Result<bool, MigrateError> {
    let mut link = Link::open(address, READ).await?;
    for _ in 1..ATTEMPTS {
        let outcome = link.call(READ, async |connection| Ok(change_trigger(connection, names, wanted).await)).await?;
        match outcome {
            Err(error) if code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => pause().await,
            outcome => return Ok(outcome.map_err(store_error)?),
        }
    }
    Ok(link.call(READ, async |connection| change_trigger(connection, names, wanted).await).await?)
}

async fn change_trigger(connection: &mut PgConnection, names: &Names, wanted: bool) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    once(statement(names, LOCK)).execute(&mut *tx).await?;
    once(statement(names, IMPATIENT)).execute(&mut *tx).await?;
    if once(statement(names, TRIGGER_THERE)).fetch_one(&mut *tx).await?.try_get::<bool, _>("there")? == wanted {
        return Ok(false);
    }
    let change = statement(names, if wanted { TRIGGER } else { TRIGGER_REMOVE });
    sqlx::raw_sql(change).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// Changes how many segments are used; returns whether anything changed.
pub(super) async fn resize(address: &Address, names: &Names, segments: u8) -> Result<bool, MigrateError> {
    check_number(segments)?;
    let mut link = Link::open(address, READ).await?;
    Ok(link.call(READ, async |connection| add_segments(connection, names, segments).await).await?)
}

/// Makes the roles where they are missing, and grants them what they need, in one transaction.
pub(super) async fn create_roles(address: &Address, names: &Names) -> Result<(), MigrateError> {
    let roles = assembled(schema::postgres_roles(names));
    let mut link = Link::open(address, READ).await?;
    Ok(link.call(READ, async |connection| in_one_transaction(connection, names, roles).await).await?)
}

async fn in_one_transaction(connection: &mut PgConnection, names: &Names, sql: SqlStr) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    once(statement(names, LOCK)).execute(&mut *tx).await?;
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    tx.commit().await
}

/// Attaches what is missing, and records the number, in one transaction.
async fn add_segments(connection: &mut PgConnection, names: &Names, segments: u8) -> Result<bool, sqlx::Error> {
    let mut tx = connection.begin().await?;
    once(statement(names, LOCK)).execute(&mut *tx).await?;
    let rows = once(statement(names, SEGMENTS)).fetch_all(&mut *tx).await?;
    let there: Vec<i16> = rows.iter().map(|row| row.try_get("segment")).collect::<Result<_, _>>()?;
    let noted = once(statement(names, NOTED)).fetch_one(&mut *tx).await?;
    let used = noted.try_get::<Option<String>, _>("segments")?.and_then(|used| used.parse().ok());
    if used.unwrap_or(there.len()) == usize::from(segments) {
        return Ok(false);
    }
    for segment in (0..i16::from(segments)).filter(|segment| !there.contains(segment)) {
        sqlx::raw_sql(segment_statement(names, SEGMENT, segment)).execute(&mut *tx).await?;
    }
    once(statement(names, USED)).bind(segments.to_string()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

fn check_number(segments: u8) -> Result<(), MigrateError> {
    if (1..=MAX_SEGMENTS).contains(&segments) {
        return Ok(());
    }
    Err(precondition(format!("{segments} segments cannot be made; choose 1 to {MAX_SEGMENTS}")).into())
}

/// What a migration found before it changed anything.
enum Found {
    Nothing,
    Tables { version: String, revision: u32 },
}

/// Makes or upgrades the tables in one transaction, which waits for no lock that somebody at work holds.
async fn carry_out(connection: &mut PgConnection, names: &Names, segments: u8) -> Result<Found, sqlx::Error> {
    let mut tx = connection.begin().await?;
    once(statement(names, LOCK)).execute(&mut *tx).await?;
    once(statement(names, IMPATIENT)).execute(&mut *tx).await?;
    let found = find(&mut tx, names).await?;
    let steps = match &found {
        Found::Nothing => vec![migration(names, segments)],
        Found::Tables { version, revision } if *version == SCHEMA_VERSION.to_string() => {
            schema::postgres_upgrade(names, *revision)
        }
        Found::Tables { .. } => Vec::new(),
    };
    for step in steps {
        sqlx::raw_sql(assembled(step)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(found)
}

async fn find(connection: &mut PgConnection, names: &Names) -> Result<Found, sqlx::Error> {
    let server = once(statement(names, SERVER)).fetch_one(&mut *connection).await?;
    if !server.try_get::<bool, _>("migrated")? {
        return Ok(Found::Nothing);
    }
    let meta = once(statement(names, META)).fetch_one(connection).await?;
    let version: Option<String> = meta.try_get("schema_version")?;
    let revision = schema::revision(meta.try_get("revision")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Found::Tables { version: version.unwrap_or_else(|| "none".to_owned()), revision })
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}
