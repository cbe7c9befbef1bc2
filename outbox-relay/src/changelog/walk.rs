//! Reads the log forward, page by page, over a new connection where one breaks.
//!
//! A read is a task of its own, so that the next page can be on its way while the last one is worked on. What it brings is
//! taken in only by [`Walk::page`]: whatever was read ahead and never asked for has not been passed.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::checkpoint::Checkpoint;
use outbox_core::frontier::Frontier;
use outbox_core::source::{Proof, Row};
use outbox_core::{Clock, Event, Position, StoreError, StoreErrorKind};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::setbacks::Setbacks;
use crate::connections::{ReadOutcome, Reader};
use crate::trail::{Trail, events};

/// A page holds so many events at most …
pub(super) const PAGE_EVENTS: u32 = 5000;
/// … at least, where the limit of bytes allows it …
const PAGE_EVENTS_AT_LEAST: u32 = 100;
/// … and so many bytes, unless a single event is larger.
pub(super) const PAGE_BYTES: u64 = 1 << 20;

type Reading = AbortOnDropHandle<(Reader, Result<ReadOutcome, StoreError>)>;

/// A reader on its way through the log.
pub(super) struct Walk {
    frontier: Frontier,
    trail: Trail,
    /// There unless a read is under way.
    reader: Option<Reader>,
    reading: Option<Reading>,
    /// So many events are asked for.
    page_events: u32,
    setbacks: Setbacks,
}

/// What one read brought.
pub(super) struct Page {
    /// Events that pass the filter, and rows that cannot become events.
    pub(super) rows: Vec<Row>,
    /// Whether no limit cut it short.
    pub(super) complete: bool,
    /// Whether it shows all that was visible above the frontier.
    pub(super) is_last: bool,
}

impl Walk {
    /// Goes on from a checkpoint. Gives up after so long without an answer, or never.
    pub(super) fn new(
        reader: Reader,
        checkpoint: &Checkpoint,
        clock: Arc<dyn Clock>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            frontier: Frontier::new(checkpoint.position, &checkpoint.open),
            trail: Trail::new(&checkpoint.events),
            reader: Some(reader),
            reading: None,
            page_events: PAGE_EVENTS_AT_LEAST,
            setbacks: Setbacks::new(clock, patience),
        }
    }

    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// How far everything was handed out.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let (position, open) = (self.frontier.position(), self.frontier.open());
        Checkpoint { position, open, events: self.trail.events() }
    }

    /// Starts the next read, unless one is under way; `above` says whether it looks above the frontier at all.
    pub(super) fn read_ahead(&mut self, above: bool) {
        if let Some(reader) = self.reader.take() {
            let mut request = self.frontier.request(self.page_events, PAGE_BYTES);
            request.above &= above;
            let proof = Proof { position: self.frontier.position(), events: self.trail.events() };
            self.reading = Some(AbortOnDropHandle::new(tokio::spawn(reader.read(request, proof))));
        }
    }

    /// The next page; a future of it that is dropped loses nothing.
    pub(super) async fn page(&mut self, above: bool) -> Result<Page, StoreError> {
        loop {
            self.read_ahead(above);
            match self.read_done().await? {
                Ok(outcome) => {
                    self.setbacks.overcome();
                    return Ok(self.take_in(outcome));
                }
                Err(error) => self.setbacks.bear(error).await?,
            }
        }
    }

    /// Waits for the read under way.
    async fn read_done(&mut self) -> Result<Result<ReadOutcome, StoreError>, StoreError> {
        let Some(reading) = &mut self.reading else { return Err(gone()) };
        let (reader, outcome) = reading.await.map_err(ended)?;
        self.reading = None;
        self.reader = Some(reader);
        Ok(outcome)
    }

    fn take_in(&mut self, outcome: ReadOutcome) -> Page {
        outcome.tell(&mut self.frontier);
        let (brought, complete, above) = (outcome.read.rows.len(), outcome.read.complete, outcome.above);
        let mut rows = self.frontier.absorb(outcome.read);
        let complete = complete && rows.len() == brought;
        self.trail.follow(&rows);
        self.page_events = page_events(&rows);
        rows.retain(|row| !matches!(row, Row::Filtered(_)));
        Page { rows, complete, is_last: complete && above }
    }

    /// The highest position cleanup has removed. What was read ahead is dropped.
    pub(super) async fn floor(&mut self) -> Result<Position, StoreError> {
        if self.reading.is_some() {
            let _read_ahead = self.read_done().await?;
        }
        loop {
            let Some(reader) = &mut self.reader else { return Err(gone()) };
            match reader.floor().await {
                Ok(floor) => return Ok(floor),
                Err(error) => {
                    reader.close();
                    self.setbacks.bear(error).await?;
                }
            }
        }
    }
}

/// How many events of this size fill a page: the limit of bytes is dearer to reach, for it sends the server back.
fn page_events(rows: &[Row]) -> u32 {
    let bytes: usize = events(rows).map(Event::size).sum();
    let fitting = PAGE_BYTES.saturating_mul(rows.len() as u64) / (bytes.max(1) as u64);
    u32::try_from(fitting).unwrap_or(PAGE_EVENTS).clamp(PAGE_EVENTS_AT_LEAST, PAGE_EVENTS)
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the reader of the log was given up")
}

/// A panic of the task goes on in whoever waits for it; there is no other end but that of the runtime.
fn ended(error: JoinError) -> StoreError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => StoreError::new(StoreErrorKind::Unavailable, "the runtime ends").caused_by(error),
    }
}
