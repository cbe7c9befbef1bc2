//! Checkpoints: where a subscription goes on after a restart, and what else must not be removed from the log.
//!
//! Every row of `outbox_checkpoint` is a claim on what lies above its position and on its open positions: whoever removes
//! events from the log leaves these alone. The names of two kinds of rows are reserved, for readers that are no
//! subscriptions:
//!
//! - `export:NAME` is where an export by name ended. It claims until somebody removes the row.
//! - `hold:ID` belongs to a reader that is at work. It claims as long as its lease runs; a hold whose lease has expired counts
//!   no more, and whoever sets the next one removes it.

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::StoreError;
use crate::event::Position;
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

    /// What to recognise the log by.
    pub fn proof(&self) -> Proof {
        Proof { position: self.position, events: self.events.clone() }
    }
}

/// An event that will not pass, for the table `outbox_dead_letter`.
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

/// Keeps checkpoints, over a connection of its own.
///
/// Every write carries the epoch of the writer's lease; one with an older epoch than the stored is
/// [`StoreErrorKind::Fenced`](crate::StoreErrorKind::Fenced) and changes nothing. After an error of any other kind the
/// outcome of a write is unknown: open a new connection, [`Checkpoints::claim`] again, then write again.
#[async_trait]
pub trait Checkpoints: Send {
    /// Shuts every older epoch out and returns the checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn claim(&mut self, subscription: &str, epoch: i64) -> Result<Option<Checkpoint>, StoreError>;

    /// Writes the first checkpoint of a new subscription; one that is there already stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn create(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Writes a checkpoint that lies at or beyond the stored one; durable on return.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`]; `Fenced` too where the stored one lies beyond this one.
    async fn save(&mut self, subscription: &str, epoch: i64, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// Records events that will not pass; one that is recorded already gets the new reason and attempts.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn record(&mut self, subscription: &str, epoch: i64, letters: &[DeadLetter]) -> Result<(), StoreError>;

    /// The positions recorded and not forgiven, ascending.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn recorded(&mut self, subscription: &str) -> Result<Vec<Position>, StoreError>;

    /// Removes the records of events that did pass in the end.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn forgive(&mut self, subscription: &str, epoch: i64, positions: &[Position]) -> Result<(), StoreError>;

    /// Removes the holds whose lease has expired or been given back, with their leases.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Checkpoints::claim`].
    async fn sweep(&mut self) -> Result<(), StoreError>;
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
