//! The outbox in memory that users test with: it is held to what the databases are.

use outbox_core::testing::{Captured, MemoryStore, MemoryTransaction};
use outbox_core::{Entity, NewEvent};
use outbox_relay::SystemClock;
use outbox_sqlx::AppendError;
use uuid::Uuid;

use super::log::SUBSCRIPTION;
use super::{Backend, Business};

/// An outbox of its own, whose time is the system's.
pub struct Memory(MemoryStore);

impl Backend for Memory {
    type Store = MemoryStore;
    type Transaction<'t> = MemoryTransaction;

    async fn create() -> Self {
        Self(MemoryStore::with_clock(SystemClock))
    }

    fn store(&self) -> MemoryStore {
        self.0.clone()
    }

    async fn begin(&self) -> MemoryTransaction {
        self.0.begin()
    }

    async fn last_dead_letter(&self) -> Option<String> {
        let known = [SUBSCRIPTION, "s"].into_iter().flat_map(|name| self.0.dead_letters(name)).last()?;
        Some(format!("{} {} {} {}", known.position, known.key, known.reason, known.attempts))
    }

    async fn append(tx: &mut Self::Transaction<'_>, event: &NewEvent<'_>) -> Result<Uuid, AppendError> {
        Ok(tx.append(event)?)
    }

    async fn append_all(tx: &mut Self::Transaction<'_>, events: &[NewEvent<'_>]) -> Result<Vec<Uuid>, AppendError> {
        Ok(tx.append_all(events)?)
    }

    async fn change<E: Entity>(
        tx: &mut Self::Transaction<'_>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError> {
        match (before, after) {
            (None, Some(after)) => Ok(tx.insert(after)?),
            (Some(before), Some(after)) => Ok(tx.update(before, after)?),
            (Some(before), None) => Ok(tx.delete(before)?),
            (None, None) => Ok(None),
        }
    }

    async fn captured(&self, tx: &mut Self::Transaction<'_>) -> Result<Captured, AppendError> {
        Ok(tx.captured())
    }
}

impl Business for MemoryTransaction {
    async fn commit(self) -> sqlx::Result<()> {
        MemoryTransaction::commit(self);
        Ok(())
    }

    async fn rollback(self) -> sqlx::Result<()> {
        MemoryTransaction::rollback(self);
        Ok(())
    }
}
