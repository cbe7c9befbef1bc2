//! The frontier: how far a log has been read, and the holes below it that open transactions may still fill.
//!
//! A database that draws positions before commit shows them out of order: position 7 may be visible while 5 and 6 belong
//! to transactions still open, or to ones that rolled back. Waiting for 5 and 6 would stall the reader behind a stranger;
//! passing them would lose them. So the reader goes on, and remembers what it has not seen as *holes*:
//!
//! ```text
//!  snapshot 1 sees   1 2 3 4 · · 7      → publish 1-4 and 7, hole {5,6}, its holders: A and B
//!  sample 1 sees     A, B, C open         (taken after snapshot 1: whoever drew 5 or 6 is among them, or has ended)
//!  snapshot 2 sees   · 6                → publish 6; 5 stays
//!  sample 2 sees     C open             → the holders of 5 are now none, but A may have committed after snapshot 2
//!  snapshot 3 sees   nothing at 5       → everyone who could have filled it ended before snapshot 3: 5 is dead
//! ```
//!
//! A hole is dead only when all its holders have ended and a *later* snapshot still lacks it. No clock is ever evidence.
//! Three rules make it right:
//!
//! - A read that was cut short says nothing about what lies beyond its last row, so nothing there is judged.
//! - `PREPARE TRANSACTION` hands the locks of a session to a transaction of another name. When a holder vanishes, every
//!   prepared holder of that sample takes its place.
//! - After a restart of the server its transactions have other names, so what was sampled before is forgotten. Sessions do
//!   not survive a restart: of those who hold a lock then, only prepared transactions can own a hole seen before it.
//!   Where it is not known what happened, everyone who holds a lock then is a holder.
//!
//! The order within a key holds because a writer that holds the key's row lock cannot be overtaken by a later event of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Instant;

use rangemap::RangeInclusiveMap;

use crate::event::Position;
use crate::position::PositionSet;
use crate::source::{Evidence, Holder, Read, ReadRequest, Row};

/// So many ranges of holes are carried; at the cap the frontier stands still until some close.
pub const MAX_HOLES: usize = 10_000;

/// How far a log has been read.
#[derive(Debug)]
pub struct Frontier {
    position: Position,
    /// Each hole names the sighting it belongs to: holes first seen by one read have their holders in common.
    holes: RangeInclusiveMap<Position, u64>,
    sightings: BTreeMap<u64, Sighting>,
    next_sighting: u64,
    max_holes: usize,
}

/// The holes of one read share this.
#[derive(Debug)]
struct Sighting {
    first_seen: Instant,
    /// Who may still fill them; `None` until somebody looked.
    holders: Option<BTreeSet<Holder>>,
    /// Whether only prepared transactions can, because the server was restarted since.
    prepared_only: bool,
}

/// A hole, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The missing positions.
    pub range: RangeInclusive<Position>,
    /// When it was first seen.
    pub first_seen: Instant,
    /// Who may still fill it.
    pub holders: Vec<Holder>,
}

impl Frontier {
    /// A frontier at a checkpoint: everything up to `position` was read, but for `open`.
    pub fn new(position: Position, open: &PositionSet) -> Self {
        let mut frontier = Self {
            position,
            holes: RangeInclusiveMap::new(),
            sightings: BTreeMap::new(),
            next_sighting: 0,
            max_holes: MAX_HOLES,
        };
        let sighting = frontier.sight(Instant::now());
        frontier.holes.extend(open.ranges().map(|range| (range.clone(), sighting)));
        frontier
    }

    /// The same with another cap on its holes; 1 reads strictly in position order.
    pub fn with_max_holes(mut self, max_holes: usize) -> Self {
        self.max_holes = max_holes.max(1);
        self
    }

    /// The same for a clock other than the system's: what is open was first seen at this moment.
    pub fn first_seen_at(mut self, now: Instant) -> Self {
        for sighting in self.sightings.values_mut() {
            sighting.first_seen = now;
        }
        self
    }

    /// How far the log has been read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the cap on holes keeps the frontier where it is.
    pub fn stands_still(&self) -> bool {
        self.hole_count() >= self.max_holes
    }

    /// How many ranges of positions are missing.
    pub fn hole_count(&self) -> usize {
        self.holes.len()
    }

    /// The missing positions below the frontier.
    pub fn open(&self) -> PositionSet {
        self.holes.iter().map(|(range, _)| range.clone()).collect()
    }

    /// The lowest missing position below the frontier.
    pub fn first_open(&self) -> Option<Position> {
        self.holes.first_range_value().map(|(range, _)| *range.start())
    }

    /// When the oldest of the missing positions was first seen to be missing.
    pub fn oldest(&self) -> Option<Instant> {
        let oldest = self.sightings.values().map(|sighting| sighting.first_seen).min();
        oldest.filter(|_| !self.holes.is_empty())
    }

    /// The holes with what is known of them, lowest first.
    pub fn holes(&self) -> impl Iterator<Item = Hole> + '_ {
        self.holes.iter().filter_map(|(range, sighting)| {
            let sighting = self.sightings.get(sighting)?;
            let holders = sighting.holders.iter().flatten().cloned().collect();
            Some(Hole { range: range.clone(), first_seen: sighting.first_seen, holders })
        })
    }

    /// The next read, of all partitions.
    pub fn request(&self, max_events: u32, max_bytes: u64) -> ReadRequest {
        let (open, above) = (self.open(), !self.stands_still());
        ReadRequest { open, above, max_events, max_bytes, ..ReadRequest::above(self.position) }
    }

    /// Forgets who held what: the server may have been restarted or replaced.
    pub fn distrust(&mut self) {
        for sighting in self.sightings.values_mut() {
            sighting.holders = None;
        }
    }

    /// Forgets who held what, for the server was restarted: of all who could fill a hole only prepared transactions are left.
    pub fn outlive_server(&mut self) {
        for sighting in self.sightings.values_mut() {
            sighting.holders = None;
            sighting.prepared_only = true;
        }
    }

    /// Takes in a read made with [`Frontier::request`] and returns the rows to go on with, in position order.
    ///
    /// Rows above the place where the cap on holes was reached are left out, and in strict reading those behind a missing
    /// position; a later read brings them again.
    pub fn absorb(&mut self, read: Read) -> Vec<Row> {
        self.absorb_at(read, Instant::now())
    }

    /// The same by a clock other than the system's. The time is kept for people to see, and never acted on.
    pub fn absorb_at(&mut self, read: Read, now: Instant) -> Vec<Row> {
        let last = read.rows.last().map(Row::position);
        let judged_to = if read.complete { Some(Position::MAX) } else { last };
        let split = read.rows.partition_point(|row| row.position() <= self.position);
        let mut rows = read.rows;
        let above = rows.split_off(split);
        let in_commit_order = matches!(read.evidence, Evidence::CommitOrder);
        let mut rows = self.fill(rows, judged_to, in_commit_order);
        rows.extend(self.advance(above, in_commit_order, now));
        if let Evidence::Holders(holders) = read.evidence {
            self.learn(&holders);
        }
        self.forget_closed_sightings();
        rows
    }

    /// Closes the holes that rows have filled and those that are dead, and returns the rows to go on with.
    fn fill(&mut self, mut rows: Vec<Row>, judged_to: Option<Position>, in_commit_order: bool) -> Vec<Row> {
        let mut filled = Vec::with_capacity(rows.len());
        for position in rows.iter().map(Row::position) {
            filled.extend(self.holes.get(&position).map(|sighting| (position, *sighting)));
            self.holes.remove(position..=position);
        }
        if let Some(judged_to) = judged_to {
            self.bury(judged_to, in_commit_order);
        }
        // In strict reading a filled hole stays one until nothing before it is missing.
        if let (1, Some(first_open)) = (self.max_holes, self.first_open()) {
            rows.retain(|row| row.position() < first_open);
            for (position, sighting) in filled.into_iter().filter(|(position, _)| *position > first_open) {
                self.holes.insert(position..=position, sighting);
            }
        }
        rows
    }

    /// Removes holes up to `judged_to` that nobody could have filled after this read's snapshot.
    fn bury(&mut self, judged_to: Position, in_commit_order: bool) {
        let ended = |sighting: &u64| {
            self.sightings.get(sighting).and_then(|sighting| sighting.holders.as_ref()).is_some_and(BTreeSet::is_empty)
        };
        let dead: Vec<_> = self
            .holes
            .iter()
            .take_while(|(range, _)| *range.start() <= judged_to)
            .filter(|(_, sighting)| in_commit_order || ended(sighting))
            .map(|(range, _)| *range.start()..=judged_to.min(*range.end()))
            .collect();
        for range in dead {
            self.holes.remove(range);
        }
    }

    /// Moves the frontier over new rows, remembering what is missing between them.
    fn advance(&mut self, above: Vec<Row>, in_commit_order: bool, now: Instant) -> Vec<Row> {
        if self.stands_still() {
            return Vec::new();
        }
        let sighting = self.sight(now);
        let mut accepted = above;
        let mut taken = 0;
        for row in &accepted {
            let position = row.position();
            if position > self.position + 1 && !in_commit_order {
                self.holes.insert(self.position + 1..=position - 1, sighting);
                if self.stands_still() {
                    self.position = position - 1;
                    break;
                }
            }
            self.position = position;
            taken += 1;
        }
        accepted.truncate(taken);
        accepted
    }

    /// Brings the holders of every hole up to date with a sample taken after the read's snapshot.
    fn learn(&mut self, sample: &[Holder]) {
        let now: BTreeSet<Holder> = sample.iter().cloned().collect();
        for sighting in self.sightings.values_mut() {
            match &mut sighting.holders {
                None => {
                    let may_own = |holder: &&Holder| holder.prepared || !sighting.prepared_only;
                    sighting.holders = Some(now.iter().filter(may_own).cloned().collect());
                }
                Some(holders) => Holder::keep_open(holders, &now),
            }
        }
    }

    fn sight(&mut self, now: Instant) -> u64 {
        let sighting = self.next_sighting;
        self.next_sighting += 1;
        self.sightings.insert(sighting, Sighting { first_seen: now, holders: None, prepared_only: false });
        sighting
    }

    fn forget_closed_sightings(&mut self) {
        let alive: BTreeSet<u64> = self.holes.iter().map(|(_, sighting)| *sighting).collect();
        self.sightings.retain(|sighting, _| alive.contains(sighting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(positions: &[Position], holders: &[(&str, bool)]) -> Read {
        let holder = |(name, prepared): &(&str, bool)| Holder {
            transaction: (*name).to_owned(),
            pid: (!prepared).then_some(1),
            prepared: *prepared,
        };
        let rows = positions.iter().map(|position| Row::Filtered(*position)).collect();
        Read { rows, complete: true, evidence: Evidence::Holders(holders.iter().map(holder).collect()) }
    }

    #[test]
    fn only_prepared_transactions_outlive_a_server() {
        let mut frontier = Frontier::new(0, &PositionSet::new());
        frontier.absorb(read(&[2, 4], &[("3/1", false)]));
        frontier.outlive_server();
        frontier.absorb(read(&[6], &[("3/1", false), ("-1/9", true)]));
        assert_eq!(frontier.open().to_string(), "{[1,1],[3,3],[5,5]}");
        frontier.absorb(read(&[], &[("3/1", false)]));
        frontier.absorb(read(&[], &[("3/1", false)]));
        assert_eq!(frontier.open().to_string(), "{[5,5]}", "3/1 began after the restart and may own 5 alone");
    }
}
