//! `wake`: how soon a relay that sleeps publishes, and how often writers tell it under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use outbox_core::{Names, NewEvent, WakeMode};
use outbox_relay::publisher::closure;
use outbox_relay::{Relay, Subscription};
use outbox_sqlx::{PgOutbox, PgStore};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Options;
use crate::measure::quantile;
use crate::relay::Program;
use crate::report::Table;
use crate::server::Server;

/// Transactions a second under load, and the clients that make them.
const RATE: u32 = 500;
const CLIENTS: u32 = 8;
/// So long after an event the relay sleeps surely.
const QUIET: Duration = Duration::from_millis(60);
/// So many events are sent to a relay that sleeps, in a round.
const EVENTS: usize = 100;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a relay in the same process learns of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Told,
    Woken,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Told => "told by the writer",
            Self::Woken => "woken in the process",
        }
    }
}

/// Each part on a fresh database.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("wake");
    let seconds = options.seconds(10);
    let mut table = Table::new(format!(
        "wake: commit to publisher of a relay that sleeps; notifications at {RATE} transactions/s for {seconds} s"
    ));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for way in [Way::Told, Way::Woken] {
            let delays = delays(server, way).await?;
            for (unit, share) in [("p50 ms", 0.5), ("p99 ms", 0.99)] {
                table.record(way.name(), unit, quantile(&delays, share));
            }
        }
        table.record("under load", "notifications/s", notifications(server, seconds).await?);
    }
    server.drop_database("bench_wake").await?;
    table.at_most("told by the writer, p50 ms", table.median(Way::Told.name(), "p50 ms"), 3.0);
    table.at_most("woken in the process, p50 ms", table.median(Way::Woken.name(), "p50 ms"), 1.0);
    table.at_most("notifications a second under load", table.median("under load", "notifications/s"), 1.0);
    Ok(table)
}

/// How long each event took from its commit to the publisher, in milliseconds.
async fn delays(server: &Server, way: Way) -> Result<Vec<f64>> {
    let url = server.database("bench_wake").await?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let publisher = closure(move |_| {
        let sent = sender.send(Instant::now()).map_err(std::io::Error::other);
        async move { sent }
    });
    let mode = if way == Way::Told { WakeMode::Notify } else { WakeMode::Poll };
    let relay = Relay::builder(PgStore::new(&url, Names::default())?).wake(mode);
    let running = relay.subscription(Subscription::new("bench", publisher)).start().await?;
    let waker = running.waker();
    let (outbox, mut connection) = (PgOutbox::new(), PgConnection::connect(&url).await?);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut delays = Vec::new();
    for number in 0..EVENTS {
        let mut transaction = connection.begin().await?;
        outbox.append(&mut transaction, &NewEvent::new("bench", number.to_string()).json("{}")).await?;
        transaction.commit().await?;
        let committed = Instant::now();
        if way == Way::Woken {
            waker.wake();
        }
        let at = tokio::time::timeout(PATIENCE, receiver.recv()).await?.context("the relay has ended")?;
        delays.push(at.saturating_duration_since(committed).as_secs_f64() * 1e3);
        tokio::time::sleep(QUIET).await;
    }
    running.stop().await?;
    Ok(delays)
}

/// How many notifications a second come while clients commit all the time.
async fn notifications(server: &Server, seconds: u64) -> Result<f64> {
    let url = server.database("bench_wake").await?;
    let relay = Program::run(server, &url, ["--publisher", "null", "--wake", "notify"])?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut connection = PgConnection::connect(&url).await?;
    let channel: String =
        sqlx::query_scalar("SELECT 'outbox:' || 'outbox_wake'::regclass::oid").fetch_one(&mut connection).await?;
    let mut listener = PgListener::connect(&url).await?;
    listener.listen(&channel).await?;
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for client in 0..CLIENTS {
        let connection = PgConnection::connect(&url).await?;
        clients.spawn(transactions(connection, start + client * Duration::from_secs(1) / RATE, seconds));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let took = start.elapsed().as_secs_f64();
    let mut count = 0.0;
    while tokio::time::timeout(Duration::from_millis(100), listener.recv()).await.is_ok() {
        count += 1.0;
    }
    relay.stop().await?;
    Ok(count / took)
}

/// One client: its share of the transactions, each when it is due.
async fn transactions(mut connection: PgConnection, start: Instant, seconds: u64) -> Result<()> {
    let mut due = tokio::time::interval_at(start.into(), CLIENTS * Duration::from_secs(1) / RATE);
    let (outbox, payload) = (PgOutbox::new(), format!("{{\"note\":\"{}\"}}", "x".repeat(289)));
    for _ in 0..seconds * u64::from(RATE / CLIENTS) {
        due.tick().await;
        let mut transaction = connection.begin().await?;
        let event = NewEvent::new("bench.counters", fastrand::u32(0..1000).to_string()).json(payload.as_str());
        outbox.append(&mut transaction, &event).await?;
        transaction.commit().await?;
    }
    Ok(())
}
