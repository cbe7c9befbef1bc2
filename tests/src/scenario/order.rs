//! The whole load, and a relay to which nothing happens: nothing lost, nothing swapped, nothing repeated.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::{Plan, figures};
use crate::database::Database;
use crate::load::Load;
use crate::output;
use crate::relay_process::Relay;
use crate::verdict::Verdict;

/// Runs it in an empty database; the faults are the sessions that were ended.
///
/// # Errors
///
/// When the load breaks down, or the relay does not end as it should.
pub async fn order(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let relay = Relay::new(database, folder);
    relay.migrate().await?;
    let load = Load::start(database, plan.load.clone()).await?;
    let process = relay.spawn()?;
    load.wait_for(plan.events, plan.at_most).await?;
    let (_, faults) = load.progress().await?;
    let truth = load.finish().await?;
    process.stop().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let deadlocks = super::deadlocks(database).await?;
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("deadlocks={deadlocks}"));
    Ok(Verdict {
        name: "order: the relay under the whole load, sessions ended at random",
        faults,
        survived: if deadlocks == 0 { faults } else { 0 },
        notes,
        findings,
        bound: 0,
        seed: plan.load.seed,
        wall: start.elapsed(),
    })
}
