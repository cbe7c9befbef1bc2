//! Writes events in transactions.

use std::borrow::Cow;

use uuid::Uuid;

use super::{Captured, MemoryStore};
use crate::capture::{CaptureError, DomainEvent, Entity, NewEvent, change};
use crate::context::Context;
use crate::event::{Event, JSON, Position};

/// An open transaction of a [`MemoryStore`]. Dropping it rolls it back.
///
/// Its methods are those of the adapters' outboxes, without the waiting. Positions are drawn at once, and a rollback does
/// not give them back.
#[derive(Debug)]
#[must_use = "dropping a transaction rolls it back"]
pub struct MemoryTransaction {
    store: MemoryStore,
    number: u64,
    events: Vec<Event>,
    context: Context,
}

impl MemoryTransaction {
    pub(super) fn begin(store: MemoryStore) -> Self {
        let number = {
            let mut tables = store.tables();
            tables.last_transaction += 1;
            tables.last_transaction
        };
        Self { store, number, events: Vec::new(), context: Context::default() }
    }

    /// The same with a context, which every event written from now on carries.
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Writes one event and returns its id.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; the transaction is then what it was before the call.
    pub fn append<E: DomainEvent + ?Sized>(&mut self, event: &E) -> Result<Uuid, CaptureError> {
        Ok(self.write(event.to_event()?))
    }

    /// Writes events in their order, all of them or none, and returns their ids.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; the transaction is then what it was before the call.
    pub fn append_all<E: DomainEvent>(&mut self, events: &[E]) -> Result<Vec<Uuid>, CaptureError> {
        let events = events.iter().map(E::to_event).collect::<Result<Vec<_>, _>>()?;
        Ok(events.into_iter().map(|event| self.write(event)).collect())
    }

    /// Captures a row that was inserted.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; the transaction is then what it was before the call.
    pub fn insert<E: Entity>(&mut self, after: &E) -> Result<Option<Uuid>, CaptureError> {
        Ok(change(None, Some(after))?.map(|event| self.write(event)))
    }

    /// Captures a row that was updated; returns `None` where nothing of its image changed.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; the transaction is then what it was before the call.
    pub fn update<E: Entity>(&mut self, before: &E, after: &E) -> Result<Option<Uuid>, CaptureError> {
        Ok(change(Some(before), Some(after))?.map(|event| self.write(event)))
    }

    /// Captures a row that was deleted.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; the transaction is then what it was before the call.
    pub fn delete<E: Entity>(&mut self, before: &E) -> Result<Option<Uuid>, CaptureError> {
        Ok(change(Some(before), None)?.map(|event| self.write(event)))
    }

    /// What it captured so far.
    pub fn captured(&self) -> Captured {
        Captured::new(self.events.clone())
    }

    /// Makes its events visible, all at one moment.
    pub fn commit(mut self) {
        let events = std::mem::take(&mut self.events);
        let mut tables = self.store.tables();
        tables.events.extend(events.into_iter().map(|event| (event.position, event)));
        tables.writers.remove(&self.number);
    }

    /// Forgets its events.
    pub fn rollback(self) {
        drop(self);
    }

    fn write(&mut self, event: NewEvent<'_>) -> Uuid {
        let position = {
            let mut tables = self.store.tables();
            tables.writers.insert(self.number);
            tables.last_position += 1;
            tables.last_position
        };
        let event_id = event.event_id;
        let context = self.context.now();
        let event = self.stored(context.stamp(event), position);
        self.events.push(event);
        event_id
    }

    /// The row, with what a database adds to it.
    fn stored(&self, event: NewEvent<'_>, position: Position) -> Event {
        Event {
            position,
            event_id: event.event_id,
            topic: event.topic.into_owned(),
            key: event.key.into_owned(),
            event_type: event.event_type.map(String::from),
            aggregate_type: event.aggregate_type.map(String::from),
            operation: event.operation,
            payload: event.payload,
            old_payload: event.old_payload,
            content_type: if event.content_type == JSON {
                JSON.into()
            } else {
                Cow::Owned(event.content_type.into_owned())
            },
            headers: event.headers.map(String::from),
            tenant_id: event.tenant_id.map(String::from),
            actor: event.actor.map(String::from),
            schema_version: event.schema_version,
            transaction_id: Some(self.number.to_string()),
            occurred_at: self.store.database.clock.time_of_day(),
        }
    }
}

impl Drop for MemoryTransaction {
    fn drop(&mut self) {
        self.store.tables().writers.remove(&self.number);
    }
}
