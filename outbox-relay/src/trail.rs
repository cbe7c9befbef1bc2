//! The last events read, by which a log is recognised.

use std::collections::VecDeque;

use outbox_core::source::Row;
use outbox_core::{Event, Position};
use uuid::Uuid;

/// So many are kept.
const EVENTS: usize = 24;

/// The last events read.
#[derive(Debug, Default)]
pub(crate) struct Trail(VecDeque<(Position, Uuid)>);

impl Trail {
    /// Those of a checkpoint.
    pub(crate) fn new(events: &[(Position, Uuid)]) -> Self {
        Self(events.iter().copied().collect())
    }

    /// Takes in what a read brought.
    pub(crate) fn follow(&mut self, rows: &[Row]) {
        let last: Vec<_> = events(rows).rev().take(EVENTS).map(|event| (event.position, event.event_id)).collect();
        self.0.extend(last.into_iter().rev());
        self.0.drain(..self.0.len().saturating_sub(EVENTS));
    }

    /// The events, in the order in which they were read.
    pub(crate) fn events(&self) -> Vec<(Position, Uuid)> {
        self.0.iter().copied().collect()
    }
}

/// The events among the rows.
pub(crate) fn events(rows: &[Row]) -> impl DoubleEndedIterator<Item = &Event> + Clone {
    rows.iter().filter_map(|row| match row {
        Row::Event(event) => Some(event.as_ref()),
        Row::Filtered(_) | Row::Unreadable(_) => None,
    })
}
