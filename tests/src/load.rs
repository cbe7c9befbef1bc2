//! A load that finds out what a reader is worth.
//!
//! pgbench plays the scripts in `pgbench/`: plain commits, rollbacks, savepoints, two-phase commits, slow commits, strict
//! isolation levels, asynchronous commits. Beside it sessions are ended at random and prepared transactions that lost
//! their session are settled by another; the log moves on from segment to segment; one bulk transaction rolls back and
//! one commits behind events that came later; and a stranger's write transaction stays open throughout.

mod bulk;
mod disturber;
mod pgbench;
mod steady;
mod stranger;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::steady::SteadyLoad;
use crate::database::Database;
use crate::oracle::Truth;

const TABLES: &str = include_str!("../pgbench/tables.sql");

/// How soon progress is noticed.
const TICK: Duration = Duration::from_millis(50);

/// How soon the wanted number of events is noticed; counting them costs the server some milliseconds.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// How long the load may stand still before it counts as broken.
const STANDSTILL: Duration = Duration::from_mins(1);

/// How the load is mixed.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Decides everything that is random.
    pub seed: u64,
    /// How many counters there are; fewer mean more quarrels.
    pub keys: u32,
    /// How many sessions pgbench opens.
    pub clients: u32,
    /// How many transactions a second pgbench begins in all; as many as there can be where it is `None`.
    pub rate: Option<u32>,
    /// How many events each bulk transaction writes.
    pub bulk: u32,
    /// The mean time between two ends of sessions.
    pub kill_every: Duration,
    /// Whether every event is still in the log at the end, and no cleaner has been there.
    pub log_is_kept: bool,
    /// Whether no commit waits for the disk.
    pub asynchronous: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            keys: 200,
            clients: 32,
            rate: None,
            bulk: 0,
            kill_every: Duration::from_millis(100),
            log_is_kept: true,
            asynchronous: false,
        }
    }
}

/// What the drivers share.
struct Context {
    database: Database,
    options: LoadOptions,
    stop: CancellationToken,
    killed: AtomicU64,
    trouble: Mutex<String>,
}

impl Context {
    /// Keeps what went wrong last, for the case that nothing goes on any more.
    fn trouble(&self, text: &impl ToString) {
        *self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = text.to_string();
    }

    fn last_trouble(&self) -> String {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A generator for one driver.
    fn random(&self, driver: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.options.seed ^ driver.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A session, as soon as the server gives one; none once the load stops.
    async fn session(&self) -> Option<PgConnection> {
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            match self.database.connect_as_writer().await {
                Ok(session) => return Some(session),
                Err(error) => self.trouble(&error),
            }
            self.pause(TICK).await;
        }
    }

    /// Sleeps, or wakes when the load stops.
    async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.stop.cancelled()).await;
    }
}

/// A running load; dropping it ends its processes.
pub struct Load {
    context: Arc<Context>,
    drivers: JoinSet<Result<()>>,
    bulk: JoinSet<Result<()>>,
}

impl Load {
    /// Creates the business tables and lets everything loose.
    ///
    /// # Errors
    ///
    /// When the outbox is missing, the tables exist already, or pgbench cannot be started.
    pub async fn start(database: &Database, options: LoadOptions) -> Result<Self> {
        prepare(database, options.keys).await?;
        let context = Arc::new(Context {
            database: database.clone(),
            options,
            stop: CancellationToken::new(),
            killed: AtomicU64::new(0),
            trouble: Mutex::default(),
        });

        let (mut drivers, mut bulk) = (JoinSet::new(), JoinSet::new());
        let stranger = stranger::open(&context).await.context("the load was stopped before it began")?;
        drivers.spawn(stranger::stay(Arc::clone(&context), stranger));
        for process in 0..pgbench::PROCESSES {
            drivers.spawn(pgbench::repeat(Arc::clone(&context), process));
        }
        drivers.spawn(disturber::disturb(Arc::clone(&context)));
        if context.options.bulk > 0 {
            bulk.spawn(bulk::write(Arc::clone(&context)));
        }
        Ok(Self { context, drivers, bulk })
    }

    /// How many events pgbench has committed, and how many sessions have been ended.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn progress(&self) -> Result<(u64, u64)> {
        let mut session = self.context.database.connect().await?;
        let events = committed(&mut session).await?;
        session.close().await?;
        Ok((events, self.context.killed.load(Ordering::Relaxed)))
    }

    /// Waits until pgbench has committed so many events, or the time is over.
    ///
    /// # Errors
    ///
    /// When nothing is committed any more; the text tells what went wrong last.
    pub async fn wait_for(&self, events: u64, at_most: Duration) -> Result<u64> {
        let start = Instant::now();
        let (mut moved, mut last) = (start, 0);
        loop {
            let seen = self.progress().await.map_or(last, |(seen, _)| seen);
            if seen >= events || start.elapsed() >= at_most {
                return Ok(seen);
            }
            if seen != last {
                (moved, last) = (Instant::now(), seen);
            }
            if moved.elapsed() > STANDSTILL {
                bail!("the load stands still at {last} events: {}", self.context.last_trouble());
            }
            self.context.pause(COUNT_EVERY).await;
        }
    }

    /// Ends everything, settles what is still prepared, and reads what the database holds.
    ///
    /// # Errors
    ///
    /// When a driver failed, or the log does not hold as many events as the counters say.
    pub async fn finish(mut self) -> Result<Truth> {
        while let Some(ended) = self.bulk.join_next().await {
            ended??;
        }
        self.context.stop.cancel();
        let drivers = async {
            while let Some(ended) = self.drivers.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        // The last slices may wait for a key that a prepared transaction without a session holds.
        tokio::select! {
            ended = drivers => ended?,
            failed = disturber::settle_without_end(&self.context.database) => failed?,
        }
        let mut session = self.context.database.connect().await?;
        disturber::settle_everything(&mut session).await?;
        let truth = truth(&mut session, self.context.options.log_is_kept).await?;
        session.close().await?;
        Ok(truth)
    }
}

/// Creates the users and the business tables, with so many counters.
async fn prepare(database: &Database, keys: u32) -> Result<()> {
    let mut session = database.connect().await?;
    database.make_users().await?;
    session.execute(TABLES).await?;
    let counters = sqlx::query("INSERT INTO agg (k) SELECT 'k-' || n FROM generate_series(1, $1) AS n");
    counters.bind(i32::try_from(keys)?).execute(&mut session).await?;
    session.close().await?;
    Ok(())
}

async fn committed(session: &mut PgConnection) -> Result<u64> {
    let sum: i64 = sqlx::query_scalar("SELECT coalesce(sum(ver), 0)::bigint FROM agg").fetch_one(session).await?;
    Ok(u64::try_from(sum)?)
}

async fn truth(session: &mut PgConnection, log_is_kept: bool) -> Result<Truth> {
    let rows = sqlx::query("SELECT k, ver FROM agg WHERE ver > 0 UNION ALL SELECT k, ver FROM bulk");
    let mut truth = Truth::default();
    for row in rows.fetch_all(&mut *session).await? {
        truth.counters.insert(row.get(0), u64::try_from(row.get::<i64, _>(1))?);
    }
    let positions: i64 =
        sqlx::query_scalar("SELECT last_value FROM outbox_event_position_seq").fetch_one(&mut *session).await?;
    truth.positions = u64::try_from(positions)?;
    if !log_is_kept {
        return Ok(truth);
    }
    let logged: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox_event").fetch_one(session).await?;
    let (logged, told) = (u64::try_from(logged)?, truth.events());
    ensure!(logged == told, "the log holds {logged} events, the counters tell of {told}");
    Ok(truth)
}
