//! Reading: as much as there is room for, through the frontier into the dispatch.

use std::time::Instant;

use outbox_core::source::{Proof, ReadRequest, Row};
use outbox_core::{Event, StoreError};

use super::Term;
use super::pace::READ_AT_MOST;
use crate::connections::{ReadOutcome, Reader};
use crate::error::RelayError;
use crate::failpoint::{self, Failpoint};
use crate::metrics::{self, Operation};
use crate::reaction::{self, Reaction};
use crate::trail::events;

impl Term<'_> {
    /// Starts a read when there is room for what it may bring; returns whether it did.
    pub(super) fn start_read(&mut self, now: Instant) -> bool {
        let settings = &self.mandate.settings;
        let room = self.room();
        let room_bytes = settings.window_bytes.saturating_sub(self.dispatch.bytes() as u64);
        let busy = self.dispatch.is_moving() || self.writing.is_some();
        let enough =
            if busy { room * 2 >= settings.window_events && room_bytes * 2 >= settings.window_bytes } else { true };
        if room == 0 || room_bytes == 0 || !enough || now < self.pace.read_at || self.stopping_since.is_some() {
            return false;
        }
        let capped = self.dispatch.cap().is_some();
        if capped && self.letters.are_within_reach() || self.mandate.seat.is_paused() {
            return false;
        }
        let Some(reader) = self.reader.take() else { return false };
        let most = self.share.rows_for(room.min(self.pace.read_size(room_bytes))).min(READ_AT_MOST);
        // No more than it takes until letters may be taken back: without them it would stay so.
        let most = if capped { 1 } else { most };
        // Half the window at a time: while one half is being read the other is on its way out.
        let bytes = room_bytes.min(settings.window_bytes.div_ceil(2));
        let request = self.frontier.request(u32::try_from(most).unwrap_or(u32::MAX), bytes);
        let request = ReadRequest { portion: self.share.portion(), ..request };
        let proof = Proof { position: self.frontier.position(), events: self.trail.events() };
        self.pace.read_sent_at = now;
        self.pace.read_under = self.mandate.bell.state();
        self.drain.read_begins();
        let reading = reader.read(request, proof);
        self.reading = Some(Box::pin(self.mandate.seat.metrics.reads.time(&settings.clock, now, reading)));
        true
    }

    /// So many more events may be taken in.
    fn room(&self) -> usize {
        self.mandate.settings.window_events.saturating_sub(self.dispatch.events() + self.unsaved)
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

    fn take_in(&mut self, mut outcome: ReadOutcome, now: Instant) {
        outcome.tell(&mut self.frontier);
        // More of the rows may be this share's than were reckoned with: what finds no room is read again.
        let (read, room) = (&mut outcome.read, self.room());
        let brought = read.rows.len();
        read.rows = self.share.sift(std::mem::take(&mut read.rows), room);
        read.complete &= read.rows.len() == brought;
        let before = (self.frontier.position(), self.frontier.hole_count());
        let complete = outcome.read.complete && outcome.above;
        let rows = self.frontier.absorb_at(outcome.read, now);
        self.share.follow(&rows);
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
        let brings = !rows.is_empty();
        self.dispatch.admit(rows);
        if brings {
            failpoint::reached(Failpoint::AfterDispatch);
        }
        self.report(now);
    }

    fn remember(&mut self, rows: &[Row]) {
        let sizes: usize = events(rows).map(Event::size).sum();
        if let Some(average) = sizes.checked_div(events(rows).count()) {
            self.pace.average_size = average;
        }
        self.trail.follow(rows);
    }
}
