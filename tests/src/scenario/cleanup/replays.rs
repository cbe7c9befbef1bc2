//! What one subscriber has published goes out once more, some keys at a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use outbox_core::{Filter, Store};
use outbox_relay::Replay;
use tokio_util::sync::CancellationToken;

use crate::scenario::pause;

/// So far back a replay begins, in positions.
const BACK: i64 = 5_000;

/// So many keys are replayed at once: the log holds little, since what is passed goes at once.
const KEYS: usize = 50;

/// How long nobody replays, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 0..2_000;

/// What was replayed.
#[derive(Debug, Default)]
pub(super) struct Replays {
    pub(super) runs: u64,
    pub(super) events: u64,
}

/// Replays until it is told to stop.
pub(super) async fn replay_again_and_again(
    store: Arc<dyn Store>,
    subscription: &str,
    keys: u32,
    stop: CancellationToken,
) -> Result<Replays> {
    let mut replays = Replays::default();
    let mut checkpoints = store.checkpoints().await?;
    while !stop.is_cancelled() && checkpoints.lowest(subscription).await?.is_empty() {
        // Its relay is about to begin.
        pause(Duration::from_millis(10)).await;
    }
    while !stop.is_cancelled() {
        let last = store.source(&Filter::default()).await?.last_position().await?;
        let keys = (0..KEYS).map(|_| format!("k-{}", fastrand::u32(1..=keys))).collect();
        let filter = Filter { keys, ..Filter::default() };
        let replayed = Replay::new(filter).from(last - BACK).run(store.clone(), subscription).await?;
        replays.runs += 1;
        replays.events += replayed.events;
        pause(Duration::from_millis(fastrand::u64(BETWEEN))).await;
    }
    Ok(replays)
}
