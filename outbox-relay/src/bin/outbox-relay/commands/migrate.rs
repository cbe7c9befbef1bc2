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
    let changed = adapter::migrate(database, segments).await?;
    if global.json {
        super::print(&format!("{{\"changed\":{changed}}}\n"))?;
    } else if !global.quiet {
        super::print(&said(flags, database, changed))?;
    }
    Ok(Exit::Done)
}

fn said(flags: &Migrate, database: &Database, created: bool) -> String {
    let plain = |name| database.names.quoted(name).replace('"', "");
    let tables = format!("{} and the other {} tables", plain("event"), plain(""));
    match (created, flags.segments) {
        (true, _) => format!("created {tables}\n"),
        (false, None) => format!("{tables} are up to date\n"),
        (false, Some(_)) => {
            format!("{tables} are up to date; --segments counts only when the tables are created\n")
        }
    }
}
