//! `slow`: a publisher that takes 5 ms for each call, on a log of 1,000 keys and on one of a single key.
//!
//! It is called in two ways: with one event at a time, of which one per key may be in flight, as a webhook is; and as a pipeline
//! that keeps order, as a broker's connection is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Result;
use outbox_core::publisher::{Answer, Delivery, Discipline, PublishError};
use outbox_core::source::{ReadRequest, Row};
use outbox_core::{Filter, Publisher, Store, async_trait};
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{Names, PgStore};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::Options;
use crate::counted::{self, PATIENCE};
use crate::measure::Meter;
use crate::report::Table;
use crate::server::{Server, fill};

/// What one call takes.
const CALL: Duration = Duration::from_millis(5);
const BYTES: i32 = 300;
/// One after the other, so many take some seconds.
const OF_ONE_KEY: i64 = 1000;

const NULL: &str = "to nowhere, 1,000 keys";
const WEBHOOK: &str = "one event a call, 1,000 keys";
const PIPELINE: &str = "pipeline, 1,000 keys";
const ONE_KEY: &str = "one event a call, one key";
const SERIAL: &str = "a loop, one after the other";

/// Takes 5 ms for each call, and counts.
#[derive(Clone)]
pub(crate) struct Slow {
    pub(crate) count: Arc<AtomicI64>,
    discipline: Discipline,
}

impl Slow {
    /// One event a call, one in flight per key.
    pub(crate) fn webhook() -> Self {
        Self { count: Arc::default(), discipline: Discipline::default() }
    }

    /// Many events a call, many calls in flight, in order.
    fn pipeline() -> Self {
        Self {
            count: Arc::default(),
            discipline: Discipline { keeps_order: true, batch: 500, calls: 16, checks: false },
        }
    }
}

#[async_trait]
impl Publisher for Slow {
    fn describe(&self) -> String {
        "slow".into()
    }

    fn discipline(&self) -> Discipline {
        self.discipline
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        tokio::time::sleep(CALL).await;
        self.count.fetch_add(i64::try_from(batch.len()).unwrap_or(i64::MAX), Ordering::Relaxed);
        Ok(vec![Answer::Published; batch.len()])
    }
}

/// Two logs, drained from their beginnings again and again.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("slow");
    let events = options.events(200_000);
    let many = server.database("bench_slow").await?;
    fill(&many, events, BYTES, 1).await?;
    let one = server.database("bench_slow_one").await?;
    fill(&one, OF_ONE_KEY, BYTES, 1).await?;
    let mut connection = PgConnection::connect(&one).await?;
    sqlx::query("UPDATE outbox_event SET event_key = 'one'").execute(&mut connection).await?;
    let mut table = Table::new(format!(
        "slow: {events} waiting events of {BYTES} bytes to a publisher that takes {CALL:?} a call, PostgreSQL"
    ));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        let name = format!("round-{round}");
        let meter = Meter::start(Some(server.postmaster()))?;
        meter.stop(&mut table, NULL, events, counted::drain(store(&many)?, name.clone()).await?)?;
        for (variant, url, wanted, publisher) in [
            (WEBHOOK, &many, events, Slow::webhook()),
            (PIPELINE, &many, events, Slow::pipeline()),
            (ONE_KEY, &one, OF_ONE_KEY, Slow::webhook()),
        ] {
            let meter = Meter::start(Some(server.postmaster()))?;
            let count = Arc::clone(&publisher.count);
            let subscription = Subscription::new(format!("{variant} {round}"), publisher);
            let relay = Relay::builder(store(url)?).subscription(subscription).until_empty(Some(PATIENCE));
            relay.start().await?.wait().await?;
            meter.stop(&mut table, variant, wanted, count.load(Ordering::Relaxed))?;
        }
        let meter = Meter::start(Some(server.postmaster()))?;
        meter.stop(&mut table, SERIAL, OF_ONE_KEY, one_after_the_other(&one).await?)?;
    }
    for (what, variant, other, goal) in [
        ("pipeline / to nowhere", PIPELINE, NULL, 0.5),
        ("one event a call, 1,000 keys / one after the other", WEBHOOK, SERIAL, 100.0),
        ("one key / one after the other", ONE_KEY, SERIAL, 0.9),
    ] {
        table.at_least(what, table.ratio(variant, other, "events/s"), goal);
    }
    table.note("one event a call, 1,000 keys / to nowhere", table.ratio(WEBHOOK, NULL, "events/s"));
    server.drop_database("bench_slow").await?;
    server.drop_database("bench_slow_one").await?;
    Ok(table)
}

fn store(url: &str) -> Result<PgStore> {
    Ok(PgStore::new(url, Names::default())?)
}

/// The loop everybody writes first: reads, and awaits each answer before the next event.
async fn one_after_the_other(url: &str) -> Result<i64> {
    let publisher = Slow::webhook();
    let mut source = store(url)?.source(&Filter::default()).await?;
    let request = ReadRequest { max_events: u32::try_from(OF_ONE_KEY)?, ..ReadRequest::above(0) };
    for row in source.read(&request).await?.rows {
        if let Row::Event(event) = row {
            publisher.publish(&[Delivery { event, attempt: 1, replayed: false }]).await?;
        }
    }
    Ok(publisher.count.load(Ordering::Relaxed))
}
