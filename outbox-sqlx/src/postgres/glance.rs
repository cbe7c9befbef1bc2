//! How far subscriptions are behind, at a cost that no backlog changes: one statement for each, and two.

use outbox_core::status::{Backlog, Glance};
use outbox_core::{Names, Position, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::connection::{Link, READ, statement};
use super::fault::store_error;
use super::status::checkpoint;

const BACKLOG: &str = outbox_core::sql::postgres::STATUS_BACKLOG;
const SEGMENTS: &str = outbox_core::sql::postgres::STATUS_SEGMENTS;
const SUBSCRIPTIONS: &str = outbox_core::sql::postgres::STATUS_SUBSCRIPTIONS;

/// So many open ranges are looked into; of those beyond every position counts, whether an event stands there or not.
const RANGES: usize = 1000;

/// Reads it.
pub(super) async fn glance(mut link: Link, names: &Names, asked: &[String]) -> Result<Glance, StoreError> {
    let segments = link.all(READ, sqlx::query(statement(names, SEGMENTS))).await?;
    let bytes: Result<Vec<Option<i64>>, _> = segments.iter().map(|segment| segment.try_get("bytes")).collect();
    let bytes = bytes.map_err(store_error)?.into_iter().flatten().map(i64::unsigned_abs).sum();
    let mut backlogs = Vec::new();
    for row in link.all(READ, sqlx::query(statement(names, SUBSCRIPTIONS))).await? {
        let mut backlog = backlog(&row).map_err(store_error)?;
        if asked.contains(&backlog.subscription) {
            if let Some((events, seconds)) = owed(&mut link, names, &row).await? {
                (backlog.events, backlog.seconds) = (Some(events), Some(seconds));
            }
            backlogs.push(backlog);
        }
    }
    Ok(Glance { log_bytes: Some(bytes), backlogs })
}

fn backlog(row: &PgRow) -> Result<Backlog, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(Backlog {
        subscription: row.try_get("subscription")?,
        events: None,
        seconds: None,
        parked_keys: count("parked_keys")?,
        parked_events: count("parked_events")?,
    })
}

/// How many events a subscription owes, and since when; `None` before its first checkpoint.
async fn owed(link: &mut Link, names: &Names, row: &PgRow) -> Result<Option<(u64, f64)>, StoreError> {
    let Some((position, open)) = checkpoint(row)? else {
        return Ok(None);
    };
    let (first, last): (Vec<Position>, Vec<Position>) =
        open.ranges().take(RANGES).map(|range| (*range.start(), *range.end())).unzip();
    let beyond: u64 = open.ranges().skip(RANGES).map(|range| range.start().abs_diff(*range.end()) + 1).sum();
    let query = sqlx::query(statement(names, BACKLOG)).bind(position).bind(first).bind(last);
    let row = link.one(READ, query).await?;
    let events: i64 = row.try_get("events").map_err(store_error)?;
    Ok(Some((events.unsigned_abs() + beyond, row.try_get("seconds").map_err(store_error)?)))
}
