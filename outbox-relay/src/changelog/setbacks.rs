//! What a reader does about errors of the database: tries again for a while, or for ever.

use std::time::{Duration, Instant};

use outbox_core::StoreError;

use crate::reaction::{self, Reaction};
use crate::retry::Schedule;

/// Errors since something last went well.
pub(super) struct Setbacks {
    schedule: Schedule,
    /// After so long without success an error is passed on; `None` never.
    patience: Option<Duration>,
    since: Option<Instant>,
    reason: Option<String>,
    at_work: bool,
}

impl Setbacks {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        let schedule = Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
        Self { schedule, patience, since: None, reason: None, at_work: false }
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
        let since = *self.since.get_or_insert_with(Instant::now);
        let exhausted = self.patience.is_some_and(|patience| since.elapsed() >= patience);
        if exhausted || reaction::to_store_error(&error, self.at_work) != Reaction::Retry {
            return Err(error);
        }
        let reason = reaction::chain(&error);
        if self.reason.as_ref() != Some(&reason) {
            tracing::warn!(reason, "the change log cannot be read, trying again");
            self.reason = Some(reason);
        }
        tokio::time::sleep(self.schedule.next_delay()).await;
        Ok(())
    }
}
