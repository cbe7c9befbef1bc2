//! The relay: starts one worker per subscription and the heartbeat, and brings all down when one ends badly.

mod builder;

use std::sync::Arc;

use outbox_core::Store;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use builder::RelayBuilder;

use crate::cleanup::Cleanup;
use crate::error::RelayError;
use crate::health::{Health, Panics};
use crate::heartbeat::Heartbeat;
use crate::identity;
use crate::memory::Memory;
use crate::observer::Observer;
use crate::seat::Seat;
use crate::settings::Settings;
use crate::subscription::Subscription;
use crate::term::Mandate;
use crate::wake::{Bell, Sleeping, Waker};
use crate::worker::work;

/// Moves events from an outbox to publishers.
///
/// # Examples
///
/// See the crate's front page.
pub struct Relay;

impl Relay {
    /// A relay of this database; see [`RelayBuilder`] for its defaults.
    pub fn builder(store: impl Store) -> RelayBuilder {
        RelayBuilder::new(Arc::new(store))
    }
}

/// How a relay ended that was stopped, or that was to end when all is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So many events will not pass; they are recorded with their reason and still open in the checkpoint.
    pub blocked: u64,
}

/// A relay at work. Dropping it asks it to stop.
#[derive(Debug)]
pub struct RunningRelay {
    stop: CancellationToken,
    seats: Vec<Arc<Seat>>,
    bell: Arc<Bell>,
    /// Cancelled when the task has ended, in whatever way.
    ended: CancellationToken,
    health: Health,
    observer: Observer,
    task: JoinHandle<Result<Outcome, RelayError>>,
}

/// Stops a relay from elsewhere.
#[derive(Debug, Clone)]
pub struct StopHandle(CancellationToken);

impl StopHandle {
    /// Asks the relay to stop: it reads no more, waits for the calls in flight, writes its checkpoint, and gives its leases
    /// back. Returns at once.
    pub fn stop(&self) {
        self.0.cancel();
    }
}

impl RunningRelay {
    /// Starts all parts as tasks of the current tokio runtime.
    fn launch(store: Arc<dyn Store>, settings: Settings, subscriptions: Vec<Subscription>) -> Self {
        let clock = settings.clock.clone();
        let now = clock.now();
        let hurry = Arc::new(Notify::new());
        let seat = |each: &Subscription| {
            let publisher = each.publisher.describe();
            Arc::new(Seat::new(each.name.clone(), publisher, hurry.clone(), now).shared(each.partitions))
        };
        let seats: Vec<_> = subscriptions.iter().map(seat).collect();
        let names = subscriptions.iter().map(|each| each.name.clone()).collect();
        let observer = Observer::new(store.clone(), clock.clone(), names);
        let health = Health::new(clock, seats.clone());
        let Health { stop, ended, panics, .. } = health.clone();
        let bell = Arc::new(Bell::new());
        let settings = Arc::new(settings);
        let (seated, rung, stopped) = (seats.clone(), bell.clone(), stop.clone());
        let whole = Whole { store, settings, seats: seated, hurry, bell: rung, stop: stopped, panics };
        let guard = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _ended = guard;
            whole.supervise(subscriptions).await
        });
        Self { stop, seats, bell, ended, health, observer, task }
    }

    /// A handle to stop it from elsewhere.
    pub fn handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// Tells whether it is well; goes on to do so after this value is gone.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Brings the metrics up to date that only the database can tell.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// A handle to wake it by after a commit, so that it reads at once.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(relay: outbox_relay::RunningRelay) {
    /// let waker = relay.waker();
    /// // … the application commits, wherever it holds the waker …
    /// waker.wake();
    /// # }
    /// ```
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.bell))
    }

    /// Waits until every event committed before this call is published, or recorded as one that will not pass, and a durable
    /// checkpoint says so. Returns how many will not pass.
    ///
    /// The relay works on meanwhile and afterwards, and reads at once whatever its polling says. What open transactions
    /// may still commit is not waited for, but in strict order for what stands before an event. An event in back-off is
    /// waited for until it passes or is given up; a lease that another relay holds, until it is free.
    ///
    /// Dropping it before is harmless.
    ///
    /// # Errors
    ///
    /// [`RelayError::Ended`] when the relay ends first; [`RelayError::WindowFull`] when events that will not pass leave no
    /// room to read on.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(relay: outbox_relay::RunningRelay) -> Result<(), outbox_relay::RelayError> {
    /// // … the application commits …
    /// assert_eq!(relay.drain().await?.blocked, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self) -> Result<Outcome, RelayError> {
        let asked: Vec<_> = self.seats.iter().map(|seat| (seat, seat.drains.ask())).collect();
        let answered = async {
            let mut outcome = Outcome::default();
            for (seat, number) in asked {
                outcome.blocked += seat.drains.answered(number, &seat.subscription).await?;
            }
            Ok(outcome)
        };
        tokio::select! {
            biased;
            outcome = answered => outcome,
            () = self.ended.cancelled() => Err(RelayError::Ended),
        }
    }

    /// Stops it and waits until it has ended.
    ///
    /// # Errors
    ///
    /// What [`RunningRelay::wait`] says.
    pub async fn stop(self) -> Result<Outcome, RelayError> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits until it ends: by itself after [`RelayBuilder::until_empty`], by a stop, or by an error.
    ///
    /// # Errors
    ///
    /// [`RelayError`] says why it ended badly; all its parts have ended by then.
    pub async fn wait(mut self) -> Result<Outcome, RelayError> {
        match (&mut self.task).await {
            Ok(outcome) => outcome,
            Err(error) => Err(RelayError::Panicked(error.to_string())),
        }
    }
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What all parts of a running relay share.
struct Whole {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    seats: Vec<Arc<Seat>>,
    hurry: Arc<Notify>,
    bell: Arc<Bell>,
    stop: CancellationToken,
    panics: Panics,
}

impl Whole {
    /// Runs all parts; the first that ends badly stops the others.
    async fn supervise(self, subscriptions: Vec<Subscription>) -> Result<Outcome, RelayError> {
        let mut workers = self.workers(subscriptions);
        let end = CancellationToken::new();
        let (cleanup, sleeping) = (self.cleanup(end.clone()), self.sleeping(end.clone()));
        let mut heartbeat = tokio::spawn(self.heartbeat(end.clone()).run(None));
        let mut heart_beats = true;
        let mut outcome = Ok(Outcome::default());
        loop {
            let part = tokio::select! {
                biased;
                worker = workers.join_next() => match worker {
                    None => break,
                    Some(Ok(ended)) => ended,
                    Some(Err(panic)) => Err(RelayError::Panicked(panic.to_string())),
                },
                ended = &mut heartbeat, if heart_beats => {
                    heart_beats = false;
                    match ended {
                        Ok(Ok(())) => Ok(0),
                        Ok(Err(error)) => Err(RelayError::Store(error)),
                        Err(panic) => Err(RelayError::Panicked(panic.to_string())),
                    }
                }
            };
            match (part, &mut outcome) {
                (Ok(blocked), Ok(outcome)) => outcome.blocked += blocked,
                (Err(error), Ok(_)) => {
                    self.stop.cancel();
                    outcome = Err(error);
                }
                (_, Err(_)) => {}
            }
        }
        end.cancel();
        if heart_beats {
            let _ = heartbeat.await;
        }
        if let Err(panic) = cleanup.await {
            tracing::error!(reason = %panic, "the cleanup of the log ended early");
        }
        if let Err(panic) = sleeping.await {
            tracing::error!(reason = %panic, "what wakes the relay ended early, so it polled");
        }
        outcome
    }

    fn workers(&self, subscriptions: Vec<Subscription>) -> JoinSet<Result<u64, RelayError>> {
        let mut workers = JoinSet::new();
        for (subscription, seat) in subscriptions.into_iter().zip(&self.seats) {
            let (settings, store, seat) = (self.settings.clone(), self.store.clone(), seat.clone());
            let memory = Arc::new(Memory::new(store.clone(), settings.expect_instance));
            let (bell, stop) = (self.bell.clone(), self.stop.clone());
            workers.spawn(work(Mandate { subscription, settings, store, memory, seat, bell, stop }));
        }
        workers
    }

    fn heartbeat(&self, end: CancellationToken) -> Heartbeat {
        Heartbeat {
            store: self.store.clone(),
            clock: self.settings.clock.clone(),
            relay: identity::of_this_process(&self.settings.name),
            length: self.settings.lease,
            seats: self.seats.clone(),
            bell: self.bell.clone(),
            hurry: self.hurry.clone(),
            end,
        }
    }

    /// Starts the chore that lets the relay sleep, where it is to.
    fn sleeping(&self, end: CancellationToken) -> JoinHandle<()> {
        let Settings { clock, wake, poll_max, until_empty, .. } = self.settings.as_ref();
        let (store, bell) = (self.store.clone(), self.bell.clone());
        let chore = Sleeping { store, clock: clock.clone(), bell, mode: *wake, poll_max: *poll_max, end };
        let wanted = until_empty.is_none();
        tokio::spawn(self.panics.clone().note(async move {
            if wanted {
                chore.run().await;
            }
        }))
    }

    /// Starts the chore that cleans the log, where this relay is to.
    fn cleanup(&self, end: CancellationToken) -> JoinHandle<()> {
        let retention = self.settings.retention.clone().filter(|_| self.settings.until_empty.is_none());
        let (store, clock) = (self.store.clone(), self.settings.clock.clone());
        let chore = retention.map(|retention| Cleanup { store, clock, retention, end });
        tokio::spawn(self.panics.clone().note(async {
            if let Some(chore) = chore {
                chore.run().await;
            }
        }))
    }
}
