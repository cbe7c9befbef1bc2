//! Partitions: how the work of a subscription is shared among relays, and how their number changes.
//!
//! A key always falls into the same partition: the first four bytes of the SHA-256 of its UTF-8 bytes, as a big-endian
//! number, modulo the number of partitions. An event without a key falls where its position does. So anybody can compute
//! it, in any language and in SQL.
//!
//! The number belongs to the subscription and stands in the row `partitions:NAME` of `outbox_meta`. It is made with the first
//! checkpoint, and changed like this:
//!
//! ```text
//!  at work ──ask──► changing ──────────────────────────────► at work with the new number
//!     ▲               relays finish what is in flight,          │  what lies at or below the boundary is due
//!     │               write checkpoints, give leases back;      │  where the old partition of its key says so
//!     │               the first that finds all leases free      │
//!     └── once every checkpoint has passed the boundary ◄───────┘  makes the new rows
//! ```
//!
//! The old checkpoints are kept, frozen, in the same row: an event up to the *boundary*, the highest position any of them
//! had reached, is due when the one of its old partition says so. So nothing repeats, nothing is left out, and nobody waits
//! for open transactions. No key swaps: whoever worked it before has written what it did, and its epoch is out of date.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::error::{StoreError, StoreErrorKind};
use crate::event::Position;
use crate::position::PositionSet;

/// What the row of `outbox_meta` is called, before the subscription's name.
pub const PARTITIONS: &str = "partitions:";

/// The most partitions a subscription has.
pub const MAX_PARTITIONS: u32 = 256;

/// The partition of an event, of `count` there are.
pub fn partition_of(key: &str, position: Position, count: u32) -> u32 {
    if count <= 1 {
        return 0;
    }
    if key.is_empty() {
        return u32::try_from(position.unsigned_abs() % u64::from(count)).unwrap_or_default();
    }
    let hash = Sha256::digest(key.as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % count
}

/// Some of the partitions a subscription has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// So many there are.
    pub count: u32,
    /// These, each below `count`.
    pub partitions: Vec<u32>,
}

impl Portion {
    /// Whether an event falls into it.
    pub fn holds(&self, key: &str, position: Position) -> bool {
        self.partitions.contains(&partition_of(key, position, self.count))
    }
}

/// Partitions for people, such as `partition 3` or `partitions 0-7, 9`.
pub fn named(partitions: impl IntoIterator<Item = u32>) -> String {
    let set: PositionSet = partitions.into_iter().map(Position::from).map(|number| number..=number).collect();
    let shown: Vec<_> = set
        .ranges()
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    let alone = set.ranges().map(|range| range.end() - range.start() + 1).sum::<Position>() == 1;
    format!("{} {}", if alone { "partition" } else { "partitions" }, shown.join(", "))
}

/// How many partitions a subscription has, and what is left of the number before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partitioning {
    /// So many there are.
    pub count: u32,
    /// Somebody asked for so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// What was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// What becomes of a question for another number of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// There are so many, or somebody asked for so many before.
    Already,
    /// The row is to say this from now on.
    Granted(Partitioning),
    /// The last change is not settled yet: ask again.
    Later,
}

/// What became of a change of the number of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nobody asks for one, or another relay was faster.
    Nothing,
    /// A lease still runs: try again.
    Later,
    /// It is made.
    Made {
        /// So many there were.
        from: u32,
        /// So many there are.
        to: u32,
    },
}

/// The checkpoints of a former number of partitions, frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The highest position any of them had reached.
    pub boundary: Position,
    /// Position and open positions by partition.
    partitions: Vec<(Position, String)>,
    #[serde(skip)]
    open: Vec<PositionSet>,
}

impl Partitioning {
    /// So many partitions from the beginning.
    pub fn new(count: u32) -> Self {
        Self { count, next: None, before: None }
    }

    /// Reads the row of `outbox_meta`.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`] for text no relay wrote.
    pub fn from_text(subscription: &str, text: &str) -> Result<Self, StoreError> {
        let read = serde_json::from_str(text).ok().and_then(|mut read: Self| {
            if let Some(before) = &mut read.before {
                before.open = before.partitions.iter().map(|(_, open)| open.parse().ok()).collect::<Option<_>>()?;
            }
            (1..=MAX_PARTITIONS).contains(&read.count).then_some(read)
        });
        read.ok_or_else(|| {
            let message = format!(
                "the row `{PARTITIONS}{subscription}` of the table `meta` is damaged; restore it from a backup"
            );
            StoreError::new(StoreErrorKind::Precondition, message)
        })
    }

    /// The text of the row.
    pub fn to_text(&self) -> String {
        // Numbers and texts alone: there is nothing in it that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The partition of an event.
    pub fn of(&self, key: &str, position: Position) -> u32 {
        partition_of(key, position, self.count)
    }

    /// Whether the partition the event belonged to before had not done with it.
    pub fn is_due(&self, key: &str, position: Position) -> bool {
        let Some(before) = self.before.as_ref().filter(|before| position <= before.boundary) else { return true };
        let old = partition_of(key, position, u32::try_from(before.partitions.len()).unwrap_or(u32::MAX)) as usize;
        let passed = before.partitions.get(old).is_some_and(|(reached, _)| position <= *reached);
        !passed || before.open.get(old).is_some_and(|open| open.contains(position))
    }

    /// Whether all checkpoints have passed the boundary of the last change, so that it may be forgotten.
    pub fn is_settled(&self, checkpoints: &BTreeMap<u32, Checkpoint>) -> bool {
        let passed = |boundary: Position| {
            checkpoints
                .values()
                .all(|each| each.position >= boundary && each.open.first().is_none_or(|first| first > boundary))
        };
        self.before.as_ref().is_none_or(|before| passed(before.boundary))
    }

    /// Asks for another number.
    pub fn ask(&self, checkpoints: &BTreeMap<u32, Checkpoint>, count: u32) -> Asked {
        if self.next.unwrap_or(self.count) == count {
            return Asked::Already;
        }
        // Who asks for what there is takes back what somebody else asked for.
        let next = Some(count).filter(|count| *count != self.count);
        if self.is_settled(checkpoints) { Asked::Granted(Self { next, ..self.clone() }) } else { Asked::Later }
    }

    /// Goes over to another number: what the new row says, and the checkpoint each new partition begins with.
    ///
    /// Only [settled](Self::is_settled) ones may change. A partition without a checkpoint counts as one that has done nothing
    /// beyond the lowest.
    pub fn change(&self, checkpoints: &BTreeMap<u32, Checkpoint>, count: u32) -> (Self, Checkpoint) {
        let start = Checkpoint::together(checkpoints.values()).unwrap_or_default();
        let boundary = checkpoints.values().map(|each| each.position).max().unwrap_or_default();
        let old = |partition| {
            checkpoints
                .get(&partition)
                .map_or((start.position, PositionSet::new()), |each| (each.position, each.open.clone()))
        };
        let (partitions, sets) = (0..self.count).map(old).map(|(at, open)| ((at, open.to_string()), open)).unzip();
        let before = Before { boundary, partitions, open: sets };
        (Self { count, next: None, before: Some(before) }, start)
    }
}

#[cfg(test)]
mod tests;
