//! One writer whose inserts are timed: what the emptying of segments must not make wait.
//!
//! On a machine that has more to do than it can, any statement takes long at times. So each transaction has two inserts, one into a
//! table that maintenance never touches, and the report tells of both.

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
#[derive(Debug, Default)]
pub(super) struct Inserts {
    /// Into a table of the business.
    elsewhere: Vec<Duration>,
    /// Into the log.
    log: Vec<Duration>,
}

/// Inserts until it is told to stop.
pub(super) async fn insert_again_and_again(database: Database, stop: CancellationToken) -> Result<Inserts> {
    let mut session = database.connect_as_writer().await?;
    let mut took = Inserts::default();
    while !stop.is_cancelled() {
        let key = format!("timed-{}", took.log.len());
        let mut tx = session.begin().await?;
        took.elsewhere.push(timed(&mut tx, "INSERT INTO bulk (k, ver) VALUES ($1, 1)", &key).await?);
        took.log.push(timed(&mut tx, INSERT, &key).await?);
        tx.commit().await?;
        pause(REST).await;
    }
    Ok(took)
}

async fn timed(session: &mut PgConnection, insert: &'static str, key: &str) -> Result<Duration> {
    let start = Instant::now();
    sqlx::query(insert).bind(key).execute(session).await?;
    Ok(start.elapsed())
}

impl fmt::Display for Inserts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "timed_inserts={} into the log: {}; elsewhere: {}",
            self.log.len(),
            spread(&self.log),
            spread(&self.elsewhere)
        )
    }
}

fn spread(took: &[Duration]) -> String {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let at = |share: usize| sorted.get(sorted.len() * share / 1000).or(sorted.last()).copied().unwrap_or_default();
    let over = sorted.iter().filter(|took| **took > BOUND).count();
    let millis = |took: Duration| took.as_secs_f64() * 1e3;
    let (usual, rare) = (millis(at(500)), millis(at(999)));
    let max = millis(sorted.last().copied().unwrap_or_default());
    format!("p50={usual:.1}ms p99.9={rare:.1}ms max={max:.1}ms over_50ms={over}")
}
