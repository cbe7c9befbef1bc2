//! Disks that fill up under the load and are freed again: the server's, the file's that a relay writes, and SQLite's.

mod writers;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{Executor, PgConnection};
use tokio::task::spawn_blocking;
use xtask::postgres::Cluster;

use self::writers::Writers;
use super::{Plan, pause};
use crate::conformance::waiting::between_looks;
use crate::database::Database;
use crate::output::{self, Tail};
use crate::relay_process::{Relay, RelayProcess, WINDOW};
use crate::small_disk::SmallDisk;
use crate::verdict::Verdict;

/// How long a full disk may take to show, and how long a relay may take at all to publish again.
const AT_LAST: Duration = Duration::from_mins(2);

/// How long the load runs between two faults, and on a disk that is full already, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 100..600;

/// How often the server is asked for another file of its log: more than it keeps in advance.
const SWITCHES: u32 = 8;

/// The disk of the server's data folder; every other time its log is full as well, and the server goes down.
///
/// # Errors
///
/// When the disk cannot be made, nothing fails on the full disk, or the relay ends by itself.
pub async fn disk_of_the_server(
    cluster: &Arc<Cluster>,
    disk: &SmallDisk,
    database: &Database,
    folder: &Path,
    plan: &Plan,
) -> Result<Verdict> {
    let relay = Relay::new(database, folder);
    let mut stage = Stage::on_postgres(relay, database, plan).await?;
    let mut crashes = 0;
    stage
        .repeat(
            disk,
            async |stage, number| {
                if number % 2 == 1 && use_the_log_up(database).await {
                    crashes += 1;
                } else {
                    stage.until_writers_fail().await?;
                }
                Ok(())
            },
            async || supervise(cluster).await,
        )
        .await?;
    let note = format!("server_went_down={crashes}");
    stage.judge("disk: the server's data folder filled and freed, every other time with its log", vec![note]).await
}

/// The disk of the file that the relay writes, with the relay's own log on it.
///
/// # Errors
///
/// As [`disk_of_the_server`].
pub async fn disk_of_the_file(disk: &SmallDisk, database: &Database, plan: &Plan) -> Result<Verdict> {
    let relay = Relay::new(database, disk.path());
    let mut stage = Stage::on_postgres(relay, database, plan).await?;
    stage
        .repeat(
            disk,
            async |stage, _| {
                let mut session = database.connect().await?;
                stage
                    .until("the relay says that the file cannot be written", async || {
                        let told = sqlx::query_scalar("SELECT coalesce(max(last_error), '') FROM outbox_lease");
                        Ok(told.fetch_one(&mut session).await.map(|told: String| told.contains("cannot be written"))?)
                    })
                    .await
            },
            async || Ok(()),
        )
        .await?;
    stage.judge("disk: the folder of the relay's file and log filled and freed", Vec::new()).await
}

/// The disk of an SQLite file.
///
/// # Errors
///
/// As [`disk_of_the_server`].
pub async fn disk_of_sqlite(disk: &SmallDisk, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let file = disk.path().join("shop.db");
    let relay = Relay::on_sqlite(&file, folder);
    relay.migrate().await?;
    let writers = Writers::on_sqlite(&file).await?;
    let mut stage = Stage::with(relay, writers, plan)?;
    stage.repeat(disk, async |stage, _| stage.until_writers_fail().await, async || Ok(())).await?;
    stage.judge("disk: the folder of an SQLite database filled and freed", Vec::new()).await
}

/// What a scenario works with.
struct Stage<'p> {
    relay: Relay,
    process: RelayProcess,
    writers: Writers,
    plan: &'p Plan,
    random: fastrand::Rng,
    start: Instant,
    recoveries: Vec<Duration>,
}

impl<'p> Stage<'p> {
    async fn on_postgres(relay: Relay, database: &Database, plan: &'p Plan) -> Result<Self> {
        relay.migrate().await?;
        let writers = Writers::on_postgres(database).await?;
        Self::with(relay, writers, plan)
    }

    fn with(relay: Relay, writers: Writers, plan: &'p Plan) -> Result<Self> {
        let process = relay.spawn()?;
        let random = fastrand::Rng::with_seed(plan.load.seed);
        Ok(Self { relay, process, writers, plan, random, start: Instant::now(), recoveries: Vec::new() })
    }

    /// Fills the disk, waits until that shows, frees it, and waits until all is published that is written then.
    async fn repeat(
        &mut self,
        disk: &SmallDisk,
        mut show: impl AsyncFnMut(&mut Self, usize) -> Result<()>,
        mut supervise: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        loop {
            let number = self.recoveries.len();
            if u64::try_from(number)? >= self.plan.faults || (number > 0 && self.start.elapsed() >= self.plan.at_most) {
                return Ok(());
            }
            self.rest().await;
            disk.fill()?;
            show(self, number).await?;
            self.rest().await;
            // What was given up meanwhile is taken, too.
            disk.fill()?;
            self.process.must_run()?;
            disk.free()?;
            let freed = Instant::now();
            self.recovered(number, &mut supervise).await?;
            self.recoveries.push(freed.elapsed());
            self.process.must_run()?;
        }
    }

    async fn rest(&mut self) {
        pause(Duration::from_millis(self.random.u64(BETWEEN))).await;
    }

    /// A server that tries to recover by itself may still give up, so whoever supervises it looks again and again.
    async fn recovered(&self, number: usize, supervise: &mut impl AsyncFnMut() -> Result<()>) -> Result<()> {
        let mut tail = Tail::from_end(self.relay.output());
        let probe = format!("probe-{number}");
        let commits = async || match self.writers.change(&probe).await {
            Ok(()) => Ok(true),
            Err(_) => supervise().await.map(|()| false),
        };
        self.until("a transaction commits again", commits).await?;
        let lost = || format!("the relay did not come back: {}", self.relay.end_of_log());
        tail.wait_for(&format!("\"{probe}\""), AT_LAST).await.with_context(lost)
    }

    async fn until_writers_fail(&self) -> Result<()> {
        let before = self.writers.failed();
        self.until("a business transaction fails", async || Ok(self.writers.failed() > before)).await
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_so().await? {
            ensure!(
                start.elapsed() < AT_LAST,
                "not within {AT_LAST:?}: {what}; the relay says: {}",
                self.relay.end_of_log()
            );
            between_looks().await;
        }
        Ok(())
    }

    async fn judge(self, name: &'static str, mut notes: Vec<String>) -> Result<Verdict> {
        let (errors, truth) = self.writers.finish().await?;
        self.process.stop().await?;
        self.relay.drain().await?;
        let findings = output::read(self.relay.output())?.judge(&truth);
        let faults = u64::try_from(self.recoveries.len())?;
        let survived = self.recoveries.iter().filter(|took| **took <= self.plan.publish_within).count();
        let slowest = self.recoveries.iter().max().copied().unwrap_or_default();
        notes.push(format!("events={} published_again_after max={}ms", truth.events(), slowest.as_millis()));
        notes.push(format!("business_was_told {errors}"));
        notes.extend(findings.examples.iter().cloned());
        Ok(Verdict {
            name,
            faults,
            survived: u64::try_from(survived)?,
            findings,
            bound: faults * WINDOW,
            seed: self.plan.load.seed,
            wall: self.start.elapsed(),
            notes,
        })
    }
}

/// Makes the server begin files of its log until there is no room for another, which it does not survive.
async fn use_the_log_up(database: &Database) -> bool {
    let Ok(mut session) = database.connect().await else { return true };
    for _ in 0..SWITCHES {
        if fill_one(&mut session).await.is_err() {
            return true;
        }
    }
    false
}

async fn fill_one(session: &mut PgConnection) -> sqlx::Result<()> {
    session.execute("SELECT pg_logical_emit_message(true, 'disk', 'x'); SELECT pg_switch_wal()").await?;
    Ok(())
}

/// What a service manager does: starts the server when it is down.
async fn supervise(cluster: &Arc<Cluster>) -> Result<()> {
    let cluster = Arc::clone(cluster);
    spawn_blocking(move || if cluster.is_running()? { Ok(()) } else { cluster.start_again() }).await?
}
