//! Handing events to the outside.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use crate::event::Event;

/// An event on its way out.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event.
    pub event: Box<Event>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether it was published before and somebody asked that it be sent once more.
    pub replayed: bool,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The far side said that it holds the event durably.
    Published,
    /// It did not, but may later: the relay tries again, not before `after` where that is given.
    Retry {
        /// How long the far side asked to wait.
        after: Option<Duration>,
        /// What happened, for people; no payload and no secret.
        reason: String,
    },
    /// It never will, because of the event itself. In doubt answer [`Answer::Retry`].
    Reject {
        /// What is wrong with the event, for people; no payload and no secret.
        reason: String,
    },
}

/// A failure of the whole call, for which no event is to blame.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PublishError {
    kind: PublishErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why a whole call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishErrorKind {
    /// The far side is not to be reached, or is overloaded: the relay tries again for as long as it takes.
    Unavailable,
    /// Address, credentials or settings are wrong. Refused at start; later it is retried, for a person may mend it.
    Misconfigured,
    /// Nobody will ever take an event again, such as a closed pipe: the subscription ends with this error.
    Closed,
}

impl PublishError {
    /// A failure of `kind` that says what happened and what to do.
    pub fn new(kind: PublishErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it, which `source()` shows.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// Why it failed.
    pub fn kind(&self) -> PublishErrorKind {
        self.kind
    }
}

/// How a publisher wants to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discipline {
    /// Whether its pipeline keeps order.
    ///
    /// `false` (the default): no two events of one key are ever in flight together, neither in one call nor in two.
    ///
    /// `true`: calls are made, and polled once each, in order; a call may hold several events of a key, in order. In
    /// return, once the publisher has not published an event, it publishes no later one of the same key from any call
    /// made before the relay took that answer.
    pub keeps_order: bool,
    /// The most events of one call; at least 1.
    pub batch: usize,
    /// The most calls in flight together; at least 1.
    pub calls: usize,
    /// Whether it rejects by itself what is not what it says, such as a payload that is not JSON under a JSON content type.
    ///
    /// `false` (the default): the relay looks at each event ([`envelope::check`](crate::envelope::check)) and hands none of
    /// these over: they will not pass.
    pub checks: bool,
}

impl Default for Discipline {
    /// One event a call, 1,000 calls in flight, one in flight per key, checked by the relay.
    fn default() -> Self {
        Self { keeps_order: false, batch: 1, calls: 1000, checks: false }
    }
}

/// What a publisher is told at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The database, as the `source` of CloudEvents: `/outbox/<database>`.
    pub source: String,
    /// The subscription.
    pub subscription: String,
}

/// Hands events to the outside and says for each: published, retry, or reject.
///
/// *Durable*: `Published` means that the far side holds the event durably; the relay moves its checkpoint past the event.
/// *Repeats*: after a fault the same event may come again with the same `event_id`; hand that id to the far side's own
/// deduplication. *Order*: see [`Discipline::keeps_order`]. *Shutdown*: the relay waits for the calls in flight, then
/// calls [`Publisher::close`]; a call that is dropped counts as not delivered.
///
/// # Examples
///
/// ```
/// use outbox_core::publisher::{Answer, Delivery, PublishError, Publisher};
///
/// struct Printer;
///
/// #[outbox_core::async_trait]
/// impl Publisher for Printer {
///     fn describe(&self) -> String {
///         "printer".into()
///     }
///
///     async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
///         for delivery in batch {
///             println!("{} {}", delivery.event.topic, delivery.event.key);
///         }
///         Ok(vec![Answer::Published; batch.len()])
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a publisher",
    note = "implement `outbox_core::Publisher`, or wrap an async closure in `outbox_relay::publisher::closure`"
)]
pub trait Publisher: Send + Sync + 'static {
    /// What it is and where it leads, for people, without user and password.
    fn describe(&self) -> String;

    /// How it wants to be called; default [`Discipline::default`].
    fn discipline(&self) -> Discipline {
        Discipline::default()
    }

    /// Makes ready, before the first call and again whenever the subscription begins anew.
    ///
    /// # Errors
    ///
    /// [`PublishErrorKind::Misconfigured`] keeps the relay from starting; after any other it tries again.
    async fn open(&self, origin: &Origin) -> Result<(), PublishError> {
        let _ = origin;
        Ok(())
    }

    /// Hands over a batch and answers for each event of it, in its order.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the call failed for no fault of an event; none of the batch counts as published then.
    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError>;

    /// Lets go of what it holds. Everything answered `Published` is durable already.
    ///
    /// # Errors
    ///
    /// [`PublishError`] is logged, nothing more.
    async fn close(&self) -> Result<(), PublishError> {
        Ok(())
    }
}
