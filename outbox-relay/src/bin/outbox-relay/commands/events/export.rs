//! `outbox-relay events export`: events to a file or to standard output, whole or only what is new.

use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use outbox_core::Clock as _;
use outbox_core::source::Row;
use outbox_relay::SystemClock;
use outbox_relay::changelog::{ChangeLog, Export};
use tokio_util::sync::CancellationToken;

use super::{changelog, readable};
use crate::adapter;
use crate::arguments::Global;
use crate::events::{Format, Progress, Target, chosen};
use crate::exit::{Exit, Failure};
use crate::problem::{Placed, Problems};
use crate::settings::{Database, Selection};
use crate::signals;
use crate::table::counted;

/// Bytes that are collected before they are written.
const BUFFER: usize = 256 << 10;

/// How long a claim is given back before it is left to run out; a second signal ends that at once.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// Exports; the next export of the name goes on from here only once everything is durable.
pub(super) async fn execute(database: &Database, selection: Selection, global: &Global) -> Result<Exit, Failure> {
    let name = selection.since_last.as_deref();
    let stop = signals::watch(|| {
        tracing::info!("stopping: the export is not complete; a second signal ends at once");
    })?;
    let mut target = target(selection.output.clone(), adapter::file(database).as_deref())?;
    let place = target.describe();
    let log = changelog(database, &selection)?;
    let mut export = begin(&log, name, &stop).await?;
    let progress = Progress::new(global.quiet);
    let copied = copy(&mut export, selection.format, &mut target, progress, &stop).await;
    let failed = |source| Failure::Target { target: place.clone(), source };
    let events = match copied.and_then(|events| target.commit().map(|()| events).map_err(failed)) {
        Ok(events) => events,
        Err(error) => {
            give_back(export.abandon()).await;
            // A reader such as `head` that has seen enough. Where a name waits to go on, it was too little.
            return if is_closed_pipe(&error) && name.is_none() { Ok(Exit::Done) } else { Err(error) };
        }
    };
    let open = export.finish().await?.open;
    if !global.quiet {
        let events = counted(events, "event") + &chosen(&selection.filter, selection.after);
        let _ = writeln!(io::stderr(), "{}", summary(&events, &place, open, name.is_some()));
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

/// Begins an export. One that is stopped meanwhile may hold its claim already, and gives it back.
async fn begin(log: &ChangeLog, name: Option<&str>, stop: &CancellationToken) -> Result<Export, Failure> {
    let mut begun = pin!(log.export(name));
    tokio::select! {
        begun = &mut begun => Ok(begun?),
        () = stop.cancelled() => {
            give_back(async {
                if let Ok(export) = begun.await {
                    export.abandon().await;
                }
            })
            .await;
            Err(Failure::Stopped)
        }
    }
}

/// Waits for it, for a while: the program would end before the tasks that do it had their turn.
async fn give_back(given: impl Future<Output = ()>) {
    tokio::select! {
        () = given => {}
        () = SystemClock.sleep(GIVING_BACK) => tracing::warn!("the claim of the export was not given back; it runs out"),
    }
}

/// Writes page by page; returns how many events there were.
async fn copy(
    export: &mut Export,
    format: Format,
    target: &mut Target,
    mut progress: Progress,
    stop: &CancellationToken,
) -> Result<u64, Failure> {
    let place = target.describe();
    let failed = |source| Failure::Target { target: place.clone(), source };
    let mut out = BufWriter::with_capacity(BUFFER, target);
    let mut document = format.document(&mut out);
    let mut events = 0;
    while let Some(rows) = next(export, stop).await? {
        for event in rows.iter().filter_map(readable) {
            document.write(event).map_err(failed)?;
            events += 1;
        }
        progress.show(export.progress(), events);
    }
    document.end().map_err(failed)?;
    Ok(events)
}

/// The next page, unless a signal came. That is asked first: where every page is there in time, it would get no turn.
async fn next(export: &mut Export, stop: &CancellationToken) -> Result<Option<Vec<Row>>, Failure> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::Stopped),
        page = export.next() => Ok(page?),
    }
}

fn is_closed_pipe(error: &Failure) -> bool {
    matches!(error, Failure::Target { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

fn summary(events: &str, place: &str, open: u64, by_name: bool) -> String {
    let said = format!("exported {events} to {place}");
    if open == 0 {
        return said;
    }
    let (what, open) = (if by_name { "next export has" } else { "export lacks" }, counted(open, "position"));
    format!("{said}; {open} may still be filled by open transactions: the {what} what comes there")
}
