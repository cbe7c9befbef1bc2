//! Counts what the log holds.

use outbox_core::store::Count;
use outbox_core::{Filter, Names, Position, StoreError};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::connection::{WALK, bounded};
use super::filter::{FilterValues, reading_statement};
use super::row;

const STATS: &str = outbox_core::sql::sqlite::CHANGELOG_STATS;

/// The columns of `changelog_stats.sql` in their order.
mod column {
    pub(super) const OPERATION: usize = 0;
    pub(super) const AGGREGATE_TYPE: usize = 1;
    pub(super) const TOPIC: usize = 2;
    pub(super) const TENANT_ID: usize = 3;
    pub(super) const EVENTS: usize = 4;
    pub(super) const FIRST_AT: usize = 5;
    pub(super) const LAST_AT: usize = 6;
}

/// Counts the events above a position that pass the filter.
pub(super) async fn stats(
    mut connection: SqliteConnection,
    names: &Names,
    after: Position,
    filter: &Filter,
) -> Result<Vec<Count>, StoreError> {
    let filter = FilterValues::new(filter)?;
    let query = sqlx::query(reading_statement(names, STATS, filter.as_ref())).bind(after);
    let query = match &filter {
        Some(filter) => filter.bind(query),
        None => query,
    };
    bounded(WALK, async { query.fetch_all(&mut connection).await?.iter().map(count).collect() }).await
}

fn count(row: &SqliteRow) -> Result<Count, sqlx::Error> {
    let events: i64 = row.try_get(column::EVENTS)?;
    let time =
        |column| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(column)?.and_then(|text| row::time(&text)));
    Ok(Count {
        operation: row::lossy(row, column::OPERATION)?,
        table: row::lossy(row, column::AGGREGATE_TYPE)?,
        topic: row::lossy(row, column::TOPIC)?.unwrap_or_default(),
        tenant: row::lossy(row, column::TENANT_ID)?,
        events: events.unsigned_abs(),
        first: time(column::FIRST_AT)?,
        last: time(column::LAST_AT)?,
    })
}
