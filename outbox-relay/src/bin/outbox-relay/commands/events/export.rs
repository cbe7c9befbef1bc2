//! `outbox-relay events export`: events to a file or to standard output, whole or only what is new.

use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;

use outbox_relay::changelog::{ChangeLog, Export};

use super::{changelog, readable};
use crate::adapter;
use crate::arguments::Global;
use crate::events::{Format, Progress, Target};
use crate::exit::{Exit, Failure};
use crate::problem::{Placed, Problems};
use crate::settings::{Database, Selection};
use crate::signals;
use crate::table::counted;

/// Bytes that are collected before they are written.
const BUFFER: usize = 256 << 10;

/// Exports; the next export of the name goes on from here only once everything is durable.
pub(super) async fn execute(database: &Database, selection: Selection, global: &Global) -> Result<Exit, Failure> {
    let name = selection.since_last.as_deref();
    let mut target = target(selection.output.clone(), adapter::file(database).as_deref())?;
    let stop = signals::watch(|| {
        tracing::info!("stopping: the export is not complete; a second signal ends at once");
    })?;
    let log = changelog(database, &selection)?;
    let progress = Progress::new(global.quiet);
    let copied = tokio::select! {
        copied = copy(&log, name, selection.format, &mut target, progress) => copied,
        () = stop.cancelled() => Err(Failure::Stopped),
    };
    let (export, events) = match copied {
        // A reader such as `head` that has seen enough. Where a name waits to go on, it was too little.
        Err(error) if is_closed_pipe(&error) && name.is_none() => return Ok(Exit::Done),
        copied => copied?,
    };
    let place = target.describe();
    target.commit().map_err(|source| Failure::Target { target: place.clone(), source })?;
    let open = export.finish().await?.open;
    if !global.quiet {
        let _ = writeln!(io::stderr(), "{}", summary(events, &place, open, name.is_some()));
    }
    Ok(Exit::Done)
}

/// Where the export goes, made ready before anything is read.
fn target(output: Option<Placed<String>>, database: Option<&Path>) -> Result<Target, Failure> {
    let mut problems = Problems::default();
    let target = match output {
        Some(output) => output.parse(&mut problems, |path| Target::open(path, database)).map(|target| target.value),
        None => Target::stdout().map_err(|message| problems.add(message)).ok(),
    };
    target.ok_or(Failure::Settings(problems))
}

/// Writes page by page; returns what is left to do when it is durable, and how many events there were.
async fn copy(
    log: &ChangeLog,
    name: Option<&str>,
    format: Format,
    target: &mut Target,
    mut progress: Progress,
) -> Result<(Export, u64), Failure> {
    let place = target.describe();
    let failed = |source| Failure::Target { target: place.clone(), source };
    let mut export = log.export(name).await?;
    let mut out = BufWriter::with_capacity(BUFFER, target);
    let mut document = format.document(&mut out);
    let mut events = 0;
    while let Some(rows) = export.next().await? {
        for event in rows.iter().filter_map(readable) {
            document.write(event).map_err(failed)?;
            events += 1;
        }
        progress.show(export.progress(), events);
    }
    document.end().map_err(failed)?;
    Ok((export, events))
}

fn is_closed_pipe(error: &Failure) -> bool {
    matches!(error, Failure::Target { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

fn summary(events: u64, place: &str, open: u64, by_name: bool) -> String {
    let said = format!("exported {} to {place}", counted(events, "event"));
    if open == 0 {
        return said;
    }
    let (what, open) = (if by_name { "next export has" } else { "export lacks" }, counted(open, "position"));
    format!("{said}; {open} may still be filled by open transactions: the {what} what comes there")
}
