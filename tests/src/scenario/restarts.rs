//! The server stopped like a crash and started again, while the relay and the load go on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::{Executor, PgConnection};
use tokio::task::spawn_blocking;
use xtask::postgres::{Cluster, StopMode};

use super::{Plan, figures, pause, spread};
use crate::conformance::waiting::between_looks;
use crate::database::Database;
use crate::load::Load;
use crate::output::{self, Tail};
use crate::relay_process::{Relay, WINDOW};
use crate::verdict::Verdict;

/// How long a relay may take at all to publish again.
const PUBLISH_AT_LAST: Duration = Duration::from_mins(3);

/// How long the server runs between two faults, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 300..1_500;

/// Runs it on a server that nobody else uses; a fault repeats at most a window, and is survived when
/// something comes out in time after the server accepts connections.
///
/// # Errors
///
/// When the load breaks down, the server does not come back, or the relay ends by itself.
pub async fn restarts(cluster: &Arc<Cluster>, database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let name = "restarts: the server stopped with -m immediate at random, under the whole load";
    under(name, cluster, database, folder, plan).await
}

/// Runs it under a load where no commit waits for the disk: what a crash takes back must not have been published.
///
/// # Errors
///
/// As [`restarts`].
pub async fn ghosts(cluster: &Arc<Cluster>, database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let mut plan = plan.clone();
    (plan.load.asynchronous, plan.load.bulk) = (true, 0);
    let name = "ghosts: the server stopped with -m immediate at random, under commits that do not wait for the disk";
    under(name, cluster, database, folder, &plan).await
}

async fn under(
    name: &'static str,
    cluster: &Arc<Cluster>,
    database: &Database,
    folder: &Path,
    plan: &Plan,
) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder);
    relay.migrate().await?;
    let load = Load::start(database, plan.load.clone()).await?;
    let mut process = relay.spawn()?;
    let mut random = fastrand::Rng::with_seed(plan.load.seed);
    let mut recoveries = Vec::new();
    while u64::try_from(recoveries.len())? < plan.faults && (recoveries.is_empty() || start.elapsed() < plan.at_most) {
        let at_work = Duration::from_millis(random.u64(BETWEEN));
        pause(at_work).await;
        let recovery = restart(cluster, database, &relay, recoveries.len()).await;
        process.must_run()?;
        recoveries.push(recovery?);
    }
    let truth = load.finish().await?;
    process.stop().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let mut notes = figures(plan, &truth, &findings);
    let (anything, probe): (Vec<_>, Vec<_>) = recoveries.iter().map(|one| (one.anything, one.probe)).unzip();
    let faults = u64::try_from(anything.len())?;
    let survived = anything.iter().filter(|&&took| took <= plan.publish_within).count();
    notes.push(format!("published_again_after {}", spread(anything)));
    notes.push(format!("event_written_at_that_moment_published_after {}", spread(probe)));
    Ok(Verdict {
        name,
        faults,
        survived: u64::try_from(survived)?,
        findings,
        bound: faults * WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// What came out after the server accepted connections.
struct Recovery {
    /// How long it took until anything did.
    anything: Duration,
    /// How long it took until an event did that was written at that moment, behind whatever waited before it.
    probe: Duration,
}

/// Crashes the server and waits until the relay has come back.
async fn restart(cluster: &Arc<Cluster>, database: &Database, relay: &Relay, number: usize) -> Result<Recovery> {
    let server = Arc::clone(cluster);
    spawn_blocking(move || server.stop(StopMode::Immediate)).await??;
    let server = Arc::clone(cluster);
    let starting = spawn_blocking(move || server.start_again());
    let mut session = accepted(database).await?;
    let accepted = Instant::now();
    let (mut anything, mut everything) = (Tail::from_end(relay.output()), Tail::from_end(relay.output()));
    let probe = format!("probe-{number}");
    write_probe(&mut session, &probe).await?;
    let lost = || format!("the relay did not come back: {}", relay.end_of_log());
    anything.wait_for("partitionkey", PUBLISH_AT_LAST).await.with_context(lost)?;
    let anything = accepted.elapsed();
    everything.wait_for(&format!("\"{probe}\""), PUBLISH_AT_LAST).await.with_context(lost)?;
    let probe = accepted.elapsed();
    starting.await??;
    Ok(Recovery { anything, probe })
}

/// The first session that the server gives.
async fn accepted(database: &Database) -> Result<PgConnection> {
    let start = Instant::now();
    loop {
        match database.connect_as_writer().await {
            Ok(session) => return Ok(session),
            Err(error) if start.elapsed() > PUBLISH_AT_LAST => {
                return Err(error).context("the server did not come back");
            }
            Err(_) => between_looks().await,
        }
    }
}

async fn write_probe(session: &mut PgConnection, key: &str) -> Result<()> {
    session.execute("BEGIN").await?;
    sqlx::query("INSERT INTO bulk (k, ver) VALUES ($1, 1)").bind(key).execute(&mut *session).await?;
    let event = sqlx::query(
        "INSERT INTO outbox_event (topic, event_key, payload) VALUES ('torture', $1, format('{\"k\":\"%s\",\"ver\":1}', $1))",
    );
    event.bind(key).execute(&mut *session).await?;
    session.execute("COMMIT").await?;
    Ok(())
}
