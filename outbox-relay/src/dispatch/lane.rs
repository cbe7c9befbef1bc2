//! What is in order with what, and what stands in its way.

use std::collections::BTreeMap;
use std::time::Instant;

use outbox_core::publisher::Delivery;
use outbox_core::{Event, Position};

use crate::retry::Schedule;

/// The failures of one event.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) since: Instant,
    pub(super) schedule: Schedule,
}

/// What stays in order: a key, or a keyless event by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Order {
    Key(String),
    Alone(Position),
}

/// A key of which something is in flight, resting or blocked, with its later events.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) state: LaneState,
    /// The first blocked event: nothing of the key goes past it, what comes before it does.
    pub(super) barrier: Option<Position>,
    pub(super) waiting: BTreeMap<Position, Delivery>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneState {
    #[default]
    Idle,
    /// One event is ready or in flight; not used where the publisher keeps order.
    Moving,
    Resting,
}

impl Lane {
    pub(super) fn bar(&mut self, position: Position) {
        self.barrier = Some(self.barrier.map_or(position, |barrier| barrier.min(position)));
    }

    pub(super) fn is_barred(&self, position: Position) -> bool {
        self.barrier.is_some_and(|barrier| position >= barrier)
    }

    /// What waits and may not go, ascending.
    pub(super) fn barred(&self) -> impl Iterator<Item = Position> + '_ {
        let from = self.barrier.unwrap_or(Position::MAX);
        self.waiting.range(from..).map(|(position, _)| *position)
    }

    pub(super) fn take_first(&mut self) -> Option<Delivery> {
        let first = *self.waiting.first_key_value()?.0;
        if self.is_barred(first) { None } else { self.waiting.remove(&first) }
    }
}

pub(super) fn order_of(event: &Event) -> Order {
    if event.key.is_empty() { Order::Alone(event.position) } else { Order::Key(event.key.clone()) }
}
