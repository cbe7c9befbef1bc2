//! The live view: the newest events, then what comes.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::source::Row;
use outbox_core::{Clock, Position, StoreError};

use super::ChangeLog;
use super::newest::newest;
use super::walk::Walk;
use crate::connections::Reader;
use crate::polling::Polling;

/// The longest pause between two looks at a log in which nothing happens.
const POLL_AT_MOST: Duration = Duration::from_secs(2);

/// So many positions back from the end it is known which are missing, and may still be filled. They hold at most half as
/// many ranges of holes, which leaves the frontier room for those to come.
const LOOK_BACK: Position = 10_000;

/// The newest events, then what comes; see [`ChangeLog::tail`].
///
/// Events come in position order, but for those whose transaction committed after later ones: they are shown when they
/// appear, unless 10,000 positions lay between them and the end of the log when the view began. It takes no lease, writes
/// nothing, and outlives restarts of the database, which it waits for.
pub struct Tail {
    clock: Arc<dyn Clock>,
    walk: Walk,
    newest: Vec<Row>,
    after: Position,
    polling: Polling,
}

impl Tail {
    pub(super) async fn begin(log: &ChangeLog, count: usize) -> Result<Self, StoreError> {
        let mut source = log.store.source(&log.filter).await?;
        let end = source.last_position().await?;
        let mut open = source.open_positions(log.after.max(end - LOOK_BACK).min(end), end).await?;
        let newest = newest(source.as_mut(), log.after, end, count).await?;
        // What committed in between is among the newest, and must not come once more.
        open.remove_all(newest.iter().map(Row::position));
        let checkpoint = Checkpoint { position: end, open, events: Vec::new() };
        let reader = Reader::new(log.store.clone(), log.filter.clone());
        let walk = Walk::new(reader, &checkpoint, log.clock.clone(), None);
        Ok(Self { clock: log.clock.clone(), walk, newest, after: log.after, polling: Polling::new(POLL_AT_MOST) })
    }

    /// Waits until there is something, and returns it: at first the newest, if there are any.
    ///
    /// A future of it that is dropped loses nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where trying again does not help: missing privileges, or a log that is not the one it was.
    pub async fn next(&mut self) -> Result<Vec<Row>, StoreError> {
        if !self.newest.is_empty() {
            return Ok(std::mem::take(&mut self.newest));
        }
        loop {
            let mut page = self.walk.page(true).await?;
            page.rows.retain(|row| row.position() > self.after);
            if !page.rows.is_empty() {
                self.polling.reset();
                return Ok(page.rows);
            }
            if page.complete {
                self.clock.sleep(self.polling.pause(self.walk.frontier().hole_count() > 0)).await;
            }
        }
    }
}
