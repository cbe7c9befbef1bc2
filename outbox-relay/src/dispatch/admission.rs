//! What comes in: it is handed over, waits behind what its key has in hand, or no publisher is to see it.

use outbox_core::checkpoint::DeadLetter;
use outbox_core::publisher::Delivery;
use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Position, envelope};

use super::Dispatch;
use super::lane::{LaneState, Order, order_of};
use crate::retry::Then;

/// Events that no publisher is to see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// Where the first of them stands, and what is wrong with it.
    pub(crate) position: Position,
    pub(crate) reason: String,
    /// So many there were.
    pub(crate) events: u64,
}

impl Dispatch {
    /// Takes in rows in position order.
    pub(crate) fn admit(&mut self, mut rows: Vec<Row>) {
        rows.retain(|row| !self.blocked.was_given_up(row.position()));
        self.open.insert_all(rows.iter().filter(|row| !matches!(row, Row::Filtered(_))).map(Row::position));
        for row in rows {
            match row {
                Row::Filtered(_) => {}
                Row::Event(event) => self.admit_event(event),
                Row::Unreadable(row) => self.admit_unreadable(row),
            }
        }
    }

    fn admit_event(&mut self, event: Box<Event>) {
        self.events += 1;
        self.bytes += event.size();
        let order = order_of(&event);
        let position = event.position;
        let delivery = Delivery { event, attempt: 1, replayed: false };
        if let Some(lane) = self.lanes.get_mut(&order)
            && (lane.state != LaneState::Idle || lane.is_barred(position))
        {
            lane.waiting.insert(position, delivery);
            self.overflow(&order, position);
        } else if let Some(delivery) = self.fit(&order, delivery) {
            if !self.discipline.keeps_order && matches!(order, Order::Key(_)) {
                self.lanes.entry(order).or_default().state = LaneState::Moving;
            }
            self.ready.push_back(delivery);
        }
    }

    /// The event, if it may be handed over. Not so what an operator gave up meanwhile; and what is not what it says will not
    /// pass, where the publisher leaves it to the relay to find that out.
    pub(super) fn fit(&mut self, order: &Order, delivery: Delivery) -> Option<Delivery> {
        if self.blocked.was_given_up(delivery.event.position) {
            self.let_go(&delivery);
            return None;
        }
        if self.discipline.checks {
            return Some(delivery);
        }
        let Err(error) = envelope::check(&delivery.event) else { return Some(delivery) };
        let reason = error.to_string();
        self.note_unfit(delivery.event.position, &reason);
        self.refuse(order, delivery, reason);
        None
    }

    fn note_unfit(&mut self, position: Position, reason: &str) {
        let unfit = self.unfit.get_or_insert_with(|| Unfit { position, reason: reason.to_owned(), events: 0 });
        unfit.events += 1;
    }

    /// What was not handed over, because it is not what it says, since this was asked last.
    pub(crate) fn take_unfit(&mut self) -> Option<Unfit> {
        self.unfit.take()
    }

    fn admit_unreadable(&mut self, row: Unreadable) {
        self.events += 1;
        self.note_unfit(row.position, &row.reason);
        if self.retry.then != Then::Block {
            let reason = row.reason.clone();
            let copy = row.into_copy();
            self.bytes += copy.size();
            return self.set_aside(copy, false, (reason, 0));
        }
        let order = Order::new(&row.key, row.position);
        let Unreadable { position, event_id, topic, key, reason, .. } = row;
        self.note_blocked(&order, DeadLetter { position, event_id, topic, key, reason, attempts: 0 });
    }
}
