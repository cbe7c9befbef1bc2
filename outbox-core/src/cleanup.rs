//! Cleanup: how the log gives its disk back, and why no unread event goes with it.
//!
//! On PostgreSQL the log is a pool of segments. Inserts go into the *current* one; the others are emptied whole, by
//! `TRUNCATE`, which costs the same whatever they hold and leaves no dead row behind. Any number of cleaners, one in each
//! relay, make a *pass* now and then:
//!
//! ```text
//!            ┌── current ──┐  turn: old or large enough,      empty: passed by every reader,
//!  inserts ─►│  segment 2  │  and some segment is empty       older than `keep`, locked by nobody
//!            └─────────────┘ ───────────────────────► filled ────────────────────────────────────► empty ─► current …
//! ```
//!
//! 1. *Survey*: the ends of each segment, the readers, and who holds locks. No lock that a writer or a reader could meet.
//! 2. *Turn*: a sequence says which segment is current. It moves only into a segment that is empty at that moment. Nothing
//!    wraps, no clock decides where a row goes, and where nothing is empty the current segment merely grows.
//! 3. *Empty*: for each other segment with rows that nothing stands against, one transaction, sent as one message:
//!
//!    ```text
//!    lock the row `floor` of outbox_meta, or give up        one cleaner at a time
//!    write the floor
//!    LOCK segment IN ACCESS EXCLUSIVE MODE NOWAIT           never waits, so nobody queues behind it
//!    check everything again, in a snapshot taken after the lock
//!    TRUNCATE segment
//!    COMMIT
//!    ```
//!
//! What stands against emptying a segment is an [`Obstacle`]: it is current; some reader's position lies below its last
//! event, or an event in it is among a reader's open positions; nobody reads the log at all, for the first subscription may
//! want all of it; its newest event is younger than `keep`; somebody holds a lock on it. A blocked segment does not stop
//! the others, and any empty one may be the next.
//!
//! # Why nothing unread is removed
//!
//! - *An open or prepared transaction* that wrote into the segment holds its lock: `NOWAIT` fails. One that has drawn its
//!   position and not yet reached the segment writes into the emptied one, where its position is a hole of every reader.
//! - *Committed below a reader's position and not read yet*: an open position, and `max(position) <= checkpoint` alone would
//!   lose it. So both are checked.
//! - *A checkpoint* never goes back, so what was passed stays passed. *A new reader* (a subscription, an export, a hold)
//!   writes its row in a transaction that first takes ACCESS SHARE on the log, and only if its position is not below
//!   the floor. The cleaner either finds that lock and gives up, or sees the row, or has committed and its floor refuses the
//!   row, and the reader looks for its start anew. Whoever else writes a row into `outbox_checkpoint` does the same.
//! - *A cleaner that is late, or was stopped* between its survey and its message: everything is checked again under the
//!   lock, in READ COMMITTED and so by the state of that moment. Stopped after the message: the server finishes it alone.
//!   It never holds a lock while it waits for its client.
//! - *A crash* anywhere: one transaction, so the rows are there and the floor is old, or both are not.
//! - *`TRUNCATE` is not MVCC-safe*: a snapshot older than it finds the segment empty. Relays read one statement at a time in
//!   READ COMMITTED, which takes its snapshot after its locks; longer readers set a hold first.
//!
//! Segments are emptied in any order, so events may be left below the floor. It is the highest position removed, not the
//! lowest left: what is missing above it was not removed by cleanup. A subscription whose position is below it has lost
//! events and is told so when it starts.
//!
//! # Why no business transaction waits
//!
//! Writers lock the log and the current segment, never another. The lock on a segment is held from `LOCK` to `COMMIT` only,
//! some milliseconds, and what could make it longer stands before it or, as deleting the files, after it. What needs a scan
//! is looked up before. Where there is but one segment, writers meet that lock, for as short a time.
//!
//! # When the disk runs full
//!
//! A log larger than [`Retention::max_disk`] is told in the log and the status. What then happens to the oldest segment is a
//! choice, [`OnMaxDisk`]: it is held; or it is emptied and the dead subscriptions that pin it are cut off, with or without
//! its events written to an archive. *Dead* is who holds no lease and has written no checkpoint for [`DEAD_AFTER`]; a
//! subscription that lives is never cut off. A cut is recorded in `outbox_meta` in the transaction that removes the events,
//! with new epochs that shut its relay out, should that live after all.
//!
//! # SQLite
//!
//! One writer at a time, and no segments: events that every reader has passed are deleted by primary key, some hundred in a
//! short `BEGIN IMMEDIATE` transaction together with the floor, under the same conditions. Freed pages are used again by
//! later events; the file does not shrink.

mod obstacle;
mod survey;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

pub use obstacle::Obstacle;
pub use survey::{Blocker, Ends, Reader, Segment, Survey};

use crate::error::StoreError;
use crate::event::Position;
use crate::schema::MAX_SEGMENTS;

/// Who has neither held a lease nor written a checkpoint for so long is dead.
pub const DEAD_AFTER: Duration = Duration::from_mins(10);

/// How long events are kept, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// An event stays at least so long, also when everybody has passed it. Default 7 days; zero removes at once what
    /// everybody has passed. As long stays the record of a dead letter that was given up.
    pub keep: Duration,
    /// At most so many segments are used; 1 to 8, default 8.
    pub segments: u8,
    /// The current segment gives way to another when it has grown to this. Default 128 MiB.
    pub segment_bytes: u64,
    /// A log larger than this is told, and treated by the next setting. Default 10 GiB.
    pub max_disk: u64,
    /// What happens to a log larger than that. Default [`OnMaxDisk::Hold`].
    pub on_max_disk: OnMaxDisk,
    /// The longest pause between two passes. Default 1 minute; a relay makes more where much is written or `keep` is short.
    pub every: Duration,
}

/// What happens to a log that has become too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnMaxDisk {
    /// Nothing is removed that is not old enough and passed by everybody.
    Hold,
    /// The oldest segments are emptied, whatever their age, and dead subscriptions that pin them cut off.
    Cut,
    /// The same, after their events were written into a file in this folder.
    Archive(PathBuf),
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(7 * 24),
            segments: MAX_SEGMENTS,
            segment_bytes: 128 << 20,
            max_disk: 10 << 30,
            on_max_disk: OnMaxDisk::Hold,
            every: Duration::from_mins(1),
        }
    }
}

impl Retention {
    /// Says what cannot work, and what to write instead.
    ///
    /// # Errors
    ///
    /// The text of it.
    pub fn validate(&self) -> Result<(), String> {
        let checks = [
            (!(1..=MAX_SEGMENTS).contains(&self.segments), "segments is not 1 to 8; write 8"),
            (self.segment_bytes == 0, "segment_bytes is 0; write 128 MiB"),
            (self.max_disk == 0, "max_disk is 0; write 10GiB"),
            (self.every.is_zero(), "every is zero; write 1 minute"),
        ];
        if let Some((_, message)) = checks.into_iter().find(|(wrong, _)| *wrong) {
            return Err(format!("retention: {message}"));
        }
        match &self.on_max_disk {
            OnMaxDisk::Archive(folder) if !folder.is_dir() => {
                Err(format!("retention: the archive {} is not a folder; make it, or name another", folder.display()))
            }
            _ => Ok(()),
        }
    }
}

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// From this segment …
    pub segment: i16,
    /// … everything up to its last event as the survey showed it. Where events are removed one by one, up to here.
    pub last: Position,
    /// But nothing younger than this.
    pub keep: Duration,
    /// Who is cut off by it.
    pub cut: Option<Cut>,
}

/// Who is cut off, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The names of the dead.
    pub readers: Vec<String>,
    /// What they are told.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Removed {
    /// Events are gone; so many, where they are removed one by one.
    Gone(Option<u64>),
    /// Nothing was removed.
    Kept(Obstacle),
}

/// Removes events, over a connection of its own.
#[async_trait]
pub trait Cleaner: Send {
    /// How the log stands, and what stands against removing any of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after any error this value is of no further use.
    async fn survey(&mut self) -> Result<Survey, StoreError>;

    /// Lets inserts go on in the segment `to`, if `from` is still current and `to` still empty; returns whether they do.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Cleaner::survey`].
    async fn turn(&mut self, from: i16, to: i16) -> Result<bool, StoreError>;

    /// What a removal would come to: its age is judged, nothing is changed and no lock is tried.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Cleaner::survey`].
    async fn preview(&mut self, removal: &Removal) -> Result<Removed, StoreError>;

    /// Removes, after checking everything again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Cleaner::survey`].
    async fn remove(&mut self, removal: &Removal) -> Result<Removed, StoreError>;

    /// Removes dead letters that nobody has a use for, and returns how many; in a dry run it counts them alone.
    ///
    /// Those are the letters that were given up, `keep` after the decision at the earliest and not before cleanup has come past
    /// their events; and those of subscriptions that have neither a checkpoint nor a running lease, as long after they failed
    /// last.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Cleaner::survey`].
    async fn forget(&mut self, keep: Duration, dry_run: bool) -> Result<u64, StoreError>;

    /// Records what is wrong with cleaning, for the status; `None` takes it back.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Cleaner::survey`].
    async fn note(&mut self, trouble: Option<&str>) -> Result<(), StoreError>;
}
