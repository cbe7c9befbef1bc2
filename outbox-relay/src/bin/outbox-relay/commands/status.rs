//! `outbox-relay status`: how relays and subscriptions stand.

use std::io::IsTerminal as _;

use crate::adapter;
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::printable::printable_json;
use crate::settings::Database;
use crate::status_table;

/// Shows the status as a table for people, or as one line of JSON.
pub(crate) async fn execute(database: &Database, json: bool) -> Result<Exit, Failure> {
    let store = adapter::store(database)?;
    let status = store.status().await?;
    if json {
        let line = serde_json::to_string(&status).map_err(|error| Failure::Output(error.into()))?;
        super::print(&format!("{}\n", printable_json(&line)))?;
    } else {
        super::print(&status_table::render(&status, colours(std::io::stdout().is_terminal())))?;
    }
    Ok(Exit::Done)
}
