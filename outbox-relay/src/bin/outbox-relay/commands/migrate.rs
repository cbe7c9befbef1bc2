//! `outbox-relay migrate`: creates the outbox tables.

use outbox_core::schema;

use crate::adapter;
use crate::arguments::Migrate;
use crate::exit::{Exit, Failure};
use crate::settings::{Database, Kind};

/// Creates the tables, or shows the SQL that would.
pub(crate) async fn execute(flags: &Migrate, database: &Database, json: bool) -> Result<Exit, Failure> {
    if flags.print {
        super::print(&match database.kind {
            Kind::Postgres => schema::postgres(&database.names, flags.segments),
            Kind::Sqlite => schema::sqlite(&database.names),
        })?;
        return Ok(Exit::Done);
    }
    let changed = adapter::migrate(database, flags.segments).await?;
    let said = match (json, changed) {
        (true, _) => format!("{{\"changed\":{changed}}}\n"),
        (false, true) => format!("created the outbox tables {}\n", database.names),
        (false, false) => format!("the outbox tables {} are up to date\n", database.names),
    };
    super::print(&said)?;
    Ok(Exit::Done)
}
