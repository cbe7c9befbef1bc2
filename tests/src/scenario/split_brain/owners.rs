//! Who works which partition, looked at all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::pause;
use crate::conformance::waiting::between_looks;
use crate::database::Database;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How long it may take at all until everybody has a share.
const PATIENCE: Duration = Duration::from_mins(2);

/// The leases that run.
const LEASES: &str = "SELECT lease.partition_id, relay.relay_name
    FROM outbox_lease AS lease JOIN outbox_relay AS relay USING (relay_id)
    WHERE lease.subscription = 'default' AND lease.expires_at > clock_timestamp()";

/// Watches until it is told to end.
pub(super) struct Owners {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    watching: JoinHandle<Result<()>>,
}

/// What was seen so far.
#[derive(Debug)]
struct Seen {
    away: BTreeSet<String>,
    /// When a relay was last stopped, and how many were before.
    stopped: (Instant, u64),
    /// Partitions that no relay works which is there, and since when.
    without: BTreeMap<i32, Instant>,
    shares: BTreeMap<String, usize>,
    within: Duration,
    watched: Watched,
}

/// How long partitions were without a relay.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// The pauses after which it took too long.
    late: BTreeSet<u64>,
    longest: Duration,
    bound: Duration,
    /// Pauses that began while another relay was away.
    together: u64,
}

impl Watched {
    pub(super) fn late(&self) -> u64 {
        self.late.len() as u64
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { longest, bound, together, .. } = self;
        let (longest, bound) = (longest.as_millis(), bound.as_millis());
        write!(f, "two_away_together={together} owner_again_after max={longest}ms (≤ bound {bound}ms)")
    }
}

impl Owners {
    pub(super) async fn watch(database: &Database, partitions: u32, within: Duration) -> Result<Self> {
        let seen = Seen {
            away: BTreeSet::new(),
            stopped: (Instant::now(), 0),
            without: BTreeMap::new(),
            shares: BTreeMap::new(),
            within,
            watched: Watched { bound: within, ..Watched::default() },
        };
        let (seen, stop) = (Arc::new(Mutex::new(seen)), CancellationToken::new());
        let watching = tokio::spawn(watch(database.connect().await?, partitions, Arc::clone(&seen), stop.clone()));
        Ok(Self { seen, stop, watching })
    }

    /// Waits until each partition is worked, and everybody has a share.
    pub(super) async fn until_shared(&self, relays: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            {
                let seen = lock(&self.seen);
                if seen.without.is_empty() && seen.shares.len() == relays {
                    return Ok(());
                }
                ensure!(start.elapsed() < PATIENCE, "the partitions are not shared: {:?}", seen.shares);
            }
            between_looks().await;
        }
    }

    /// Notes that a relay is about to be stopped.
    pub(super) fn away(&self, relay: &str) {
        let mut seen = lock(&self.seen);
        seen.watched.together += u64::from(!seen.away.is_empty());
        seen.away.insert(relay.to_owned());
        seen.stopped = (Instant::now(), seen.stopped.1 + 1);
    }

    /// Notes that a relay goes on.
    pub(super) fn back(&self, relay: &str) {
        lock(&self.seen).away.remove(relay);
    }

    /// Ends, and says what was seen.
    pub(super) async fn end(self) -> Result<Watched> {
        self.stop.cancel();
        self.watching.await??;
        Ok(lock(&self.seen).watched.clone())
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch(
    mut session: PgConnection,
    partitions: u32,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) -> Result<()> {
    while !stop.is_cancelled() {
        let leases: Vec<(i32, String)> = sqlx::query_as(LEASES).fetch_all(&mut session).await?;
        lock(&seen).note(&leases, i32::try_from(partitions)?);
        pause(LOOK).await;
    }
    session.close().await?;
    Ok(())
}

impl Seen {
    fn note(&mut self, leases: &[(i32, String)], partitions: i32) {
        let now = Instant::now();
        let there = leases.iter().filter(|(_, relay)| !self.away.contains(relay));
        let worked: BTreeSet<_> = there.map(|(partition, _)| *partition).collect();
        self.shares.clear();
        for (_, relay) in leases {
            *self.shares.entry(relay.clone()).or_default() += 1;
        }
        for partition in 0..partitions {
            if worked.contains(&partition) {
                self.without.remove(&partition);
                continue;
            }
            let since = *self.without.entry(partition).or_insert(now);
            // Before the first pause they begin, and each further pause takes away who was to take over.
            if self.stopped.1 > 0 {
                let took = now.saturating_duration_since(since.max(self.stopped.0));
                self.watched.longest = self.watched.longest.max(took);
                if took > self.within {
                    self.watched.late.insert(self.stopped.1);
                }
            }
        }
    }
}
