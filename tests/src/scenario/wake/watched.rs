//! A store that sees when its relay sleeps, and lets time pass between any two steps.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outbox_core::checkpoint::Checkpoints;
use outbox_core::dead_letter::Desk;
use outbox_core::lease::Leases;
use outbox_core::source::{Holder, Proof, Read, ReadRequest, Row, Source};
use outbox_core::status::Status;
use outbox_core::store::{Count, Database};
use outbox_core::wake::{Armed, Wake, Waking};
use outbox_core::{Filter, Position, PositionSet, Start, Store, StoreError, WakeMode, async_trait};
use outbox_sqlx::PgStore;

use super::Protocol;
use super::judge::Judge;
use crate::scenario::pause;

/// The store; it hands out a source and a wake that are watched together.
pub(super) struct Watched {
    inner: PgStore,
    protocol: Protocol,
    watch: Arc<Watch>,
}

/// What is known of the relay.
struct Watch {
    judge: Arc<Judge>,
    night: Mutex<Night>,
}

#[derive(Default)]
struct Night {
    /// Who must end before the relay may sleep; `None` while it is awake.
    writers: Option<BTreeSet<Holder>>,
    /// The next sample is the first after arming.
    fresh: bool,
    /// The last position drawn when it armed.
    armed_at: Option<Position>,
    /// A read that began when nobody was waited for found nothing.
    asleep: bool,
    /// When everybody was woken last.
    woken: Option<Instant>,
    /// Counts the nights, so that a read knows whether it ended in the one it began in.
    number: u64,
}

impl Night {
    fn is_clear(&self) -> bool {
        self.writers.as_ref().is_some_and(BTreeSet::is_empty)
    }

    fn end(&mut self) {
        self.writers = None;
        self.armed_at = None;
        self.woken = Some(Instant::now());
        self.number += 1;
    }
}

impl Watched {
    pub(super) fn new(inner: PgStore, protocol: Protocol, judge: Arc<Judge>) -> Self {
        Self { inner, protocol, watch: Arc::new(Watch { judge, night: Mutex::default() }) }
    }
}

impl Watch {
    fn night(&self) -> MutexGuard<'_, Night> {
        self.night.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pause between two steps: often none, sometimes long enough for a whole transaction.
async fn any_pause() {
    if fastrand::bool() {
        pause(Duration::from_micros(fastrand::u64(0..6_000))).await;
    }
}

#[async_trait]
impl Store for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn check(&self) -> Result<Database, StoreError> {
        self.inner.check().await
    }

    async fn source(&self, filter: &Filter) -> Result<Box<dyn Source>, StoreError> {
        let inner = self.inner.source(filter).await?;
        Ok(Box::new(WatchedSource { inner, watch: Arc::clone(&self.watch) }))
    }

    async fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        self.inner.checkpoints().await
    }

    async fn leases(&self) -> Result<Box<dyn Leases>, StoreError> {
        self.inner.leases().await
    }

    async fn desk(&self) -> Result<Box<dyn Desk>, StoreError> {
        self.inner.desk().await
    }

    async fn wake(&self, mode: WakeMode) -> Result<Waking, StoreError> {
        let (protocol, watch) = (self.protocol, Arc::clone(&self.watch));
        Ok(match self.inner.wake(mode).await? {
            Waking::Told(inner) => Waking::Told(Box::new(WatchedWake { inner, protocol, watch })),
            polling @ Waking::Polling(_) => polling,
        })
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.inner.status().await
    }

    async fn stats(&self, after: Position, filter: &Filter) -> Result<Vec<Count>, StoreError> {
        self.inner.stats(after, filter).await
    }
}

struct WatchedWake {
    inner: Box<dyn Wake>,
    protocol: Protocol,
    watch: Arc<Watch>,
}

#[async_trait]
impl Wake for WatchedWake {
    async fn arm(&mut self, length: Duration) -> Result<Armed, StoreError> {
        any_pause().await;
        let armed = self.inner.arm(length).await?;
        {
            let mut night = self.watch.night();
            match night.armed_at {
                Some(position) if night.is_clear() && position != armed.last_position => night.end(),
                Some(_) if night.is_clear() && armed.continued => {}
                _ => {
                    night.fresh = true;
                    night.armed_at = Some(armed.last_position);
                }
            }
        }
        any_pause().await;
        Ok(armed)
    }

    async fn writers(&mut self) -> Result<BTreeSet<Holder>, StoreError> {
        let sample = match self.protocol {
            Protocol::NoEvidence => BTreeSet::new(),
            Protocol::Sound | Protocol::ByTrigger | Protocol::EarlyLook => self.inner.writers().await?,
        };
        let mut night = self.watch.night();
        match (&mut night.writers, self.protocol) {
            (Some(_), Protocol::NoEvidence) | (None, _) => night.writers = Some(sample.clone()),
            (Some(writers), _) => Holder::keep_open(writers, &sample),
        }
        if std::mem::take(&mut night.fresh) {
            night.writers = Some(sample.clone());
        }
        Ok(sample)
    }

    async fn told(&mut self) -> Result<(), StoreError> {
        self.inner.told().await?;
        self.watch.night().end();
        Ok(())
    }

    async fn disarm(&mut self) -> Result<(), StoreError> {
        any_pause().await;
        self.inner.disarm().await
    }
}

struct WatchedSource {
    inner: Box<dyn Source>,
    watch: Arc<Watch>,
}

#[async_trait]
impl Source for WatchedSource {
    fn server_started(&self) -> Option<i64> {
        self.inner.server_started()
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<Read, StoreError> {
        let (begun_in, first) = {
            let mut night = self.watch.night();
            let first = std::mem::take(&mut night.asleep).then(|| night.woken.unwrap_or_else(Instant::now));
            (night.is_clear().then_some(night.number), first)
        };
        any_pause().await;
        let read = self.inner.read(request).await?;
        let events = read.rows.iter().filter_map(|row| match row {
            Row::Event(event) => Some(event.event_id),
            _ => None,
        });
        self.watch.judge.was_read(events, first);
        let mut night = self.watch.night();
        let found_nothing = read.rows.is_empty() && request.open.is_empty();
        night.asleep = found_nothing && night.is_clear() && begun_in == Some(night.number);
        Ok(read)
    }

    async fn last_position(&mut self) -> Result<Position, StoreError> {
        self.inner.last_position().await
    }

    async fn locate(&mut self, start: Start) -> Result<(Position, PositionSet), StoreError> {
        self.inner.locate(start).await
    }

    async fn open_positions(&mut self, above: Position, to: Position) -> Result<PositionSet, StoreError> {
        self.inner.open_positions(above, to).await
    }

    async fn verify(&mut self, proof: &Proof) -> Result<(), StoreError> {
        self.inner.verify(proof).await
    }
}
