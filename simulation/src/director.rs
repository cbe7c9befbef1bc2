//! Makes the trouble of a run, sees that there are relays, and brings all to its end.

use std::sync::Arc;

use fastrand::Rng;
use outbox_core::dead_letter::{Letter, Parked, State};
use outbox_core::{Event, Store as _};
use outbox_relay::Then;
use outbox_relay::dead_letters::{self, By, Which};

use super::plan::Pick as _;
use super::process::{Moment, Process, pass};
use super::relays::Running;
use super::store::SimStore;
use super::trace::Step;
use super::world::{self, World};

/// After so long without trouble everything must be done with.
const REST_WITHIN: Moment = 90_000;

/// Directs one run.
pub(crate) struct Director {
    world: Arc<World>,
    chance: Rng,
    /// By subscription and place.
    relays: Vec<(usize, u32, Option<Running>)>,
    operator: SimStore,
    paused: bool,
}

impl Director {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let chance = world.state().chance.fork();
        let places = |subscription| if subscription == 0 { world.plan.relays } else { 1 };
        let relays = (0..world.plan.subscriptions.len())
            .flat_map(|subscription| (0..places(subscription)).map(move |place| (subscription, place, None)));
        let process = Process::new(0, "", world.begin, false);
        let operator = SimStore { world: world.clone(), process };
        Self { relays: relays.collect(), world: world.clone(), chance, operator, paused: false }
    }

    /// The troubled part.
    pub(crate) async fn trouble(&mut self) {
        let plan = &self.world.clone().plan;
        while self.world.now() < plan.length && !self.is_decided() {
            self.revive(if self.world.now() == 0 { 70 } else { 25 });
            if self.chance.per_mille(plan.rates.drama) {
                self.make_trouble();
            }
            if plan.rates.poison > 0 && self.chance.per_mille(60) {
                self.decide().await;
            }
            self.look().await;
        }
    }

    /// The quiet part: whatever was broken is mended, and everything must come to its end.
    pub(crate) async fn settle(&mut self) {
        self.world.state().troubled = false;
        self.world.state().trace.note(self.world.now(), 0, Step::Settle);
        self.pause(false).await;
        let blocks = self.world.plan.subscriptions.iter().any(|each| each.retry.then == Then::Block);
        if blocks || self.chance.u32(..4) == 0 {
            self.stop_all().await;
        }
        let end = self.world.now() + REST_WITHIN;
        while !self.is_decided() {
            self.revive(100);
            self.requeue_all().await;
            self.look().await;
            let is_at_rest = {
                let state = self.world.state();
                state.oracle.is_at_rest(&state.log)
            };
            if is_at_rest {
                return;
            }
            if self.world.now() >= end {
                let letters = self.told_letters().await;
                let mut guard = self.world.state();
                let world::State { oracle, log, .. } = &mut *guard;
                oracle.judge_unrest(log, self.world.now(), &letters);
            }
        }
    }

    /// Whether the verdict is spoken.
    fn is_decided(&self) -> bool {
        self.world.state().oracle.found.is_some()
    }

    async fn look(&mut self) {
        pass(self.chance.u64(20..90)).await;
        let now = self.world.now();
        let mut guard = self.world.state();
        let world::State { oracle, log, .. } = &mut *guard;
        oracle.judge_lateness(log, now);
    }

    /// Starts relays where there is none, each with such a chance of a hundred.
    fn revive(&mut self, percent: u32) {
        for (subscription, place, running) in &mut self.relays {
            if running.as_ref().is_some_and(Running::is_up) || self.chance.u32(..100) >= percent {
                continue;
            }
            let partitions = self.world.plan.subscriptions[*subscription].partitions;
            let calm = self.world.plan.calm;
            let other = running.is_some() && self.chance.u32(..4) == 0;
            let partitions = if !calm && other { self.chance.u32(1..5) } else { partitions };
            let name = format!("relay-{subscription}-{place}");
            *running = Some(Running::start(&self.world, *subscription, &name, partitions));
        }
    }

    fn make_trouble(&mut self) {
        let up: Vec<&Running> = self.relays.iter().filter_map(|(_, _, running)| running.as_ref()).collect();
        let up: Vec<&&Running> = up.iter().filter(|running| running.is_up()).collect();
        let one = (!up.is_empty()).then(|| up[self.chance.usize(..up.len())]);
        self.world.state().oracle.excused = true;
        match (self.chance.u32(..10), one) {
            (0..=2, Some(one)) => {
                one.process.kill();
                self.note(one.process.number, Step::Kill);
            }
            (3..=5, Some(one)) if !one.process.is_frozen() => {
                let length = self.chance.u64(50..4_000);
                one.process.freeze(length);
                self.note(one.process.number, Step::Freeze(length));
            }
            (6, Some(one)) => one.stop(&self.world),
            (7..=8, _) => {
                let (skipped, down) = (self.chance.i64(0..33), self.chance.u64(..600));
                let now = self.world.now();
                let mut state = self.world.state();
                state.log.restart(skipped, now, now + down);
                state.listeners.iter().for_each(|listener| listener.notify_one());
                state.trace.note(now, 0, Step::Restart);
            }
            _ => self.paused = !self.paused,
        }
    }

    fn note(&self, process: u32, step: Step) {
        self.world.state().trace.note(self.world.now(), process, step);
    }

    /// Asks every relay to stop, and waits until none works.
    async fn stop_all(&mut self) {
        let relays: Vec<_> = self.relays.iter_mut().filter_map(|(_, _, running)| running.take()).collect();
        relays.iter().filter(|running| running.is_up()).for_each(|running| running.stop(&self.world));
        while relays.iter().any(|running| !running.process.is_dead() && !running.has_ended()) {
            pass(20).await;
        }
    }

    async fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.note(0, Step::Pause(paused));
        for subscription in &self.world.plan.subscriptions {
            // Refused before the subscription has begun.
            let _ = if paused {
                dead_letters::pause(&self.operator, &subscription.name, &by()).await
            } else {
                dead_letters::resume(&self.operator, &subscription.name).await
            };
        }
    }

    /// An operator decides about one letter, or has something sent once more.
    async fn decide(&mut self) {
        self.pause(self.paused).await;
        let number = self.chance.usize(..self.world.plan.subscriptions.len());
        let subscription = self.world.plan.subscriptions[number].name.clone();
        let letters = self.parked(&subscription).await;
        if self.chance.u32(..4) == 0 {
            self.replay(&subscription).await;
        } else if let Some(letter) = (!letters.is_empty()).then(|| &letters[self.chance.usize(..letters.len())]) {
            let (which, store) = (meant(letter), &self.operator);
            // Somebody else may have been there first.
            let _ = match self.chance.u32(..6) {
                0 => dead_letters::skip(store, &subscription, &which, &by()).await,
                1 => dead_letters::discard(store, &subscription, &which, &by()).await,
                _ => dead_letters::requeue(store, &subscription, &which, None, &by()).await,
            };
        }
    }

    async fn requeue_all(&mut self) {
        for subscription in &self.world.plan.subscriptions {
            for letter in self.parked(&subscription.name).await {
                // Of one key the first takes all others along.
                let _ = dead_letters::requeue(&self.operator, &subscription.name, &meant(&letter), None, &by()).await;
            }
        }
    }

    async fn letters(&self, subscription: &str) -> Vec<Letter> {
        let Ok(mut desk) = self.operator.desk().await else { return Vec::new() };
        let letters = desk.letters(subscription, None).await.unwrap_or_default();
        letters.into_iter().filter(|letter| !letter.state.is_over()).collect()
    }

    async fn parked(&self, subscription: &str) -> Vec<Letter> {
        let letters = self.letters(subscription).await;
        letters.into_iter().filter(|letter| letter.state == State::Parked).collect()
    }

    /// What is among the dead letters, for people.
    async fn told_letters(&self) -> String {
        let mut told = Vec::new();
        for subscription in &self.world.plan.subscriptions {
            for letter in self.letters(&subscription.name).await {
                told.push(format!("{}:{}:{}:{}", subscription.name, letter.key, letter.position, letter.state));
            }
        }
        told.join(" ")
    }

    /// Sends a few events once more that everybody has done with.
    async fn replay(&mut self, subscription: &str) {
        let events: Vec<_> = {
            let mut guard = self.world.state();
            let world::State { oracle, log, .. } = &mut *guard;
            let account = oracle.account(subscription);
            let lowest = account.stored.values().map(|stored| stored.checkpoint.lowest()).min().unwrap_or_default();
            let done = log.events().filter(|written| written.event.position < lowest && account.wants(written));
            done.map(|written| written.event.clone()).collect()
        };
        let first = events.len() - self.chance.usize(..=events.len().min(4));
        let letter = |event: Box<Event>| {
            let reason = "to be sent once more".to_owned();
            let state = State::Waiting;
            Arc::new(Parked { event, readable: true, state, reason, attempts: 0, replayed: true })
        };
        let letters: Vec<_> = events.into_iter().skip(first).map(letter).collect();
        if let Ok(mut desk) = self.operator.desk().await {
            let _ = desk.replay(subscription, &letters).await;
        }
    }
}

fn meant(letter: &Letter) -> Which {
    if letter.key.is_empty() { Which::Position(letter.position) } else { Which::Key(letter.key.clone()) }
}

fn by() -> By {
    By { actor: Some("operator".to_owned()), reason: Some("the seed".to_owned()) }
}
