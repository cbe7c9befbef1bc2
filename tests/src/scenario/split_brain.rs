//! Several relays of one database, stopped and let go on at random: who was away past its lease may move nothing.
//!
//! All append to one file, so that it tells in which order things came out. A relay that is stopped in the midst of a call
//! writes late what another has published meanwhile: those are repeats, at most a window of each pause. What comes for the
//! first time is in order, and the [audit](super::audit) knows of every checkpoint who wrote it and who had the right to.

mod owners;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::owners::Owners;
use super::audit::Audit;
use super::{Plan, figures, pause};
use crate::database::Database;
use crate::load::SteadyLoad;
use crate::output::{self, Tail};
use crate::relay_process::{Relay, RelayProcess, SMALL_WINDOW};
use crate::verdict::Verdict;

/// The relays.
const CREW: [&str; 3] = ["relay-a", "relay-b", "relay-c"];

/// So many of them are away together at most, so that there is always one to take over.
const AWAY: usize = 2;

const LEASE: Duration = Duration::from_secs(1);

/// How long a relay is away, in milliseconds: from a hiccup to three lengths of its lease.
const PAUSE: std::ops::Range<u64> = 50..3_000;

/// How long after one the next is stopped, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 50..1_500;

/// What is written meanwhile: so many events a second on so many keys.
const RATE: u32 = 300;

/// Runs it in an empty database, shared in so many partitions. A pause is survived when each partition is worked by a relay
/// that is not away soon enough after it began.
///
/// # Errors
///
/// When the load breaks down, or a relay ends by itself.
pub async fn split_brain(database: &Database, folder: &Path, plan: &Plan, partitions: u32) -> Result<Verdict> {
    let start = Instant::now();
    let shared = partitions.to_string();
    let relay = Relay::new(database, folder).with_window(SMALL_WINDOW);
    let relay = relay.with(&["--partitions", &shared, "--lease", "1s", "--metrics", "off"]);
    relay.migrate().await?;
    let audit = Audit::begin(database).await?;
    let load = SteadyLoad::start(database, plan.load.seed, plan.load.keys, RATE).await?;
    let mut crew = Vec::new();
    for name in CREW {
        crew.push(relay.called(name).spawn()?);
    }
    let owners = Owners::watch(database, partitions, plan.publish_within).await?;
    owners.until_shared(CREW.len()).await?;
    let faults = pauses(&mut crew, &owners, plan, start).await?;
    owners.until_shared(CREW.len()).await?;
    let watched = owners.end().await?;
    let truth = load.finish().await?;
    for process in crew {
        process.stop().await?;
    }
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let told = audit.end().await?;
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("relays={} partitions={partitions} lease={}ms {watched}", CREW.len(), LEASE.as_millis()));
    notes.push(told.to_string());
    let deadlocks = super::deadlocks(database).await?;
    notes.push(format!("deadlocks={deadlocks}"));
    Ok(Verdict {
        name: "split brain: relays stopped by SIGSTOP at random, past their leases and not",
        faults,
        survived: if told.is_clean() && deadlocks == 0 { faults - watched.late() } else { 0 },
        findings,
        bound: faults * SMALL_WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// Stops a relay after it looked at its lease and before it hands events over, for longer than the lease. No look at any clock
/// can help there: what it had in hand is handed over once more, behind what its successor published, and moves nothing.
///
/// # Errors
///
/// When the load breaks down, or a relay does not do its part.
pub async fn held_up_before_a_call(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder).with_window(SMALL_WINDOW).with(&["--lease", "1s", "--metrics", "off"]);
    relay.migrate().await?;
    let load = SteadyLoad::start(database, plan.load.seed, plan.load.keys, RATE).await?;
    let stopping = relay.in_environment([("OUTBOX_FAILPOINT", "before_publish:20:stop".to_owned())]);
    let mut first = stopping.called(CREW[0]).spawn()?;
    first.until_held_up().await?;
    let mut published = Tail::from_end(relay.output());
    let second = relay.called(CREW[1]).spawn()?;
    // All that the first had in hand is behind it then.
    let taken_over = published.wait_for_lines(usize::try_from(SMALL_WINDOW)?, plan.publish_within).await;
    taken_over.with_context(|| format!("its successor: …{}", relay.called(CREW[1]).end_of_log()))?;
    first.go_on()?;
    Tail::from_start(stopping.called(CREW[0]).log()).wait_for("holds the lease", plan.publish_within).await?;
    let truth = load.finish().await?;
    first.stop().await?;
    second.stop().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    Ok(Verdict {
        name: "split brain: a relay stopped between its look at the lease and its call",
        faults: 1,
        survived: 1,
        notes: figures(plan, &truth, &findings),
        findings,
        bound: SMALL_WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
    })
}

/// Stops relays and lets them go on, until there were enough faults; how many there were.
async fn pauses(crew: &mut [RelayProcess], owners: &Owners, plan: &Plan, start: Instant) -> Result<u64> {
    let mut random = fastrand::Rng::with_seed(plan.load.seed);
    let mut back_at: [Option<Instant>; CREW.len()] = [None; CREW.len()];
    let (mut faults, mut next) = (0, Instant::now());
    loop {
        let now = Instant::now();
        for (number, process) in crew.iter_mut().enumerate() {
            process.must_run()?;
            if back_at[number].is_some_and(|back_at| back_at <= now) {
                process.go_on()?;
                owners.back(CREW[number]);
                back_at[number] = None;
            }
        }
        let away = back_at.iter().flatten().count();
        let enough = faults >= plan.faults || (faults > 0 && start.elapsed() >= plan.at_most);
        if enough && away == 0 {
            return Ok(faults);
        }
        if !enough && next <= now && away < AWAY {
            let there = (0..CREW.len()).filter(|number| back_at[*number].is_none()).collect::<Vec<_>>();
            let number = there[random.usize(..there.len())];
            owners.away(CREW[number]);
            crew[number].hold_up()?;
            faults += 1;
            back_at[number] = Some(now + Duration::from_millis(random.u64(PAUSE)));
            next = now + Duration::from_millis(random.u64(BETWEEN));
        }
        let next = if enough { None } else { Some(next.max(now + Duration::from_millis(1))) };
        let soonest = back_at.iter().flatten().copied().chain(next).min().unwrap_or(now);
        pause(soonest.saturating_duration_since(now)).await;
    }
}
