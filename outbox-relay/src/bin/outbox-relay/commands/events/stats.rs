//! `outbox-relay events stats`: how many events of which kind.

use std::io::{self, IsTerminal as _};

use super::changelog;
use crate::commands::print;
use crate::events::stats;
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::settings::{Database, Selection};

/// Shows the counts as tables for people, or as one object.
pub(super) async fn execute(database: &Database, selection: &Selection, json: bool) -> Result<Exit, Failure> {
    let counts = changelog(database, selection)?.stats().await?;
    if json {
        print(&stats::json(&counts).map_err(|error| Failure::Output(error.into()))?)?;
    } else {
        print(&stats::tables(&selection.filter, &counts, colours(io::stdout().is_terminal())))?;
    }
    Ok(Exit::Done)
}
