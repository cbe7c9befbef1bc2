//! What a worker remembers of its database from one term to the next.
//!
//! A lease may be lost because the database under it was set back, lease and checkpoint and all. The checkpoint found then
//! fits the log found then; only what the worker itself has read tells that both are older. So it outlives the term.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outbox_core::continuity::another_instance;
use outbox_core::source::Proof;
use outbox_core::store::Database;
use outbox_core::{Position, Store, StoreError};
use uuid::Uuid;

/// The memory of one worker, with which it recognises its database.
pub(crate) struct Memory {
    store: Arc<dyn Store>,
    /// The instance that the configuration expects.
    expected: Option<Uuid>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The instance that was met first.
    instance: Option<String>,
    /// How far the log was read, and the last events.
    log: Proof,
}

impl Memory {
    pub(crate) fn new(store: Arc<dyn Store>, expected: Option<Uuid>) -> Self {
        Self { store, expected, known: Mutex::default() }
    }

    /// Checks that a relay may work here, and that it is the outbox that is expected and was met before.
    pub(crate) async fn recognise(&self) -> Result<Database, StoreError> {
        let database = self.store.recognise().await?;
        let found = &database.instance;
        if let Some(expected) = self.expected.filter(|expected| Uuid::try_parse(found).ok() != Some(*expected)) {
            return Err(another_instance(found, &expected.to_string(), "the configuration expects"));
        }
        let mut known = self.known();
        let met = known.instance.get_or_insert_with(|| found.clone());
        if met != found {
            return Err(another_instance(found, met, "this relay has worked"));
        }
        Ok(database)
    }

    /// Remembers how far the log was read.
    pub(crate) fn keep(&self, position: Position, events: Vec<(Position, Uuid)>) {
        let log = &mut self.known().log;
        log.position = log.position.max(position);
        log.events = events;
    }

    /// What the log must hold; `None` before the first read.
    pub(crate) fn log(&self) -> Option<Proof> {
        Some(self.known().log.clone()).filter(|log| *log != Proof::default())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
