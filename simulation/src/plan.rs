//! What a seed makes of a run: its settings, its load and its faults.

use std::time::Duration;

use fastrand::Rng;
use outbox_core::Retention;
use outbox_core::publisher::Discipline;
use outbox_relay::{Retry, Then};

use super::process::Moment;

/// How often something goes wrong, of a thousand times.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    /// A call of the database fails.
    pub(crate) call: u32,
    /// A call of the publisher fails as a whole.
    pub(crate) publish: u32,
    /// The publisher asks for another attempt.
    pub(crate) retry: u32,
    /// An event is one that is rejected.
    pub(crate) poison: u32,
    /// Something happens to a process or the server, each time the director looks.
    pub(crate) drama: u32,
}

/// The settings of one run.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Nothing goes wrong, one relay works, and every event must be published soon.
    pub(crate) calm: bool,
    pub(crate) rates: Rates,
    pub(crate) length: Moment,
    pub(crate) subscriptions: Vec<SubscriptionPlan>,
    pub(crate) relays: u32,
    pub(crate) lease: Duration,
    pub(crate) poll_max: Duration,
    pub(crate) window: usize,
    pub(crate) shutdown: Duration,
    pub(crate) retention: Option<Retention>,
    pub(crate) wakes: bool,
    pub(crate) writers: i32,
    pub(crate) keys: u32,
    /// How long a writer thinks between two steps at most.
    pub(crate) pause: Moment,
    /// Transactions may be prepared.
    pub(crate) prepares: bool,
    pub(crate) prepare_renames: bool,
    /// So many of a hundred writers tell nobody.
    pub(crate) silent: u32,
    /// So many of a hundred commits are durable only later.
    pub(crate) late_durable: u32,
}

/// The settings of one subscription.
#[derive(Debug, Clone)]
pub(crate) struct SubscriptionPlan {
    pub(crate) name: String,
    pub(crate) topics: Vec<String>,
    pub(crate) partitions: u32,
    pub(crate) strict: bool,
    pub(crate) discipline: Discipline,
    pub(crate) retry: Retry,
    pub(crate) call_timeout: Duration,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn draw(chance: &mut Rng) -> Self {
        if chance.u32(..4) == 0 { Self::calm(chance) } else { Self::troubled(chance) }
    }

    /// A fault-free run of two relays, always the same, for a sweep of single faults.
    pub(crate) fn fixed() -> Self {
        let mut chance = Rng::with_seed(1);
        let mut plan = Self::troubled(&mut chance);
        plan.rates = Rates { poison: 40, ..Rates::default() };
        (plan.length, plan.relays, plan.writers, plan.pause) = (1_500, 2, 3, 120);
        (plan.prepares, plan.late_durable, plan.wakes) = (true, 0, false);
        plan.lease = Duration::from_secs(1);
        plan.subscriptions.truncate(1);
        let subscription = &mut plan.subscriptions[0];
        (subscription.partitions, subscription.strict) = (2, false);
        subscription.discipline = Discipline { keeps_order: false, batch: 4, calls: 4, checks: false };
        subscription.retry = Retry { then: Then::Park, ..subscription.retry };
        plan
    }

    fn calm(chance: &mut Rng) -> Self {
        let poll_max = Duration::from_millis(chance.u64(1_500..3_000));
        Self {
            calm: true,
            rates: Rates::default(),
            length: chance.u64(1_500..4_000),
            relays: 1,
            poll_max,
            wakes: true,
            pause: chance.pick(&[60, 400, 1_200]),
            prepares: false,
            silent: chance.pick(&[0, 0, 30]),
            late_durable: 0,
            retention: None,
            window: chance.pick(&[16, 100, 10_000]),
            ..Self::drawn(chance, true)
        }
    }

    fn troubled(chance: &mut Rng) -> Self {
        let often = chance.pick(&[0, 1, 1, 3]);
        let rates = Rates {
            call: often * chance.u32(1..12),
            publish: often * chance.u32(..20),
            retry: often * chance.u32(..60),
            poison: chance.pick(&[0, 20, 100]),
            drama: often * chance.u32(20..120),
        };
        Self { rates, ..Self::drawn(chance, false) }
    }

    fn drawn(chance: &mut Rng, calm: bool) -> Self {
        let prepares = chance.bool();
        let count = if calm { 1 } else { chance.pick(&[1, 1, 2]) };
        Self {
            calm,
            rates: Rates::default(),
            length: chance.u64(1_000..4_000),
            subscriptions: (0..count).map(|number| SubscriptionPlan::draw(chance, number, calm)).collect(),
            relays: chance.u32(1..4),
            lease: Duration::from_millis(chance.pick(&[1_000, 1_200, 2_000])),
            poll_max: Duration::from_millis(chance.pick(&[50, 300, 1_000])),
            window: chance.pick(&[2, 4, 16, 64, 10_000]),
            shutdown: Duration::from_millis(chance.pick(&[300, 2_000])),
            retention: chance.bool().then(|| retention(chance)),
            wakes: !prepares && chance.bool(),
            writers: chance.i32(1..5),
            keys: chance.u32(1..7),
            pause: chance.pick(&[10, 40, 150]),
            prepares,
            prepare_renames: chance.bool(),
            silent: chance.pick(&[0, 30]),
            late_durable: chance.pick(&[0, 0, 30]),
        }
    }
}

impl SubscriptionPlan {
    fn draw(chance: &mut Rng, number: u32, calm: bool) -> Self {
        let then = chance.pick(&[Then::Park, Then::Park, Then::Park, Then::Skip, Then::Block]);
        let retry = Retry {
            first: Duration::from_millis(10),
            max: Duration::from_millis(200),
            attempts: chance.u32(1..4),
            budget: Duration::from_secs(5),
            then,
            max_parked: chance.pick(&[2, 10_000]),
            max_parked_keys: 10_000,
        };
        let keeps_order = chance.u32(..4) == 0;
        let (batch, calls) = (chance.pick(&[1, 3, 20]), chance.pick(&[1, 4, 1000]));
        let discipline = Discipline { keeps_order, batch, calls, checks: false };
        Self {
            name: format!("s{number}"),
            topics: if number == 0 { Vec::new() } else { vec!["b".to_owned()] },
            partitions: chance.u32(1..5),
            strict: !calm && chance.u32(..12) == 0,
            discipline,
            retry,
            // Where nobody may be late no call may be given up either: one that is made again takes its time once more.
            call_timeout: Duration::from_millis(chance.pick(if calm { &[60_000; 3] } else { &[60, 500, 60_000] })),
        }
    }
}

fn retention(chance: &mut Rng) -> Retention {
    Retention {
        keep: Duration::ZERO,
        segments: chance.u8(2..5),
        segment_bytes: chance.u64(1..8),
        every: Duration::from_millis(chance.u64(50..500)),
        ..Retention::default()
    }
}

/// Draws from a few choices.
pub(crate) trait Pick {
    /// One of them.
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T;

    /// Whether something happens that does so so many times of a thousand.
    fn per_mille(&mut self, rate: u32) -> bool;
}

impl Pick for Rng {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.usize(..choices.len())]
    }

    fn per_mille(&mut self, rate: u32) -> bool {
        rate > 0 && self.u32(..1_000) < rate
    }
}
