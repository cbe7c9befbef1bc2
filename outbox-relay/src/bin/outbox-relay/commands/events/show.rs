//! `outbox-relay events show`: the newest events.

use std::io::{self, IsTerminal as _};

use super::{changelog, columns, write};
use crate::commands::print;
use crate::events::{Format, Listing};
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::settings::{Database, Selection};

/// Shows them as a table for people, or as one array.
pub(super) async fn execute(database: &Database, selection: &Selection, json: bool) -> Result<Exit, Failure> {
    let rows = changelog(database, selection)?.last(selection.last).await?;
    if json {
        write(Format::Json, &rows)?;
    } else {
        let mut listing = Listing::new(&selection.filter, columns(), colours(io::stdout().is_terminal()));
        let begin = listing.begin(&rows);
        let lines: String = rows.iter().map(|row| listing.next(row)).collect();
        print(&[begin, lines, listing.end(&rows)].concat())?;
    }
    Ok(Exit::Done)
}
