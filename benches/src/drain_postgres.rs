//! `drain-postgres`: the whole relay to nowhere, against hand-written loops.

use anyhow::Result;
use outbox_sqlx::{Names, PgStore};

use crate::measure::Meter;
use crate::report::Table;
use crate::server::{Server, fill};
use crate::worker::Worker;
use crate::{Options, counted, keyset, worker};

const BYTES: i32 = 300;
const RELAY: &str = "relay";
const KEYSET: &str = "keyset loop";
const USUAL: &str = "SKIP LOCKED, 100, UPDATE";
const CAREFUL: &str = "SKIP LOCKED, 1000, DELETE";
const RELAY_3: &str = "relay, 3 segments filled";
const KEYSET_3: &str = "keyset loop, 3 segments filled";

/// Two databases, each filled once: with all events in one segment, and in three.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("drain-postgres");
    let events = options.events(200_000);
    let one = server.database("bench_drain").await?;
    let three = server.database("bench_drain_3").await?;
    for (url, segments) in [(&one, 1), (&three, 3)] {
        fill(url, events, BYTES, segments).await?;
        keyset::prepare(url).await?;
    }
    let mut table = Table::new(format!("drain-postgres: {events} waiting events of {BYTES} bytes, 1,000 keys"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        for (url, bare, whole) in [(&one, KEYSET, RELAY), (&three, KEYSET_3, RELAY_3)] {
            let meter = Meter::start(Some(server.postmaster()))?;
            meter.stop(&mut table, bare, events, keyset::drain(url).await?)?;
            let store = PgStore::new(url, Names::default())?;
            let meter = Meter::start(Some(server.postmaster()))?;
            meter.stop(&mut table, whole, events, counted::drain(store, format!("round-{round}")).await?)?;
        }
        for (variant, worker) in [(USUAL, Worker::USUAL), (CAREFUL, Worker::CAREFUL)] {
            worker::fill(&one).await?;
            let meter = Meter::start(Some(server.postmaster()))?;
            meter.stop(&mut table, variant, events, worker.drain(&one).await?)?;
        }
    }
    judge(&mut table);
    server.drop_database("bench_drain").await?;
    server.drop_database("bench_drain_3").await?;
    Ok(table)
}

fn judge(table: &mut Table) {
    for (what, relay, other, goal) in [
        ("relay / keyset loop", RELAY, KEYSET, 0.6),
        ("relay / keyset loop, 3 segments filled", RELAY_3, KEYSET_3, 0.6),
        ("relay / SKIP LOCKED, 100", RELAY, USUAL, 3.0),
        ("relay / SKIP LOCKED, 1000", RELAY, CAREFUL, 1.1),
    ] {
        table.at_least(what, table.ratio(relay, other, "events/s"), goal);
    }
    for variant in [RELAY, RELAY_3] {
        for (unit, goal) in [("server µs/event", 4.0), ("client µs/event", 1.5)] {
            table.at_most(&format!("{variant}: {unit}"), table.median(variant, unit), goal);
        }
    }
}
