//! An outbox in memory.
//!
//! It has the parts of a database under the names of the adapters: [`capture`] writes, [`source`] reads, and so on. All
//! of it is one set of [`Tables`] behind one lock, so that every call is one moment. Nothing is drawn by chance and
//! everything is kept in order: the same calls in the same order always come out the same.

mod capture;
mod checkpoint;
mod dead_letter;
mod lease;
mod source;
mod stats;
mod status;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

pub use self::capture::MemoryTransaction;
use self::dead_letter::StoredLetter;
use super::{Captured, ManualClock};
use crate::checkpoint::{Checkpoint, DeadLetter};
use crate::clock::Clock;
use crate::event::{Event, Position};
use crate::lease::{RelayIdentity, Report};
use crate::partition::Partitioning;

/// An outbox in memory that a relay reads as it reads a database. Clones are the same outbox.
///
/// It behaves as PostgreSQL does in what users rely on: positions are drawn when an event is captured, so they commit out
/// of order and rollbacks leave gaps; a read shows what is committed and who may still fill a gap; leases have epochs
/// and expire by a clock; a checkpoint never goes back, nor is one written under an old epoch.
///
/// # Examples
///
/// ```
/// use outbox_core::{NewEvent, testing::MemoryStore};
///
/// let store = MemoryStore::new();
/// let mut tx = store.begin();
/// tx.append(&NewEvent::new("shop.stock", "tea").json(r#"{"amount":5}"#))?;
/// store.captured().assert_none();
/// tx.commit();
/// store.captured().assert_topics(["shop.stock"]);
/// # Ok::<(), outbox_core::CaptureError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    database: Arc<Database>,
}

#[derive(Debug)]
struct Database {
    clock: Arc<dyn Clock>,
    tables: Mutex<Tables>,
}

/// What a database keeps in the tables of [`schema`](crate::schema).
#[derive(Debug, Default)]
struct Tables {
    events: BTreeMap<Position, Event>,
    /// The last position drawn.
    last_position: Position,
    /// The number of the last transaction.
    last_transaction: u64,
    /// Open transactions that have drawn a position.
    writers: BTreeSet<u64>,
    /// By subscription and partition.
    checkpoints: BTreeMap<(String, u32), StoredCheckpoint>,
    dead_letters: BTreeMap<String, BTreeMap<Position, StoredLetter>>,
    leases: BTreeMap<(String, u32), StoredLease>,
    relays: BTreeMap<Uuid, StoredRelay>,
    /// How the subscriptions are shared, by their names.
    partitionings: BTreeMap<String, Partitioning>,
    /// Other rows that rule subscriptions, by their names.
    rules: BTreeMap<String, String>,
}

#[derive(Debug)]
struct StoredCheckpoint {
    epoch: i64,
    /// How often it was claimed.
    claims: u64,
    checkpoint: Checkpoint,
}

#[derive(Debug)]
struct StoredRelay {
    relay: RelayIdentity,
    serves: Vec<String>,
    /// By [`Clock::since_boot`].
    seen_at: Duration,
}

#[derive(Debug)]
struct StoredLease {
    relay_id: Uuid,
    epoch: i64,
    /// By [`Clock::since_boot`].
    expires_at: Duration,
    report: Report,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty outbox whose time stands still at 2000-01-01T00:00:00Z: a lease ends only when it is given back.
    pub fn new() -> Self {
        Self::with_clock(ManualClock::new())
    }

    /// An empty outbox whose leases and times go by this clock; give its relays the same.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self { database: Arc::new(Database { clock: Arc::new(clock), tables: Mutex::default() }) }
    }

    /// Opens a transaction. Any number of them may be open together.
    pub fn begin(&self) -> MemoryTransaction {
        MemoryTransaction::begin(self.clone())
    }

    /// All committed events, by position.
    pub fn captured(&self) -> Captured {
        Captured::new(self.tables().events.values().cloned().collect())
    }

    /// The checkpoint of the first partition of a subscription, where it has one.
    pub fn checkpoint(&self, subscription: &str) -> Option<Checkpoint> {
        self.tables().checkpoints.get(&(subscription.to_owned(), 0)).map(|stored| stored.checkpoint.clone())
    }

    /// The events of a subscription that will not pass, and those that wait behind them, by position, with their reasons.
    pub fn dead_letters(&self, subscription: &str) -> Vec<DeadLetter> {
        self.tables().letters_left(subscription).map(StoredLetter::told).collect()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.database.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that leases go by.
    fn now(&self) -> Duration {
        self.database.clock.since_boot()
    }
}
