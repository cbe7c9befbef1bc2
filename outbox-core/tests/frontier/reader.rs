//! A relay as the log sees it: reads, publishes some time later, checkpoints and starts again.

use std::collections::BTreeSet;

use outbox_core::frontier::Frontier;
use outbox_core::source::{Evidence, Holder, Read, Row};
use outbox_core::{Position, PositionSet};

use crate::chance::Chance;
use crate::server::{Server, Written};

/// How the reader treats what the frontier asks of it; all but the first are known to lose events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// Looks who holds the lock before it reads, so a transaction that begins in between is overlooked.
    SampleBeforeSnapshot,
    /// Takes a read that a limit cut short for a whole one.
    IgnoreIncomplete,
    /// Judges a snapshot by a sample taken after it.
    JudgeSameSnapshot,
    /// Does not tell prepared transactions from others.
    ForgetPrepared,
    /// Keeps its samples when it meets another server.
    NoDistrust,
    /// Reads above its position and nothing else.
    IdAboveLast,
}

pub(crate) struct Reader {
    variant: Variant,
    max_holes: usize,
    frontier: Frontier,
    /// Returned by the frontier and not yet published, in the order returned.
    held: Vec<Position>,
    early_sample: Option<Vec<Holder>>,
    under_way: Option<UnderWay>,
    returned: BTreeSet<Position>,
    pub(crate) published: Vec<Written>,
}

/// A read between its snapshot and its sample.
struct UnderWay {
    rows: Vec<Position>,
    complete: bool,
    capped: bool,
}

impl Reader {
    pub(crate) fn new(variant: Variant, max_holes: usize) -> Self {
        Self {
            variant,
            max_holes,
            frontier: Frontier::new(0, &PositionSet::new()).with_max_holes(max_holes),
            held: Vec::new(),
            early_sample: None,
            under_way: None,
            returned: BTreeSet::new(),
            published: Vec::new(),
        }
    }

    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Takes the next step of a read: its snapshot, or its sample and what follows from both.
    pub(crate) fn read(&mut self, server: &Server, chance: &mut Chance) -> Result<(), String> {
        if self.variant == Variant::SampleBeforeSnapshot && self.early_sample.is_none() {
            self.early_sample = Some(server.holders());
            return Ok(());
        }
        match self.under_way.take() {
            None => {
                self.under_way = Some(self.take_snapshot(server, chance));
                Ok(())
            }
            Some(under_way) => self.take_sample(&under_way, server, chance),
        }
    }

    fn take_snapshot(&self, server: &Server, chance: &mut Chance) -> UnderWay {
        let limit = chance.pick(&[1, 2, 3, 10, 1000]);
        let request = self.frontier.request(limit, u64::MAX);
        let asked = |position: Position| {
            let below = self.variant != Variant::IdAboveLast && request.open.contains(position);
            below || (request.above && position > request.after)
        };
        let mut rows: Vec<Position> = server.committed().keys().copied().filter(|position| asked(*position)).collect();
        let visible = rows.len();
        rows.truncate(limit as usize);
        UnderWay {
            complete: rows.len() == visible || self.variant == Variant::IgnoreIncomplete,
            rows,
            capped: self.frontier.stands_still(),
        }
    }

    fn take_sample(&mut self, read: &UnderWay, server: &Server, chance: &mut Chance) -> Result<(), String> {
        let mut sample = server.holders();
        match self.variant {
            Variant::SampleBeforeSnapshot => sample = self.early_sample.take().unwrap_or(sample),
            Variant::ForgetPrepared => sample.iter_mut().for_each(|holder| holder.prepared = false),
            _ => {}
        }
        let evidence = if chance.percent(15) { Evidence::Unsampled } else { Evidence::Holders(sample) };
        let before = self.frontier.position();
        let rows = read.rows.iter().map(|position| Row::Filtered(*position)).collect();
        let accepted = self.frontier.absorb(Read { rows, complete: read.complete, evidence });
        if self.variant == Variant::JudgeSameSnapshot {
            self.frontier.absorb(Read { rows: Vec::new(), complete: read.complete, evidence: Evidence::Unsampled });
        }
        self.take_in(&accepted)?;
        self.check(before, read)
    }

    fn take_in(&mut self, rows: &[Row]) -> Result<(), String> {
        if !rows.is_sorted_by_key(Row::position) {
            return Err(format!("rows out of order: {rows:?}"));
        }
        for position in rows.iter().map(Row::position) {
            if !self.returned.insert(position) {
                return Err(format!("position {position} was returned twice"));
            }
            self.held.push(position);
        }
        Ok(())
    }

    /// What holds after every read.
    fn check(&self, before: Position, read: &UnderWay) -> Result<(), String> {
        let (position, open) = (self.frontier.position(), self.frontier.open());
        if position < before {
            return Err(format!("the frontier went back from {before} to {position}"));
        }
        if open.last_range().is_some_and(|last| *last.end() > position) {
            return Err(format!("{open} lies above the frontier at {position}"));
        }
        let strict = self.max_holes == 1;
        if let (true, Some(first), Some(last)) = (strict, open.first(), self.returned.last())
            && first < *last
        {
            return Err(format!("strict reading returned position {last} before {first}"));
        }
        let capped = read.capped || self.frontier.stands_still();
        match read.rows.iter().find(|position| !self.returned.contains(position)) {
            Some(withheld) if !capped => Err(format!("visible position {withheld} was not returned")),
            _ => Ok(()),
        }
    }

    /// Publishes one event with nothing earlier of its key before it; in strict reading nothing earlier at all.
    pub(crate) fn publish(&mut self, server: &Server, chance: &mut Chance) {
        if self.held.is_empty() {
            return;
        }
        let key = |position: &Position| server.committed()[position].key;
        let wanted = if self.max_holes == 1 { 0 } else { chance.below(self.held.len()) };
        let first = self.held.iter().position(|position| key(position) == key(&self.held[wanted]));
        let position = self.held.remove(first.unwrap_or(wanted));
        self.published.push(server.committed()[&position]);
    }

    pub(crate) fn has_unpublished(&self) -> bool {
        !self.held.is_empty()
    }

    /// Begins anew from a checkpoint: what was not published is an open position of it.
    pub(crate) fn start_again(&mut self) {
        let mut open = self.frontier.open();
        for position in self.held.drain(..) {
            open.insert(position..=position);
            self.returned.remove(&position);
        }
        self.frontier = Frontier::new(self.frontier.position(), &open).with_max_holes(self.max_holes);
        self.under_way = None;
    }

    /// The connection broke and another one leads to the server, or to another one.
    pub(crate) fn reconnect(&mut self) {
        self.under_way = None;
        if self.variant != Variant::NoDistrust {
            self.frontier.distrust();
        }
    }

    /// Whether the server is no further back than what was read of another: everything returned is there, its positions
    /// were given out, and what was judged dead is dead there too. A replica further back than that is outside of what
    /// is promised.
    pub(crate) fn recognises(&self, server: &Server) -> bool {
        let there = |position: &Position| server.committed().contains_key(position);
        let (last, open) = (self.frontier.position(), self.frontier.open());
        let judged = |position: &Position| *position <= last && !open.contains(*position);
        last <= server.last_position()
            && self.returned.iter().all(there)
            && !server.prepared_positions().any(|at| judged(&at))
    }
}
