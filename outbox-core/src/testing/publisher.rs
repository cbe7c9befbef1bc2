//! A publisher that remembers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::Captured;
use crate::event::Event;
use crate::publisher::{Answer, Delivery, PublishError, PublishErrorKind, Publisher};

/// A publisher that records what it is handed, and answers as a test wants it to. Clones share everything, so that a test
/// looks on while a relay owns one.
///
/// It takes everything unless it is told otherwise. One event is in flight per key.
///
/// # Examples
///
/// ```
/// use outbox_core::testing::RecordingPublisher;
///
/// let publisher = RecordingPublisher::new();
/// publisher.on_delivery(1).retry("the far side is busy");
/// publisher.on_delivery(2).fail("the far side is down");
/// publisher.on_key("7").reject("order 7 is too large");
/// // … a relay runs …
/// publisher.heal();
/// publisher.published().assert_none();
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingPublisher {
    record: Arc<Record>,
}

#[derive(Debug, Default)]
struct Record {
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
}

#[derive(Debug, Default)]
struct State {
    deliveries: Vec<Delivery>,
    published: Vec<Event>,
    troubles: Vec<(Cause, Reaction)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    deliveries: usize,
    published: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Delivery(usize),
    Key(String),
}

#[derive(Debug, Clone)]
enum Reaction {
    Answer(Answer),
    Fail(String),
}

impl RecordingPublisher {
    /// A publisher that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how the `n`-th delivery is answered; every attempt of every event counts, from 1.
    pub fn on_delivery(&self, n: usize) -> Trouble<'_> {
        Trouble { record: &self.record, cause: Cause::Delivery(n) }
    }

    /// Says how every event of a key is answered, until [`RecordingPublisher::heal`].
    pub fn on_key(&self, key: impl Into<String>) -> Trouble<'_> {
        Trouble { record: &self.record, cause: Cause::Key(key.into()) }
    }

    /// Takes everything from here on.
    pub fn heal(&self) {
        self.record.state().troubles.clear();
    }

    /// What it took, in order.
    pub fn published(&self) -> Captured {
        Captured::new(self.record.state().published.clone())
    }

    /// What it took of one key, in order.
    pub fn of_key(&self, key: &str) -> Captured {
        self.published().of_key(key)
    }

    /// Everything it was handed, in order, with the number of each attempt.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.record.state().deliveries.clone()
    }

    /// Waits until it has taken so many events in all.
    pub async fn until_published(&self, events: usize) {
        self.record.until(|counts| counts.published >= events).await;
    }

    /// Waits until it was handed so many events in all, whatever it answered.
    pub async fn until_delivered(&self, deliveries: usize) {
        self.record.until(|counts| counts.deliveries >= deliveries).await;
    }
}

/// What sets a [`RecordingPublisher`] off; see [`RecordingPublisher::on_delivery`] and [`RecordingPublisher::on_key`].
#[derive(Debug)]
#[must_use = "nothing happens before it is said how to answer"]
pub struct Trouble<'p> {
    record: &'p Record,
    cause: Cause,
}

impl Trouble<'_> {
    /// The event is to be tried again.
    pub fn retry(self, reason: impl Into<String>) {
        self.react(Reaction::Answer(Answer::Retry { after: None, reason: reason.into() }));
    }

    /// The event will never pass.
    pub fn reject(self, reason: impl Into<String>) {
        self.react(Reaction::Answer(Answer::Reject { reason: reason.into() }));
    }

    /// The whole call fails as if nobody were there; no event is to blame.
    pub fn fail(self, reason: impl Into<String>) {
        self.react(Reaction::Fail(reason.into()));
    }

    fn react(self, reaction: Reaction) {
        let mut state = self.record.state();
        state.troubles.retain(|(cause, _)| *cause != self.cause);
        state.troubles.push((self.cause, reaction));
    }
}

impl Record {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, reached: impl Fn(&Counts) -> bool) {
        // The record itself holds the sender.
        let _ = self.counts.subscribe().wait_for(reached).await;
    }

    fn take(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let mut state = self.state();
        let reactions: Vec<_> = batch.iter().map(|delivery| state.hand_over(delivery)).collect();
        let answers = reactions.into_iter().map(Reaction::into_answer).collect::<Result<Vec<_>, _>>();
        for (delivery, _) in
            batch.iter().zip(answers.iter().flatten()).filter(|(_, answer)| **answer == Answer::Published)
        {
            state.published.push((*delivery.event).clone());
        }
        self.counts.send_replace(Counts { deliveries: state.deliveries.len(), published: state.published.len() });
        answers
    }
}

impl State {
    fn hand_over(&mut self, delivery: &Delivery) -> Reaction {
        self.deliveries.push(delivery.clone());
        let number = self.deliveries.len();
        let hit = |(cause, _): &&(Cause, Reaction)| match cause {
            Cause::Delivery(n) => *n == number,
            Cause::Key(key) => *key == delivery.event.key,
        };
        self.troubles.iter().find(hit).map_or(Reaction::Answer(Answer::Published), |(_, reaction)| reaction.clone())
    }
}

impl Reaction {
    fn into_answer(self) -> Result<Answer, PublishError> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Fail(reason) => Err(PublishError::new(PublishErrorKind::Unavailable, reason)),
        }
    }
}

#[async_trait]
impl Publisher for RecordingPublisher {
    fn describe(&self) -> String {
        "recording".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        self.record.take(batch)
    }
}
