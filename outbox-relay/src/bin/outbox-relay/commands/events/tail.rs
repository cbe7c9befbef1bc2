//! `outbox-relay events tail`: events as they are committed.

use std::io::{self, IsTerminal as _, Write as _};

use outbox_core::source::Row;

use super::{changelog, columns, write};
use crate::arguments::Global;
use crate::commands::print;
use crate::events::{Format, Listing};
use crate::exit::{Exit, Failure};
use crate::logging::colours;
use crate::settings::{Database, Selection};
use crate::signals;

/// Shows them until a signal comes.
pub(super) async fn execute(database: &Database, selection: &Selection, global: &Global) -> Result<Exit, Failure> {
    let stop = signals::watch(|| {})?;
    let shown = async {
        let mut tail = changelog(database, selection)?.tail(selection.last).await?;
        let mut output = Output::new(selection, global);
        output.begin(global);
        loop {
            output.write(&tail.next().await?)?;
        }
    };
    tokio::select! {
        ended = shown => ended,
        () = stop.cancelled() => Ok(Exit::Done),
    }
}

enum Output {
    Json,
    People { listing: Listing, has_begun: bool },
}

impl Output {
    fn new(selection: &Selection, global: &Global) -> Self {
        if global.json {
            return Self::Json;
        }
        let listing = Listing::new(&selection.filter, columns(), colours(io::stdout().is_terminal()));
        Self::People { listing, has_begun: false }
    }

    /// Says that nothing to see is nothing wrong.
    fn begin(&self, global: &Global) {
        if matches!(self, Self::People { .. }) && !global.quiet && io::stderr().is_terminal() {
            let _ = writeln!(io::stderr(), "waiting for events; Ctrl-C ends");
        }
    }

    fn write(&mut self, rows: &[Row]) -> Result<(), Failure> {
        match self {
            Self::Json => write(Format::JsonLines, rows),
            Self::People { .. } if rows.is_empty() => Ok(()),
            Self::People { listing, has_begun } => {
                let begin = if std::mem::replace(has_begun, true) { String::new() } else { listing.begin(rows) };
                let lines: String = rows.iter().map(|row| listing.next(row)).collect();
                print(&(begin + &lines))
            }
        }
    }
}
