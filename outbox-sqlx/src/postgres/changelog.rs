//! Counts what the log holds.

use outbox_core::store::Count;
use outbox_core::{Filter, Names, Position, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};
use time::OffsetDateTime;

use super::address::Address;
use super::connection::{Link, WALK};
use super::fault::store_error;
use super::filter::{FilterValues, reading_statement};

const STATS: &str = outbox_core::sql::postgres::CHANGELOG_STATS;

/// Counts the events above a position that pass the filter, over a connection of its own.
pub(super) async fn stats(
    address: &Address,
    names: &Names,
    after: Position,
    filter: &Filter,
) -> Result<Vec<Count>, StoreError> {
    let filter = FilterValues::new(filter);
    let query = sqlx::query(reading_statement(names, STATS, filter.as_ref())).bind(after);
    let query = match &filter {
        Some(filter) => filter.bind(query),
        None => query,
    };
    let rows = Link::open(address, WALK).await?.all(WALK, query).await?;
    rows.iter().map(count).collect::<Result<_, _>>().map_err(store_error)
}

fn count(row: &PgRow) -> Result<Count, sqlx::Error> {
    Ok(Count {
        operation: text(row, "operation")?,
        table: text(row, "aggregate_type")?,
        topic: text(row, "topic")?.unwrap_or_default(),
        tenant: text(row, "tenant_id")?,
        events: row.try_get::<i64, _>("events")?.unsigned_abs(),
        first: time(row, "first_micros")?,
        last: time(row, "last_micros")?,
    })
}

/// Text of whatever encoding the database has.
fn text(row: &PgRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

fn time(row: &PgRow, column: &str) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let micros: Option<i64> = row.try_get(column)?;
    Ok(micros.and_then(|micros| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()))
}
