//! Segments emptied again and again beside three subscribers, replays, readers with holds, stopped cleaners and the whole load.

mod cleaners;
mod exporter;
mod inserts;
mod replays;
mod waits;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use outbox_core::{Names, Position};
use outbox_sqlx::PgStore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::exporter::Export;
use self::watch::Watch;
use super::{Plan, pause};
use crate::database::Database;
use crate::load::Load;
use crate::oracle::Findings;
use crate::output;
use crate::relay_process::Relay;
use crate::verdict::Verdict;

/// The subscribers, each a relay of its own.
const SUBSCRIBERS: [&str; 3] = ["billing", "search", "audit"];

/// To whom is replayed.
const REPLAYED: &str = SUBSCRIBERS[2];

/// Cleaners that race with one another.
const CLEANERS: usize = 2;

/// Runs it in an empty database; a fault is a segment emptied.
///
/// # Errors
///
/// When the load breaks down, a relay ends by itself, or nothing is emptied in time.
pub async fn cleanup(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let relays = SUBSCRIBERS.map(|name| Relay::named(database, folder, name));
    relays[0].migrate().await?;
    let mut processes = relays.iter().map(Relay::spawn).collect::<Result<Vec<_>>>()?;
    let mut load = plan.load.clone();
    load.log_is_kept = false;
    let load = Load::start(database, load).await?;

    // What writers meet with anyhow.
    let watch = Watch::begin(database, "before");
    pause(plan.control).await;
    let before = watch.end().await?;

    let store = PgStore::new(&database.relay_url(), Names::default())?;
    let stop = CancellationToken::new();
    let (emptied, mut cleaning) = (cleaners::Count::default(), JoinSet::new());
    for _ in 0..CLEANERS {
        cleaning.spawn(cleaners::clean_again_and_again(store.clone(), emptied.clone(), stop.clone()));
    }
    let stopped = tokio::spawn(cleaners::stop_at_random(relays[0].clone(), plan.load.seed, stop.clone()));
    let exports = tokio::spawn(exporter::export_again_and_again(database.clone(), store.clone(), stop.clone()));
    let replaying = replays::replay_again_and_again(Arc::new(store), REPLAYED, plan.load.keys, stop.clone());
    let replaying = tokio::spawn(replaying);
    let watch = Watch::begin(database, "while-emptying");

    emptied.wait_for(plan.faults, plan.at_most).await;
    for process in &mut processes {
        process.must_run()?;
    }
    stop.cancel();
    while let Some(ended) = cleaning.join_next().await {
        ended??;
    }
    let (seen, stopped, exports) = (watch.end().await?, stopped.await??, exports.await??);
    let replayed = replaying.await??;
    let truth = load.finish().await?;
    for process in processes {
        process.stop().await?;
    }
    let (mut findings, mut notes) = (Findings::default(), Vec::new());
    let mut positions = Vec::new();
    for (relay, name) in relays.iter().zip(SUBSCRIBERS) {
        relay.drain().await?;
        let judged = output::read(relay.output())?;
        positions = judged.positions();
        let found = judged.judge(&truth);
        notes.push(format!("{name}: {found}"));
        notes.extend(found.examples.iter().cloned());
        findings.add(&found);
    }
    findings.lost += missed(&exports, &positions);
    let faults = emptied.so_far();
    ensure!(faults > 0, "no segment was emptied");
    notes.push(format!("events={} emptied={faults} cleaners_stopped={stopped}", truth.events()));
    notes.push(format!("before anything is emptied: {before}"));
    notes.push(format!("while segments are emptied: {seen}"));
    ensure!(findings.replayed == replayed.events, "{} of {} replayed events came", findings.replayed, replayed.events);
    notes.push(format!("replays={} replayed_events={}", replayed.runs, replayed.events));
    notes.push(format!(
        "exports={} exported_events={}",
        exports.len(),
        exports.iter().map(|one| one.seen.len()).sum::<usize>()
    ));
    let deadlocks = super::deadlocks(database).await?;
    notes.push(format!("deadlocks={deadlocks}"));
    let unharmed = deadlocks == 0 && seen.waits.longest <= plan.wait_at_most.as_secs_f64() * 1e3;
    let survived = if findings.lost == 0 && unharmed { faults } else { 0 };
    Ok(Verdict {
        name: "cleanup: segments emptied beside three subscribers, replays, exports with holds and stopped cleaners, under load",
        faults,
        survived,
        findings,
        bound: 0,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// How many events the exports have not seen that a subscriber has.
fn missed(exports: &[Export], published: &[Position]) -> u64 {
    let missing = |export: &Export| {
        let there = published.iter().filter(|position| (export.above + 1..=export.to).contains(*position));
        there.filter(|position| !export.seen.contains(position)).count() as u64
    };
    exports.iter().map(missing).sum()
}
