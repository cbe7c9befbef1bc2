//! `sqlite`: drain and capture on SQLite.

mod capture;
mod drain;

use std::path::Path;

use anyhow::Result;
use outbox_sqlx::{Names, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::Options;
use crate::report::Table;

/// Files of its own in a folder that goes with it.
pub(crate) async fn run(options: &Options) -> Result<Table> {
    eprintln!("sqlite");
    let events = options.events(200_000);
    let mut table =
        Table::new(format!("sqlite: {events} waiting events of 300 bytes; transactions of a single writer"));
    let folder = tempfile::tempdir()?;
    let waiting = drain::Waiting::fill(&folder.path().join("drain.db"), events).await?;
    for round in 1..=options.rounds {
        eprintln!("  round {round}");
        waiting.measure(&mut table, round).await?;
        for synchronous in [capture::NORMAL, capture::FULL] {
            synchronous.measure(&mut table, folder.path()).await?;
        }
    }
    drain::judge(&mut table);
    capture::NORMAL.judge(&mut table);
    capture::FULL.judge(&mut table);
    Ok(table)
}

/// Makes a file with an empty outbox.
async fn outbox(path: &Path, synchronous: SqliteSynchronous) -> Result<(SqliteConnectOptions, SqliteStore)> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let store = SqliteStore::from_options(options.clone(), Names::default())?;
    store.migrate().await?;
    Ok((options, store))
}
