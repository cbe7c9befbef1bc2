//! The circuit breaker: a far side that fails for nearly everything is not the fault of the events.
//!
//! ```text
//!                 16 of the last 20 answers failed, of 5 keys at least
//!  closed ──────────────────────────────────────────────────────────────► open ◄──────┐
//!    ▲                                                                     │ a while  │ fails
//!    └──────────────────────────── an event is published ──────────────── probing ────┘
//! ```
//!
//! While it is not closed no failure counts as an attempt and none parks a key, and one event at a time is tried, each time
//! another one, with back-off between. So an outage that looks like refusals costs a few dead letters, not thousands, and a few
//! poisonous events among good ones do not stop the rest: the first good one closes it.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::lane::Order;
use crate::retry::Schedule;

/// So many answers are looked at.
const ANSWERS: usize = 20;
/// So many of them must have failed …
const FAILED: usize = 16;
/// … of so many keys.
const KEYS: usize = 5;

/// Watches how answers turn out.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// The last answers: the key of one that failed, nothing for one that was published.
    answers: VecDeque<Option<Order>>,
    schedule: Schedule,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        let schedule = Schedule::new(Duration::from_millis(200), Duration::from_secs(10));
        Self { answers: VecDeque::new(), schedule, state: State::Closed }
    }

    /// Notes that an event was published.
    pub(super) fn published(&mut self) {
        if self.state == State::Closed {
            self.note(None);
            return;
        }
        self.state = State::Closed;
        self.answers.clear();
        self.schedule.reset();
    }

    /// Notes that an event was not published; returns whether it is to blame for that.
    pub(super) fn failed(&mut self, order: &Order, now: Instant) -> bool {
        match self.state {
            State::Open { .. } => false,
            State::Probing => {
                self.open(now);
                false
            }
            State::Closed => {
                self.note(Some(order.clone()));
                let failed = self.answers.iter().flatten();
                let trips = failed.clone().count() >= FAILED && failed.collect::<BTreeSet<_>>().len() >= KEYS;
                if trips {
                    self.open(now);
                }
                !trips
            }
        }
    }

    fn note(&mut self, answer: Option<Order>) {
        // Nearly always everything is well, and there is nothing to be remembered.
        if answer.is_none() && self.answers.iter().all(Option::is_none) {
            self.answers.clear();
            return;
        }
        self.answers.push_back(answer);
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open { until: now + self.schedule.next_delay() };
    }

    /// So many events may be sent: all, one to try, or none.
    pub(super) fn allows(&mut self, now: Instant) -> usize {
        match self.state {
            State::Closed => usize::MAX,
            State::Open { until } if now >= until => 1,
            State::Open { .. } | State::Probing => 0,
        }
    }

    /// Notes that a call is made.
    pub(super) fn sends(&mut self) {
        if let State::Open { .. } = self.state {
            self.state = State::Probing;
        }
    }

    /// Notes that a call came back without answers.
    pub(super) fn given_back(&mut self, now: Instant) {
        if self.state == State::Probing {
            self.open(now);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When the next event may be tried.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a moment to count from")]

    use super::*;

    fn key(n: usize) -> Order {
        Order::Key(n.to_string())
    }

    #[test]
    fn it_opens_when_most_events_of_several_keys_fail_and_closes_with_the_first_that_passes() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        let blamed = (0..100).filter(|n| breaker.failed(&key(*n), now)).count();
        assert_eq!(blamed, FAILED - 1);
        assert!(!breaker.is_closed());
        let later = now + Duration::from_secs(10);
        assert_eq!(breaker.allows(later), 1);
        breaker.sends();
        assert_eq!(breaker.allows(later), 0, "one at a time");
        assert!(!breaker.failed(&key(7), later));
        assert!(breaker.next_wake().is_some());
        breaker.sends();
        breaker.published();
        assert!(breaker.is_closed());
        assert!(breaker.failed(&key(1), later), "it begins anew");
    }

    #[test]
    fn a_few_keys_in_trouble_and_a_few_failures_among_many_leave_it_closed() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        assert!((0..500).all(|n| breaker.failed(&key(n % (KEYS - 1)), now)));
        let mut breaker = Breaker::new();
        for n in 0..500 {
            assert!(breaker.failed(&key(n), now));
            breaker.published();
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_trial_that_nobody_answers_is_made_again() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        (0..FAILED).for_each(|n| _ = breaker.failed(&key(n), now));
        let later = now + Duration::from_secs(10);
        assert_eq!(breaker.allows(later), 1);
        breaker.sends();
        breaker.given_back(later);
        assert_eq!(breaker.allows(later + Duration::from_secs(10)), 1);
    }
}
