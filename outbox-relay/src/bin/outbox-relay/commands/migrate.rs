//! `outbox-relay migrate`: creates the outbox tables.

use outbox_core::schema::{self, MAX_SEGMENTS};

use crate::adapter;
use crate::arguments::{Global, Migrate};
use crate::exit::{Exit, Failure};
use crate::settings::{Database, Kind};

/// Creates the tables, or shows the SQL that would.
pub(crate) async fn execute(flags: &Migrate, database: &Database, global: &Global) -> Result<Exit, Failure> {
    let segments = flags.segments.unwrap_or(MAX_SEGMENTS);
    if flags.print {
        super::print(&match (database.kind, flags.wake_trigger()) {
            (Kind::Postgres, None) => schema::postgres(&database.names, segments),
            (Kind::Postgres, Some(wanted)) => schema::postgres_wake_trigger(&database.names, wanted),
            (Kind::Sqlite, _) => schema::sqlite(&database.names),
        })?;
        return Ok(Exit::Done);
    }
    let created = adapter::migrate(database, segments).await?;
    let changed = match flags.segments {
        Some(segments) if !created => adapter::resize(database, segments).await?,
        _ => created,
    };
    let trigger = match flags.wake_trigger() {
        Some(wanted) => adapter::set_wake_trigger(database, wanted).await?,
        None => false,
    };
    if global.json {
        super::print(&format!("{{\"changed\":{}}}\n", changed || trigger))?;
    } else if !global.quiet {
        super::print(&said(flags, database, created, changed))?;
        super::print(&said_of_trigger(flags, database, trigger))?;
    }
    Ok(Exit::Done)
}

fn said_of_trigger(flags: &Migrate, database: &Database, changed: bool) -> String {
    let what = match (flags.wake_trigger(), database.kind, changed) {
        (None, ..) => return String::new(),
        (Some(_), Kind::Sqlite, _) => "SQLite needs no trigger to wake a relay",
        (Some(true), _, true) => "writers in plain SQL wake a relay from now on",
        (Some(true), _, false) => "writers in plain SQL wake a relay already",
        (Some(false), _, true) => "writers in plain SQL wake no relay any more",
        (Some(false), _, false) => "writers in plain SQL wake no relay",
    };
    format!("{what}\n")
}

fn said(flags: &Migrate, database: &Database, created: bool, changed: bool) -> String {
    let plain = |name| database.names.quoted(name).replace('"', "");
    let tables = format!("{} and the other {} tables", plain("event"), plain(""));
    match (flags.segments, database.kind) {
        _ if created => format!("created {tables}\n"),
        (Some(segments), Kind::Postgres) if changed => {
            format!("{tables} are up to date; the log uses {segments} segments now\n")
        }
        (Some(_), Kind::Sqlite) => format!("{tables} are up to date; SQLite has no segments\n"),
        _ => format!("{tables} are up to date\n"),
    }
}
