//! Settings and subscriptions of a relay, and what is checked before it starts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::{RESERVED, is_reserved};
use outbox_core::partition::MAX_PARTITIONS;
use outbox_core::publisher::PublishErrorKind;
use outbox_core::{Clock, Retention, Store, WakeMode};
use uuid::Uuid;

use super::RunningRelay;
use crate::error::RelayError;
use crate::memory::Memory;
use crate::metrics;
use crate::settings::Settings;
use crate::subscription::Subscription;
use crate::worker::{check, open, publisher_error};

/// Settings and subscriptions of a relay.
#[must_use]
pub struct RelayBuilder {
    store: Arc<dyn Store>,
    settings: Settings,
    subscriptions: Vec<Subscription>,
}

impl RelayBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, settings: Settings::default(), subscriptions: Vec::new() }
    }

    /// The relay's name, which must stay the same when it restarts; default the host's name.
    ///
    /// A relay takes over at once from a dead process of the same name on the same host.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// How long a lease lasts without renewal, and so how long a take-over takes; 1 s to 1 h, default 5 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// The longest pause between two looks at a log in which nothing happens; default 2 s. Where writers wake the relay, it
    /// looks once for all subscriptions, after twice as long and 5 s at most.
    pub fn poll_max(mut self, poll_max: Duration) -> Self {
        self.settings.poll_max = poll_max;
        self
    }

    /// The most events of a subscription between being read and a durable checkpoint; default 10,000.
    pub fn window_events(mut self, events: usize) -> Self {
        self.settings.window_events = events;
        self
    }

    /// The most bytes of events of a subscription held in memory; a single larger event passes alone. Default 16 MiB.
    pub fn window_bytes(mut self, bytes: u64) -> Self {
        self.settings.window_bytes = bytes;
        self
    }

    /// How long a stop waits for the calls in flight; default 20 s.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.shutdown_timeout = timeout;
        self
    }

    /// Ends the relay once every event committed before the start is published, filtered or blocked and the checkpoint is
    /// durable; gives up after so long without progress. Default off.
    pub fn until_empty(mut self, give_up_after: Option<Duration>) -> Self {
        self.settings.until_empty = give_up_after;
        self
    }

    /// What its back-off, its polling and its leases go by; default [`SystemClock`](crate::SystemClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// How long events are kept, and how much of them; `None` leaves cleaning to others. Default [`Retention::default`]: what
    /// every subscription has passed goes after 7 days.
    ///
    /// A relay that ends when all is published ([`RelayBuilder::until_empty`]) does not clean.
    pub fn retention(mut self, retention: impl Into<Option<Retention>>) -> Self {
        self.settings.retention = retention.into();
        self
    }

    /// Works on the outbox of this instance alone, as `outbox-relay status` shows it; default on any.
    ///
    /// A copy of a database has the instance of the original until `outbox-relay adopt --new-instance` gives it one of its own.
    pub fn expect_instance(mut self, instance: impl Into<Option<Uuid>>) -> Self {
        self.settings.expect_instance = instance.into();
        self
    }

    /// Whether writers wake the relay; default [`WakeMode::Auto`].
    ///
    /// A relay that ends when all is published ([`RelayBuilder::until_empty`]) does not sleep.
    pub fn wake(mut self, mode: WakeMode) -> Self {
        self.settings.wake = mode;
        self
    }

    /// Adds a subscription.
    pub fn subscription(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Checks settings, database and publishers, and starts the relay as tasks of the current tokio runtime.
    ///
    /// A database or publisher that cannot be reached does not keep the relay from starting: it tries again.
    ///
    /// # Errors
    ///
    /// [`RelayError::Configuration`] for settings that cannot work, [`RelayError::Store`] and [`RelayError::Publisher`]
    /// where a person must do something first.
    pub async fn start(self) -> Result<RunningRelay, RelayError> {
        self.settings.validate()?;
        self.validate_subscriptions()?;
        let Settings { clock, window_events, window_bytes, .. } = &self.settings;
        metrics::started(clock.as_ref(), &self.subscriptions, (*window_events, *window_bytes));
        let memory = Memory::new(self.store.clone(), self.settings.expect_instance);
        if let Ok(database) = check(&memory, false).await? {
            metrics::identified(&self.settings.name, &database);
            for subscription in &self.subscriptions {
                match open(subscription, &database).await {
                    Err(error) if error.kind() != PublishErrorKind::Unavailable => {
                        return Err(publisher_error(subscription, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(RunningRelay::launch(self.store, self.settings, self.subscriptions))
    }

    fn validate_subscriptions(&self) -> Result<(), RelayError> {
        let wrong = |message: String| Err(RelayError::Configuration(message));
        if self.subscriptions.is_empty() {
            return wrong("the relay has no subscription; add one with a publisher".into());
        }
        let mut names = BTreeSet::new();
        for Subscription { name, retry, partitions, .. } in &self.subscriptions {
            if name.is_empty() {
                return wrong("a subscription has an empty name; give it one that stays the same".into());
            }
            if is_reserved(name) {
                return wrong(format!("subscription `{name}`: {RESERVED}"));
            }
            if !names.insert(name) {
                return wrong(format!("two subscriptions are called `{name}`; give each a name of its own"));
            }
            if let Some(partitions) = partitions.filter(|number| !(1..=MAX_PARTITIONS).contains(number)) {
                return wrong(format!(
                    "subscription `{name}`: {partitions} partitions cannot be; write 1 to {MAX_PARTITIONS}"
                ));
            }
            if retry.attempts == 0 || retry.max_parked_keys == 0 || retry.first.is_zero() || retry.first > retry.max {
                return wrong(format!(
                    "retry of subscription `{name}`: first must be above zero and at most max, attempts and max_parked_keys at least 1"
                ));
            }
        }
        Ok(())
    }
}
