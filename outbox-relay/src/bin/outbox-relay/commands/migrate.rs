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
        super::print(&match database.kind {
            Kind::Postgres => schema::postgres(&database.names, segments),
            Kind::Sqlite => schema::sqlite(&database.names),
        })?;
        return Ok(Exit::Done);
    }
    let created = adapter::migrate(database, segments).await?;
    let changed = match flags.segments {
        Some(segments) if !created => adapter::resize(database, segments).await?,
        _ => created,
    };
    if global.json {
        super::print(&format!("{{\"changed\":{changed}}}\n"))?;
    } else if !global.quiet {
        super::print(&said(flags, database, created, changed))?;
    }
    Ok(Exit::Done)
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
