//! The loops most people write by hand: claim a batch with `SKIP LOCKED`, publish it, mark or delete it, commit.

use std::hint::black_box;

use anyhow::Result;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use crate::server::settle;

/// The table is used up within seconds: its vacuum would fall into the measurement of somebody else.
const TABLE: [&str; 2] = [
    "CREATE TABLE bench_outbox (\
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL, \
        payload jsonb NOT NULL, processed_at timestamptz) WITH (autovacuum_enabled = off)",
    "CREATE INDEX bench_outbox_waiting ON bench_outbox (id) WHERE processed_at IS NULL",
];

const FILL: &str = "\
    INSERT INTO bench_outbox (topic, key, payload) \
    SELECT topic, event_key, payload::jsonb FROM outbox_event ORDER BY position";

const CLAIM: &str = "\
    SELECT id, topic, key, payload::text FROM bench_outbox WHERE processed_at IS NULL \
    ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";

/// How a loop goes about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Worker {
    batch: i64,
    finish: &'static str,
}

impl Worker {
    /// The usual one: batches of 100, marked as processed.
    pub(crate) const USUAL: Self =
        Self { batch: 100, finish: "UPDATE bench_outbox SET processed_at = now() WHERE id = ANY($1)" };
    /// The careful one: batches of 1,000, deleted.
    pub(crate) const CAREFUL: Self = Self { batch: 1000, finish: "DELETE FROM bench_outbox WHERE id = ANY($1)" };

    /// Processes all rows; how many there were.
    pub(crate) async fn drain(self, url: &str) -> Result<i64> {
        let mut connection = PgConnection::connect(url).await?;
        let mut events = 0;
        loop {
            let mut transaction = connection.begin().await?;
            let rows = sqlx::query(CLAIM).bind(self.batch).fetch_all(&mut *transaction).await?;
            if rows.is_empty() {
                return Ok(events);
            }
            let mut ids: Vec<i64> = Vec::with_capacity(rows.len());
            for row in &rows {
                let event: (i64, String, String, String) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
                ids.push(black_box(event).0);
            }
            sqlx::query(self.finish).bind(&ids).execute(&mut *transaction).await?;
            transaction.commit().await?;
            events += i64::try_from(ids.len())?;
        }
    }
}

/// Makes the table, with rows of the same content as the outbox.
pub(crate) async fn fill(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("DROP TABLE IF EXISTS bench_outbox").execute(&mut connection).await?;
    for statement in TABLE.into_iter().chain([FILL]) {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    settle(&mut connection).await
}
