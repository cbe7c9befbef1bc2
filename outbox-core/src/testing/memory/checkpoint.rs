//! Keeps checkpoints.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, StoredCheckpoint, StoredLease, Tables};
use crate::checkpoint::{Checkpoint, Checkpoints, Claimed, Entry, HOLD, Held, Recorded};
use crate::dead_letter::{Queue, Taken};
use crate::error::{StoreError, StoreErrorKind};
use crate::event::Position;
use crate::partition::{Asked, Change, Partitioning};

/// The checkpoints of a [`MemoryStore`].
pub(super) struct MemoryCheckpoints {
    pub(super) store: MemoryStore,
    /// Which claim of each row a write follows; one that was made and not claimed yet has 0.
    pub(super) claims: BTreeMap<(String, u32), u64>,
}

impl Tables {
    /// The checkpoint, unless a newer epoch holds it.
    fn fence(&mut self, subscription: &str, held: Held) -> Result<Option<&mut StoredCheckpoint>, StoreError> {
        match self.checkpoints.get_mut(&(subscription.to_owned(), held.partition)) {
            Some(stored) if stored.epoch > held.epoch => Err(fenced(subscription, held.epoch)),
            stored => Ok(stored),
        }
    }

    /// The checkpoints of all partitions.
    pub(super) fn checkpoints_of(&self, subscription: &str) -> BTreeMap<u32, Checkpoint> {
        let rows = self.checkpoints.iter().filter(|((name, _), _)| name == subscription);
        rows.map(|((_, partition), stored)| (*partition, stored.checkpoint.clone())).collect()
    }

    /// How the subscription is shared; one without a row of its own has one partition.
    fn partitioning(&self, subscription: &str) -> Option<Partitioning> {
        let one = || (!self.checkpoints_of(subscription).is_empty()).then(|| Partitioning::new(1));
        self.partitionings.get(subscription).cloned().or_else(one)
    }

    /// Makes the rows of the number asked for.
    fn repartition(&mut self, subscription: &str, now: Duration) -> Change {
        let Some(partitioning) = self.partitioning(subscription) else { return Change::Nothing };
        let Some(count) = partitioning.next else { return Change::Nothing };
        let of_it = |((name, _), lease): (&(String, u32), &StoredLease)| name == subscription && lease.expires_at > now;
        if self.leases.iter().any(of_it) {
            return Change::Later;
        }
        let from = partitioning.count;
        let (changed, checkpoint) = partitioning.change(&self.checkpoints_of(subscription), count);
        let epochs =
            self.checkpoints.iter().filter(|((name, _), _)| name == subscription).map(|(_, stored)| stored.epoch);
        let epoch = epochs
            .chain(self.leases.iter().filter(|((name, _), _)| name == subscription).map(|(_, lease)| lease.epoch))
            .max();
        let epoch = 1 + epoch.unwrap_or_default();
        self.checkpoints.retain(|(name, _), _| name != subscription);
        self.leases.retain(|(name, _), _| name != subscription);
        for partition in 0..count {
            let stored = StoredCheckpoint { epoch, claims: 0, checkpoint: checkpoint.clone() };
            self.checkpoints.insert((subscription.to_owned(), partition), stored);
        }
        self.partitionings.insert(subscription.to_owned(), changed);
        Change::Made { from, to: count }
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError> {
        let mut tables = self.store.tables();
        for held in held {
            tables.fence(subscription, *held)?;
        }
        let mut checkpoints = BTreeMap::new();
        for held in held {
            if let Some(stored) = tables.fence(subscription, *held)? {
                stored.epoch = held.epoch;
                stored.claims += 1;
                self.claims.insert((subscription.to_owned(), held.partition), stored.claims);
                checkpoints.insert(held.partition, stored.checkpoint.clone());
            }
        }
        Ok(Claimed { partitioning: tables.partitioning(subscription), checkpoints })
    }

    async fn found(&mut self, subscription: &str, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        if tables.checkpoints_of(subscription).is_empty() {
            tables.partitionings.insert(subscription.to_owned(), Partitioning::new(partitions));
            for partition in 0..partitions {
                let stored = StoredCheckpoint { epoch: 0, claims: 0, checkpoint: checkpoint.clone() };
                tables.checkpoints.insert((subscription.to_owned(), partition), stored);
            }
        }
        Ok(())
    }

    async fn create(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        if let Some(stored) = tables.fence(reader, Held { partition: 0, epoch })? {
            stored.epoch = epoch;
            return Ok(());
        }
        let row = (reader.to_owned(), 0);
        if tables.leases.get(&row).is_some_and(|lease| lease.epoch > epoch) {
            return Err(fenced(reader, epoch));
        }
        tables.checkpoints.insert(row, StoredCheckpoint { epoch, claims: 0, checkpoint: checkpoint.clone() });
        Ok(())
    }

    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError> {
        let now = self.store.database.clock.time_of_day();
        let mut tables = self.store.tables();
        let claims = |held: &Held| self.claims.get(&(subscription.to_owned(), held.partition)).copied().unwrap_or(0);
        for (held, checkpoint) in &entry.checkpoints {
            match tables.fence(subscription, *held)? {
                Some(stored) if stored.claims == claims(held) && stored.checkpoint.position <= checkpoint.position => {}
                _ => return Err(fenced(subscription, held.epoch)),
            }
        }
        for (held, checkpoint) in &entry.checkpoints {
            let stored = StoredCheckpoint { epoch: held.epoch, claims: claims(held), checkpoint: checkpoint.clone() };
            tables.checkpoints.insert((subscription.to_owned(), held.partition), stored);
        }
        tables.write_letters(subscription, entry, now);
        Ok(())
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.store.tables().recorded(subscription))
    }

    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError> {
        Ok(self.store.tables().queues(subscription))
    }

    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError> {
        Ok(self.store.tables().take(subscription, queue, letters, bytes))
    }

    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError> {
        let checkpoints = self.store.tables().checkpoints_of(subscription);
        Ok(checkpoints.into_iter().map(|(partition, each)| (partition, each.lowest())).collect())
    }

    async fn ask_partitions(&mut self, subscription: &str, partitions: u32) -> Result<bool, StoreError> {
        let mut tables = self.store.tables();
        let Some(partitioning) = tables.partitioning(subscription) else { return Ok(true) };
        match partitioning.ask(&tables.checkpoints_of(subscription), partitions) {
            Asked::Already => Ok(true),
            Asked::Later => Ok(false),
            Asked::Granted(asked) => {
                tables.partitionings.insert(subscription.to_owned(), asked);
                Ok(true)
            }
        }
    }

    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError> {
        let now = self.store.now();
        Ok(self.store.tables().repartition(subscription, now))
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        let Tables { checkpoints, leases, .. } = &mut *tables;
        let is_over = |row: &(String, u32)| {
            row.0.starts_with(HOLD) && leases.get(row).is_none_or(|lease: &StoredLease| lease.expires_at <= now)
        };
        checkpoints.retain(|row, _| !is_over(row));
        leases.retain(|(name, _), lease| !name.starts_with(HOLD) || lease.expires_at > now);
        Ok(())
    }
}

/// Another relay holds a newer epoch.
fn fenced(subscription: &str, epoch: i64) -> StoreError {
    let message = format!("subscription `{subscription}` is another relay's by now: epoch {epoch} is out of date");
    StoreError::new(StoreErrorKind::Fenced, message)
}
