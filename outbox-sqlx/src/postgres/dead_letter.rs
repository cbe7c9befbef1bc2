//! Dead letters on their way into the table and out of it.

use std::sync::Arc;

use outbox_core::checkpoint::Recorded;
use outbox_core::dead_letter::{Parked, Queue, State, Taken, TakenLetter};
use outbox_core::event::Payload;
use outbox_core::source::{Row as LogRow, Unreadable};
use outbox_core::{Event, Names, Operation, StoreError};
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row, SqlStr};

use super::checkpoint::storable;
use super::connection::{CALL, Link, READ, statement};
use super::fault::store_error;
use super::row;

const QUEUES: &str = outbox_core::sql::postgres::CHECKPOINT_QUEUES;
const TAKE: &str = outbox_core::sql::postgres::CHECKPOINT_TAKE;

/// One row of `checkpoint_recorded.sql`.
pub(super) fn recorded(row: &PgRow) -> Result<Recorded, StoreError> {
    let state = State::from_column(row.try_get("state").map_err(store_error)?)?;
    let settled_at = row.try_get("settled_at").map_err(store_error)?;
    Ok(Recorded { position: row.try_get("position").map_err(store_error)?, state, settled_at })
}

/// The statement that keeps events aside.
pub(super) fn parked<'q>(
    sql: &SqlStr,
    subscription: &'q str,
    letters: &[Arc<Parked>],
) -> Query<'q, Postgres, PgArguments> {
    let texts = |text: fn(&Parked) -> &str| letters.iter().map(|letter| storable(text(letter))).collect::<Vec<_>>();
    let some = |text: fn(&Event) -> Option<&String>| {
        letters.iter().map(|letter| text(&letter.event).map(|text| storable(text))).collect::<Vec<_>>()
    };
    let bytes = |payload: fn(&Event) -> Option<&[u8]>| {
        letters.iter().map(|letter| payload(&letter.event).map(<[u8]>::to_vec)).collect::<Vec<_>>()
    };
    let attempts = letters.iter().map(|letter| i32::try_from(letter.attempts).unwrap_or(i32::MAX));
    sqlx::query(sql.clone())
        .bind(subscription)
        .bind(letters.iter().map(|letter| letter.event.position).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.event.event_id).collect::<Vec<_>>())
        .bind(texts(|letter| &letter.event.topic))
        .bind(texts(|letter| &letter.event.key))
        .bind(texts(|letter| letter.state.as_str()))
        .bind(texts(|letter| &letter.reason))
        .bind(attempts.collect::<Vec<_>>())
        .bind(some(|event| event.event_type.as_ref()))
        .bind(some(|event| event.aggregate_type.as_ref()))
        .bind(letters.iter().map(|letter| letter.event.operation.map(Operation::as_str)).collect::<Vec<_>>())
        .bind(bytes(|event| text(event.payload.as_ref())))
        .bind(bytes(|event| text(event.old_payload.as_ref())))
        .bind(bytes(|event| binary(event.payload.as_ref())))
        .bind(bytes(|event| binary(event.old_payload.as_ref())))
        .bind(texts(|letter| &letter.event.content_type))
        .bind(some(|event| event.headers.as_ref()))
        .bind(some(|event| event.tenant_id.as_ref()))
        .bind(some(|event| event.actor.as_ref()))
        .bind(letters.iter().map(|letter| letter.event.schema_version).collect::<Vec<_>>())
        .bind(some(|event| event.transaction_id.as_ref()))
        .bind(letters.iter().map(|letter| letter.event.occurred_at).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.readable).collect::<Vec<_>>())
        .bind(letters.iter().map(|letter| letter.replayed).collect::<Vec<_>>())
}

fn text(payload: Option<&Payload>) -> Option<&[u8]> {
    payload.filter(|payload| matches!(payload, Payload::Text(_))).map(Payload::as_bytes)
}

fn binary(payload: Option<&Payload>) -> Option<&[u8]> {
    payload.filter(|payload| matches!(payload, Payload::Binary(_))).map(Payload::as_bytes)
}

pub(super) async fn queues(link: &mut Link, names: &Names, subscription: &str) -> Result<Vec<Queue>, StoreError> {
    let rows = link.all(CALL, sqlx::query(statement(names, QUEUES)).bind(subscription)).await?;
    rows.iter().map(queue).collect::<Result<_, _>>().map_err(store_error)
}

fn queue(row: &PgRow) -> Result<Queue, sqlx::Error> {
    Ok(Queue {
        key: row.try_get("event_key")?,
        first: row.try_get("first")?,
        letters: row.try_get::<i64, _>("letters")?.unsigned_abs(),
        is_parked: row.try_get("parked")?,
    })
}

pub(super) async fn take(
    link: &mut Link,
    names: &Names,
    subscription: &str,
    queue: &Queue,
    (letters, bytes): (u32, u64),
) -> Result<Taken, StoreError> {
    let query = sqlx::query(statement(names, TAKE))
        .bind(subscription)
        .bind(&queue.key)
        .bind(queue.first)
        .bind(i64::from(letters))
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
    let rows = link.all(READ, query).await?;
    let taken = rows.iter().map(taken).collect::<Result<Vec<_>, _>>().map_err(store_error)?;
    let found: i64 = rows.first().map_or(Ok(0), |row| row.try_get("found")).map_err(store_error)?;
    let got = i64::try_from(taken.len()).unwrap_or(i64::MAX);
    let more = !queue.key.is_empty() && (found > got || got >= i64::from(letters));
    Ok(Taken { letters: taken, more })
}

fn taken(found: &PgRow) -> Result<TakenLetter, sqlx::Error> {
    let attempts = u32::try_from(found.try_get::<i32, _>("attempts")?).unwrap_or_default();
    let read = row::read(found)?;
    let replayed = found.try_get("replayed")?;
    match (read, found.try_get("readable")?) {
        (LogRow::Event(event), false) => {
            let reason = found.try_get("reason")?;
            Ok(TakenLetter { row: LogRow::Unreadable(Unreadable::of(event, reason)), attempts, replayed })
        }
        (row, _) => Ok(TakenLetter { row, attempts, replayed }),
    }
}
