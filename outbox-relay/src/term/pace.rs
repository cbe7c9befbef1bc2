//! When a term does the next thing, and how much of it.

use std::time::{Duration, Instant};

use crate::polling::Polling;
use crate::retry::Schedule;
use crate::wake::{Bell, Rest, State};

/// A batch of reads grows up to this many events.
pub(super) const READ_AT_MOST: usize = 5000;
/// A read asks for at least this many, however large the events of late.
const READ_AT_LEAST: usize = 100;

/// Who sleeps waits for the bell; the time is one that a timer takes.
const ASLEEP: Duration = Duration::from_hours(1);

/// When to do the next thing.
pub(super) struct Pace {
    pub(super) read_at: Instant,
    /// When the read under way, or the last one, was sent.
    pub(super) read_sent_at: Instant,
    /// How near everybody was to sleep at that moment.
    pub(super) read_under: State,
    /// Since when the log shows nothing new, or all were woken.
    quiet_since: Instant,
    /// What was last heard of the bell.
    heard: State,
    polling: Polling,
    pub(super) read_failures: Schedule,
    pub(super) write_at: Instant,
    pub(super) write_failures: Schedule,
    /// When events that cannot be published may be told of again.
    pub(super) unfit_at: Instant,
    pub(super) call_at: Instant,
    pub(super) call_failures: Schedule,
    /// The average size of the events of the last read, in bytes; 0 before the first.
    pub(super) average_size: usize,
}

impl Pace {
    pub(super) fn new(now: Instant, poll_max: Duration, state: State) -> Self {
        let failures = || Schedule::new(Duration::from_millis(50), Duration::from_secs(1));
        Self {
            read_at: now,
            read_sent_at: now,
            read_under: state,
            quiet_since: now,
            heard: state,
            polling: Polling::new(poll_max),
            read_failures: failures(),
            write_at: now,
            write_failures: failures(),
            unfit_at: now,
            call_at: now,
            call_failures: Schedule::new(Duration::from_millis(100), Duration::from_secs(5)),
            average_size: 0,
        }
    }

    /// How many events to ask for, so that about twice what there is room for comes into question.
    pub(super) fn read_size(&self, room_bytes: u64) -> usize {
        let fitting = room_bytes * 2 / (self.average_size.max(1) as u64);
        if self.average_size == 0 {
            READ_AT_LEAST
        } else {
            usize::try_from(fitting).unwrap_or(READ_AT_MOST).clamp(READ_AT_LEAST, READ_AT_MOST)
        }
    }

    /// Reads on at once while there is something; looks less and less often while there is nothing, and sleeps where
    /// whoever writes wakes it. `settled` is a read that saw all there is, and that nothing is missing.
    ///
    /// Many holes make a read dear. While it brings little, the server gets as much time without one.
    pub(super) fn after_read(&mut self, rows: usize, holes: bool, settled: bool, now: Instant, bell: &Bell) {
        if rows > 0 {
            let dear = holes && rows < READ_AT_LEAST;
            self.read_at = if dear { now + now.duration_since(self.read_sent_at) } else { now };
            self.polling.reset();
            self.quiet_since = now;
            return;
        }
        if bell.state().rung_since(self.read_under) {
            // What was rung for may have been written after the read began.
            self.read_at = now;
            return;
        }
        let pause = self.polling.pause(holes);
        let rest = if settled { bell.rest(self.read_under, now.duration_since(self.quiet_since)) } else { Rest::AsSet };
        self.read_at = match rest {
            Rest::AsSet => now + pause,
            Rest::AtMost(limit) => now + pause.min(limit),
            Rest::Asleep => now + ASLEEP,
        };
    }

    /// Reads at once when all are woken, and when a read may be the last before sleep.
    pub(super) fn heard(&mut self, state: State, now: Instant) {
        let rung = state.rung_since(self.heard);
        self.heard = state;
        if rung {
            self.polling.reset();
            self.quiet_since = now;
        }
        let soon = if rung || state.is_clear() { now } else { now + self.polling.pause(true) };
        self.read_at = self.read_at.min(soon);
    }
}
