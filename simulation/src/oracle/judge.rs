//! The assertions about claims, checkpoints, leases and what is handed over.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use outbox_core::Position;
use outbox_core::checkpoint::{Checkpoint, Claimed, Entry, Held};
use outbox_core::dead_letter::State;
use outbox_core::partition::Partitioning;
use outbox_core::publisher::Delivery;
use outbox_relay::Then;

use super::{Account, Oracle, Stored, Term, Violation};
use crate::log::{Log, Stage};
use crate::process::{Moment, Process};

impl Oracle {
    /// A claim succeeded.
    pub(crate) fn claimed(&mut self, by: &Process, connection: u64, held: &[Held], claimed: &Claimed) {
        let now = by.now();
        let account = self.account(&by.subscription);
        if let Some(partitioning) = &claimed.partitioning {
            account.partitioning = partitioning.clone();
        }
        let mut accused = None;
        for Held { partition, epoch } in held {
            let promised = account.promised.get(partition).copied().unwrap_or_default();
            let Some(stored) = account.stored.get_mut(partition) else { continue };
            if stored.epoch > *epoch {
                accused = Some((Violation::StaleClaim, *partition, stored.epoch));
            }
            stored.epoch = stored.epoch.max(*epoch);
            account.claimed_over.insert(*partition, connection);
            if stored.checkpoint.position < promised {
                accused = Some((Violation::CheckpointLost, *partition, promised));
            }
        }
        if let Some((violation, partition, than)) = accused {
            self.accuse(violation, now, || format!("{by:?} claims {held:?}, and partition {partition} was at {than}"));
        }
        if held.is_empty() {
            return;
        }
        let term = self.terms.entry(by.number).or_default();
        if term.held != held {
            *term = Term { held: held.to_vec(), ..Term::default() };
        }
        term.claimed = claimed.clone();
    }

    /// An entry was written. The log tells what stood in it at that moment.
    pub(crate) fn saved(&mut self, by: &Process, connection: u64, entry: &Entry, log: &Log) {
        let now = by.now();
        let account = self.account(&by.subscription);
        for letter in &entry.parked {
            account.lettered.insert(letter.event.position);
            if letter.state == State::Skipped {
                account.given_up.insert(letter.event.position);
            }
        }
        let mut accused = None;
        for (held, checkpoint) in &entry.checkpoints {
            let Some(stored) = account.stored.get(&held.partition).cloned() else { continue };
            let violation = if held.epoch < stored.epoch {
                Some((Violation::StaleCheckpoint, checkpoint.position))
            } else if checkpoint.position < stored.checkpoint.position {
                Some((Violation::WentBack, checkpoint.position))
            } else if account.claimed_over.get(&held.partition).is_some_and(|over| *over != connection) {
                Some((Violation::LateCheckpoint, checkpoint.position))
            } else {
                account.passed_over(log, *held, &stored, checkpoint)
            };
            accused = accused.or(violation.map(|violation| (violation, *held, stored.checkpoint.clone())));
            let stored = Stored { epoch: held.epoch, saved_under: held.epoch, checkpoint: checkpoint.clone() };
            account.stored.insert(held.partition, stored);
        }
        if let Some(((violation, position), held, before)) = accused {
            self.accuse(violation, now, || {
                let now =
                    entry.checkpoints.iter().find(|(each, _)| *each == held).map(|(_, new)| (new.position, &new.open));
                let before = (before.position, &before.open);
                format!("{by:?} writes {held:?} and passes position {position}: from {before:?} to {now:?}")
            });
        }
    }

    /// A relay was told that its checkpoint is durable.
    pub(crate) fn promised(&mut self, by: &Process, entry: &Entry) {
        let account = self.account(&by.subscription);
        for (held, checkpoint) in &entry.checkpoints {
            let epoch = account.stored.get(&held.partition).map(|stored| stored.epoch);
            if epoch.is_some_and(|epoch| epoch <= held.epoch) {
                let promised = account.promised.entry(held.partition).or_default();
                *promised = checkpoint.position.max(*promised);
            }
        }
    }

    /// Letters were written without a checkpoint.
    pub(crate) fn letters_written(&mut self, by: &Process, entry: &Entry) {
        let now = by.now();
        let account = self.account(&by.subscription);
        let stale = |(held, _): &&(Held, Checkpoint)| {
            account.stored.get(&held.partition).is_some_and(|stored| stored.epoch > held.epoch)
        };
        if let Some((held, _)) = entry.checkpoints.iter().find(stale).cloned() {
            self.accuse(Violation::StaleLetters, now, || format!("{by:?} writes letters under {held:?}"));
        }
    }

    /// The number of partitions has changed.
    pub(crate) fn repartitioned(
        &mut self,
        by: &Process,
        log: &Log,
        partitioning: Partitioning,
        stored: BTreeMap<u32, Stored>,
    ) {
        let now = by.now();
        let account = self.account(&by.subscription);
        let owed: Vec<_> = log
            .written
            .values()
            .filter(|written| account.wants(written) && account.owes(&written.event.key, written.event.position))
            .map(|written| (written.event.position, written.event.key.clone()))
            .collect();
        account.stored = stored;
        account.partitioning = partitioning;
        account.promised.clear();
        let crossed = owed.into_iter().find(|(position, key)| !account.owes(key, *position));
        self.leases.retain(|(subscription, _), _| *subscription != by.subscription);
        if let Some((position, _)) = crossed {
            self.accuse(Violation::BoundaryCrossed, now, || {
                format!("position {position} was owed until {by:?} changed the number")
            });
        }
    }

    /// A relay hands events to the publisher.
    pub(crate) fn handed_over(&mut self, by: &Process, batch: &[Delivery], log: &Log) {
        let now = by.now();
        for Delivery { event, replayed, .. } in batch {
            let position = event.position;
            if log.written.get(&position).is_none_or(|written| written.durable_at > now) {
                self.accuse(Violation::Invented, now, || format!("{by:?} hands over position {position}"));
            }
            let partition = self.account(&by.subscription).partition(&event.key, position);
            let lease = self.leases.get(&(by.subscription.clone(), partition)).copied();
            if !lease.is_some_and(|lease| lease.process == by.number && lease.expires_at > now) {
                self.accuse(Violation::TwoOwners, now, || {
                    format!("{by:?} hands over position {position} of partition {partition}, whose lease is {lease:?}")
                });
            }
            if !replayed {
                self.judge_repeat(by, &event.key, position);
            }
            self.account(&by.subscription).handed.insert(position);
        }
    }

    fn judge_repeat(&mut self, by: &Process, key: &str, position: Position) {
        let account = self.account(&by.subscription);
        if !account.delivered.contains_key(&position) || account.lettered.contains(&position) {
            return;
        }
        let Some(term) = self.terms.get(&by.number) else { return };
        let partitioning = term.claimed.partitioning.clone().unwrap_or_else(|| Partitioning::new(1));
        let begun = term.claimed.checkpoints.get(&partitioning.of(key, position));
        let was_owed = begun.is_none_or(|begun| position > begun.position || begun.open.contains(position));
        let was_done = !was_owed || !partitioning.is_due(key, position);
        let is_acknowledged = term.acknowledged.contains(&position);
        if was_done || is_acknowledged || !self.excused {
            self.accuse(Violation::Repeated, by.now(), || {
                format!(
                    "{by:?} hands over position {position} again: was_done={was_done} is_acknowledged={is_acknowledged}"
                )
            });
        }
    }

    /// The publisher holds an event from now on.
    pub(crate) fn delivered(&mut self, by: &Process, delivery: &Delivery, log: &Log) {
        let position = delivery.event.position;
        if delivery.replayed {
            return;
        }
        let account = self.account(&by.subscription);
        let count = account.delivered.entry(position).or_default();
        *count += 1;
        if *count > 1 || delivery.event.key.is_empty() {
            return;
        }
        let skipped = |before: Position| account.then == Then::Skip && account.handed.contains(&before);
        let earlier = log.written.range(..position).rev().filter(|(_, each)| each.event.key == delivery.event.key);
        let overtaken = earlier
            .filter(|(_, each)| account.wants(each))
            .map(|(before, _)| *before)
            .find(|before| !account.is_done(*before) && !skipped(*before));
        let Some(before) = overtaken else { return };
        let parked = account.lettered.contains(&before);
        let violation = if parked { Violation::OvertookParked } else { Violation::Swapped };
        self.accuse(violation, by.now(), || format!("{by:?} publishes position {position} before {before} of its key"));
    }

    /// The relay heard that the publisher holds these.
    pub(crate) fn acknowledged(&mut self, by: &Process, positions: &[Position]) {
        self.account(&by.subscription).acknowledged.extend(positions);
        self.terms.entry(by.number).or_default().acknowledged.extend(positions);
    }
}

impl Account {
    /// The first position that a new checkpoint is done with and must not be.
    fn passed_over(&self, log: &Log, held: Held, old: &Stored, new: &Checkpoint) -> Option<(Violation, Position)> {
        let Checkpoint { position, open, .. } = &old.checkpoint;
        let mut ranges: Vec<RangeInclusive<Position>> = open.ranges().cloned().collect();
        if new.position > *position {
            ranges.push(position + 1..=new.position);
        }
        let is_passed = |key: &str, position: Position| {
            !new.open.contains(position)
                && self.partition(key, position) == held.partition
                && self.partitioning.is_due(key, position)
                && self.begins_before(position)
        };
        let forgotten = |position: Position| old.saved_under < held.epoch && open.contains(position);
        for (at, written) in ranges.iter().flat_map(|range| log.written.range(range.clone())) {
            let is_safe = self.is_done(*at) || self.lettered.contains(at) || !self.wants(written);
            if is_safe || !is_passed(&written.event.key, *at) {
                continue;
            }
            return Some((self.passed_event(*at, written.prepared, forgotten(*at)), *at));
        }
        for transaction in log.unfinished() {
            let passed = transaction.rows.iter().map(|(event, _)| event).find(|event| {
                let at = event.position;
                ranges.iter().any(|range| range.contains(&at)) && is_passed(&event.key, at)
            });
            if let Some(event) = passed {
                let violation = match transaction.stage {
                    _ if forgotten(event.position) => Violation::OwedForgotten,
                    Stage::Prepared => Violation::PassedPrepared,
                    _ => Violation::PassedOpen,
                };
                return Some((violation, event.position));
            }
        }
        None
    }

    fn passed_event(&self, at: Position, prepared: bool, forgotten: bool) -> Violation {
        if forgotten {
            Violation::OwedForgotten
        } else if self.acknowledged.contains(&at) {
            Violation::Unpublished
        } else if self.handed.contains(&at) {
            Violation::LetterLost
        } else if prepared {
            Violation::PassedPrepared
        } else if self.cut.contains(&at) {
            Violation::PassedUnread
        } else {
            Violation::PassedUnseen
        }
    }
}

/// When an event must have been published that was committed at that moment.
pub(super) fn is_late(committed_at: Moment, within: Moment, now: Moment) -> bool {
    now.saturating_sub(committed_at) > within
}
