//! `batch`: how long one read of the source takes, however much waits, and behind dead rows that nobody can remove.

use std::time::Instant;

use anyhow::{Context, Result};
use outbox_core::source::{ReadRequest, Row};
use outbox_core::{Filter, Names, Position, Store};
use outbox_sqlx::PgStore;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::Options;
use crate::measure::quantile;
use crate::report::Table;
use crate::server::{Server, fill};

/// So many events a read.
const BATCH: u32 = 1000;
/// So many reads a round; with fewer events the last are left out.
const READS: usize = 100;
/// So many rows die when a transaction rolls back.
const DEAD: i64 = 200_000;

const APPEND: &str = "\
    INSERT INTO outbox_event (topic, event_key, payload) \
    SELECT 'bench', 'k' || n % 1000, format('{\"n\":%s,\"filler\":\"%s\"}', n, repeat('x', 270)) \
    FROM generate_series(1, $1) AS n";

/// Two logs of different length, and one in which a bulk transaction rolled back under an open snapshot.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("batch");
    let long = options.events(10_000_000);
    let short = server.database("bench_batch_short").await?;
    fill(&short, long / 10, 300, 8).await?;
    let many = server.database("bench_batch_long").await?;
    fill(&many, long, 300, 8).await?;
    let held = server.database("bench_batch_held").await?;
    fill(&held, long / 10, 300, 8).await?;
    let mut snapshot = PgConnection::connect(&held).await?;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut snapshot).await?;
    sqlx::query("SELECT count(*) FROM pg_class").fetch_one(&mut snapshot).await?;
    bury(&held).await?;
    let mut table =
        Table::new(format!("batch: reads of {BATCH} events of 300 bytes, {long} and {} waiting", long / 10));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for (variant, url, from) in [
            ("a tenth waiting", &short, 0),
            ("all waiting", &many, 0),
            ("behind dead rows", &held, long / 10 - i64::from(BATCH)),
        ] {
            table.record(variant, "ms/batch", reads(url, from).await?);
        }
    }
    let ratio = |variant: &str| table.ratio(variant, "a tenth waiting", "ms/batch");
    let (length, dead) = (ratio("all waiting"), ratio("behind dead rows"));
    table.at_most("time per batch, ten times as many waiting", length, 1.15);
    table.at_most("time per batch, 200,000 dead rows behind an open snapshot", dead, 1.5);
    snapshot.close().await?;
    for database in ["bench_batch_short", "bench_batch_long", "bench_batch_held"] {
        server.drop_database(database).await?;
    }
    Ok(table)
}

/// Rolls a bulk transaction back, and commits events behind it.
async fn bury(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let mut tx = connection.begin().await?;
    sqlx::query(APPEND).bind(DEAD).execute(&mut *tx).await?;
    tx.rollback().await?;
    let alive = i64::from(BATCH) * i64::try_from(READS)?;
    sqlx::query(APPEND).bind(alive).execute(&mut connection).await?;
    Ok(())
}

/// The median time of a read, each from where the last one ended.
async fn reads(url: &str, from: Position) -> Result<f64> {
    let mut source = PgStore::new(url, Names::default())?.source(&Filter::default()).await?;
    let (mut after, mut times) = (from, Vec::new());
    for _ in 0..READS {
        let request = ReadRequest { max_events: BATCH, ..ReadRequest::above(after) };
        let start = Instant::now();
        let read = source.read(&request).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        after = read.rows.last().map(Row::position).context("the log is shorter than it was made")?;
    }
    Ok(quantile(&times, 0.5))
}
