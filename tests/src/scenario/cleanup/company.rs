//! Everybody who is at work beside the writers: cleaners, exports with holds, replays.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use outbox_sqlx::PgStore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::cleaners::{self, Count};
use super::exporter::{self, Export};
use super::replays::{self, Replays};
use super::{Plan, REPLAYED};
use crate::database::Database;
use crate::relay_process::Relay;

/// Cleaners that race with one another.
const CLEANERS: usize = 2;

/// Whether segments are emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Cleaners look, and leave everything as it is: what writers meet with anyhow.
    Looking,
    /// What is passed goes at once.
    Emptying,
}

/// Those at work.
pub(super) struct Company {
    emptied: Count,
    cleaning: JoinSet<Result<()>>,
    stopped: JoinHandle<Result<u64>>,
    exports: JoinHandle<Result<Vec<Export>>>,
    replaying: JoinHandle<Result<Replays>>,
    stop: CancellationToken,
}

/// What they did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) emptied: u64,
    /// How often a cleaner was stopped.
    pub(super) stopped: u64,
    pub(super) exports: Vec<Export>,
    pub(super) replays: Replays,
}

impl Company {
    /// Sets them to work, some by the store and some by the program, as `relay` is called.
    pub(super) fn gather(kind: Kind, database: &Database, store: &PgStore, relay: &Relay, plan: &Plan) -> Self {
        let (stop, emptied, mut cleaning) = (CancellationToken::new(), Count::default(), JoinSet::new());
        for _ in 0..CLEANERS {
            cleaning.spawn(cleaners::clean_again_and_again(kind, store.clone(), emptied.clone(), stop.clone()));
        }
        let stopped = cleaners::stop_at_random(kind, relay.clone(), plan.load.seed, stop.clone());
        let exports = exporter::export_again_and_again(kind, database.clone(), store.clone(), stop.clone());
        let replaying =
            replays::replay_again_and_again(Arc::new(store.clone()), REPLAYED, plan.load.keys, stop.clone());
        Self {
            emptied,
            cleaning,
            stopped: tokio::spawn(stopped),
            exports: tokio::spawn(exports),
            replaying: tokio::spawn(replaying),
            stop,
        }
    }

    /// Waits until so many segments were emptied, or the time is over.
    pub(super) async fn until_emptied(&self, wanted: u64, at_most: Duration) {
        self.emptied.wait_for(wanted, at_most).await;
    }

    /// Lets them finish what they are at.
    pub(super) async fn part(mut self) -> Result<Done> {
        self.stop.cancel();
        while let Some(ended) = self.cleaning.join_next().await {
            ended??;
        }
        Ok(Done {
            emptied: self.emptied.so_far(),
            stopped: self.stopped.await??,
            exports: self.exports.await??,
            replays: self.replaying.await??,
        })
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exported: usize = self.exports.iter().map(|export| export.seen.len()).sum();
        write!(
            f,
            "emptied={} cleaners_stopped={} exports={} exported_events={exported} replays={} replayed_events={}",
            self.emptied,
            self.stopped,
            self.exports.len(),
            self.replays.runs,
            self.replays.events
        )
    }
}
