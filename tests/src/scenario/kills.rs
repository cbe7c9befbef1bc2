//! The relay killed with SIGKILL at random, again and again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Plan, figures, pause};
use crate::database::Database;
use crate::load::Load;
use crate::output::{self, Tail};
use crate::relay_process::{Relay, WINDOW};
use crate::verdict::Verdict;

/// How long a relay may take at all to publish something after its predecessor was killed.
const FIRST_LINE: Duration = Duration::from_mins(1);

/// Every other relay is killed in its first moments, in milliseconds.
const EARLY: u64 = 150;

/// The others are killed in the midst of publishing, in milliseconds after their first line.
const LATE: u64 = 300;

/// Runs it in an empty database; a kill repeats at most a window.
///
/// # Errors
///
/// When the load breaks down, or a relay ends by itself.
pub async fn kills(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder);
    relay.migrate().await?;
    let load = Load::start(database, plan.load.clone()).await?;
    let mut random = fastrand::Rng::with_seed(plan.load.seed);
    let (mut faults, mut published) = (0, 0);
    while faults < plan.faults && (faults == 0 || start.elapsed() < plan.at_most) {
        let mut tail = Tail::from_end(relay.output());
        let process = relay.spawn()?;
        if random.bool() {
            pause(Duration::from_millis(random.u64(0..EARLY))).await;
        } else {
            let line = tail.wait_for("partitionkey", FIRST_LINE).await;
            line.with_context(|| format!("the relay publishes nothing after kill {faults}: {}", relay.end_of_log()))?;
            published += 1;
            pause(Duration::from_millis(random.u64(0..LATE))).await;
        }
        process.kill().await?;
        faults += 1;
    }
    let truth = load.finish().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("killed_while_publishing={published}"));
    Ok(Verdict {
        name: "kills: the relay ended by SIGKILL at random, under the whole load",
        faults,
        survived: faults,
        findings,
        bound: faults * WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}
