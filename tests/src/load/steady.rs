//! A load of a steady pace, for scenarios that watch how relays get over a fault rather than how much they bear.

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{prepare, truth};
use crate::database::Database;
use crate::oracle::Truth;

/// So many sessions write beside one another.
const WRITERS: u32 = 4;

/// A running load; it ends with this value.
pub struct SteadyLoad {
    database: Database,
    stop: CancellationToken,
    writers: JoinSet<Result<()>>,
}

impl SteadyLoad {
    /// Creates the business tables and writes about so many events a second, on so many keys.
    ///
    /// # Errors
    ///
    /// When the outbox is missing, or the tables exist already.
    pub async fn start(database: &Database, seed: u64, keys: u32, per_second: u32) -> Result<Self> {
        Self::start_torn(database, seed, keys, per_second, 0).await
    }

    /// The same where so many events of a hundred lack the last brace of their payload, and will not pass until somebody has
    /// mended them.
    ///
    /// # Errors
    ///
    /// As [`SteadyLoad::start`].
    pub async fn start_torn(database: &Database, seed: u64, keys: u32, per_second: u32, torn: u32) -> Result<Self> {
        prepare(database, keys).await?;
        let stop = CancellationToken::new();
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let session = database.connect_as_writer().await?;
            let random = fastrand::Rng::with_seed(seed ^ u64::from(number));
            let every = Duration::from_secs(1) * WRITERS / per_second;
            writers.spawn(write(session, random, (keys, torn), every, stop.clone()));
        }
        Ok(Self { database: database.clone(), stop, writers })
    }

    /// Ends it, and reads what the database holds.
    ///
    /// # Errors
    ///
    /// When a writer failed, or the log does not hold as many events as the counters say.
    pub async fn finish(mut self) -> Result<Truth> {
        self.stop.cancel();
        while let Some(ended) = self.writers.join_next().await {
            ended??;
        }
        let mut session = self.database.connect().await?;
        let truth = truth(&mut session, true).await?;
        session.close().await?;
        Ok(truth)
    }
}

/// One transaction after the other: one in ten is rolled back, one in twenty is slow to commit.
async fn write(
    mut session: PgConnection,
    mut random: fastrand::Rng,
    (keys, torn): (u32, u32),
    every: Duration,
    stop: CancellationToken,
) -> Result<()> {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let key = format!("k-{}", random.u32(1..=keys));
        let mut tx = session.begin().await?;
        let raise = sqlx::query_scalar("UPDATE agg SET ver = ver + 1 WHERE k = $1 RETURNING ver").bind(&key);
        let version: i64 = raise.fetch_one(&mut *tx).await?;
        let event = sqlx::query("INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', $1, $2)");
        let end = if random.u32(..100) < torn { "" } else { "}" };
        let payload = format!(r#"{{"k":"{key}","ver":{version}{end}"#);
        event.bind(&key).bind(payload).execute(&mut *tx).await?;
        match random.u8(..20) {
            0 | 1 => tx.rollback().await?,
            2 => {
                tx.execute("SELECT pg_sleep(0.03)").await?;
                tx.commit().await?;
            }
            _ => tx.commit().await?,
        }
    }
    Ok(())
}
