//! Cleaners: some that look again after a moment, and one that is stopped at a random moment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use outbox_core::Retention;
use outbox_relay::cleanup::{Outcome, clean};
use outbox_sqlx::PgStore;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::company::Kind;
use crate::relay_process::Relay;
use crate::scenario::pause;

/// How long a cleaner rests between two passes, in milliseconds: with less the passes themselves would be most of the load.
const REST: std::ops::Range<u64> = 0..100;

/// A segment gives way when it has grown to this: after some hundred events.
const SEGMENT_BYTES: u64 = 128 << 10;

/// After how long a cleaner is stopped, and for how long, in milliseconds: a pass takes a few.
const STOP_AFTER: std::ops::Range<u64> = 5..40;
const STOP_FOR: std::ops::Range<u64> = 100..800;

/// How many segments were emptied.
#[derive(Clone, Debug)]
pub(super) struct Count(Arc<watch::Sender<u64>>);

impl Default for Count {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Count {
    pub(super) fn so_far(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until so many were emptied, or the time is over.
    pub(super) async fn wait_for(&self, wanted: u64, at_most: Duration) {
        let mut count = self.0.subscribe();
        let _ = timeout(at_most, count.wait_for(|count| *count >= wanted)).await;
    }
}

/// Makes passes until it is told to stop.
pub(super) async fn clean_again_and_again(
    kind: Kind,
    store: PgStore,
    emptied: Count,
    stop: CancellationToken,
) -> Result<()> {
    let retention = Retention { keep: Duration::ZERO, segment_bytes: SEGMENT_BYTES, ..Retention::default() };
    while !stop.is_cancelled() {
        let report = clean(&store, &retention, kind == Kind::Looking).await?;
        let gone = report.segments.iter().filter(|segment| segment.outcome == Outcome::Emptied).count() as u64;
        emptied.0.send_modify(|count| *count += gone);
        pause(Duration::from_millis(fastrand::u64(REST))).await;
    }
    Ok(())
}

/// Stops the program in the midst of a pass and lets it go on later; returns how often.
pub(super) async fn stop_at_random(kind: Kind, relay: Relay, seed: u64, stop: CancellationToken) -> Result<u64> {
    let (mut random, mut stopped) = (fastrand::Rng::with_seed(seed), 0);
    while !stop.is_cancelled() {
        let mut cleaner = relay.cleanup(if kind == Kind::Looking { &["--dry-run"] } else { &[] })?;
        pause(Duration::from_millis(random.u64(STOP_AFTER))).await;
        if cleaner.hold_up()? {
            stopped += 1;
            pause(Duration::from_millis(random.u64(STOP_FOR))).await;
            cleaner.go_on()?;
        }
        let status = cleaner.wait().await?;
        ensure!(status.success(), "a cleaner ended with {status}: …{}", relay.end_of_log());
    }
    Ok(stopped)
}
