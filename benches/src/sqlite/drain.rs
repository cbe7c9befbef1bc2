//! The whole relay to nowhere, against a bare loop over the same columns.

use std::hint::black_box;
use std::path::Path;

use anyhow::Result;
use futures_util::TryStreamExt as _;
use outbox_sqlx::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};

use crate::counted;
use crate::measure::Meter;
use crate::report::Table;

const RELAY: &str = "relay";
const BARE: &str = "bare loop";

/// Rows on their way between SQLite's thread and the reader, as many as the relay's own adapter allows.
const ROW_BUFFER: usize = 512;

const FILL: &str = "\
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) \
    INSERT INTO outbox_event (topic, event_key, event_type, payload) \
    SELECT 'bench.orders', 'order-' || n % 1000, 'Placed', \
        substr('{\"order\":' || n || ',\"note\":\"' || hex(randomblob(150)), 1, 298) || '\"}' \
    FROM numbers";

const READ: &str = "\
    SELECT position, schema_version, payload_binary, old_payload_binary, event_id, topic, event_key, event_type, \
        aggregate_type, operation, payload, old_payload, content_type, headers, tenant_id, actor, transaction_id, \
        occurred_at \
    FROM outbox_event WHERE position > ?1 ORDER BY position LIMIT 5000";

/// A file with waiting events.
pub(super) struct Waiting {
    options: SqliteConnectOptions,
    store: SqliteStore,
    events: i64,
}

impl Waiting {
    /// Makes the file.
    pub(super) async fn fill(path: &Path, events: i64) -> Result<Self> {
        let (options, store) = super::outbox(path, SqliteSynchronous::Normal).await?;
        let mut connection = options.connect().await?;
        sqlx::query(FILL).bind(events).execute(&mut connection).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
        Ok(Self { options: options.row_buffer_size(ROW_BUFFER), store, events })
    }

    /// One round of both variants.
    pub(super) async fn measure(&self, table: &mut Table, round: u32) -> Result<()> {
        let meter = Meter::start(None)?;
        meter.stop(table, BARE, self.events, self.read().await?)?;
        let meter = Meter::start(None)?;
        let drained = counted::drain(self.store.clone(), format!("round-{round}")).await?;
        meter.stop(table, RELAY, self.events, drained)
    }

    async fn read(&self) -> Result<i64> {
        let mut connection = self.options.connect().await?;
        let (mut position, mut events) = (0, 0);
        loop {
            let before = events;
            let mut rows = sqlx::query(READ).bind(position).fetch(&mut connection);
            while let Some(row) = rows.try_next().await? {
                position = decode(&row)?;
                events += 1;
            }
            if events == before {
                return Ok(events);
            }
        }
    }
}

/// Takes every column out of the row, into memory of its own; its position.
fn decode(row: &SqliteRow) -> Result<i64, sqlx::Error> {
    black_box(row.try_get::<Option<i32>, _>(1)?);
    for binary in 2..4 {
        black_box(row.try_get::<Option<Vec<u8>>, _>(binary)?);
    }
    for text in 4..18 {
        black_box(row.try_get::<Option<String>, _>(text)?);
    }
    row.try_get(0)
}

/// The goals of the drain.
pub(super) fn judge(table: &mut Table) {
    table.at_least("relay / bare loop", table.ratio(RELAY, BARE, "events/s"), 0.3);
}
