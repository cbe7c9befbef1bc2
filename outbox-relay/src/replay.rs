//! Replay: events that were published go out once more, marked, in the order of their keys.
//!
//! ```text
//!  log, held ─► pages ─► letters `waiting`, marked ─► the relay that runs takes them like those of a key that was requeued
//! ```
//!
//! Whoever replays copies the events into the dead letters, a few hundred at a time, and goes on when the relay has sent
//! most of them. So one path puts all events of a key in order: while replayed ones of a key wait its live ones stand behind
//! them, and a key that is parked sends neither. What is in the table survives every restart; a replay that ends early says
//! where to go on. Only what every partition of the subscription has done with is replayed: the rest comes by itself.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::Checkpoints;
use outbox_core::dead_letter::{Desk, Parked, State};
use outbox_core::source::{ReadRequest, Row};
use outbox_core::{Clock, Event, Filter, Position, Start, Store, StoreError};

use crate::changelog::ChangeLog;
use crate::clock::SystemClock;
use crate::dead_letters::{DecisionError, known};
use crate::failpoint::{self, Failpoint};

/// So many letters are written at once.
const CHUNK: usize = 200;
/// No more than so many of a replay wait to be sent.
const WAITING: u64 = 400;
/// How often it is looked whether some were sent.
const LOOK: Duration = Duration::from_millis(200);
/// So long nothing may move before a replay ends early.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is to be replayed, and how fast.
#[derive(Clone)]
pub struct Replay {
    filter: Filter,
    from: Position,
    rate: Option<u32>,
    dry_run: bool,
    patience: Duration,
    clock: Arc<dyn Clock>,
}

/// What was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// So many events were handed to the relay, or would be.
    pub events: u64,
    /// Where the first stands.
    pub first: Option<Position>,
    /// Where the last stands.
    pub last: Option<Position>,
    /// Events that were left out because they are among the dead letters: parked, given up, or to be sent already.
    pub letters: u64,
    /// Rows that cannot become events and were left out.
    pub unreadable: u64,
    /// Cleanup has removed events up to here, perhaps some of those asked for; not said where the log goes back to the time that
    /// was asked for.
    pub removed: Option<Position>,
}

impl Replay {
    /// Everything the filter lets pass, of what the subscription has published.
    pub fn new(filter: Filter) -> Self {
        Self { filter, from: 1, rate: None, dry_run: false, patience: PATIENCE, clock: Arc::new(SystemClock) }
    }

    /// Only from this position on.
    pub fn from(mut self, position: Position) -> Self {
        self.from = position.max(1);
        self
    }

    /// At most so many events a second; default as fast as they are sent.
    pub fn rate(mut self, events: Option<u32>) -> Self {
        self.rate = events;
        self
    }

    /// Counts and sends nothing.
    pub fn dry_run(mut self, dry: bool) -> Self {
        self.dry_run = dry;
        self
    }

    /// How long nothing may move before it ends early; default 1 minute.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// By which clock the rate and the patience go; default the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replays to a subscription; done when everything is handed to its relay.
    ///
    /// # Errors
    ///
    /// [`DecisionError::Refused`] where there is no such subscription; [`DecisionError::Late`] where no relay sends what waits,
    /// with where to go on; [`DecisionError::Store`].
    pub async fn run(&self, store: Arc<dyn Store>, subscription: &str) -> Result<Replayed, DecisionError> {
        let mut desk = store.desk().await?;
        known(desk.as_mut(), subscription).await?;
        let to = done_with(store.checkpoints().await?.as_mut(), subscription).await?;
        let log = ChangeLog::shared(store.clone(), self.filter.clone()).after(self.from - 1);
        let mut export = log.export(None).await?;
        // From here on nothing is removed that is still to be read.
        let mut done = Replayed { removed: self.removed(store.as_ref()).await?, ..Replayed::default() };
        failpoint::reached(Failpoint::ReplayBegun);
        while let Some(rows) = export.next().await? {
            let beyond = rows.last().is_some_and(|row| row.position() > to);
            let events = published(rows, to, &mut done);
            for chunk in events.chunks(CHUNK) {
                self.hand_over(desk.as_mut(), subscription, chunk, &mut done).await?;
            }
            if beyond {
                break;
            }
        }
        failpoint::reached(Failpoint::ReplayDone);
        export.abandon().await;
        Ok(done)
    }

    /// Up to where cleanup has removed events, if some of them may have been asked for.
    async fn removed(&self, store: &dyn Store) -> Result<Option<Position>, StoreError> {
        let mut source = store.source(&Filter::default()).await?;
        let floor = source.locate(Start::Beginning).await?.0;
        if self.from > floor {
            return Ok(None);
        }
        if let Some(since) = self.filter.since {
            let oldest = source.read(&ReadRequest { max_events: 1, ..ReadRequest::above(floor) }).await?.rows;
            if matches!(oldest.first(), Some(Row::Event(event)) if event.occurred_at < since) {
                return Ok(None);
            }
        }
        Ok(Some(floor))
    }

    async fn hand_over(
        &self,
        desk: &mut dyn Desk,
        subscription: &str,
        chunk: &[Arc<Parked>],
        done: &mut Replayed,
    ) -> Result<(), DecisionError> {
        if !self.dry_run {
            self.room(desk, subscription, chunk).await?;
        }
        let positions: Vec<_> = chunk.iter().map(|letter| letter.event.position).collect();
        let known = desk.known(subscription, &positions).await?;
        let chunk: Vec<_> = chunk.iter().filter(|letter| !known.contains(&letter.event.position)).cloned().collect();
        done.letters += known.len() as u64;
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(()) };
        if !self.dry_run {
            failpoint::reached_each_wait(Failpoint::PageSent, desk.replay(subscription, &chunk)).await?;
            failpoint::reached(Failpoint::PageHandedOver);
        }
        done.first = done.first.or(Some(first.event.position));
        done.last = Some(last.event.position);
        done.events += chunk.len() as u64;
        if let Some(rate) = self.rate.filter(|_| !self.dry_run) {
            let events = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            self.clock.sleep(Duration::from_secs(1) * events / rate.max(1)).await;
        }
        Ok(())
    }

    /// Waits until few enough of them are still to be sent.
    async fn room(&self, desk: &mut dyn Desk, subscription: &str, chunk: &[Arc<Parked>]) -> Result<(), DecisionError> {
        let mut moved_at = self.clock.now();
        let mut least = u64::MAX;
        loop {
            let waiting = desk.replaying(subscription).await?;
            if waiting < WAITING {
                return Ok(());
            }
            let now = self.clock.now();
            if waiting < least {
                (least, moved_at) = (waiting, now);
            }
            if now.duration_since(moved_at) >= self.patience {
                let next = chunk.first().map_or(self.from, |letter| letter.event.position);
                return Err(DecisionError::Late(format!(
                    "{waiting} events wait to be sent again and nothing moves: see why, and whether a relay runs; then go on \
                     with --from-position {next}"
                )));
            }
            self.clock.sleep(LOOK).await;
        }
    }
}

/// The highest position up to which the subscription has done with everything.
async fn done_with(checkpoints: &mut dyn Checkpoints, subscription: &str) -> Result<Position, DecisionError> {
    let lowest = checkpoints.lowest(subscription).await?;
    Ok(lowest.values().min().map_or(0, |lowest| lowest - 1))
}

/// The events of a page that were published, as letters.
fn published(rows: Vec<Row>, to: Position, done: &mut Replayed) -> Vec<Arc<Parked>> {
    let mut letters = Vec::new();
    for row in rows.into_iter().filter(|row| row.position() <= to) {
        match row {
            Row::Event(event) => letters.push(Arc::new(letter(event))),
            Row::Unreadable(_) => done.unreadable += 1,
            Row::Filtered(_) => {}
        }
    }
    letters
}

fn letter(event: Box<Event>) -> Parked {
    let reason = "to be sent once more".to_owned();
    Parked { event, readable: true, state: State::Waiting, reason, attempts: 0, replayed: true }
}
