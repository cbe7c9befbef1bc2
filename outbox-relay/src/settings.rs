//! The settings of a relay, with their defaults and limits.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::{Clock, Retention, WakeMode};
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::error::RelayError;

/// The settings of a relay; [`RelayBuilder`](crate::RelayBuilder) sets them.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) lease: Duration,
    pub(crate) poll_max: Duration,
    pub(crate) window_events: usize,
    pub(crate) window_bytes: u64,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) until_empty: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Option<Retention>,
    pub(crate) expect_instance: Option<Uuid>,
    pub(crate) wake: WakeMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            lease: Duration::from_secs(5),
            poll_max: Duration::from_secs(2),
            window_events: 10_000,
            window_bytes: 16 << 20,
            shutdown_timeout: Duration::from_secs(20),
            until_empty: None,
            clock: Arc::new(SystemClock),
            retention: Some(Retention::default()),
            expect_instance: None,
            wake: WakeMode::default(),
        }
    }
}

impl Settings {
    /// Refuses what cannot work, saying what to write instead.
    ///
    /// # Errors
    ///
    /// [`RelayError::Configuration`].
    pub(crate) fn validate(&self) -> Result<(), RelayError> {
        let second = Duration::from_secs(1);
        let checks = [
            (self.name.is_empty(), "the name of the relay is empty; give it one that stays the same when it restarts"),
            (self.lease < second, "lease is shorter than 1s; write 5s, or up to 1h"),
            (self.lease > 3600 * second, "lease is longer than 1h; write 5s, or up to 1h"),
            (self.poll_max.is_zero(), "poll_max is zero; write 2s, or at least 1ms"),
            (self.window_events == 0, "window_events is 0; write 10000, or at least 1"),
            (self.window_bytes == 0, "window_bytes is 0; write 16MiB, or at least 1"),
        ];
        match checks.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, message)) => Err(RelayError::Configuration(message.to_owned())),
            None => self.retention.as_ref().map_or(Ok(()), Retention::validate).map_err(RelayError::Configuration),
        }
    }
}
