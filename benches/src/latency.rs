//! `latency`: from commit to file at 500 transactions a second.
//!
//! Open loop: transactions begin when they are due, however long those before them took. The clock of an event starts when
//! its client knows of the commit and stops when its line is in the file, so an event may well be there earlier. The library
//! writes the events: plain SQL does not wake a relay that has gone to sleep before the load.
//!
//! Each round is run once more among strangers: a writer of another table, a dump that holds its snapshot and a lock on every
//! table, and sessions idle in a transaction; once beside a writer of the outbox that does not commit; and once beside one
//! whose transactions are all rolled back, 5,000 positions a second: a million in a round of 200 seconds.

mod company;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use outbox_core::NewEvent;
use outbox_sqlx::PgOutbox;
use serde::Deserialize;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use uuid::Uuid;

use company::Company;

use crate::Options;
use crate::measure::quantile;
use crate::relay::Program;
use crate::report::Table;
use crate::server::{Server, settle};

const RATE: u32 = 500;
const CLIENTS: u32 = 8;
const KEYS: i32 = 1000;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_micros(200);
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(30);

const TABLES: [&str; 2] = [
    "CREATE TABLE counter (key integer PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50)",
    "INSERT INTO counter SELECT key, 0 FROM generate_series(0, 999) AS key",
];
const UPDATE: &str = "UPDATE counter SET value = value + 1 WHERE key = $1";

/// What a client knows of a transaction of its own.
struct Committed {
    event: Uuid,
    at: Instant,
    took: Duration,
}

/// Every round has a database, a relay and a file of its own.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("latency");
    let seconds = options.seconds(10);
    let mut table = Table::new(format!(
        "latency: {RATE} transactions/s of {CLIENTS} clients, {seconds} s a round, relay to a file"
    ));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for company in Company::ALL {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("events.jsonl");
            record(&mut table, company, measured(server, &path, seconds, company).await?)?;
        }
    }
    server.drop_database("bench_latency").await?;
    let p99 = |variant: &str| table.median(variant, "p99 ms");
    let beyond = p99("commit to file") - p99("transaction");
    let added = |company: Company| p99(company.names()[1]) - p99("commit to file");
    let [strangers, open_writer, rollbacks] = [Company::Strangers, Company::OpenWriter, Company::Rollbacks].map(added);
    table.at_most("commit to file, p50 ms", table.median("commit to file", "p50 ms"), 3.0);
    table.at_most("commit to file, p99 beyond the transactions' own, ms", beyond, 15.0);
    table.at_most("commit to file, p99 among strangers beyond that without, ms", strangers, 10.0);
    table.at_most("commit to file, p99 beside an open writer beyond that without, ms", open_writer, 10.0);
    table.at_most("commit to file, p99 beside rollbacks beyond that without, ms", rollbacks, 5.0);
    Ok(table)
}

fn record(table: &mut Table, company: Company, (committed, seen): Measured) -> Result<()> {
    let own: Vec<f64> = committed.iter().map(|each| each.took.as_secs_f64() * 1e3).collect();
    let delays = committed.iter().map(|each| {
        let seen = seen.get(&each.event).with_context(|| format!("event {} never came", each.event))?;
        Ok(seen.saturating_duration_since(each.at).as_secs_f64() * 1e3)
    });
    let delays = delays.collect::<Result<Vec<_>>>()?;
    for (variant, figures) in company.names().into_iter().zip([&own, &delays]) {
        for (unit, share) in [("p50 ms", 0.5), ("p99 ms", 0.99), ("max ms", 1.0)] {
            table.record(variant, unit, quantile(figures, share));
        }
    }
    Ok(())
}

/// What was committed, and when each event stood in the file.
type Measured = (Vec<Committed>, HashMap<Uuid, Instant>);

/// Runs the load beside a relay; what was committed, and when it stood in the file.
async fn measured(server: &Server, path: &Path, seconds: u64, company: Company) -> Result<Measured> {
    let url = server.database("bench_latency").await?;
    let mut connection = PgConnection::connect(&url).await?;
    for statement in TABLES {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    settle(&mut connection).await?;
    let publisher = format!("file:{}", path.display());
    let relay = Program::run(server, &url, ["--publisher", &publisher, "--wake", "notify"])?;
    until_running(&mut connection, path).await?;
    let present = company.come(&url).await?;

    let wanted = Arc::new(AtomicUsize::new(usize::MAX));
    let reader = thread::spawn({
        let (path, wanted) = (path.to_owned(), Arc::clone(&wanted));
        move || follow(path, &wanted)
    });
    let committed = load(&url, seconds).await?;
    wanted.store(committed.len(), Ordering::Release);
    let seen = tokio::task::spawn_blocking(|| reader.join()).await?;
    let seen = seen.map_err(|_| anyhow!("the file's reader panicked"))??;
    present.leave()?;
    relay.stop().await?;
    Ok((committed, seen))
}

async fn until_running(connection: &mut PgConnection, path: &Path) -> Result<()> {
    let start = Instant::now();
    let query = "SELECT EXISTS (SELECT FROM outbox_checkpoint)";
    while !(path.exists() && sqlx::query_scalar::<_, bool>(query).fetch_one(&mut *connection).await?) {
        ensure!(start.elapsed() < PATIENCE, "the relay does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn load(url: &str, seconds: u64) -> Result<Vec<Committed>> {
    let start = Instant::now() + Duration::from_millis(100);
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let connection = PgConnection::connect(url).await?;
        clients.spawn(transactions(connection, start + client * Duration::from_secs(1) / RATE, seconds));
    }
    let mut committed = Vec::new();
    while let Some(client) = clients.join_next().await {
        committed.extend(client??);
    }
    Ok(committed)
}

/// One client: its share of the transactions, each when it is due.
async fn transactions(mut connection: PgConnection, start: Instant, seconds: u64) -> Result<Vec<Committed>> {
    let mut due = tokio::time::interval_at(start.into(), CLIENTS * Duration::from_secs(1) / RATE);
    let (outbox, payload) = (PgOutbox::new(), format!("{{\"note\":\"{}\"}}", "x".repeat(289)));
    let mut committed = Vec::new();
    for _ in 0..seconds * u64::from(RATE / CLIENTS) {
        due.tick().await;
        let (key, begun) = (fastrand::i32(0..KEYS), Instant::now());
        let mut transaction = connection.begin().await?;
        sqlx::query(UPDATE).bind(key).execute(&mut *transaction).await?;
        let counted = NewEvent::new("bench.counters", key.to_string()).json(payload.as_str());
        let event = outbox.append(&mut transaction, &counted).await?;
        transaction.commit().await?;
        let at = Instant::now();
        committed.push(Committed { event, at, took: at - begun });
    }
    Ok(committed)
}

/// Reads the file as it grows, until so many events were seen or nothing more comes.
fn follow(path: PathBuf, wanted: &AtomicUsize) -> io::Result<HashMap<Uuid, Instant>> {
    let mut file = File::open(path)?;
    let (mut seen, mut rest, mut last) = (HashMap::new(), Vec::new(), Instant::now());
    while seen.len() < wanted.load(Ordering::Acquire) && last.elapsed() < PATIENCE {
        if file.read_to_end(&mut rest)? == 0 {
            thread::sleep(LOOK);
            continue;
        }
        last = Instant::now();
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = rest.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seen.entry(id(line)?).or_insert(last);
        }
    }
    Ok(seen)
}

fn id(line: &[u8]) -> io::Result<Uuid> {
    #[derive(Deserialize)]
    struct Line<'l> {
        id: &'l str,
    }
    Uuid::parse_str(serde_json::from_slice::<Line<'_>>(line)?.id).map_err(io::Error::other)
}
