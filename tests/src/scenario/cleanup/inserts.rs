//! One writer whose inserts are timed: what the emptying of segments must not make wait.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::scenario::pause;

/// What an insert may wait for maintenance.
const BOUND: Duration = Duration::from_millis(50);

/// How long the writer rests between two transactions.
const REST: Duration = Duration::from_millis(1);

const INSERT: &str = "\
    INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', $1, format('{\"k\":\"%s\",\"ver\":1}', $1))";

/// How long the inserts took.
#[derive(Debug)]
pub(super) struct Inserts(Vec<Duration>);

/// Inserts until it is told to stop.
pub(super) async fn insert_again_and_again(database: Database, stop: CancellationToken) -> Result<Inserts> {
    let mut session = database.connect_as_writer().await?;
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        took.push(insert(&mut session, took.len()).await?);
        pause(REST).await;
    }
    Ok(Inserts(took))
}

async fn insert(session: &mut PgConnection, number: usize) -> Result<Duration> {
    let key = format!("timed-{number}");
    let mut tx = session.begin().await?;
    sqlx::query("INSERT INTO bulk (k, ver) VALUES ($1, 1)").bind(&key).execute(&mut *tx).await?;
    let start = Instant::now();
    sqlx::query(INSERT).bind(&key).execute(&mut *tx).await?;
    let took = start.elapsed();
    tx.commit().await?;
    Ok(took)
}

impl fmt::Display for Inserts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get(sorted.len() * share / 1000).or(sorted.last()).copied().unwrap_or_default();
        let over = sorted.iter().filter(|took| **took > BOUND).count();
        let millis = |took: Duration| took.as_secs_f64() * 1e3;
        let (usual, rare) = (millis(at(500)), millis(at(999)));
        let max = millis(sorted.last().copied().unwrap_or_default());
        write!(f, "timed_inserts={} p50={usual:.1}ms p99.9={rare:.1}ms max={max:.1}ms over_50ms={over}", sorted.len())
    }
}
