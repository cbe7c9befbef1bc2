//! Dead letters on their way into the table and out of it.

use outbox_core::checkpoint::Recorded;
use outbox_core::dead_letter::{Parked, Queue, State, Taken, TakenLetter};
use outbox_core::event::{Operation, Payload};
use outbox_core::source::{Row as LogRow, Unreadable};
use outbox_core::{Names, Position, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, SqlStr};
use time::format_description::well_known::Rfc3339;

use super::connection::{BEGIN_WRITE, json_list, statement, store_error};
use super::row;

const QUEUES: &str = outbox_core::sql::sqlite::CHECKPOINT_QUEUES;
const TAKE: &str = outbox_core::sql::sqlite::CHECKPOINT_TAKE;
const TAKEN: &str = outbox_core::sql::sqlite::CHECKPOINT_TAKEN;
const MORE: &str = outbox_core::sql::sqlite::CHECKPOINT_MORE;

/// One row of `checkpoint_recorded.sql`.
pub(super) fn recorded(found: &SqliteRow) -> Result<Recorded, StoreError> {
    let state = State::from_column(found.try_get("state").map_err(store_error)?)?;
    let settled_at: Option<String> = found.try_get("settled_at").map_err(store_error)?;
    let settled_at = settled_at.as_deref().and_then(row::time);
    Ok(Recorded { position: found.try_get("position").map_err(store_error)?, state, settled_at })
}

/// Keeps one event aside.
pub(super) async fn park(
    sql: SqlStr,
    tx: &mut SqliteConnection,
    subscription: &str,
    letter: &Parked,
) -> Result<(), sqlx::Error> {
    let event = &letter.event;
    let occurred_at = event.occurred_at.format(&Rfc3339).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let query = sqlx::query(sql)
        .bind(subscription)
        .bind(event.position)
        .bind(event.event_id.hyphenated().to_string())
        .bind(event.topic.as_str())
        .bind(event.key.as_str())
        .bind(letter.state.as_str())
        .bind(letter.reason.as_str())
        .bind(letter.attempts)
        .bind(event.event_type.as_deref())
        .bind(event.aggregate_type.as_deref())
        .bind(event.operation.map(Operation::as_str))
        .bind(text(event.payload.as_ref()))
        .bind(text(event.old_payload.as_ref()))
        .bind(binary(event.payload.as_ref()))
        .bind(binary(event.old_payload.as_ref()))
        .bind(event.content_type.as_ref())
        .bind(event.headers.as_deref())
        .bind(event.tenant_id.as_deref())
        .bind(event.actor.as_deref())
        .bind(event.schema_version)
        .bind(event.transaction_id.as_deref())
        .bind(occurred_at)
        .bind(letter.readable)
        .bind(letter.replayed);
    query.execute(tx).await.map(drop)
}

fn text(payload: Option<&Payload>) -> Option<&[u8]> {
    payload.filter(|payload| matches!(payload, Payload::Text(_))).map(Payload::as_bytes)
}

fn binary(payload: Option<&Payload>) -> Option<&[u8]> {
    payload.filter(|payload| matches!(payload, Payload::Binary(_))).map(Payload::as_bytes)
}

pub(super) async fn queues(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
) -> Result<Vec<Queue>, sqlx::Error> {
    let rows = sqlx::query(statement(names, QUEUES)).bind(subscription).fetch_all(connection).await?;
    rows.iter().map(queue).collect()
}

fn queue(row: &SqliteRow) -> Result<Queue, sqlx::Error> {
    Ok(Queue {
        key: row.try_get("event_key")?,
        first: row.try_get("first")?,
        letters: row.try_get::<i64, _>("letters")?.unsigned_abs(),
        is_parked: row.try_get("parked")?,
    })
}

pub(super) async fn take(
    connection: &mut SqliteConnection,
    names: &Names,
    subscription: &str,
    queue: &Queue,
    (letters, bytes): (u32, u64),
) -> Result<Taken, sqlx::Error> {
    let [take, taken, more] = [TAKE, TAKEN, MORE].map(|sql| statement(names, sql));
    let mut tx = connection.begin_with(BEGIN_WRITE).await?;
    let query = sqlx::query_scalar(take)
        .bind(subscription)
        .bind(&queue.key)
        .bind(queue.first)
        .bind(letters)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
    let positions: Vec<Position> = query.fetch_all(&mut *tx).await?;
    let rows = sqlx::query(taken).bind(subscription).bind(json_list(&positions)).fetch_all(&mut *tx).await?;
    let more: i64 = sqlx::query_scalar(more).bind(subscription).bind(&queue.key).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(Taken { letters: rows.iter().map(read).collect::<Result<_, _>>()?, more: more > 0 && !rows.is_empty() })
}

fn read(found: &SqliteRow) -> Result<TakenLetter, sqlx::Error> {
    let attempts = found.try_get("attempts")?;
    let replayed = found.try_get("replayed")?;
    match (row::read(found)?, found.try_get("readable")?) {
        (LogRow::Event(event), false) => {
            let reason = found.try_get("reason")?;
            Ok(TakenLetter { row: LogRow::Unreadable(Unreadable::of(event, reason)), attempts, replayed })
        }
        (row, _) => Ok(TakenLetter { row, attempts, replayed }),
    }
}
