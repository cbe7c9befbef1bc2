//! How far subscriptions are behind, at a cost that no backlog changes: one statement for each, and two.

use outbox_core::checkpoint::Checkpoint;
use outbox_core::status::{Backlog, Gathered, Glance, gather};
use outbox_core::{Names, Position, StoreError};
use sqlx::Row;

use super::connection::{Link, READ, statement};
use super::fault::store_error;
use super::status::partition;

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
    let rows = link.all(READ, sqlx::query(statement(names, SUBSCRIPTIONS))).await?;
    let rows = rows.iter().map(|row| Ok(partition(row)?.0)).collect::<Result<Vec<_>, _>>().map_err(store_error)?;
    let mut backlogs = Vec::new();
    for Gathered { status, checkpoint, .. } in gather(&rows) {
        if asked.contains(&status.name) {
            let mut backlog = Backlog::from(status);
            if let Some(checkpoint) = checkpoint {
                let (events, seconds) = owed(&mut link, names, &checkpoint).await?;
                (backlog.events, backlog.seconds) = (Some(events), Some(seconds));
            }
            backlogs.push(backlog);
        }
    }
    Ok(Glance { log_bytes: Some(bytes), backlogs })
}

/// How many events a subscription owes, and since when.
async fn owed(link: &mut Link, names: &Names, checkpoint: &Checkpoint) -> Result<(u64, f64), StoreError> {
    let Checkpoint { position, open, .. } = checkpoint;
    let (first, last): (Vec<Position>, Vec<Position>) =
        open.ranges().take(RANGES).map(|range| (*range.start(), *range.end())).unzip();
    let beyond: u64 = open.ranges().skip(RANGES).map(|range| range.start().abs_diff(*range.end()) + 1).sum();
    let query = sqlx::query(statement(names, BACKLOG)).bind(position).bind(first).bind(last);
    let row = link.one(READ, query).await?;
    let events: i64 = row.try_get("events").map_err(store_error)?;
    Ok((events.unsigned_abs() + beyond, row.try_get("seconds").map_err(store_error)?))
}
