//! Dead letters, and what operators decide about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{MemoryStore, Tables};
use crate::checkpoint::{DeadLetter, Entry, Recorded, is_reserved};
use crate::dead_letter::{Decision, Desk, LETTERS, Letter, PAUSED, Parked, Queue, State, Taken, TakenLetter};
use crate::error::StoreError;
use crate::event::{Event, Payload, Position};
use crate::source::{Row, Unreadable};

/// One row of the dead letters.
#[derive(Debug, Clone)]
pub(super) struct StoredLetter {
    event: Box<Event>,
    readable: bool,
    pub(super) state: State,
    reason: String,
    attempts: u32,
    first_failed_at: OffsetDateTime,
    last_failed_at: OffsetDateTime,
    settled: Option<(OffsetDateTime, Option<String>, Option<String>)>,
    /// Whether it holds its event, and not only the record of one that is still owed.
    is_copy: bool,
    original: Option<Payload>,
    replayed: bool,
}

impl StoredLetter {
    /// Whether it was published before and only waits to be sent once more.
    pub(super) fn is_replay(&self) -> bool {
        self.replayed && matches!(self.state, State::Waiting | State::Draining)
    }

    pub(super) fn key(&self) -> &str {
        &self.event.key
    }

    /// What a relay recorded of it.
    pub(super) fn told(&self) -> DeadLetter {
        let Event { position, event_id, topic, key, .. } = &*self.event;
        DeadLetter {
            position: *position,
            event_id: *event_id,
            topic: topic.clone(),
            key: key.clone(),
            reason: self.reason.clone(),
            attempts: self.attempts,
        }
    }

    fn listed(&self) -> Letter {
        let settled = self.settled.as_ref();
        Letter {
            position: self.event.position,
            event_id: self.event.event_id,
            key: self.event.key.clone(),
            topic: self.event.topic.clone(),
            state: self.state,
            reason: self.reason.clone(),
            attempts: self.attempts,
            first_failed_at: self.first_failed_at,
            last_failed_at: self.last_failed_at,
            settled_by: settled.and_then(|(_, by, _)| by.clone()),
            settled_reason: settled.and_then(|(_, _, why)| why.clone()),
            settled_at: settled.map(|(at, _, _)| *at),
            readable: self.readable,
            corrected: self.original.is_some(),
        }
    }

    fn row(&self) -> Row {
        if self.readable {
            Row::Event(self.event.clone())
        } else {
            Row::Unreadable(Unreadable::of(self.event.clone(), self.reason.clone()))
        }
    }

    fn decide(&mut self, decision: &Decision, now: OffsetDateTime) {
        self.state = decision.to;
        self.settled = Some((now, decision.actor.clone(), decision.reason.clone()));
        if let Some(payload) = &decision.payload {
            let before = self.event.payload.replace(payload.clone());
            self.original = self.original.take().or(before).or_else(|| Some(Payload::Text(Vec::new())));
            self.readable = true;
        }
    }
}

impl Tables {
    /// The letters of a subscription that are not over.
    pub(super) fn letters_left(&self, subscription: &str) -> impl Iterator<Item = &StoredLetter> {
        let letters = self.dead_letters.get(subscription).into_iter().flat_map(BTreeMap::values);
        letters.filter(|letter| !letter.state.is_over())
    }

    /// The letters of an entry.
    pub(super) fn write_letters(&mut self, subscription: &str, entry: &Entry, now: OffsetDateTime) {
        let letters = self.dead_letters.entry(subscription.to_owned()).or_default();
        for record in &entry.recorded {
            let (first, settled) = match letters.get(&record.position) {
                Some(known) if known.state != State::Blocked => continue,
                Some(known) => (known.first_failed_at, known.settled.clone()),
                None => (now, None),
            };
            let again = StoredLetter { first_failed_at: first, settled, ..recorded(record, now) };
            letters.insert(record.position, again);
        }
        letters.retain(|position, letter| {
            let too_late = letter.state.is_over() && !letter.is_copy;
            let may_go = too_late || matches!(letter.state, State::Blocked | State::Draining);
            !(may_go && entry.forgiven.contains(position))
        });
        for position in &entry.returned {
            if let Some(letter) = letters.get_mut(position).filter(|letter| letter.state == State::Draining) {
                letter.state = State::Waiting;
            }
        }
        for new in &entry.parked {
            let position = new.event.position;
            match letters.get_mut(&position) {
                Some(known)
                    if known.state == State::Blocked
                        || (known.state == State::Draining && new.attempts > known.attempts) =>
                {
                    let (first, settled) = (known.first_failed_at, known.settled.clone());
                    let original = known.original.clone();
                    *known = StoredLetter { first_failed_at: first, settled, original, ..parked(new, now) };
                }
                Some(_) => {}
                None => _ = letters.insert(position, parked(new, now)),
            }
        }
    }

    /// Lets the relay know.
    fn tell(&mut self, subscription: &str) {
        let told = self.rules.entry(format!("{LETTERS}{subscription}")).or_default();
        *told = (told.parse::<u64>().unwrap_or_default() + 1).to_string();
    }

    /// See [`Checkpoints::recorded`](crate::checkpoint::Checkpoints::recorded).
    pub(super) fn recorded(&self, subscription: &str) -> Vec<Recorded> {
        let letters = self.dead_letters.get(subscription).into_iter().flat_map(BTreeMap::values);
        let owed =
            letters.filter(|letter| !letter.is_copy && (letter.state == State::Blocked || letter.state.is_over()));
        let recorded = |letter: &StoredLetter| {
            let settled_at = letter.settled.as_ref().map(|(at, _, _)| *at);
            Recorded { position: letter.event.position, state: letter.state, settled_at }
        };
        owed.map(recorded).collect()
    }

    /// See [`Checkpoints::queues`](crate::checkpoint::Checkpoints::queues).
    pub(super) fn queues(&self, subscription: &str) -> Vec<Queue> {
        let mut queues: BTreeMap<(String, Position), Queue> = BTreeMap::new();
        for letter in self.letters_left(subscription).filter(|letter| letter.state != State::Blocked) {
            let (key, position) = (letter.key(), letter.event.position);
            let is_parked = letter.state == State::Parked;
            if key.is_empty() && is_parked {
                continue;
            }
            let alone = if key.is_empty() { position } else { 0 };
            let new = || Queue { key: key.to_owned(), first: position, letters: 0, is_parked: false };
            let queue = queues.entry((key.to_owned(), alone)).or_insert_with(new);
            queue.letters += 1;
            queue.is_parked |= is_parked;
        }
        let mut queues: Vec<_> = queues.into_values().collect();
        queues.sort_by_key(|queue| queue.first);
        queues
    }

    /// See [`Checkpoints::take`](crate::checkpoint::Checkpoints::take).
    pub(super) fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Taken {
        let of_key = |letter: &StoredLetter| {
            letter.key() == queue.key && (!queue.key.is_empty() || letter.event.position == queue.first)
        };
        let stored = self.dead_letters.entry(subscription.to_owned()).or_default();
        let mut taken = Taken::default();
        if !queue.key.is_empty() && stored.values().any(|letter| of_key(letter) && letter.state == State::Parked) {
            return taken;
        }
        let mut size = 0;
        let waits = |state| matches!(state, State::Waiting | State::Requeued | State::Draining);
        for letter in stored.values_mut().filter(|letter| of_key(letter) && waits(letter.state)) {
            size += letter.event.size() as u64;
            if !taken.letters.is_empty() && (size > bytes || taken.letters.len() as u64 >= u64::from(letters)) {
                taken.more = true;
                break;
            }
            letter.state = State::Draining;
            let (row, attempts, replayed) = (letter.row(), letter.attempts, letter.replayed);
            taken.letters.push(TakenLetter { row, attempts, replayed });
        }
        taken
    }
}

fn recorded(record: &DeadLetter, now: OffsetDateTime) -> StoredLetter {
    let DeadLetter { position, event_id, topic, key, reason, attempts } = record.clone();
    let row = Unreadable { position, event_id, topic, key, reason: reason.clone(), copy: None };
    StoredLetter { is_copy: false, ..stored(row.into_copy(), (true, State::Blocked), (reason, attempts), now) }
}

fn parked(letter: &Parked, now: OffsetDateTime) -> StoredLetter {
    let Parked { event, readable, state, reason, attempts, replayed } = letter.clone();
    StoredLetter { replayed, ..stored(event, (readable, state), (reason, attempts), now) }
}

fn stored(
    event: Box<Event>,
    (readable, state): (bool, State),
    (reason, attempts): (String, u32),
    now: OffsetDateTime,
) -> StoredLetter {
    let (first_failed_at, last_failed_at) = (now, now);
    StoredLetter {
        event,
        readable,
        state,
        reason,
        attempts,
        first_failed_at,
        last_failed_at,
        settled: None,
        is_copy: true,
        original: None,
        replayed: false,
    }
}

/// The desk of a [`MemoryStore`].
pub(super) struct MemoryDesk {
    pub(super) store: MemoryStore,
}

#[async_trait]
impl Desk for MemoryDesk {
    async fn letters(&mut self, subscription: &str, key: Option<&str>) -> Result<Vec<Letter>, StoreError> {
        let tables = self.store.tables();
        let letters = tables.dead_letters.get(subscription).into_iter().flat_map(BTreeMap::values);
        let wanted = letters.filter(|letter| key.is_none_or(|key| letter.key() == key));
        Ok(wanted.map(StoredLetter::listed).collect())
    }

    async fn letter(&mut self, subscription: &str, position: Position) -> Result<Option<Letter>, StoreError> {
        let tables = self.store.tables();
        let letter = tables.dead_letters.get(subscription).and_then(|letters| letters.get(&position));
        Ok(letter.map(StoredLetter::listed))
    }

    async fn known(&mut self, subscription: &str, positions: &[Position]) -> Result<BTreeSet<Position>, StoreError> {
        let tables = self.store.tables();
        let letters = tables.dead_letters.get(subscription);
        let has_one = |position: &&Position| letters.is_some_and(|letters| letters.contains_key(position));
        Ok(positions.iter().filter(has_one).copied().collect())
    }

    async fn copy(&mut self, subscription: &str, position: Position) -> Result<Option<Row>, StoreError> {
        let tables = self.store.tables();
        let letter = tables.dead_letters.get(subscription).and_then(|letters| letters.get(&position));
        Ok(letter.map(|letter| Row::Event(letter.event.clone())))
    }

    async fn decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, StoreError> {
        let now = self.store.database.clock.time_of_day();
        let mut tables = self.store.tables();
        let letters = tables.dead_letters.entry(subscription.to_owned()).or_default();
        let wanted = |(position, letter): &(&Position, &mut StoredLetter)| {
            decision.positions.contains(position) && decision.from.contains(&letter.state)
        };
        let mut decided = Vec::new();
        for (position, letter) in letters.iter_mut().filter(wanted) {
            letter.decide(decision, now);
            decided.push(*position);
        }
        if !decided.is_empty() {
            tables.tell(subscription);
        }
        Ok(decided)
    }

    async fn replay(&mut self, subscription: &str, letters: &[Arc<Parked>]) -> Result<(), StoreError> {
        let now = self.store.database.clock.time_of_day();
        let mut tables = self.store.tables();
        tables.write_letters(subscription, &Entry { parked: letters.to_vec(), ..Entry::default() }, now);
        tables.tell(subscription);
        Ok(())
    }

    async fn replaying(&mut self, subscription: &str) -> Result<u64, StoreError> {
        Ok(self.store.tables().letters_left(subscription).filter(|letter| letter.is_replay()).count() as u64)
    }

    async fn subscriptions(&mut self) -> Result<Vec<String>, StoreError> {
        let tables = self.store.tables();
        let rows = tables.checkpoints.keys().chain(tables.leases.keys()).map(|(name, _)| name);
        let names: BTreeSet<_> = rows.chain(tables.dead_letters.keys()).filter(|name| !is_reserved(name)).collect();
        Ok(names.into_iter().cloned().collect())
    }

    async fn pause(&mut self, subscription: &str, note: Option<&str>) -> Result<bool, StoreError> {
        let mut tables = self.store.tables();
        let name = format!("{PAUSED}{subscription}");
        Ok(match note {
            Some(_) if tables.rules.contains_key(&name) => false,
            Some(note) => tables.rules.insert(name, note.to_owned()).is_none(),
            None => tables.rules.remove(&name).is_some(),
        })
    }

    async fn is_at_work(&mut self, subscription: &str) -> Result<bool, StoreError> {
        let now = self.store.now();
        let tables = self.store.tables();
        let mut leases = tables.leases.iter().filter(|((of, _), _)| of == subscription);
        Ok(leases.any(|(_, lease)| lease.expires_at > now && lease.report.state != "paused"))
    }
}
