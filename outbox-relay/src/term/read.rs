//! Reading: as much as there is room for, through the frontier into the dispatch.

use std::time::Instant;

use outbox_core::source::{Proof, Row};
use outbox_core::{Event, StoreError};

use super::Term;
use crate::connections::{ReadOutcome, Reader};
use crate::error::RelayError;
use crate::failpoint::{self, Failpoint};
use crate::metrics::{self, Operation};
use crate::reaction::{self, Reaction};
use crate::trail::events;

impl Term<'_> {
    /// Starts a read when there is room for what it may bring.
    pub(super) fn start_read(&mut self, now: Instant) {
        let settings = &self.mandate.settings;
        let room = settings.window_events.saturating_sub(self.dispatch.events() + self.unsaved);
        let room_bytes = settings.window_bytes.saturating_sub(self.dispatch.bytes() as u64);
        let busy = self.dispatch.is_moving() || self.writing.is_some();
        let enough =
            if busy { room * 2 >= settings.window_events && room_bytes * 2 >= settings.window_bytes } else { true };
        if room == 0 || room_bytes == 0 || !enough || now < self.pace.read_at || self.stopping_since.is_some() {
            return;
        }
        let capped = self.dispatch.cap().is_some();
        if capped && self.letters.are_within_reach() || self.mandate.seat.is_paused() {
            return;
        }
        let Some(reader) = self.reader.take() else { return };
        // No more than it takes until letters may be taken back: without them it would stay so.
        let most = if capped { 1 } else { room.min(self.pace.read_size(room_bytes)) };
        // Half the window at a time: while one half is being read the other is on its way out.
        let bytes = room_bytes.min(settings.window_bytes.div_ceil(2));
        let request = self.frontier.request(u32::try_from(most).unwrap_or(u32::MAX), bytes);
        let proof = Proof { position: self.frontier.position(), events: self.trail.events() };
        self.pace.read_sent_at = now;
        self.pace.read_under = self.mandate.bell.state();
        self.drain.read_begins();
        let reading = reader.read(request, proof);
        self.reading = Some(Box::pin(self.mandate.seat.metrics.reads.time(&settings.clock, now, reading)));
    }

    pub(super) fn read_done(
        &mut self,
        (reader, outcome): (Reader, Result<ReadOutcome, StoreError>),
        now: Instant,
    ) -> Result<(), RelayError> {
        self.reader = Some(reader);
        match outcome.inspect_err(|error| metrics::database_error(Operation::Read, error)) {
            Ok(outcome) => {
                if !outcome.read.rows.is_empty() {
                    failpoint::reached(Failpoint::AfterRead);
                }
                self.pace.read_failures.reset();
                self.take_in(outcome, now);
                Ok(())
            }
            Err(error) if reaction::to_store_error(&error, true) == Reaction::Stop => Err(RelayError::Store(error)),
            Err(error) => {
                self.pace.read_at = now + self.pace.read_failures.next_delay();
                self.trouble("the log cannot be read, trying again", &reaction::chain(&error));
                Ok(())
            }
        }
    }

    fn take_in(&mut self, outcome: ReadOutcome, now: Instant) {
        outcome.tell(&mut self.frontier);
        let before = (self.frontier.position(), self.frontier.hole_count());
        let (brought, complete) = (outcome.read.rows.len(), outcome.read.complete && outcome.above);
        let rows = self.frontier.absorb_at(outcome.read, now);
        if complete && rows.len() == brought {
            self.seen_all = true;
            self.letters.saw(None);
            self.drain.saw_all(self.frontier.position());
        }
        self.mandate.seat.metrics.read(&rows);
        self.letters.saw(Some(rows.last().map_or(0, Row::position)));
        self.remember(&rows);
        if (self.frontier.position(), self.frontier.hole_count()) != before || !rows.is_empty() {
            self.mandate.seat.progress(now);
            self.dirty_since.get_or_insert(now);
            self.mandate.memory.keep(self.frontier.position(), self.trail.events());
        }
        let holes = self.frontier.hole_count() > 0;
        self.pace.after_read(rows.len(), holes, complete && brought == 0 && !holes, now, &self.mandate.bell);
        if self.drain.wants_read() {
            self.pace.read_at = now;
        }
        let rows = self.due(rows);
        let brings = !rows.is_empty();
        self.dispatch.admit(rows);
        if brings {
            failpoint::reached(Failpoint::AfterDispatch);
        }
        self.report(now);
    }

    /// The rows with those that are not this share's to publish left out.
    fn due(&self, rows: Vec<Row>) -> Vec<Row> {
        let due = |row: Row| match row {
            Row::Event(event) if !self.share.is_due(&event.key, event.position) => Row::Filtered(event.position),
            Row::Unreadable(row) if !self.share.is_due(&row.key, row.position) => Row::Filtered(row.position),
            row => row,
        };
        rows.into_iter().map(due).collect()
    }

    fn remember(&mut self, rows: &[Row]) {
        let sizes: usize = events(rows).map(Event::size).sum();
        if let Some(average) = sizes.checked_div(events(rows).count()) {
            self.pace.average_size = average;
        }
        self.trail.follow(rows);
    }
}
