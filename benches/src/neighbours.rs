//! `neighbours`: what a key that will not pass, or one that has nearly all of the load, does to the others.
//!
//! Open loop, as in `latency`: 500 transactions a second over 10,000 keys, and beside them events of one more key. The clock of
//! an event starts when its client knows of the commit and stops when the publisher takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use outbox_core::publisher::{Answer, Delivery, PublishError};
use outbox_core::{Names, NewEvent, Publisher, async_trait};
use outbox_relay::{Relay, Retry, Subscription};
use outbox_sqlx::{PgOutbox, PgStore};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Options;
use crate::measure::quantile;
use crate::report::Table;
use crate::server::Server;

const RATE: u32 = 500;
const CLIENTS: u32 = 8;
const KEYS: u32 = 10_000;
/// The key beside which the others are measured.
const BAD: &str = "bad";
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the key beside the others does.
#[derive(Clone, Copy)]
struct Neighbour {
    name: &'static str,
    /// So many of a thousand events are its.
    share: u32,
    /// What the publisher answers for it; `None` takes it.
    answer: Option<fn() -> Answer>,
    /// What a call takes.
    call: Duration,
}

fn retry() -> Answer {
    Answer::Retry { after: None, reason: "not now".to_owned() }
}

fn reject() -> Answer {
    Answer::Reject { reason: "never".to_owned() }
}

const ALONE: Neighbour = Neighbour { name: "none", share: 0, answer: None, call: Duration::ZERO };
const BACK_OFF: Neighbour = Neighbour { name: "one in back-off", share: 10, answer: Some(retry), ..ALONE };
const PARKED: Neighbour = Neighbour { name: "one parked", answer: Some(reject), ..BACK_OFF };
const ALONE_SLOW: Neighbour = Neighbour { name: "none, 5 ms a call", call: Duration::from_millis(5), ..ALONE };
const HOT: Neighbour = Neighbour { name: "one with 99 % of the load, 5 ms a call", share: 990, ..ALONE_SLOW };

/// Notes when each event was taken.
struct Noting {
    neighbour: Neighbour,
    taken: Arc<Mutex<HashMap<Uuid, Instant>>>,
}

#[async_trait]
impl Publisher for Noting {
    fn describe(&self) -> String {
        "noting".into()
    }

    async fn publish(&self, batch: &[Delivery]) -> Result<Vec<Answer>, PublishError> {
        let now = Instant::now();
        if !self.neighbour.call.is_zero() {
            tokio::time::sleep(self.neighbour.call).await;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = batch.iter().map(|delivery| match self.neighbour.answer {
            Some(answer) if delivery.event.key == BAD => answer(),
            _ => {
                taken.entry(delivery.event.event_id).or_insert(now);
                Answer::Published
            }
        });
        Ok(answers.collect())
    }
}

/// Every round has a database and a relay of its own.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("neighbours");
    let seconds = options.seconds(10);
    let mut table = Table::new(format!(
        "neighbours: {RATE} transactions/s of {CLIENTS} clients over {KEYS} keys, {seconds} s a round, beside another key"
    ));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for neighbour in [ALONE, BACK_OFF, PARKED, ALONE_SLOW, HOT] {
            let delays = delays(server, neighbour, seconds).await?;
            for (unit, share) in [("p50 ms", 0.5), ("p99 ms", 0.99)] {
                table.record(neighbour.name, unit, quantile(&delays, share));
            }
        }
    }
    server.drop_database("bench_neighbours").await?;
    for (neighbour, other, goal) in [(BACK_OFF, ALONE, 1.05), (PARKED, ALONE, 1.05), (HOT, ALONE_SLOW, 1.5)] {
        let ratio = table.ratio(neighbour.name, other.name, "p99 ms");
        table.at_most(&format!("the others' p99, {} / {}", neighbour.name, other.name), ratio, goal);
    }
    Ok(table)
}

/// How long each event of the other keys took from its commit to the publisher, in milliseconds.
async fn delays(server: &Server, neighbour: Neighbour, seconds: u64) -> Result<Vec<f64>> {
    let url = server.database("bench_neighbours").await?;
    let taken = Arc::new(Mutex::default());
    let publisher = Noting { neighbour, taken: Arc::clone(&taken) };
    let retry = Retry { attempts: u32::MAX, budget: Duration::from_hours(1), ..Retry::default() };
    let subscription = Subscription::new("bench", publisher).retry(retry);
    let relay = Relay::builder(PgStore::new(&url, Names::default())?).subscription(subscription).start().await?;
    // The first of the key is there before the others.
    if neighbour.share > 0 {
        let mut connection = PgConnection::connect(&url).await?;
        commit(&mut connection, BAD).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let start = Instant::now() + Duration::from_millis(100);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let connection = PgConnection::connect(&url).await?;
        clients.spawn(transactions(
            connection,
            start + client * Duration::from_secs(1) / RATE,
            neighbour.share,
            seconds,
        ));
    }
    let mut committed = Vec::new();
    while let Some(client) = clients.join_next().await {
        committed.extend(client??);
    }
    let until = Instant::now() + PATIENCE;
    let delays = loop {
        let missing = {
            let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = |(id, at): &(Uuid, Instant)| {
                taken.get(id).map(|taken: &Instant| taken.saturating_duration_since(*at).as_secs_f64() * 1e3)
            };
            let delays: Vec<f64> = committed.iter().filter_map(delay).collect();
            if delays.len() == committed.len() {
                break delays;
            }
            committed.len() - delays.len()
        };
        ensure!(Instant::now() < until, "{missing} events never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    relay.stop().await.context("the relay failed")?;
    Ok(delays)
}

/// One client: its share of the transactions, each when it is due; those of the other keys, and when they were committed.
async fn transactions(
    mut connection: PgConnection,
    start: Instant,
    share: u32,
    seconds: u64,
) -> Result<Vec<(Uuid, Instant)>> {
    let mut due = tokio::time::interval_at(start.into(), CLIENTS * Duration::from_secs(1) / RATE);
    let mut committed = Vec::new();
    for _ in 0..seconds * u64::from(RATE / CLIENTS) {
        due.tick().await;
        if fastrand::u32(0..1000) < share {
            commit(&mut connection, BAD).await?;
        } else {
            let key = fastrand::u32(0..KEYS).to_string();
            committed.push((commit(&mut connection, &key).await?, Instant::now()));
        }
    }
    Ok(committed)
}

async fn commit(connection: &mut PgConnection, key: &str) -> Result<Uuid> {
    let mut transaction = connection.begin().await?;
    let event = NewEvent::new("bench.counters", key).json(r#"{"note":"neighbours"}"#);
    let id = PgOutbox::new().append(&mut transaction, &event).await?;
    transaction.commit().await?;
    Ok(id)
}
