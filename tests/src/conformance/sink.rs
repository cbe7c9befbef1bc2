//! A publisher that keeps what it takes, and answers as a test has it answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError, Publisher};
use outbox_core::{Event, async_trait};
use tokio::sync::watch;

use super::log::number;
use super::waiting::within;

type Script = dyn Fn(&[Delivery]) -> Result<Vec<Answer>, PublishError> + Send + Sync;

/// A publisher that keeps what it takes. Clones share everything, so that a test looks on while a relay owns one.
#[derive(Clone)]
pub struct Sink {
    discipline: Discipline,
    script: Arc<Script>,
    taken: Arc<Mutex<Vec<Event>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Sink {
    /// Takes everything.
    pub fn new() -> Self {
        Self::scripted(|_| Answer::Published)
    }

    /// Answers each event by the script.
    pub fn scripted(script: impl Fn(&Delivery) -> Answer + Send + Sync + 'static) -> Self {
        Self::calls(move |batch| Ok(batch.iter().map(&script).collect()))
    }

    /// Answers each call by the script.
    pub fn calls(script: impl Fn(&[Delivery]) -> Result<Vec<Answer>, PublishError> + Send + Sync + 'static) -> Self {
        Self {
            discipline: Discipline::default(),
            script: Arc::new(script),
            taken: Arc::default(),
            count: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The same under another discipline.
    pub fn with_discipline(self, discipline: Discipline) -> Self {
        Self { discipline, ..self }
    }

    /// A sink that shares what was taken and answers by another script.
    pub fn with_script(&self, script: impl Fn(&Delivery) -> Answer + Send + Sync + 'static) -> Self {
        Self { script: Self::scripted(script).script, ..self.clone() }
    }

    /// What it has taken, in order.
    pub fn taken(&self) -> Vec<Event> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of what it has taken, in order, by key.
    pub fn by_key(&self) -> BTreeMap<String, Vec<u64>> {
        let mut keys = BTreeMap::<_, Vec<_>>::new();
        for event in self.taken() {
            keys.entry(event.key.clone()).or_default().push(number(&event));
        }
        keys
    }

    /// The positions of what it has taken, ascending.
    pub fn positions(&self) -> Vec<i64> {
        let mut positions: Vec<_> = self.taken().iter().map(|event| event.position).collect();
        positions.sort_unstable();
        positions
    }

    /// Waits until it has taken so many events.
    ///
    /// # Panics
    ///
    /// When the deadline passes.
    pub async fn until_taken(&self, events: usize) {
        within(&format!("{events} events published"), self.taking(events)).await;
    }

    /// The same without a deadline of its own.
    ///
    /// # Panics
    ///
    /// Never: the sink itself holds the sender.
    pub async fn taking(&self, events: usize) {
        let mut count = self.count.subscribe();
        count.wait_for(|count| *count >= events).await.expect("the sink itself holds the sender");
    }
}

impl Sink {
    fn take(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let answers = (self.script)(batch)?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for (delivery, answer) in batch.iter().zip(&answers) {
            if *answer == Answer::Published {
                taken.push((*delivery.event).clone());
            }
        }
        self.count.send_replace(taken.len());
        Ok(answers)
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Publisher for Sink {
    fn describe(&self) -> String {
        "sink".into()
    }

    fn discipline(&self) -> Discipline {
        self.discipline
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        // Answers come in another order than calls, as they do over a network. What is handed over is in order only where
        // the publisher says that it keeps one.
        if !self.discipline.keeps_order {
            tokio::task::yield_now().await;
        }
        let answers = self.take(batch)?;
        if self.discipline.keeps_order {
            tokio::task::yield_now().await;
        }
        Ok(answers)
    }
}

/// How an order-keeping publisher with large batches is called.
pub const ORDERED: Discipline = Discipline { keeps_order: true, batch: 64, calls: 4, checks: false };

/// An answer that asks for another attempt.
pub fn retry(reason: &str) -> Answer {
    Answer::Retry { after: None, reason: reason.to_owned() }
}

/// An answer that refuses the event for good.
pub fn reject(reason: &str) -> Answer {
    Answer::Reject { reason: reason.to_owned() }
}
