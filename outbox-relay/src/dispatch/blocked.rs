//! Events that will not pass and stay owed, where the policy is to block.
//!
//! ```text
//!                                       an operator asks, or the relay starts anew
//!  will not pass ─► blocked, and recorded ─────────────────────────────────────────► tried again
//!                        │
//!                        └ an operator gives it up ─► owed no longer, and its key goes on
//! ```
//!
//! The record in the table says what was decided; the relay looks at it when it is told that something was, and at its start.

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::checkpoint::{DeadLetter, Recorded};
use outbox_core::publisher::Delivery;
use outbox_core::{Event, Position};
use time::OffsetDateTime;

use super::Dispatch;
use super::lane::{LaneState, Order, lower, order_of};

/// What is blocked, and what operators decided about it.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    letters: BTreeMap<Position, DeadLetter>,
    /// Those that are to be recorded.
    unrecorded: BTreeSet<Position>,
    /// Events that an operator gave up, and that are not met yet.
    given_up: BTreeSet<Position>,
    /// The last request to try an event again that was followed.
    answered: BTreeMap<Position, OffsetDateTime>,
}

impl Blocked {
    /// Nothing is blocked yet; all that is recorded is tried again, whatever was asked for.
    pub(super) fn new(recorded: &[Recorded]) -> Self {
        let given_up = recorded.iter().filter(|recorded| recorded.state.is_over()).map(|recorded| recorded.position);
        let answered = recorded.iter().filter_map(|recorded| Some((recorded.position, recorded.settled_at?)));
        Self { given_up: given_up.collect(), answered: answered.collect(), ..Self::default() }
    }

    pub(super) fn letters(&self) -> &BTreeMap<Position, DeadLetter> {
        &self.letters
    }

    pub(super) fn note(&mut self, letter: DeadLetter) {
        self.unrecorded.insert(letter.position);
        self.letters.insert(letter.position, letter);
    }

    /// Whether an operator gave the event up, which is asked once.
    pub(super) fn was_given_up(&mut self, position: Position) -> bool {
        self.given_up.remove(&position)
    }

    /// The first event of the key that is blocked.
    pub(super) fn first_of(&self, order: &Order) -> Option<Position> {
        let of_key = |(position, letter): (&Position, &DeadLetter)| {
            (Order::new(&letter.key, *position) == *order).then_some(*position)
        };
        self.letters.iter().find_map(of_key)
    }
}

impl Dispatch {
    /// Keeps an event where it is, and what comes behind it.
    pub(super) fn block(&mut self, order: &Order, delivery: Delivery, reason: String) {
        let Event { position, event_id, topic, key, .. } = &*delivery.event;
        let letter = DeadLetter {
            position: *position,
            event_id: *event_id,
            topic: topic.clone(),
            key: key.clone(),
            reason,
            attempts: delivery.attempt,
        };
        self.note_blocked(order, letter);
        self.lanes.entry(order.clone()).or_default().waiting.insert(delivery.event.position, delivery);
    }

    /// Notes an event that will not pass.
    pub(super) fn note_blocked(&mut self, order: &Order, letter: DeadLetter) {
        let lane = self.lanes.entry(order.clone()).or_default();
        lane.blocked = Some(lower(lane.blocked, letter.position));
        // Somebody may have decided about it while it was being tried once more.
        self.letters.look_again_for(letter.position);
        self.blocked.note(letter);
    }

    /// Events that will not pass and are not recorded yet.
    pub(crate) fn take_unrecorded(&mut self) -> Vec<DeadLetter> {
        let positions = std::mem::take(&mut self.blocked.unrecorded);
        positions.iter().filter_map(|position| self.blocked.letters.get(position).cloned()).collect()
    }

    /// Events that will not pass.
    pub(crate) fn blocked(&self) -> &BTreeMap<Position, DeadLetter> {
        &self.blocked.letters
    }

    /// Does what operators decided about events that are blocked; returns whether there is something to be written of it.
    pub(crate) fn decided(&mut self, recorded: &[Recorded]) -> bool {
        recorded.iter().fold(false, |changed, recorded| {
            let did =
                if recorded.state.is_over() { self.drop_blocked(recorded.position) } else { self.try_again(recorded) };
            changed | did
        })
    }

    /// Owes an event no longer that an operator gave up; one that is in flight, or is not read yet, when it comes.
    fn drop_blocked(&mut self, position: Position) -> bool {
        let Some(letter) = self.blocked.letters.remove(&position) else {
            let at = self.ready.iter().position(|delivery| delivery.event.position == position);
            if let Some(ready) = at.and_then(|at| self.ready.remove(at)) {
                self.let_go(&ready);
                return true;
            }
            self.blocked.given_up.insert(position);
            return false;
        };
        let order = Order::new(&letter.key, position);
        let waiting = self.lanes.get_mut(&order).and_then(|lane| lane.waiting.remove(&position));
        self.bytes -= waiting.map_or(0, |delivery| delivery.event.size());
        self.events -= 1;
        self.open.remove(position..=position);
        self.letters.forget(position);
        self.unblock(&order);
        true
    }

    /// Owes the event no longer that came back, or was about to go.
    pub(super) fn let_go(&mut self, delivery: &Delivery) {
        let position = delivery.event.position;
        self.open.remove(position..=position);
        self.events -= 1;
        self.bytes -= delivery.event.size();
        self.troubles.remove(&position);
        self.letters.forget(position);
        self.let_another_go(&order_of(&delivery.event));
    }

    /// Lets an event go that is blocked, where somebody asked for that since it was let go last.
    fn try_again(&mut self, recorded: &Recorded) -> bool {
        let Recorded { position, settled_at, .. } = *recorded;
        let Some(letter) = self.blocked.letters.get(&position) else { return false };
        let Some(asked) = settled_at.filter(|asked| self.blocked.answered.get(&position) != Some(asked)) else {
            return false;
        };
        self.blocked.answered.insert(position, asked);
        let order = Order::new(&letter.key, position);
        let waiting = self.lanes.get_mut(&order).and_then(|lane| lane.waiting.get_mut(&position));
        let Some(delivery) = waiting else {
            // What cannot be read is not read better now: that is what came of it.
            self.blocked.unrecorded.insert(position);
            return true;
        };
        delivery.attempt = 1;
        self.letters.stands_in_table(position);
        self.blocked.letters.remove(&position);
        self.unblock(&order);
        false
    }

    /// Lets a key go on whose event is blocked no longer.
    fn unblock(&mut self, order: &Order) {
        let blocked = self.blocked.first_of(order);
        let Some(lane) = self.lanes.get_mut(order) else { return };
        lane.blocked = blocked;
        if lane.state == LaneState::Idle {
            self.advance(order);
        }
        // What waits behind the letters of the key goes to them.
        if self.lanes.get(order).is_some_and(|lane| lane.aside.from.is_some()) {
            self.letters.fill_later(order);
        }
    }
}
