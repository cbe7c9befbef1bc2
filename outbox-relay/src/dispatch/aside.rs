//! What goes over to the dead letters, and what comes back from there.
//!
//! ```text
//!  an event will not pass ─► its key is parked: the event, and all that waits or comes behind it, is written
//!                                                                    │ an operator decides
//!  free ◄── all sent, and nothing came meanwhile ◄── letters taken ◄─┘ and none is parked any more
//! ```
//!
//! An event that is to be written stays open, and counts, until the write that holds it is durable. Letters that were taken
//! are in the key's lane like any others and are never open: what the table says of them is enough for the next relay. A key
//! with letters that nobody has taken has a barrier, behind which live events go to the table too. So the order of a key is
//! that of its positions, in memory and out of it.
//!
//! A key in back-off behind which too much waits spills: what comes later is written as waiting letters, which come back when
//! the key is well again.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use outbox_core::dead_letter::{Parked, Queue, State, Taken, TakenLetter};
use outbox_core::publisher::Delivery;
use outbox_core::source::Row;
use outbox_core::{Event, Filter, Position};

use super::lane::{Aside, LaneState, Order};
use super::{Dispatch, Then};

/// So many letters of a key are taken at a time.
pub(crate) const LETTERS: u32 = 100;
/// Of so many keys letters are taken together.
const KEYS: usize = 8;
/// So many events are written together.
const WRITTEN: usize = 2000;

/// What there is too much of among the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cap {
    /// A key has as many as may be, so that its later events fill the window.
    Letters,
    /// So many keys have some, and each takes memory.
    Keys(u64),
}

/// How often an event was tried before, and whether the log has nothing to do with it any more.
#[derive(Debug, Clone, Copy)]
struct Known {
    attempts: u32,
    taken: bool,
    replayed: bool,
}

/// What is on its way to the dead letters and back.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Events that stand in the table until they pass.
    known: BTreeMap<Position, Known>,
    forgiven: Vec<Position>,
    returned: Vec<Position>,
    /// To be written.
    new: Vec<Arc<Parked>>,
    /// So many are being written.
    leaving: usize,
    /// Keys with a barrier of which no write has told the database.
    fresh: Vec<Order>,
    /// Keys of which something waits that is to be written.
    filling: BTreeSet<Order>,
    /// Keys whose letters are as many as may be.
    capped: BTreeSet<Order>,
    /// Events up to here are written however many letters their key has.
    uncapped: Position,
    /// Keys whose letters may be taken.
    takeable: VecDeque<Order>,
    /// Keys that have letters on their way back.
    draining: HashSet<Order>,
    /// Letters without a key that are parked.
    alone: u64,
    /// Whether the table is to be looked at again.
    stale: bool,
}

impl Letters {
    pub(super) fn new(recorded: impl IntoIterator<Item = Position>) -> Self {
        let mut letters = Self::default();
        recorded.into_iter().for_each(|position| letters.stands_in_table(position));
        letters
    }

    /// Notes that the table is to be told when the event passes.
    pub(super) fn stands_in_table(&mut self, position: Position) {
        self.known.insert(position, Known { attempts: 0, taken: false, replayed: false });
    }

    /// Notes that the table is to be looked at with the next write, where the event stands in it.
    pub(super) fn look_again_for(&mut self, position: Position) {
        self.stale |= self.known.contains_key(&position);
    }

    /// Notes that something waits that may go to the letters of the key.
    pub(super) fn fill_later(&mut self, order: &Order) {
        self.filling.insert(order.clone());
    }

    /// Notes that nothing more is to be told of the event.
    pub(super) fn forget(&mut self, position: Position) {
        self.known.remove(&position);
    }

    /// Whether the event was taken from the table.
    pub(super) fn is_taken(&self, position: Position) -> bool {
        self.known.get(&position).is_some_and(|known| known.taken)
    }

    pub(super) fn uncap(&mut self, to: Position) {
        self.uncapped = to;
    }

    pub(super) fn is_uncapped(&self) -> bool {
        self.capped.is_empty()
    }
}

impl Dispatch {
    /// Hands an event that will not pass over to the dead letters.
    pub(super) fn set_aside(&mut self, event: Box<Event>, readable: bool, (reason, attempts): (String, u32)) {
        let (order, position) = (Order::new(&event.key, event.position), event.position);
        let before = self.letters.known.remove(&position);
        let attempts = attempts + before.map_or(0, |known| known.attempts);
        // What the table holds already is changed only by a later failure.
        let attempts = if before.is_some_and(|known| known.taken) { attempts.max(1) } else { attempts };
        let skips = self.retry.then == Then::Skip;
        let state = if skips { State::Skipped } else { State::Parked };
        let replayed = before.is_some_and(|known| known.replayed);
        self.letters.new.push(Arc::new(Parked { event, readable, state, reason, attempts, replayed }));
        let taken = before.is_some_and(|known| known.taken);
        if let Some(lane) = self.lanes.get_mut(&order)
            && taken
        {
            lane.aside.taken = lane.aside.taken.saturating_sub(1);
        }
        if skips {
            self.settle_taken(&order);
        } else if let Order::Key(_) = order {
            let lane = self.lanes.entry(order.clone()).or_default();
            lane.aside.begin_at(position);
            lane.aside = Aside { parked: true, fresh: true, stored: lane.aside.stored + 1, ..lane.aside };
            self.letters.draining.remove(&order);
            self.letters.fresh.push(order.clone());
            self.letters.filling.insert(order.clone());
        } else {
            self.letters.alone += 1;
            if taken {
                self.lanes.remove(&order);
                self.letters.draining.remove(&order);
            }
        }
    }

    /// Sends what waits behind the barrier of a key to the table, where that is open; opens it where too much waits.
    pub(super) fn overflow(&mut self, order: &Order, position: Position) {
        let broken = self.is_broken();
        let Some(lane) = self.lanes.get_mut(order) else { return };
        let spills = !broken
            && self.retry.then == Then::Park
            && lane.state == LaneState::Resting
            && lane.barrier().is_none()
            && lane.waiting.len() > self.spill
            && lane.waiting.last_key_value().is_some_and(|(last, _)| *last == position);
        if spills {
            lane.aside.begin_at(position);
            lane.aside.fresh = true;
            self.letters.draining.insert(order.clone());
            self.letters.fresh.push(order.clone());
        }
        if lane.aside.takes(position) && !self.letters.capped.contains(order) {
            self.letters.filling.insert(order.clone());
        }
    }

    /// Notes that an event passed that the table may know.
    pub(super) fn forgive(&mut self, order: &Order, position: Position) {
        let Some(known) = self.letters.known.remove(&position) else { return };
        self.letters.forgiven.push(position);
        if known.taken
            && let Some(lane) = self.lanes.get_mut(order)
        {
            lane.aside.taken = lane.aside.taken.saturating_sub(1);
            self.settle_taken(order);
        }
    }

    /// Sets a key free of which all letters are sent.
    fn settle_taken(&mut self, order: &Order) {
        let Some(lane) = self.lanes.get_mut(order) else { return };
        if lane.aside.taken == 0 && lane.aside.from.is_none() && !lane.aside.taking {
            lane.aside = Aside::default();
            self.letters.draining.remove(order);
            if lane.is_free() && lane.waiting.is_empty() {
                self.lanes.remove(order);
            }
        }
        self.note_takeable(order);
    }

    pub(super) fn note_takeable(&mut self, order: &Order) {
        if let Some(lane) = self.lanes.get_mut(order).filter(|lane| lane.is_takeable()) {
            lane.aside.taking = true;
            self.letters.takeable.push_back(order.clone());
        }
    }

    /// Whether something is to be written, or to be looked up, that no checkpoint waits for.
    pub(crate) fn wants_write(&self) -> bool {
        let Letters { new, filling, forgiven, returned, .. } = &self.letters;
        self.is_stale() || !(new.is_empty() && filling.is_empty() && forgiven.is_empty() && returned.is_empty())
    }

    /// Whether the table is to be looked at.
    pub(crate) fn is_stale(&self) -> bool {
        self.letters.stale
    }

    /// Whether something is being written.
    pub(super) fn is_leaving(&self) -> bool {
        self.letters.leaving > 0
    }

    /// Whether letters may be taken.
    pub(crate) fn wants_letters(&self) -> bool {
        !self.letters.takeable.is_empty()
    }

    /// Whether letters are on their way back to their keys, other than behind an event that is blocked.
    pub(crate) fn is_draining(&self) -> bool {
        let goes = |order| self.lanes.get(order).is_none_or(|lane| lane.blocked.is_none());
        self.letters.draining.iter().any(goes)
    }

    /// What is to go over to the dead letters, not to be asked for again.
    pub(crate) fn take_parked(&mut self) -> Vec<Arc<Parked>> {
        let mut parked = std::mem::take(&mut self.letters.new);
        while parked.len() < WRITTEN
            && let Some(order) = self.letters.filling.pop_first()
        {
            self.fill(&order, &mut parked);
        }
        let fresh = std::mem::take(&mut self.letters.fresh);
        let written = |order: &Order| !self.letters.filling.contains(order);
        let (written, left): (Vec<_>, _) = fresh.into_iter().partition(written);
        self.letters.fresh = left;
        for order in written {
            if let Some(lane) = self.lanes.get_mut(&order) {
                lane.aside.fresh = false;
            }
        }
        self.letters.leaving += parked.len();
        parked
    }

    /// Takes what waits behind the letters of a key.
    fn fill(&mut self, order: &Order, parked: &mut Vec<Arc<Parked>>) {
        let Some(lane) = self.lanes.get_mut(order) else { return };
        let Some(from) = lane.aside.from else { return };
        for (position, delivery) in lane.waiting.split_off(&from) {
            if self.blocked.letters().contains_key(&position) {
                // It stays owed, and what comes behind it follows when it is decided about.
                lane.waiting.insert(position, delivery);
                continue;
            }
            if self.letters.is_taken(position) {
                self.letters.known.remove(&position);
                self.letters.returned.push(position);
                lane.aside.taken = lane.aside.taken.saturating_sub(1);
                lane.aside.stored += 1;
                self.events -= 1;
                self.bytes -= delivery.event.size();
            } else if lane.aside.stored >= self.retry.max_parked && position > self.letters.uncapped {
                lane.waiting.insert(position, delivery);
                self.letters.capped.insert(order.clone());
                continue;
            } else {
                self.letters.known.remove(&position);
                lane.aside.stored += 1;
                let (reason, attempts) = (format!("waits behind position {from}"), delivery.attempt - 1);
                let state = State::Waiting;
                let (event, readable, replayed) = (delivery.event, true, false);
                parked.push(Arc::new(Parked { event, readable, state, reason, attempts, replayed }));
            }
            self.troubles.remove(&position);
        }
        self.note_takeable(order);
    }

    /// Letters that did pass since the last call, and those that are to wait again.
    pub(crate) fn take_settled(&mut self) -> (Vec<Position>, Vec<Position>) {
        (std::mem::take(&mut self.letters.forgiven), std::mem::take(&mut self.letters.returned))
    }

    /// Notes that these are durable among the dead letters.
    pub(crate) fn parked(&mut self, letters: &[Arc<Parked>]) {
        for letter in letters {
            self.open.remove(letter.event.position..=letter.event.position);
            self.events -= 1;
            self.bytes -= letter.event.size();
        }
        self.letters.leaving -= letters.len();
    }

    /// Keys whose letters are to be taken, each with where its first one stands.
    pub(crate) fn start_taking(&mut self) -> Vec<Queue> {
        let mut queues = Vec::new();
        while queues.len() < KEYS
            && let Some(order) = self.letters.takeable.pop_front()
        {
            let (key, first) = match order {
                Order::Key(key) => (key, 0),
                Order::Alone(position) => (String::new(), position),
            };
            queues.push(Queue { key, first, letters: 0, is_parked: false });
        }
        queues
    }

    /// Notes what became of taking: the letters, or nothing where that failed.
    ///
    /// A replay of what the subscription does not want is not sent.
    pub(crate) fn taken(&mut self, queue: &Queue, taken: Option<Taken>, filter: &Filter) {
        let order = Order::new(&queue.key, queue.first);
        let Some(lane) = self.lanes.get_mut(&order) else { return };
        lane.aside.taking = false;
        match taken {
            None => self.note_takeable(&order),
            // Somebody was there before: the table says what is left.
            Some(taken) if taken.letters.is_empty() => self.letters.stale = true,
            Some(mut taken) => {
                let unwanted = |letter: &mut TakenLetter| match &letter.row {
                    Row::Event(event) => letter.replayed && !filter.passes(event),
                    _ => false,
                };
                let refused = taken.letters.extract_if(.., unwanted);
                self.letters.forgiven.extend(refused.map(|letter| letter.row.position()));
                if taken.letters.is_empty() {
                    self.letters.stale = true;
                } else {
                    self.take_in(&order, taken);
                }
            }
        }
    }

    fn take_in(&mut self, order: &Order, taken: Taken) {
        let Some(lane) = self.lanes.get_mut(order) else { return };
        let last = taken.letters.last().map_or(0, |letter| letter.row.position());
        lane.aside.stored = lane.aside.stored.saturating_sub(taken.letters.len() as u64);
        if self.letters.capped.remove(order) {
            // There is room again.
            self.letters.filling.insert(order.clone());
        }
        if !lane.aside.parked {
            lane.aside.from = taken.more.then_some(last + 1);
        }
        let mut unreadable = Vec::new();
        for TakenLetter { row, attempts, replayed } in taken.letters {
            self.events += 1;
            lane.aside.taken += 1;
            self.letters.known.insert(row.position(), Known { attempts, taken: true, replayed });
            match row {
                Row::Event(event) => {
                    self.bytes += event.size();
                    lane.waiting.insert(event.position, Delivery { event, attempt: 1, replayed });
                }
                Row::Unreadable(row) => {
                    let reason = row.reason.clone();
                    let copy = row.into_copy();
                    self.bytes += copy.size();
                    // Only the first needs to be parked: whatever comes behind it waits again. Where it is skipped nothing waits.
                    if unreadable.is_empty() || self.retry.then == Then::Skip {
                        unreadable.push((copy, reason));
                    } else {
                        lane.waiting.insert(copy.position, Delivery { event: copy, attempt: 1, replayed });
                    }
                }
                Row::Filtered(_) => {}
            }
        }
        if lane.aside.parked {
            // An event before them failed meanwhile.
            self.letters.filling.insert(order.clone());
        }
        for (copy, reason) in unreadable {
            self.set_aside(copy, false, (reason, 1));
        }
        if self.lanes.get(order).is_some_and(|lane| lane.state == LaneState::Idle) {
            self.advance(order);
        }
    }

    /// Takes note of what the table holds, as it was when the last write began.
    pub(crate) fn look(&mut self, queues: Vec<Queue>) {
        self.letters.stale = false;
        let mut listed = HashSet::new();
        self.letters.alone = 0;
        for queue in queues {
            if queue.key.is_empty() && queue.is_parked {
                self.letters.alone = queue.letters;
                continue;
            }
            let order = Order::new(&queue.key, queue.first);
            self.look_at(&order, &queue);
            listed.insert(order);
        }
        let gone = |(order, lane): (&Order, &super::Lane)| {
            let Aside { from, taken, taking, fresh, .. } = lane.aside;
            (from.is_some() && taken == 0 && !taking && !fresh && !listed.contains(order)).then(|| order.clone())
        };
        let gone: BTreeSet<_> = self.lanes.iter().filter_map(gone).collect();
        for order in gone {
            if let Some(lane) = self.lanes.get_mut(&order) {
                lane.aside = Aside::default();
            }
            self.letters.draining.remove(&order);
            if self.lanes.get(&order).is_some_and(|lane| lane.state == LaneState::Idle) {
                self.advance(&order);
            }
        }
        // There may be room again.
        self.letters.filling.append(&mut self.letters.capped);
    }

    fn look_at(&mut self, order: &Order, queue: &Queue) {
        let lane = self.lanes.entry(order.clone()).or_default();
        if lane.aside.fresh {
            // What was seen is older than what is known here: it is looked at again. Not so where letters are about to be taken:
            // that may be long, as in a relay that is paused, and what was taken by the same write is known by now.
            self.letters.stale = true;
            return;
        }
        lane.aside.stored = queue.letters.saturating_sub(lane.aside.taken as u64);
        lane.aside.parked = queue.is_parked;
        // What was taken of it is on its way, and what comes next is known.
        if lane.aside.taken == 0 {
            lane.aside.begin_at(queue.first);
        }
        if queue.is_parked {
            self.letters.draining.remove(order);
        } else {
            self.letters.draining.insert(order.clone());
        }
        self.note_takeable(order);
    }

    /// Events among the dead letters, as far as this relay knows.
    pub(crate) fn letters(&self) -> u64 {
        self.letters.alone + self.lanes.values().map(|lane| lane.aside.stored).sum::<u64>()
    }

    /// What there is too much of among the dead letters for anything more to be read.
    pub(crate) fn cap(&self) -> Option<Cap> {
        if !self.letters.capped.is_empty() {
            return Some(Cap::Letters);
        }
        // Every other lane has an event here. So one more is missed for each that shares a lane: at most the window.
        let keys = self.lanes.len().saturating_sub(self.events) as u64;
        (keys >= self.retry.max_parked_keys).then_some(Cap::Keys(keys))
    }
}
