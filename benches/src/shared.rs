//! `shared`: three relays that share a subscription, against one that works it alone.
//!
//! A small window leaves a relay waiting for its publisher, so that more relays do more. With the default window one relay keeps
//! the machine busy, and what is measured is what sharing costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError};
use outbox_core::{Publisher, async_trait};
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{Names, PgStore};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;

use crate::Options;
use crate::measure::Meter;
use crate::report::Table;
use crate::server::{Server, fill};
use crate::slow::Slow;

const PARTITIONS: u32 = 12;
const SMALL_WINDOW: usize = 16;
const BYTES: i32 = 300;
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the bench looks.
const LOOK: Duration = Duration::from_millis(1);

/// What is measured: how many relays, and with which window.
struct Case {
    name: &'static str,
    relays: usize,
    window: Option<usize>,
}

const CASES: [Case; 4] = [
    Case { name: "one relay, window of 16", relays: 1, window: Some(SMALL_WINDOW) },
    Case { name: "three relays, window of 16", relays: 3, window: Some(SMALL_WINDOW) },
    Case { name: "one relay, default window", relays: 1, window: None },
    Case { name: "three relays, default window", relays: 3, window: None },
];

/// Takes nothing before all relays are at work.
struct Gated {
    slow: Slow,
    open: watch::Receiver<bool>,
}

#[async_trait]
impl Publisher for Gated {
    fn describe(&self) -> String {
        self.slow.describe()
    }

    fn discipline(&self) -> Discipline {
        self.slow.discipline()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        // The bench holds the other end for as long as relays run.
        let _ = self.open.clone().wait_for(|open| *open).await;
        self.slow.publish(batch).await
    }
}

/// Each case begins at the beginning of the log.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("shared");
    let many = options.events(200_000);
    let few = (many / 20).max(1);
    let mut table = Table::new(format!(
        "shared: {PARTITIONS} partitions, {few} events with a window of {SMALL_WINDOW}, {many} with the default, to a publisher \
         that takes 5 ms, PostgreSQL"
    ));
    for (cases, events) in [(&CASES[..2], few), (&CASES[2..], many)] {
        let url = server.database("bench_shared").await?;
        fill(&url, events, BYTES, 1).await?;
        for round in 1..=options.rounds {
            for case in cases {
                eprintln!("  {}, round {round}", case.name);
                measure(server, &mut table, case, &url, round, events).await?;
            }
        }
    }
    server.drop_database("bench_shared").await?;
    let ratio = |three: usize, one: usize| table.ratio(CASES[three].name, CASES[one].name, "events/s");
    let (small, default) = (ratio(1, 0), ratio(3, 2));
    table.at_least("three relays / one, window of 16", small, 2.5);
    table.at_least("three relays / one, default window", default, 0.9);
    Ok(table)
}

async fn measure(server: &Server, table: &mut Table, case: &Case, url: &str, round: u32, events: i64) -> Result<()> {
    let name = format!("{} {round}", case.name);
    let (gate, open) = watch::channel(false);
    let slow = Slow::webhook();
    let count: Arc<AtomicI64> = Arc::clone(&slow.count);
    let publisher = Arc::new(Gated { slow, open });
    let mut relays = Vec::new();
    for number in 0..case.relays {
        let subscription = Subscription::shared(&name, publisher.clone()).partitions(PARTITIONS);
        let relay =
            Relay::builder(PgStore::new(url, Names::default())?).name(format!("relay-{number}")).retention(None);
        let relay = if let Some(window) = case.window { relay.window_events(window) } else { relay };
        relays.push(relay.subscription(subscription).start().await?);
    }
    until_shared(url, &name, case.relays).await?;
    let meter = Meter::start(Some(server.postmaster()))?;
    gate.send_replace(true);
    let start = Instant::now();
    while count.load(Ordering::Relaxed) < events {
        ensure!(start.elapsed() < PATIENCE, "{}: the relays do not come to the end", case.name);
        tokio::time::sleep(LOOK).await;
    }
    meter.stop(table, case.name, events, count.load(Ordering::Relaxed))?;
    for relay in relays {
        relay.stop().await?;
    }
    Ok(())
}

/// Waits until every relay has its share, and works it.
async fn until_shared(url: &str, subscription: &str, relays: usize) -> Result<()> {
    const SHARED: &str = "\
        SELECT count(DISTINCT relay_id) = $2 AND count(*) = $3 FROM outbox_lease \
        WHERE subscription = $1 AND expires_at > clock_timestamp()";
    let mut connection = PgConnection::connect(url).await?;
    let start = Instant::now();
    loop {
        let shared = sqlx::query_scalar(SHARED).bind(subscription);
        let shared = shared.bind(i64::try_from(relays)?).bind(i64::from(PARTITIONS)).fetch_one(&mut connection).await?;
        if shared {
            // The share that was taken last is read up to the window.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "the relays do not share");
        tokio::time::sleep(LOOK).await;
    }
}
