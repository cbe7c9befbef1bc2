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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Order {
    Key(String),
    Alone(Position),
}

impl Order {
    pub(super) fn new(key: &str, position: Position) -> Self {
        if key.is_empty() { Self::Alone(position) } else { Self::Key(key.to_owned()) }
    }
}

/// A key of which something is in flight, resting, blocked or among the dead letters, with its later events.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) state: LaneState,
    /// The first event that is blocked.
    pub(super) blocked: Option<Position>,
    pub(super) waiting: BTreeMap<Position, Delivery>,
    pub(super) aside: Aside,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneState {
    #[default]
    Idle,
    /// One event is ready or in flight; not used where the publisher keeps order.
    Moving,
    Resting,
}

/// What the dead letters hold of a key.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside {
    /// Events from here on go there instead of waiting here.
    pub(super) from: Option<Position>,
    /// Whether one of its letters is parked.
    pub(super) parked: bool,
    /// So many of its letters are there that nobody has taken.
    pub(super) stored: u64,
    /// So many were taken and are not published yet.
    pub(super) taken: usize,
    /// Whether letters are about to be taken.
    pub(super) taking: bool,
    /// Whether no write has begun yet that tells the database.
    pub(super) fresh: bool,
}

impl Lane {
    /// The first event that may not go: nothing of the key goes past it, what comes before it does.
    pub(super) fn barrier(&self) -> Option<Position> {
        [self.blocked, self.aside.from].into_iter().flatten().min()
    }

    pub(super) fn is_barred(&self, position: Position) -> bool {
        self.barrier().is_some_and(|barrier| position >= barrier)
    }

    /// What waits and may not go, ascending.
    pub(super) fn barred(&self) -> impl Iterator<Item = Position> + '_ {
        let from = self.barrier().unwrap_or(Position::MAX);
        self.waiting.range(from..).map(|(position, _)| *position)
    }

    pub(super) fn take_first(&mut self) -> Option<Delivery> {
        let first = *self.waiting.first_key_value()?.0;
        if self.is_barred(first) { None } else { self.waiting.remove(&first) }
    }

    /// Whether letters of the key may be taken now: none of them is parked, and nothing before them is left here.
    pub(super) fn is_takeable(&self) -> bool {
        let Aside { from, parked, taken, taking, .. } = self.aside;
        let Some(from) = from else { return false };
        let first = self.waiting.first_key_value().map(|(first, _)| *first);
        let before = first.into_iter().chain(self.blocked).any(|first| first < from);
        !parked && taken == 0 && !taking && self.state == LaneState::Idle && !before
    }

    /// Whether nothing is known of the key that must be remembered.
    pub(super) fn is_free(&self) -> bool {
        self.state == LaneState::Idle && self.blocked.is_none() && self.aside == Aside::default()
    }
}

impl Aside {
    /// Whether events of this position go there instead of waiting here.
    pub(super) fn takes(&self, position: Position) -> bool {
        self.from.is_some_and(|from| position >= from)
    }

    /// Lets events from this position on go there, if they do not already.
    pub(super) fn begin_at(&mut self, position: Position) {
        self.from = Some(lower(self.from, position));
    }
}

/// The lower of two positions, one of which may not be there.
pub(super) fn lower(first: Option<Position>, position: Position) -> Position {
    first.map_or(position, |first| first.min(position))
}

pub(super) fn order_of(event: &Event) -> Order {
    Order::new(&event.key, event.position)
}
