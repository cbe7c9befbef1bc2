//! One writer whose inserts are timed: what the emptying of segments must not make wait.
//!
//! On a machine that has more to do than it can, any statement takes long at times. So each transaction has two inserts, one into a
//! table that maintenance never touches, and the report tells of both. Of those that took long it tells how long the session's
//! process stood in the queue for a processor, which the kernel counts: what is left is what locks and the disk had it wait.

use std::fmt;
use std::fs;
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

/// What its session calls itself.
pub(super) const SESSION: &str = "timed";

/// What the server needed until the row was written, in microseconds.
macro_rules! telling_time {
    ($insert:literal) => {
        concat!($insert, " RETURNING (extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1e6)::int8")
    };
}

const ELSEWHERE: &str = telling_time!("INSERT INTO bulk (k, ver) VALUES ($1, 1)");
const LOG: &str = telling_time!(
    "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', $1, format('{\"k\":\"%s\",\"ver\":1}', $1))"
);

/// How long the inserts took.
#[derive(Debug, Default)]
pub(super) struct Inserts {
    /// Into a table of the business.
    elsewhere: Vec<Took>,
    /// Into the log.
    log: Vec<Took>,
}

/// How long one insert took.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// From the call to its answer.
    whole: Duration,
    /// What the server says.
    server: Duration,
    /// How long the server's process was ready to run and did not; nothing where the system does not tell.
    queued: Duration,
}

impl Took {
    /// The most that locks and the disk can have had it wait. Its own work is in it, and how long this process queued; the time
    /// the server tells is no bound, since the server begins to count after it has locked the table.
    fn held(&self) -> Duration {
        self.whole.saturating_sub(self.queued)
    }
}

/// Inserts until it is told to stop.
pub(super) async fn insert_again_and_again(
    database: Database,
    phase: &str,
    stop: CancellationToken,
) -> Result<Inserts> {
    let mut session = database.connect_as_writer().await?;
    sqlx::query("SELECT set_config('application_name', $1, false)").bind(SESSION).execute(&mut session).await?;
    let process = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await?;
    let mut took = Inserts::default();
    while !stop.is_cancelled() {
        let key = format!("{phase}-{}", took.log.len());
        let mut tx = session.begin().await?;
        took.elsewhere.push(timed(&mut tx, process, ELSEWHERE, &key).await?);
        took.log.push(timed(&mut tx, process, LOG, &key).await?);
        tx.commit().await?;
        pause(REST).await;
    }
    Ok(took)
}

async fn timed(session: &mut PgConnection, process: i32, insert: &'static str, key: &str) -> Result<Took> {
    let (before, start) = (queued(process), Instant::now());
    let server: i64 = sqlx::query_scalar(insert).bind(key).fetch_one(session).await?;
    let whole = start.elapsed();
    Ok(Took {
        whole,
        server: Duration::from_micros(server.unsigned_abs()),
        queued: queued(process).saturating_sub(before),
    })
}

/// How long a process has stood in the queue for a processor so far, where it runs on this machine and the system tells.
fn queued(process: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanoseconds)
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

fn spread(took: &[Took]) -> String {
    let mut sorted: Vec<Duration> = took.iter().map(|took| took.whole).collect();
    sorted.sort_unstable();
    let at = |share: usize| sorted.get(sorted.len() * share / 1000).or(sorted.last()).copied().unwrap_or_default();
    let millis = |took: Duration| format!("{:.1}ms", took.as_secs_f64() * 1e3);
    let (usual, rare) = (millis(at(500)), millis(at(999)));
    let max = millis(sorted.last().copied().unwrap_or_default());
    let held = millis(took.iter().map(Took::held).max().unwrap_or_default());
    let over: Vec<&Took> = took.iter().filter(|took| took.whole > BOUND).collect();
    let each = over.iter().map(|took| {
        let (whole, server, queued) = (millis(took.whole), millis(took.server), millis(took.queued));
        format!("{whole}: {server} at the server, {queued} in the queue for a processor")
    });
    let each = if over.is_empty() { String::new() } else { format!(" ({})", each.collect::<Vec<_>>().join("; ")) };
    format!("p50={usual} p99.9={rare} max={max} longest_held={held} over_50ms={}{each}", over.len())
}
