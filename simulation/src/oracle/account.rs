//! What is known of one subscription: what the database holds of it, and what became of each event.

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::checkpoint::Checkpoint;
use outbox_core::partition::{Partitioning, partition_of};
use outbox_core::{Filter, Position};
use outbox_relay::Then;

use crate::log::Written;
use crate::plan::SubscriptionPlan;

/// A row of the checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) epoch: i64,
    /// The epoch under which it was last written, and not only claimed.
    pub(crate) saved_under: i64,
    pub(crate) checkpoint: Checkpoint,
}

/// One subscription.
pub(crate) struct Account {
    filter: Filter,
    pub(super) then: Then,
    pub(crate) partitioning: Partitioning,
    /// Where it began.
    pub(super) start: Option<Checkpoint>,
    pub(crate) stored: BTreeMap<u32, Stored>,
    /// The connection over which each row was claimed last.
    pub(super) claimed_over: BTreeMap<u32, u64>,
    /// The positions of checkpoints that a relay was told are durable.
    pub(super) promised: BTreeMap<u32, Position>,
    /// How often the publisher got an event, but for those sent once more on purpose.
    pub(crate) delivered: BTreeMap<Position, u32>,
    /// What was handed to the publisher.
    pub(super) handed: BTreeSet<Position>,
    /// What the publisher said it holds.
    pub(super) acknowledged: BTreeSet<Position>,
    /// What was ever a dead letter.
    pub(crate) lettered: BTreeSet<Position>,
    /// What was given up.
    pub(crate) given_up: BTreeSet<Position>,
    /// What was visible and left out of an answer for its limit.
    pub(crate) cut: BTreeSet<Position>,
}

impl Account {
    pub(super) fn new(plan: &SubscriptionPlan) -> Self {
        Self {
            filter: Filter { topics: plan.topics.clone(), ..Filter::default() },
            then: plan.retry.then,
            partitioning: Partitioning::new(plan.partitions),
            start: None,
            stored: BTreeMap::new(),
            claimed_over: BTreeMap::new(),
            promised: BTreeMap::new(),
            delivered: BTreeMap::new(),
            handed: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            lettered: BTreeSet::new(),
            given_up: BTreeSet::new(),
            cut: BTreeSet::new(),
        }
    }

    pub(crate) fn partition(&self, key: &str, position: Position) -> u32 {
        partition_of(key, position, self.partitioning.count)
    }

    /// Whether the subscription wants the event and began before it.
    pub(crate) fn wants(&self, written: &Written) -> bool {
        self.filter.passes(&written.event) && self.begins_before(written.event.position)
    }

    pub(super) fn begins_before(&self, position: Position) -> bool {
        self.start.as_ref().is_none_or(|start| position > start.position || start.open.contains(position))
    }

    /// Whether the event reached the publisher, or somebody said what becomes of it instead.
    pub(super) fn is_done(&self, position: Position) -> bool {
        self.delivered.contains_key(&position) || self.given_up.contains(&position)
    }

    /// Whether a checkpoint still owes the position.
    pub(super) fn owes(&self, key: &str, position: Position) -> bool {
        let stored = self.stored.get(&self.partition(key, position));
        stored.is_none_or(|stored| {
            let Checkpoint { position: reached, open, .. } = &stored.checkpoint;
            position > *reached || open.contains(position)
        }) && self.partitioning.is_due(key, position)
    }

    /// The first subscription of the database is made here.
    pub(crate) fn found(&mut self, partitions: u32, checkpoint: &Checkpoint) {
        self.partitioning = Partitioning::new(partitions);
        self.start = Some(checkpoint.clone());
        let stored = || Stored { epoch: 0, saved_under: 0, checkpoint: checkpoint.clone() };
        self.stored = (0..partitions).map(|partition| (partition, stored())).collect();
    }
}
