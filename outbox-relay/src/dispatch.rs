//! Which event may be handed to the publisher next.
//!
//! The unit of order is the key. An event is *ready* as soon as nothing earlier of its key stands before it; different
//! keys are in flight together. What happens to an event:
//!
//! ```text
//!  admit ──► queued behind its key ──► ready ──► in flight ──► published
//!                     ▲                  ▲           │
//!                     │                  └─ resting ◄┤ retry       (back-off, per key)
//!                     │                              │
//!                     └── later events wait ◄─ blocked ◄─ reject   (until somebody decides; or parked, or skipped)
//! ```
//!
//! Every event that is not published is an open position of the checkpoint. So other keys move on past a key that rests
//! or is blocked, and nothing is skipped when the relay starts again. What [`aside`] does with an event that will not pass
//! takes it out of there, together with the later ones of its key.
//!
//! With a publisher that keeps order by itself ([`Discipline::keeps_order`]) several events of a key are in flight at
//! once, and only keys in trouble are tracked. After a failure no further call is made until all calls have come back:
//! only then is it known which events of the key are still to be sent, in which order.

mod admission;
mod aside;
mod blocked;
mod breaker;
mod lane;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_core::checkpoint::Recorded;
use outbox_core::dead_letter::Parked;
use outbox_core::publisher::{Answer, Delivery, Discipline};
use outbox_core::{Position, PositionSet};

use crate::retry::{Retry, Then};
pub(crate) use admission::Unfit;
use aside::Letters;
pub(crate) use aside::{Cap, LETTERS};
use blocked::Blocked;
pub(crate) use breaker::Breaker;
use lane::{Lane, LaneState, Order, Trouble, order_of};

/// What a finished call changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// So many events were published.
    pub(crate) published: usize,
    /// The position and the reason of the first failure.
    pub(crate) failure: Option<(Position, String)>,
}

/// The events between the source and the checkpoint.
#[derive(Debug)]
pub(crate) struct Dispatch {
    discipline: Discipline,
    retry: Retry,
    ready: VecDeque<Delivery>,
    lanes: HashMap<Order, Lane>,
    open: PositionSet,
    calls: usize,
    /// What an order-keeping publisher did not publish, until all its calls have come back.
    failed: BTreeMap<Position, (Delivery, Answer)>,
    /// Whether what came back without an answer made the ready events lose their order.
    unsorted: bool,
    events: usize,
    bytes: usize,
    troubles: BTreeMap<Position, Trouble>,
    /// Keys in back-off by the end of their rest; the position makes the entries distinct.
    resting: BTreeMap<(Instant, Position), Order>,
    blocked: Blocked,
    letters: Letters,
    /// What was not handed over at all, until it is told.
    unfit: Option<Unfit>,
    breaker: Option<Breaker>,
    /// So many events of a key in back-off wait in memory.
    spill: usize,
}

impl Dispatch {
    /// Nothing in it yet; `recorded` events stand in the dead letters until they do pass.
    pub(crate) fn new(discipline: Discipline, retry: Retry, recorded: impl IntoIterator<Item = Recorded>) -> Self {
        let recorded: Vec<_> = recorded.into_iter().collect();
        let owed = recorded.iter().filter(|recorded| !recorded.state.is_over());
        Self {
            discipline,
            retry,
            ready: VecDeque::new(),
            lanes: HashMap::new(),
            open: PositionSet::new(),
            calls: 0,
            failed: BTreeMap::new(),
            unsorted: false,
            events: 0,
            bytes: 0,
            troubles: BTreeMap::new(),
            resting: BTreeMap::new(),
            blocked: Blocked::new(&recorded),
            letters: Letters::new(owed.map(|recorded| recorded.position)),
            unfit: None,
            breaker: None,
            spill: usize::MAX,
        }
    }

    /// The same with a circuit breaker before the publisher.
    pub(crate) fn with_breaker(self, breaker: Breaker) -> Self {
        Self { breaker: Some(breaker), ..self }
    }

    /// The same where no more than so many events of a key in back-off wait in memory.
    pub(crate) fn with_spill(self, spill: usize) -> Self {
        Self { spill, ..self }
    }

    /// The same where events up to the position go to the dead letters however many their key has.
    pub(crate) fn with_uncapped(mut self, to: Position) -> Self {
        self.letters.uncap(to);
        self
    }

    /// The next call to make, with room for `calls` more; nothing while no call may be made.
    pub(crate) fn next_call(&mut self, now: Instant) -> Option<Vec<Delivery>> {
        self.wake_rested(now);
        if self.is_settling() || self.calls >= self.discipline.calls || self.ready.is_empty() {
            return None;
        }
        let allowed = self.breaker.as_mut().map_or(usize::MAX, |breaker| breaker.allows(now));
        if allowed == 0 {
            return None;
        }
        self.calls += 1;
        if let Some(breaker) = &mut self.breaker {
            breaker.sends();
        }
        let size = self.ready.len().min(self.discipline.batch).min(allowed);
        Some(self.ready.drain(..size).collect())
    }

    /// Takes back a call with its answers, one for each of its events.
    pub(crate) fn settle(&mut self, call: Vec<Delivery>, answers: Vec<Answer>, now: Instant) -> Settled {
        self.calls -= 1;
        let mut settled = Settled::default();
        let published = call.iter().zip(&answers).filter(|(_, answer)| **answer == Answer::Published);
        self.open.remove_all(published.map(|(delivery, _)| delivery.event.position));
        for (delivery, answer) in call.into_iter().zip(answers) {
            if answer == Answer::Published {
                settled.published += 1;
                self.published(&delivery);
                continue;
            }
            if let Answer::Retry { reason, .. } | Answer::Reject { reason } = &answer {
                settled.failure.get_or_insert_with(|| (delivery.event.position, reason.clone()));
            }
            if self.discipline.keeps_order {
                self.failed.insert(delivery.event.position, (delivery, answer));
            } else {
                self.judge(delivery, answer, now);
            }
        }
        self.judge_failed(now);
        self.try_again_later(now);
        settled
    }

    /// A trial of the breaker that came to nothing is made again.
    fn try_again_later(&mut self, now: Instant) {
        if let Some(breaker) = self.breaker.as_mut().filter(|_| self.calls == 0 || !self.discipline.keeps_order) {
            breaker.given_back(now);
        }
    }

    /// Takes back a call that failed as a whole: no event is to blame, so none loses an attempt.
    pub(crate) fn give_back(&mut self, call: Vec<Delivery>, now: Instant) {
        self.calls -= 1;
        for delivery in call.into_iter().rev() {
            let order = order_of(&delivery.event);
            if self.blocked.was_given_up(delivery.event.position) {
                self.let_go(&delivery);
            } else if self.is_held(&order, delivery.event.position) {
                self.wait_behind(&order, delivery);
            } else {
                self.ready.push_front(delivery);
            }
        }
        self.unsorted = self.discipline.keeps_order;
        self.judge_failed(now);
        self.try_again_later(now);
    }

    /// Whether calls of an order-keeping publisher must come back before another is made.
    fn is_settling(&self) -> bool {
        self.calls > 0 && (self.unsorted || !self.failed.is_empty())
    }

    /// Judges the failures of an order-keeping publisher once all its calls have come back, in the order of positions: of
    /// a key only the first is to blame, and nobody when an event before it came back without an answer.
    fn judge_failed(&mut self, now: Instant) {
        if self.calls > 0 || (self.failed.is_empty() && !self.unsorted) {
            return;
        }
        let mut unanswered: HashMap<Order, Position> = HashMap::new();
        for event in self.ready.iter().map(|delivery| &delivery.event) {
            let first = unanswered.entry(order_of(event)).or_insert(event.position);
            *first = event.position.min(*first);
        }
        for (position, (delivery, answer)) in std::mem::take(&mut self.failed) {
            if unanswered.get(&order_of(&delivery.event)).is_some_and(|first| *first < position) {
                self.ready.push_back(delivery);
            } else {
                self.judge(delivery, answer, now);
            }
        }
        self.call_back_held();
        self.ready.make_contiguous().sort_by_key(|delivery| delivery.event.position);
        self.unsorted = false;
    }

    fn judge(&mut self, delivery: Delivery, answer: Answer, now: Instant) {
        if self.blocked.was_given_up(delivery.event.position) {
            return self.let_go(&delivery);
        }
        match answer {
            Answer::Retry { after, reason } => self.put_off(delivery, after, &reason, now),
            Answer::Reject { reason } => self.reject(delivery, reason, now),
            Answer::Published => {}
        }
    }

    /// Moves what is ready behind the earlier event of its key that just failed.
    fn call_back_held(&mut self) {
        for delivery in std::mem::take(&mut self.ready) {
            let order = order_of(&delivery.event);
            if self.is_held(&order, delivery.event.position) {
                self.wait_behind(&order, delivery);
            } else {
                self.ready.push_back(delivery);
            }
        }
    }

    fn published(&mut self, delivery: &Delivery) {
        self.events -= 1;
        self.bytes -= delivery.event.size();
        self.troubles.remove(&delivery.event.position);
        if let Some(breaker) = &mut self.breaker {
            breaker.published();
        }
        let order = order_of(&delivery.event);
        self.forgive(&order, delivery.event.position);
        if !self.discipline.keeps_order {
            self.advance(&order);
        }
    }

    /// Whether the event is to blame for not being published, and not the far side as a whole.
    fn is_to_blame(&mut self, order: &Order, now: Instant) -> bool {
        self.breaker.as_mut().is_none_or(|breaker| breaker.failed(order, now))
    }

    fn put_off(&mut self, mut delivery: Delivery, after: Option<Duration>, reason: &str, now: Instant) {
        let order = order_of(&delivery.event);
        if self.is_held(&order, delivery.event.position) {
            self.wait_behind(&order, delivery);
            return;
        }
        let to_blame = self.is_to_blame(&order, now);
        let Retry { attempts, budget, .. } = self.retry;
        let tried = delivery.attempt;
        let position = delivery.event.position;
        let trouble =
            self.troubles.entry(position).or_insert_with(|| Trouble { since: now, schedule: self.retry.schedule() });
        if to_blame && (tried >= attempts || now.duration_since(trouble.since) >= budget) {
            self.give_up(delivery, format!("gave up after {tried} attempts: {reason}"));
            return;
        }
        if to_blame {
            delivery.attempt += 1;
        } else {
            // The time of an outage is not the event's.
            trouble.since = now;
        }
        self.rest(delivery, after, now);
    }

    /// Lets an event rest, and its key with it.
    fn rest(&mut self, delivery: Delivery, after: Option<Duration>, now: Instant) {
        let (order, position) = (order_of(&delivery.event), delivery.event.position);
        let trouble =
            self.troubles.entry(position).or_insert_with(|| Trouble { since: now, schedule: self.retry.schedule() });
        let until = now + trouble.schedule.next_delay().max(after.unwrap_or_default());
        self.resting.insert((until, position), order.clone());
        let lane = self.lanes.entry(order).or_default();
        lane.state = LaneState::Resting;
        lane.waiting.insert(position, delivery);
    }

    fn reject(&mut self, delivery: Delivery, reason: String, now: Instant) {
        let order = order_of(&delivery.event);
        if self.is_held(&order, delivery.event.position) {
            self.wait_behind(&order, delivery);
        } else if self.is_to_blame(&order, now) {
            self.give_up(delivery, reason);
        } else {
            self.rest(delivery, None, now);
        }
    }

    /// Does what the policy says about an event that will not pass.
    fn refuse(&mut self, order: &Order, delivery: Delivery, reason: String) {
        if self.retry.then != Then::Block || self.letters.is_taken(delivery.event.position) {
            let attempts = delivery.attempt;
            self.set_aside(delivery.event, true, (reason, attempts));
        } else {
            self.block(order, delivery, reason);
        }
    }

    /// Gives an event up that was in flight.
    fn give_up(&mut self, delivery: Delivery, reason: String) {
        let (order, position) = (order_of(&delivery.event), delivery.event.position);
        self.troubles.remove(&position);
        self.refuse(&order, delivery, reason);
        self.let_another_go(&order);
        self.overflow(&order, position);
    }

    /// Whether the event must stay where it is, because its key rests or something up to it is blocked.
    fn is_held(&self, order: &Order, position: Position) -> bool {
        self.lanes.get(order).is_some_and(|lane| lane.state == LaneState::Resting || lane.is_barred(position))
    }

    /// Puts an event back among the waiting ones of its key.
    fn wait_behind(&mut self, order: &Order, delivery: Delivery) {
        let Some(lane) = self.lanes.get_mut(order) else { return };
        let position = delivery.event.position;
        lane.waiting.insert(position, delivery);
        self.let_another_go(order);
        self.overflow(order, position);
    }

    /// What was in flight of the key came back, so that another may go instead.
    fn let_another_go(&mut self, order: &Order) {
        if self.lanes.get(order).is_some_and(|lane| lane.state == LaneState::Moving) {
            self.advance(order);
        }
    }

    /// Makes keys ready whose rest is over.
    fn wake_rested(&mut self, now: Instant) {
        while !self.is_settling()
            && let Some(entry) = self.resting.first_entry()
            && entry.key().0 <= now
        {
            let order = entry.remove();
            self.advance(&order);
        }
    }

    /// Makes the next event of a key ready; all of them where the publisher keeps order.
    fn advance(&mut self, order: &Order) {
        if let Some(lane) = self.lanes.get_mut(order) {
            lane.state = LaneState::Idle;
        }
        while let Some(next) = self.lanes.get_mut(order).and_then(Lane::take_first) {
            let Some(next) = self.fit(order, next) else { continue };
            self.ready.push_back(next);
            if !self.discipline.keeps_order
                && let Some(lane) = self.lanes.get_mut(order)
            {
                lane.state = LaneState::Moving;
                break;
            }
        }
        if self.lanes.get(order).is_some_and(Lane::is_free) {
            self.lanes.remove(order);
        }
        self.note_takeable(order);
    }

    /// When the next key's rest is over, or the publisher may be tried again.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let rested = self.resting.first_key_value().map(|((until, _), _)| *until);
        let trial = self.breaker.as_ref().and_then(Breaker::next_wake).filter(|_| !self.ready.is_empty());
        [rested, trial].into_iter().flatten().min()
    }

    /// Whether calls are held back because nearly everything fails.
    pub(crate) fn is_broken(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| !breaker.is_closed())
    }

    /// Whether everything up to the position is published, or waits behind an event that will not pass.
    pub(crate) fn is_done_with(&self, to: Position) -> bool {
        if self.is_draining() {
            return false;
        }
        if self.blocked.letters().is_empty() && self.letters.is_uncapped() {
            return self.open.first().is_none_or(|first| first > to);
        }
        let mut left = self.open.clone();
        left.remove(to.saturating_add(1)..=Position::MAX);
        left.remove_all(self.blocked.letters().keys().copied());
        for lane in self.lanes.values() {
            left.remove_all(lane.barred());
        }
        left.is_empty()
    }

    /// Positions admitted and not published.
    pub(crate) fn open(&self) -> &PositionSet {
        &self.open
    }

    /// The same, once these are written to the dead letters.
    pub(crate) fn owed(&self, parked: &[Arc<Parked>]) -> Cow<'_, PositionSet> {
        let mut owed = Cow::Borrowed(&self.open);
        if !parked.is_empty() {
            owed.to_mut().remove_all(parked.iter().map(|letter| letter.event.position));
        }
        owed
    }

    /// Events held.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything is in flight or could be.
    pub(crate) fn is_moving(&self) -> bool {
        self.calls > 0 || !self.ready.is_empty()
    }

    /// Whether all that is left waits behind events that will not pass.
    pub(crate) fn only_blocked_left(&self) -> bool {
        let leaving = self.wants_write() || self.is_leaving() || self.is_draining();
        !self.is_moving() && self.resting.is_empty() && !leaving
    }
}

#[cfg(test)]
mod tests;
