//! The chore that gives disk back: a pass now and then, on a connection and a task of its own.
//!
//! See [`outbox_core::cleanup`] for what a pass does and why nothing unread goes with it. Whatever goes wrong here shows in
//! the log and in `status`, and stops no relay.

mod archive;
mod pace;
mod pass;
mod report;

use std::sync::Arc;

use outbox_core::cleanup::Cleaner;
use outbox_core::{Clock, Retention, Store, StoreError, StoreErrorKind};
use tokio_util::sync::CancellationToken;

pub use report::{Outcome, Report, SegmentReport, Turn};

use crate::clock::SystemClock;
use crate::error::RelayError;
use crate::metrics::{self, Operation};
use crate::reaction;
use pace::Pace;
use pass::Pass;

/// Makes one pass of cleanup: moves inserts on to another segment if it is time, and removes what everybody has passed.
///
/// With `dry_run` nothing changes, and the report says what would.
///
/// # Errors
///
/// [`RelayError::Configuration`] for settings that cannot work; [`RelayError::Store`] when the database cannot be reached, or
/// the user lacks a privilege that cleaning needs. What stands against removing something is no error: the report says it.
pub async fn clean(store: &dyn Store, retention: &Retention, dry_run: bool) -> Result<Report, RelayError> {
    retention.validate().map_err(RelayError::Configuration)?;
    let cleaner = store.cleaner().await.map_err(RelayError::Store)?;
    let nothing = || StoreError::new(StoreErrorKind::Precondition, "this database has no log that could be cleaned");
    let mut cleaner = cleaner.ok_or_else(nothing).map_err(RelayError::Store)?;
    let clock = &SystemClock;
    Pass { store, clock, cleaner: cleaner.as_mut(), retention, dry_run }.run().await.map_err(RelayError::Store)
}

/// The chore of one relay.
pub(crate) struct Cleanup {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retention: Retention,
    /// Cancelled when the relay ends; a pass is given up at once, which is harmless at any moment.
    pub(crate) end: CancellationToken,
}

impl Cleanup {
    /// Makes passes until the end.
    pub(crate) async fn run(self) {
        let end = self.end.clone();
        end.run_until_cancelled(self.repeat()).await;
    }

    async fn repeat(&self) {
        let mut pace = Pace::new(&self.retention);
        let mut cleaner = None;
        let mut told = None;
        loop {
            self.clock.sleep(pace.next_pause()).await;
            let trouble = match self.pass(&mut cleaner).await {
                Ok(Some(report)) => {
                    metrics::cleaned(&report);
                    tell(&report);
                    pace.after(&report);
                    report.trouble
                }
                Ok(None) => return,
                Err(error) => {
                    cleaner = None;
                    metrics::database_error(Operation::Cleanup, &error);
                    Some(reaction::chain(&error))
                }
            };
            metrics::cleaning_troubled(trouble.is_some());
            if trouble != told {
                tell_trouble(trouble.as_deref());
                told = trouble;
            }
        }
    }

    /// One pass over the connection that is open, or a new one; `None` where there is nothing to clean.
    async fn pass(&self, connection: &mut Option<Box<dyn Cleaner>>) -> Result<Option<Report>, StoreError> {
        if connection.is_none() {
            *connection = self.store.cleaner().await?;
        }
        let Some(cleaner) = connection else { return Ok(None) };
        let (store, clock, retention) = (self.store.as_ref(), self.clock.as_ref(), &self.retention);
        Pass { store, clock, cleaner: cleaner.as_mut(), retention, dry_run: false }.run().await.map(Some)
    }
}

/// Logs what a pass did.
fn tell(report: &Report) {
    if let Some(Turn { from, to }) = report.turned {
        tracing::info!(from, to, "inserts go on in another segment");
    }
    for segment in report.segments.iter().filter(|segment| segment.outcome == Outcome::Emptied) {
        tracing::info!(
            segment = segment.segment,
            last = segment.last_position,
            events = segment.events,
            "events removed"
        );
    }
    if report.letters > 0 {
        tracing::info!(letters = report.letters, "dead letters removed that were given up long ago");
    }
    for subscription in &report.cut_off {
        tracing::error!(subscription, "cut off: the log had grown too large, and it was dead");
    }
}

fn tell_trouble(trouble: Option<&str>) {
    if let Some(reason) = trouble {
        tracing::warn!(reason, "the log is not cleaned as it should be");
    } else {
        tracing::info!("the log is cleaned again");
    }
}
