//! Keeps checkpoints.

use async_trait::async_trait;

use super::{MemoryStore, StoredCheckpoint, StoredLease, Tables};
use crate::checkpoint::{Checkpoint, Checkpoints, DeadLetter, HOLD};
use crate::error::{StoreError, StoreErrorKind};
use crate::event::Position;

/// The checkpoints of a [`MemoryStore`].
pub(super) struct MemoryCheckpoints {
    pub(super) store: MemoryStore,
}

impl Tables {
    /// The checkpoint, unless a newer epoch holds it.
    fn fence(&mut self, subscription: &str, epoch: i64) -> Result<Option<&mut StoredCheckpoint>, StoreError> {
        match self.checkpoints.get_mut(subscription) {
            Some(stored) if stored.epoch > epoch => Err(fenced(subscription, epoch)),
            stored => Ok(stored),
        }
    }
}

#[async_trait]
impl Checkpoints for MemoryCheckpoints {
    async fn claim(&mut self, subscription: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError> {
        let mut tables = self.store.tables();
        Ok(tables.fence(subscription, epoch)?.map(|stored| {
            stored.epoch = epoch;
            stored.checkpoint.clone()
        }))
    }

    async fn create(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        if let Some(stored) = tables.fence(subscription, epoch)? {
            stored.epoch = epoch;
            return Ok(());
        }
        if tables.leases.get(subscription).is_some_and(|lease| lease.epoch > epoch) {
            return Err(fenced(subscription, epoch));
        }
        let stored = StoredCheckpoint { epoch, checkpoint: checkpoint.clone() };
        tables.checkpoints.insert(subscription.to_owned(), stored);
        Ok(())
    }

    async fn save(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        match tables.fence(subscription, epoch)? {
            Some(stored) if stored.checkpoint.position <= checkpoint.position => {
                *stored = StoredCheckpoint { epoch, checkpoint: checkpoint.clone() };
                Ok(())
            }
            _ => Err(fenced(subscription, epoch)),
        }
    }

    async fn record(&mut self, subscription: &str, epoch: i64, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        tables.fence(subscription, epoch)?;
        let recorded = tables.dead_letters.entry(subscription.to_owned()).or_default();
        recorded.extend(letters.iter().map(|letter| (letter.position, letter.clone())));
        Ok(())
    }

    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Position>, StoreError> {
        let tables = self.store.tables();
        Ok(tables.dead_letters.get(subscription).into_iter().flat_map(|letters| letters.keys().copied()).collect())
    }

    async fn forgive(&mut self, subscription: &str, epoch: i64, positions: &[Position]) -> Result<(), StoreError> {
        let mut tables = self.store.tables();
        tables.fence(subscription, epoch)?;
        if let Some(letters) = tables.dead_letters.get_mut(subscription) {
            letters.retain(|position, _| !positions.contains(position));
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        let now = self.store.now();
        let mut tables = self.store.tables();
        let Tables { checkpoints, leases, .. } = &mut *tables;
        let is_over = |name: &str| {
            name.starts_with(HOLD) && leases.get(name).is_none_or(|lease: &StoredLease| lease.expires_at <= now)
        };
        checkpoints.retain(|name, _| !is_over(name));
        leases.retain(|name, lease| !name.starts_with(HOLD) || lease.expires_at > now);
        Ok(())
    }
}

/// Another relay holds a newer epoch.
fn fenced(subscription: &str, epoch: i64) -> StoreError {
    let message = format!("subscription `{subscription}` is another relay's by now: epoch {epoch} is out of date");
    StoreError::new(StoreErrorKind::Fenced, message)
}
