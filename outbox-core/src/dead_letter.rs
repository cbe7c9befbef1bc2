//! Dead letters: events that will not pass, and those of their keys that wait behind them.
//!
//! A letter is a full copy of its event, so that the log may be emptied meanwhile. A key is *parked* while one of its letters
//! is; it *drains* while it has others that are to be sent; else it is free:
//!
//! ```text
//!               requeue                  the relay takes it        published
//!  parked ─────────────────► requeued ─────┐
//!     ▲ │                                  ├─────────────► draining ────────► gone
//!     │ │ skip, discard      waiting ──────┘                  │
//!     │ └──────────────────► skipped, discarded               │
//!     └────────────────────────────────────────────── fails ──┘   (what was taken behind it: waiting again)
//! ```
//!
//! Letters are put there in the transaction of the checkpoint that no longer owes their events, and every step is one
//! statement that names the states it begins with: of several operators one is first, and the others are told so. While a
//! key has letters its later events join them, so that nothing overtakes. A letter that is `draining` is in the relay's
//! hands, and no operator's.
//!
//! `blocked` is the state of another policy: the event stays in the log and owed, and its letter is the bare record of it. The
//! next relay tries it again, the present one when an operator asks for it; when one gives it up the relay owes it no longer.
//!
//! The queue belongs to the key, whoever works its partition: the column `partition_id` is 0 for all.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{StoreError, StoreErrorKind};
use crate::event::{Event, Payload, Position};
use crate::source::Row;

/// What the row of `outbox_meta` is called that pauses a subscription, before its name; empty once it goes on.
pub const PAUSED: &str = "paused:";

/// What the row of `outbox_meta` is called that changes with every request of an operator, before the subscription's name.
pub const LETTERS: &str = "letters:";

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It will not pass, its event is still owed, and the next relay tries it again, or this one when it is asked to.
    Blocked,
    /// It will not pass, and its key waits behind it.
    Parked,
    /// It is behind another of its key.
    Waiting,
    /// An operator asked that it be sent again.
    Requeued,
    /// A relay is about to send it.
    Draining,
    /// It was given up by an operator or by policy; what came behind it went on.
    Skipped,
    /// An operator gave it up, with what waited behind it.
    Discarded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Blocked, Self::Parked, Self::Waiting, Self::Requeued, Self::Draining, Self::Skipped, Self::Discarded];

    /// The word in the column `state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Parked => "parked",
            Self::Waiting => "waiting",
            Self::Requeued => "requeued",
            Self::Draining => "draining",
            Self::Skipped => "skipped",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word in the column `state`.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Precondition`] for a word no relay wrote.
    pub fn from_column(word: &str) -> Result<Self, StoreError> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
            let message = format!("a dead letter has the state `{word}`, which this build does not know");
            StoreError::new(StoreErrorKind::Precondition, message)
        })
    }

    /// Whether it failed itself, and holds its key up.
    pub const fn does_not_pass(self) -> bool {
        matches!(self, Self::Blocked | Self::Parked)
    }

    /// Whether nothing more will become of it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Skipped | Self::Discarded)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that leaves the log's care for the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// A copy of it; of a row that cannot become an event, what could be read.
    pub event: Box<Event>,
    /// Whether the copy is what the writer wrote.
    pub readable: bool,
    /// `Parked`, `Waiting` or `Skipped`.
    pub state: State,
    /// Why; no payload and no secret.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether it was published before and is to be sent once more, marked.
    pub replayed: bool,
}

/// A key that has letters; a letter without a key stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The key.
    pub key: String,
    /// Where its first letter stands.
    pub first: Position,
    /// So many letters it has.
    pub letters: u64,
    /// Whether one of them is parked.
    pub is_parked: bool,
}

/// A letter that a relay has taken to send it.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenLetter {
    /// Its copy.
    pub row: Row,
    /// How often it was tried before.
    pub attempts: u32,
    /// Whether it was published before and is sent once more.
    pub replayed: bool,
}

/// Letters that a relay has taken to send them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// The first of the queue, in position order.
    pub letters: Vec<TakenLetter>,
    /// Whether there may be more.
    pub more: bool,
}

/// A letter as operators see it: all but what the event carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where its event stands in the log.
    pub position: Position,
    /// The id of its event.
    pub event_id: Uuid,
    /// Its key.
    pub key: String,
    /// Its topic.
    pub topic: String,
    /// Where it stands.
    pub state: State,
    /// Why it is here: what failed last.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it came.
    pub first_failed_at: OffsetDateTime,
    /// When it failed last.
    pub last_failed_at: OffsetDateTime,
    /// Who last decided about it.
    pub settled_by: Option<String>,
    /// Why they did.
    pub settled_reason: Option<String>,
    /// When they did.
    pub settled_at: Option<OffsetDateTime>,
    /// Whether its copy is what the writer wrote.
    pub readable: bool,
    /// Whether an operator gave it another payload.
    pub corrected: bool,
}

impl Letter {
    /// What was last decided about it: a letter that is not over was sent again.
    pub fn decision(&self) -> Option<State> {
        self.settled_at.map(|_| if self.state.is_over() { self.state } else { State::Requeued })
    }

    /// Whether it was sent again and failed once more.
    pub fn has_failed_again(&self) -> bool {
        self.state.does_not_pass() && self.settled_at.is_some_and(|at| at < self.last_failed_at)
    }
}

/// What an operator decides about letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which letters.
    pub positions: Vec<Position>,
    /// Only those in one of these states.
    pub from: Vec<State>,
    /// The state they get.
    pub to: State,
    /// Another payload for them; the first is kept beside it.
    pub payload: Option<Payload>,
    /// Why, where that was said.
    pub reason: Option<String>,
    /// Who decides, where that was said.
    pub actor: Option<String>,
}

/// Where operators act, over a connection of its own.
#[async_trait]
pub trait Desk: Send {
    /// The letters of a subscription, all of them or those of a key, by position.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn letters(&mut self, subscription: &str, key: Option<&str>) -> Result<Vec<Letter>, StoreError>;

    /// One letter.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn letter(&mut self, subscription: &str, position: Position) -> Result<Option<Letter>, StoreError>;

    /// Which of these positions have a letter, in whatever state.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn known(&mut self, subscription: &str, positions: &[Position]) -> Result<BTreeSet<Position>, StoreError>;

    /// What a letter carries.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn copy(&mut self, subscription: &str, position: Position) -> Result<Option<Row>, StoreError>;

    /// Decides about letters, in one statement or transaction, and lets the relay know; returns those it came to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn decide(&mut self, subscription: &str, decision: &Decision) -> Result<Vec<Position>, StoreError>;

    /// Puts events that were published before among the letters, to be sent once more, and lets the relay know. One that
    /// is there already stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn replay(&mut self, subscription: &str, letters: &[Arc<Parked>]) -> Result<(), StoreError>;

    /// How many letters of a replay are still to be sent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn replaying(&mut self, subscription: &str) -> Result<u64, StoreError>;

    /// The names of all subscriptions that have a checkpoint or letters.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn subscriptions(&mut self) -> Result<Vec<String>, StoreError>;

    /// Pauses a subscription, with a note who did it and why, or lets it go on; returns whether that changed anything.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn pause(&mut self, subscription: &str, note: Option<&str>) -> Result<bool, StoreError>;

    /// Whether a relay works the subscription and has not said that it is paused.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Desk::letters`].
    async fn is_at_work(&mut self, subscription: &str) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_states_go_there_and_back() {
        for state in State::ALL {
            assert_eq!(State::from_column(state.as_str()).unwrap(), state);
        }
        assert!(State::from_column("lost").unwrap_err().to_string().contains("`lost`"));
    }
}
