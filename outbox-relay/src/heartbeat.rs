//! Keeps the leases of a relay, on a connection and a task of its own: no publisher, however slow, delays a renewal.
//!
//! See [`outbox_core::lease`] for what a lease is and when it is trusted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outbox_core::lease::{Claim, Leases, RelayIdentity, Report};
use outbox_core::{Clock, Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::drain::Drains;
use crate::health::Vitals;
use crate::identity::is_dead_predecessor;
use crate::metrics::{self, Operation, SubscriptionMetrics};
use crate::reaction::{self, Reaction};
use crate::retry::Schedule;

/// What the heartbeat and the worker of one subscription tell each other.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) subscription: String,
    /// The epoch of the lease, while it is held.
    granted: watch::Sender<Option<i64>>,
    /// Until when the lease is trusted, in milliseconds since boot.
    trusted_until: AtomicU64,
    /// Told to the worker each time the lease is trusted for longer.
    trusted: Notify,
    report: Mutex<Report>,
    /// When an event or a hole was last done with, in whatever term.
    progressed_at: Mutex<Instant>,
    pub(crate) drains: Drains,
    pub(crate) metrics: SubscriptionMetrics,
    pub(crate) vitals: Vitals,
}

impl Seat {
    pub(crate) fn new(subscription: String, publisher: String, now: Instant) -> Self {
        let report = Report { publisher, state: "idle".into(), ..Report::default() };
        Self {
            metrics: SubscriptionMetrics::new(&subscription),
            vitals: Vitals::default(),
            subscription,
            granted: watch::Sender::new(None),
            trusted_until: AtomicU64::new(0),
            trusted: Notify::new(),
            report: Mutex::new(report),
            progressed_at: Mutex::new(now),
            drains: Drains::new(),
        }
    }

    pub(crate) fn grants(&self) -> watch::Receiver<Option<i64>> {
        self.granted.subscribe()
    }

    /// Notes that the lease is held, under this epoch.
    pub(crate) fn grant(&self, epoch: i64) {
        self.granted.send_replace(Some(epoch));
        self.metrics.took_lease();
    }

    /// Whether the lease was given to this relay, and not taken from it since.
    pub(crate) fn is_granted(&self) -> bool {
        self.granted.borrow().is_some()
    }

    /// Whether the lease surely is still this relay's.
    pub(crate) fn is_trusted(&self, since_boot: Duration) -> bool {
        millis(since_boot) < self.trusted_until.load(Ordering::Acquire)
    }

    /// Returns when the lease was trusted for longer since the last time; there is one worker to be told.
    pub(crate) async fn trusted(&self) {
        self.trusted.notified().await;
    }

    /// Gives the lease up without telling the database: a checkpoint was refused because of its epoch.
    pub(crate) fn vacate(&self) {
        if self.granted.send_replace(None).is_some() {
            self.metrics.lost_lease();
        }
    }

    /// Changes what the next renewal reports.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).last_error.clone()
    }

    /// Notes that something moved.
    pub(crate) fn progress(&self, now: Instant) {
        *self.progressed_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// When something last moved, or the relay began.
    pub(crate) fn progressed_at(&self) -> Instant {
        *self.progressed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn trust(&self, until: Duration) {
        self.trusted_until.store(millis(until), Ordering::Release);
        self.trusted.notify_one();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Asks for a lease, and once more where the process that holds it is known to be dead.
pub(crate) async fn claim(
    leases: &mut dyn Leases,
    relay: &RelayIdentity,
    subscription: &str,
    length: Duration,
) -> Result<Claim, StoreError> {
    match leases.acquire(relay, subscription, length).await? {
        Claim::Taken { owner, epoch, .. } if is_dead_predecessor(&owner, relay) => {
            tracing::info!(subscription, "the process that held the lease is dead, taking over");
            leases.take_over(subscription, epoch).await?;
            leases.acquire(relay, subscription, length).await
        }
        claim => Ok(claim),
    }
}

/// The loop that keeps the leases.
pub(crate) struct Heartbeat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) relay: RelayIdentity,
    pub(crate) length: Duration,
    pub(crate) seats: Vec<Arc<Seat>>,
    /// Cancelled when all workers have ended.
    pub(crate) end: CancellationToken,
}

impl Heartbeat {
    /// Beats until the end, then gives the leases back; over a connection that is open already, so that leases taken over it
    /// are given back however soon the end comes, or over one of its own.
    ///
    /// # Errors
    ///
    /// The [`StoreError`] that needs a person.
    pub(crate) async fn run(self, mut leases: Option<Box<dyn Leases>>) -> Result<(), StoreError> {
        let mut schedule = Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut trouble: Option<String> = None;
        let mut at_work = false;
        while !self.end.is_cancelled() {
            let pause = match self.beat(&mut leases).await {
                Ok(()) => {
                    at_work = true;
                    if trouble.take().is_some() {
                        tracing::info!("leases are renewed again");
                    }
                    schedule.reset();
                    self.length / 3
                }
                Err(error) => {
                    leases = None;
                    metrics::database_error(Operation::Lease, &error);
                    if reaction::to_store_error(&error, at_work) == Reaction::Stop {
                        return Err(error);
                    }
                    let reason = reaction::chain(&error);
                    if trouble.as_ref() != Some(&reason) {
                        tracing::warn!(reason, "leases cannot be renewed, trying again");
                        self.blame(&reason);
                    }
                    trouble = Some(reason);
                    schedule.next_delay()
                }
            };
            self.seats.iter().for_each(|seat| seat.vitals.beat(trouble.is_none(), self.clock.now() + pause));
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.end.cancelled() => {}
            }
        }
        if let Some(leases) = leases
            && let Err(error) = self.leave(leases).await
        {
            tracing::warn!(error = %reaction::chain(&error), "leases could not be given back, they will expire");
        }
        Ok(())
    }

    /// Leaves the last report behind and gives the leases back.
    async fn leave(&self, mut leases: Box<dyn Leases>) -> Result<(), StoreError> {
        self.renew(leases.as_mut()).await?;
        leases.release(&self.relay).await
    }

    /// Tells those who wait for a lease why there is none.
    fn blame(&self, reason: &str) {
        for seat in self.seats.iter().filter(|seat| seat.granted.borrow().is_none()) {
            seat.report(|report| report.last_error = Some(reason.to_owned()));
        }
    }

    async fn beat(&self, connection: &mut Option<Box<dyn Leases>>) -> Result<(), StoreError> {
        let leases = match connection {
            Some(leases) => leases,
            none => none.insert(self.store.leases().await?),
        };
        for seat in &self.seats {
            if seat.granted.borrow().is_none() {
                self.acquire(leases.as_mut(), seat).await?;
            }
        }
        self.renew(leases.as_mut()).await
    }

    async fn acquire(&self, leases: &mut dyn Leases, seat: &Seat) -> Result<(), StoreError> {
        let asked_at = self.clock.since_boot();
        match claim(leases, &self.relay, &seat.subscription, self.length).await? {
            Claim::Held { epoch } => {
                tracing::info!(subscription = seat.subscription, epoch, "lease taken");
                seat.trust(self.trusted_from(asked_at));
                seat.report(|report| report.last_error = None);
                seat.grant(epoch);
            }
            Claim::Taken { owner, .. } => {
                let waiting = format!("waiting: relay `{}` (process {}) holds the lease", owner.name, owner.process_id);
                if seat.last_error().as_ref() != Some(&waiting) {
                    tracing::info!(subscription = seat.subscription, host = owner.host, "{waiting}");
                    seat.report(|report| report.last_error = Some(waiting));
                }
            }
        }
        Ok(())
    }

    async fn renew(&self, leases: &mut dyn Leases) -> Result<(), StoreError> {
        let held: Vec<_> =
            self.seats.iter().filter_map(|seat| seat.granted.borrow().map(|epoch| (seat, epoch))).collect();
        let rows: Vec<_> =
            held.iter().map(|(seat, epoch)| (seat.subscription.clone(), *epoch, seat.snapshot())).collect();
        let asked_at = self.clock.since_boot();
        let kept = leases.renew(&self.relay, self.length, &rows).await?;
        for ((seat, epoch), kept) in held.into_iter().zip(kept) {
            if kept {
                seat.trust(self.trusted_from(asked_at));
            } else {
                tracing::warn!(subscription = seat.subscription, epoch, "lease lost to another relay");
                seat.trust(Duration::ZERO);
                if seat.granted.send_if_modified(|grant| grant.take_if(|current| *current == epoch).is_some()) {
                    seat.metrics.lost_lease();
                }
            }
        }
        Ok(())
    }

    /// A tenth of the lease is kept back for what happens between the last look at the clock and the publisher.
    fn trusted_from(&self, asked_at: Duration) -> Duration {
        asked_at + self.length * 9 / 10
    }
}
