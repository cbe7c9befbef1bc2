//! A relay that crashes, a table of dead letters whose answers get lost, and operators, around one dispatch.
//!
//! The books know the log and what was published. However it goes, no event is sent before every earlier one of its key is
//! published or given up by an operator, and in the end every event is one or the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use outbox_core::dead_letter::{Queue, State, Taken, TakenLetter};
use outbox_core::publisher::{Answer, Delivery, Discipline};
use outbox_core::source::{Row, Unreadable};
use outbox_core::{Event, Filter, Position, PositionSet};

use super::{event, reject, retry, row, unreadable};
use crate::dispatch::Dispatch;
use crate::retry::{Retry, Then};

const EVENTS: Position = 60;
const KEYS: [&str; 4] = ["", "a", "b", "c"];

/// What is done wrong, for a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A new relay does not ask which keys are parked.
    ForgetsTheParked,
    /// A new relay takes letters before it has read what comes before them.
    TakesTooEarly,
    /// The letters and the checkpoint are not one transaction.
    WritesByHalves,
}

#[derive(Debug, Clone)]
struct Stored {
    event: Event,
    state: State,
    attempts: u32,
    readable: bool,
}

/// What a write under way will do to the database, and bring back.
struct Write {
    checkpoint: (Position, PositionSet),
    parked: Vec<std::sync::Arc<outbox_core::dead_letter::Parked>>,
    forgiven: Vec<Position>,
    returned: Vec<Position>,
    take: Vec<Queue>,
    look: bool,
}

struct World {
    chance: fastrand::Rng,
    mistake: Option<Mistake>,
    told: String,
    discipline: Discipline,
    now: Instant,
    log: BTreeMap<Position, String>,
    /// Rows that cannot become events.
    odd: BTreeSet<Position>,
    /// The database.
    checkpoint: (Position, PositionSet),
    table: BTreeMap<Position, Stored>,
    /// The relay.
    dispatch: Dispatch,
    read: Position,
    /// What a restarted relay still has to read of before.
    rest: Vec<Position>,
    in_flight: Vec<Vec<Delivery>>,
    /// Keys of which a failure is on its way, for a publisher that keeps order.
    failing: BTreeMap<usize, BTreeSet<String>>,
    decided: Vec<Option<Vec<Answer>>>,
    entry: Write,
    writing: bool,
    asked: bool,
    /// The books.
    published: BTreeSet<Position>,
    given_up: BTreeSet<Position>,
    faulty: bool,
}

fn nothing() -> Write {
    Write {
        checkpoint: (0, PositionSet::new()),
        parked: Vec::new(),
        forgiven: Vec::new(),
        returned: Vec::new(),
        take: Vec::new(),
        look: false,
    }
}

fn parking(discipline: Discipline, attempts: u32) -> Dispatch {
    let retry = Retry {
        first: Duration::from_millis(10),
        max: Duration::from_millis(40),
        attempts,
        budget: Duration::MAX,
        then: Then::Park,
        max_parked: 1000,
        max_parked_keys: 1000,
    };
    Dispatch::new(discipline, retry, []).with_spill(2)
}

fn run(seed: u64, keeps_order: bool, mistake: Option<Mistake>) {
    let mut world = World::new(seed, keeps_order, mistake);
    for _ in 0..600 {
        world.step();
    }
    world.faulty = false;
    for _ in 0..20_000 {
        if world.is_done() {
            break;
        }
        world.step();
    }
    world.judge();
}

impl World {
    fn new(seed: u64, keeps_order: bool, mistake: Option<Mistake>) -> Self {
        fastrand::seed(seed);
        let mut chance = fastrand::Rng::with_seed(seed);
        let discipline = Discipline { keeps_order, batch: chance.usize(1..4), calls: chance.usize(1..4), checks: true };
        let log = (1..=EVENTS).map(|at| (at, KEYS[chance.usize(0..KEYS.len())].to_owned())).collect();
        Self {
            told: format!("(seed {seed}, keeps order: {keeps_order}, {mistake:?})"),
            mistake,
            odd: (1..=EVENTS).filter(|_| chance.u32(0..30) == 0).collect(),
            discipline,
            now: Instant::now(),
            log,
            checkpoint: (0, PositionSet::new()),
            table: BTreeMap::new(),
            dispatch: parking(discipline, 2),
            read: 0,
            rest: Vec::new(),
            in_flight: Vec::new(),
            failing: BTreeMap::new(),
            decided: Vec::new(),
            entry: nothing(),
            writing: false,
            asked: false,
            published: BTreeSet::new(),
            given_up: BTreeSet::new(),
            faulty: true,
            chance,
        }
    }

    fn step(&mut self) {
        match self.chance.u32(0..100) {
            0..15 => self.admit(),
            15..40 => self.make_call(),
            40..65 => self.end_call(),
            65..75 => self.begin_write(),
            75..85 => self.end_write(),
            85..90 => self.operate(),
            90..92 if self.faulty => self.crash(),
            _ => self.now += Duration::from_millis(self.chance.u64(0..30)),
        }
    }

    fn admit(&mut self) {
        let some = self.chance.usize(1..5);
        let mut positions: Vec<_> = self.rest.drain(..some.min(self.rest.len())).collect();
        if self.rest.is_empty() {
            while positions.len() < some && self.read < EVENTS {
                self.read += 1;
                positions.push(self.read);
            }
        }
        let read = |at| {
            let key = &self.log[&at];
            if self.odd.contains(&at) { unreadable(at, key) } else { row(at, key) }
        };
        self.dispatch.admit(positions.into_iter().map(read).collect());
    }

    fn make_call(&mut self) {
        let Some(call) = self.dispatch.next_call(self.now) else { return };
        for delivery in &call {
            self.check(&delivery.event, &call);
        }
        let answers = self.decide(&call);
        self.decided.push(answers);
        self.in_flight.push(call);
    }

    /// Nothing earlier of its key is neither published nor given up; a pipeline may have it in flight.
    fn check(&self, event: &Event, call: &[Delivery]) {
        if event.key.is_empty() {
            return;
        }
        let flying: BTreeSet<_> =
            self.in_flight.iter().flatten().chain(call).map(|delivery| delivery.event.position).collect();
        for (at, _) in self.log.range(..event.position).filter(|(_, key)| **key == event.key) {
            let on_its_way = self.discipline.keeps_order && flying.contains(at);
            let passed = self.published.contains(at) || self.given_up.contains(at) || on_its_way;
            assert!(passed, "{} overtakes {at} {}", event.position, self.told);
        }
    }

    /// An order-keeping publisher publishes nothing behind what it did not publish.
    fn decide(&mut self, call: &[Delivery]) -> Option<Vec<Answer>> {
        let number = self.in_flight.len();
        let whole = self.faulty && self.chance.u32(0..12) == 0;
        let mut answers = Vec::new();
        for delivery in call {
            let key = delivery.event.key.clone();
            let behind =
                !key.is_empty() && self.discipline.keeps_order && self.failing.values().any(|keys| keys.contains(&key));
            let answer = match self.chance.u32(0..20) {
                0..2 if self.faulty => reject("no"),
                2..5 if self.faulty => retry("later"),
                _ if whole || behind => retry("behind"),
                _ => Answer::Published,
            };
            if whole || answer != Answer::Published {
                self.failing.entry(number).or_default().insert(key);
            } else {
                self.published.insert(delivery.event.position);
            }
            answers.push(answer);
        }
        (!whole).then_some(answers)
    }

    fn end_call(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let which = if self.discipline.keeps_order { 0 } else { self.chance.usize(0..self.in_flight.len()) };
        let (call, answers) = (self.in_flight.remove(which), self.decided.remove(which));
        let failing = std::mem::take(&mut self.failing);
        let shifted = failing.into_iter().filter(|(number, _)| *number != which);
        self.failing = shifted.map(|(number, keys)| (number - usize::from(number > which), keys)).collect();
        match answers {
            Some(answers) => _ = self.dispatch.settle(call, answers, self.now),
            None => self.dispatch.give_back(call, self.now),
        }
    }

    fn begin_write(&mut self) {
        if self.writing {
            return;
        }
        self.entry.parked.extend(self.dispatch.take_parked());
        let (forgiven, returned) = self.dispatch.take_settled();
        self.entry.forgiven.extend(forgiven);
        self.entry.returned.extend(returned);
        let mut open = self.dispatch.open().clone();
        open.insert_all(self.rest.iter().copied());
        for letter in &self.entry.parked {
            open.remove(letter.event.position..=letter.event.position);
        }
        self.entry.checkpoint = (self.read, open);
        let may_take = self.rest.is_empty() || self.mistake == Some(Mistake::TakesTooEarly);
        self.entry.take = if may_take { self.dispatch.start_taking() } else { Vec::new() };
        self.entry.look = std::mem::take(&mut self.asked) || self.dispatch.is_stale();
        self.writing = true;
    }

    fn end_write(&mut self) {
        if !std::mem::take(&mut self.writing) {
            return;
        }
        let outcome = if self.faulty { self.chance.u32(0..10) } else { 9 };
        if outcome > 0 {
            self.store();
        }
        let entry = &self.entry;
        let (take, look) = (entry.take.clone(), entry.look);
        let taken: Vec<Taken> = take.iter().map(|queue| self.take(queue)).collect();
        if outcome < 2 {
            for queue in &take {
                self.dispatch.taken(queue, None, &Filter::default());
            }
            self.asked |= look;
            return;
        }
        let parked = std::mem::replace(&mut self.entry, nothing()).parked;
        self.dispatch.parked(&parked);
        for (queue, taken) in take.iter().zip(taken) {
            self.dispatch.taken(queue, Some(taken), &Filter::default());
        }
        if look {
            self.dispatch.look(self.queues());
        }
    }

    /// What the statements do.
    fn store(&mut self) {
        self.checkpoint = self.entry.checkpoint.clone();
        if self.mistake == Some(Mistake::WritesByHalves) && self.chance.bool() {
            return;
        }
        for position in &self.entry.forgiven {
            if self.table.get(position).is_some_and(|stored| stored.state == State::Draining) {
                self.table.remove(position);
            }
        }
        for position in &self.entry.returned {
            if let Some(stored) = self.table.get_mut(position).filter(|stored| stored.state == State::Draining) {
                stored.state = State::Waiting;
            }
        }
        for letter in &self.entry.parked {
            let new = Stored {
                event: *letter.event.clone(),
                state: letter.state,
                attempts: letter.attempts,
                readable: letter.readable,
            };
            match self.table.get_mut(&letter.event.position) {
                Some(known) if known.state == State::Draining && letter.attempts > known.attempts => *known = new,
                Some(_) => {}
                None => _ = self.table.insert(letter.event.position, new),
            }
        }
    }

    fn take(&mut self, queue: &Queue) -> Taken {
        let ours = |stored: &Stored| {
            stored.event.key == queue.key && (!queue.key.is_empty() || stored.event.position == queue.first)
        };
        let parked = self.table.values().any(|stored| ours(stored) && stored.state == State::Parked);
        let mut taken = Taken::default();
        if parked {
            return taken;
        }
        let most = self.chance.usize(1..4);
        let waits = |state| matches!(state, State::Waiting | State::Requeued | State::Draining);
        for stored in self.table.values_mut().filter(|stored| ours(stored) && waits(stored.state)) {
            if taken.letters.len() == most {
                taken.more = true;
                break;
            }
            stored.state = State::Draining;
            let copy = Box::new(stored.event.clone());
            let odd = || Row::Unreadable(Unreadable::of(copy.clone(), "odd".into()));
            let row = if stored.readable { Row::Event(copy.clone()) } else { odd() };
            taken.letters.push(TakenLetter { row, attempts: stored.attempts, replayed: false });
        }
        taken
    }

    fn queues(&self) -> Vec<Queue> {
        let mut queues: BTreeMap<(String, Position), Queue> = BTreeMap::new();
        for (at, stored) in self.table.iter().filter(|(_, stored)| !stored.state.is_over()) {
            let (key, is_parked) = (stored.event.key.clone(), stored.state == State::Parked);
            if key.is_empty() && is_parked {
                continue;
            }
            let alone = if key.is_empty() { *at } else { 0 };
            let new = || Queue { key: key.clone(), first: *at, letters: 0, is_parked: false };
            let queue = queues.entry((key.clone(), alone)).or_insert_with(new);
            queue.letters += 1;
            queue.is_parked |= is_parked;
        }
        queues.into_values().collect()
    }

    /// Somebody requeues a key, or gives one letter up.
    fn operate(&mut self) {
        let parked: Vec<_> =
            self.table.iter().filter(|(_, stored)| stored.state == State::Parked).map(|(at, _)| *at).collect();
        if parked.is_empty() {
            return;
        }
        let at = parked[self.chance.usize(0..parked.len())];
        let gives_up = self.odd.contains(&at) || (self.faulty && self.chance.u32(0..4) == 0);
        let key = self.table[&at].event.key.clone();
        for (position, stored) in &mut self.table {
            let same = *position == at || (!key.is_empty() && stored.event.key == key);
            if gives_up && *position == at {
                stored.state = State::Skipped;
                self.given_up.insert(at);
            } else if !gives_up && same && stored.state == State::Parked {
                stored.state = State::Requeued;
            }
        }
        self.asked = true;
    }

    /// The relay is gone, and another begins with what the database holds.
    fn crash(&mut self) {
        if self.writing && self.chance.bool() {
            self.store();
        }
        self.writing = false;
        self.entry = nothing();
        self.in_flight.clear();
        self.decided.clear();
        self.failing.clear();
        self.asked = false;
        self.dispatch = parking(self.discipline, 2);
        self.read = self.checkpoint.0;
        self.rest = self.checkpoint.1.ranges().flat_map(Clone::clone).collect();
        if self.mistake != Some(Mistake::ForgetsTheParked) {
            self.dispatch.look(self.queues());
        }
    }

    fn is_done(&self) -> bool {
        self.read == EVENTS
            && self.rest.is_empty()
            && !self.writing
            && self.dispatch.only_blocked_left()
            && self.dispatch.open().is_empty()
            && self.table.values().all(|stored| stored.state.is_over())
    }

    fn judge(&mut self) {
        let table: Vec<_> = self.table.iter().map(|(at, stored)| (at, stored.state)).collect();
        assert!(self.is_done(), "never done: {table:?} {:?} {}", self.dispatch, self.told);
        let left: Vec<_> =
            self.log.keys().filter(|at| !self.published.contains(at) && !self.given_up.contains(at)).collect();
        assert!(left.is_empty(), "{left:?} are lost {}", self.told);
        assert_eq!((self.dispatch.events(), self.dispatch.bytes()), (0, 0), "{}", self.told);
        self.dispatch.look(self.queues());
        assert!(self.dispatch.lanes.is_empty(), "keys are remembered for nothing: {:?} {}", self.dispatch, self.told);
        for (at, stored) in &self.table {
            assert!(self.odd.contains(at) || stored.event == event(*at, &self.log[at]), "{}", self.told);
        }
    }
}

#[test]
fn whatever_happens_to_dead_letters_nothing_is_lost_and_nothing_overtakes() {
    for seed in 0..1500 {
        run(seed, seed % 2 == 0, None);
    }
}

/// Runs of a relay that is wrong, of which some must be found out.
fn found_out(mistake: Mistake) -> bool {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..300).any(|seed| std::panic::catch_unwind(|| run(seed, seed % 2 == 0, Some(mistake))).is_err());
    std::panic::set_hook(hook);
    found
}

/// A relay that is paused, or about to stop, takes none.
#[test]
fn letters_that_are_not_taken_yet_are_not_looked_at_again_and_again() {
    let mut dispatch = parking(Discipline::default(), 1);
    let queue = || vec![Queue { key: "k".into(), first: 7, letters: 2, is_parked: false }];
    for _ in 0..2 {
        dispatch.look(queue());
        assert!(dispatch.wants_letters() && !dispatch.wants_write(), "{dispatch:?}");
    }
    assert_eq!(dispatch.start_taking().len(), 1, "once");
}

#[test]
fn a_relay_that_is_wrong_about_dead_letters_is_found_out() {
    for mistake in [Mistake::ForgetsTheParked, Mistake::TakesTooEarly, Mistake::WritesByHalves] {
        assert!(found_out(mistake), "{mistake:?}");
    }
}
