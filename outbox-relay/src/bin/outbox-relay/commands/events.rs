//! `outbox-relay events`: the change log for people and for other programs.

use std::io::{self, BufWriter, ErrorKind};
use std::sync::Arc;

use outbox_core::Event;
use outbox_core::source::Row;
use outbox_relay::changelog::ChangeLog;

use crate::adapter;
use crate::arguments::{Events, Global};
use crate::events::Format;
use crate::exit::{Exit, Failure};
use crate::settings::{Database, Selection, Settings};

mod export;
mod show;
mod stats;
mod tail;

/// Does what was asked with the events that were asked for.
pub(crate) async fn execute(command: &Events, settings: Settings, global: &Global) -> Result<Exit, Failure> {
    let Settings { database, selection, .. } = settings;
    adapter::refuse_another_instance(&database).await?;
    let ended = match command {
        Events::Show(_) => show::execute(&database, &selection, global.json).await,
        Events::Tail(_) => tail::execute(&database, &selection, global).await,
        Events::Stats(_) => stats::execute(&database, &selection, global.json).await,
        Events::Export(_) => return export::execute(&database, selection, global).await,
    };
    match ended {
        // A reader such as `head` that has seen enough: nothing went wrong.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        ended => ended,
    }
}

fn changelog(database: &Database, selection: &Selection) -> Result<ChangeLog, Failure> {
    let store = Arc::from(adapter::store(database)?);
    Ok(ChangeLog::shared(store, selection.filter.clone()).after(selection.after))
}

/// Writes rows to standard output as a document of their own.
fn write(format: Format, rows: &[Row]) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout());
    let mut document = format.document(&mut out);
    let written = rows.iter().filter_map(readable).try_for_each(|event| document.write(event));
    written.and_then(|()| document.end()).map_err(Failure::Output)
}

/// The event of a row. One that cannot be read is named in the log, at a level that `--quiet` leaves.
fn readable(row: &Row) -> Option<&Event> {
    match row {
        Row::Event(event) => Some(event),
        Row::Unreadable(row) => {
            let (position, reason) = (row.position, &row.reason);
            tracing::error!(position, "a row is left out, for it cannot be read as an event: {reason}");
            None
        }
        Row::Filtered(_) => None,
    }
}

/// The width to lay a table out for.
fn columns() -> usize {
    /// Where standard output is no terminal.
    const WITHOUT: usize = 100;
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
    size.map_or(WITHOUT, |size| usize::from(size.ws_col))
}
