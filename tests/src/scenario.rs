//! What is done to the relay, and to the controls: short in the tests, at length in the `torture` program. The upgrade alone is
//! only there, for it takes the programs of earlier revisions.

mod answers;
mod audit;
mod cleanup;
mod controls;
mod disk;
mod kill_matrix;
mod kills;
mod network;
mod operators;
mod order;
mod restarts;
mod split_brain;
mod upgrade;
pub mod wake;

use std::time::Duration;

use anyhow::{Context as _, Result};

pub use self::answers::answers;
pub use self::cleanup::cleanup;
pub use self::controls::{Controls, controls};
pub use self::disk::{disk_of_sqlite, disk_of_the_file, disk_of_the_server};
pub use self::kill_matrix::{Kind, kill_matrix};
pub use self::kills::kills;
pub use self::network::network;
pub use self::operators::operators;
pub use self::order::order;
pub use self::restarts::{ghosts, restarts};
pub use self::split_brain::{held_up_before_a_call, split_brain};
pub use self::upgrade::upgrade;
pub use self::wake::wake;
use crate::database::Database;
use crate::load::LoadOptions;
use crate::oracle::{Findings, Truth};

/// How far a scenario goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the load is mixed; its seed decides the faults, too.
    pub load: LoadOptions,
    /// How many events pgbench commits.
    pub events: u64,
    /// How many faults are made.
    pub faults: u64,
    /// How long it is looked before the first fault how things are without, where the scenario does.
    pub control: Duration,
    /// When it is cut short, though never before the first fault.
    pub at_most: Duration,
    /// How soon after a fault things must be well again: the server accepts connections and something is published, the
    /// network carries again, partitions have another relay.
    pub publish_within: Duration,
    /// How long a writer may wait for maintenance.
    pub wait_at_most: Duration,
}

/// What every report tells of the load.
fn figures(plan: &Plan, truth: &Truth, findings: &Findings) -> Vec<String> {
    let (events, dead, bulk) = (truth.events(), truth.dead_percent(), plan.load.bulk);
    let mut notes = vec![format!("events={events} dead_ids={dead}% bulk_committed={bulk} bulk_rolled_back={bulk}")];
    notes.extend(findings.examples.iter().cloned());
    notes
}

/// How many deadlocks the server has broken in this database: no load of a scenario makes any by itself.
async fn deadlocks(database: &Database) -> Result<i64> {
    let mut session = database.connect().await?;
    let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(count).fetch_one(&mut session).await?)
}

/// Median and maximum.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let millis = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
    format!("median={}ms max={}ms", millis(times.get(times.len() / 2)), millis(times.last()))
}

/// Lets time pass until the next fault or look: that it comes at any moment whatever is what a scenario is about.
#[expect(clippy::disallowed_methods, reason = "no state is waited for, so no signal can end it")]
async fn pause(after: Duration) {
    tokio::time::sleep(after).await;
}

/// Key and version of a payload, torn or whole.
fn version(payload: &str) -> Result<(String, u64)> {
    let read = || {
        let (key, version) = payload.strip_prefix("{\"k\":\"")?.split_once("\",\"ver\":")?;
        Some((key.to_owned(), version.trim_end_matches('}').parse().ok()?))
    };
    read().with_context(|| format!("a payload that nobody wrote: {payload}"))
}
