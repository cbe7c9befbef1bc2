//! Checkpoints: where a subscription goes on after a restart, and what else must not be removed from the log.
//!
//! # What a checkpoint says
//!
//! *Everything up to the position is done, but for the open positions.* Each position of the log is in one of these places,
//! and the checkpoint tells only those that are done from those that are not:
//!
//! ```text
//!                 ┌──────────────────────── nobody can fill it any more ─────────────────────┐
//!  unread ──► hole: missing, somebody may still commit it                                    │
//!    │            │                                                                          ▼
//!    └────────────┴──► in flight ──► acknowledged ────────────────────────────────────────► done
//!                        │  ▲  ▲                                                             ▲
//!                        │  └──┴── back-off, or behind an earlier event of its key           │
//!                        └──► parked: a dead letter, written with the checkpoint ────────────┘
//!  ◄──────────────── owed: above the position, or an open position ─────────────────────►│
//! ```
//!
//! So a hole, or a key in back-off, keeps nobody from moving on, and a crash repeats only what was in flight: what was
//! acknowledged and is not yet written. What was filtered out is done when it is read.
//!
//! # How it is written
//!
//! One transaction carries everything that follows from the same events: the checkpoints of all partitions that are held, the
//! letters that were parked, taken and sent, and what was recorded or forgiven. It names the epoch of the lease and the number of
//! the claim it follows, and never goes back: a stored epoch that is higher, a later claim, or a stored position beyond the new
//! one, refuses all of it. The next write begins only when the last was answered, beside the next read; one is due after 1,000
//! acknowledgements, or a tenth of a second after the first.
//!
//! # What may go wrong
//!
//! | | then |
//! |---|---|
//! | The process ends before the write | what was acknowledged since the last one is published again, at most a window |
//! | The write commits and its answer is lost | the outcome is unknown: a new connection claims under the same epoch and writes again, which changes nothing |
//! | The write is given up, and arrives after the next has committed | it is refused: it follows an earlier claim, and each claim has a number |
//! | A relay that lost its lease writes | it is refused, by the epoch |
//! | The table of dead letters cannot be written | nor can the checkpoint: the partition stops, and nothing is dropped |
//! | The server crashes | the write was durable on return, whatever the session's settings |
//! | The database goes back in time | log and checkpoint went back together; a relay that remembers more stops: [`continuity`](crate::continuity) |
//! | A transaction stays open for days | its positions stay open, and the log below them is kept; [`frontier`](crate::frontier) caps how many ranges that may be |
//!
//! # Other claims on the log
//!
//! Every row of `outbox_checkpoint` is a claim on what lies above its position and on its open positions: whoever removes
//! events from the log leaves these alone. The names of two kinds of rows are reserved, for readers that are no
//! subscriptions:
//!
//! - `export:NAME` is where an export by name ended. It claims until somebody removes the row.
//! - `hold:ID` belongs to a reader that is at work. It claims as long as its lease runs; a hold whose lease has expired counts
//!   no more, and whoever sets the next one removes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::dead_letter::{Parked, Queue, State, Taken};
use crate::error::StoreError;
use crate::event::Position;
use crate::partition::{Change, Partitioning};
use crate::position::PositionSet;
use crate::source::Proof;

/// What the row of an export by name is called, before the name.
pub const EXPORT: &str = "export:";

/// What the row of a hold is called, before its id.
pub const HOLD: &str = "hold:";

/// What is said of a subscription that is called so.
pub const RESERVED: &str =
    "names that begin with export: or hold: belong to readers of the change log; write another, such as export-1";

/// Whether the name is one no subscription may have.
pub fn is_reserved(subscription: &str) -> bool {
    [EXPORT, HOLD].iter().any(|reserved| subscription.starts_with(reserved))
}

/// How far a subscription is: everything up to the position is done, but for the open positions.
///
/// Open positions are holes, and events not yet acknowledged. So others move on past a key in back-off, and a crash
/// repeats only what was in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything up to here is done …
    pub position: Position,
    /// … but for these.
    pub open: PositionSet,
    /// The last events read, to recognise the log by.
    pub events: Vec<(Position, Uuid)>,
}

impl Checkpoint {
    /// The shortest form: open positions at the very end are left to be read again.
    pub fn trimmed(mut self) -> Self {
        if let Some(tail) = self.open.last_range().cloned()
            && *tail.end() >= self.position
        {
            self.position = tail.start() - 1;
            self.open.remove(tail);
        }
        self
    }

    /// Reads the columns `position`, `open_positions` and `proof`, whose text is `position:event_id,position:event_id`.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`](crate::StoreErrorKind::Precondition) for text no relay wrote.
    pub fn from_columns(subscription: &str, position: Position, open: &str, proof: &str) -> Result<Self, StoreError> {
        let damaged = |column: &str| {
            let message =
                format!("the checkpoint of `{subscription}` has a damaged `{column}`; restore its row from a backup");
            StoreError::new(crate::StoreErrorKind::Precondition, message)
        };
        let pair = |pair: &str| {
            let (position, id) = pair.split_once(':')?;
            Some((position.parse().ok()?, id.parse().ok()?))
        };
        let events = proof.split(',').filter(|text| !text.is_empty()).map(pair).collect::<Option<_>>();
        Ok(Self {
            position,
            open: open.parse().map_err(|_| damaged("open_positions"))?,
            events: events.ok_or_else(|| damaged("proof"))?,
        })
    }

    /// The text of the column `proof`.
    pub fn proof_column(&self) -> String {
        let pairs: Vec<String> = self.events.iter().map(|(position, id)| format!("{position}:{id}")).collect();
        pairs.join(",")
    }

    /// One that has done no more than each of several: at the lowest position, with what any of them has open up to there.
    pub fn together<'c>(checkpoints: impl IntoIterator<Item = &'c Self> + Clone) -> Option<Self> {
        let lowest = checkpoints.clone().into_iter().min_by_key(|each| each.position)?;
        let mut open = PositionSet::new();
        for range in checkpoints.into_iter().flat_map(|each| each.open.ranges()) {
            if *range.start() <= lowest.position {
                open.insert(*range.start()..=lowest.position.min(*range.end()));
            }
        }
        Some(Self { position: lowest.position, open, events: lowest.events.clone() })
    }

    /// The lowest position that is not done with.
    pub fn lowest(&self) -> Position {
        let next = self.position.saturating_add(1);
        self.open.first().map_or(next, |first| first.min(next))
    }

    /// What to recognise the log by.
    pub fn proof(&self) -> Proof {
        Proof { position: self.position, events: self.events.clone() }
    }
}

/// An event that will not pass and stays owed, for the table `outbox_dead_letter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it stands.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its topic.
    pub topic: String,
    /// Its key.
    pub key: String,
    /// Why it does not pass; no payload and no secret.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// A partition of a subscription, and the epoch of the lease under which it is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Its number, from 0.
    pub partition: u32,
    /// The fencing token.
    pub epoch: i64,
}

/// What a claim found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// How the work is shared; `None` before the first checkpoint.
    pub partitioning: Option<Partitioning>,
    /// The checkpoints of the partitions claimed, where there are some.
    pub checkpoints: BTreeMap<u32, Checkpoint>,
}

/// What is to be written in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The checkpoint of each partition, at or beyond the stored one.
    pub checkpoints: Vec<(Held, Checkpoint)>,
    /// Events that will not pass; one that is recorded already gets the new reason and attempts.
    pub recorded: Vec<DeadLetter>,
    /// Events that go over to the dead letters: the checkpoint no longer owes them.
    pub parked: Vec<Arc<Parked>>,
    /// Events recorded, and letters taken, that did pass in the end.
    pub forgiven: Vec<Position>,
    /// Letters taken that were not sent, because one before them did not pass.
    pub returned: Vec<Position>,
}

impl Entry {
    /// Whether it has nothing but checkpoints.
    pub fn is_bare(&self) -> bool {
        self.recorded.is_empty() && self.parked.is_empty() && self.forgiven.is_empty() && self.returned.is_empty()
    }
}

/// An event that is recorded as one that will not pass, and still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands in the log.
    pub position: Position,
    /// `Blocked`, or what an operator made of it.
    pub state: State,
    /// When an operator last decided about it. While it is blocked that is a request to try it again: one that has another
    /// moment than the last is a new one.
    pub settled_at: Option<OffsetDateTime>,
}

/// Keeps checkpoints, over a connection of its own.
///
/// Every write carries the epoch of the writer's lease; one with an older epoch than the stored is
/// [`StoreErrorKind::Fenced`](crate::StoreErrorKind::Fenced) and changes nothing. So is one whose row was claimed since this
/// value claimed it. After an error of any other kind the outcome of a write is unknown, and it may even be still to come: open
/// a new connection, [`Checkpoints::claim`] again, which shuts it out, then write again.
#[async_trait]
pub trait Checkpoints: Send {
    /// Shuts every older epoch out of the partitions, and every write sent before over another value, and returns what is known
    /// of the subscription.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn claim(&mut self, subscription: &str, held: &[Held]) -> Result<Claimed, StoreError>;

    /// Makes a new subscription of so many partitions, each with this checkpoint, in one transaction; what is there already
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`]; [`Unavailable`](crate::StoreErrorKind::Unavailable) where cleanup has
    /// removed events above the checkpoint.
    async fn found(&mut self, subscription: &str, partitions: u32, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Writes the first checkpoint of a reader that is no subscription; one that is there already stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::found`].
    async fn create(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Writes an entry in one transaction; durable on return. An entry without letters may be written for some of its
    /// partitions when it is refused for others.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`]; `Fenced` too where a stored checkpoint lies beyond the new one.
    async fn save(&mut self, subscription: &str, entry: &Entry) -> Result<(), StoreError>;

    /// What is recorded and not forgiven, by position, and what operators decided about it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Recorded>, StoreError>;

    /// The keys that have letters which are not over, by their first letter; without a key only letters that are to be sent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn queues(&mut self, subscription: &str) -> Result<Vec<Queue>, StoreError>;

    /// Takes the first letters of a key that is not parked, to send them: at most so many, and so many bytes, but one at
    /// least. Without a key it takes the one letter at `first`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn take(&mut self, subscription: &str, queue: &Queue, letters: u32, bytes: u64) -> Result<Taken, StoreError>;

    /// The lowest position that is not done with, by partition.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn lowest(&mut self, subscription: &str) -> Result<BTreeMap<u32, Position>, StoreError>;

    /// Asks for a number of partitions; returns whether nothing is left to be asked for. While the last change is not
    /// [settled](Partitioning::is_settled) it is to be asked for again. A subscription without checkpoints is left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn ask_partitions(&mut self, subscription: &str, partitions: u32) -> Result<bool, StoreError>;

    /// Changes the number of partitions where somebody asked for it and no lease of the subscription runs.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn repartition(&mut self, subscription: &str) -> Result<Change, StoreError>;

    /// Removes the holds whose lease has expired or been given back, with their leases.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn sweep(&mut self) -> Result<(), StoreError>;
}

/// For readers of one row: those that are no subscription, and subscriptions of one partition.
impl dyn Checkpoints + '_ {
    /// [`Checkpoints::claim`] of the one partition.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn claim_one(&mut self, reader: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError> {
        let claimed = self.claim(reader, &[Held { partition: 0, epoch }]).await?;
        Ok(claimed.checkpoints.into_values().next())
    }

    /// [`Checkpoints::save`] of the one checkpoint.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn save_one(&mut self, reader: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let checkpoints = vec![(Held { partition: 0, epoch }, checkpoint.clone())];
        self.save(reader, &Entry { checkpoints, ..Entry::default() }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_there_and_back_and_rubbish_is_refused() {
        let events = vec![(7, Uuid::nil()), (9, Uuid::max())];
        let checkpoint = Checkpoint { position: 9, open: [3..=4].into_iter().collect(), events };
        let read = |open: &str, proof: &str| Checkpoint::from_columns("a", 9, open, proof);
        assert_eq!(read(&checkpoint.open.to_string(), &checkpoint.proof_column()).unwrap(), checkpoint);
        assert!(read("{}", "").unwrap().events.is_empty());
        for (open, proof, column) in [("{", "", "open_positions"), ("{}", "7", "proof"), ("{}", "7:x", "proof")] {
            assert!(read(open, proof).unwrap_err().to_string().contains(column));
        }
    }

    #[test]
    fn open_positions_at_the_end_are_left_to_be_read_again() {
        let open: PositionSet = [5..=6, 9..=12].into_iter().collect();
        let trimmed = Checkpoint { position: 12, open, events: Vec::new() }.trimmed();
        assert_eq!((trimmed.position, trimmed.open.to_string().as_str()), (8, "{[5,6]}"));
        let open: PositionSet = [5..=6].into_iter().collect();
        let untouched = Checkpoint { position: 12, open: open.clone(), events: Vec::new() }.trimmed();
        assert_eq!((untouched.position, untouched.open), (12, open));
    }
}
