//! An export: everything up to the end of the log, in pages, with a cursor for the next export of its name.
//!
//! ```text
//!  begin ──► claim ──► pages up to the end known at the start ──► what was open meanwhile ──► finish: cursor, release
//!              └────────────── a crash at any point: the next export of the name brings the same again
//! ```
//!
//! One statement a page, and so no long snapshot: emptying a segment is not MVCC-safe, and a reader in a long snapshot would
//! miss its rows. What keeps them in place is the claim.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::source::Row;
use outbox_core::{Clock, Position, Start, StoreError};

use super::ChangeLog;
use super::claim::{Claim, refuse_removed, sweep};
use super::setbacks::Setbacks;
use super::walk::{Page, Walk};
use crate::connections::Reader;
use crate::polling::HOLES_AT_MOST;

/// An export gives up after so long without an answer of the database.
const PATIENCE: Duration = Duration::from_secs(30);

/// So often open positions are looked at again at the end. One look tells who may fill them, the next who has ended, and
/// the one after that what they have left behind.
const CLOSING_READS: u32 = 3;

/// An export at work; see [`ChangeLog::export`].
///
/// Dropping it moves nothing, and a task of the runtime gives its claim back. A program that ends then calls
/// [`Export::abandon`], which waits for that.
pub struct Export {
    clock: Arc<dyn Clock>,
    claim: Claim,
    walk: Walk,
    /// Where the name stood at the beginning.
    cursor: Checkpoint,
    /// The end of the log at the beginning.
    target: Position,
    stage: Stage,
}

/// What is still to be read.
enum Stage {
    /// The log up to the target.
    Pages,
    /// The positions that were missing, so often at most.
    Missing { reads: u32 },
}

/// How far an export is, in positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many are behind it …
    pub done: u64,
    /// … of so many.
    pub total: u64,
}

/// What an export has covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Everything up to here that was visible has been handed out. It may lie beyond the end the log had at the start.
    pub position: Position,
    /// So many positions up to there were still missing, and open transactions may fill them: the next export of the name
    /// looks for them again.
    pub open: u64,
}

impl Export {
    pub(super) async fn begin(log: &ChangeLog, name: Option<&str>) -> Result<Self, StoreError> {
        let mut claim = Claim::take(log.store.clone(), log.clock.clone(), name).await?;
        match first_walk(log, &mut claim).await {
            Ok((walk, cursor, target)) => {
                // Also where nothing is new: the first read tells whether this is the log the name was exported from.
                Ok(Self { clock: log.clock.clone(), claim, walk, cursor, target, stage: Stage::Pages })
            }
            Err(error) => {
                claim.release().await;
                Err(error)
            }
        }
    }

    /// The next page, of about 1 MiB at most, or a single larger event; `None` at the end.
    ///
    /// Position order within an export, but for events whose transaction committed after later ones: they come when they
    /// appear, at the latest at the end. The next page is read while the caller works on the last one. A future of it that
    /// is dropped loses nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database did not answer for 30 s, is not the one it was, or the lease was lost.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, StoreError> {
        loop {
            self.claim.check()?;
            let page = match self.stage {
                Stage::Pages => self.page().await?,
                Stage::Missing { reads } if reads == 0 || self.walk.frontier().hole_count() == 0 => return Ok(None),
                Stage::Missing { reads } => {
                    let page = self.walk.page(false).await?;
                    self.stage = Stage::Missing { reads: reads - u32::from(page.complete) };
                    page
                }
            };
            if !page.rows.is_empty() {
                return Ok(Some(page.rows));
            }
        }
    }

    /// Reads on above the frontier, and further ahead while the page is worked on.
    async fn page(&mut self) -> Result<Page, StoreError> {
        let page = self.walk.page(true).await?;
        let frontier = self.walk.frontier();
        if page.is_last || frontier.position() >= self.target {
            self.stage = Stage::Missing { reads: CLOSING_READS };
        } else if !frontier.stands_still() {
            self.walk.read_ahead(true);
        } else if page.rows.is_empty() {
            tracing::info!(
                position = frontier.position(),
                "too many positions are missing that open transactions may still fill; the export waits for them"
            );
            self.clock.sleep(HOLES_AT_MOST).await;
        }
        Ok(page)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let span = |to: Position| u64::try_from(to - self.cursor.position).unwrap_or(0);
        let total = span(self.target);
        let done = match self.stage {
            Stage::Pages => span(self.walk.frontier().position()).min(total),
            Stage::Missing { .. } => total,
        };
        Progress { done, total }
    }

    /// Moves the cursor of the name behind what was handed out, durably, and gives the claim back.
    ///
    /// Call it when that has arrived where it shall be. Whoever does not call it gets the same again under that name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as for [`Export::next`]; [`Continuity`](outbox_core::StoreErrorKind::Continuity) when events were removed
    /// that were still to come. Nothing has moved then, or it is unknown whether the cursor has.
    pub async fn finish(mut self) -> Result<Exported, StoreError> {
        let exported = self.move_cursor().await;
        self.abandon().await;
        exported
    }

    /// Gives the claim back and moves nothing: the next export of the name brings the same again.
    ///
    /// Returns when it is given back, or cannot be and will run out.
    pub async fn abandon(self) {
        let Self { claim, walk, .. } = self;
        // A read under way could hold up what is to be written.
        drop(walk);
        claim.release().await;
    }

    async fn move_cursor(&mut self) -> Result<Exported, StoreError> {
        self.claim.check()?;
        refuse_removed(&self.cursor, self.walk.floor().await?)?;
        let checkpoint = self.walk.checkpoint();
        let open = checkpoint.open.ranges().map(|range| range.end().abs_diff(*range.start()) + 1).sum();
        let exported = Exported { position: checkpoint.position, open };
        self.claim.save(checkpoint.trimmed(), &mut Setbacks::new(self.clock.clone(), Some(PATIENCE))).await?;
        Ok(exported)
    }
}

/// The way through the log, from where to where.
async fn first_walk(log: &ChangeLog, claim: &mut Claim) -> Result<(Walk, Checkpoint, Position), StoreError> {
    sweep(log.store.as_ref()).await;
    let mut reader = Reader::new(log.store.clone(), log.filter.clone());
    let cursor = match claim.cursor().await? {
        Some(cursor) => cursor,
        None => first_cursor(log, claim, &mut reader).await?,
    };
    let target = reader.last_position().await?;
    // The first read verifies the stored proof, which a connection that is open already would not.
    reader.close();
    Ok((Walk::new(reader, &cursor, log.clock.clone(), Some(PATIENCE)), cursor, target))
}

/// Where a name begins that was never exported, or an export without one: at the first event that is there, also one that
/// cleanup has left below others it removed.
///
/// Cleanup may pass by between the look for the beginning and the claim on it, which is then refused: so it looks again.
async fn first_cursor(log: &ChangeLog, claim: &mut Claim, reader: &mut Reader) -> Result<Checkpoint, StoreError> {
    let start = if log.after == 0 { Start::Beginning } else { Start::Position(log.after.saturating_add(1)) };
    let mut setbacks = Setbacks::new(log.clock.clone(), Some(PATIENCE));
    loop {
        let (position, open) = reader.locate(start).await?;
        let cursor = Checkpoint { position, open, events: Vec::new() };
        match claim.begin(&cursor).await {
            Ok(()) => return Ok(cursor),
            Err(error) => setbacks.bear(error).await?,
        }
    }
}
