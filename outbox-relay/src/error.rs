//! How a relay ends when it does not end well.

use std::time::Duration;

use outbox_core::{PublishError, StoreError};

/// Why a relay did not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The settings contradict one another or are out of range.
    #[error("{0}")]
    Configuration(String),
    /// The database needs a person: a precondition is not met, or the log is not the one the checkpoint was written on.
    #[error("{0}")]
    Store(#[source] StoreError),
    /// A publisher is set up wrongly, or will never take an event again.
    #[error("publisher of subscription `{subscription}`: {error}")]
    Publisher {
        /// The subscription.
        subscription: String,
        /// What the publisher said.
        #[source]
        error: PublishError,
    },
    /// A relay that was to end when all is published made no progress for so long.
    #[error("subscription `{subscription}` made no progress for {waited:?}: {reason}")]
    Timeout {
        /// The subscription.
        subscription: String,
        /// The limit that was passed.
        waited: Duration,
        /// What it was waiting for.
        reason: String,
    },
    /// A stop waited so long in vain; what was not answered is published again by the next relay.
    #[error(
        "subscription `{subscription}` was stopped after waiting {waited:?} with {unanswered} calls to its publisher unanswered; their events will be published again"
    )]
    NotDrained {
        /// The subscription.
        subscription: String,
        /// The limit that was passed.
        waited: Duration,
        /// Calls that had not come back; 0 when the database did not answer.
        unanswered: usize,
    },
    /// The relay ended while somebody waited for a drain; `wait` says why it did.
    #[error("the relay ended before everything was published; `wait` says why")]
    Ended,
    /// A drain cannot be answered: events that will not pass, and those of their keys behind them, fill the window.
    #[error(
        "subscription `{subscription}` reads no more: its window is full of events that do not pass and of those behind them; mend what rejects them, or raise `window_events` and `window_bytes`"
    )]
    WindowFull {
        /// The subscription.
        subscription: String,
    },
    /// A part of the relay panicked; it was stopped so that nobody takes it for alive.
    #[error("a part of the relay panicked: {0}")]
    Panicked(String),
}
