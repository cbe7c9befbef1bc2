//! What a reader does about errors of the database: tries again for a while, or for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_core::{Clock, StoreError};

use crate::reaction::{self, Reaction};
use crate::retry::Schedule;

/// Errors since something last went well.
pub(super) struct Setbacks {
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    /// After so long without success an error is passed on; `None` never.
    patience: Option<Duration>,
    since: Option<Instant>,
    reason: Option<String>,
    at_work: bool,
}

impl Setbacks {
    pub(super) fn new(clock: Arc<dyn Clock>, patience: Option<Duration>) -> Self {
        let schedule = Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
        Self { clock, schedule, patience, since: None, reason: None, at_work: false }
    }

    /// Something went well.
    pub(super) fn overcome(&mut self) {
        self.at_work = true;
        if self.since.take().is_some() {
            self.schedule.reset();
            self.reason = None;
        }
    }

    /// Waits before the next try; passes the error on where trying again does not help, or has not for too long.
    pub(super) async fn bear(&mut self, error: StoreError) -> Result<(), StoreError> {
        let now = self.clock.now();
        let since = *self.since.get_or_insert(now);
        let exhausted = self.patience.is_some_and(|patience| now.saturating_duration_since(since) >= patience);
        if exhausted || reaction::to_store_error(&error, self.at_work) != Reaction::Retry {
            return Err(error);
        }
        let reason = reaction::chain(&error);
        if self.reason.as_ref() != Some(&reason) {
            tracing::warn!(reason, "the change log cannot be read, trying again");
            self.reason = Some(reason);
        }
        self.clock.sleep(self.schedule.next_delay()).await;
        Ok(())
    }
}
