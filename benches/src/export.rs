//! `export`: the change log to JSON Lines, against a bare loop over the same columns that writes nothing.
//!
//! The export is the library's, and its lines are CloudEvents, which cost what any line costs that checks its payload.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use outbox_core::Filter;
use outbox_core::envelope::CloudEvents;
use outbox_relay::ChangeLog;
use outbox_relay::changelog::Row;
use outbox_sqlx::{Names, PgStore};

use crate::Options;
use crate::keyset;
use crate::measure::Meter;
use crate::report::Table;
use crate::server::{Server, fill};

const BYTES: i32 = 300;
const BARE: &str = "bare loop";
const EXPORT: &str = "export to a file";

/// One database, exported whole in every round.
pub(crate) async fn run(server: &Server, options: &Options) -> Result<Table> {
    eprintln!("export");
    let events = options.events(1_000_000);
    let url = server.database("bench_export").await?;
    fill(&url, events, BYTES, 1).await?;
    let folder = tempfile::tempdir()?;
    let mut table = Table::new(format!("export: {events} events of {BYTES} bytes to JSON Lines"));
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        let meter = Meter::start(Some(server.postmaster()))?;
        let (_, read) = keyset::read(&url, None).await?;
        meter.stop(&mut table, BARE, events, read)?;

        forget_peak_memory()?;
        let meter = Meter::start(Some(server.postmaster()))?;
        let exported = export(&url, &folder.path().join("events.jsonl")).await?;
        meter.stop(&mut table, EXPORT, events, exported)?;
        table.record(EXPORT, "MB at most", peak_memory()?);
    }
    table.at_least("export / bare loop", table.ratio(EXPORT, BARE, "events/s"), 0.5);
    table.at_most("memory, MB", table.median(EXPORT, "MB at most"), 20.0);
    server.drop_database("bench_export").await?;
    Ok(table)
}

/// Exports everything, synced; how many lines were written.
async fn export(url: &str, path: &Path) -> Result<i64> {
    let log = ChangeLog::new(PgStore::new(url, Names::default())?, Filter::default());
    let lines = CloudEvents::new("/outbox/bench");
    let mut file = File::create(path)?;
    let mut export = log.export(None).await?;
    let (mut text, mut events) = (Vec::new(), 0);
    while let Some(page) = export.next().await? {
        text.clear();
        for row in &page {
            if let Row::Event(event) = row {
                lines.write_line(event, &mut text)?;
                events += 1;
            }
        }
        file.write_all(&text)?;
    }
    file.sync_all()?;
    export.finish().await?;
    Ok(events)
}

/// Lets the kernel measure this process's peak of memory anew; see `proc(5)` on `clear_refs`.
fn forget_peak_memory() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be reset")
}

/// The most memory this process has held since, in MB.
fn peak_memory() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak of memory is known")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
