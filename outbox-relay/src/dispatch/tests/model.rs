//! A faulty publisher with books of its own: what may be sent, what is open, what counts as an attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use outbox_core::checkpoint::Recorded;
use outbox_core::dead_letter::State;
use outbox_core::publisher::{Answer, Delivery, Discipline};
use outbox_core::source::Row;
use outbox_core::{Position, PositionSet};
use time::OffsetDateTime;

use super::{event, reject, retry, row, unreadable};
use crate::dispatch::Dispatch;
use crate::retry::{Retry, Then};

const EVENTS: Position = 60;
const LONGEST_WAIT: Duration = Duration::from_millis(900);

/// An event that was admitted and is not published.
#[derive(Debug, Default)]
struct Held {
    key: String,
    size: usize,
    attempts: u32,
    since: Option<Instant>,
    not_before: Option<Instant>,
    in_flight: bool,
    is_readable: bool,
    blocked: Option<String>,
}

/// A call under way; a publisher that keeps order decided on its answers when it was made.
struct InFlight {
    call: Vec<Delivery>,
    answers: Option<Vec<Answer>>,
}

struct Model {
    chance: fastrand::Rng,
    /// Which run this is, for messages.
    told: Rc<str>,
    discipline: Discipline,
    retry: Retry,
    now: Instant,
    dispatch: Dispatch,
    /// What is still to be admitted, the next one last.
    rows: Vec<Row>,
    held: BTreeMap<Position, Held>,
    resting: BTreeSet<String>,
    in_flight: Vec<InFlight>,
    /// Keys of unpublished events whose answer the relay has not taken yet, as often as there are such events.
    failing: Vec<String>,
    /// What an order-keeping publisher did not publish, until all its calls are back.
    failed: BTreeMap<Position, Answer>,
    faulty: bool,
    rejecting: bool,
    /// So many times somebody decided about an event.
    decisions: i64,
}

/// Runs a seed until nothing is left but what is blocked.
pub(super) fn run(seed: u64, keeps_order: bool) {
    let mut model = Model::new(seed, keeps_order);
    for _ in 0..300 {
        model.step();
        model.check();
    }
    model.faulty = false;
    for _ in 0..10_000 {
        if model.is_at_rest() {
            break;
        }
        model.step();
        model.check();
    }
    model.judge();
}

impl Model {
    fn new(seed: u64, keeps_order: bool) -> Self {
        fastrand::seed(seed);
        let mut chance = fastrand::Rng::with_seed(seed);
        let discipline = Discipline { keeps_order, batch: chance.usize(1..5), calls: chance.usize(1..5), checks: true };
        let rejecting = chance.bool();
        let (attempts, budget) = match (rejecting, chance.bool()) {
            (false, _) => (u32::MAX, Duration::MAX),
            (true, false) => (chance.u32(1..5), Duration::MAX),
            (true, true) => (u32::MAX, Duration::from_millis(700)),
        };
        let retry = Retry {
            first: Duration::from_millis(100),
            max: Duration::from_millis(400),
            attempts,
            budget,
            then: Then::Block,
            max_parked: 1000,
            max_parked_keys: 1000,
        };
        let rows = log(&mut chance, rejecting);
        Self {
            chance,
            told: format!("(seed {seed}, keeps order: {keeps_order})").into(),
            discipline,
            retry,
            now: Instant::now(),
            dispatch: Dispatch::new(discipline, retry, []),
            rows,
            held: BTreeMap::new(),
            resting: BTreeSet::new(),
            in_flight: Vec::new(),
            failing: Vec::new(),
            failed: BTreeMap::new(),
            faulty: true,
            rejecting,
            decisions: 0,
        }
    }

    fn step(&mut self) {
        match self.chance.u32(0..40) {
            0..8 => self.admit(),
            8..20 => self.make_call(),
            20..32 => self.end_call(),
            32..36 => self.now += Duration::from_millis(self.chance.u64(0..200)),
            36..39 => self.now = self.dispatch.next_wake().map_or(self.now, |wake| wake.max(self.now)),
            _ => self.decide_about_one(),
        }
        // What a write would do.
        self.dispatch.take_settled();
        if self.dispatch.is_stale() {
            self.dispatch.look(Vec::new());
        }
    }

    /// An operator has a blocked event tried again, or gives it up.
    fn decide_about_one(&mut self) {
        let blocked = self.dispatch.blocked().keys().copied();
        let Some(position) = self.chance.choice(blocked.collect::<Vec<_>>()).filter(|_| self.faulty) else { return };
        self.decisions += 1;
        let settled_at = OffsetDateTime::from_unix_timestamp(self.decisions).ok();
        let state = if self.chance.bool() { State::Skipped } else { State::Blocked };
        self.dispatch.decided(&[Recorded { position, state, settled_at }]);
        if state == State::Skipped {
            self.held.remove(&position);
        } else if let Some(held) = self.held.get_mut(&position).filter(|held| held.is_readable) {
            *held = Held { key: held.key.clone(), size: held.size, is_readable: true, ..Held::default() };
        }
    }

    /// Hands over a few rows, ascending as those of one read are.
    fn admit(&mut self) {
        let mut read: Vec<Row> = Vec::new();
        for _ in 0..self.chance.usize(0..8) {
            let last = read.last().map(Row::position);
            read.extend(self.rows.pop_if(|next| last < Some(next.position())));
        }
        for row in &read {
            let held = match row {
                Row::Filtered(_) => continue,
                Row::Event(event) => {
                    Held { key: event.key.clone(), size: event.size(), is_readable: true, ..Held::default() }
                }
                Row::Unreadable(row) => {
                    Held { key: row.key.clone(), blocked: Some(row.reason.clone()), ..Held::default() }
                }
            };
            self.held.insert(row.position(), held);
        }
        self.dispatch.admit(read);
    }

    fn make_call(&mut self) {
        let allowed = self.in_flight.len() < self.discipline.calls;
        let Some(call) = self.dispatch.next_call(self.now) else { return };
        assert!(allowed && (1..=self.discipline.batch).contains(&call.len()), "{}", self.told());
        for delivery in &call {
            self.check_delivery(delivery);
            self.resting.remove(&self.order(delivery.event.position));
            self.held.get_mut(&delivery.event.position).unwrap().in_flight = true;
        }
        let answers = if self.discipline.keeps_order { self.decide(&call) } else { None };
        self.in_flight.push(InFlight { call, answers });
    }

    /// An open event, in one call at a time, after its rest, with nothing of its key before it that is not on its way.
    fn check_delivery(&self, delivery: &Delivery) {
        let position = delivery.event.position;
        let told = format!("position {position} {}", self.told());
        let held = self.held.get(&position).unwrap_or_else(|| panic!("sent after it was published: {told}"));
        assert_eq!(*delivery.event, event(position, &held.key), "{told}");
        assert!(!held.in_flight && held.blocked.is_none(), "{told}");
        assert!(held.not_before.is_none_or(|at| at <= self.now), "too early: {told}");
        assert_eq!(delivery.attempt, held.attempts + 1, "{told}");
        for (at, other) in self.of_key(position).filter(|(at, _)| *at != position) {
            assert!(self.discipline.keeps_order || !other.in_flight, "{at} of the same key is in flight: {told}");
            assert!(at > position || other.blocked.is_none(), "{at} is blocked and comes first: {told}");
            assert!(at > position || other.in_flight, "{at} comes first: {told}");
            assert!(at < position || !other.in_flight, "{at} overtook: {told}");
        }
    }

    /// The answers to a call; `None` when it fails as a whole.
    ///
    /// An order-keeping publisher publishes nothing behind what it did not publish until the relay has taken that answer.
    fn decide(&mut self, call: &[Delivery]) -> Option<Vec<Answer>> {
        let whole = self.faulty && self.chance.u32(0..10) == 0;
        let mut answers = Vec::new();
        for delivery in call {
            let order = self.order(delivery.event.position);
            let behind = self.discipline.keeps_order && self.failing.contains(&order);
            let answer = match self.chance.u32(0..20) {
                0 if self.faulty && self.rejecting => reject("rejected"),
                1..6 if self.faulty => {
                    let after = self.chance.bool().then(|| LONGEST_WAIT.mul_f64(self.chance.f64()));
                    Answer::Retry { after, reason: "later".into() }
                }
                _ if whole || behind => retry("behind another"),
                _ => Answer::Published,
            };
            if self.discipline.keeps_order && (whole || answer != Answer::Published) {
                self.failing.push(order);
            }
            answers.push(answer);
        }
        (!whole).then_some(answers)
    }

    fn end_call(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let InFlight { call, answers } = self.in_flight.swap_remove(self.chance.usize(0..self.in_flight.len()));
        let answers = if self.discipline.keeps_order { answers } else { self.decide(&call) };
        for (index, delivery) in call.iter().enumerate() {
            let order = self.order(delivery.event.position);
            let published = answers.as_ref().is_some_and(|answers| answers[index] == Answer::Published);
            if let (false, Some(taken)) = (published, self.failing.iter().position(|failing| *failing == order)) {
                self.failing.swap_remove(taken);
            }
            self.held.get_mut(&delivery.event.position).unwrap().in_flight = false;
        }
        let Some(answers) = answers else {
            self.judge_failed();
            return self.dispatch.give_back(call, self.now);
        };
        for (delivery, answer) in call.iter().zip(&answers) {
            if self.discipline.keeps_order && *answer != Answer::Published {
                self.failed.insert(delivery.event.position, answer.clone());
            } else {
                self.take_answer(delivery.event.position, answer);
            }
        }
        self.judge_failed();
        let published = answers.iter().filter(|answer| **answer == Answer::Published).count();
        let failed = published < answers.len();
        let settled = self.dispatch.settle(call, answers, self.now);
        assert_eq!((settled.published, settled.failure.is_some()), (published, failed), "{}", self.told());
    }

    /// Of what an order-keeping publisher did not publish, only the first of a key counts, once everything is back.
    fn judge_failed(&mut self) {
        if !self.in_flight.is_empty() {
            return;
        }
        let failed = std::mem::take(&mut self.failed);
        let unanswered = |model: &Self, position| {
            let mut before = model.of_key(position).filter(|(at, _)| *at < position);
            before.any(|(at, held)| !failed.contains_key(&at) && held.blocked.is_none())
        };
        for (position, answer) in &failed {
            if !unanswered(self, *position) {
                self.take_answer(*position, answer);
            }
        }
    }

    /// The model's own account of an answer: what fails behind something that rests or is blocked costs no attempt.
    fn take_answer(&mut self, position: Position, answer: &Answer) {
        let order = self.order(position);
        if *answer == Answer::Published {
            self.held.remove(&position);
            return;
        }
        if self.resting.contains(&order) || self.is_behind_blocked(position) {
            return;
        }
        let Retry { attempts, budget, .. } = self.retry;
        let now = self.now;
        let held = self.held.get_mut(&position).unwrap();
        match answer {
            Answer::Retry { after, reason } => {
                let tried = held.attempts + 1;
                if tried >= attempts || now - *held.since.get_or_insert(now) >= budget {
                    held.blocked = Some(format!("gave up after {tried} attempts: {reason}"));
                } else {
                    held.attempts = tried;
                    held.not_before = Some(now + after.unwrap_or_default());
                    self.resting.insert(order);
                }
            }
            Answer::Reject { reason } => held.blocked = Some(reason.clone()),
            Answer::Published => {}
        }
    }

    /// What the dispatch says of itself, against the books.
    fn check(&mut self) {
        let told = self.told();
        let mut open = PositionSet::new();
        open.insert_all(self.held.keys().copied());
        assert_eq!(*self.dispatch.open(), open, "{told}");
        assert_eq!(self.dispatch.events(), self.held.len(), "{told}");
        assert_eq!(self.dispatch.bytes(), self.held.values().map(|held| held.size).sum::<usize>(), "{told}");
        let blocked = self.dispatch.blocked().iter().map(|(position, letter)| (*position, letter.reason.as_str()));
        let expected = self.held.iter().filter_map(|(position, held)| Some((*position, held.blocked.as_deref()?)));
        assert_eq!(blocked.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{told}");
        let latest = self.now + LONGEST_WAIT.max(self.retry.max);
        assert!(self.dispatch.next_wake().is_none_or(|wake| wake <= latest), "{told}");
        assert!(self.in_flight.is_empty() || self.dispatch.is_moving(), "{told}");
        for letter in self.dispatch.take_unrecorded() {
            assert_eq!(self.held[&letter.position].blocked.as_ref(), Some(&letter.reason), "{told}");
        }
    }

    fn is_at_rest(&self) -> bool {
        self.rows.is_empty() && self.in_flight.is_empty() && self.dispatch.only_blocked_left()
    }

    /// All that is left is blocked or stands behind what is.
    fn judge(&self) {
        assert!(self.is_at_rest(), "never at rest {}", self.told());
        assert!(self.rejecting || self.held.is_empty(), "{}", self.told());
        for (position, held) in &self.held {
            let excused = held.blocked.is_some() || self.is_behind_blocked(*position);
            assert!(excused, "position {position} was left behind {}", self.told());
        }
    }

    /// What is held of the event's key, itself included; a keyless event is alone.
    fn of_key(&self, position: Position) -> impl Iterator<Item = (Position, &Held)> {
        let key = &self.held[&position].key;
        let same = move |at: Position, other: &Held| at == position || (!key.is_empty() && other.key == *key);
        self.held.iter().map(|(at, held)| (*at, held)).filter(move |(at, other)| same(*at, other))
    }

    fn is_behind_blocked(&self, position: Position) -> bool {
        self.of_key(position).any(|(at, other)| at < position && other.blocked.is_some())
    }

    fn order(&self, position: Position) -> String {
        let key = &self.held[&position].key;
        if key.is_empty() { format!("alone {position}") } else { key.clone() }
    }

    fn told(&self) -> Rc<str> {
        Rc::clone(&self.told)
    }
}

/// Rows in the order a frontier returns them, the first one last: ascending within a key, some filling a hole late.
fn log(chance: &mut fastrand::Rng, rejecting: bool) -> Vec<Row> {
    let keys = ["", "a", "b", "c", "d"];
    let mut rows: Vec<(&str, Row)> = Vec::new();
    for position in 1..=EVENTS {
        let key = keys[chance.usize(0..keys.len())];
        let row = match chance.u32(0..100) {
            0..10 => Row::Filtered(position),
            10..13 if rejecting => unreadable(position, key),
            _ => row(position, key),
        };
        rows.push((key, row));
    }
    for at in 0..rows.len() {
        let next =
            rows.iter().skip(at + 1).position(|(key, _)| *key == rows[at].0).map_or(rows.len(), |next| at + 1 + next);
        if chance.u32(0..8) == 0 {
            rows[at..chance.usize(at + 1..=next)].rotate_left(1);
        }
    }
    rows.into_iter().rev().map(|(_, row)| row).collect()
}
