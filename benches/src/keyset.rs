//! The bare loop the relay is measured by: reads the log by its key, and commits a cursor beside the next read. Exports are
//! measured by the same loop without a cursor.
//!
//! It has nothing of what makes a relay safe: no leases, no holes, no order of keys, no window, no durability of what it
//! read.

use std::hint::black_box;

use anyhow::Result;
use futures_util::TryStreamExt as _;
use outbox_core::{Event, Operation, Payload};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use tokio::sync::mpsc;

const READ: &str = "\
    SELECT position, event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload, \
        payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version, transaction_id, \
        occurred_at \
    FROM outbox_event WHERE position > $1 ORDER BY position LIMIT 5000";

/// A cursor is committed after so many events.
const CURSOR_EVERY: i64 = 1000;
/// So many commits may be behind the read: those of one page.
const CURSORS_BEHIND: usize = 5;

/// Makes the cursor.
pub(crate) async fn prepare(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("CREATE TABLE bench_cursor (position bigint NOT NULL)").execute(&mut connection).await?;
    sqlx::query("INSERT INTO bench_cursor VALUES (0)").execute(&mut connection).await?;
    Ok(())
}

/// Reads everything with a cursor; how many events there were.
pub(crate) async fn drain(url: &str) -> Result<i64> {
    let (cursor, cursors) = mpsc::channel(CURSORS_BEHIND);
    let commits = tokio::spawn(commit(PgConnection::connect(url).await?, cursors));
    let (position, events) = read(url, Some(&cursor)).await?;
    cursor.send(position).await?;
    drop(cursor);
    commits.await??;
    Ok(events)
}

/// Reads everything, and says where it is if somebody wants to know; the last position, and how many events there were.
pub(crate) async fn read(url: &str, cursor: Option<&mpsc::Sender<i64>>) -> Result<(i64, i64)> {
    let mut connection = PgConnection::connect(url).await?;
    let (mut position, mut events) = (0, 0);
    loop {
        let before = events;
        let mut rows = sqlx::query(READ).bind(position).fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            let event = black_box(event(&row)?);
            position = event.position;
            events += 1;
            if events % CURSOR_EVERY == 0
                && let Some(cursor) = cursor
            {
                cursor.send(position).await?;
            }
        }
        if events == before {
            return Ok((position, events));
        }
    }
}

async fn commit(mut connection: PgConnection, mut cursors: mpsc::Receiver<i64>) -> Result<()> {
    while let Some(position) = cursors.recv().await {
        sqlx::query("UPDATE bench_cursor SET position = $1").bind(position).execute(&mut connection).await?;
    }
    Ok(())
}

fn event(row: &PgRow) -> Result<Event, sqlx::Error> {
    let payload = |text: usize, binary: usize| -> Result<Option<Payload>, sqlx::Error> {
        let text = row.try_get::<Option<String>, _>(text)?.map(|text| Payload::Text(text.into_bytes()));
        let binary = row.try_get::<Option<Vec<u8>>, _>(binary)?.map(Payload::Binary);
        Ok(text.or(binary))
    };
    Ok(Event {
        position: row.try_get(0)?,
        event_id: row.try_get(1)?,
        topic: row.try_get(2)?,
        key: row.try_get(3)?,
        event_type: row.try_get(4)?,
        aggregate_type: row.try_get(5)?,
        operation: row.try_get::<Option<&str>, _>(6)?.and_then(Operation::parse),
        payload: payload(7, 9)?,
        old_payload: payload(8, 10)?,
        content_type: row.try_get::<String, _>(11)?.into(),
        headers: row.try_get(12)?,
        tenant_id: row.try_get(13)?,
        actor: row.try_get(14)?,
        schema_version: row.try_get(15)?,
        transaction_id: row.try_get(16)?,
        occurred_at: row.try_get(17)?,
    })
}
