//! A PostgreSQL server as a reader of the log sees it: positions drawn before commit, and who holds the log's lock.

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::Position;
use outbox_core::source::Holder;

use crate::chance::Chance;

const SESSIONS: usize = 5;
/// Key 0 has no order, the others have.
const KEYS: usize = 9;

/// What an event says: the version counts 1, 2, 3 … within a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) position: Position,
    pub(crate) key: usize,
    pub(crate) version: u64,
}

/// Where a transaction is on its way; its locks outlive its end by a moment, as they do in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Prepared,
    Ended,
}

#[derive(Debug, Clone)]
struct Transaction {
    holder: Holder,
    number: u64,
    stage: Stage,
    /// Whether it holds the lock of the log, taken before its first draw.
    locked: bool,
    rows: Vec<Written>,
    keys: BTreeSet<usize>,
    savepoint: Option<Savepoint>,
}

/// What a rollback to it leaves; locks first taken after it go as well.
#[derive(Debug, Clone)]
struct Savepoint {
    locked: bool,
    rows: usize,
    keys: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    transactions: Vec<Transaction>,
    committed: BTreeMap<Position, Written>,
    last_position: Position,
    last_number: u64,
    /// Counts anew after a restart, so that names come again.
    last_local: u64,
    /// Whether `PREPARE` names the transaction by its number at once (PostgreSQL 14.0), or only a restart does.
    prepare_renames: bool,
}

impl Server {
    pub(crate) fn new(prepare_renames: bool) -> Self {
        Self {
            transactions: Vec::new(),
            committed: BTreeMap::new(),
            last_position: 0,
            last_number: 0,
            last_local: 0,
            prepare_renames,
        }
    }

    /// Everything visible to a snapshot taken now.
    pub(crate) fn committed(&self) -> &BTreeMap<Position, Written> {
        &self.committed
    }

    pub(crate) fn last_position(&self) -> Position {
        self.last_position
    }

    /// Who holds the log's lock now.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        self.transactions.iter().filter(|transaction| transaction.locked).map(|held| held.holder.clone()).collect()
    }

    /// Positions that prepared transactions may still fill.
    pub(crate) fn prepared_positions(&self) -> impl Iterator<Item = Position> + '_ {
        let prepared = self.transactions.iter().filter(|transaction| transaction.stage == Stage::Prepared);
        prepared.flat_map(|transaction| transaction.rows.iter().map(|row| row.position))
    }

    /// Some transaction does something.
    pub(crate) fn act(&mut self, chance: &mut Chance) {
        if self.transactions.is_empty() || (self.transactions.len() < SESSIONS && chance.percent(20)) {
            self.begin();
        }
        let index = chance.below(self.transactions.len());
        match self.transactions[index].stage {
            Stage::Ended => drop(self.transactions.remove(index)),
            Stage::Prepared => self.end(index, chance.percent(60)),
            Stage::Open => match chance.below(30) {
                0..=14 => self.write(index, chance),
                15..=18 => self.set_savepoint(index),
                19..=20 => self.roll_back_to_savepoint(index),
                21..=22 => self.prepare(index),
                23 => self.kill(index),
                24..=25 => self.end(index, false),
                _ => self.end(index, true),
            },
        }
    }

    /// Lets every transaction come to its end.
    pub(crate) fn finish(&mut self, chance: &mut Chance) {
        for index in 0..self.transactions.len() {
            if self.transactions[index].stage != Stage::Ended {
                self.end(index, chance.percent(70));
            }
        }
        self.transactions.clear();
    }

    /// Crashes and recovers: sessions die, prepared transactions come back under their number, some ids are skipped.
    pub(crate) fn restart(&mut self, chance: &mut Chance) {
        self.transactions.retain(|transaction| transaction.stage == Stage::Prepared);
        for prepared in &mut self.transactions {
            prepared.holder.transaction = format!("-1/{}", prepared.number);
        }
        self.last_local = 0;
        self.last_position += Position::try_from(chance.below(33)).expect("it is below 33");
    }

    fn begin(&mut self) {
        self.last_local += 1;
        self.last_number += 1;
        let session = (1..=10).find(|pid| self.transactions.iter().all(|other| other.holder.pid != Some(*pid)));
        let session = session.expect("there are fewer sessions than that");
        self.transactions.push(Transaction {
            holder: Holder {
                transaction: format!("{session}/{}", self.last_local),
                pid: Some(session),
                prepared: false,
            },
            number: self.last_number,
            stage: Stage::Open,
            locked: false,
            rows: Vec::new(),
            keys: BTreeSet::new(),
            savepoint: None,
        });
    }

    /// Inserts one event, a few, or a bulk larger than many a read.
    fn write(&mut self, index: usize, chance: &mut Chance) {
        let count = if chance.percent(6) { 5 + chance.below(12) } else { 1 + chance.below(2) };
        for _ in 0..count {
            let key = chance.below(KEYS);
            let taken =
                self.transactions.iter().enumerate().any(|(other, held)| other != index && held.keys.contains(&key));
            if taken {
                continue;
            }
            let versions = self.committed.values().chain(&self.transactions[index].rows);
            let version = 1 + versions.filter(|row| row.key == key).count() as u64;
            self.last_position += 1;
            let transaction = &mut self.transactions[index];
            transaction.locked = true;
            if key > 0 {
                transaction.keys.insert(key);
            }
            transaction.rows.push(Written { position: self.last_position, key, version });
        }
    }

    fn set_savepoint(&mut self, index: usize) {
        let transaction = &mut self.transactions[index];
        let Transaction { locked, rows, keys, .. } = &*transaction;
        transaction.savepoint = Some(Savepoint { locked: *locked, rows: rows.len(), keys: keys.clone() });
    }

    fn roll_back_to_savepoint(&mut self, index: usize) {
        let transaction = &mut self.transactions[index];
        if let Some(savepoint) = transaction.savepoint.take() {
            transaction.locked = savepoint.locked;
            transaction.rows.truncate(savepoint.rows);
            transaction.keys = savepoint.keys;
        }
    }

    fn prepare(&mut self, index: usize) {
        let transaction = &mut self.transactions[index];
        transaction.stage = Stage::Prepared;
        transaction.holder.pid = None;
        transaction.holder.prepared = true;
        if self.prepare_renames {
            transaction.holder.transaction = format!("-1/{}", transaction.number);
        }
    }

    /// What it wrote becomes visible or is gone; the locks stay for now.
    fn end(&mut self, index: usize, commit: bool) {
        let transaction = &mut self.transactions[index];
        transaction.stage = Stage::Ended;
        let rows = std::mem::take(&mut transaction.rows);
        if commit {
            self.committed.extend(rows.into_iter().map(|row| (row.position, row)));
        }
    }

    /// The session is gone at once, and its locks with it.
    fn kill(&mut self, index: usize) {
        self.transactions.remove(index);
    }
}
