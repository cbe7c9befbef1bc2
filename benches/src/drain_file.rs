//! `drain-file`: the whole relay to a file, each batch synced.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Result;
use outbox_relay::{Relay, Subscription, publisher};
use outbox_sqlx::{Names, PgStore};

use crate::Options;
use crate::counted::{self, PATIENCE};
use crate::measure::Meter;
use crate::report::Table;
use crate::server::{Server, fill};

const BYTES: i32 = 300;
const NULL: &str = "relay to nowhere";
const FILE: &str = "relay to a file";

/// One database, drained from its beginning in every round.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("drain-file");
    let events = options.events(200_000);
    let url = server.database("bench_file").await?;
    fill(&url, events, BYTES, 1).await?;
    let folder = tempfile::tempdir()?;
    let mut table = Table::new(format!("drain-file: {events} waiting events of {BYTES} bytes to CloudEvents, synced"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        let store = PgStore::new(&url, Names::default())?;
        let meter = Meter::start(Some(server.postmaster()))?;
        let drained = counted::drain(store.clone(), format!("null-{round}")).await?;
        meter.stop(&mut table, NULL, events, drained)?;

        let path = folder.path().join(format!("{round}.jsonl"));
        let subscription = Subscription::new(format!("file-{round}"), publisher::File::new(&path));
        let meter = Meter::start(Some(server.postmaster()))?;
        Relay::builder(store).subscription(subscription).until_empty(Some(PATIENCE)).start().await?.wait().await?;
        meter.stop(&mut table, FILE, events, lines(&path)?)?;
    }
    table.note("to a file / to nowhere", table.ratio(FILE, NULL, "events/s"));
    server.drop_database("bench_file").await?;
    Ok(table)
}

fn lines(path: &Path) -> Result<i64> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut lines = 0;
    while file.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}
