//! A relay whose database is behind a network that does everything a network does.
//!
//! Faults come one after the other, at random moments and of random length, some longer than any call of the relay may take.
//! After each the relay must publish again, and all the time it must show [signs of life](signs): lines that come out, a
//! line in its log, another attempt to connect. So no call hangs for longer than it may.

mod signs;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::postgres::PgConnectOptions;

use self::signs::Signs;
use super::{Plan, figures, pause, spread};
use crate::database::Database;
use crate::load::SteadyLoad;
use crate::output::{self, Tail};
use crate::proxy::{Mood, Proxy, Way};
use crate::relay_process::{Relay, SMALL_WINDOW};
use crate::verdict::Verdict;

/// What is written meanwhile: so many events a second on so many keys.
const RATE: u32 = 300;

/// How long the network carries between two faults, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 50..600;

/// How long a relay may take at all to publish again.
const PUBLISH_AT_LAST: Duration = Duration::from_mins(2);

/// The longest a call may take, a read of the log.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// One fault in so many outlasts every call.
const LONG_EVERY: u64 = 60;

/// How long such a fault lasts.
const LONG: Duration = Duration::from_secs(34);

/// How long a relay may show no sign of life: the longest call, and what it takes to see it.
const SILENT_AT_MOST: Duration = Duration::from_secs(35);

/// Runs it in an empty database. A fault is survived when something comes out soon enough after its end, and the relay was
/// never silent for longer than its longest call.
///
/// # Errors
///
/// When the load breaks down, or the relay ends by itself.
pub async fn network(database: &Database, folder: &Path, plan: &Plan) -> Result<Verdict> {
    let start = Instant::now();
    let flags = ["--metrics", "127.0.0.1:0", "--lease", "2s"];
    let (relay, proxy) = (Relay::new(database, folder).with_window(SMALL_WINDOW).with(&flags), proxy(database).await?);
    relay.migrate().await?;
    let load = SteadyLoad::start(database, plan.load.seed, plan.load.keys, RATE).await?;
    let behind = relay.at(&proxy.address());
    let mut process = behind.spawn()?;
    let first = Tail::from_start(relay.output()).wait_for("partitionkey", PUBLISH_AT_LAST).await;
    first.with_context(|| format!("the relay does not begin: …{}", relay.end_of_log()))?;
    let signs = Signs::watch(&relay, &proxy)?;
    let mut random = fastrand::Rng::with_seed(plan.load.seed);
    let (mut recoveries, mut given_up) = (Vec::new(), 0);
    while (recoveries.len() as u64) < plan.faults && (recoveries.is_empty() || start.elapsed() < plan.at_most) {
        pause(Duration::from_millis(random.u64(BETWEEN))).await;
        let fault = Fault::draw(&mut random, recoveries.len() as u64);
        given_up += fault.make(&proxy).await;
        recoveries.push(recovery(&relay).await?);
        process.must_run()?;
    }
    let alive = signs.end().await?;
    let truth = load.finish().await?;
    process.stop().await?;
    relay.drain().await?;
    let findings = output::read(relay.output())?.judge(&truth);
    let faults = recoveries.len() as u64;
    let in_time = recoveries.iter().filter(|took| **took <= plan.publish_within).count() as u64;
    let mut notes = figures(plan, &truth, &findings);
    notes.push(format!("published_again_after {}", spread(recoveries)));
    let longest = faults / LONG_EVERY;
    notes.push(format!("{alive} (≤ bound {}ms)", SILENT_AT_MOST.as_millis()));
    notes.push(format!("longer_than_any_call={longest} of them given up and tried again meanwhile={given_up}"));
    let alive = alive.silent <= SILENT_AT_MOST && alive.unhealthy == 0 && given_up == longest;
    Ok(Verdict {
        name: "network: resets, half-open and stalled connections, torn messages, drips and refusals",
        faults,
        survived: if alive { in_time } else { 0 },
        findings,
        bound: faults * SMALL_WINDOW,
        seed: plan.load.seed,
        wall: start.elapsed(),
        notes,
    })
}

/// A network before the database's server.
pub(super) async fn proxy(database: &Database) -> Result<Proxy> {
    let server: PgConnectOptions = database.relay_url().parse()?;
    Ok(Proxy::to(format!("{}:{}", server.get_host(), server.get_port())).await?)
}

/// Waits until something comes out; how long that took.
pub(super) async fn recovery(relay: &Relay) -> Result<Duration> {
    let cleared = Instant::now();
    let published = Tail::from_end(relay.output()).wait_for("partitionkey", PUBLISH_AT_LAST).await;
    published.with_context(|| format!("the relay did not come back: …{}", relay.end_of_log()))?;
    Ok(cleared.elapsed())
}

/// What the network does, and for how long.
#[derive(Debug, Clone, Copy)]
struct Fault {
    mood: Mood,
    lasts: Duration,
    /// Whether connections that are open end with it, whatever they do.
    cuts: bool,
}

impl Fault {
    /// The next one; every so often one that outlasts every call.
    fn draw(random: &mut fastrand::Rng, number: u64) -> Self {
        if number % LONG_EVERY == LONG_EVERY - 1 {
            let moods = [Mood::Stalled, Mood::Swallows(Way::ToServer), Mood::Swallows(Way::ToClient)];
            return Self { mood: moods[random.usize(..moods.len())], lasts: LONG, cuts: false };
        }
        let (mood, millis, cuts) = match random.u8(..8) {
            0 => (Mood::Refused, 5..10, true),
            1 => (Mood::Refused, 200..2_000, true),
            2 => (Mood::Swallows(Way::ToServer), 100..2_500, false),
            3 => (Mood::Swallows(Way::ToClient), 100..2_500, false),
            4 => (Mood::Stalled, 50..1_000, false),
            5 => (Mood::Stalled, 1_000..3_000, false),
            6 => (Mood::Torn, 20..300, false),
            _ => (Mood::Drips, 200..2_000, false),
        };
        Self { mood, lasts: Duration::from_millis(random.u64(millis)), cuts }
    }

    /// Makes it; 1 where it outlasts every call and the relay came with another connection meanwhile.
    async fn make(self, proxy: &Proxy) -> u64 {
        let mut accepted = proxy.accepted();
        accepted.mark_unchanged();
        proxy.mood(self.mood);
        if self.cuts {
            proxy.cut();
        }
        pause(self.lasts).await;
        let given_up = self.lasts > LONGEST_CALL && accepted.has_changed().unwrap_or(false);
        proxy.mood(Mood::Clear);
        given_up.into()
    }
}
