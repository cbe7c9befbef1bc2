//! Writes the events of a segment into a file before they are removed, as JSON Lines.
//!
//! They are read as a relay reads them: a hole that an open transaction may still fill is waited for, so that the file holds
//! everything that ever stood between both ends. The file has its name only once it is whole and synced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use outbox_core::cleanup::Ends;
use outbox_core::envelope::CloudEvents;
use outbox_core::frontier::Frontier;
use outbox_core::source::Row;
use outbox_core::{Clock, Event, Filter, Payload, PositionSet, Store, StoreError};

use crate::failpoint::{self, Failpoint};
use crate::worker::source_of;

/// So many events, and so many bytes of them, are read at a time.
const PAGE: (u32, u64) = (1_000, 4 << 20);

/// How often holes are looked at again, and how long in between, before it is left for the next pass.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written.
    #[error("the archive {} cannot be written: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// An event has no form in which it could be written.
    #[error("position {position} cannot be archived: {reason}")]
    Event {
        /// Where it stands.
        position: i64,
        /// Why.
        reason: String,
    },
    /// A transaction that is open may still write between both ends.
    #[error("open transactions may still write into it")]
    Open,
}

/// Writes what stands between both ends into a file in the folder, and returns its path.
pub(super) async fn write(store: &dyn Store, clock: &dyn Clock, folder: &Path, ends: Ends) -> Result<PathBuf, Failure> {
    let envelope = CloudEvents::new(source_of(&store.check().await?));
    let path = folder.join(format!("outbox-{:020}-{:020}.jsonl", ends.first, ends.last));
    let part = path.with_extension("part");
    let failed = |cause| Failure::File { path: part.clone(), cause };
    let mut file = File::create(&part).map_err(failed)?;
    let mut source = store.source(&Filter::default()).await?;
    let mut frontier = Frontier::new(ends.first - 1, &PositionSet::new());
    let mut looks = 0;
    loop {
        let mut request = frontier.request(PAGE.0, PAGE.1);
        request.above &= frontier.position() < ends.last;
        let rows = frontier.absorb(source.read(&request).await?);
        let lines = lines(&envelope, rows.iter().filter(|row| row.position() <= ends.last))?;
        file = blocking(move || file.write_all(&lines).map(|()| file)).await.map_err(failed)?;
        if frontier.position() >= ends.last {
            if frontier.first_open().is_none_or(|open| open > ends.last) {
                break;
            }
            looks += 1;
            if looks > LOOKS {
                return Err(Failure::Open);
            }
            clock.sleep(LOOK).await;
        }
    }
    failpoint::reached(Failpoint::ArchiveWritten);
    let whole = path.clone();
    blocking(move || finish(&file, &part, &whole))
        .await
        .map_err(|cause| Failure::File { path: path.clone(), cause })?;
    failpoint::reached(Failpoint::Archived);
    Ok(path)
}

/// Gives the file its name, durably.
fn finish(file: &File, part: &Path, whole: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(part, whole)?;
    whole.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn lines<'r>(envelope: &CloudEvents, rows: impl Iterator<Item = &'r Row>) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    for row in rows {
        match row {
            Row::Event(event) => line(envelope, event, &mut lines)?,
            Row::Unreadable(row) => {
                return Err(Failure::Event { position: row.position, reason: row.reason.clone() });
            }
            Row::Filtered(_) => {}
        }
    }
    Ok(lines)
}

/// Writes an event; one that is not what it says it is comes as its bytes.
fn line(envelope: &CloudEvents, event: &Event, lines: &mut Vec<u8>) -> Result<(), Failure> {
    if envelope.write_line(event, lines).is_ok() {
        return Ok(());
    }
    let bytes = |payload: &Payload| Payload::Binary(payload.as_bytes().to_vec());
    let plain = Event {
        content_type: "application/octet-stream".into(),
        headers: None,
        payload: event.payload.as_ref().map(bytes),
        old_payload: event.old_payload.as_ref().map(bytes),
        ..event.clone()
    };
    let failed = |error: outbox_core::envelope::EnvelopeError| Failure::Event {
        position: event.position,
        reason: error.to_string(),
    };
    envelope.write_line(&plain, lines).map_err(failed)
}
