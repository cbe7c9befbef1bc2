//! A relay of an earlier revision beside the new one, while the tables are brought up to date under both and writers go on.
//!
//! The new program migrates the tables of the old one, whose relay and whose writers are at work. From then on there is one relay
//! of each; the one or the other is killed, or stopped in order, at random, and comes back after a moment. In the end the old
//! one goes for good.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;

use super::network::recovery;
use super::{Plan, figures, pause, spread};
use crate::database::Database;
use crate::load::SteadyLoad;
use crate::output;
use crate::relay_process::{Relay, RelayProcess, SMALL_WINDOW};
use crate::verdict::Verdict;

/// What is written meanwhile: so many events a second.
const RATE: u32 = 300;

/// How long both are at work, in milliseconds.
const AT_WORK: std::ops::Range<u64> = 50..1_500;

/// How long one of them is away, in milliseconds: up to three lengths of its lease.
const AWAY: std::ops::Range<u64> = 50..3_000;

/// How long the old one is at work alone, before the migration and after.
const ALONE: Duration = Duration::from_secs(2);

/// The relays.
const CREW: [&str; 2] = ["old", "new"];

/// How long a relay may take to say that it is there.
const AT_LAST: Duration = Duration::from_mins(1);

const THERE: &str = "SELECT EXISTS (SELECT FROM outbox_relay WHERE process_id = $1)";

/// Who publishes.
const OWNER: &str =
    "SELECT relay_name FROM outbox_lease JOIN outbox_relay USING (relay_id) WHERE subscription = 'default'";

/// Runs it in an empty database, from the tables of the program `earlier`; a fault is a relay killed or stopped, and is survived when
/// the other publishes soon enough.
///
/// # Errors
///
/// When the load breaks down, the tables cannot be migrated, a relay ends by itself, or one of them never has the lease.
pub async fn upgrade(database: &Database, folder: &Path, plan: &Plan, earlier: PathBuf) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder).with_window(SMALL_WINDOW).with(&["--lease", "1s"]);
    let crew = CREW.map(|name| relay.called(name));
    let crew = [crew[0].by_program(earlier), crew[1].with(&["--lease", "1s", "--metrics", "off"])];
    crew[0].migrate_alone().await?;
    database.make_users().await?;
    let mut looking = database.connect().await?;
    let from = revision(&mut looking).await?;
    let load = SteadyLoad::start(database, plan.load.seed, plan.load.keys, RATE).await?;
    let mut working = [Some(crew[0].spawn()?), None];
    recovery(&relay).await.context("the earlier relay does not begin")?;
    pause(ALONE).await;
    crew[1].migrate().await?;
    let to = revision(&mut looking).await?;
    ensure!(from < to, "tables of revision {from} are still of revision {to}");
    recovery(&relay).await.context("the earlier relay does not go on")?;
    pause(ALONE).await;
    working[1] = Some(come(&crew[1], &mut looking).await?);

    let mut random = fastrand::Rng::with_seed(plan.load.seed);
    let (mut faults, mut kills, mut recoveries, mut owned) = (0, 0, Vec::new(), [0_u64; 2]);
    while faults < plan.faults && (faults == 0 || start.elapsed() < plan.at_most) {
        pause(Duration::from_millis(random.u64(AT_WORK))).await;
        for process in working.iter_mut().flatten() {
            process.must_run()?;
        }
        let one = usize::from(random.bool());
        let process = working[one].take().context("it came back")?;
        if random.bool() {
            process.kill().await?;
            kills += 1;
        } else {
            process.stop().await?;
        }
        faults += 1;
        recoveries.push(recovery(&relay).await?);
        let at_work: String = sqlx::query_scalar(OWNER).fetch_one(&mut looking).await?;
        let other = CREW.iter().position(|name| *name == at_work).context("a stranger has the lease")?;
        ensure!(other != one, "`{at_work}` is gone and has the lease");
        owned[other] += 1;
        pause(Duration::from_millis(random.u64(AWAY))).await;
        working[one] = Some(come(&crew[one], &mut looking).await?);
    }
    ensure!(faults < 10 || owned.iter().all(|times| *times > 0), "one of {CREW:?} never took over: {owned:?}");
    for process in working.into_iter().flatten() {
        process.stop().await?;
    }
    let truth = load.finish().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let survived = recoveries.iter().filter(|took| **took <= plan.publish_within).count() as u64;
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("from_revision={from} to_revision={to} killed={kills} stopped={}", faults - kills));
    notes.push(format!("taken_over_by old={} new={} published_again_after {}", owned[0], owned[1], spread(recoveries)));
    Ok(Verdict {
        name: "upgrade: tables migrated under an earlier relay, and then that one and the new one killed and stopped at random",
        faults,
        survived,
        findings,
        bound: kills * SMALL_WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// Starts a relay and waits until it has said that it is there: before, it would not hear that it is asked to stop.
async fn come(relay: &Relay, looking: &mut PgConnection) -> Result<RelayProcess> {
    let (process, start) = (relay.spawn()?, Instant::now());
    let id = i64::from(process.id()?);
    while !sqlx::query_scalar(THERE).bind(id).fetch_one(&mut *looking).await? {
        ensure!(start.elapsed() < AT_LAST, "a relay does not say that it is there: …{}", relay.end_of_log());
        pause(Duration::from_millis(5)).await;
    }
    Ok(process)
}

/// Of which revision the tables are; the first wrote none down.
async fn revision(session: &mut PgConnection) -> Result<i64> {
    let revision = "SELECT coalesce(max(value), '1')::int8 FROM outbox_meta WHERE name = 'revision'";
    Ok(sqlx::query_scalar(revision).fetch_one(session).await?)
}
