//! Reads the log.

use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MemoryStore, Tables};
use crate::error::{StoreError, StoreErrorKind};
use crate::event::{Event, Position};
use crate::filter::Filter;
use crate::position::PositionSet;
use crate::source::{Evidence, Holder, Proof, Read, ReadRequest, Row, Source, Start};

/// A reader of a [`MemoryStore`].
pub(super) struct MemorySource {
    pub(super) store: MemoryStore,
    pub(super) filter: Filter,
}

#[async_trait]
impl Source for MemorySource {
    /// Memory is never restarted under anybody.
    fn server_started(&self) -> Option<i64> {
        Some(0)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let tables = self.store.tables();
        let most = usize::try_from(request.max_events.max(1)).unwrap_or(usize::MAX);
        let found: Vec<&Event> = tables.wanted(request).take(most).collect();
        let mut bytes = 0;
        let mut rows = Vec::new();
        for event in &found {
            let mine = request.portion.as_ref().is_none_or(|portion| portion.holds(&event.key, event.position));
            let passes = mine && self.filter.passes(event);
            bytes += if passes { size(event) } else { 0 };
            if bytes > request.max_bytes && !rows.is_empty() {
                break;
            }
            let row = || Row::Event(Box::new((*event).clone()));
            rows.push(if passes { row() } else { Row::Filtered(event.position) });
        }
        let complete = found.len() < most && rows.len() == found.len();
        Ok(Read { rows, complete, evidence: Evidence::Holders(tables.holders()) })
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        Ok(self.store.tables().last_position)
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        let tables = self.store.tables();
        let last = tables.last_position;
        match start {
            Start::Beginning => Ok((0, PositionSet::new())),
            Start::Position(position) if position.saturating_sub(1) <= last => {
                Ok((position.saturating_sub(1).max(0), PositionSet::new()))
            }
            Start::Position(_) => Err(beyond(last)),
            Start::Now => Ok((last, tables.open(0, last))),
            Start::Time(time) => {
                let position = tables.since(time).map_or(last, |first| first - 1);
                Ok((position, tables.open(0, position)))
            }
        }
    }

    async fn open_positions(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        Ok(self.store.tables().open(above, to))
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        let tables = self.store.tables();
        let known =
            |(position, id): &(Position, Uuid)| tables.events.get(position).is_some_and(|event| event.event_id == *id);
        if tables.last_position >= proof.position && proof.events.iter().all(known) {
            return Ok(());
        }
        let message = "this is not the log the relay knows; give a test one store from its beginning to its end";
        Err(StoreError::new(StoreErrorKind::Continuity, message))
    }
}

impl Tables {
    /// What a request asks for, by position.
    fn wanted(&self, request: &ReadRequest) -> impl Iterator<Item = &Event> {
        let mut open = request.open.clone();
        if request.above {
            // What lies above is read anyway, and must not come back twice.
            open.remove(request.after.saturating_add(1)..=Position::MAX);
        }
        let ranges: Vec<_> = open.ranges().cloned().collect();
        let below = ranges.into_iter().flat_map(|range| self.events.range(range));
        let above = request.above.then(|| self.events.range((Excluded(request.after), Unbounded)));
        below.chain(above.into_iter().flatten()).map(|(_, event)| event)
    }

    /// Who may still fill a missing position.
    fn holders(&self) -> Vec<Holder> {
        let holder = |number: &u64| Holder { transaction: number.to_string(), pid: None, prepared: false };
        self.writers.iter().map(holder).collect()
    }

    /// What an open transaction may still write above one position, up to another.
    fn open(&self, above: Position, to: Position) -> PositionSet {
        let mut open = PositionSet::new();
        if !self.writers.is_empty() {
            open.insert(above + 1..=to);
            open.remove_all(self.events.keys().copied());
        }
        open
    }

    fn since(&self, time: OffsetDateTime) -> Option<Position> {
        self.events.values().find(|event| event.occurred_at >= time).map(|event| event.position)
    }
}

/// What counts against the byte limit of a read: the same as in a database.
fn size(event: &Event) -> u64 {
    let texts = [&event.event_type, &event.aggregate_type, &event.headers, &event.tenant_id, &event.actor];
    let payloads = [&event.payload, &event.old_payload];
    let bytes = event.topic.len()
        + event.key.len()
        + texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum::<usize>()
        + payloads.iter().filter_map(|payload| payload.as_ref()).map(|payload| payload.as_bytes().len()).sum::<usize>();
    bytes as u64
}

fn beyond(last: Position) -> StoreError {
    let message = format!("the log ends at {last}; start at position:{} or earlier, or at now", last.saturating_add(1));
    StoreError::new(StoreErrorKind::Precondition, message)
}
