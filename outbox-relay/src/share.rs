//! The partitions of a subscription that one term works, and what each of their checkpoints says.
//!
//! They are read together, as one stream from the lowest of their checkpoints. An event is taken in when the checkpoint of
//! its partition has not done with it. What is open in the end is the same for all, so each row gets the same checkpoint:
//! open positions of another partition do no harm in a row, whoever reads them finds that they are not his. But what a row
//! was done with when it was joined it never owes again, though another row did and no read has shown yet whose it is. And
//! while the stream is still below a checkpoint it was joined with, that row says what it said, less what has been done since.

mod gaps;

use outbox_core::checkpoint::{Checkpoint, Claimed, Held};
use outbox_core::partition::{Partitioning, Portion};
use outbox_core::source::Row;
use outbox_core::{Position, PositionSet};
use uuid::Uuid;

use self::gaps::Gaps;

/// One partition.
#[derive(Debug)]
struct Part {
    held: Held,
    /// The checkpoint it was joined with.
    start: Checkpoint,
    /// The position last written.
    written: Position,
}

/// What one term works.
#[derive(Debug)]
pub(crate) struct Share {
    partitioning: Partitioning,
    parts: Vec<Part>,
    gaps: Gaps,
}

impl Share {
    /// What was claimed, of what is held; a partition that there is no longer is left out.
    pub(crate) fn new(held: &[Held], mut claimed: Claimed) -> Self {
        let part = |held: &Held| {
            let start = claimed.checkpoints.remove(&held.partition)?;
            Some(Part { held: *held, written: start.position, start })
        };
        let parts: Vec<_> = held.iter().filter_map(part).collect();
        let partitioning = claimed.partitioning.unwrap_or_else(|| Partitioning::new(1));
        let mut share = Self { partitioning, parts, gaps: Gaps::new(0) };
        // Below, what is not due may have been done.
        share.gaps = Gaps::new(share.reached());
        share
    }

    /// Where reading begins; `None` where there is nothing to be worked.
    pub(crate) fn start(&self) -> Option<Checkpoint> {
        Checkpoint::together(self.parts.iter().map(|part| &part.start).collect::<Vec<_>>())
    }

    /// The highest position that any of them had reached, or any of those there were before their number changed.
    pub(crate) fn reached(&self) -> Position {
        let before = self.partitioning.before.as_ref().map(|before| before.boundary);
        self.parts.iter().map(|part| part.start.position).chain(before).max().unwrap_or_default()
    }

    /// Whether every partition is in it.
    pub(crate) fn is_whole(&self) -> bool {
        self.parts.len() as u64 >= u64::from(self.partitioning.count)
    }

    /// What of the log to read; `None` for all of it.
    pub(crate) fn portion(&self) -> Option<Portion> {
        let partitions = || self.parts.iter().map(|part| part.held.partition).collect();
        (!self.is_whole()).then(|| Portion { count: self.partitioning.count, partitions: partitions() })
    }

    /// How many rows to read for so many that are due, if each partition has the same: what it takes on average, and two
    /// standard deviations more (of the negative binomial distribution). Rows of others are cheap, a window half empty is not.
    pub(crate) fn rows_for(&self, due: usize) -> usize {
        let (count, own) = (self.partitioning.count as usize, self.parts.len().max(1));
        let variance = due * count * count.saturating_sub(own) / (own * own);
        (due * count).div_ceil(own) + 2 * variance.isqrt()
    }

    /// The rows of a read, in position order, up to so many that are due; those that are not this share's to publish are left
    /// out of them.
    pub(crate) fn sift(&mut self, rows: Vec<Row>, most: usize) -> Vec<Row> {
        let mut due = 0;
        let mut sifted = Vec::with_capacity(rows.len());
        for row in rows {
            let position = row.position();
            let row = match row {
                Row::Event(event) if !self.is_due(&event.key, position) => Row::Filtered(position),
                Row::Unreadable(row) if !self.is_due(&row.key, position) => Row::Filtered(position),
                row => row,
            };
            if !matches!(row, Row::Filtered(_)) {
                due += 1;
                if due > most {
                    break;
                }
            }
            sifted.push(row);
        }
        sifted
    }

    /// Notes rows that were taken in.
    pub(crate) fn follow(&mut self, rows: &[Row]) {
        for row in rows {
            self.gaps.follow(row.position(), !matches!(row, Row::Filtered(_)));
        }
    }

    /// Whether the key, or the event without one, falls into it.
    pub(crate) fn owns(&self, key: &str, position: Position) -> bool {
        self.part(self.partitioning.of(key, position)).is_some()
    }

    /// Whether an event is to be taken in.
    fn is_due(&self, key: &str, position: Position) -> bool {
        let Some(part) = self.part(self.partitioning.of(key, position)) else { return false };
        (position > part.start.position || part.start.open.contains(position))
            && self.partitioning.is_due(key, position)
    }

    fn part(&self, partition: u32) -> Option<&Part> {
        self.parts.iter().find(|part| part.held.partition == partition)
    }

    /// The checkpoints to write when everything up to the position is done but for the missing ones and those not yet done
    /// with.
    pub(crate) fn checkpoints(
        &mut self,
        position: Position,
        mut missing: PositionSet,
        open: &PositionSet,
        events: &[(Position, Uuid)],
    ) -> Vec<(Held, Checkpoint)> {
        for range in self.gaps.join(open) {
            missing.insert(range);
        }
        let all = Checkpoint { position, open: missing, events: events.to_vec() };
        self.parts.iter_mut().map(|part| (part.held, part.checkpoint(&all))).collect()
    }
}

impl Part {
    /// Never back: a position once written is kept, with what is open below it.
    fn checkpoint(&mut self, all: &Checkpoint) -> Checkpoint {
        let checkpoint = if all.position < self.start.position {
            self.behind(all)
        } else {
            let own = Checkpoint { open: self.owed(&all.open), ..all.clone() };
            let trimmed = own.clone().trimmed();
            if trimmed.position >= self.written { trimmed } else { own }
        };
        self.written = checkpoint.position;
        checkpoint
    }

    /// What is open, less what the checkpoint it was joined with had done.
    fn owed(&self, open: &PositionSet) -> PositionSet {
        let Checkpoint { position, open: owed, .. } = &self.start;
        let mut left = open.clone();
        if open.first().is_none_or(|first| first > *position) {
            return left;
        }
        let mut next = Position::MIN;
        for range in owed.ranges() {
            if next < *range.start() {
                left.remove(next..=range.start() - 1);
            }
            next = range.end() + 1;
        }
        if next <= *position {
            left.remove(next..=*position);
        }
        left
    }

    /// The checkpoint it was joined with, less what the stream has done of it.
    fn behind(&self, all: &Checkpoint) -> Checkpoint {
        let mut open = PositionSet::new();
        for range in self.start.open.ranges() {
            let (start, end) = (*range.start(), *range.end());
            if end > all.position {
                open.insert(start.max(all.position + 1)..=end);
            }
            for still in all.open.ranges() {
                let (from, to) = (start.max(*still.start()), end.min(*still.end()));
                if from <= to {
                    open.insert(from..=to);
                }
            }
        }
        Checkpoint { position: self.start.position, open, events: self.start.events.clone() }
    }
}

#[cfg(test)]
mod tests;
