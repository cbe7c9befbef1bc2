//! Draining: somebody waits until what was committed before their call is published and in a durable checkpoint.
//!
//! ```text
//! asked ─► a read that began later saw everything ─► all of it is done with ─► a later checkpoint is durable ─► told
//! ```
//!
//! What such a read did not see was not committed before: a hole that is left is not waited for.

use std::time::Instant;

use outbox_core::Position;

use super::Term;
use crate::drain::Answered;

/// How far the drains of a term are. Each has a number, and whoever answers one has answered all before it.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// The last one asked for.
    asked: u64,
    /// The last one answered.
    answered: u64,
    /// The read under way, or the last one, began after this one was asked for.
    reading: u64,
    /// What this one waits for was read, and lies at or below the position.
    seen: Option<(u64, Position)>,
    /// The checkpoint being written answers this one.
    saving: Option<u64>,
}

impl Drain {
    /// Notes that a read begins.
    pub(super) fn read_begins(&mut self) {
        self.reading = self.asked;
    }

    /// Notes that a read saw everything there is, and that it lies at or below the position.
    pub(super) fn saw_all(&mut self, position: Position) {
        if self.reading > self.answered && self.seen.is_none() {
            self.seen = Some((self.reading, position));
        }
    }

    /// Whether one is not answered yet.
    pub(super) fn is_pending(&self) -> bool {
        self.asked > self.answered
    }

    /// Whether one was asked for that no read has begun after.
    pub(super) fn wants_read(&self) -> bool {
        self.reading < self.asked
    }

    /// Notes which one the checkpoint answers that is being written.
    pub(super) fn write_begins(&mut self, done: Option<u64>) {
        self.saving = done;
    }
}

impl Term<'_> {
    /// Takes note of a request, and reads at once.
    pub(super) fn drain_asked(&mut self, number: u64, now: Instant) {
        self.drain.asked = number;
        self.pace.read_at = self.pace.read_at.min(now);
    }

    /// The drain whose events are all done with, and perhaps not yet in a checkpoint.
    pub(super) fn drain_done(&self) -> Option<u64> {
        self.drain.seen.filter(|(_, to)| self.dispatch.is_done_with(*to)).map(|(number, _)| number)
    }

    /// Answers what the checkpoint answers that has just been written.
    pub(super) fn drain_saved(&mut self, now: Instant) {
        if let Some(number) = self.drain.saving.take() {
            self.drain_answer(number, false, now);
        }
    }

    /// Answers what needs no further checkpoint, and what no read will ever see.
    pub(super) fn drain_settle(&mut self, now: Instant) {
        if self.drain.asked == self.drain.answered || !self.is_settled() {
            return;
        }
        if let Some(number) = self.drain_done() {
            self.drain_answer(number, false, now);
        } else if self.drain.seen.is_none()
            && (self.is_full() || self.dispatch.cap().is_some())
            && self.dispatch.only_blocked_left()
        {
            self.drain_answer(self.drain.asked, true, now);
        }
    }

    fn drain_answer(&mut self, number: u64, full: bool, now: Instant) {
        let blocked = self.will_not_pass();
        self.drain.answered = number;
        self.drain.seen = None;
        self.mandate.seat.drains.answer(Answered { number, blocked, full });
        if self.drain.asked > number {
            self.pace.read_at = self.pace.read_at.min(now);
        }
    }
}
