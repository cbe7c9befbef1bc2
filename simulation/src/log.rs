//! The log as PostgreSQL keeps it: positions drawn before commit, locks that outlive their transaction by a moment, prepared
//! transactions, savepoints, commits that a crash takes back, segments.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use outbox_core::source::Holder;
use outbox_core::{Event, Position};
use time::OffsetDateTime;
use uuid::Uuid;

use super::process::Moment;

/// An event that was committed, whether or not cleanup has removed it since.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) event: Box<Event>,
    /// Its number among the commits, by which a snapshot knows it.
    pub(crate) commit: u64,
    /// The number of its transaction.
    pub(crate) transaction: u64,
    pub(crate) committed_at: Moment,
    /// From when on a crash does not take it back.
    pub(crate) durable_at: Moment,
    /// Whether its transaction had been prepared.
    pub(crate) prepared: bool,
    /// Whether its writer looked if a relay was to be told.
    pub(crate) looked: bool,
    pub(crate) segment: i16,
    pub(crate) removed: bool,
}

/// Where a transaction is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Prepared,
    /// Its rows are visible or gone, and its locks go at that moment.
    Ended(Moment),
}

#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) number: u64,
    pub(crate) holder: Holder,
    pub(crate) stage: Stage,
    pub(crate) began_at: Moment,
    /// Whether it holds the lock of the log, taken before its first draw.
    pub(crate) locked: bool,
    pub(crate) rows: Vec<(Box<Event>, i16)>,
    keys: BTreeSet<String>,
    /// What a rollback to it leaves: locks first taken after it go as well.
    savepoint: Option<(bool, usize, BTreeSet<String>)>,
    /// Whether it found a relay armed when it looked.
    tells: bool,
    /// Whether it does not look at all.
    silent: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Every event ever committed.
    pub(crate) written: BTreeMap<Position, Written>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) last_position: Position,
    pub(crate) commits: u64,
    last_number: u64,
    /// Counts anew after a restart, so that names come again.
    last_local: u64,
    /// Counts the starts of the server.
    pub(crate) incarnation: i64,
    /// No connection is accepted before.
    pub(crate) up_at: Moment,
    /// Whether `PREPARE` names the transaction by its number at once, or only a restart does.
    pub(crate) prepare_renames: bool,
    pub(crate) current_segment: i16,
    /// The highest position removed.
    pub(crate) floor: Position,
    /// Until when writers tell, and how often a relay has armed.
    pub(crate) armed_until: Moment,
    pub(crate) armings: u64,
    pub(crate) past_holders: Vec<Holder>,
}

impl Log {
    pub(crate) fn new(prepare_renames: bool) -> Self {
        Self { prepare_renames, ..Self::default() }
    }

    pub(crate) fn begin(&mut self, session: i32, silent: bool, now: Moment) -> u64 {
        self.last_local += 1;
        self.last_number += 1;
        let holder =
            Holder { transaction: format!("{session}/{}", self.last_local), pid: Some(session), prepared: false };
        self.transactions.push(Transaction {
            number: self.last_number,
            holder,
            stage: Stage::Open,
            began_at: now,
            locked: false,
            rows: Vec::new(),
            keys: BTreeSet::new(),
            savepoint: None,
            tells: false,
            silent,
        });
        self.last_number
    }

    /// The transaction, unless the server has ended it.
    pub(crate) fn open(&mut self, number: u64) -> Option<&mut Transaction> {
        let is_it = |each: &&mut Transaction| each.number == number && !matches!(each.stage, Stage::Ended(_));
        self.transactions.iter_mut().find(is_it)
    }

    /// Writes an event, unless another transaction holds the row of its key.
    pub(crate) fn write(&mut self, number: u64, (topic, key): (&str, &str), now: Moment) {
        self.forget_ended(now);
        let holds = |each: &Transaction| each.number != number && each.keys.contains(key);
        let is_armed = self.armed_until > now;
        let (position, segment) = (self.last_position + 1, self.current_segment);
        if self.transactions.iter().any(holds) {
            return;
        }
        let Some(transaction) = self.open(number) else { return };
        // First the lock, then the look.
        transaction.locked = true;
        transaction.tells |= is_armed && !transaction.silent;
        if !key.is_empty() {
            transaction.keys.insert(key.to_owned());
        }
        transaction.rows.push((event(position, topic, key), segment));
        self.last_position = position;
    }

    pub(crate) fn set_savepoint(&mut self, number: u64) {
        if let Some(transaction) = self.open(number) {
            transaction.savepoint = Some((transaction.locked, transaction.rows.len(), transaction.keys.clone()));
        }
    }

    pub(crate) fn roll_back_to_savepoint(&mut self, number: u64) {
        if let Some(transaction) = self.open(number)
            && let Some((locked, rows, keys)) = transaction.savepoint.take()
        {
            transaction.locked = locked;
            transaction.rows.truncate(rows);
            transaction.keys = keys;
        }
    }

    pub(crate) fn prepare(&mut self, number: u64) {
        let renames = self.prepare_renames;
        if let Some(transaction) = self.open(number) {
            transaction.stage = Stage::Prepared;
            transaction.holder.pid = None;
            transaction.holder.prepared = true;
            if renames {
                transaction.holder.transaction = format!("-1/{number}");
            }
        }
    }

    /// Ends a transaction; returns how many events became visible and whether its writer tells.
    pub(crate) fn end(&mut self, number: u64, commit: bool, (now, durable_at): (Moment, Moment)) -> (usize, bool) {
        self.commits += 1;
        let commits = self.commits;
        let Some(transaction) = self.open(number) else { return (0, false) };
        let prepared = transaction.stage == Stage::Prepared;
        transaction.stage = Stage::Ended(now + number % 3);
        let (rows, tells) = (std::mem::take(&mut transaction.rows), transaction.tells);
        let looked = !transaction.silent;
        let holder = transaction.holder.clone();
        self.past_holders.push(holder);
        if !commit {
            return (0, false);
        }
        let count = rows.len();
        for (event, segment) in rows {
            let written = Written {
                commit: commits,
                transaction: number,
                committed_at: now,
                durable_at: if prepared { now } else { durable_at },
                prepared,
                looked,
                segment,
                removed: false,
                event,
            };
            self.written.insert(written.event.position, written);
        }
        (count, tells)
    }

    /// The session is gone at once, and its locks with it.
    pub(crate) fn kill(&mut self, number: u64) {
        self.transactions.retain(|each| each.number != number || each.stage == Stage::Prepared);
    }

    /// Crashes and recovers: sessions die, commits that are not durable are taken back, prepared transactions come back under
    /// their number, some positions are skipped.
    pub(crate) fn restart(&mut self, skipped: Position, now: Moment, up_at: Moment) {
        self.transactions.retain(|each| each.stage == Stage::Prepared);
        for prepared in &mut self.transactions {
            prepared.holder.transaction = format!("-1/{}", prepared.number);
        }
        self.written.retain(|_, written| written.durable_at <= now);
        self.last_local = 0;
        self.last_position += skipped;
        self.incarnation += 1;
        self.up_at = up_at;
    }

    /// Who holds the log's lock now.
    pub(crate) fn holders(&mut self, now: Moment) -> Vec<Holder> {
        self.forget_ended(now);
        self.transactions.iter().filter(|each| each.locked).map(|each| each.holder.clone()).collect()
    }

    fn forget_ended(&mut self, now: Moment) {
        self.transactions.retain(|each| !matches!(each.stage, Stage::Ended(until) if until <= now));
    }

    /// The transactions that may still commit.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().filter(|each| !matches!(each.stage, Stage::Ended(_)))
    }

    /// The events that are in the log.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &Written> {
        self.written.values().filter(|written| !written.removed)
    }
}

fn event(position: Position, topic: &str, key: &str) -> Box<Event> {
    Box::new(Event {
        position,
        event_id: Uuid::from_u128(position.unsigned_abs().into()),
        topic: topic.to_owned(),
        key: key.to_owned(),
        event_type: None,
        aggregate_type: None,
        operation: None,
        payload: None,
        old_payload: None,
        content_type: Cow::Borrowed(outbox_core::event::JSON),
        headers: None,
        tenant_id: None,
        actor: None,
        schema_version: None,
        transaction_id: None,
        occurred_at: OffsetDateTime::UNIX_EPOCH,
    })
}
