//! Sessions that have nothing to do with the outbox and stay open all the while.

use anyhow::Result;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

/// How many sessions are idle in a transaction.
const IDLE: usize = 50;

/// What a dump does first: one snapshot for all of it, and a lock on every table.
const DUMP: [&str; 2] = [
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "LOCK TABLE outbox_event, outbox_checkpoint, outbox_lease, outbox_relay, outbox_dead_letter, outbox_meta, counter \
     IN ACCESS SHARE MODE",
];

/// A writer, a dump that holds its snapshot, and sessions idle in a transaction; they end with this value.
pub(super) struct Strangers(#[expect(dead_code, reason = "held open")] Vec<PgConnection>);

impl Strangers {
    pub(super) async fn come(url: &str) -> Result<Self> {
        let mut all = Vec::new();
        let mut writer = PgConnection::connect(url).await?;
        for statement in ["CREATE TABLE stranger (n integer)", "BEGIN", "INSERT INTO stranger VALUES (1)"] {
            sqlx::query(statement).execute(&mut writer).await?;
        }
        all.push(writer);
        let mut dump = PgConnection::connect(url).await?;
        for statement in DUMP {
            sqlx::query(statement).execute(&mut dump).await?;
        }
        sqlx::query("SELECT count(*) FROM outbox_event").fetch_one(&mut dump).await?;
        all.push(dump);
        for _ in 0..IDLE {
            let mut idle = PgConnection::connect(url).await?;
            sqlx::query("BEGIN").execute(&mut idle).await?;
            sqlx::query("SELECT count(*) FROM counter").fetch_one(&mut idle).await?;
            all.push(idle);
        }
        Ok(Self(all))
    }
}
