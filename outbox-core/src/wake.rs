//! Wake: a hint that there is something to read, so that a relay need not look. Polling remains the guarantee.
//!
//! A writer that tells of every commit is dear: on PostgreSQL it takes a lock that all commits share. So writers tell only
//! while a relay sleeps, which it announces by *arming*. That alone would lose wake-ups: who looked just before the relay
//! armed, and commits just after its last read, tells nobody. A relay therefore goes to sleep in this order:
//!
//! ```text
//!  arm ─► look who writes ─► read ─► … until all of them have ended ─► read ─► sleep
//! ```
//!
//! A writer takes its lock on the log first and looks second; a relay arms first and looks second. Whoever holds the lock
//! when the relay looks is waited for, and a read follows; whoever takes it later finds the relay armed, and tells.
//!
//! The order is kept by `outbox-relay`; an adapter answers its four questions.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::event::Position;
use crate::source::Holder;

/// Whether writers wake a relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WakeMode {
    /// Where it harms nobody: on PostgreSQL without prepared transactions, and on SQLite.
    #[default]
    Auto,
    /// Never; the relay looks by itself.
    Poll,
    /// Also where transactions may be prepared. `PREPARE TRANSACTION` fails after a notification: whoever prepares one must
    /// write its events by a plain INSERT.
    Notify,
}

/// How a relay learns that there is something to read.
pub enum Waking {
    /// It is told.
    Told(Box<dyn Wake>),
    /// It looks by itself, for this reason.
    Polling(String),
}

/// What arming found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Armed {
    /// Whether the arming before was still in force, so that no writer has passed it unseen.
    pub continued: bool,
    /// The last position drawn at that moment.
    pub last_position: Position,
}

/// Lets a relay be told by writers, over a connection of its own.
#[async_trait]
pub trait Wake: Send {
    /// From now on writers tell, for so long, by the database's clock.
    ///
    /// It is in force for every writer that looks after this has returned.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn arm(&mut self, length: Duration) -> Result<Armed, StoreError>;

    /// Who writes at this moment, and may have looked before the relay armed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Wake::arm`].
    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError>;

    /// Returns once a writer has told since the last call. Dropping it before is harmless.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Wake::arm`]; also where the connection breaks.
    async fn told(&mut self) -> Result<(), StoreError>;

    /// Lets writers be silent again, unless another relay has armed since they told.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Wake::arm`].
    async fn disarm(&mut self) -> Result<(), StoreError>;
}
